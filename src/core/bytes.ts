/** Byte arrays without Node's Buffer: comparison, hex, concatenation. */

import { assert } from './assert.ts'

/** Negative, zero or positive, as unsigned bytes from the left; a prefix comes first. */
export function compareBytes(a: Uint8Array, b: Uint8Array): number {
  const length = Math.min(a.length, b.length)
  for (let index = 0; index < length; index += 1) {
    const difference = (a[index] ?? 0) - (b[index] ?? 0)
    if (difference !== 0) return difference
  }
  return a.length - b.length
}

export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false
  for (let index = 0; index < a.length; index += 1) {
    if (a[index] !== b[index]) return false
  }
  return true
}

/** Four bytes from `at` on, the lowest first, whatever the machine; what is beyond the end is 0. */
export function wordAt(bytes: Uint8Array, at: number): number {
  return (
    (bytes[at] ?? 0) |
    ((bytes[at + 1] ?? 0) << 8) |
    ((bytes[at + 2] ?? 0) << 16) |
    ((bytes[at + 3] ?? 0) << 24)
  )
}

/** The least bytes above these. The caller owns them. */
export function after(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  const next = new Uint8Array(bytes.length + 1)
  next.set(bytes)
  return next
}

/** The least bytes above all that begin with these, of which one is below ff. The caller owns them. */
export function afterPrefix(prefix: Uint8Array): Uint8Array {
  let length = prefix.length
  while (length > 0 && prefix[length - 1] === 0xff) length -= 1
  assert(length > 0, 'something is above all that begin so')
  // Not `slice`, which of a Node.js Buffer is a view: the caller's bytes would change.
  const after = new Uint8Array(prefix.subarray(0, length))
  after[length - 1] = (after[length - 1] ?? 0) + 1
  return after
}

export function toHex(bytes: Uint8Array): string {
  let text = ''
  for (const byte of bytes) text += HEX[byte]
  return text
}

/** Bytes of a text of lower-case hex digits, or undefined. */
export function fromHex(text: string): Uint8Array | undefined {
  if (text.length % 2 !== 0 || !/^[0-9a-f]*$/.test(text)) return undefined
  const bytes = new Uint8Array(text.length / 2)
  for (let index = 0; index < bytes.length; index += 1) {
    bytes[index] = Number.parseInt(text.slice(index * 2, index * 2 + 2), 16)
  }
  return bytes
}

const HEX = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'))

const eight = new Uint8Array(8)
const eightView = new DataView(eight.buffer)

/** Eight bytes, big-endian; Buffer's own way makes four numbers for it. */
export function readUint64(bytes: Uint8Array, at: number): bigint {
  for (let index = 0; index < 8; index += 1) eight[index] = bytes[at + index] ?? 0
  return eightView.getBigUint64(0)
}

/** @returns where the next bytes come */
export function writeUint64(into: Uint8Array, at: number, value: bigint): number {
  eightView.setBigUint64(0, value)
  for (let index = 0; index < 8; index += 1) into[at + index] = eight[index] ?? 0
  return at + 8
}
