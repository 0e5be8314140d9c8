/**
 * The record of an event, format 1 (README.md beside this file): how it is written, and what is read of it.
 * Its check is that of every record and behind it, `checksum.ts`; its key's layout is in `key-layout.ts`.
 */

import { readUint64 } from '../core/bytes.ts'
import type { Hasher } from '../core/clock.ts'
import { KEY_BYTES, eventKey } from '../core/event-key.ts'
import type { EventKey } from '../core/event-key.ts'
import type { Stamp } from '../core/hybrid-logical-clock.ts'
import { CHECK_BYTES, isSealed, isSealedAt, refuse } from './checksum.ts'
import { HASH_HEAD_BYTES, PLACE_BYTES } from './event-store.ts'
import type { StoredEvent } from './event-store.ts'
import { EVENT_KEY_BYTES } from './key-layout.ts'
import { READ_PIECE_BYTES } from './limits.ts'
import { KIND } from './record-name.ts'
import { xxh32 } from './xxh32.ts'

/** What is written of an event besides its value. */
export type EventHeader = Omit<StoredEvent, 'value' | 'text' | 'place'>

export interface RecordPut {
  readonly key: Buffer
  readonly value: Buffer
}

/** Bytes that an event's record takes with its key. */
export function eventRecordBytes(value: Uint8Array, alternate = false): number {
  return EVENT_KEY_BYTES + (alternate ? HASH_BYTES : 0) + RECORD_BYTES + value.length
}

/**
 * Room for the records of many events, each behind its key: one allocation for all of them, and the
 * check is made where they are.
 */
export class EventSlab {
  readonly #bytes: Buffer
  readonly #view: DataView
  #at = 0

  /** @param length of `eventRecordBytes` of all of them */
  constructor(length: number) {
    this.#bytes = Buffer.allocUnsafe(length)
    this.#view = new DataView(this.#bytes.buffer, this.#bytes.byteOffset, length)
  }

  /** @returns views of the slab */
  add(header: EventHeader, value: Uint8Array): RecordPut {
    const [bytes, view, keyAt] = [this.#bytes, this.#view, this.#at]
    bytes[keyAt] = KIND.event
    bytes.set(header.key, keyAt + 1)
    if (header.alternate) bytes.set(header.hash, keyAt + EVENT_KEY_BYTES)
    const at = keyAt + EVENT_KEY_BYTES + (header.alternate ? HASH_BYTES : 0)
    bytes[at] = (header.conflict ? FLAG_CONFLICT : 0) | (header.repeated ? FLAG_REPEATED : 0)
    view.setUint32(at + LOG_AT, header.log)
    bytes.writeUIntBE(header.seq, at + SEQ_AT, 6)
    view.setBigUint64(at + RECORDED_AT, header.recorded)
    // Byte by byte: cheaper than a call.
    for (let index = 0; index < HASH_HEAD_BYTES; index += 1) {
      bytes[at + HASH_AT + index] = header.hash[index] ?? 0
    }
    bytes.set(value, at + EVENT_HEADER_BYTES)
    const end = at + EVENT_HEADER_BYTES + value.length
    view.setUint32(end, xxh32(view, keyAt, end))
    this.#at = end + CHECK_BYTES
    return { key: bytes.subarray(keyAt, at), value: bytes.subarray(at, this.#at) }
  }
}

/** The record of one event, in room of its own. */
export function eventPut(header: EventHeader, value: Uint8Array): RecordPut {
  return new EventSlab(eventRecordBytes(value, header.alternate)).add(header, value)
}

/** Whether an event's record says that its key has several contents. */
export function isContested(record: Buffer): boolean {
  return ((record[0] ?? 0) & FLAG_CONFLICT) !== 0
}

/** The value in a record, intact or not: a view of it. */
export function valueOfRecord(record: Buffer): Buffer {
  return record.subarray(
    EVENT_HEADER_BYTES,
    Math.max(EVENT_HEADER_BYTES, record.length - CHECK_BYTES)
  )
}

/** A record as LevelDB gives it, with its key. */
export type ReadRecord = readonly [recordKey: Buffer, record: Buffer]

/** As `readEventRecords`, of one. */
export function readEventRecord(
  recordKey: Buffer,
  record: Buffer,
  hasher: Hasher
): StoredEvent | undefined {
  return readEventRecords([[recordKey, record]], hasher)[0]
}

/**
 * In their order; undefined where key or record are not as they were written.
 *
 * Their bytes are copied, several into one piece of memory: views of what LevelDB gives cost more. Whoever keeps
 * one event keeps its piece, so pieces are small, and a large record stays where it is.
 */
export function readEventRecords(
  records: readonly ReadRecord[],
  hasher: Hasher
): (StoredEvent | undefined)[] {
  const pieces = new Pieces(records)
  return records.map(([recordKey, record]) => {
    // No event is without a value.
    if (record.length <= RECORD_BYTES) return undefined
    if (recordKey.length + record.length > READ_PIECE_BYTES / 2) {
      const isWritten = isSealed(recordKey, record)
      return isWritten ? new EventRecord(aloneAt(recordKey, record), hasher) : undefined
    }
    const at = pieces.add(recordKey, record)
    const isWritten = isSealedAt(pieces.view, at.keyAt, at.end)
    return isWritten ? new EventRecord(at, hasher) : undefined
  })
}

/** Records side by side, each behind its key. */
export interface PackedRecords {
  readonly bytes: Uint8Array<ArrayBuffer>
  /** Of each record where its key ends, and where it ends. */
  readonly ends: Uint32Array<ArrayBuffer>
}

export function packedCount({ ends }: PackedRecords): number {
  return ends.length / 2
}

/** A copy. */
export function packedKey({ bytes, ends }: PackedRecords, index: number): Buffer {
  return Buffer.from(bytes.subarray(ends[2 * index - 1] ?? 0, ends[2 * index]))
}

/** As `readEventRecords`, of those from one to before another. */
export function readPackedRecords(
  packed: PackedRecords,
  { from, to, hasher }: { readonly from: number; readonly to: number; readonly hasher: Hasher }
): (StoredEvent | undefined)[] {
  const { bytes, ends } = packed
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  const endOf = (index: number): number => ends[2 * index + 1] ?? 0
  const events: (StoredEvent | undefined)[] = []
  for (let index = from; index < to;) {
    const begin = endOf(index - 1)
    let last = index
    while (last + 1 < to && endOf(last + 1) - begin <= READ_PIECE_BYTES) last += 1
    const piece = Buffer.allocUnsafeSlow(endOf(last) - begin)
    piece.set(bytes.subarray(begin, endOf(last)))
    for (; index <= last; index += 1) {
      const [keyAt, at, end] = [endOf(index - 1), ends[2 * index] ?? 0, endOf(index)]
      // No event is without a value.
      const isWritten = end - at > RECORD_BYTES && isSealedAt(view, keyAt, end)
      const where = { keyAt: keyAt - begin, keyEnd: at - begin, at: at - begin, end: end - begin }
      const record = { keys: piece, bytes: piece, ...where }
      events.push(isWritten ? new EventRecord(record, hasher) : undefined)
    }
  }
  return events
}

/** As `readEventRecord`, and the value compared with its hash at once: for those who look for rot. */
export function intactEvent(
  recordKey: Buffer,
  record: Buffer,
  hasher: Hasher
): StoredEvent | undefined {
  const event = readEventRecord(recordKey, record, hasher)
  return event instanceof EventRecord && event.hasItsHash() ? event : undefined
}

/** Where a record and its key are. */
interface RecordBytes {
  readonly keys: Buffer
  readonly keyAt: number
  readonly keyEnd: number
  readonly bytes: Buffer
  readonly at: number
  readonly end: number
}

function aloneAt(keys: Buffer, bytes: Buffer): RecordBytes {
  return { keys, keyAt: 0, keyEnd: keys.length, bytes, at: 0, end: bytes.length }
}

/** Room for records that are read together. */
class Pieces {
  /** Of the piece that was added to last. */
  view: DataView = new DataView(NO_BYTES.buffer)
  #left = 0
  #bytes: Buffer = NO_BYTES
  #end = 0

  constructor(records: readonly ReadRecord[]) {
    for (const [recordKey, record] of records) this.#left += recordKey.length + record.length
  }

  /** @returns where they are, one behind the other */
  add(recordKey: Buffer, record: Buffer): RecordBytes {
    const length = recordKey.length + record.length
    if (this.#end + length > this.#bytes.length) this.#begin()
    this.#left -= length
    const bytes = this.#bytes
    const keyAt = this.#end
    const at = keyAt + recordKey.length
    this.#end = at + record.length
    bytes.set(recordKey, keyAt)
    bytes.set(record, at)
    return { keys: bytes, keyAt, keyEnd: at, bytes, at, end: this.#end }
  }

  #begin(): void {
    this.#bytes = Buffer.allocUnsafeSlow(Math.min(this.#left, READ_PIECE_BYTES))
    this.view = new DataView(this.#bytes.buffer)
    this.#end = 0
  }
}

const NO_BYTES = Buffer.alloc(0)

/** A class, because hundreds of thousands are read at once, of which few members are looked at. */
class EventRecord implements StoredEvent {
  readonly #keys: Buffer
  readonly #keyAt: number
  readonly #keyEnd: number
  readonly #bytes: Buffer
  readonly #at: number
  readonly #end: number
  readonly #hasher: Hasher
  #key: EventKey | undefined
  #value: Uint8Array | undefined
  #hash: Uint8Array | undefined

  constructor({ keys, keyAt, keyEnd, bytes, at, end }: RecordBytes, hasher: Hasher) {
    this.#keys = keys
    this.#keyAt = keyAt
    this.#keyEnd = keyEnd
    this.#bytes = bytes
    this.#at = at
    this.#end = end
    this.#hasher = hasher
  }

  get key(): EventKey {
    const begin = this.#keyAt + 1
    this.#key ??= eventKey(this.#keys.subarray(begin, begin + KEY_BYTES))
    return this.#key
  }

  get value(): Uint8Array {
    this.#value ??= this.#bytes.subarray(this.#at + EVENT_HEADER_BYTES, this.#end - CHECK_BYTES)
    return this.#value
  }

  text(): string {
    return this.#bytes.toString('utf8', this.#at + EVENT_HEADER_BYTES, this.#end - CHECK_BYTES)
  }

  /** Byte by byte: cheaper than a call. */
  get place(): Uint8Array {
    const place = new Uint8Array(PLACE_BYTES)
    const [keyAt, headAt] = [this.#keyAt + 1, this.#at + HASH_AT - KEY_BYTES]
    for (let index = 0; index < KEY_BYTES; index += 1) place[index] = this.#keys[keyAt + index] ?? 0
    for (let index = KEY_BYTES; index < PLACE_BYTES; index += 1) {
      place[index] = this.#bytes[headAt + index] ?? 0
    }
    return place
  }

  get log(): number {
    return this.#bytes.readUInt32BE(this.#at + LOG_AT)
  }

  get seq(): number {
    return this.#bytes.readUIntBE(this.#at + SEQ_AT, 6)
  }

  get recorded(): Stamp {
    return readUint64(this.#bytes, this.#at + RECORDED_AT)
  }

  get conflict(): boolean {
    return (this.#flags & FLAG_CONFLICT) !== 0
  }

  get repeated(): boolean {
    return (this.#flags & FLAG_REPEATED) !== 0
  }

  get alternate(): boolean {
    return this.#keyEnd - this.#keyAt > EVENT_KEY_BYTES
  }

  get hash(): Uint8Array {
    this.#hash ??= this.#comparedHash() ?? refuse(this.#keys.subarray(this.#keyAt, this.#keyEnd))
    return this.#hash
  }

  hasItsHash(): boolean {
    this.#hash ??= this.#comparedHash()
    return this.#hash !== undefined
  }

  get #flags(): number {
    return this.#bytes[this.#at] ?? 0
  }

  /** Undefined where it does not begin as the one that was stored. */
  #comparedHash(): Uint8Array | undefined {
    const hash = this.#hasher.sha256(this.value)
    for (let index = 0; index < HASH_HEAD_BYTES; index += 1) {
      if (hash[index] !== this.#bytes[this.#at + HASH_AT + index]) return undefined
    }
    return hash
  }
}

const HASH_BYTES = 32
const LOG_AT = 1
const SEQ_AT = 5
const RECORDED_AT = 11
const HASH_AT = 19
export const EVENT_HEADER_BYTES = HASH_AT + HASH_HEAD_BYTES
/** All of a record but the value. */
const RECORD_BYTES = EVENT_HEADER_BYTES + CHECK_BYTES
const FLAG_CONFLICT = 1
const FLAG_REPEATED = 2
