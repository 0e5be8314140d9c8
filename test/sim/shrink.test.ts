/** What is printed of a failure: a small run, and all that is needed to see it again. */

import { expect, test } from 'vitest'

import { loadSimulator } from './load-simulator.ts'

const BUG = 'cursor-by-key'
const SEED = 1
/** Reads of the clock, which stands for real time here: so many runs are tried. */
const TRIES_MAX = 60

test('a failure is made smaller, stays the same failure, and can be seen again', async () => {
  const { Violation, describeViolation, shrink, simulateSeed } = await loadSimulator(BUG)
  const found: unknown = await simulateSeed(SEED).catch((error: unknown) => error)
  if (!(found instanceof Violation)) throw new Error(`seed ${SEED} does not find ${BUG}`)
  let tries = 0
  const nowMs = (): number => (tries += 1)
  const smallest = await shrink(SEED, found, { withinMs: TRIES_MAX, nowMs })
  expect(smallest.finding.invariant).toBe(found.finding.invariant)
  expect(smallest.settings.steps).toBeLessThan(found.settings.steps)
  expect(smallest.trace.length).toBeLessThan(found.trace.length)

  const again: unknown = await simulateSeed(SEED, { settings: smallest.settings }).catch(
    (error: unknown) => error
  )
  expect(again).toBeInstanceOf(Violation)
  expect((again as Error).message).toBe(smallest.message)

  const text = describeViolation(smallest, { seed: SEED, commit: 'c0ffee' })
  expect(text).toContain(`SEED=${SEED} npm run sim`)
  expect(text).toContain('c0ffee')
  expect(text).toMatch(/SETTINGS='\{.*"steps":\d+/)
  expect(text).toMatch(/^ +\d+\.\d{3} s {2}box-\d +creates/m)
})

test('without a bug the same seed breaks nothing, and gives one trace', async () => {
  const { simulateSeed } = await loadSimulator(undefined)
  const report = await simulateSeed(SEED)
  expect(await simulateSeed(SEED)).toEqual(report)
})
