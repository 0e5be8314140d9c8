/** Views read no more than they need; and nothing more for a question that nobody waits for any more. */

import fc from 'fast-check'
import { expect, test, vi } from 'vitest'

import type { DerivedReader } from '../../src/store/derived-store.ts'
import { createMemoryDerivedStore } from '../../src/store/memory-derived-store.ts'
import { createMapIndex } from '../../src/views/map-index.ts'
import type { ViewEvent } from '../../src/views/program.ts'
import { readUnlessAborted } from '../../src/views/unless-aborted.ts'
import { makeSmall } from '../fixtures/small-limits.ts'
import { foldEvent } from '../property/fold-model.ts'
import type { Asked } from '../property/map-model.ts'
import { REDUCERS, indexQuery, manyEvents, planProgram, questions } from '../property/map-plans.ts'

import { mapOf } from '../property/native-views.ts'

vi.mock(import('../../src/core/limits.ts'), async (load) => {
  const { smallable } = await import('../fixtures/small-limits.ts')
  return smallable(await load())
})

class GivenUp extends Error {}

const WHOLE: Omit<Asked, 'ranges'> = {
  before: undefined,
  recordedBy: undefined,
  descending: false,
  skip: 0,
  limit: Infinity,
  reduce: 'all'
}

/** Counts reads, and those of ranges among them; gives up in the midst of one. */
function counting(reader: DerivedReader, atRead: number) {
  const abort = new AbortController()
  const reads = { after: 0, all: 0, searches: 0 }
  const read = (): void => {
    if (abort.signal.aborted) reads.after += 1
    reads.all += 1
    if (reads.all === atRead) abort.abort(new GivenUp())
  }
  const counted: DerivedReader = {
    get: (key) => {
      read()
      return reader.get(key)
    },
    scan: (range) => {
      read()
      reads.searches += 1
      return reader.scan(range)
    },
    async *chunks(range) {
      for await (const records of reader.chunks(range)) {
        read()
        yield records
      }
    }
  }
  return { counted, reads, signal: abort.signal }
}

test('a question that is given up in the midst of a read reads nothing more, and says why it ends', async () => {
  makeSmall({ RUN_BITS: 1, LEAF_BYTES: 100 })
  let givenUp = 0
  const plan = manyEvents(60).chain((events) =>
    fc.tuple(fc.constant(events), questions(events), fc.integer({ min: 1, max: 6 }))
  )
  await fc.assert(
    fc.asyncProperty(plan, async ([events, asked, atRead]) => {
      const store = createMemoryDerivedStore()
      const index = createMapIndex(planProgram(REDUCERS['_sum']))
      async function* all() {
        yield events
      }
      const state = await index.build(all(), (changes) => store.write(changes), store)
      const query = indexQuery(asked, 0)
      const whole = await index.query(store, state, query)
      const { counted, reads, signal } = counting(store, atRead)
      const answer = await index
        .query(readUnlessAborted(counted, signal), state, query)
        .catch((error: unknown) => error)
      expect(reads.after).toBe(0)
      if (answer instanceof GivenUp) givenUp += 1
      else expect(answer).toEqual(whole)
    })
  )
  expect(givenUp).toBeGreaterThan(10)
})

/** A sum over twenty thousand rows. @param keyOf a number of an event has this view key */
async function largeMap(keyOf: (number: number) => number) {
  const events = Array.from({ length: 20_000 }, (_, number) => {
    return foldEvent(number, 0, 1n, { subject: 'a', data: keyOf(number) })
  })
  const store = createMemoryDerivedStore()
  const map = ({ data }: ViewEvent, emit: (key: unknown, value: number) => void): void => {
    emit(data, 1)
  }
  const index = createMapIndex(mapOf({ map, reduce: '_sum' }))
  async function* all() {
    yield events
  }
  const state = await index.build(all(), (changes) => store.write(changes), store)
  expect(state.height).toBeGreaterThanOrEqual(3)
  return { store, index, state }
}

const eachUnderItsOwn = (number: number): number => (number * 7_919) % 20_000

test('a sum over any range costs a map three searches, and of its rows the two leaves at the ends', async () => {
  const { store, index, state } = await largeMap(eachUnderItsOwn)
  const { counted, reads } = counting(store, Infinity)
  const made: { readonly all: number; readonly searches: number }[] = []
  for (let number = 0; number < 60; number += 1) {
    const [from, to] = [number * 100, 12_000 + number * 100]
    const range = { from: { key: from, inclusive: true }, to: { key: to, inclusive: false } }
    const query = indexQuery({ ...WHOLE, ranges: [range] }, 0)
    Object.assign(reads, { all: 0, searches: 0 })
    const answer = await index.query(number === 0 ? store : counted, state, query)
    expect(answer.rows.map(({ value }) => value)).toEqual([12_000])
    if (number > 0) made.push({ ...reads })
  }
  // A run of many more rows than most has several leaves, which are searched for.
  const usual = made.filter(({ searches, all }) => searches <= 3 && all <= 5)
  expect(usual.length).toBeGreaterThan(50)
})

test('the first of many groups is had without the others', async () => {
  const { store, index, state } = await largeMap((number) => number % 40)
  const query = { ...indexQuery({ ...WHOLE, ranges: [{}] }, 0), reduce: 'keys' as const }
  await index.query(store, state, { ...query, limit: 1 })
  for (const [limit, readsMax] of [
    [1, 8],
    [10, 60]
  ] as const) {
    const { counted, reads } = counting(store, Infinity)
    const { rows } = await index.query(counted, state, { ...query, limit })
    expect(rows.map(({ value }) => value)).toEqual(Array.from({ length: limit }, () => 500))
    expect(reads.all).toBeLessThan(readsMax)
  }
})

test('an event that comes anywhere costs a map two reads', async () => {
  const { store, index, ...built } = await largeMap(eachUnderItsOwn)
  let { state } = built
  const reads: number[] = []
  for (let number = 0; number < 60; number += 1) {
    const { counted, reads: made } = counting(store, Infinity)
    const late = foldEvent(number * 331, 1, 2n, { subject: 'a', data: number * 333 })
    const update = await index.update(counted, state, { put: [late], drop: [] })
    await store.write(update.changes)
    state = update.state
    if (number > 0) reads.push(made.all)
  }
  expect(reads).toEqual(reads.map(() => 2))
})

test('who asks at the same time as one that gives up is answered', async () => {
  makeSmall({ RUN_BITS: 1 })
  const [sample] = fc.sample(manyEvents(60), 1)
  const events = sample ?? []
  const store = createMemoryDerivedStore()
  const index = createMapIndex(planProgram(REDUCERS['_count']))
  async function* all() {
    yield events
  }
  const state = await index.build(all(), (changes) => store.write(changes), store)
  const [asked] = fc.sample(questions(events), 1)
  if (asked === undefined) throw new Error('a question')
  const query = indexQuery(asked, 0)
  const { counted, signal } = counting(store, 1)
  const given = index.query(readUnlessAborted(counted, signal), state, query)
  const others = [index.query(store, state, query), index.query(store, state, query)]
  await expect(given).rejects.toBeInstanceOf(GivenUp)
  const [first, second] = await Promise.all(others)
  expect(first).toEqual(second)
})
