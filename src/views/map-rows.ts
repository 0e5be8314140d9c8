/**
 * The rows of a map and what runs of them come to, as bytes.
 *
 * A row: its view key, encoded, the place of its event and its number among those that the event emitted
 * → when the event was recorded first, 8 bytes, and the value as JSON.
 *
 * A run: how many rows, the lowest and highest place and recorded time among them, a digest over their
 * keys and values, and what the reducer makes of them.
 */

import { assert, present } from '../core/assert.ts'
import { compareBytes, readUint64, writeUint64 } from '../core/bytes.ts'
import type { Stamp } from '../core/hybrid-logical-clock.ts'
import type { Json } from '../core/json.ts'
import { decodeViewKey } from '../core/views/collation.ts'
import { ROW_LENGTHS_BYTES } from '../core/views/leaves.ts'
import { murmur3Into } from '../core/views/murmur3.ts'
import type { Aggregate, ReducedRow, Reducer } from '../core/views/reducers.ts'
import type { Summaries, TreeEntry } from '../core/views/row-tree.ts'
import { PLACE_BYTES } from '../store/event-store.ts'

const NUMBER_BYTES = 2
/** Rows of one event. */
export const EVENT_ROWS_MAX = 2 ** (8 * NUMBER_BYTES)
/** Bytes of a row's key behind the view key. */
export const ROW_TAIL_BYTES = PLACE_BYTES + NUMBER_BYTES
const STAMP_BYTES = 8

/** A row as it is kept, but for the bytes themselves. */
export interface RowParts {
  readonly key: Json
  /** The key, encoded. */
  readonly viewKey: Uint8Array
  /** Of its event. */
  readonly place: Uint8Array
  /** Among those of the event. */
  readonly number: number
  /** Of the event, first. */
  readonly recorded: Stamp
  /** The value. */
  readonly json: string
}

/** Bytes that a row has in a leaf, or fewer. */
export function packedMax({ viewKey, json }: RowParts): number {
  return ROW_LENGTHS_BYTES + viewKey.length + ROW_TAIL_BYTES + STAMP_BYTES + 3 * json.length
}

/** Writes a row as a leaf has it. @returns where it ends */
export function packRow(into: Buffer, at: number, row: RowParts): number {
  const keyAt = at + ROW_LENGTHS_BYTES
  const end = writeRow(into, keyAt, row)
  const keyLength = row.viewKey.length + ROW_TAIL_BYTES
  into.writeUInt16BE(keyLength, at)
  into.writeUInt32BE(end - keyAt - keyLength, at + 2)
  return end
}

/** Writes the key and, behind it, the value. @returns where the value ends */
function writeRow(into: Buffer, at: number, row: RowParts): number {
  const { viewKey, place, number, recorded, json } = row
  assert(number < EVENT_ROWS_MAX, 'the number of a row fits its bytes')
  into.set(viewKey, at)
  into.set(place, at + viewKey.length)
  const behind = at + viewKey.length + PLACE_BYTES
  into[behind] = number >> 8
  into[behind + 1] = number & 0xff
  const text = writeUint64(into, behind + NUMBER_BYTES, recorded)
  return text + writeText(into, text, json)
}

/** A native call costs more than the few characters of most values. */
function writeText(into: Buffer, at: number, text: string): number {
  if (text.length <= SHORT_TEXT) {
    let index = 0
    for (; index < text.length; index += 1) {
      const code = text.charCodeAt(index)
      if (code > 0x7f) break
      into[at + index] = code
    }
    if (index === text.length) return index
  }
  return into.write(text, at)
}

const SHORT_TEXT = 24

export function rowOf(row: RowParts): TreeEntry {
  const bytes = Buffer.allocUnsafe(packedMax(row))
  const key = row.viewKey.length + ROW_TAIL_BYTES
  const end = writeRow(bytes, 0, row)
  return { key: bytes.subarray(0, key), value: bytes.subarray(key, end) }
}

/** A row, parsed as far as somebody looks. */
export class MapRow implements ReducedRow {
  readonly #entry: TreeEntry
  #key: Json | undefined
  #value: Json | undefined

  constructor(entry: TreeEntry) {
    this.#entry = entry
  }

  get key(): Json {
    if (this.#key === undefined) this.#key = decodeViewKey(this.keyBytes).value
    return this.#key
  }

  get value(): Json {
    if (this.#value === undefined) {
      this.#value = wholeNumber(this.#entry.value) ?? (JSON.parse(this.#json()) as Json)
    }
    return this.#value
  }

  get keyBytes(): Uint8Array {
    return this.#entry.key.subarray(0, this.#entry.key.length - ROW_TAIL_BYTES)
  }

  /** With its number: no two rows of a view have the same. */
  get place(): Uint8Array {
    return this.#entry.key.subarray(this.#entry.key.length - ROW_TAIL_BYTES)
  }

  /** Of its event. */
  get eventPlace(): Uint8Array {
    return this.place.subarray(0, PLACE_BYTES)
  }

  get recorded(): Stamp {
    return readUint64(this.#entry.value, 0)
  }

  #json(): string {
    return toBuffer(this.#entry.value).toString('utf8', STAMP_BYTES)
  }
}

/** A value of a few digits, which most are; undefined for any other. */
function wholeNumber(value: Uint8Array): number | undefined {
  if (value.length === STAMP_BYTES || value.length > STAMP_BYTES + SHORT_DIGITS) return undefined
  let number = 0
  for (let at = STAMP_BYTES; at < value.length; at += 1) {
    const digit = (value[at] ?? 0) - ZERO
    if (digit < 0 || digit > 9) return undefined
    number = number * 10 + digit
  }
  return number
}

const SHORT_DIGITS = 9
const ZERO = 0x30

export interface MapSummary {
  readonly count: number
  readonly firstPlace: Uint8Array
  readonly lastPlace: Uint8Array
  readonly firstRecorded: Stamp
  readonly lastRecorded: Stamp
  readonly digest: Digest
  /** Undefined for a view that has no reducer. */
  readonly reduced: Reduced | undefined
}

type Digest = readonly [number, number, number, number]
export type Reduced = { readonly aggregate: Aggregate } | { readonly fault: string }

const HEAD_BYTES = 4 + 2 * PLACE_BYTES + 2 * STAMP_BYTES + 16

export function mapSummaries(reducer: Reducer | undefined): Summaries<MapSummary> {
  return {
    ofRows: (rows) => summaryOfRows(rows, reducer),
    combine: (parts) => combineSummaries(parts, reducer),
    countOf: ({ count }) => count,
    encode: encodeSummary,
    decode: decodeSummary
  }
}

function summaryOfRows(entries: readonly TreeEntry[], reducer: Reducer | undefined): MapSummary {
  const first = present(entries[0], 'a run has rows')
  // Millions go through here: no objects are made of what is compared.
  let [firstOf, lastOf, earliest, latest] = [first, first, first, first]
  const digest: [number, number, number, number] = [0, 0, 0, 0]
  for (const entry of entries) {
    if (comparePlaces(entry, firstOf) < 0) firstOf = entry
    if (comparePlaces(entry, lastOf) > 0) lastOf = entry
    if (compareRecorded(entry, earliest) < 0) earliest = entry
    if (compareRecorded(entry, latest) > 0) latest = entry
    addToDigest(digest, entry)
  }
  const reduced =
    reducer && guarded(() => reducer.reduce(entries.map((entry) => new MapRow(entry))))
  return {
    count: entries.length,
    firstPlace: new MapRow(firstOf).eventPlace,
    lastPlace: new MapRow(lastOf).eventPlace,
    firstRecorded: new MapRow(earliest).recorded,
    lastRecorded: new MapRow(latest).recorded,
    digest,
    reduced
  }
}

/** Of the events of two rows. */
function comparePlaces({ key: a }: TreeEntry, { key: b }: TreeEntry): number {
  const [fromA, fromB] = [a.length - ROW_TAIL_BYTES, b.length - ROW_TAIL_BYTES]
  for (let at = 0; at < PLACE_BYTES; at += 1) {
    const difference = (a[fromA + at] ?? 0) - (b[fromB + at] ?? 0)
    if (difference !== 0) return difference
  }
  return 0
}

function compareRecorded({ value: a }: TreeEntry, { value: b }: TreeEntry): number {
  for (let at = 0; at < STAMP_BYTES; at += 1) {
    const difference = (a[at] ?? 0) - (b[at] ?? 0)
    if (difference !== 0) return difference
  }
  return 0
}

function combineSummaries(parts: readonly MapSummary[], reducer: Reducer | undefined): MapSummary {
  const first = present(parts[0], 'something to combine')
  if (parts.length === 1) return first
  let { count, firstPlace, lastPlace, firstRecorded, lastRecorded } = first
  const digest: [number, number, number, number] = [...first.digest]
  for (const part of parts.slice(1)) {
    count += part.count
    if (compareBytes(part.firstPlace, firstPlace) < 0) firstPlace = part.firstPlace
    if (compareBytes(part.lastPlace, lastPlace) > 0) lastPlace = part.lastPlace
    if (part.firstRecorded < firstRecorded) firstRecorded = part.firstRecorded
    if (part.lastRecorded > lastRecorded) lastRecorded = part.lastRecorded
    for (const at of WORDS) digest[at] ^= part.digest[at]
  }
  const reduced = reducer && combineReduced(parts, reducer)
  return { count, firstPlace, lastPlace, firstRecorded, lastRecorded, digest, reduced }
}

function combineReduced(parts: readonly MapSummary[], reducer: Reducer): Reduced {
  const aggregates: Aggregate[] = []
  for (const { reduced } of parts) {
    if (reduced === undefined || 'fault' in reduced) return reduced ?? { fault: 'no aggregate' }
    aggregates.push(reduced.aggregate)
  }
  return guarded(() => reducer.combine(aggregates))
}

/** What a user's function throws is a fault of the run. */
function guarded(reduce: () => Aggregate): Reduced {
  try {
    return { aggregate: reduce() }
  } catch (error) {
    return { fault: error instanceof Error ? error.message : 'the reduce function threw' }
  }
}

/** Of a row's key and its value, not of when it was recorded; order and grouping do not matter. */
function addToDigest(digest: [number, number, number, number], { key, value }: TreeEntry): void {
  murmur3Into(ofKey, key, 0)
  murmur3Into(ofValue, value, ofKey[0] ?? 0, STAMP_BYTES)
  for (const at of WORDS) digest[at] ^= (ofKey[at] ?? 0) + (ofValue[at] ?? 0)
}

const WORDS = [0, 1, 2, 3] as const
const ofKey = new Int32Array(4)
const ofValue = new Int32Array(4)

export function digestText(digest: Digest): string {
  return digest.map((word) => (word >>> 0).toString(16).padStart(8, '0')).join('')
}

function encodeSummary(summary: MapSummary): Uint8Array {
  const { reduced } = summary
  const json = reduced === undefined ? '' : JSON.stringify(reduced)
  const bytes = Buffer.allocUnsafe(HEAD_BYTES + Buffer.byteLength(json))
  let at = bytes.writeUInt32BE(summary.count)
  bytes.set(summary.firstPlace, at)
  bytes.set(summary.lastPlace, at + PLACE_BYTES)
  at = writeUint64(bytes, at + 2 * PLACE_BYTES, summary.firstRecorded)
  at = writeUint64(bytes, at, summary.lastRecorded)
  for (const word of summary.digest) at = bytes.writeInt32BE(word | 0, at)
  assert(at === HEAD_BYTES, 'a head has its length')
  bytes.write(json, at)
  return bytes
}

function decodeSummary(encoded: Uint8Array): MapSummary {
  const bytes = toBuffer(encoded)
  const stamps = 4 + 2 * PLACE_BYTES
  const words = stamps + 2 * STAMP_BYTES
  const json = bytes.toString('utf8', HEAD_BYTES)
  return {
    count: bytes.readUInt32BE(),
    firstPlace: bytes.subarray(4, 4 + PLACE_BYTES),
    lastPlace: bytes.subarray(4 + PLACE_BYTES, stamps),
    firstRecorded: readUint64(bytes, stamps),
    lastRecorded: readUint64(bytes, stamps + STAMP_BYTES),
    digest: [
      bytes.readInt32BE(words),
      bytes.readInt32BE(words + 4),
      bytes.readInt32BE(words + 8),
      bytes.readInt32BE(words + 12)
    ],
    reduced: json === '' ? undefined : (JSON.parse(json) as Reduced)
  }
}

function toBuffer(bytes: Uint8Array): Buffer {
  if (bytes instanceof Buffer) return bytes
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
}
