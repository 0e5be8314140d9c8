/**
 * Runs of a fold's rows, each of which begins with a state's text. A hash of a row says whether a run ends with
 * it, so that the same rows make the same runs, in whatever order they came: what a fold comes to depends on its
 * rows alone, also where the functions see more of a state than its text says.
 */

import { eventKey, KEY_BYTES } from '../core/event-key.ts'
import { firstWord, murmur3 } from '../core/views/murmur3.ts'
import { NO_SPAN } from './fold-records.ts'
import type { FoldRow, RecordedSpan, RowsRecord } from './fold-records.ts'
import { CHECKPOINT_BYTES, RUN_BYTES, RUN_ROWS } from './limits.ts'
import type { ViewEvent } from './program.ts'
import { viewEvent, viewEventOf } from './view-event.ts'

/** Whether a run ends with this row. */
export function endsRun(place: Uint8Array, bytes: number): boolean {
  const chance = firstWord(place) >>> 0
  return chance / 2 ** 32 < Math.max(1 / RUN_ROWS, bytes / RUN_BYTES)
}

/** Whether a state of so many bytes behind the last row of a run is kept: of those 2^n times as large one in 2^n. */
export function isKept(place: Uint8Array, bytes: number): boolean {
  if (bytes <= CHECKPOINT_BYTES) return true
  const [, chance] = murmur3(place, 0)
  return bytes <= CHECKPOINT_BYTES * 2 ** Math.clz32(chance)
}

/** When rows were recorded, those of a span among them. */
export function spanOf(
  rows: readonly Pick<FoldRow, 'recorded'>[],
  span: RecordedSpan = NO_SPAN
): RecordedSpan {
  let { first, last } = span
  for (const { recorded } of rows) {
    if (recorded < first) first = recorded
    if (recorded > last) last = recorded
  }
  return { first, last }
}

/** As functions see it that have not seen it before. */
export function eventOf({ place, bytes }: Pick<FoldRow, 'place' | 'bytes'>): ViewEvent {
  return viewEvent(eventKey(place.subarray(0, KEY_BYTES)), bytes)
}

/** Of all rows of a record, as functions see them that have not seen them before. */
export function eventsOf(record: RowsRecord): ViewEvent[] {
  return record.contents().map(viewEventOf)
}
