/**
 * XXH32 by Yann Collet (github.com/Cyan4973/xxHash, doc/xxhash_spec.md), seed 0: a checksum, not for an
 * adversary. Four sums that do not wait for one another, so that it is fast without 64-bit numbers.
 *
 * Each step is a bijection, and the four sums are added up: one changed word, or any bytes within it,
 * is always seen. A `DataView` because the compiler makes one load of each of its words.
 */

/** Of the bytes from `from` to before `to`, unsigned. */
export function xxh32(view: DataView, from: number, to: number): number {
  const length = to - from
  let at = from
  let hash = P5
  if (length >= STRIPE_BYTES) {
    let [sum1, sum2, sum3, sum4] = [SUM1, P2, 0, -P1]
    for (const end = to - STRIPE_BYTES; at <= end; at += STRIPE_BYTES) {
      sum1 = round(sum1, view.getInt32(at, true))
      sum2 = round(sum2, view.getInt32(at + 4, true))
      sum3 = round(sum3, view.getInt32(at + 8, true))
      sum4 = round(sum4, view.getInt32(at + 12, true))
    }
    hash = rotate(sum1, 1) + rotate(sum2, 7) + rotate(sum3, 12) + rotate(sum4, 18)
  }
  hash = (hash + length) | 0
  for (; at + 4 <= to; at += 4) {
    hash = Math.imul(rotate((hash + Math.imul(view.getInt32(at, true), P3)) | 0, 17), P4)
  }
  for (; at < to; at += 1) {
    hash = Math.imul(rotate((hash + Math.imul(view.getUint8(at), P5)) | 0, 11), P1)
  }
  hash = Math.imul(hash ^ (hash >>> 15), P2)
  hash = Math.imul(hash ^ (hash >>> 13), P3)
  return (hash ^ (hash >>> 16)) >>> 0
}

function round(sum: number, word: number): number {
  return Math.imul(rotate((sum + Math.imul(word, P2)) | 0, 13), P1)
}

function rotate(word: number, count: number): number {
  return (word << count) | (word >>> (32 - count))
}

const STRIPE_BYTES = 16
const P1 = 0x9e3779b1 | 0
const P2 = 0x85ebca77 | 0
const P3 = 0xc2b2ae3d | 0
const P4 = 0x27d4eb2f | 0
const P5 = 0x165667b1 | 0
const SUM1 = (P1 + P2) | 0
