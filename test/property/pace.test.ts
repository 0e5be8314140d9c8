/** How slow an answer may come: any link above the lowest rate brings any frame, and no peer holds a request. */

import fc from 'fast-check'
import { expect, test } from 'vitest'

import { FRAME_BYTES_MAX } from '../../protocols/limits.ts'
import { REQUEST_PACE } from '../../src/core/limits.ts'
import { afterBytes, newProgress, overdueAtMs } from '../../src/core/sync/pace.ts'
import { withPace } from '../../src/node/deadline.ts'
import { Life, WallClock, processClock } from '../../scripts/simulate/deterministic/clocks.ts'
import { World } from '../../scripts/simulate/deterministic/world.ts'

/** Pieces of an answer: how long each took to come, and its bytes. */
const pieces = fc.array(
  fc.tuple(fc.integer({ min: 1, max: 40_000 }), fc.integer({ min: 0, max: 200_000 })),
  { maxLength: 60 }
)

test('an answer that never pauses too long and never falls below the rate is never overdue', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 500, max: REQUEST_PACE.silentMsMax - 1 }),
      fc.integer({ min: REQUEST_PACE.bytesPerSecondMin, max: 10_000_000 }),
      fc.integer({ min: 1, max: FRAME_BYTES_MAX }),
      (everyMs, bytesPerSecond, length) => {
        let progress = newProgress(0)
        let nowMs = 0
        while (progress.bytes < length) {
          nowMs += everyMs
          // At the lowest rate each piece comes at the very moment at which the one before is used up.
          if (overdueAtMs(progress, REQUEST_PACE) < nowMs) return false
          progress = afterBytes(progress, Math.ceil((bytesPerSecond * everyMs) / 1_000), nowMs)
        }
        return true
      }
    ),
    { examples: [[500, REQUEST_PACE.bytesPerSecondMin, 122_881]] }
  )
})

test('no answer is waited for longer than its bytes take at the lowest rate, and the waits around it', () => {
  const { silentMsMax, graceMs, bytesPerSecondMin } = REQUEST_PACE
  fc.assert(
    fc.property(pieces, (steps) => {
      let progress = newProgress(0)
      let nowMs = 0
      for (const [afterMs, bytes] of steps) {
        if (nowMs + afterMs >= overdueAtMs(progress, REQUEST_PACE)) break
        nowMs += afterMs
        progress = afterBytes(progress, bytes, nowMs)
      }
      const takesMs = (progress.bytes / bytesPerSecondMin) * 1_000
      const firstMs = progress.firstMs ?? nowMs
      expect(overdueAtMs(progress, REQUEST_PACE)).toBeLessThanOrEqual(
        firstMs + silentMsMax + Math.max(graceMs, takesMs)
      )
    })
  )
})

test('a peer that drips a byte a second is given up once the grace is over, a silent one before', async () => {
  for (const everyMs of [1_000, Infinity]) {
    const world = new World(1)
    const clock = processClock(world, new WallClock(world, 0), new Life(world))
    let failedMs = 0
    const drip = (onProgress: (bytes: number) => void): void => {
      world.after(everyMs, () => (onProgress(1), drip(onProgress)))
    }
    const outer = new AbortController().signal
    const paced = withPace({ clock, pace: REQUEST_PACE, signal: outer }, (signal, onProgress) => {
      drip(onProgress)
      return new Promise((_, reject) =>
        signal.addEventListener('abort', () => reject(signal.reason))
      )
    }).catch((error: unknown) => {
      failedMs = world.nowMs
      return String(error)
    })
    await world.run(100_000, () => failedMs > 0)
    const { silentMsMax, graceMs } = REQUEST_PACE
    expect(failedMs).toBe(everyMs === Infinity ? silentMsMax : everyMs + graceMs)
    expect(await paced).toContain('too slow')
  }
})
