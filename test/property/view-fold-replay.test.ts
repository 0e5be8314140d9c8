/** What follows a late event in its aggregate is gone through again: over many runs, and whatever the disk does. */

import fc from 'fast-check'
import { afterEach, expect, test, vi } from 'vitest'

import { present } from '../../src/core/assert.ts'
import type { DerivedReader } from '../../src/store/derived-store.ts'
import { createFoldIndex } from '../../src/views/fold-index.ts'
import { TAG } from '../../src/views/records.ts'
import { SelectedRows } from '../../src/views/selection.ts'
import type { IndexQuery, IndexedEvent } from '../../src/views/view-index.ts'
import { makeSmall } from '../fixtures/small-limits.ts'
import { ALL, foldEvent, recordsOf } from './fold-model.ts'
import { DEEP_NAMES, HeldFold, calledFold, foldPlans, foldProgram } from './folds.ts'

vi.mock('../../src/views/limits.ts', async (importActual) => {
  const { smallable } = await import('../fixtures/small-limits.ts')
  return smallable(await importActual())
})

const RUNS = Number(process.env['INDEX_RUNS'] ?? 150)
const unhandled: unknown[] = []
const note = (error: unknown): unknown => unhandled.push(error)
process.on('unhandledRejection', note)
afterEach(() => {
  expect(unhandled).toEqual([])
})

test('an index of few aggregates has the records that a build makes, however deep the changes were', async () => {
  const sizes = fc.record({
    RUN_ROWS: fc.constantFrom(1.2, 2, 3),
    RUN_BYTES: fc.constantFrom(60, 16_384),
    CHECKPOINT_BYTES: fc.constantFrom(4, 8),
    PAGE_RECORDS: fc.constantFrom(1, 2, 5)
  })
  const plans = foldPlans({ subjects: ['a'], updates: 12, events: 80, isFull: true })
  const names = fc.constantFrom(...DEEP_NAMES)
  await fc.assert(
    fc.asyncProperty(names, fc.boolean(), sizes, plans, async (name, isCalled, small, plan) => {
      makeSmall(small)
      const held = new HeldFold((isCalled ? calledFold : foldProgram)(name))
      for (const update of plan.updates) await held.update(update)
      const built = new HeldFold(foldProgram(name))
      await built.build(held.inOrder, 7)
      expect(await recordsOf(held.store)).toEqual(await recordsOf(built.store))
      expect(held.state).toEqual(built.state)
    }),
    { numRuns: RUNS }
  )
}, 120_000)

/** Events of one aggregate, in runs of two, some hundred. */
async function longFold(name: string): Promise<HeldFold> {
  makeSmall({ RUN_ROWS: 2, CHECKPOINT_BYTES: 20, PAGE_RECORDS: 3 })
  const held = new HeldFold(foldProgram(name))
  const events = Array.from({ length: 200 }, (_, number) => {
    return foldEvent(number * 2, 0, 1n, { subject: 'a', data: number % 12 })
  })
  await held.build(events, 50)
  return held
}

const LATE: readonly IndexedEvent[] = [foldEvent(3, 0, 2n, { subject: 'a', data: 2 })]

/** Scans that take a turn of the loop each, the nth of which and all behind it fail. */
function slowReader({ store }: HeldFold, failsFrom = Infinity) {
  const counts = { scans: 0, open: 0 }
  const reader: DerivedReader = {
    get: (key) => store.get(key),
    chunks: (range) => store.chunks(range),
    scan: async (range) => {
      const number = counts.scans
      counts.scans += 1
      counts.open += 1
      try {
        await new Promise((resolve) => setImmediate(resolve))
        if (number >= failsFrom) throw new Error('the disk does not answer')
        return await store.scan(range)
      } finally {
        counts.open -= 1
      }
    }
  }
  return { reader, counts }
}

test.each(['sum', 'selected sum', 'picky'])(
  'a replay of %s ends with any read that fails, and none goes on behind its end',
  async (name) => {
    const held = await longFold(name)
    const whole = slowReader(held)
    await held.index.update(whole.reader, held.state, { put: LATE, drop: [] })
    expect(whole.counts.scans).toBeGreaterThan(20)
    expect(whole.counts.open).toBe(0)
    for (let failsFrom = 0; failsFrom < whole.counts.scans; failsFrom += 1) {
      const { reader, counts } = slowReader(held, failsFrom)
      const update = held.index.update(reader, held.state, { put: LATE, drop: [] })
      await expect(update).rejects.toThrow('the disk does not answer')
      expect(counts.open).toBe(0)
    }
  }
)

test('a question about the past that needs no more leaves no read under way', async () => {
  const held = await longFold('sum')
  const before = present(held.inOrder[150], 'an event').place
  const questions: Partial<IndexQuery>[] = [
    { causes: 20 },
    { recordedBy: 0n },
    { before, recordedBy: 0n },
    { before, recordedBy: 1n, causes: 3 }
  ]
  for (const question of questions) {
    const { reader, counts } = slowReader(held)
    await held.index.query(reader, held.state, { ...ALL, ...question })
    expect(counts.scans).toBeGreaterThan(1)
    expect(counts.open).toBe(0)
  }
})

test('runs to which nothing comes are given as they stand, and the next page is read meanwhile', async () => {
  const held = await longFold('selected sum')
  const log: string[] = []
  const program = foldProgram('selected sum')
  const index = createFoldIndex({
    ...program,
    apply: (state, inputs) => {
      log.push(inputs instanceof SelectedRows ? 'run' : 'rows')
      return program.apply(state, inputs)
    }
  })
  const { reader } = slowReader(held)
  const logged: DerivedReader = {
    ...reader,
    scan: async (range) => {
      const isOfRows = range.from[0] === TAG.foldRow
      if (isOfRows) log.push('begin')
      const records = await reader.scan(range)
      if (isOfRows) log.push('end')
      return records
    }
  }
  await index.update(logged, held.state, { put: LATE, drop: [] })
  const runs = log.filter((step) => step === 'run').length
  expect(runs).toBeGreaterThan(20)
  expect(log.filter((step) => step === 'rows').length).toBeLessThan(4)
  let isReading = false
  let meanwhile = 0
  for (const step of log) {
    if (step === 'begin' || step === 'end') isReading = step === 'begin'
    else if (isReading) meanwhile += 1
  }
  expect(meanwhile).toBeGreaterThan(runs / 2)
})
