/**
 * A digest of what a view holds, to which parts are added and from which they are taken away: each by the same
 * step, in any order. Equal contents have equal digests; for those who mean well, see `murmur3.ts`.
 */

import { assert } from '../core/assert.ts'
import { murmur3 } from '../core/views/murmur3.ts'
import type { IndexState } from './view-index.ts'

export const EMPTY_DIGEST = '0'.repeat(32)

/** An index of nothing. */
export const EMPTY_INDEX: IndexState = { height: 0, rows: 0, faults: 0, digest: EMPTY_DIGEST }

export class ViewDigest {
  readonly #words: [number, number, number, number]

  /** @param text 32 hex digits */
  constructor(text: string) {
    assert(/^[0-9a-f]{32}$/.test(text), 'a digest of a view')
    const word = (index: number): number =>
      Number.parseInt(text.slice(index * 8, index * 8 + 8), 16)
    this.#words = [word(0), word(1), word(2), word(3)]
  }

  /** Adds a part, or takes one away that is in it. */
  toggle(part: Uint8Array): void {
    const words = this.#words
    const [a, b, c, d] = murmur3(part, 0)
    words[0] ^= a
    words[1] ^= b
    words[2] ^= c
    words[3] ^= d
  }

  toString(): string {
    return this.#words.map((word) => (word >>> 0).toString(16).padStart(8, '0')).join('')
  }
}
