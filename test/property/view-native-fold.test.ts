/** Folds of functions: what they come to does not depend on where they stop, nor on what they do to what they have. */

import fc from 'fast-check'
import { expect, test, vi } from 'vitest'

import type { Json } from '../../src/core/json.ts'
import type { FoldStep, ViewEvent } from '../../src/views/program.ts'
import { makeSmall } from '../fixtures/small-limits.ts'
import { eventWith, foldOf } from './native-views.ts'

vi.mock('../../src/views/limits.ts', async (importActual) => {
  const { smallable } = await import('../fixtures/small-limits.ts')
  return smallable(await importActual())
})

test('a state beyond its bytes is a fault, and the state before stays', () => {
  makeSmall({ VALUE_BYTES_MAX: 100 })
  const fold = foldOf({
    initial: () => '',
    apply: (state: string, { data }: ViewEvent) => state + (data as string),
    final: (state: string) => state.repeat(2)
  })
  const events = ['a'.repeat(90), 'b'.repeat(9), 'c'.repeat(8), 'd'].map((data) => eventWith(data))
  const { state, faults } = fold.apply(fold.initial, events)
  expect(state).toBe(JSON.stringify('a'.repeat(90) + 'c'.repeat(8)))
  expect(faults).toEqual([
    { index: 1, fault: 'larger than it may be' },
    { index: 3, fault: 'larger than it may be' }
  ])
  expect(fold.result(state)).toEqual({ fault: 'larger than it may be' })
  expect(() => foldOf({ initial: () => 'a'.repeat(99), apply: () => 1 })).toThrow(/larger/)
})

interface Kept {
  readonly data?: Json[]
}

/** Functions that do what they may not, and what they may. */
const APPLIES: Readonly<Record<string, (state: never, event: ViewEvent) => unknown>> = {
  copies: (state: number[], { data }) => [...state, data].slice(-3),
  changes: (state: number[], { data }) => {
    state.push(Number(data))
    return state
  },
  'changes, then throws': (state: number[], { data }) => {
    state.push(Number(data))
    if (Number(data) % 3 === 0) throw new Error(`not behind ${state.length}`)
    return state
  },
  'keeps what it was given': (state: Kept, event) => {
    const lines = state.data ?? (event.data as Json[])
    lines.push(lines.length)
    if (lines.length % 3 === 0) throw new Error(`not ${lines.length}`)
    return lines.length > 8 ? {} : { data: lines }
  },
  'is not always JSON': (state: Json[], { data }) => {
    const wrong = [undefined, -0, NaN, [state, state], { a: undefined }, new Date(0), 1n]
    const last = wrong[Number(data)]
    if (data === 9) return [...state.flat(), Object.keys(state[0] ?? {}).length]
    return data === 8 ? undefined : [last, ...state.slice(0, 2), Object.is(state[0], -0)]
  }
}

test('to go on from a state is not to have stopped, whatever functions do', () => {
  fc.assert(
    fc.property(
      fc.constantFrom(...Object.keys(APPLIES)),
      fc.array(fc.nat(9), { maxLength: 12 }),
      fc.nat(12),
      (name, numbers, cut) => {
        const isList = name === 'keeps what it was given'
        const initial = (): Json => (isList ? {} : [])
        const fold = foldOf({ initial, apply: APPLIES[name] })
        const events = (from = 0, to = numbers.length): ViewEvent[] => {
          return numbers.slice(from, to).map((number) => eventWith(isList ? [number] : number))
        }
        const whole = fold.apply(fold.initial, events())
        const first = fold.apply(fold.initial, events(0, cut))
        const second = fold.apply(first.state, events(cut))
        expect(JSON.parse(whole.state)).toBeDefined()
        const faults = second.faults.map(({ index, fault }) => ({ index: index + cut, fault }))
        expect({ ...second, faults: [...first.faults, ...faults] }).toEqual(whole)
      }
    ),
    { numRuns: 2_000 }
  )
})

test('states that are exactly JSON are those of a loop without the events that throw', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(9)), (numbers) => {
      for (const name of ['copies', 'changes', 'changes, then throws']) {
        const apply = APPLIES[name] as (state: Json, event: ViewEvent) => Json
        let [state, faults]: [Json, number] = [[], 0]
        for (const number of numbers) {
          try {
            state = apply(structuredClone(state), eventWith(number))
          } catch {
            faults += 1
          }
        }
        const step = foldOf({ initial: () => [], apply }).apply(
          '[]',
          numbers.map((number) => eventWith(number))
        )
        expect(JSON.parse(step.state)).toEqual(state)
        expect(step.faults).toHaveLength(faults)
      }
    })
  )
})

test('a state that its text does not say all of is made JSON event by event', () => {
  const apply = (state: { a?: Json }, { data }: ViewEvent): unknown => {
    return data === 1 ? { a: undefined } : { a: Object.keys(state).length, at: new Date(0) }
  }
  const fold = foldOf({ initial: () => ({}), apply })
  const at = '1970-01-01T00:00:00.000Z'
  expect(fold.apply('{}', [eventWith(1)])).toEqual<FoldStep>({
    state: '{}',
    faults: []
  })
  expect(fold.apply('{}', [eventWith(1), eventWith(2)]).state).toBe(JSON.stringify({ a: 0, at }))
})

test('members beside the elements of a list are not there for the next event, however long it is', () => {
  const apply = (state: number[] & { total?: number }, { data }: ViewEvent): number[] => {
    state.push(Number(data))
    state.total = (state.total ?? 0) + Number(data)
    state[0] = state.total
    return state
  }
  const events = Array.from({ length: 120 }, () => eventWith(1))
  const { state } = foldOf({ initial: () => [], apply }).apply('[]', events)
  expect((JSON.parse(state) as number[])[0]).toBe(1)
})

test('a state that is made JSON event by event is what each event makes of the JSON before', () => {
  const apply = (state: Kept, { data }: ViewEvent): unknown => {
    const lines = state.data ?? (data as Json[])
    lines.push(lines.length)
    return { data: lines, none: undefined }
  }
  fc.assert(
    fc.property(fc.array(fc.nat(9), { minLength: 1 }), (numbers) => {
      let state: Kept = {}
      for (const number of numbers) {
        state = JSON.parse(JSON.stringify(apply(state, eventWith([number])))) as Kept
      }
      const events = numbers.map((number) => eventWith([number]))
      const step = foldOf({ initial: () => ({}), apply }).apply('{}', events)
      expect(JSON.parse(step.state)).toEqual(state)
    })
  )
})

test.each([
  ['an undefined member', { a: undefined }],
  ['-0', [-0]],
  ['an object twice', ((a) => [a, a])({})],
  ['a hole', Object.assign([], { length: 1 })],
  ['a member of a list', Object.assign([], { a: 1 })],
  ['a getter', Object.defineProperty({}, 'a', { get: () => 1, enumerable: true })],
  ['a hidden member', Object.defineProperty({}, 'a', { value: 1 })],
  ['a symbol', { [Symbol('a')]: 1 }],
  ['an object without a prototype', Object.create(null)],
  ['a date', new Date(0)]
])('a state with %s is made JSON, and the next event has that', (_, wrong) => {
  const json = JSON.stringify(wrong)
  const seen: unknown[] = []
  const apply = (state: unknown, { data }: ViewEvent): unknown => {
    if (data === 2) seen.push(state)
    return data === 1 ? wrong : 0
  }
  const fold = foldOf({ initial: () => 0, apply })
  expect(fold.apply('0', [eventWith(1)])).toEqual({ state: json, faults: [] })
  fold.apply('0', [eventWith(1), eventWith(2)])
  expect(seen.at(-1)).toStrictEqual(JSON.parse(json))
  const session = fold.begin?.('0')
  expect(session?.add(eventWith(1))).toBe(false)
})

test('functions that return no state are told so, and the state before stays', () => {
  const fold = foldOf({
    initial: () => ({ count: 0 }),
    apply: (state: { count: number }, { data }: ViewEvent) => {
      state.count += 1
      return data === 2 ? undefined : state
    }
  })
  const { state, faults } = fold.apply(
    fold.initial,
    [1, 2, 3].map((data) => eventWith(data))
  )
  expect(state).toBe('{"count":2}')
  expect(faults).toEqual([{ index: 1, fault: 'returned nothing: it must return the state' }])
})
