/**
 * Runs of a fold's rows, each of which begins with a state's text. A hash of a row says whether a run ends with
 * it, so that the same rows make the same runs, in whatever order they came.
 */

import { eventKey, KEY_BYTES } from '../core/event-key.ts'
import { firstWord, murmur3 } from '../core/views/murmur3.ts'
import { NO_SPAN } from './fold-records.ts'
import type { RecordedSpan } from './fold-records.ts'
import type { FoldRow, Rows } from './fold-rows.ts'
import { CHECKPOINT_BYTES, RUN_BYTES, RUN_ROWS } from './limits.ts'
import type { FoldInput, FoldInputs, FoldProgram, ViewEvent } from './program.ts'
import { SelectedRows, Selection } from './selection.ts'
import { textOf, viewEvent, viewEventOf } from './view-event.ts'
import type { IndexedEvent } from './view-index.ts'

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
export function eventOf({ place, bytes }: Pick<IndexedEvent, 'place' | 'bytes'>): ViewEvent {
  return viewEvent(eventKey(place.subarray(0, KEY_BYTES)), bytes)
}

type Selecting = Pick<FoldProgram, 'select'>

/** What `apply` gets for a row. */
export function inputOf(program: Selecting, row: Pick<FoldRow, 'place' | 'bytes'>): FoldInput {
  if (program.select === undefined) return eventOf(row)
  return new Selection(textOf(row.bytes))
}

export function inputsOf(
  program: Selecting,
  rows: readonly Pick<FoldRow, 'place' | 'bytes'>[]
): FoldInput[] {
  return rows.map((row) => inputOf(program, row))
}

/** The same for all rows of a record. */
export function inputsIn(program: Selecting, rows: Rows): FoldInputs {
  if (program.select !== undefined) return new SelectedRows(rows)
  return rows.contents().map(viewEventOf)
}
