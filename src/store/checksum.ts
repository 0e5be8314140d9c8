/**
 * The 32-bit check that every record carries over its key and its bytes.
 *
 * LevelDB's reads do not look at its own checksums here, so rot in a table would come back as an
 * answer. SHA-256 of a value tells that for a value; this tells it for everything else, and that a
 * record stands under its own key. MurmurHash3 (x86, 32 bits): each step is a bijection, so one
 * changed word is always seen, and it costs 0.04 µs for an event's key and header.
 */

import { wordAt } from '../core/bytes.ts'
import { LaterbaseError } from '../errors.ts'
import { recordName } from './record-name.ts'

export const CHECK_BYTES = 4

/** The check of a record: of its key, and of its bytes from `from` to before `to`. */
export function recordCheck(key: Uint8Array, bytes: Uint8Array, to: number, from = 0): number {
  const ofKey = mix(key, { from: 0, to: key.length }, SEED)
  return finish(mix(bytes, { from, to }, ofKey), key.length + to - from)
}

/** A record's bytes with their check behind them. */
export function seal(key: Uint8Array, bytes: Uint8Array): Buffer {
  const sealed = Buffer.allocUnsafe(bytes.length + CHECK_BYTES)
  sealed.set(bytes)
  sealed.writeUInt32BE(recordCheck(key, bytes, bytes.length), bytes.length)
  return sealed
}

/** A view of the bytes that were sealed; undefined where they, or the key, have changed. */
export function unsealed(key: Uint8Array, sealed: Buffer): Buffer | undefined {
  const end = sealed.length - CHECK_BYTES
  if (end < 0 || sealed.readUInt32BE(end) !== recordCheck(key, sealed, end)) return undefined
  return sealed.subarray(0, end)
}

/** @throws LATERBASE_STORE_CORRUPT */
export function unseal(key: Uint8Array, sealed: Buffer): Buffer {
  return unsealed(key, sealed) ?? refuse(key)
}

function refuse(key: Uint8Array): never {
  const { name, facts } = recordName(key)
  throw new LaterbaseError('LATERBASE_STORE_CORRUPT', `${name} does not match its checksum`, {
    facts
  })
}

/** Not 0: a record of zeros must not pass. */
const SEED = 0x1a7e_5eed
const C1 = 0xcc9e2d51
const C2 = 0x1b873593

function mix(
  bytes: Uint8Array,
  { from, to }: { readonly from: number; readonly to: number },
  seed: number
): number {
  let hash = seed
  const whole = to - ((to - from) & 3)
  for (let at = from; at < whole; at += 4) {
    hash = step(hash, wordAt(bytes, at))
  }
  if (whole === to) return hash
  let rest = 0
  for (let at = to - 1; at >= whole; at -= 1) rest = (rest << 8) | (bytes[at] ?? 0)
  return step(hash, rest)
}

function step(hash: number, word: number): number {
  const scrambled = Math.imul(word, C1)
  const turned = hash ^ Math.imul((scrambled << 15) | (scrambled >>> 17), C2)
  return (Math.imul((turned << 13) | (turned >>> 19), 5) + 0xe6546b64) | 0
}

function finish(mixed: number, length: number): number {
  let hash = mixed ^ length
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return (hash ^ (hash >>> 16)) >>> 0
}
