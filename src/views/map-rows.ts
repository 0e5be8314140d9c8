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
import { compareBytes } from '../core/bytes.ts'
import type { Stamp } from '../core/hybrid-logical-clock.ts'
import type { Json } from '../core/json.ts'
import { decodeViewKey } from '../core/views/collation.ts'
import { murmur3 } from '../core/views/murmur3.ts'
import type { Aggregate, ReducedRow, Reducer } from '../core/views/reducers.ts'
import type { Summaries, TreeEntry } from '../core/views/row-tree.ts'
import { PLACE_BYTES } from './view-index.ts'

const NUMBER_BYTES = 2
/** Rows of one event. */
export const EVENT_ROWS_MAX = 2 ** (8 * NUMBER_BYTES)
/** Bytes of a row's key behind the view key. */
export const ROW_TAIL_BYTES = PLACE_BYTES + NUMBER_BYTES
const STAMP_BYTES = 8

export function rowKey(viewKey: Uint8Array, place: Uint8Array, number: number): Uint8Array {
  assert(number < EVENT_ROWS_MAX, 'the number of a row fits its bytes')
  const bytes = Buffer.allocUnsafe(viewKey.length + ROW_TAIL_BYTES)
  bytes.set(viewKey)
  bytes.set(place, viewKey.length)
  bytes[viewKey.length + PLACE_BYTES] = number >> 8
  bytes[viewKey.length + PLACE_BYTES + 1] = number & 0xff
  return bytes
}

export function rowValue(recorded: Stamp, json: string): Uint8Array {
  const bytes = Buffer.allocUnsafe(STAMP_BYTES + Buffer.byteLength(json))
  bytes.writeBigUInt64BE(recorded)
  bytes.write(json, STAMP_BYTES)
  return bytes
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
    if (this.#value === undefined) this.#value = JSON.parse(this.#json()) as Json
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
    return toBuffer(this.#entry.value).readBigUInt64BE()
  }

  #json(): string {
    return toBuffer(this.#entry.value).toString('utf8', STAMP_BYTES)
  }
}

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
    encode: encodeSummary,
    decode: decodeSummary
  }
}

function summaryOfRows(entries: readonly TreeEntry[], reducer: Reducer | undefined): MapSummary {
  const rows = entries.map((entry) => new MapRow(entry))
  const first = present(rows[0], 'a run has rows')
  let [firstPlace, lastPlace] = [first.eventPlace, first.eventPlace]
  let [firstRecorded, lastRecorded] = [first.recorded, first.recorded]
  const digest: [number, number, number, number] = [0, 0, 0, 0]
  for (const [index, row] of rows.entries()) {
    const { eventPlace, recorded } = row
    if (compareBytes(eventPlace, firstPlace) < 0) firstPlace = eventPlace
    if (compareBytes(eventPlace, lastPlace) > 0) lastPlace = eventPlace
    if (recorded < firstRecorded) firstRecorded = recorded
    if (recorded > lastRecorded) lastRecorded = recorded
    addToDigest(digest, present(entries[index], 'one entry a row'))
  }
  const reduced = reducer && guarded(() => reducer.reduce(rows))
  return { count: rows.length, firstPlace, lastPlace, firstRecorded, lastRecorded, digest, reduced }
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
    for (const at of [0, 1, 2, 3] as const) digest[at] ^= part.digest[at]
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
  const ofKey = murmur3(key, 0)
  const ofValue = murmur3(value.subarray(STAMP_BYTES), ofKey[0])
  for (const at of [0, 1, 2, 3] as const) digest[at] ^= (ofKey[at] + ofValue[at]) | 0
}

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
  at = bytes.writeBigUInt64BE(summary.firstRecorded, at + 2 * PLACE_BYTES)
  at = bytes.writeBigUInt64BE(summary.lastRecorded, at)
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
    firstRecorded: bytes.readBigUInt64BE(stamps),
    lastRecorded: bytes.readBigUInt64BE(stamps + STAMP_BYTES),
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
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
}
