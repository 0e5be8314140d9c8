/**
 * The records of a fold as bytes. Keys begin with a tag and the key of an aggregate, whose bytes say themselves where
 * they end; numbers are big-endian.
 *
 * | record | behind the aggregate | value |
 * | --- | --- | --- |
 * | head | – | flags, place, open rows, recorded span, the state's text: see `FoldHead` |
 * | checkpoint | place | recorded span, the state's text after the row of that place |
 * | rows | place of the last of them | each row: flags, recorded, place, length, the event's bytes |
 */

import { assert } from '../core/assert.ts'
import { afterPrefix, readUint64, writeUint64 } from '../core/bytes.ts'
import { KEY_BYTES, eventKey } from '../core/event-key.ts'
import type { EventKey } from '../core/event-key.ts'
import type { Stamp } from '../core/hybrid-logical-clock.ts'
import type { DerivedRange } from '../store/derived-store.ts'
import { TAG, tagged } from './records.ts'
import { PLACE_BYTES } from '../store/event-store.ts'

/** When rows were recorded: between these two, both inclusive. */
export interface RecordedSpan {
  readonly first: Stamp
  readonly last: Stamp
}

/** Of no rows. */
export const NO_SPAN: RecordedSpan = { first: 2n ** 64n - 1n, last: 0n }

/** An aggregate's newest state. */
export interface FoldHead {
  /** Of its last row. */
  readonly place: Uint8Array
  /** Rows behind the last run that is closed; each has a record of its own. */
  readonly openRows: number
  /** Of the rows behind the last checkpoint. */
  readonly recorded: RecordedSpan
  readonly isResumable: boolean
  readonly text: string
}

export interface FoldCheckpoint {
  /** Of the rows behind the checkpoint before, up to this one. */
  readonly recorded: RecordedSpan
  readonly text: string
}

export interface FoldRow {
  readonly place: Uint8Array
  readonly recorded: Stamp
  /** The event's content as stored. */
  readonly bytes: Uint8Array
  /** `apply` failed for it. */
  readonly hasFailed: boolean
}

/** @param place of the last of its rows */
export function rowsKey(aggregate: Uint8Array, place: Uint8Array): Uint8Array {
  return tagged(TAG.foldRow, aggregate, place)
}

export function checkpointKey(aggregate: Uint8Array, place: Uint8Array): Uint8Array {
  return tagged(TAG.foldCheckpoint, aggregate, place)
}

export function headKey(aggregate: Uint8Array): Uint8Array {
  return tagged(TAG.foldHead, aggregate)
}

/** An aggregate's rows or checkpoints: those behind a place, before another, or up to it. */
export function recordsOf(
  tag: typeof TAG.foldRow | typeof TAG.foldCheckpoint,
  aggregate: Uint8Array,
  { behind, before, upTo }: RecordBounds = {}
): DerivedRange {
  const all = tagged(tag, aggregate)
  const from = behind === undefined ? all : afterPrefix(tagged(tag, aggregate, behind))
  if (before !== undefined) return { from, to: tagged(tag, aggregate, before) }
  return { from, to: afterPrefix(upTo === undefined ? all : tagged(tag, aggregate, upTo)) }
}

export interface RecordBounds {
  readonly behind?: Uint8Array | undefined
  readonly before?: Uint8Array | undefined
  readonly upTo?: Uint8Array | undefined
}

/** A view of the key of a record. */
export function placeOf(key: Uint8Array): Uint8Array {
  return key.subarray(key.length - PLACE_BYTES)
}

export function encodeHead(head: FoldHead): Uint8Array {
  const text = Buffer.from(head.text)
  const bytes = Buffer.allocUnsafe(HEAD_BYTES + text.length)
  bytes[0] = head.isResumable ? FLAG_RESUMABLE : 0
  bytes.set(head.place, 1)
  bytes.writeUInt32BE(head.openRows, 1 + PLACE_BYTES)
  writeSpan(bytes, 5 + PLACE_BYTES, head.recorded)
  bytes.set(text, HEAD_BYTES)
  return bytes
}

export function decodeHead(value: Uint8Array): FoldHead {
  const bytes = bufferOf(value)
  return {
    isResumable: bytes[0] === FLAG_RESUMABLE,
    place: bytes.subarray(1, 1 + PLACE_BYTES),
    openRows: bytes.readUInt32BE(1 + PLACE_BYTES),
    recorded: readSpan(bytes, 5 + PLACE_BYTES),
    text: bytes.toString('utf8', HEAD_BYTES)
  }
}

export function encodeCheckpoint({ recorded, text }: FoldCheckpoint): Uint8Array {
  const state = Buffer.from(text)
  const bytes = Buffer.allocUnsafe(SPAN_BYTES + state.length)
  writeSpan(bytes, 0, recorded)
  bytes.set(state, SPAN_BYTES)
  return bytes
}

export function decodeCheckpoint(value: Uint8Array): FoldCheckpoint {
  const bytes = bufferOf(value)
  return { recorded: readSpan(bytes, 0), text: bytes.toString('utf8', SPAN_BYTES) }
}

export function encodeRows(rows: readonly FoldRow[]): Uint8Array {
  let length = 0
  for (const row of rows) length += rowBytes(row)
  const bytes = Buffer.allocUnsafe(length)
  let at = 0
  for (const row of rows) at = writeRow(bytes, at, row)
  return bytes
}

export function rowBytes({ bytes }: Pick<FoldRow, 'bytes'>): number {
  return ROW_HEADER_BYTES + bytes.length
}

/** Of the event of a record of one row. */
export function singleRowBytes(record: Uint8Array): number {
  return record.length - ROW_HEADER_BYTES
}

/** Where it ends. */
export function writeRow(into: Buffer, at: number, row: FoldRow): number {
  setFailed(into, at, row.hasFailed)
  writeUint64(into, at + 1, row.recorded)
  into.set(row.place, at + 9)
  into.writeUInt32BE(row.bytes.length, at + 9 + PLACE_BYTES)
  into.set(row.bytes, at + ROW_HEADER_BYTES)
  return at + rowBytes(row)
}

/** Of a row that begins at `at`. */
export function setFailed(into: Uint8Array, at: number, hasFailed: boolean): void {
  into[at] = hasFailed ? FLAG_FAILED : 0
}

/** A view of the place of a row that begins at `at`. */
export function placeAt(bytes: Uint8Array, at: number): Uint8Array {
  return bytes.subarray(at + 9, at + 9 + PLACE_BYTES)
}

/** Views of the record. */
export function decodeRows(value: Uint8Array): FoldRow[] {
  return new RowsRecord(value).rows()
}

/** A record of rows, of which what is asked for is looked at where it stands: most go through a replay as they came. */
export class RowsRecord {
  readonly #bytes: Buffer
  /** Where each row begins. */
  readonly #begins: readonly number[]

  constructor(value: Uint8Array) {
    this.#bytes = bufferOf(value)
    const begins: number[] = []
    for (let at = 0; at < this.#bytes.length; at = endOfRow(this.#bytes, at)) begins.push(at)
    assert(begins.length > 0, 'a record of rows has one')
    this.#begins = begins
  }

  get length(): number {
    return this.#begins.length
  }

  /** A view. */
  get lastPlace(): Uint8Array {
    return placeAt(this.#bytes, this.#at(this.length - 1))
  }

  /** Of the content of its last row. */
  get lastBytes(): number {
    return this.#bytes.length - this.#at(this.length - 1) - ROW_HEADER_BYTES
  }

  /** Functions failed for one of its rows. */
  get hasFailed(): boolean {
    return this.#begins.some((at) => this.#bytes[at] === FLAG_FAILED)
  }

  rows(): FoldRow[] {
    const rows: FoldRow[] = []
    for (let index = 0; index < this.length; index += 1) {
      const at = this.#at(index)
      rows.push({
        hasFailed: this.#bytes[at] === FLAG_FAILED,
        recorded: readUint64(this.#bytes, at + 1),
        place: placeAt(this.#bytes, at),
        bytes: this.#bytes.subarray(at + ROW_HEADER_BYTES, this.#at(index + 1))
      })
    }
    return rows
  }

  /** Their events' content, in their order; each made when it is looked at. */
  contents(): RowContent[] {
    const contents: RowContent[] = []
    for (let index = 0; index < this.length; index += 1) {
      contents.push(new RowContent(this.#bytes, this.#at(index), this.#at(index + 1)))
    }
    return contents
  }

  #at(index: number): number {
    return this.#begins[index] ?? this.#bytes.length
  }
}

/** What a row holds of an event: a class, because a replay makes one for each of its rows. */
export class RowContent {
  readonly #bytes: Buffer
  readonly #begin: number
  readonly #end: number

  constructor(bytes: Buffer, begin: number, end: number) {
    this.#bytes = bytes
    this.#begin = begin
    this.#end = end
  }

  get key(): EventKey {
    return eventKey(this.#bytes.subarray(this.#begin + 9, this.#begin + 9 + KEY_BYTES))
  }

  get value(): Uint8Array {
    return this.#bytes.subarray(this.#begin + ROW_HEADER_BYTES, this.#end)
  }

  text(): string {
    return this.#bytes.toString('utf8', this.#begin + ROW_HEADER_BYTES, this.#end)
  }
}

function endOfRow(bytes: Buffer, at: number): number {
  const begin = at + ROW_HEADER_BYTES
  return begin + bytes.readUInt32BE(begin - 4)
}

const FLAG_RESUMABLE = 1
const FLAG_FAILED = 1
const SPAN_BYTES = 16
const HEAD_BYTES = 5 + PLACE_BYTES + SPAN_BYTES
const ROW_HEADER_BYTES = 13 + PLACE_BYTES

function writeSpan(into: Buffer, at: number, { first, last }: RecordedSpan): void {
  writeUint64(into, at, first)
  writeUint64(into, at + 8, last)
}

function readSpan(bytes: Buffer, at: number): RecordedSpan {
  return { first: readUint64(bytes, at), last: readUint64(bytes, at + 8) }
}

function bufferOf({ buffer, byteOffset, length }: Uint8Array): Buffer {
  return Buffer.from(buffer, byteOffset, length)
}
