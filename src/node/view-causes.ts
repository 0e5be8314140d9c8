/** The events behind a row of a view: when each happened, who recorded it where, and how late. */

import { present } from '../core/assert.ts'
import { KEY_BYTES, eventKey, formatEventKey, keyTimeMs } from '../core/event-key.ts'
import { formatTime, parseTime } from '../schema/time.ts'
import type { DatabaseViewSource } from './view-source.ts'
import type { ViewCause } from './views.ts'

export async function causeAt(
  source: DatabaseViewSource,
  place: Uint8Array
): Promise<ViewCause | undefined> {
  const origin = await source.placeOf(place)
  if (origin === undefined) return undefined
  const timeMs = keyTimeMs(eventKey(place.subarray(0, KEY_BYTES)))
  const { recorded, log, seq, peer } = origin
  const lateMs = present(parseTime(recorded), 'a time') - timeMs
  const time = formatTime(timeMs)
  return { key: keyTextOf(place), time, recorded, late_ms: lateMs, log, seq, peer }
}

/** The key of the event at a place, as text. */
export function keyTextOf(place: Uint8Array): string {
  return formatEventKey(eventKey(place.subarray(0, KEY_BYTES)))
}
