/**
 * The on-disk layout, format 1: keys begin with one byte that names the kind of record, numbers
 * are big-endian so that byte order is their order. README.md beside this file is the description
 * for people; a change of either is a new format.
 *
 * Records are sealed with their check (`checksum.ts`) when they are put, and unsealed when they are
 * read; what is encoded and decoded here is what is between. An event's: `event-record.ts`.
 */

import { NONCE_BYTES } from '../../protocols/commit/codec.ts'
import { assert } from '../core/assert.ts'
import { logOrigin } from '../core/commit.ts'
import { eventKey } from '../core/event-key.ts'
import type { Hasher } from '../core/clock.ts'
import type { EventKey } from '../core/event-key.ts'
import type { Stamp } from '../core/hybrid-logical-clock.ts'
import { recordCheck } from './checksum.ts'
import type { Occurrence, StoredCommit, StoredEvent, StoredLog } from './event-store.ts'
import { KIND } from './record-name.ts'

export const STORE_FORMAT = 1

/** Who a store is: written when it is made, opened, or begins another own log. */
export interface StoreIdentity {
  readonly format: number
  readonly incarnation: string
  readonly nonce: Uint8Array
  /** Changes with every opening: see marker.ts. */
  readonly epoch: string
}

/** What every batch writes anew. */
export interface StoreCounters {
  readonly eventCount: number
  readonly arrival: number
  readonly clockCeiling: Stamp
  readonly highestKey: EventKey | undefined
}

export const IDENTITY_KEY = Buffer.from([KIND.meta, 0x69])
export const COUNTERS_KEY = Buffer.from([KIND.meta, 0x63])

/** JSON, so that a version of any other format can say what it found; its check is a member. */
export function encodeIdentity(identity: StoreIdentity): Buffer {
  const { format, incarnation, epoch } = identity
  const nonce = Buffer.from(identity.nonce).toString('hex')
  const check = identityCheck(`${incarnation} ${nonce} ${epoch}`)
  return Buffer.from(JSON.stringify({ format, incarnation, nonce, epoch, check }))
}

export function decodeIdentity(bytes: Buffer): StoreIdentity {
  const fields = JSON.parse(bytes.toString()) as Record<string, unknown>
  const { format, incarnation, nonce, epoch, check } = fields
  assert(typeof format === 'number' && typeof incarnation === 'string', 'a store identity')
  const bytesOfNonce = Buffer.from(String(nonce), 'hex')
  if (format === STORE_FORMAT) {
    // Another nonce would silently make another log of the node.
    assert(bytesOfNonce.length === NONCE_BYTES, 'a nonce has 16 bytes')
    const told = identityCheck(`${incarnation} ${String(nonce)} ${String(epoch)}`)
    assert(check === told, 'an identity matches its check')
  }
  return { format, incarnation, nonce: bytesOfNonce, epoch: String(epoch) }
}

function identityCheck(text: string): number {
  const bytes = Buffer.from(text)
  return recordCheck(IDENTITY_KEY, bytes, bytes.length)
}

export function encodeCounters(counters: StoreCounters): Buffer {
  const bytes = Buffer.alloc(counters.highestKey === undefined ? 20 : 36)
  bytes.writeUIntBE(counters.eventCount, 0, 6)
  bytes.writeUIntBE(counters.arrival, 6, 6)
  bytes.writeBigUInt64BE(counters.clockCeiling, 12)
  if (counters.highestKey !== undefined) bytes.set(counters.highestKey, 20)
  return bytes
}

export function decodeCounters(bytes: Buffer): StoreCounters {
  return {
    eventCount: bytes.readUIntBE(0, 6),
    arrival: bytes.readUIntBE(6, 6),
    clockCeiling: bytes.readBigUInt64BE(12),
    highestKey: bytes.length > 20 ? eventKey(bytes.subarray(20, 36)) : undefined
  }
}

/** The record that answers for a key: the event with the lowest content hash. */
export function eventRecordKey(key: EventKey): Buffer {
  const bytes = Buffer.allocUnsafe(EVENT_KEY_BYTES)
  bytes[0] = KIND.event
  bytes.set(key, 1)
  return bytes
}

/** Another content of the same key; sorts right behind it, by content hash. */
export function alternateRecordKey(key: EventKey, hash: Uint8Array): Buffer {
  return Buffer.concat([eventRecordKey(key), hash])
}

export function isAlternate(recordKey: Buffer): boolean {
  return recordKey.length > EVENT_KEY_BYTES
}

export function keyOfRecord(recordKey: Buffer): EventKey {
  return eventKey(recordKey.subarray(1, EVENT_KEY_BYTES))
}

/** Bounds of all event records from `from` to before `to`. */
export function eventRecordRange(from?: EventKey, to?: EventKey): { gte: Buffer; lt: Buffer } {
  return {
    gte: from === undefined ? Buffer.from([KIND.event]) : eventRecordKey(from),
    lt: to === undefined ? Buffer.from([KIND.event + 1]) : eventRecordKey(to)
  }
}

/** A key as a map key: one character a byte, cheaper than its ULID text. */
export function keyText(key: EventKey): string {
  return bytesText(key)
}

/** A content hash as a map key. */
export function hashText(hash: Uint8Array): string {
  return bytesText(hash)
}

function bytesText(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1')
}

export function commitRecordKey(log: number, firstSeq: number): Buffer {
  const bytes = Buffer.allocUnsafe(11)
  bytes[0] = KIND.commit
  bytes.writeUInt32BE(log, 1)
  bytes.writeUIntBE(firstSeq, 5, 6)
  return bytes
}

export function encodeCommitRecord(commit: StoredCommit): Buffer {
  const bytes = Buffer.allocUnsafe(COMMIT_HEADER_BYTES + 16 * commit.keys.length)
  bytes.writeUIntBE(commit.arrival, 0, 6)
  bytes.writeBigUInt64BE(commit.recorded, 6)
  bytes.set(commit.previous, 14)
  bytes.set(commit.hash, 46)
  bytes.set(commit.signature, 78)
  bytes.writeUInt32BE(commit.bytes, 142)
  commit.keys.forEach((key, index) => bytes.set(key, COMMIT_HEADER_BYTES + 16 * index))
  return bytes
}

/** The keys are views of the record. */
export function decodeCommitRecord(recordKey: Buffer, bytes: Buffer): StoredCommit {
  const keys: EventKey[] = []
  for (let at = COMMIT_HEADER_BYTES; at < bytes.length; at += 16) {
    keys.push(eventKey(bytes.subarray(at, at + 16)))
  }
  return {
    log: recordKey.readUInt32BE(1),
    firstSeq: recordKey.readUIntBE(5, 6),
    arrival: bytes.readUIntBE(0, 6),
    recorded: bytes.readBigUInt64BE(6),
    previous: bytes.subarray(14, 46),
    hash: bytes.subarray(46, 78),
    signature: bytes.subarray(78, 142),
    bytes: bytes.readUInt32BE(142),
    keys
  }
}

export function arrivalRecordKey(arrival: number): Buffer {
  const bytes = Buffer.allocUnsafe(7)
  bytes[0] = KIND.arrival
  bytes.writeUIntBE(arrival, 1, 6)
  return bytes
}

/** A place in a log: log number and sequence number. */
export function encodePlace(place: Occurrence): Buffer {
  const bytes = Buffer.allocUnsafe(LOG_PLACE_BYTES)
  bytes.writeUInt32BE(place.log, 0)
  bytes.writeUIntBE(place.seq, 4, 6)
  return bytes
}

/** Of records whose key says everything. */
export const NO_VALUE = Buffer.alloc(0)

export function decodePlace(bytes: Buffer): Occurrence {
  return { log: bytes.readUInt32BE(0), seq: bytes.readUIntBE(4, 6) }
}

export function occurrenceRecordKey(event: EventIdentity, place: Occurrence): Buffer {
  return Buffer.concat([occurrencePrefix(event), encodePlace(place)])
}

/** Around all places of an event but for the first. */
export function occurrenceRange(event: EventIdentity): { gte: Buffer; lte: Buffer } {
  const prefix = occurrencePrefix(event)
  return { gte: prefix, lte: Buffer.concat([prefix, Buffer.alloc(LOG_PLACE_BYTES, 0xff)]) }
}

export function placeOfRecord(recordKey: Buffer): Occurrence {
  const at = recordKey.length - LOG_PLACE_BYTES
  return { log: recordKey.readUInt32BE(at), seq: recordKey.readUIntBE(at + 4, 6) }
}

type EventIdentity = Pick<StoredEvent, 'key' | 'hash'>

function occurrencePrefix({ key, hash }: EventIdentity): Buffer {
  return Buffer.concat([Buffer.from([KIND.occurrence]), key, hash])
}

/** A key with several contents; its value is the hash of the one that came first. */
export function conflictRecordKey(key: EventKey): Buffer {
  return Buffer.concat([Buffer.from([KIND.conflict]), key])
}

/** What stands at a place, if it is not what came first of its key: the value is its hash. */
export function contentRecordKey(place: Occurrence): Buffer {
  return Buffer.concat([Buffer.from([KIND.content]), encodePlace(place)])
}

export function logRecordKey(log: number): Buffer {
  const bytes = Buffer.allocUnsafe(5)
  bytes[0] = KIND.log
  bytes.writeUInt32BE(log, 1)
  return bytes
}

export function encodeLogRecord({ tip, fork }: StoredLog): Buffer {
  const bytes = Buffer.allocUnsafe(LOG_RECORD_BYTES)
  bytes.set(tip.origin.genesis.publicKey, 0)
  bytes.set(tip.origin.genesis.nonce, 32)
  bytes.writeUIntBE(tip.seq, 48, 6)
  bytes.set(tip.hash, 54)
  bytes.writeBigUInt64BE(tip.recorded, 86)
  bytes.writeUInt32BE(fork?.parent ?? NO_PARENT, 94)
  bytes.writeUIntBE(fork?.seq ?? 0, 98, 6)
  return bytes
}

export function decodeLogRecord(bytes: Buffer, context: LogContext): StoredLog {
  assert(bytes.length === LOG_RECORD_BYTES, 'a log record of format 1')
  const genesis = {
    publicKey: bytes.subarray(0, 32),
    nonce: bytes.subarray(32, 48),
    database: context.database
  }
  const parent = bytes.readUInt32BE(94)
  return {
    number: context.number,
    tip: {
      origin: logOrigin(genesis, context.hasher),
      seq: bytes.readUIntBE(48, 6),
      hash: bytes.subarray(54, 86),
      recorded: bytes.readBigUInt64BE(86)
    },
    fork: parent === NO_PARENT ? undefined : { parent, seq: bytes.readUIntBE(98, 6) }
  }
}

export interface LogContext {
  readonly number: number
  readonly database: string
  readonly hasher: Hasher
}

/** Of the record that answers for a key. */
export const EVENT_KEY_BYTES = 17
const COMMIT_HEADER_BYTES = 146
const LOG_PLACE_BYTES = 10
const LOG_RECORD_BYTES = 104
const NO_PARENT = 0xffffffff
