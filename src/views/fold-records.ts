/**
 * The records of a fold as bytes. Keys begin with a tag and the key of an aggregate, whose bytes say themselves where
 * they end; numbers are big-endian.
 *
 * | record | behind the aggregate | value |
 * | --- | --- | --- |
 * | head | – | place, open rows, recorded span, the state's text: see `FoldHead` |
 * | checkpoint | place | recorded span, the state's text after the row of that place |
 * | rows | place of the last of them | see `fold-rows.ts` |
 */

import { afterPrefix, readUint64, writeUint64 } from '../core/bytes.ts'
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
  readonly text: string
}

export interface FoldCheckpoint {
  /** Of the rows behind the checkpoint before, up to this one. */
  readonly recorded: RecordedSpan
  readonly text: string
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
  bytes.set(head.place)
  bytes.writeUInt32BE(head.openRows, PLACE_BYTES)
  writeSpan(bytes, SPAN_AT, head.recorded)
  bytes.set(text, HEAD_BYTES)
  return bytes
}

export function decodeHead(value: Uint8Array): FoldHead {
  const bytes = bufferOf(value)
  return {
    place: bytes.subarray(0, PLACE_BYTES),
    openRows: bytes.readUInt32BE(PLACE_BYTES),
    recorded: readSpan(bytes, SPAN_AT),
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

const SPAN_BYTES = 16
const SPAN_AT = PLACE_BYTES + 4
const HEAD_BYTES = SPAN_AT + SPAN_BYTES

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
