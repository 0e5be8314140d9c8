/**
 * MurmurHash3, x86, 128 bits, by Austin Appleby (public domain, github.com/aappleby/smhasher): a fast hash
 * whose bits are as good as random for counting, and which never changes. Not for an adversary: who chooses
 * the bytes can make collisions.
 */

import { wordAt } from '../bytes.ts'

/** The four words of the hash, unsigned. */
export function murmur3(
  bytes: Uint8Array,
  seed: number
): readonly [number, number, number, number] {
  murmur3Into(words, bytes, seed)
  const [a, b, c, d] = words
  return [(a ?? 0) >>> 0, (b ?? 0) >>> 0, (c ?? 0) >>> 0, (d ?? 0) >>> 0]
}

/** The first word alone, signed: nothing is made for it. */
export function firstWord(bytes: Uint8Array): number {
  murmur3Into(words, bytes, 0)
  return words[0] ?? 0
}

const words = new Int32Array(4)

/** The words, signed, of the bytes from `from` on: for those who hash millions. */
export function murmur3Into(into: Int32Array, bytes: Uint8Array, seed: number, from = 0): void {
  let [h1, h2, h3, h4] = [seed | 0, seed | 0, seed | 0, seed | 0]
  const length = bytes.length - from
  const end = from + length - (length % 16)
  for (let at = from; at < end; at += 16) {
    h1 = (Math.imul((rotate(h1 ^ mixFirst(wordAt(bytes, at)), 19) + h2) | 0, 5) + 0x561ccd1b) | 0
    h2 =
      (Math.imul((rotate(h2 ^ mixSecond(wordAt(bytes, at + 4)), 17) + h3) | 0, 5) + 0x0bcaa747) | 0
    h3 =
      (Math.imul((rotate(h3 ^ mixThird(wordAt(bytes, at + 8)), 15) + h4) | 0, 5) + 0x96cd1c35) | 0
    h4 =
      (Math.imul((rotate(h4 ^ mixFourth(wordAt(bytes, at + 12)), 13) + h1) | 0, 5) + 0x32ac3b17) | 0
  }
  // Bytes beyond the end read as 0, and words of 0 change nothing: the tail needs no cases.
  h1 ^= mixFirst(wordAt(bytes, end)) ^ length
  h2 ^= mixSecond(wordAt(bytes, end + 4)) ^ length
  h3 ^= mixThird(wordAt(bytes, end + 8)) ^ length
  h4 ^= mixFourth(wordAt(bytes, end + 12)) ^ length
  h1 = (h1 + h2 + h3 + h4) | 0
  const f1 = avalanche(h1)
  const f2 = avalanche((h2 + h1) | 0)
  const f3 = avalanche((h3 + h1) | 0)
  const f4 = avalanche((h4 + h1) | 0)
  const sum = (f1 + f2 + f3 + f4) | 0
  into[0] = sum
  into[1] = f2 + sum
  into[2] = f3 + sum
  into[3] = f4 + sum
}

function mixFirst(word: number): number {
  return Math.imul(rotate(Math.imul(word, C1), 15), C2)
}

function mixSecond(word: number): number {
  return Math.imul(rotate(Math.imul(word, C2), 16), C3)
}

function mixThird(word: number): number {
  return Math.imul(rotate(Math.imul(word, C3), 17), C4)
}

function mixFourth(word: number): number {
  return Math.imul(rotate(Math.imul(word, C4), 18), C1)
}

/** Each bit of the word changes each bit of the outcome with chance one half. */
function avalanche(word: number): number {
  let hash = word | 0
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return hash ^ (hash >>> 16)
}

function rotate(word: number, count: number): number {
  return (word << count) | (word >>> (32 - count))
}

const C1 = 0x239b961b
const C2 = 0xab0e9789
const C3 = 0x38b34ae5
const C4 = 0xa1e38b93
