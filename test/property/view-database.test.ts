/**
 * The law of views: at any moment an answer is what the view's functions make, from scratch, of the events that
 * its `lc` covers; whatever was written, merged, defined, removed, lost or broken, and at what time.
 * How many histories is said by `VIEW_RUNS`.
 */

import fc from 'fast-check'
import { expect, test, vi } from 'vitest'

import { makeSmall } from '../fixtures/small-limits.ts'
import { forests } from './forest.ts'
import { ViewBox } from './view-box.ts'
import type { Action } from './view-box.ts'
import { DEFINITION_NAMES, viewQueries, viewedEvents, viewedInputs } from './view-questions.ts'

vi.mock(import('../../src/core/limits.ts'), async (load) => {
  const { smallable } = await import('../fixtures/small-limits.ts')
  return smallable(await load())
})
vi.mock(import('../../src/views/limits.ts'), async (load) => {
  const { smallable } = await import('../fixtures/small-limits.ts')
  return smallable(await load())
})
vi.mock(import('../../src/node/limits.ts'), async (load) => {
  const { smallable } = await import('../fixtures/small-limits.ts')
  return smallable(await load())
})

const RUNS = Number(process.env['VIEW_RUNS'] ?? 300)

const view = fc.constantFrom('one', 'two')
const definition = fc.constantFrom(...DEFINITION_NAMES)
const query: fc.Arbitrary<Action> = fc.record({
  type: fc.constant('query' as const),
  view,
  query: viewQueries,
  cursor: fc.option(fc.nat(), { freq: 4, nil: undefined })
})
const define = fc.record({
  type: fc.constant('define' as const),
  view,
  definition,
  anew: fc.oneof({ weight: 3, arbitrary: fc.constant(false) }, fc.constant(true))
})
const write: fc.Arbitrary<Action> = fc.oneof(
  fc.record({
    type: fc.constant('append' as const),
    events: fc.array(viewedInputs, { minLength: 1, maxLength: 3 })
  }),
  fc.record({
    type: fc.constant('merge' as const),
    from: fc.nat(),
    count: fc.integer({ min: 1, max: 5 })
  })
)
const calm: fc.Arbitrary<Action> = fc.oneof(
  { weight: 8, arbitrary: query },
  { weight: 5, arbitrary: write },
  { weight: 2, arbitrary: define },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('remove' as const), view }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('info' as const), view }) }
)
const rough: fc.Arbitrary<Action> = fc.oneof(
  { weight: 10, arbitrary: calm },
  {
    weight: 1,
    arbitrary: fc.record({
      type: fc.constant('reopen' as const),
      disk: fc.constantFrom('kept', 'kept', 'lost', 'older')
    })
  },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('copy' as const) }) },
  {
    weight: 1,
    arbitrary: fc.record({
      type: fc.constant('fail' as const),
      kind: fc.constantFrom('lost', 'landed', 'damaged'),
      after: fc.nat(6)
    })
  },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('wait' as const) }) }
)

function histories(action: fc.Arbitrary<Action>): fc.Arbitrary<(readonly Action[])[]> {
  return fc.array(fc.array(action, { minLength: 1, maxLength: 4 }), { maxLength: 12, size: 'max' })
}

async function runAll(action: fc.Arbitrary<Action>): Promise<ViewBox['seen']> {
  makeSmall({ RUN_BITS: 1, QUERY_CHUNK: 3, EVENTS_AT_ONCE: 2, BUILD_BATCH: 4, VIEW_SCAN_CHUNK: 3 })
  const seen = { answers: 0, rows: 0, past: 0, refused: 0, unanswered: 0 }
  await fc.assert(
    fc.asyncProperty(
      forests(20, { events: viewedEvents, step: 40_000n }),
      define,
      histories(action),
      fc.nat(),
      async (forest, first, history, seed) => {
        const box = new ViewBox(forest, seed)
        await box.step([{ ...first, anew: false }])
        for (const actions of history) await box.step(actions)
        await box.end()
        for (const name of ['answers', 'rows', 'past', 'refused', 'unanswered'] as const) {
          seen[name] += box.seen[name]
        }
      }
    ),
    { numRuns: RUNS }
  )
  return seen
}

test('whatever is written, asked and defined at one time, each answer is right at its position', async () => {
  const seen = await runAll(calm)
  expect(seen.past).toBeGreaterThan(RUNS / 5)
  expect(seen.rows).toBeGreaterThan(RUNS)
  expect(seen.unanswered).toBe(0)
}, 3_600_000)

test('whatever becomes of the disk of the views, what is answered is right, and they come back by themselves', async () => {
  const seen = await runAll(rough)
  expect(seen.answers).toBeGreaterThan(RUNS)
  expect(seen.unanswered).toBeGreaterThan(0)
}, 3_600_000)
