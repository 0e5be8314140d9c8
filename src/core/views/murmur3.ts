/**
 * MurmurHash3, x86, 128 bits, by Austin Appleby (public domain, github.com/aappleby/smhasher): a fast hash
 * whose bits are as good as random for counting, and which never changes. Not for an adversary: who chooses
 * the bytes can make collisions.
 */

import { wordAt } from '../bytes.ts'

/** The four words of the hash, unsigned, of all bytes or of those from `from` on. */
export function murmur3(
  bytes: Uint8Array,
  seed: number,
  from = 0
): readonly [number, number, number, number] {
  let [h1, h2, h3, h4] = [seed, seed, seed, seed]
  const length = bytes.length - from
  const end = from + length - (length % 16)
  for (let at = from; at < end; at += 16) {
    h1 = Math.imul(rotate((h1 ^ mixFirst(wordAt(bytes, at))) | 0, 19) + h2, 5) + 0x561ccd1b
    h2 = Math.imul(rotate((h2 ^ mixSecond(wordAt(bytes, at + 4))) | 0, 17) + h3, 5) + 0x0bcaa747
    h3 = Math.imul(rotate((h3 ^ mixThird(wordAt(bytes, at + 8))) | 0, 15) + h4, 5) + 0x96cd1c35
    h4 = Math.imul(rotate((h4 ^ mixFourth(wordAt(bytes, at + 12))) | 0, 13) + h1, 5) + 0x32ac3b17
  }
  // Bytes beyond the end read as 0, and words of 0 change nothing: the tail needs no cases.
  h1 ^= mixFirst(wordAt(bytes, end)) ^ length
  h2 ^= mixSecond(wordAt(bytes, end + 4)) ^ length
  h3 ^= mixThird(wordAt(bytes, end + 8)) ^ length
  h4 ^= mixFourth(wordAt(bytes, end + 12)) ^ length
  h1 = (h1 + h2 + h3 + h4) | 0
  const [f1, f2, f3, f4] = [
    avalanche(h1),
    avalanche(h2 + h1),
    avalanche(h3 + h1),
    avalanche(h4 + h1)
  ]
  const sum = f1 + f2 + f3 + f4
  return [sum >>> 0, (f2 + sum) >>> 0, (f3 + sum) >>> 0, (f4 + sum) >>> 0]
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
