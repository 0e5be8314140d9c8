/** Scans that meet damage: what is healed is not missed, and what is not healed ends them. */

import { expect, test } from 'vitest'

import { eventKey } from '../../src/core/event-key.ts'
import { healedRead, healedScan } from '../../src/node/healed-read.ts'
import { HEALED_READ_ATTEMPTS_MAX } from '../../src/node/limits.ts'
import type { KeyRange, StoredEvent } from '../../src/store/event-store.ts'

/** The first has two contents. */
const EVENTS = [stored(1, false), stored(1, true), stored(2, false), stored(3, false)]

test.each([false, true])(
  'a scan, reverse %s, gives what answers for each key, wherever it meets damage',
  async (reverse) => {
    for (let chunk = 1; chunk <= EVENTS.length; chunk += 1) {
      for (const damaged of EVENTS) {
        let isHealed = false
        const scan = (range: KeyRange) =>
          scanned(range, chunk, (event) => !isHealed && event === damaged)
        const heal = async () => (isHealed = true)
        const seen: number[] = []
        for await (const events of healedScan({ reverse }, scan, heal)) {
          for (const { alternate, seq } of events) if (!alternate) seen.push(seq)
        }
        expect([chunk, seen]).toEqual([chunk, reverse ? [3, 2, 1] : [1, 2, 3]])
      }
    }
  }
)

test('a scan ends with what it met where healing that says it went well does not help', async () => {
  const scan = (range: KeyRange) => scanned(range, 1, ({ seq }) => seq === 2)
  let heals = 0
  const heal = async () => (heals += 1) < 100
  const read = async (): Promise<void> => {
    for await (const events of healedScan({}, scan, heal)) {
      expect(events.map(({ seq }) => seq)).toEqual([1])
    }
  }
  await expect(read()).rejects.toThrow('damage at 2')
  expect(heals).toBeLessThan(4)
})

test('a read that meets more damage after each healing is tried so many times, and then fails', async () => {
  let tries = 0
  const readAfter = (damages: number) => async () => {
    tries += 1
    if (tries <= damages) throw new Error(`damage ${tries}`)
    return 'read'
  }
  const heal = async () => true
  expect(await healedRead(readAfter(HEALED_READ_ATTEMPTS_MAX - 1), heal)).toBe('read')
  expect(tries).toBe(HEALED_READ_ATTEMPTS_MAX)
  tries = 0
  const failed = healedRead(readAfter(HEALED_READ_ATTEMPTS_MAX), heal)
  await expect(failed).rejects.toThrow(`damage ${HEALED_READ_ATTEMPTS_MAX}`)
})

async function* scanned(
  { from, to, reverse }: KeyRange,
  size: number,
  isDamaged: (event: StoredEvent) => boolean
): AsyncGenerator<StoredEvent[]> {
  const inside = EVENTS.filter(({ key }) => {
    return (!from || Buffer.compare(key, from) >= 0) && (!to || Buffer.compare(key, to) < 0)
  })
  const ordered = reverse === true ? inside.toReversed() : inside
  for (let at = 0; at < ordered.length; at += size) {
    const chunk = ordered.slice(at, at + size)
    const damaged = chunk.find(isDamaged)
    if (damaged !== undefined) throw new Error(`damage at ${damaged.seq}`)
    yield chunk
  }
}

function stored(number: number, alternate: boolean): StoredEvent {
  const key = eventKey(new Uint8Array(16).fill(number))
  const at = { log: 0, seq: number, recorded: 1n, conflict: number === 1, repeated: false }
  const content = { value: Buffer.alloc(0), text: () => '', hash: Buffer.alloc(32) }
  return { key, ...content, place: Buffer.alloc(24), ...at, alternate }
}
