/**
 * The record of an event, format 1 (README.md beside this file): how it is written, and what is read of it.
 * Its check is that of every record and behind it, `checksum.ts`; its key's layout is in `key-layout.ts`.
 */

import { readUint64 } from '../core/bytes.ts'
import type { Hasher } from '../core/clock.ts'
import type { EventKey } from '../core/event-key.ts'
import type { Stamp } from '../core/hybrid-logical-clock.ts'
import { CHECK_BYTES, isSealed, refuse } from './checksum.ts'
import { HASH_HEAD_BYTES } from './event-store.ts'
import type { StoredEvent } from './event-store.ts'
import { EVENT_KEY_BYTES, isAlternate, keyOfRecord } from './key-layout.ts'
import { KIND } from './record-name.ts'
import { xxh32 } from './xxh32.ts'

/** What is written of an event besides its value. */
export type EventHeader = Omit<StoredEvent, 'value' | 'hashHead'>

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

/** Its bytes are views of the record; undefined where key or record are not as they were written. */
export function readEventRecord(
  recordKey: Buffer,
  record: Buffer,
  hasher: Hasher
): StoredEvent | undefined {
  return isWritten(recordKey, record) ? new EventRecord(recordKey, record, hasher) : undefined
}

/** As `readEventRecord`, and the value compared with its hash at once: for those who look for rot. */
export function intactEvent(
  recordKey: Buffer,
  record: Buffer,
  hasher: Hasher
): StoredEvent | undefined {
  if (!isWritten(recordKey, record)) return undefined
  const event = new EventRecord(recordKey, record, hasher)
  return event.hasItsHash() ? event : undefined
}

/** No event is without a value. */
function isWritten(recordKey: Buffer, record: Buffer): boolean {
  return record.length > RECORD_BYTES && isSealed(recordKey, record)
}

/** A class, because hundreds of thousands are read at once, of which few members are looked at. */
class EventRecord implements StoredEvent {
  readonly key: EventKey
  readonly value: Uint8Array
  readonly #recordKey: Buffer
  readonly #record: Buffer
  readonly #hasher: Hasher
  #hash: Uint8Array | undefined

  constructor(recordKey: Buffer, record: Buffer, hasher: Hasher) {
    this.key = keyOfRecord(recordKey)
    this.value = record.subarray(EVENT_HEADER_BYTES, record.length - CHECK_BYTES)
    this.#recordKey = recordKey
    this.#record = record
    this.#hasher = hasher
  }

  get log(): number {
    return this.#record.readUInt32BE(LOG_AT)
  }

  get seq(): number {
    return this.#record.readUIntBE(SEQ_AT, 6)
  }

  get recorded(): Stamp {
    return readUint64(this.#record, RECORDED_AT)
  }

  get conflict(): boolean {
    return isContested(this.#record)
  }

  get repeated(): boolean {
    return ((this.#record[0] ?? 0) & FLAG_REPEATED) !== 0
  }

  get alternate(): boolean {
    return isAlternate(this.#recordKey)
  }

  get hashHead(): Uint8Array {
    return this.#record.subarray(HASH_AT, HASH_AT + HASH_HEAD_BYTES)
  }

  get hash(): Uint8Array {
    this.#hash ??= this.#comparedHash() ?? refuse(this.#recordKey)
    return this.#hash
  }

  hasItsHash(): boolean {
    this.#hash ??= this.#comparedHash()
    return this.#hash !== undefined
  }

  /** Undefined where it does not begin as the one that was stored. */
  #comparedHash(): Uint8Array | undefined {
    const hash = this.#hasher.sha256(this.value)
    for (let index = 0; index < HASH_HEAD_BYTES; index += 1) {
      if (hash[index] !== this.#record[HASH_AT + index]) return undefined
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
