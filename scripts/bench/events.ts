/**
 * The events of the benchmarks: the seeded warehouse of `scripts/simulate/workload.ts`, and their
 * bytes as a store would hold them that has nothing around them. The same seed gives the same
 * events in every process.
 *
 * Left out: natural keys. A check whether an event is held already has no counterpart in the raw
 * limits.
 */

import type { EventInput } from '../../src/index.ts'
import { keyMinter } from '../../src/core/event-key.ts'
import { canonicalJson } from '../../src/schema/canonical-json.ts'
import { formatTime } from '../../src/schema/time.ts'
import { systemRng } from '../../src/node/system.ts'
import { createPrng } from '../simulate/prng.ts'
import { warehouseEvents } from '../simulate/workload.ts'

/** The share of events that are keyed in later than they happened. */
const BACKDATED_SHARE = 0.2
/** The time that a history spans, and when every history ends: in the past wherever this runs. */
export const HISTORY_MS = 30 * 24 * 3_600_000
export const HISTORY_END_MS = Date.UTC(2026, 9, 1)
/** Mean time between two events that come in live, ms. */
const LIVE_STEP_MS = 2
const LIVE_EVENTS_MAX = 10_000

/**
 * Events as they come in now, a share of them backdated by hours or days.
 *
 * At most LIVE_EVENTS_MAX: who writes more begins again. They are other events then, since their
 * keys are new, and what is measured is not the garbage collection of prepared events.
 */
export function liveEvents(seed: number, count: number): readonly EventInput[] {
  const distinct = Math.min(count, LIVE_EVENTS_MAX)
  // Steps are random: twice the mean time before now, none is dated in the future.
  const startMs = Date.now() - 2 * LIVE_STEP_MS * distinct
  const dated = { startMs, stepMs: LIVE_STEP_MS }
  return warehouseEvents(seed, distinct, { ...dated, ...SHARES })
}

/**
 * A month of events in the order of writing, a share of them backdated by hours or days.
 *
 * @param span the part of the month that they are of, for histories made in pieces
 */
export function historyEvents(
  seed: number,
  count: number,
  { fromShare, toShare } = { fromShare: 0, toShare: 1 }
): readonly EventInput[] {
  const dated = {
    startMs: HISTORY_END_MS - HISTORY_MS * (1 - fromShare),
    stepMs: (HISTORY_MS * (toShare - fromShare)) / count
  }
  return warehouseEvents(seed, count, { ...dated, ...SHARES })
}

/** Events dated all over that month, in no order. */
export function scatteredEvents(seed: number, count: number): readonly EventInput[] {
  const prng = createPrng(seed)
  return historyEvents(seed, count).map((event) => {
    return { ...event, time: formatTime(HISTORY_END_MS - prng.integer(1, HISTORY_MS)) }
  })
}

const SHARES = { backdatedShare: BACKDATED_SHARE, naturalShare: 0 }

/** What a store without envelope, log and chain would hold. */
export interface RawEvents {
  readonly count: number
  /** The key of a record: a byte for its kind, as the product has it, and 16 bytes in order of time. */
  key(index: number): Buffer
  /** The very bytes that Laterbase stores as the event's value. */
  value(index: number): Buffer
}

export const RECORD_KIND = 1
export const RECORD_KEY_BYTES = 17

/** The bytes of `count` events, made outside of what is measured; begins again after the last one. */
export function rawEvents(events: readonly EventInput[], count: number): RawEvents {
  const keys = Buffer.alloc(count * RECORD_KEY_BYTES, RECORD_KIND)
  const values = events.map(valueBytes)
  const minter = keyMinter(systemRng)
  for (let index = 0; index < count; index += 1) {
    const timeMs = Date.parse(events[index % events.length]?.time ?? '')
    keys.set(minter.mint(timeMs), index * RECORD_KEY_BYTES + 1)
  }
  return {
    count,
    key: (index) => keys.subarray(index * RECORD_KEY_BYTES, (index + 1) * RECORD_KEY_BYTES),
    value: (index) => values[index % values.length] ?? Buffer.alloc(0)
  }
}

/** Bytes of keys and values, without anything around them. */
export function bytesOf(events: readonly EventInput[]): number {
  return events.reduce((sum, event) => sum + KEY_BYTES + valueBytes(event).length, 0)
}

const KEY_BYTES = 16

function valueBytes({ data, type, subject }: EventInput): Buffer {
  const text = canonicalJson({ data, subject, type })
  if (typeof text !== 'string') throw new Error(`an event is not JSON: ${text.detail}`)
  return Buffer.from(text)
}
