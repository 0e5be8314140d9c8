/** A node is closed whatever hangs, in order, and says what it did not wait for. */

import { expect, test } from 'vitest'

import { closeInOrder } from '../../src/node/closing.ts'
import { CLOSE_LATE_MS_MAX, CLOSE_MS_MAX } from '../../src/node/limits.ts'
import { ManualClock, settled } from '../fixtures/manual-clock.ts'

const never = (): Promise<void> => new Promise(() => undefined)
const atOnce = async (): Promise<void> => undefined

test('what does not close is named, the others are closed, and the directory stays locked', async () => {
  const bench = new Bench()
  const closing = bench.close([atOnce, never, bench.note, never, bench.note])
  const failed = expect(closing).rejects.toMatchObject({
    code: 'LATERBASE_STORE_FAILED',
    message: expect.stringMatching(/did not wait for stage 1, stage 3: nothing that was ack/)
  })
  await settled()
  await bench.clock.pass(CLOSE_MS_MAX + CLOSE_LATE_MS_MAX)
  await failed
  expect(bench.said[0]).toMatchObject({ waitingFor: 'stage 1' })
  expect(bench.closed).toBe(2)
  expect(bench.unlocked).toBe(0)
})

test('a stage that fails keeps neither the others nor the directory closed to whoever comes', async () => {
  const bench = new Bench()
  const failing = (): Promise<void> => Promise.reject(new Error('would not close'))
  await expect(bench.close([failing, bench.note])).rejects.toThrow('would not close')
  expect([bench.closed, bench.unlocked]).toEqual([1, 1])
  // Nothing is left behind that would speak later.
  await bench.clock.pass(2 * CLOSE_MS_MAX)
  expect(bench.said).toEqual([])
})

class Bench {
  readonly clock = new ManualClock()
  readonly said: unknown[] = []
  closed = 0
  unlocked = 0
  readonly note = async (): Promise<void> => void (this.closed += 1)

  close(stages: readonly (() => Promise<void>)[]): Promise<void> {
    return closeInOrder({
      stages: stages.map((close, index) => ({ what: () => `stage ${index}`, close })),
      unlock: async () => void (this.unlocked += 1),
      clock: this.clock,
      log: (_level, _message, fields) => void this.said.push(fields)
    })
  }
}
