/**
 * Reading and writing of the wire's primitives: fixed bytes, unsigned varints (LEB128, at most
 * 2^53 - 1, shortest form only), length-prefixed bytes. Readers take a limit for everything that
 * has a length, check it before they touch memory, and return views of the frame, not copies.
 *
 * A general format such as CBOR or protobuf is left out on purpose: their decoders accept several
 * encodings of one message, copy bytes, and recurse over hostile input.
 */

import { rejected } from './rejected.ts'
import type { Rejected, RejectionCode } from './rejected.ts'

class WireError extends Error {
  readonly rejection: Rejected
  constructor(rejection: Rejected) {
    super(rejection.detail)
    this.rejection = rejection
  }
}

/** Stops the decoding of the current message; `decode` turns it into a value. */
export function refuse(code: RejectionCode, detail: string): never {
  throw new WireError(rejected(code, detail))
}

/** Runs a reader over `bytes`, all of which must be used. */
export function decode<T>(bytes: Uint8Array, read: (reader: Reader) => T): T | Rejected {
  const reader = new Reader(bytes)
  try {
    const value = read(reader)
    if (reader.remaining() > 0) {
      return rejected('trailing-bytes', `${reader.remaining()} bytes after the message`)
    }
    return value
  } catch (error) {
    if (error instanceof WireError) return error.rejection
    throw error
  }
}

export class Reader {
  readonly #bytes: Uint8Array
  #at = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
  }

  remaining(): number {
    return this.#bytes.length - this.#at
  }

  /** A view of the next `length` bytes. */
  fixed(length: number): Uint8Array {
    if (length > this.remaining()) refuse('truncated', `${length} bytes wanted at ${this.#at}`)
    const from = this.#at
    this.#at += length
    return this.#bytes.subarray(from, this.#at)
  }

  byte(): number {
    const value = this.#bytes[this.#at]
    if (value === undefined) refuse('truncated', `a byte wanted at ${this.#at}`)
    this.#at += 1
    return value
  }

  varint(max: number = Number.MAX_SAFE_INTEGER): number {
    let value = 0
    let scale = 1
    for (let length = 1; length <= VARINT_BYTES_MAX; length += 1) {
      const byte = this.byte()
      value += (byte & 0x7f) * scale
      if (byte < 0x80) {
        if (byte === 0 && length > 1) refuse('bad-varint', 'not in shortest form')
        if (value > Number.MAX_SAFE_INTEGER) refuse('bad-varint', 'above 2^53 - 1')
        if (value > max) refuse('over-limit', `${value} above ${max}`)
        return value
      }
      scale *= 0x80
    }
    return refuse('bad-varint', 'more than 8 bytes')
  }

  u64(): bigint {
    const bytes = this.fixed(8)
    return new DataView(bytes.buffer, bytes.byteOffset, 8).getBigUint64(0)
  }

  /** Bytes after their length. */
  prefixed(lengthMax: number): Uint8Array {
    return this.fixed(this.varint(lengthMax))
  }

  /** ASCII text after its length; the only text on the wire is names. */
  name(lengthMax: number): string {
    return String.fromCharCode(...this.prefixed(lengthMax))
  }

  /** `1` and `0` only. */
  flag(): boolean {
    const value = this.byte()
    if (value > 1) refuse('unknown-value', `flag ${value}`)
    return value === 1
  }

  list<T>(countMax: number, read: (reader: Reader) => T): T[] {
    const count = this.varint(countMax)
    const values: T[] = []
    for (let index = 0; index < count; index += 1) values.push(read(this))
    return values
  }
}

/** 2^53 - 1 takes 8 bytes of 7 bits. */
const VARINT_BYTES_MAX = 8

/** Bytes that `varint(value)` writes. */
export function varintLength(value: number): number {
  let length = 1
  for (let rest = value; rest >= 0x80; rest = Math.floor(rest / 0x80)) length += 1
  return length
}

/** Writes into one growing buffer; `finish` hands it over. */
export class Writer {
  #bytes: Uint8Array<ArrayBuffer>
  #at = 0

  /** @param capacity bytes to start with; a right guess saves the copy of growing */
  constructor(capacity = 256) {
    this.#bytes = new Uint8Array(capacity)
  }

  get length(): number {
    return this.#at
  }

  byte(value: number): this {
    this.#reserve(1)
    this.#bytes[this.#at] = value
    this.#at += 1
    return this
  }

  flag(value: boolean): this {
    return this.byte(value ? 1 : 0)
  }

  varint(value: number): this {
    this.#reserve(VARINT_BYTES_MAX)
    let rest = value
    while (rest >= 0x80) {
      this.#bytes[this.#at] = (rest % 0x80) | 0x80
      this.#at += 1
      rest = Math.floor(rest / 0x80)
    }
    this.#bytes[this.#at] = rest
    this.#at += 1
    return this
  }

  u64(value: bigint): this {
    this.#reserve(8)
    new DataView(this.#bytes.buffer).setBigUint64(this.#at, value)
    this.#at += 8
    return this
  }

  fixed(bytes: Uint8Array): this {
    this.#reserve(bytes.length)
    this.#bytes.set(bytes, this.#at)
    this.#at += bytes.length
    return this
  }

  prefixed(bytes: Uint8Array): this {
    return this.varint(bytes.length).fixed(bytes)
  }

  name(text: string): this {
    this.varint(text.length)
    for (let index = 0; index < text.length; index += 1) this.byte(text.charCodeAt(index))
    return this
  }

  list<T>(values: readonly T[], write: (writer: Writer, value: T) => void): this {
    this.varint(values.length)
    for (const value of values) write(this, value)
    return this
  }

  /** The bytes written; the writer must not be used after. */
  finish(): Uint8Array {
    return this.#bytes.subarray(0, this.#at)
  }

  #reserve(length: number): void {
    const needed = this.#at + length
    if (needed <= this.#bytes.length) return
    const grown = new Uint8Array(Math.max(needed, this.#bytes.length * 2))
    grown.set(this.#bytes.subarray(0, this.#at))
    this.#bytes = grown
  }
}
