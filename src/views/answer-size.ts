/** What an answer weighs: it is held in memory as a whole, so it has a bound. */

import type { Json } from '../core/json.ts'
import { LaterbaseError } from '../errors.ts'
import { ANSWER_BYTES_MAX } from './limits.ts'

export class AnswerSize {
  #bytes = 0
  #rows = 0

  /** @throws LATERBASE_TOO_LARGE */
  addRow(bytes: number): void {
    this.#bytes += bytes
    if (this.#bytes <= ANSWER_BYTES_MAX) {
      this.#rows += 1
      return
    }
    const message =
      `the answer has more than ${ANSWER_BYTES_MAX} bytes after ${this.#rows} rows: ask for fewer with ` +
      'limit, and go on with startkey or skip'
    throw new LaterbaseError('LATERBASE_TOO_LARGE', message, {
      facts: { answer_bytes_max: ANSWER_BYTES_MAX, rows_that_fit: this.#rows }
    })
  }
}

/** About as many bytes as its text has. */
export function weightOf(value: Json): number {
  if (typeof value === 'string') return value.length
  return typeof value === 'object' && value !== null ? JSON.stringify(value).length : 8
}
