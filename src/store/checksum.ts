/**
 * The 32-bit check that every record carries over its key and its bytes, in its last four bytes.
 *
 * LevelDB's reads do not look at its own checksums here, so rot in a table would come back as an
 * answer. This tells it, and that a record stands under its own key. It does not tell intent: that is
 * the commit's hash.
 */

import { LaterbaseError } from '../errors.ts'
import { recordName } from './record-name.ts'
import { xxh32 } from './xxh32.ts'

export const CHECK_BYTES = 4

/** The check of a record: of its key, and of its bytes to before `to`. */
export function recordCheck(key: Uint8Array, bytes: Uint8Array, to: number): number {
  return xxh32(joined(key, bytes), 0, key.length + to)
}

/** A record's bytes with their check behind them. */
export function seal(key: Uint8Array, bytes: Uint8Array): Buffer {
  const sealed = Buffer.allocUnsafe(bytes.length + CHECK_BYTES)
  sealed.set(bytes)
  sealed.writeUInt32BE(recordCheck(key, bytes, bytes.length), bytes.length)
  return sealed
}

/** Whether a record's key and bytes are those that were sealed. */
export function isSealed(key: Uint8Array, sealed: Uint8Array): boolean {
  const end = key.length + sealed.length - CHECK_BYTES
  if (end < key.length) return false
  return isSealedAt(joined(key, sealed), 0, end + CHECK_BYTES)
}

/** Whether the check at the end of key and bytes, one behind the other, is theirs. */
export function isSealedAt(view: DataView, from: number, to: number): boolean {
  return xxh32(view, from, to - CHECK_BYTES) === view.getUint32(to - CHECK_BYTES)
}

/** A view of the bytes that were sealed; undefined where they, or the key, have changed. */
export function unsealed(key: Uint8Array, sealed: Buffer): Buffer | undefined {
  return isSealed(key, sealed) ? sealed.subarray(0, sealed.length - CHECK_BYTES) : undefined
}

/** @throws LATERBASE_STORE_CORRUPT */
export function unseal(key: Uint8Array, sealed: Buffer): Buffer {
  return unsealed(key, sealed) ?? refuse(key)
}

/** @throws LATERBASE_STORE_CORRUPT */
export function refuse(key: Uint8Array): never {
  const { name, facts } = recordName(key)
  throw new LaterbaseError('LATERBASE_STORE_CORRUPT', `${name} does not match its checksum`, {
    facts
  })
}

/**
 * The key and the bytes one behind the other, to be used before the next call: copied, as a view of
 * where LevelDB has put a record costs more than its copy.
 */
function joined(key: Uint8Array, bytes: Uint8Array): DataView {
  const length = key.length + bytes.length
  const into = length <= JOINED_BYTES ? JOINED : new Uint8Array(length)
  into.set(key)
  into.set(bytes, key.length)
  return into === JOINED ? JOINED_VIEW : new DataView(into.buffer)
}

/** Nearly every record is shorter; the others get room of their own. */
const JOINED_BYTES = 16_384
const JOINED = new Uint8Array(JOINED_BYTES)
const JOINED_VIEW = new DataView(JOINED.buffer)
