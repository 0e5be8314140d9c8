/**
 * Buffers in which rows are put together, used again and again: each is memory outside of JavaScript's own, which
 * is slow to get and to collect.
 */

import { ROW_BUFFERS } from './limits.ts'

export class RowBuffers {
  /** By the power of two that is their length. */
  readonly #free: Buffer[][] = []

  /** A buffer for so many bytes, with those that are in the one before, which is given back. */
  grow(from: Buffer, held: number, bytes: number): Buffer {
    const size = Math.max(ROWS_SIZE_MIN, 32 - Math.clz32(bytes - 1))
    const buffer = this.#free[size]?.pop() ?? Buffer.allocUnsafeSlow(2 ** size)
    buffer.set(from.subarray(0, held))
    this.giveBack(from)
    return buffer
  }

  giveBack(buffer: Buffer): void {
    if (buffer.length === 0) return
    const free = (this.#free[31 - Math.clz32(buffer.length)] ??= [])
    if (buffer.length <= LARGE_ROWS_BYTES && free.length < ROW_BUFFERS) free.push(buffer)
  }
}

/** An event or two to begin with: 2^8 bytes. */
const ROWS_SIZE_MIN = 8
/** Beyond these a buffer is not kept for others: few runs have so many. */
const LARGE_ROWS_BYTES = 65_536
