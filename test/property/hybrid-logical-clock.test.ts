/** Recorded time: strictly rising, causal, and not to be dragged into the future. */

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'

import {
  isAhead,
  nextStamp,
  observeStamp,
  stampAt,
  stampMs
} from '../../src/core/hybrid-logical-clock.ts'
import type { Stamp } from '../../src/core/hybrid-logical-clock.ts'
import { REMOTE_AHEAD_MS_MAX } from '../../src/core/limits.ts'

const NOW = 1_793_599_800_000

/** Wall clocks that stand, run, jump both ways, boot in 1970, and give fractions. */
function wallTimes(): fc.Arbitrary<number> {
  return fc.oneof(
    fc.integer({ min: NOW - 5, max: NOW + 5 }),
    fc.constantFrom(0, -1, -86_400_000, 1_000, NOW + 0.75, NOW - 86_400_000, NOW + 86_400_000),
    fc.double({ min: 0, max: 2 ** 47, noNaN: true })
  )
}

type Act = { readonly wall: number } & (
  { readonly type: 'stamp' } | { readonly type: 'observe'; readonly remote: Stamp }
)

function acts(): fc.Arbitrary<Act[]> {
  const remote = fc.oneof(
    fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
    fc.integer({ min: NOW - 10, max: NOW + 2 * REMOTE_AHEAD_MS_MAX }).map((ms) => stampAt(ms) + 7n)
  )
  return fc.array(
    fc.oneof(
      fc.record({ type: fc.constant('stamp' as const), wall: wallTimes() }),
      fc.record({ type: fc.constant('observe' as const), wall: wallTimes(), remote })
    ),
    { maxLength: 40 }
  )
}

describe('stamps of one node', () => {
  test('strictly rise under any sequence of clock readings', () => {
    fc.assert(
      fc.property(fc.array(wallTimes(), { maxLength: 60 }), (walls) => {
        let last: Stamp = 0n
        for (const wall of walls) {
          const next = nextStamp(last, wall)
          expect(next > last).toBe(true)
          last = next
        }
      })
    )
  })

  test('are the wall clock while it runs', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 2 ** 47 }), (wall) => {
        expect(stampMs(nextStamp(stampAt(wall - 1), wall))).toBe(wall)
      })
    )
  })

  test('carry a full counter into the next millisecond', () => {
    const full = stampAt(NOW) + 65_535n
    expect(nextStamp(full, NOW)).toBe(stampAt(NOW + 1))
  })

  test('end with an assertion, not with a wrong stamp, after the last one of 64 bits', () => {
    expect(nextStamp(2n ** 64n - 2n, NOW)).toBe(2n ** 64n - 1n)
    expect(() => nextStamp(2n ** 64n - 1n, NOW)).toThrow('recorded time fits 64 bits')
  })
})

describe('stamps of others', () => {
  test('a commit has a higher stamp than every believed one that its node saw before', () => {
    fc.assert(
      fc.property(acts(), (history) => {
        let clock: Stamp = 0n
        let highest: Stamp = 0n
        for (const act of history) {
          if (act.type === 'observe') {
            clock = observeStamp(clock, act.remote, act.wall)
            if (!isAhead(act.remote, act.wall) && act.remote > highest) highest = act.remote
          } else {
            if (clock === 2n ** 64n - 1n) return
            clock = nextStamp(clock, act.wall)
            expect(clock > highest).toBe(true)
            highest = clock
          }
        }
      })
    )
  })

  test('never move the clock back', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), acts(), (start, history) => {
        let clock = start
        for (const act of history) {
          if (act.type !== 'observe') continue
          const seen = observeStamp(clock, act.remote, act.wall)
          expect(seen >= clock).toBe(true)
          clock = seen
        }
      })
    )
  })

  test('never move the clock past the tolerance', () => {
    fc.assert(
      fc.property(acts(), (history) => {
        let clock: Stamp = 0n
        for (const act of history) {
          if (act.type !== 'observe') continue
          const seen = observeStamp(clock, act.remote, act.wall)
          if (seen > clock) {
            expect(stampMs(seen)).toBeLessThanOrEqual(act.wall + REMOTE_AHEAD_MS_MAX)
          }
          clock = seen
        }
      })
    )
  })

  test('are believed up to the tolerance, and not beyond', () => {
    expect(isAhead(stampAt(NOW + REMOTE_AHEAD_MS_MAX) + 65_535n, NOW)).toBe(false)
    expect(isAhead(stampAt(NOW + REMOTE_AHEAD_MS_MAX + 1), NOW)).toBe(true)
  })
})
