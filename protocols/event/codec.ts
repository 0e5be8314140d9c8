/**
 * Events on the wire: the events region of a commit. See spec.md.
 *
 * The value is opaque here; its envelope is checked where an event enters a node.
 */

import { COMMIT_EVENTS_MAX, EVENT_BYTES_MAX } from '../limits.ts'
import type { Rejected } from '../rejected.ts'
import { Writer, decode, refuse, varintLength } from '../wire.ts'
import type { Reader } from '../wire.ts'

export const KEY_BYTES = 16

export interface WireEvent {
  /** 16 bytes: a ULID. */
  readonly key: Uint8Array
  readonly value: Uint8Array
}

/** Bytes that an event takes in an events region. */
function eventBytes(valueLength: number): number {
  return KEY_BYTES + varintLength(valueLength) + valueLength
}

/** Bytes of the events region of these events. */
export function regionBytes(events: readonly Pick<WireEvent, 'value'>[]): number {
  let length = 0
  for (const event of events) length += eventBytes(event.value.length)
  return length
}

export function encodeEvents(events: readonly WireEvent[]): Uint8Array {
  const writer = new Writer(regionBytes(events) + 8)
  for (const event of events) writer.fixed(event.key).prefixed(event.value)
  return writer.finish()
}

/** The `count` events of a region, as views of it. */
export function decodeEvents(region: Uint8Array, count: number): WireEvent[] | Rejected {
  return decode(region, (reader) => readEvents(reader, count))
}

function readEvents(reader: Reader, count: number): WireEvent[] {
  if (count > COMMIT_EVENTS_MAX) refuse('over-limit', `${count} events in a commit`)
  const events: WireEvent[] = []
  for (let index = 0; index < count; index += 1) {
    const key = reader.fixed(KEY_BYTES)
    // 26 characters of 5 bits hold 130; a ULID is 128 bits, and every 16 bytes are one.
    const value = reader.prefixed(EVENT_BYTES_MAX)
    if (value.length === 0) refuse('not-allowed', 'an event without a value')
    events.push({ key, value })
  }
  return events
}
