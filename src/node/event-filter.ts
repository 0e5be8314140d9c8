/** Filters of feeds and bounds of ranges, read once from what a client gave. */

import { compareBytes } from '../core/bytes.ts'
import { lowestKeyAt, parseEventKey } from '../core/event-key.ts'
import type { EventKey } from '../core/event-key.ts'
import { LaterbaseError } from '../errors.ts'
import { isKeyTime, parseTime } from '../schema/time.ts'
import type { StoredEvent } from '../store/event-store.ts'
import type { EventFilter, RecordedEvent } from './laterbase.ts'
import { matches } from './recorded-event.ts'

/**
 * A bound of when events happened: a key, or the lowest key of an RFC 3339 time.
 *
 * @throws LATERBASE_ARGUMENT_INVALID
 */
export function readBound(text: string | undefined): EventKey | undefined {
  if (text === undefined) return undefined
  const timeMs = parseTime(text)
  if (timeMs !== undefined && isKeyTime(timeMs)) return lowestKeyAt(timeMs)
  // A time before any key: everything is after it.
  if (timeMs !== undefined && timeMs < 0) return lowestKeyAt(0)
  const key = parseEventKey(text)
  if (key !== undefined) return key
  throw new LaterbaseError(
    'LATERBASE_ARGUMENT_INVALID',
    `${JSON.stringify(text.slice(0, 40))} is neither an RFC 3339 time nor a ULID`
  )
}

/** Bounds are looked at first: they need no look into the value. */
export function readFilter(
  filter: EventFilter,
  recorded: (event: StoredEvent) => RecordedEvent
): (event: StoredEvent) => boolean {
  const [from, to] = [readBound(filter.from), readBound(filter.to)]
  const members = filter.type ?? filter.subject ?? filter.source
  return (event) => {
    if (from !== undefined && compareBytes(event.key, from) < 0) return false
    if (to !== undefined && compareBytes(event.key, to) >= 0) return false
    return members === undefined || matches(recorded(event), filter)
  }
}

/** @throws LATERBASE_ARGUMENT_INVALID */
export function readKey(text: string): EventKey {
  const key = parseEventKey(text)
  if (key !== undefined) return key
  const shown = JSON.stringify(text.slice(0, 40))
  throw new LaterbaseError('LATERBASE_ARGUMENT_INVALID', `${shown} is not a key (ULID or UUIDv7)`)
}
