/**
 * Bytes that came in pieces and are taken off the front. Whoever sends picks the pieces: a million
 * of one byte must not cost a million objects, nor the time to move them about, so small ones are
 * copied together into blocks. Large ones are kept as they are.
 */

import { assert, present } from '../core/assert.ts'

/** Bytes: pieces below it are copied, so every two blocks hold at least as many. */
const BLOCK_BYTES = 4_096

export class ByteQueue {
  #blocks: Uint8Array[] = []
  /** Bytes of the first block that were taken. */
  #taken = 0
  #length = 0
  /** Where small pieces go: the last block is the written part of it, if it is one of ours. */
  #open: { readonly bytes: Uint8Array; used: number } | undefined

  get length(): number {
    return this.#length
  }

  append(piece: Uint8Array): void {
    if (piece.length === 0) return
    this.#length += piece.length
    if (piece.length >= BLOCK_BYTES) {
      this.#blocks.push(piece)
      this.#open = undefined
      return
    }
    if (this.#open === undefined || this.#open.used + piece.length > BLOCK_BYTES) {
      this.#open = { bytes: new Uint8Array(BLOCK_BYTES), used: 0 }
      this.#blocks.push(this.#open.bytes)
    }
    const open = this.#open
    open.bytes.set(piece, open.used)
    open.used += piece.length
    this.#blocks[this.#blocks.length - 1] = open.bytes.subarray(0, open.used)
  }

  /** The byte at an index, which is small: blocks are passed one by one. */
  at(index: number): number | undefined {
    let rest = this.#taken + index
    for (const block of this.#blocks) {
      if (rest < block.length) return block[rest]
      rest -= block.length
    }
    return undefined
  }

  /** The next bytes, as a copy. */
  take(length: number): Uint8Array {
    assert(length <= this.#length, 'no more is taken than there is')
    const bytes = new Uint8Array(length)
    let [filled, emptied] = [0, 0]
    while (filled < length) {
      const block = present(this.#blocks[emptied], 'a block for every byte')
      const part = block.subarray(this.#taken, this.#taken + length - filled)
      bytes.set(part, filled)
      filled += part.length
      this.#taken += part.length
      if (this.#taken < block.length) break
      this.#taken = 0
      emptied += 1
    }
    // At once: an array that is shifted is moved each time.
    this.#blocks.splice(0, emptied)
    this.#length -= length
    if (this.#blocks.length === 0) this.#open = undefined
    return bytes
  }

  /** All of it, in pieces, without a copy. */
  takeAll(): Uint8Array[] {
    const blocks = this.#blocks
    const first = blocks[0]
    if (first !== undefined) blocks[0] = first.subarray(this.#taken)
    this.clear()
    return blocks
  }

  clear(): void {
    this.#blocks = []
    this.#taken = 0
    this.#length = 0
    this.#open = undefined
  }
}
