/** Folds of all sorts, an index with what is in it, and what comes and goes. */

import fc from 'fast-check'

import { compareBytes, toHex } from '../../src/core/bytes.ts'
import type { Json } from '../../src/core/json.ts'
import { systemHasher } from '../../src/node/system.ts'
import type { DerivedStore } from '../../src/store/derived-store.ts'
import { createMemoryDerivedStore } from '../../src/store/memory-derived-store.ts'
import type { AnyView } from '../../src/views/define-view.ts'
import { createFoldIndex } from '../../src/views/fold-index.ts'
import { nativeProgram } from '../../src/views/native-program.ts'
import type { FoldProgram, ViewEvent } from '../../src/views/program.ts'
import { EMPTY_DIGEST } from '../../src/views/view-digest.ts'
import type {
  IndexChange,
  IndexState,
  IndexUpdate,
  IndexedEvent,
  ViewIndex
} from '../../src/views/view-index.ts'
import { foldEvents } from './fold-model.ts'

type Numbered = ViewEvent & { readonly data: number }

interface Fold {
  readonly select?: (event: Numbered) => unknown
  readonly initial: Json
  readonly apply: (state: never, input: never) => unknown
  readonly final?: (state: never) => unknown
}

interface Lines {
  readonly lines: number[]
}

interface Kept {
  last: Json
  lines?: number[]
  other?: number[] | undefined
}

/** Of states that are always exactly their JSON, whatever the functions do to them. */
export const EXACT = {
  /** A late event changes every state behind it. */
  sum: { initial: 0, apply: (sum: number, { data }: Numbered) => (sum * 3 + data) % 1_000_003 },
  /** The same, of some events and what it looks at. */
  'selected sum': {
    select: ({ data }) => (data % 4 === 1 ? undefined : [data, 'ä,"']),
    initial: 0,
    apply: (sum: number, [data]: readonly [number]) => (sum * 3 + data) % 1_000_003
  },
  /** States up to the next event only. */
  last: { initial: null, apply: (_: unknown, { data, key }: Numbered) => [data, key] },
  /** States for a while. */
  window: {
    initial: [],
    apply: (state: number[], { data }: Numbered) => [...state, data].slice(-4),
    final: (state: number[]) => {
      if (state.length === 2) throw new Error('two')
      return state.join()
    }
  },
  /** Large ones, not all of which are kept. */
  list: { initial: [], apply: (state: number[], { data }: Numbered) => [...state, data] },
  /** Changes its state, and what it was given, also when it fails. */
  careless: {
    initial: { lines: [] },
    apply: (state: Lines, { data }: Numbered) => {
      state.lines.push(data)
      if (state.lines.length > 6) state.lines.shift()
      if (data % 5 === 0) throw new Error(`not ${data} behind ${state.lines.join()}`)
      return state
    }
  },
  /** The same with what it selects, which it changes and keeps; and cannot select of some. */
  'selected careless': {
    select: ({ data, key }) => {
      if (data === 7) throw new Error('not seven')
      return data === 8 ? null : { lines: [data, key.length] }
    },
    initial: { lines: [] },
    apply: (state: Lines, given: Lines | null) => {
      if (given === null) return { lines: [] }
      given.lines.push(state.lines.length)
      state.lines.push(...given.lines)
      if (given.lines[0] === 5) throw new Error(`not behind ${state.lines.join()}`)
      return state.lines.length > 6 ? given : state
    }
  }
} as const satisfies Record<string, Fold>

/** States that are not exactly their text, or not JSON at all. */
const INEXACT: Fold = {
  initial: { last: null },
  apply: (kept: Kept, { data }: Pick<Numbered, 'data'>) => {
    const names = Object.keys(kept).length
    if (data === 2) return { last: names }
    if (data === 3) return { last: names, none: undefined }
    if (data === 4) return { last: NaN, names }
    if (data === 5) return { last: -0, names }
    if (data === 6) return { last: () => names }
    if (data === 7) kept.lines = [names]
    if (data === 8) kept.other = kept.lines
    if (data === 9) kept.other?.push(names)
    if (data === 10) return undefined
    if (data === 11) kept.last = Object.is(kept.last, -0)
    return { ...kept, names }
  }
}

const pickySum = (sum: number, data: number): number => {
  if ((sum + data) % 4 === 0) throw new Error(`not ${data} behind ${sum}`)
  return (sum * 3 + data) % 1_000_003
}
const sized = (text: string, data: number): string => {
  return 'x'.repeat((text.length * 7 + data * 5 + 3) % 31)
}

/** In which a late event changes what becomes of all that follow it, over many runs. */
const DEEP: Readonly<Record<string, Fold>> = {
  /** It depends on the state which events fail. */
  picky: { initial: 0, apply: (sum: number, { data }: Numbered) => pickySum(sum, data) },
  'selected picky': { select: ({ data }) => data, initial: 0, apply: pickySum },
  /** States grow and shrink: now they are kept, now not. */
  sizes: { initial: '', apply: (text: string, { data }: Numbered) => sized(text, data) },
  'selected sizes': { select: ({ data }) => data, initial: '', apply: sized }
}
export const DEEP_NAMES = Object.keys(DEEP)

const FOLDS: Readonly<Record<string, Fold>> = {
  ...EXACT,
  ...DEEP,
  inexact: INEXACT,
  'selected inexact': { ...INEXACT, select: ({ data }) => ({ data }) }
}

/** Keys of aggregates, and two that are none: `none` and `faulty`. */
export const SUBJECTS = ['a', 'a', 'b', 'c', 'list', 'number', 'zero', 'none', 'faulty']

function keyOfEvent({ subject }: { readonly subject: string | undefined }): Json | undefined {
  if (subject === 'none') return undefined
  if (subject === 'list') return ['a', 1]
  if (subject === 'number') return 7
  if (subject === 'zero') return '\u0000'
  if (subject === 'faulty') throw new Error('no key')
  return subject
}

export function foldProgram(name: string): FoldProgram {
  const { initial, ...fold } = FOLDS[name] ?? EXACT.sum
  const view = { name, key: keyOfEvent, initial: () => initial, ...fold } as AnyView
  const program = nativeProgram(view, systemHasher)
  if (program.type !== 'fold') throw new Error('a fold')
  return program
}

/** As one whose functions are not of this program, and get several events with each call. */
export function calledFold(name: string): FoldProgram {
  return { ...foldProgram(name), begin: undefined }
}

export function foldNames(): fc.Arbitrary<string> {
  return fc.constantFrom(...Object.keys(FOLDS))
}

/** An index, its records and what is in it. */
export class HeldFold {
  readonly events = new Map<string, IndexedEvent>()
  readonly index: ViewIndex
  readonly store: DerivedStore
  state: IndexState = { height: 0, rows: 0, faults: 0, digest: EMPTY_DIGEST }

  constructor(program: FoldProgram, store = createMemoryDerivedStore()) {
    this.index = createFoldIndex(program)
    this.store = store
  }

  async update(change: IndexChange): Promise<IndexUpdate> {
    const options = { touched: true }
    const update = await this.index.update(this.store, this.state, change, options)
    await this.store.write(update.changes)
    this.state = update.state
    for (const event of change.put) this.events.set(toHex(event.place), event)
    for (const event of change.drop) this.events.delete(toHex(event.place))
    return update
  }

  async build(events: readonly IndexedEvent[], chunk: number): Promise<void> {
    async function* chunks(): AsyncGenerator<IndexedEvent[]> {
      for (let at = 0; at < events.length; at += chunk) yield events.slice(at, at + chunk)
    }
    this.state = await this.index.build(
      chunks(),
      (changes) => this.store.write(changes),
      this.store
    )
    for (const event of events) this.events.set(toHex(event.place), event)
  }

  get inOrder(): IndexedEvent[] {
    return inOrder(this.events.values())
  }
}

/** What comes and goes in each of some updates, and places around which to ask. */
export interface FoldPlan {
  readonly updates: readonly IndexChange[]
  readonly places: readonly Uint8Array[]
}

export interface FoldPlanSizes {
  readonly subjects?: readonly string[]
  readonly events?: number
  readonly updates?: number
  /** As many as that, of both. */
  readonly isFull?: boolean
}

/** Events of a few come, come again with another recorded time, and go, as often as not where they are not. */
export function foldPlans(sizes: FoldPlanSizes = {}): fc.Arbitrary<FoldPlan> {
  const { subjects = SUBJECTS, events = 30, updates = 8, isFull = false } = sizes
  const step = fc.record({
    number: fc.nat(events - 1),
    isDrop: fc.integer({ min: 0, max: 3 }).map((chance) => chance === 0),
    recorded: fc.nat(20)
  })
  return fc
    .record({
      pool: fc.array(foldEvents(subjects), { minLength: isFull ? events : 1, maxLength: events }),
      steps: fc.array(fc.array(step, { maxLength: 12 }), {
        minLength: isFull ? updates : 0,
        maxLength: updates
      })
    })
    .map(({ pool, steps }): FoldPlan => {
      const updates = steps.map((each) => {
        const changes = new Map<string, { event: IndexedEvent; isDrop: boolean }>()
        for (const { number, isDrop, recorded } of each) {
          const event = pool[number % pool.length]
          if (event === undefined) continue
          changes.set(toHex(event.place), {
            event: { ...event, recorded: BigInt(recorded) },
            isDrop
          })
        }
        const all = [...changes.values()]
        return {
          put: inOrder(all.filter(({ isDrop }) => !isDrop).map(({ event }) => event)),
          drop: inOrder(all.filter(({ isDrop }) => isDrop).map(({ event }) => event))
        }
      })
      return { updates, places: pool.map(({ place }) => place) }
    })
}

function inOrder(events: Iterable<IndexedEvent>): IndexedEvent[] {
  return [...events].sort((a, b) => compareBytes(a.place, b.place))
}
