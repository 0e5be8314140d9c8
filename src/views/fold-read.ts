/** Reads a fold's records page by page: few at first, because most reads end soon. */

import { compareBytes } from '../core/bytes.ts'
import type { DerivedRange, DerivedReader, DerivedRecord } from '../store/derived-store.ts'
import { decodeCheckpoint, decodeRows, placeOf, recordsOf } from './fold-records.ts'
import type { FoldCheckpoint, FoldRow } from './fold-records.ts'
import { PAGE_RECORDS } from './limits.ts'
import { TAG } from './records.ts'

/** Records of a range in the order of their keys. */
export async function* recordsIn(
  reader: DerivedReader,
  range: DerivedRange
): AsyncGenerator<DerivedRecord> {
  let from = range.from
  for (let limit = 1; ; limit = Math.min(limit * 4, PAGE_RECORDS)) {
    const page = await reader.scan({ from, to: range.to, limit })
    yield* page
    const last = page.at(-1)
    if (last === undefined || page.length < limit) return
    from = justBehind(last.key)
  }
}

/** An aggregate's records of rows, those behind a place, up to one with which a record ends. */
export async function* rowsBehind(
  reader: DerivedReader,
  aggregate: Uint8Array,
  bounds: { readonly behind: Uint8Array | undefined; readonly upTo?: Uint8Array | undefined }
): AsyncGenerator<FoldRow[]> {
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

  /** Takes the next one if it is not behind a place; without a place, any. */
  async takeUpTo(place: Uint8Array | undefined): Promise<PlacedCheckpoint | undefined> {
    if (!this.#isBegun) await this.#advance()
    this.#isBegun = true
    const next = this.#next
    if (next === undefined) return undefined
    if (place !== undefined && compareBytes(next.place, place) > 0) return undefined
    await this.#advance()
    return next
  }

  async #advance(): Promise<void> {
    const { value } = await this.#records.next()
    this.#next = value === undefined ? undefined : placed(value)
  }
}

function placed({ key, value }: DerivedRecord): PlacedCheckpoint {
  return { ...decodeCheckpoint(value), place: placeOf(key) }
}

/** The least key above another. */
export function justBehind(key: Uint8Array): Uint8Array {
  const next = new Uint8Array(key.length + 1)
  next.set(key)
  return next
}
