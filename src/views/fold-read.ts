/** Reads a fold's records page by page: few at first, because most reads end soon. */

import { after, compareBytes } from '../core/bytes.ts'
import type { DerivedRange, DerivedReader, DerivedRecord } from '../store/derived-store.ts'
import { decodeCheckpoint, placeOf, recordsOf } from './fold-records.ts'
import type { FoldCheckpoint } from './fold-records.ts'
import { decodeRows } from './fold-rows.ts'
import type { Rows } from './fold-rows.ts'
import { PAGE_RECORDS } from './limits.ts'
import { TAG } from './records.ts'

/**
 * Records of a range in the order of their keys. Who comes to the third page reads most of what there is: from then
 * on the next one is read while one is gone through.
 */
export async function* recordsIn(
  reader: DerivedReader,
  range: DerivedRange
): AsyncGenerator<DerivedRecord> {
  let { from } = range
  let ahead: Promise<readonly DerivedRecord[]> | undefined
  try {
    for (let pages = 1, limit = 1; ; pages += 1) {
      const page = await (ahead ?? reader.scan({ from, to: range.to, limit }))
      ahead = undefined
      const last = page.at(-1)
      const isLast = last === undefined || page.length < limit
      limit = Math.min(limit * 4, PAGE_RECORDS)
      if (!isLast) {
        from = after(last.key)
        if (pages > 2) ahead = reader.scan({ from, to: range.to, limit })
        // It is awaited later: until then nobody would hear of a failure.
        ahead?.catch(() => undefined)
      }
      yield* page
      if (isLast) return
    }
  } finally {
    // What is read from may be let go of then.
    await ahead?.catch(() => undefined)
  }
}

/** An aggregate's records of rows, those behind a place, up to one with which a record ends. */
export async function* rowsBehind(
  reader: DerivedReader,
  aggregate: Uint8Array,
  bounds: { readonly behind: Uint8Array | undefined; readonly upTo?: Uint8Array | undefined }
): AsyncGenerator<Rows, undefined> {
  for await (const { value } of recordsIn(reader, recordsOf(TAG.foldRow, aggregate, bounds))) {
    yield decodeRows(value)
  }
}

export interface PlacedCheckpoint extends FoldCheckpoint {
  readonly place: Uint8Array
}

/** The last checkpoint before a place; undefined for none. */
export async function checkpointBefore(
  reader: DerivedReader,
  aggregate: Uint8Array,
  before: Uint8Array | undefined
): Promise<PlacedCheckpoint | undefined> {
  const range = recordsOf(TAG.foldCheckpoint, aggregate, { before })
  const [found] = await reader.scan({ ...range, reverse: true, limit: 1 })
  return found === undefined ? undefined : placed(found)
}

/** An aggregate's checkpoints behind a place, one after the other. */
export class Checkpoints {
  readonly #records: AsyncGenerator<DerivedRecord>
  #next: PlacedCheckpoint | undefined
  #isBegun = false

  constructor(reader: DerivedReader, aggregate: Uint8Array, behind: Uint8Array | undefined) {
    this.#records = recordsIn(reader, recordsOf(TAG.foldCheckpoint, aggregate, { behind }))
  }

  /** Reads the first of them, so that whoever takes it does not wait for it. */
  async begin(): Promise<void> {
    if (!this.#isBegun) await this.#advance()
    this.#isBegun = true
  }

  /** Takes the next one if it is not behind a place; without a place, any. */
  async takeUpTo(place: Uint8Array | undefined): Promise<PlacedCheckpoint | undefined> {
    if (!this.#isBegun) await this.begin()
    const next = this.#next
    if (next === undefined) return undefined
    if (place !== undefined && compareBytes(next.place, place) > 0) return undefined
    await this.#advance()
    return next
  }

  /** What is read ahead is not waited for by others any more. */
  async end(): Promise<void> {
    await this.#records.return(undefined)
  }

  async #advance(): Promise<void> {
    const { value } = (await this.#records.next()) as IteratorResult<DerivedRecord, undefined>
    this.#next = value && placed(value)
  }
}

function placed({ key, value }: DerivedRecord): PlacedCheckpoint {
  return { ...decodeCheckpoint(value), place: placeOf(key) }
}
