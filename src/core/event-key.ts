/**
 * Event keys: 16-byte ULIDs whose time is when the event happened.
 *
 * The `ulid` package gives the bounds and the UUID alias, and is what tests compare the text form
 * with. Minting is ours, because the package's monotonic factory stamps a past time with now, and
 * its plain one costs a system call per character; so are the bytes, because it knows only text.
 */

import { TIME_MAX, uuidToULID } from 'ulid'

import { assert } from './assert.ts'
import type { Hasher, Rng } from './clock.ts'

export type EventKey = Uint8Array & { readonly brand: 'EventKey' }

export const KEY_BYTES = 16
export const KEY_TEXT_LENGTH = 26
/** 2^48 - 1 ms: the year 10889. */
export const KEY_TIME_MS_MAX = TIME_MAX

/** The key of 16 bytes; any 16 bytes are a ULID. The bytes are not copied. */
export function eventKey(bytes: Uint8Array): EventKey {
  assert(bytes.length === KEY_BYTES, 'a key has 16 bytes')
  return bytes as EventKey
}

/** A key from ULID text (26 characters, either case) or UUIDv7 text; undefined for anything else. */
export function parseEventKey(text: string): EventKey | undefined {
  if (text.length === KEY_TEXT_LENGTH) return parseUlid(text)
  if (UUID_V7.test(text)) return parseUlid(uuidToULID(text))
  return undefined
}

/** Upper-case ULID text. */
export function formatEventKey(key: EventKey): string {
  // 128 bits are 26 groups of 5 after 2 leading zero bits; five bytes make eight characters.
  let text = (ENCODE[byteAt(key, 0) >> 5] ?? '') + (ENCODE[byteAt(key, 0) & 31] ?? '')
  for (let at = 1; at < KEY_BYTES; at += 5) {
    const high = (byteAt(key, at) << 12) | (byteAt(key, at + 1) << 4) | (byteAt(key, at + 2) >> 4)
    const low =
      ((byteAt(key, at + 2) & 15) << 16) | (byteAt(key, at + 3) << 8) | byteAt(key, at + 4)
    text += (PAIRS[high >> 10] ?? '') + (PAIRS[high & 1023] ?? '')
    text += (PAIRS[low >> 10] ?? '') + (PAIRS[low & 1023] ?? '')
  }
  return text
}

/** When the event happened, ms since 1970. */
export function keyTimeMs(key: EventKey): number {
  return (
    byteAt(key, 0) * 2 ** 40 +
    byteAt(key, 1) * 2 ** 32 +
    byteAt(key, 2) * 2 ** 24 +
    ((byteAt(key, 3) << 16) | (byteAt(key, 4) << 8) | byteAt(key, 5))
  )
}

/** The lowest key of a time: the lower bound of a range of time. */
export function lowestKeyAt(timeMs: number): EventKey {
  const key = new Uint8Array(KEY_BYTES)
  writeTime(key, timeMs)
  return key as EventKey
}

/** The next key in order, or undefined after the last one. */
export function keyAfter(key: EventKey): EventKey | undefined {
  // Not `slice`, which of a Node.js Buffer is a view: the caller's key would change.
  const next = Uint8Array.from(key)
  return increment(next) ? (next as EventKey) : undefined
}

export interface KeyMinter {
  /** A key of exactly `timeMs`; within one batch and millisecond the keys rise in call order. */
  mint(timeMs: number): EventKey
}

/**
 * Mints the keys of one batch: 80 random bits with the top one clear for the first event of a
 * millisecond, then one more each, so that a batch keeps its order and cannot run over.
 */
export function keyMinter(rng: Rng): KeyMinter {
  const lastByTime = new Map<number, EventKey>()
  return {
    mint: (timeMs) => {
      const last = lastByTime.get(timeMs)
      const key = last === undefined ? randomKey(timeMs, rng) : keyAfter(last)
      assert(key !== undefined, 'a batch fits below the random bits')
      lastByTime.set(timeMs, key)
      return key
    }
  }
}

/**
 * The key of a fact that has a natural identity: its own time and the first 80 bits of
 * sha256(database, source, id), so that every node and every retry finds the same one.
 */
export function naturalKey(fact: NaturalIdentity, hasher: Hasher): EventKey {
  const text = JSON.stringify([fact.database, fact.source, fact.id])
  const key = new Uint8Array(KEY_BYTES)
  key.set(hasher.sha256(encodeUtf8(text)).subarray(0, 10), 6)
  writeTime(key, fact.timeMs)
  return key as EventKey
}

export interface NaturalIdentity {
  readonly database: string
  readonly source: string
  readonly id: string
  readonly timeMs: number
}

function randomKey(timeMs: number, rng: Rng): EventKey {
  const key = new Uint8Array(KEY_BYTES)
  key.set(rng.bytes(10), 6)
  key[6] = byteAt(key, 6) & 0x7f
  writeTime(key, timeMs)
  return key as EventKey
}

function writeTime(key: Uint8Array, timeMs: number): void {
  assert(Number.isInteger(timeMs) && timeMs >= 0 && timeMs <= KEY_TIME_MS_MAX, 'a 48-bit time')
  let rest = timeMs
  for (let at = 5; at >= 0; at -= 1) {
    key[at] = rest % 256
    rest = Math.floor(rest / 256)
  }
}

function increment(key: Uint8Array): boolean {
  for (let at = KEY_BYTES - 1; at >= 0; at -= 1) {
    const byte = byteAt(key, at)
    key[at] = (byte + 1) & 0xff
    if (byte < 0xff) return true
  }
  return false
}

function parseUlid(text: string): EventKey | undefined {
  const key = new Uint8Array(KEY_BYTES)
  const first = digit(text, 0)
  // The first character carries 3 bits: above 7 the ULID overflows, which `isValid` lets through.
  if (first === undefined || first > 7) return undefined
  let bits = first
  let bitCount = 3
  let at = 0
  for (let index = 1; index < KEY_TEXT_LENGTH; index += 1) {
    const value = digit(text, index)
    if (value === undefined) return undefined
    bits = (bits << 5) | value
    bitCount += 5
    if (bitCount >= 8) {
      bitCount -= 8
      key[at] = bits >> bitCount
      bits &= (1 << bitCount) - 1
      at += 1
    }
  }
  return key as EventKey
}

function digit(text: string, index: number): number | undefined {
  const value = DECODE[text.charCodeAt(index)]
  return value === undefined || value === NO_DIGIT ? undefined : value
}

function encodeUtf8(text: string): Uint8Array {
  // TextEncoder is in neither the language nor this folder's types; JSON text of a pair of strings
  // is short, and its own escapes cover lone surrogates.
  const escaped = ASCII.test(text) ? text : unescape(encodeURIComponent(text))
  const bytes = new Uint8Array(escaped.length)
  for (let at = 0; at < bytes.length; at += 1) bytes[at] = escaped.charCodeAt(at)
  return bytes
}

function byteAt(bytes: Uint8Array, at: number): number {
  return bytes[at] ?? 0
}

const ASCII = /^[ -~]*$/
const ENCODE = '0123456789ABCDEFGHJKMNPQRSTVWXYZ'
const PAIRS = Array.from({ length: 1024 }, (_, value) => {
  return (ENCODE[value >> 5] ?? '') + (ENCODE[value & 31] ?? '')
})
const NO_DIGIT = 255
const DECODE = new Uint8Array(128).fill(NO_DIGIT)
for (let value = 0; value < 32; value += 1) {
  DECODE[ENCODE.charCodeAt(value)] = value
  DECODE[ENCODE.toLowerCase().charCodeAt(value)] = value
}
const UUID_V7 = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/i
