/**
 * The law of a map's index: in whatever order events come and go, however they are cut into updates, it
 * answers what one pass over all events that are there says.
 */

import fc from 'fast-check'
import { afterEach, describe, expect, test, vi } from 'vitest'

import { present } from '../../src/core/assert.ts'
import { compareBytes, toHex } from '../../src/core/bytes.ts'
import { TREE_LEVELS_MAX } from '../../src/core/limits.ts'
import { compareViewKeys } from '../../src/core/views/collation.ts'
import type { DerivedStore } from '../../src/store/derived-store.ts'
import { openDerivedStore } from '../../src/store/level-derived-store.ts'
import { createMemoryDerivedStore } from '../../src/store/memory-derived-store.ts'
import { createMapIndex } from '../../src/views/map-index.ts'
import type { MapProgram } from '../../src/views/program.ts'
import { TAG } from '../../src/views/records.ts'
import type {
  DroppedEvent,
  IndexState,
  IndexUpdate,
  IndexedEvent,
  ViewIndex
} from '../../src/views/view-index.ts'
import { createFolder } from '../conformance/stores.ts'
import { makeSmall } from '../fixtures/small-limits.ts'
import { modelAnswer, modelRows } from './map-model.ts'
import type { Asked, ModelRow } from './map-model.ts'
import {
  REDUCERS,
  SMALL_VALUE_BYTES,
  indexQuery,
  manyEvents,
  placeText,
  plannedEvents,
  planProgram,
  questions
} from './map-plans.ts'

vi.mock(import('../../src/core/limits.ts'), async (load) => {
  const { smallable } = await import('../fixtures/small-limits.ts')
  return smallable(await load())
})
vi.mock(import('../../src/views/limits.ts'), async (load) => {
  const { smallable } = await import('../fixtures/small-limits.ts')
  return smallable(await load())
})

const RUNS = Number(process.env['INDEX_RUNS'] ?? 60)
/** Rows of an event that can be told apart. */
const EVENT_ROWS = 65_536
const LIMITS = { valueBytes: SMALL_VALUE_BYTES, rows: EVENT_ROWS }
/** Runs of two rows and chunks of three reach with few rows what takes thousands else. */
const SIZES = {
  'as it is': {},
  'with small runs and chunks': { RUN_BITS: 1, QUERY_CHUNK: 3, BUILD_BATCH: 5 },
  'with small leaves, sorted in parts': {
    RUN_BITS: 2,
    LEAF_BYTES: 150,
    GATHERED_BYTES_MAX: 4_000,
    SORT_BYTES_MAX: 300,
    SORT_RECORD_BYTES: 100,
    STRETCHES_AT_ONCE: 1,
    STRETCHES_MAX: 2
  },
  'with few runs in memory': {
    RUN_BITS: 1,
    QUERY_CHUNK: 3,
    UPPER_RUNS_MAX: 3,
    RUNS_READ_AT_ONCE: 2
  }
}

const folder = createFolder()
afterEach(() => folder.remove())

interface Step {
  readonly number: number
  readonly drop: boolean
  /** Added to when it was recorded. */
  readonly later: number
}

interface Plan {
  readonly events: readonly IndexedEvent[]
  readonly updates: readonly (readonly Step[])[]
  readonly asked: readonly Asked[]
}

const plans: fc.Arbitrary<Plan> = plannedEvents(30).chain((events) => {
  const step = fc.record({
    number: fc.nat(events.length - 1),
    drop: fc.boolean(),
    later: fc.integer({ min: -3, max: 2 })
  })
  const puts = fc.array(fc.oneof({ weight: 3, arbitrary: step.map(kept) }, step), { maxLength: 12 })
  return fc.record({
    events: fc.constant(events),
    updates: fc.array(puts, { maxLength: 8 }),
    asked: fc.array(questions(events), { minLength: 4, maxLength: 10 })
  })
})

function kept(step: Step): Step {
  return { ...step, drop: false }
}

/** An index beside the plain set of its events. */
class Pair {
  readonly index: ViewIndex
  readonly store: DerivedStore
  readonly program: MapProgram
  readonly held = new Map<string, IndexedEvent>()
  state: IndexState | undefined

  constructor(store: DerivedStore, program: MapProgram) {
    this.store = store
    this.program = program
    this.index = createMapIndex(program)
  }

  async build(events: readonly IndexedEvent[], chunk: number): Promise<void> {
    this.held.clear()
    for (const event of events) this.held.set(placeText(event), event)
    const sorted = [...this.held.values()].sort((a, b) => compareBytes(a.place, b.place))
    const write = (changes: Parameters<DerivedStore['write']>[0]): Promise<void> =>
      this.store.write(changes)
    this.state = await this.index.build(inChunks(sorted, chunk), write, this.store)
  }

  async update(put: IndexedEvent[], drop: DroppedEvent[]): Promise<IndexUpdate> {
    const byPlace = (a: IndexedEvent, b: IndexedEvent): number => compareBytes(a.place, b.place)
    const change = { put: put.sort(byPlace), drop: drop.sort(byPlace) }
    const state = present(this.state, 'it was built')
    const update = await this.index.update(this.store, state, change, { touched: true })
    await this.store.write(update.changes)
    this.state = update.state
    for (const event of put) this.held.set(placeText(event), event)
    for (const event of drop) this.held.delete(placeText(event))
    return update
  }

  rows(): readonly ModelRow[] {
    return this.model().rows
  }

  model(): ReturnType<typeof modelRows> {
    return modelRows(this.program, [...this.held.values()], LIMITS)
  }

  async expectModel(): Promise<void> {
    const { rows, faults } = this.model()
    const { rows: count, faults: noted } = present(this.state, 'it was built')
    expect({ count, noted }).toEqual({ count: rows.length, noted: faults })
    const records = await this.index.faults(this.store, 10_000)
    expect(records).toHaveLength(faults)
  }

  async expectAnswer(asked: Asked, causes: number): Promise<void> {
    const state = present(this.state, 'it was built')
    const answer = await this.index.query(this.store, state, indexQuery(asked, causes))
    const expected = modelAnswer(this.rows(), asked, this.program.reducer)
    const { totalRows, offset, faults } = answer
    expect({
      rows: answer.rows.map(({ key, value, place }) => {
        return { key, value, place: place && toHex(place) }
      }),
      totalRows,
      offset,
      faults
    }).toEqual({
      rows: expected.rows,
      totalRows: expected.totalRows,
      offset: expected.offset,
      faults: expected.faults
    })
    for (const [index, row] of answer.rows.entries()) {
      const all = present(expected.causes[index], 'one list a row')
      const named = row.causes.map(toHex)
      expect(named).toHaveLength(Math.min(all.length, causes === 0 ? 0 : causes + 1))
      expect(named).toEqual([...new Set(named)].sort())
      expect(all).toEqual(expect.arrayContaining(named))
      if (asked.reduce === 'keys') expect(named).toEqual(all.slice(0, named.length))
    }
  }

  /** All that is kept but for what a tree has above its highest run that is not everything. */
  async dump(): Promise<string[]> {
    const records = await this.store.scan({ from: Uint8Array.of(0), to: Uint8Array.of(255) })
    const highest = records.filter(({ key }) => key.length > 1 && (key[0] ?? 0) < TREE_LEVELS_MAX)
    const levels = 1 + Math.max(0, ...highest.map(({ key }) => key[0] ?? 0))
    return records
      .filter(({ key }) => key[0] === TAG.fault || (key[0] ?? 0) <= levels)
      .map(({ key, value }) => `${toHex(key)} ${toHex(value)}`)
  }
}

async function* inChunks<T>(all: readonly T[], size: number): AsyncGenerator<readonly T[]> {
  for (let at = 0; at < all.length; at += size) yield all.slice(at, at + size)
}

async function applySteps(pair: Pair, events: readonly IndexedEvent[], steps: readonly Step[]) {
  const [put, drop] = [new Map<string, IndexedEvent>(), new Map<string, IndexedEvent>()]
  for (const { number, drop: isDrop, later } of steps) {
    const planned = present(events[number], 'an event')
    const name = placeText(planned)
    put.delete(name)
    drop.delete(name)
    const recorded = BigInt(Math.max(0, Number(planned.recorded) + later))
    const target = isDrop ? drop : put
    target.set(name, { ...planned, recorded })
  }
  return pair.update([...put.values()], [...drop.values()])
}

describe.each(Object.entries(SIZES))('an index %s', (_sizes, sizes) => {
  test.each(Object.keys(REDUCERS))(
    'of a map reduced by %s answers every question as all rows do, after any updates',
    async (name) => {
      makeSmall({ ...sizes, ROW_VALUE_BYTES_MAX: SMALL_VALUE_BYTES })
      await fc.assert(
        fc.asyncProperty(plans, fc.nat(12), fc.nat(3), async (plan, built, causes) => {
          const { events, updates, asked } = plan
          const pair = new Pair(createMemoryDerivedStore(), planProgram(REDUCERS[name]))
          await pair.build(events.slice(0, built), 4)
          await pair.expectModel()
          for (const steps of updates) {
            await applySteps(pair, events, steps)
            await pair.expectModel()
          }
          for (const each of asked) await pair.expectAnswer(each, causes)
        }),
        { numRuns: RUNS }
      )
    }
  )

  test('is the same, record by record, as one that is built of what is left', async () => {
    makeSmall({ ...sizes, ROW_VALUE_BYTES_MAX: SMALL_VALUE_BYTES })
    await fc.assert(
      fc.asyncProperty(plans, fc.constantFrom('none', 'joined', '_sum'), async (plan, name) => {
        const pair = new Pair(createMemoryDerivedStore(), planProgram(REDUCERS[name]))
        await pair.build([], 1)
        for (const steps of plan.updates) await applySteps(pair, plan.events, steps)
        const anew = new Pair(createMemoryDerivedStore(), planProgram(REDUCERS[name]))
        await anew.build([...pair.held.values()], 7)
        expect(await pair.dump()).toEqual(await anew.dump())
        const { height: _ours, ...state } = present(pair.state, 'it was built')
        const { height: _other, ...other } = present(anew.state, 'it was built')
        expect(state).toEqual(other)
      }),
      { numRuns: RUNS }
    )
  })

  test('names exactly the keys whose rows came or went, by which events, and whether late', async () => {
    makeSmall({ ...sizes, ROW_VALUE_BYTES_MAX: SMALL_VALUE_BYTES })
    await fc.assert(
      fc.asyncProperty(plans, async ({ events, updates }) => {
        const pair = new Pair(createMemoryDerivedStore(), planProgram(REDUCERS['_count']))
        await pair.build([], 1)
        for (const steps of updates) {
          const before = pair.rows()
          const { touched } = await applySteps(pair, events, steps)
          const shown = touched.map(({ key, causes, late }) => {
            return { key, causes: causes.map(placeText), late }
          })
          expect(shown).toEqual(touchedIn(before, pair.rows()))
        }
      }),
      { numRuns: RUNS }
    )
  })
})

/** What came and went in each key. */
function touchedIn(before: readonly ModelRow[], after: readonly ModelRow[]): unknown[] {
  const keys = [...before, ...after].map(({ key }) => key).sort(compareViewKeys)
  const distinct = keys.filter((key, at) => {
    return at === 0 || compareViewKeys(key, present(keys[at - 1], 'one before')) !== 0
  })
  return distinct.flatMap((key) => {
    const places = (rows: readonly ModelRow[]): string[] => {
      const ofKey = rows.filter((row) => compareViewKeys(row.key, key) === 0)
      return [...new Set(ofKey.map(({ place }) => toHex(place)))]
    }
    const [held, now] = [places(before), places(after)]
    const came = now.filter((place) => !held.includes(place))
    const went = held.filter((place) => !now.includes(place))
    if (came.length + went.length === 0) return []
    const isLate = went.length > 0 || came.some((place) => held.some((each) => each > place))
    return [{ key, causes: [...came, ...went].sort(), late: isLate }]
  })
}

test.each(['none', 'joined', '_sum', 'touchy'])(
  'large groups are reduced by %s from whole runs, to the same',
  async (name) => {
    makeSmall({ ROW_VALUE_BYTES_MAX: SMALL_VALUE_BYTES })
    const many = manyEvents(1_500).chain((events) =>
      fc.tuple(fc.constant(events), fc.array(questions(events), { minLength: 8, maxLength: 8 }))
    )
    await fc.assert(
      fc.asyncProperty(many, fc.integer({ min: 0, max: 1_500 }), async ([events, asked], built) => {
        const pair = new Pair(createMemoryDerivedStore(), planProgram(REDUCERS[name]))
        await pair.build(events.slice(0, built), 300)
        await pair.update(events.slice(built), events.slice(0, built >> 1))
        await pair.expectModel()
        for (const each of asked) await pair.expectAnswer(each, 2)
      }),
      { numRuns: Math.ceil(RUNS / 12) }
    )
  }
)

test('an event with more rows than can be told apart has none, and is counted as a fault', async () => {
  for (const count of [EVENT_ROWS, EVENT_ROWS + 1]) {
    const [event] = present(fc.sample(manyEvents(1), 1)[0], 'a sample')
    const rows = Array.from({ length: count }, () => ({ key: 'a', value: 1 }))
    const program = { ...planProgram(REDUCERS['_count']), map: () => [{ rows }] }
    const pair = new Pair(createMemoryDerivedStore(), program)
    await pair.build([present(event, 'an event')], 1)
    await pair.expectModel()
  }
})

test('an index on disk answers as all rows do', async () => {
  makeSmall({ RUN_BITS: 1, QUERY_CHUNK: 3, ROW_VALUE_BYTES_MAX: SMALL_VALUE_BYTES })
  await fc.assert(
    fc.asyncProperty(plans, fc.constantFrom('none', 'joined'), async (plan, name) => {
      const store = await openDerivedStore(await folder.next())
      try {
        const pair = new Pair(store, planProgram(REDUCERS[name]))
        await pair.build(plan.events.slice(0, 8), 4)
        for (const steps of plan.updates) await applySteps(pair, plan.events, steps)
        for (const each of plan.asked) await pair.expectAnswer(each, 2)
      } finally {
        await store.close()
      }
    }),
    { numRuns: Math.ceil(RUNS / 6) }
  )
})
