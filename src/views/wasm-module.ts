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
export const IMPORTS = 2
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
  /** Where the imports say how many pages memory has at the least. */
  readonly memoryPages: { readonly at: number; readonly end: number }
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
  const imports = readImports(section(IMPORTS))
  return {
    bytes,
    sections,
    types: section(TYPES).vector(readType),
    importedFunctions: imports.functions,
    memoryPages: imports.memoryPages,
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

interface Imports {
  readonly functions: number
  readonly memoryPages: { readonly at: number; readonly end: number }
}

function readImports(reader: WasmReader): Imports {
  let [functions, at, end] = [0, 0, 0]
  reader.vector((imports) => {
    imports.bytes(imports.number())
    imports.bytes(imports.number())
    const kind = imports.byte()
    if (kind === 0) {
      functions += 1
      imports.number()
    } else {
      assert(kind === 2, 'functions and a memory are imported')
      const hasMaximum = (imports.byte() & 1) === 1
      at = imports.at
      imports.number()
      end = imports.at
      if (hasMaximum) imports.number()
    }
  })
  return { functions, memoryPages: { at, end } }
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
  switch (immediatesOf(opcode)) {
    case NONE:
      return
    case ONE_NUMBER:
      reader.skipNumber()
      return
    case TWO_NUMBERS:
      reader.skipNumber()
      reader.skipNumber()
      return
    case LABELS:
      for (let labels = reader.number(); labels >= 0; labels -= 1) reader.skipNumber()
      return
    case FOUR_BYTES:
      reader.at += 4
      return
    case EIGHT_BYTES:
      reader.at += 8
      return
    default:
      throw new Error(`unknown instruction ${opcode.toString(16)} at ${reader.at}`)
  }
}

/** What stands after an opcode. */
const UNKNOWN = 0
const NONE = 1
const ONE_NUMBER = 2
const TWO_NUMBERS = 3
const LABELS = 4
const FOUR_BYTES = 5
const EIGHT_BYTES = 6

function immediatesOf(opcode: number): number | undefined {
  return opcode < 0x100 ? IMMEDIATES[opcode] : LONG_IMMEDIATES[opcode - 0xfc00]
}

const IMMEDIATES = tableOf({
  // unreachable, nop, else, end, return, drop, select
  [NONE]: [[0x00, 0x01], [0x05], [END], [RETURN], [0x1a, 0x1b], [0x45, 0xc4]],
  // blocks, br, br_if, locals and globals, memory.size and grow, integers
  [ONE_NUMBER]: [
    [BLOCK, IF],
    [0x0c, 0x0d],
    [0x20, 0x24],
    [0x3f, 0x42]
  ],
  // loads and stores
  [TWO_NUMBERS]: [[CALL_INDIRECT], [0x28, 0x3e]],
  // br_table
  [LABELS]: [[0x0e]],
  // f32.const
  [FOUR_BYTES]: [[0x43]],
  // f64.const
  [EIGHT_BYTES]: [[0x44]]
})

/** Of opcodes after 0xfc. */
const LONG_IMMEDIATES = tableOf({
  // numbers made integers
  [NONE]: [[0x00, 0x07]],
  // data.drop, memory.fill
  [ONE_NUMBER]: [[0x09], [0x0b]],
  // memory.init, memory.copy
  [TWO_NUMBERS]: [[0x08], [0x0a]]
})

/** @param kinds opcodes, from and to, by what stands after them */
function tableOf(kinds: Readonly<Record<number, readonly (readonly number[])[]>>): Uint8Array {
  const table = new Uint8Array(0x100).fill(UNKNOWN)
  for (const [kind, ranges] of Object.entries(kinds)) {
    for (const [from = 0, to = from] of ranges) table.fill(Number(kind), from, to + 1)
  }
  return table
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
    const byte = this.#bytes[this.at]
    assert(byte !== undefined, 'a module is whole')
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
