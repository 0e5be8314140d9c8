/** The index of a fold answers as the fold from scratch does, whatever came and went, when and how. */

import fc from 'fast-check'
import { afterEach, expect, test, vi } from 'vitest'

import { equalBytes, toHex } from '../../src/core/bytes.ts'
import type { DerivedReader, DerivedStore } from '../../src/store/derived-store.ts'
import { openDerivedStore } from '../../src/store/level-derived-store.ts'
import { decodeHead } from '../../src/views/fold-records.ts'
import { decodeRows } from '../../src/views/fold-rows.ts'
import { TAG } from '../../src/views/records.ts'
import { PLACE_BYTES } from '../../src/store/event-store.ts'
import type { IndexAnswer, IndexChange, IndexedEvent } from '../../src/views/view-index.ts'
import { createFolder } from '../conformance/stores.ts'
import { makeSmall } from '../fixtures/small-limits.ts'
import {
  ALL,
  foldAnswer,
  foldEvent,
  foldFaults,
  indexQueries,
  plainFold,
  recordsOf
} from './fold-model.ts'
import { EXACT, HeldFold, calledFold, foldNames, foldPlans, foldProgram } from './folds.ts'

vi.mock('../../src/views/limits.ts', async (importActual) => {
  const { smallable } = await import('../fixtures/small-limits.ts')
  return smallable(await importActual())
})

const RUNS = Number(process.env['INDEX_RUNS'] ?? 150)

/** Runs of three rows, states of which not all are kept, pages of two. */
const SMALL = {
  RUN_ROWS: 3,
  CHECKPOINT_BYTES: 6,
  PAGE_RECORDS: 2,
  HEADS_AT_ONCE: 2,
  HEADS_BYTES: 60,
  AGGREGATES_AT_ONCE: 2
}
/** Builds that hold, call for and write a few rows at a time. */
const SMALL_BUILDS = {
  AGGREGATE_BYTES: 50,
  BUILD_EVENTS_BYTES: 4_000,
  BUILD_COUNTED_BYTES: 3_000,
  BUILD_WRITE_BYTES: 300,
  WRITTEN_OUT_BYTES: 1
}

const folder = createFolder()
afterEach(() => folder.remove())

test('an index answers every query as the fold from scratch, whatever came and went', async () => {
  makeSmall(SMALL)
  await fc.assert(
    fc.asyncProperty(
      foldNames(),
      foldPlans(),
      fc.array(indexQueries(), { minLength: 3, maxLength: 8 }),
      async (name, { updates, places }, asked) => {
        const queries = asked.map((query) => around(query, places))
        const held = new HeldFold(foldProgram(name))
        for (const [index, update] of updates.entries()) {
          await held.update(update)
          await expectAnswers(held, name, [ALL, queries[index % queries.length] ?? ALL])
        }
        await expectAnswers(held, name, queries)
      }
    ),
    { numRuns: RUNS }
  )
})

test('an index has the records that a build of all its events makes', async () => {
  makeSmall(SMALL)
  await fc.assert(
    fc.asyncProperty(foldNames(), foldPlans(), async (name, { updates }) => {
      const [held, built] = [new HeldFold(foldProgram(name)), new HeldFold(foldProgram(name))]
      for (const update of updates) await held.update(update)
      await built.build(held.inOrder, 100)
      await expectSame(held, built)
    }),
    { numRuns: RUNS }
  )
})

test('a build that writes out what it cannot hold has the records of one that holds all', async () => {
  makeSmall(SMALL)
  await fc.assert(
    fc.asyncProperty(
      foldNames(),
      foldPlans(),
      fc.integer({ min: 1, max: 9 }),
      fc.constantFrom(200, 500, 1_000),
      async (name, { updates }, chunk, bytes) => {
        const held = new HeldFold(foldProgram(name))
        for (const update of updates) await held.update(update)
        for (const program of [foldProgram(name), calledFold(name)]) {
          makeSmall({ ...SMALL_BUILDS, BUILD_BYTES_MAX: bytes })
          const built = new HeldFold(program)
          await built.build(held.inOrder, chunk)
          await expectSame(held, built)
        }
      }
    ),
    { numRuns: RUNS }
  )
})

test('states that say not all of themselves are the same wherever updates and builds were cut', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom('inexact', 'selected inexact', 'careless', 'selected careless'),
      fc.record({ rows: fc.constantFrom(2, 4, 8), bytes: fc.constantFrom(100, 250, 500) }),
      foldPlans({ subjects: ['a'], updates: 12 }),
      fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 1 }),
      async (name, { rows, bytes }, { updates }, cuts) => {
        makeSmall({ ...SMALL, RUN_ROWS: rows })
        const held = new HeldFold(foldProgram(name))
        for (const update of updates) await held.update(update)
        const [events, parts] = [held.inOrder, new HeldFold(foldProgram(name))]
        for (let [at, turn] = [0, 0]; at < events.length; turn += 1) {
          const end = at + (cuts[turn % cuts.length] ?? 1)
          await parts.update({ put: events.slice(at, end), drop: [] })
          at = end
        }
        await expectSame(parts, held)
        makeSmall({ ...SMALL_BUILDS, BUILD_BYTES_MAX: bytes, BUILD_EVENTS_BYTES: 500 })
        for (const program of [foldProgram(name), calledFold(name)]) {
          const built = new HeldFold(program)
          await built.build(events, cuts[0] ?? 1)
          await expectSame(built, held)
        }
      }
    ),
    { numRuns: 3 * RUNS }
  )
})

test('what functions failed for is noted and counted exactly', async () => {
  makeSmall(SMALL)
  await fc.assert(
    fc.asyncProperty(foldNames(), foldPlans(), fc.nat(5), async (name, { updates }, limit) => {
      const program = foldProgram(name)
      const held = new HeldFold(program)
      for (const update of updates) await held.update(update)
      const expected = foldFaults(program, held.inOrder)
      expect(held.state.faults).toBe(expected.length)
      const noted = async (limit: number): Promise<string[]> => {
        const faults = await held.index.faults(held.store, limit)
        return faults.map(({ place, fault }) => `${toHex(place)} ${fault}`)
      }
      expect(await noted(1_000)).toEqual(expected.toReversed())
      expect(await noted(limit)).toEqual(expected.toReversed().slice(0, limit))
    }),
    { numRuns: RUNS }
  )
})

test('an index names the keys whose answers are others now, by which events, and whether they came late', async () => {
  makeSmall(SMALL)
  await fc.assert(
    fc.asyncProperty(foldNames(), foldPlans(), async (name, { updates }) => {
      const held = new HeldFold(foldProgram(name))
      for (const update of updates) {
        const before = await statesOf(held)
        const { touched } = await held.update(update)
        const after = await statesOf(held)
        const keys = [...new Set([...before.keys(), ...after.keys()])].sort()
        const changed = keys.filter((key) => before.get(key)?.text !== after.get(key)?.text)
        expect(touched.map(({ keyBytes }) => toHex(keyBytes))).toEqual(changed)
        for (const { keyBytes, causes, late } of touched) {
          const [old, now] = [before.get(toHex(keyBytes)), after.get(toHex(keyBytes))]
          const added = placesBut(now?.places, old?.places)
          const gone = placesBut(old?.places, now?.places)
          const by = update.drop.filter(({ place }) => gone.includes(toHex(place)))
          const expected = [...added, ...by.map((drop) => toHex((drop.by ?? drop).place))]
          expect(causes.map(({ place }) => toHex(place))).toEqual([...new Set(expected)].sort())
          const last = old?.places.at(-1) ?? ''
          expect(late).toBe(gone.length > 0 || added.some((place) => place <= last))
        }
      }
    }),
    { numRuns: RUNS }
  )
})

test('an index on disk answers as the fold from scratch', async () => {
  makeSmall(SMALL)
  await fc.assert(
    fc.asyncProperty(
      foldNames(),
      foldPlans(),
      fc.array(indexQueries(), { minLength: 3, maxLength: 6 }),
      async (name, { updates, places }, asked) => {
        const queries = asked.map((query) => around(query, places))
        const store = await openDerivedStore(await folder.next())
        const held = new HeldFold(foldProgram(name), store)
        const [first, ...others] = updates
        await held.build(withoutDrops(first), 4)
        for (const update of others) await held.update(update)
        await expectAnswers(held, name, [ALL, ...queries])
        await store.close()
      }
    ),
    { numRuns: Math.ceil(RUNS / 20) }
  )
})

test('a thousand rows in runs as long as they are answer as the fold from scratch', async () => {
  const events = Array.from({ length: 1_000 }, (_, number) => {
    return foldEvent(number * 3, 0, BigInt(number * 7919) % 1_000n, {
      subject: number % 4 === 0 ? 'b' : 'a',
      data: (number * 31) % 12
    })
  })
  const late = [150, 151, 1_502, 2_998, 5_000].map((timeMs) => {
    return foldEvent(timeMs, 1, 2_000n, { subject: 'a', data: 2 })
  })
  for (const name of ['sum', 'selected sum', 'window', 'list', 'careless', 'inexact']) {
    const held = new HeldFold(foldProgram(name))
    await held.build(events, 128)
    for (const event of late) await held.update({ put: [event], drop: [] })
    await held.update({ put: [], drop: events.slice(300, 320) })
    const before = late[2]?.place
    const queries = [ALL, { ...ALL, before }, { ...ALL, recordedBy: 900n }]
    await expectAnswers(held, name, [...queries, { ...ALL, before, recordedBy: 700n }])
    const rebuilt = new HeldFold(foldProgram(name))
    await rebuilt.build(held.inOrder, 77)
    await expectSame(held, rebuilt)
  }
})

test('a late event reads and writes no more than a few runs where states come out as they were', async () => {
  const events = Array.from({ length: 3_000 }, (_, number) => {
    return foldEvent(number * 2, 0, 1n, { subject: 'a', data: number % 12 })
  })
  const costs: Record<string, { rows: number; writes: number }> = {}
  for (const name of ['window', 'sum']) {
    const held = new HeldFold(foldProgram(name))
    await held.build(events, 1_000)
    const put = [foldEvent(601, 0, 2n, { subject: 'a', data: 5 })]
    const counting = countingReader(held.store)
    const update = await held.index.update(counting.reader, held.state, { put, drop: [] })
    costs[name] = { rows: counting.rowsBytes(), writes: update.changes.length }
    expect(update.touched).toEqual([])
  }
  const all = events.reduce((sum, { bytes }) => sum + bytes.length, 0)
  expect(costs['window']?.rows).toBeLessThan(all / 3)
  expect(costs['window']?.writes).toBeLessThan(8)
  expect(costs['sum']?.rows).toBeGreaterThan(all / 2)
})

test('an event that comes last reads no rows, and writes two records', async () => {
  const events = Array.from({ length: 1_000 }, (_, number) => {
    return foldEvent(number, 0, 1n, { subject: 'a', data: number % 12 })
  })
  const held = new HeldFold(foldProgram('sum'))
  await held.build(events, 1_000)
  const writes: number[] = []
  for (let number = 0; number < 10; number += 1) {
    const put = [foldEvent(2_000 + number, 0, 1n, { subject: 'a', data: 5 })]
    const counting = countingReader(held.store)
    const update = await held.index.update(counting.reader, held.state, { put, drop: [] })
    if (update.changes.length === 2) expect(counting.rowsBytes()).toBe(0)
    writes.push(update.changes.length)
    await held.update({ put, drop: [] })
  }
  expect(writes.filter((count) => count === 2).length).toBeGreaterThan(5)
})

/** The same, before an event that there is, as often as not. */
function around(query: typeof ALL, places: readonly Uint8Array[]): typeof ALL {
  const place = places[query.causes % places.length]
  return query.before === undefined || query.descending ? query : { ...query, before: place }
}

async function expectAnswers(
  held: HeldFold,
  name: string,
  queries: readonly (typeof ALL)[]
): Promise<void> {
  const program = foldProgram(name)
  for (const query of queries) {
    const answer = await held.index.query(held.store, held.state, query)
    expect(plain(answer)).toEqual(plain(foldAnswer(program, held.inOrder, query)))
  }
  const exact = Object.entries(EXACT).find(([exact]) => exact === name)?.[1]
  if (exact === undefined) return
  const { rows } = await held.index.query(held.store, held.state, ALL)
  const expected = plainFold(program, held.inOrder, exact)
  expect(rows.map(({ key, value }) => [key, value])).toEqual(expected)
}

async function expectSame(held: HeldFold, other: HeldFold): Promise<void> {
  expect(await recordsOf(other.store)).toEqual(await recordsOf(held.store))
  expect(other.state).toEqual(held.state)
}

/** With causes as text, for a comparison. */
function plain({ rows, faults }: IndexAnswer): unknown {
  return { rows: rows.map((row) => ({ ...row, causes: row.causes.map(toHex) })), faults }
}

interface Stated {
  readonly text: string
  readonly places: readonly string[]
}

/** By key, from the records. */
async function statesOf({ store }: HeldFold): Promise<Map<string, Stated>> {
  const records = await store.scan({
    from: Uint8Array.of(TAG.foldRow),
    to: Uint8Array.of(TAG.foldRow + 1)
  })
  const placesIn = (aggregate: Uint8Array): string[] =>
    records
      .filter(({ key }) => equalBytes(key.subarray(1, key.length - PLACE_BYTES), aggregate))
      .flatMap(({ value }) => decodeRows(value).all())
      .map(({ place }) => toHex(place))
  const heads = await store.scan({
    from: Uint8Array.of(TAG.foldHead),
    to: Uint8Array.of(TAG.foldHead + 1)
  })
  return new Map(
    heads.map(({ key, value }) => {
      const { text } = decodeHead(value)
      return [toHex(key.subarray(1)), { text, places: placesIn(key.subarray(1)) }]
    })
  )
}

function placesBut(places: readonly string[] = [], others: readonly string[] = []): string[] {
  return places.filter((place) => !others.includes(place))
}

function withoutDrops(change: IndexChange | undefined): readonly IndexedEvent[] {
  return change?.put ?? []
}

function countingReader(store: DerivedStore): { reader: DerivedReader; rowsBytes: () => number } {
  let bytes = 0
  const reader: DerivedReader = {
    get: (key) => store.get(key),
    chunks: (range) => store.chunks(range),
    scan: async (range) => {
      const records = await store.scan(range)
      for (const { key, value } of records) if (key[0] === TAG.foldRow) bytes += value.length
      return records
    }
  }
  return { reader, rowsBytes: () => bytes }
}
