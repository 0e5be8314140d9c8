/**
 * A WebAssembly module taken apart as far as its work is to be counted (`metered-wasm.ts`), and what it is put
 * together again with.
 *
 * Source: the binary format of the WebAssembly specification, 2.0; of its instructions those that clang writes
 * without vectors and threads. What is not known is refused. Left out: whether the module is valid, which the
 * host says of what is made of it.
 */

import { assert, present } from '../core/assert.ts'

export const HEADER_BYTES = 8
/** Ids of sections. */
export const TYPES = 1
const IMPORTS = 2
export const FUNCTIONS = 3
export const GLOBALS = 6
export const EXPORTS = 7
export const CODE = 10

export interface FunctionType {
  readonly parameters: number
  /** As the type of a block. */
  readonly result: number
}

export interface WasmModule {
  readonly bytes: Uint8Array
  /** By id, in their order. */
  readonly sections: ReadonlyMap<number, Uint8Array>
  readonly types: readonly FunctionType[]
  readonly importedFunctions: number
  /** The type of each function that is not imported. */
  readonly functionTypes: readonly number[]
  readonly globals: number
  readonly bodies: readonly FunctionBody[]
}

export interface FunctionBody {
  readonly bytes: Uint8Array
  /** Where its instructions begin. */
  readonly start: number
  readonly locals: number
  readonly instructions: readonly Instruction[]
}

/** One that something is done about; the others are copied as they are. */
export interface Instruction {
  readonly opcode: number
  readonly at: number
  readonly end: number
  /** Blocks that it is in, within its function. */
  readonly level: number
  /** Of a call: the function. */
  readonly callee: number
}

export function readModule(bytes: Uint8Array): WasmModule {
  const sections = new Map<number, Uint8Array>()
  const reader = new WasmReader(bytes, HEADER_BYTES)
  while (!reader.atEnd) sections.set(reader.byte(), reader.bytes(reader.number()))
  const section = (id: number): WasmReader =>
    new WasmReader(present(sections.get(id), 'a section is there'))
  return {
    bytes,
    sections,
    types: section(TYPES).vector(readType),
    importedFunctions: countImportedFunctions(section(IMPORTS)),
    functionTypes: section(FUNCTIONS).vector((functions) => functions.number()),
    globals: section(GLOBALS).number(),
    bodies: section(CODE).vector((code) => readBody(code.bytes(code.number())))
  }
}

function readType(reader: WasmReader): FunctionType {
  assert(reader.byte() === 0x60, 'a type is of a function')
  const parameters = reader.vector((types) => types.byte()).length
  const results = reader.vector((types) => types.byte())
  assert(results.length <= 1, 'a function has one result at the most')
  return { parameters, result: results[0] ?? NO_RESULT }
}

export const NO_RESULT = 0x40

function countImportedFunctions(reader: WasmReader): number {
  const kinds = reader.vector((imports) => {
    imports.bytes(imports.number())
    imports.bytes(imports.number())
    const kind = imports.byte()
    if (kind === 0) {
      imports.number()
    } else {
      assert(kind === 2, 'functions and a memory are imported')
      const hasMaximum = (imports.byte() & 1) === 1
      imports.number()
      if (hasMaximum) imports.number()
    }
    return kind
  })
  return kinds.filter((kind) => kind === 0).length
}

function readBody(bytes: Uint8Array): FunctionBody {
  const reader = new WasmReader(bytes)
  const groups = reader.vector((locals) => {
    const count = locals.number()
    locals.byte()
    return count
  })
  const start = reader.at
  const instructions: Instruction[] = []
  let level = 0
  while (!reader.atEnd) {
    const at = reader.at
    const opcode = readOpcode(reader)
    const callee = opcode === CALL ? reader.number() : 0
    if (opcode !== CALL) skipImmediates(reader, opcode)
    if (opcode === BLOCK || opcode === LOOP || opcode === IF) level += 1
    if (WATCHED.has(opcode) || reader.atEnd) {
      instructions.push({ opcode, at, end: reader.at, level, callee })
    }
    if (opcode === END) level -= 1
  }
  assert(level === -1, 'blocks end')
  const locals = groups.reduce((sum, count) => sum + count, 0)
  return { bytes, start, locals, instructions }
}

/** Opcodes; those after 0xfc have 0xfc00 added. */
export const BLOCK = 0x02
export const LOOP = 0x03
export const IF = 0x04
export const END = 0x0b
export const RETURN = 0x0f
export const CALL = 0x10
export const CALL_INDIRECT = 0x11
export const MEMORY_COPY = 0xfc0a
export const MEMORY_FILL = 0xfc0b
const WATCHED = new Set([LOOP, RETURN, CALL, CALL_INDIRECT, MEMORY_COPY, MEMORY_FILL])

function readOpcode(reader: WasmReader): number {
  const first = reader.byte()
  return first === 0xfc ? 0xfc00 + reader.number() : first
}

function skipImmediates(reader: WasmReader, opcode: number): void {
  if (hasNoImmediates(opcode)) return
  if (opcode >= 0x28 && opcode <= 0x3e) {
    reader.number()
    reader.number()
    return
  }
  switch (opcode) {
    case BLOCK:
    case LOOP:
    case IF:
    case 0x0c: // br
    case 0x0d: // br_if
    case 0x20: // local.get
    case 0x21: // local.set
    case 0x22: // local.tee
    case 0x23: // global.get
    case 0x24: // global.set
    case 0x3f: // memory.size
    case 0x40: // memory.grow
    case 0x41: // i32.const
    case 0x42: // i64.const
    case MEMORY_FILL:
      reader.skipNumber()
      return
    case 0x0e: // br_table
      reader.vector((labels) => labels.number())
      reader.number()
      return
    case CALL_INDIRECT:
    case MEMORY_COPY:
      reader.number()
      reader.number()
      return
    case 0x43: // f32.const
      reader.bytes(4)
      return
    case 0x44: // f64.const
      reader.bytes(8)
      return
    case 0xfc08: // memory.init
      reader.number()
      reader.number()
      return
    case 0xfc09: // data.drop
      reader.number()
      return
    default:
      throw new Error(`unknown instruction ${opcode.toString(16)} at ${reader.at}`)
  }
}

function hasNoImmediates(opcode: number): boolean {
  if (opcode >= 0x45 && opcode <= 0xc4) return true
  if (opcode >= 0xfc00 && opcode <= 0xfc07) return true
  return [0x00, 0x01, 0x05, END, RETURN, 0x1a, 0x1b].includes(opcode)
}

/** Numbers, bytes and vectors of the format, one after the other. */
export class WasmReader {
  readonly #bytes: Uint8Array
  at: number

  constructor(bytes: Uint8Array, at = 0) {
    this.#bytes = bytes
    this.at = at
  }

  get atEnd(): boolean {
    return this.at >= this.#bytes.length
  }

  byte(): number {
    const byte = present(this.#bytes[this.at], 'a module is whole')
    this.at += 1
    return byte
  }

  bytes(length: number): Uint8Array {
    assert(this.at + length <= this.#bytes.length, 'a module is whole')
    this.at += length
    return this.#bytes.subarray(this.at - length, this.at)
  }

  /** Unsigned, of 32 bits at the most. */
  number(): number {
    let [value, shift] = [0, 0]
    for (let byte = 0x80; byte >= 0x80; shift += 7) {
      byte = this.byte()
      value |= (byte & 0x7f) << shift
    }
    return value >>> 0
  }

  /** Of any size and sign. */
  skipNumber(): void {
    while (this.byte() >= 0x80);
  }

  vector<Element>(read: (reader: WasmReader) => Element): Element[] {
    return Array.from({ length: this.number() }, () => read(this))
  }
}

/** Unsigned. */
export function numberBytes(value: number): number[] {
  return value < 0x80 ? [value] : [(value & 0x7f) | 0x80, ...numberBytes(value >>> 7)]
}

export function signedBytes(value: number): number[] {
  return value >= -0x40 && value < 0x40
    ? [value & 0x7f]
    : [(value & 0x7f) | 0x80, ...signedBytes(value >> 7)]
}

export function joined(
  pieces: readonly (Uint8Array | readonly number[])[]
): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.length, 0))
  let at = 0
  for (const piece of pieces) {
    bytes.set(piece, at)
    at += piece.length
  }
  return bytes
}
