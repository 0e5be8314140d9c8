/**
 * Rows of a fold as bytes: how many (4); of each a header: flags (1), recorded time (8), place (24), bytes of its
 * content (4), big-endian; then their contents, with a comma between two. So a run of a fold that selects is nearly an
 * array of JSON, and is read as one.
 */

import { assert } from '../core/assert.ts'
import { readUint64, writeUint64 } from '../core/bytes.ts'
import { KEY_BYTES, eventKey } from '../core/event-key.ts'
import type { EventKey } from '../core/event-key.ts'
import type { Stamp } from '../core/hybrid-logical-clock.ts'
import type { Json } from '../core/json.ts'
import { PLACE_BYTES } from '../store/event-store.ts'
import type { RowBuffers } from './row-buffers.ts'

export interface FoldRow {
  readonly place: Uint8Array
  readonly recorded: Stamp
  /** The event's content as stored; or, of a fold that selects, what it selected, as JSON. */
  readonly bytes: Uint8Array
  /** `apply` failed for it. */
  readonly hasFailed: boolean
}

/** Rows of which what is asked for is looked at where it stands: most are gone through as they came. */
export class Rows {
  readonly #bytes: RowBytes

  constructor(bytes: RowBytes) {
    this.#bytes = bytes
  }

  get length(): number {
    return this.#bytes.headers.length / HEADER_BYTES
  }

  /** A view. */
  get lastPlace(): Uint8Array {
    return placeIn(this.#bytes.headers, this.length - 1)
  }

  /** Of the content of the last one. */
  get lastBytes(): number {
    return contentBytes(this.#bytes.headers, this.length - 1)
  }

  /** `apply` failed for one of them. */
  get hasFailed(): boolean {
    for (let at = 0; at < this.#bytes.headers.length; at += HEADER_BYTES) {
      if (this.#bytes.headers[at] === FLAG_FAILED) return true
    }
    return false
  }

  /** Views. */
  all(): FoldRow[] {
    return this.#each((content, index): FoldRow => ({
      hasFailed: this.#bytes.headers[index * HEADER_BYTES] === FLAG_FAILED,
      recorded: readUint64(this.#bytes.headers, index * HEADER_BYTES + 1),
      place: placeIn(this.#bytes.headers, index),
      bytes: content.value
    }))
  }

  /** Their contents, as of stored events; each made when somebody looks. */
  contents(): RowContent[] {
    return this.#each((content) => content)
  }

  /** Their contents, which are JSON, read; nobody else has them. */
  values(): readonly Json[] {
    return JSON.parse(`[${this.#bytes.contents.toString()}]`) as readonly Json[]
  }

  #each<Made>(make: (content: RowContent, index: number) => Made): Made[] {
    const made: Made[] = []
    for (let index = 0, begin = 0; index < this.length; index += 1) {
      const end = begin + contentBytes(this.#bytes.headers, index)
      made.push(make(new RowContent(this.#bytes, index, begin, end), index))
      begin = end + 1
    }
    return made
  }
}

/** What a row holds: a class, because one is made for each row of a replay. */
export class RowContent {
  readonly #rows: RowBytes
  readonly #index: number
  readonly #begin: number
  readonly #end: number

  constructor(rows: RowBytes, index: number, begin: number, end: number) {
    this.#rows = rows
    this.#index = index
    this.#begin = begin
    this.#end = end
  }

  get key(): EventKey {
    return eventKey(placeIn(this.#rows.headers, this.#index).subarray(0, KEY_BYTES))
  }

  get value(): Uint8Array {
    return this.#rows.contents.subarray(this.#begin, this.#end)
  }

  text(): string {
    return this.#rows.contents.toString('utf8', this.#begin, this.#end)
  }
}

interface RowBytes {
  readonly headers: Buffer
  readonly contents: Buffer
}

/** Rows to which more come. */
export class RowsUnderWay {
  readonly #buffers: RowBuffers
  #headers: Buffer = NOTHING
  #contents: Buffer = NOTHING
  #length = 0
  #contentBytes = 0

  constructor(buffers: RowBuffers) {
    this.#buffers = buffers
  }

  get length(): number {
    return this.#length
  }

  /** As a record. */
  get bytes(): number {
    return COUNT_BYTES + this.#length * HEADER_BYTES + this.#contentBytes
  }

  add(row: FoldRow): void {
    const { bytes } = row
    const at = this.#length * HEADER_BYTES
    const begin = this.#length === 0 ? 0 : this.#contentBytes + 1
    const end = begin + bytes.length
    if (at + HEADER_BYTES > this.#headers.length) {
      this.#headers = this.#buffers.grow(this.#headers, at, at + HEADER_BYTES)
    }
    if (end > this.#contents.length) {
      this.#contents = this.#buffers.grow(this.#contents, this.#contentBytes, end)
    }
    writeHeader(this.#headers, at, row)
    if (begin > 0) this.#contents[begin - 1] = COMMA
    this.#contents.set(bytes, begin)
    this.#contentBytes = end
    this.#length += 1
  }

  setFailed(index: number, hasFailed: boolean): void {
    this.#headers[index * HEADER_BYTES] = hasFailed ? FLAG_FAILED : 0
  }

  /** A view, until the next one is added. */
  placeOf(index: number): Uint8Array {
    return placeIn(this.#headers, index)
  }

  /** Views, until the next one is added. */
  rows(): FoldRow[] {
    const headers = this.#headers.subarray(0, this.#length * HEADER_BYTES)
    return new Rows({ headers, contents: this.#contents.subarray(0, this.#contentBytes) }).all()
  }

  /** Their record, and begins anew. */
  take(): Uint8Array {
    const headerBytes = this.#length * HEADER_BYTES
    const record = Buffer.allocUnsafe(this.bytes)
    record.writeUInt32BE(this.#length)
    this.#headers.copy(record, COUNT_BYTES, 0, headerBytes)
    this.#contents.copy(record, COUNT_BYTES + headerBytes, 0, this.#contentBytes)
    this.#buffers.giveBack(this.#headers)
    this.#buffers.giveBack(this.#contents)
    this.#headers = this.#contents = NOTHING
    this.#length = this.#contentBytes = 0
    return record
  }
}

/** @param rows at least one */
export function encodeRows(rows: readonly FoldRow[]): Uint8Array {
  let bytes = COUNT_BYTES + rows.length * (HEADER_BYTES + 1) - 1
  for (const row of rows) bytes += row.bytes.length
  const record = Buffer.allocUnsafe(bytes)
  record.writeUInt32BE(rows.length)
  let contentAt = COUNT_BYTES + rows.length * HEADER_BYTES
  for (const [index, row] of rows.entries()) {
    if (index > 0) record[contentAt - 1] = COMMA
    writeHeader(record, COUNT_BYTES + index * HEADER_BYTES, row)
    record.set(row.bytes, contentAt)
    contentAt += row.bytes.length + 1
  }
  return record
}

/** A view of the record. */
export function decodeRows({ buffer, byteOffset, length }: Uint8Array): Rows {
  const bytes = Buffer.from(buffer, byteOffset, length)
  const count = bytes.readUInt32BE()
  assert(count > 0, 'a record of rows has one')
  const headersEnd = COUNT_BYTES + count * HEADER_BYTES
  return new Rows({
    headers: bytes.subarray(COUNT_BYTES, headersEnd),
    contents: bytes.subarray(headersEnd)
  })
}

/** Of the content of the row of a record of one. */
export function singleRowBytes(record: Uint8Array): number {
  return record.length - COUNT_BYTES - HEADER_BYTES
}

const FLAG_FAILED = 1
const COUNT_BYTES = 4
const PLACE_AT = 9
const LENGTH_AT = PLACE_AT + PLACE_BYTES
const HEADER_BYTES = LENGTH_AT + 4
const COMMA = 0x2c
const NOTHING = Buffer.alloc(0)

function writeHeader(
  into: Buffer,
  at: number,
  { place, recorded, bytes, hasFailed }: FoldRow
): void {
  into[at] = hasFailed ? FLAG_FAILED : 0
  writeUint64(into, at + 1, recorded)
  into.set(place, at + PLACE_AT)
  into.writeUInt32BE(bytes.length, at + LENGTH_AT)
}

function placeIn(headers: Buffer, index: number): Uint8Array {
  const at = index * HEADER_BYTES + PLACE_AT
  return headers.subarray(at, at + PLACE_BYTES)
}

function contentBytes(headers: Buffer, index: number): number {
  return headers.readUInt32BE(index * HEADER_BYTES + LENGTH_AT)
}
