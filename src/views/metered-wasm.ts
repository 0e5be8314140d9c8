/**
 * Counts the work of a WebAssembly module inside of it: each pass through a loop takes one unit of fuel, copying
 * and filling memory takes one for so many bytes, and each call that others may nest in takes of the depth until
 * it returns. Where either is used up, the module traps, which nothing in it can catch.
 *
 * So what runs in the module ends after the same work on every machine, fast or slow, whatever it does: a clock
 * would end it elsewhere each time, and an interpreter's own count does not see what its built-in functions loop
 * over. The depth is there because the stack that calls nest on is the host's, whose size is none of ours.
 *
 * Left out: what a module is made of (`wasm-module.ts`).
 */

import { present } from '../core/assert.ts'
import {
  BLOCK,
  CALL,
  CALL_INDIRECT,
  CODE,
  END,
  EXPORTS,
  FUNCTIONS,
  GLOBALS,
  HEADER_BYTES,
  IF,
  IMPORTS,
  LOOP,
  MEMORY_COPY,
  MEMORY_FILL,
  NO_RESULT,
  RETURN,
  TYPES,
  WasmReader,
  joined,
  numberBytes,
  readModule,
  signedBytes
} from './wasm-module.ts'
import type { FunctionBody, Instruction, WasmModule } from './wasm-module.ts'

/** Changes whenever the same work would cost something else. */
export const METER_VERSION = 1

/** Names of what the metered module exports besides its own: mutable numbers, all of 32 bits. */
export const METER_EXPORTS = { fuel: 'meter_fuel', depth: 'meter_depth', stack: 'meter_stack' }

/** What the meters begin with. */
export const METER_FULL = 0x7f_ff_ff_ff

/**
 * The module, with the meters full. Its global 0 must be the stack pointer, as of clang.
 *
 * @param memoryPages that its memory has at the least, of 64 KiB: as many as it was built with, or less
 */
export function meteredWasm(bytes: Uint8Array, memoryPages: number): Uint8Array<ArrayBuffer> {
  const wasm = readModule(bytes)
  const module = { ...wasm, nesting: nestingFunctions(wasm.bodies, wasm.importedFunctions) }
  const written = [...module.sections].map(([id, section]) => {
    const content = id === IMPORTS ? imports(module, section, memoryPages) : section
    return sectionBytes(id, rewritten(module, id, content))
  })
  return joined([bytes.subarray(0, HEADER_BYTES), ...written])
}

interface MeteredModule extends WasmModule {
  /** Functions that may be on the stack more than once, as far as calls show. */
  readonly nesting: readonly boolean[]
}

/**
 * All but those that call no other, or only such: what is on the stack beyond a function that is counted is
 * a chain of these, each once.
 */
function nestingFunctions(bodies: readonly FunctionBody[], importedFunctions: number): boolean[] {
  const nesting = bodies.map(() => true)
  const isFlat = (instruction: Instruction): boolean => {
    if (instruction.opcode === CALL_INDIRECT) return false
    if (instruction.opcode !== CALL) return true
    // What is imported is the host's, which does not call back.
    const index = instruction.callee - importedFunctions
    return index < 0 || nesting[index] === false
  }
  for (let found = true; found;) {
    found = false
    for (const [index, { instructions }] of bodies.entries()) {
      if (nesting[index] === true && instructions.every(isFlat)) {
        nesting[index] = false
        found = true
      }
    }
  }
  return nesting
}

function rewritten(module: MeteredModule, id: number, section: Uint8Array): Uint8Array {
  const more = (...added: readonly (readonly number[])[]): Uint8Array => {
    const reader = new WasmReader(section)
    const count = reader.number() + added.length
    const rest = section.subarray(reader.at)
    return joined([numberBytes(count), rest, ...added])
  }
  switch (id) {
    case TYPES:
      return more([0x60, 1, I32, 1, I32])
    case FUNCTIONS:
      return more(numberBytes(module.types.length))
    case GLOBALS:
      return more(FULL, FULL)
    case EXPORTS:
      return more(
        exportOf(METER_EXPORTS.fuel, fuelOf(module)),
        exportOf(METER_EXPORTS.depth, depthOf(module)),
        exportOf(METER_EXPORTS.stack, 0)
      )
    case CODE:
      return codeBytes(module)
    default:
      return section
  }
}

function imports(module: MeteredModule, section: Uint8Array, memoryPages: number): Uint8Array {
  const { at, end } = module.memoryPages
  return joined([section.subarray(0, at), numberBytes(memoryPages), section.subarray(end)])
}

const I32 = 0x7f
/** A mutable global, with the largest number in it. */
const FULL = [I32, 1, ...constant(METER_FULL), END]

function exportOf(name: string, global: number): number[] {
  return [...numberBytes(name.length), ...Buffer.from(name), 3, ...numberBytes(global)]
}

function fuelOf(module: MeteredModule): number {
  return module.globals
}

function depthOf(module: MeteredModule): number {
  return module.globals + 1
}

function codeBytes(module: MeteredModule): Uint8Array {
  const bodies = module.bodies.map((body, index) => meteredBody(module, body, index))
  const counted = [...bodies, Uint8Array.from(chargeBody(module))].map((body) => {
    return joined([numberBytes(body.length), body])
  })
  return joined([numberBytes(counted.length), ...counted])
}

function meteredBody(module: MeteredModule, body: FunctionBody, index: number): Uint8Array {
  const pieces: (Uint8Array | readonly number[])[] = [body.bytes.subarray(0, body.start)]
  let copied = body.start
  const copyTo = (at: number): void => {
    pieces.push(body.bytes.subarray(copied, at))
    copied = at
  }
  const isNesting = module.nesting[index] === true
  const type = present(module.types[present(module.functionTypes[index], 'a type')], 'a type')
  const frame = FRAME_BYTES + SLOT_BYTES * (type.parameters + body.locals + FRAME_SLOTS)
  if (isNesting) pieces.push(enter(depthOf(module), frame), [BLOCK, type.result])
  for (const { opcode, at, end, level } of body.instructions) {
    if (opcode === LOOP) {
      copyTo(end)
      pieces.push(tick(fuelOf(module)))
    } else if (opcode === MEMORY_COPY || opcode === MEMORY_FILL) {
      copyTo(at)
      // The function after all others: the number of bytes is on top of the stack, and stays there.
      pieces.push([CALL, ...numberBytes(module.importedFunctions + module.bodies.length)])
    } else if (opcode === RETURN && isNesting) {
      copyTo(at)
      // To the end of the block that is around all.
      pieces.push([0x0c, ...numberBytes(level)])
      copied = end
    } else if (end === body.bytes.length && isNesting) {
      copyTo(at)
      pieces.push([END], leave(depthOf(module), frame))
    }
  }
  copyTo(body.bytes.length)
  return joined(pieces)
}

/**
 * What a call takes of the depth, in bytes: the frames of compiled code have a slot for each value at the most.
 * Measured, they have half of what this says.
 */
const FRAME_BYTES = 64
const SLOT_BYTES = 8
const FRAME_SLOTS = 16

/** Traps at no fuel; takes one. */
function tick(fuel: number): number[] {
  const get = [0x23, ...numberBytes(fuel)]
  return [...get, 0x45, ...TRAP_IF, ...get, ...plus(-1), 0x24, ...numberBytes(fuel)]
}

function enter(depth: number, frame: number): number[] {
  const get = [0x23, ...numberBytes(depth)]
  const taken = [...get, ...plus(-frame), 0x24, ...numberBytes(depth)]
  return [...taken, ...get, ...constant(0), 0x48, ...TRAP_IF]
}

function leave(depth: number, frame: number): number[] {
  return [0x23, ...numberBytes(depth), ...plus(frame), 0x24, ...numberBytes(depth)]
}

/** Takes a unit of fuel for each 32 bytes, and gives back their number. */
function chargeBody(module: MeteredModule): number[] {
  const get = [0x23, ...numberBytes(fuelOf(module))]
  const bytes = [0x20, 0]
  const units = [...bytes, ...constant(5), 0x76]
  const taken = [...get, ...units, 0x6b, 0x24, ...numberBytes(fuelOf(module))]
  return [0, ...taken, ...get, ...constant(0), 0x48, ...TRAP_IF, ...bytes, END]
}

/** `if unreachable end` */
const TRAP_IF = [IF, NO_RESULT, 0x00, END]

function plus(added: number): number[] {
  return [...constant(added), 0x6a]
}

function constant(value: number): number[] {
  return [0x41, ...signedBytes(value)]
}

function sectionBytes(id: number, content: Uint8Array): Uint8Array {
  return joined([[id], numberBytes(content.length), content])
}
