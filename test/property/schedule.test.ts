/** Waits between tries: jittered, doubling, capped. */

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'

import { RETRY_MS, RETRY_MS_MAX } from '../../src/core/limits.ts'
import { backoff, jittered } from '../../src/core/sync/schedule.ts'
import { seededRng } from './arbitraries.ts'

describe('waits', () => {
  test('lie between half and one and a half of their mean', () => {
    fc.assert(
      fc.property(fc.integer(), fc.integer({ min: 1, max: 100_000 }), (seed, meanMs) => {
        const wait = jittered(meanMs, seededRng(seed))
        expect(wait).toBeGreaterThanOrEqual(0.5 * meanMs)
        expect(wait).toBeLessThan(1.5 * meanMs)
      })
    )
  })

  test('stay finite and capped after any number of failures', () => {
    fc.assert(
      fc.property(fc.integer(), fc.nat(), (seed, failures) => {
        expect(backoff(failures, RETRY_MS, RETRY_MS_MAX, seededRng(seed))).toBeLessThan(
          1.5 * RETRY_MS_MAX
        )
      })
    )
  })
})
