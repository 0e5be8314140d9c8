/**
 * An instance of the engine's module: its functions by their names, its memory as bytes, and what it imports.
 *
 * The names of what the module has are one or two letters, and others in each build: these are of the one whose
 * hash is in `quickjs-engine.ts`, and are in its package's `emscripten-module.mjs`.
 *
 * Nothing that it imports says anything of the world: the time is always 1970, the time zone UTC, there are no
 * variables and no files. What it does not need traps.
 */

import { assert } from '../core/assert.ts'
import { SANDBOX_BYTES, SANDBOX_BYTES_MAX } from './limits.ts'
import { METER_EXPORTS } from './metered-wasm.ts'
import { WebAssembly } from './web-assembly.ts'
import type { WasmCode, WasmFunction, WasmGlobal, WasmMemory } from './web-assembly.ts'

/** Why a call was stopped: nothing in the engine can catch that, and its state is none any more. */
export type Stop = 'fuel' | 'depth' | 'memory'

/** The engine's whole state between two calls. */
export interface EngineImage {
  /** Those that are not zero, by number. */
  readonly pages: ReadonlyMap<number, Uint8Array>
  readonly stackPointer: number
}

type EngineCall = keyof typeof CALLS

export class EngineInstance {
  readonly calls: Readonly<Record<EngineCall, WasmFunction>>
  readonly meters: Readonly<Record<'fuel' | 'depth', WasmGlobal>>
  /** It traps where it would have more. */
  memoryBytesMax: number = SANDBOX_BYTES_MAX

  readonly #memory: WasmMemory
  readonly #stack: WasmGlobal
  #bytes: Buffer
  #isOutOfMemory = false

  constructor(code: WasmCode) {
    this.#memory = new WebAssembly.Memory({
      initial: SANDBOX_BYTES / WASM_PAGE_BYTES,
      maximum: HOST_PAGES_MAX
    })
    this.#bytes = Buffer.from(this.#memory.buffer)
    const { exports } = new WebAssembly.Instance(code, { a: this.#imports() })
    const calls = Object.entries(CALLS).map(([call, name]) => {
      assert(typeof exports[name] === 'function', 'the engine has a function of this name')
      return [call, exports[name]]
    })
    this.calls = Object.fromEntries(calls) as Readonly<Record<EngineCall, WasmFunction>>
    const meter = (name: string): WasmGlobal => exports[name] as WasmGlobal
    this.meters = { fuel: meter(METER_EXPORTS.fuel), depth: meter(METER_EXPORTS.depth) }
    this.#stack = meter(METER_EXPORTS.stack)
  }

  get hasGrown(): boolean {
    return this.#bytes.length > SANDBOX_BYTES
  }

  wordAt(at: number): number {
    return this.#bytes.readInt32LE(at)
  }

  setWord(at: number, word: number): void {
    this.#bytes.writeInt32LE(word, at)
  }

  /** And a zero after it. */
  setText(at: number, text: string): void {
    const length = this.#bytes.write(text, at)
    this.#bytes[at + length] = 0
  }

  /** Up to the zero. */
  textAt(at: number): string {
    return this.#bytes.toString('utf8', at, this.#bytes.indexOf(0, at))
  }

  /** Undefined for what is not the doing of what ran, but a fault of ours, or of the host. */
  stopOf(error: unknown): Stop | undefined {
    if (this.#isOutOfMemory) return 'memory'
    if (!(error instanceof WebAssembly.RuntimeError)) return undefined
    if (this.meters.fuel.value <= 0) return 'fuel'
    return this.meters.depth.value < 0 ? 'depth' : undefined
  }

  takeImage(): EngineImage {
    const pages = new Map<number, Uint8Array>()
    for (let at = 0; at < this.#bytes.length; at += IMAGE_PAGE_BYTES) {
      const page = this.#bytes.subarray(at, at + IMAGE_PAGE_BYTES)
      if (page.compare(ZEROS) !== 0) pages.set(at, Uint8Array.from(page))
    }
    return { pages, stackPointer: this.#stack.value }
  }

  restore(image: EngineImage): void {
    for (let at = 0; at < this.#bytes.length; at += IMAGE_PAGE_BYTES) {
      const page = image.pages.get(at)
      if (page !== undefined) this.#bytes.set(page, at)
      // Looked at first: pages that were never written take no memory of the host's.
      else if (this.#bytes.compare(ZEROS, 0, IMAGE_PAGE_BYTES, at, at + IMAGE_PAGE_BYTES) !== 0) {
        this.#bytes.fill(0, at, at + IMAGE_PAGE_BYTES)
      }
    }
    this.#stack.value = image.stackPointer
    this.#isOutOfMemory = false
  }

  #imports(): Readonly<Record<string, unknown>> {
    const setWord = (at: number, word: number): number => {
      this.setWord(at, word)
      return 0
    }
    const unused = (): never => {
      throw new WebAssembly.RuntimeError('the engine asks for what it does not get')
    }
    const used = {
      a: this.#memory,
      k: (bytes: number) => this.#grow(bytes),
      // The time.
      p: () => 0,
      // The parts of a time in the time zone, of which the engine reads how far it is from UTC.
      m: (_time: bigint, at: number) => this.#bytes.fill(0, at, at + TIME_PARTS_BYTES),
      // The time zone: seconds, whether there is a summer time, and two names.
      n: (seconds: number, hasSummer: number, name: number, summerName: number) => {
        setWord(seconds, 0)
        setWord(hasSummer, 0)
        this.setText(name, 'UTC')
        this.setText(summerName, 'UTC')
      },
      // The variables of the environment, and how many.
      e: () => 0,
      f: (count: number, bytes: number) => setWord(count, 0) + setWord(bytes, 0),
      // Whether to stop, which is asked for seldom, and answered by the fuel.
      i: () => 0
    }
    const others = Object.fromEntries(UNUSED_IMPORTS.map((name) => [name, unused]))
    return { ...others, ...used }
  }

  #grow(bytes: number): number {
    // Unsigned, which what comes from the module is not.
    if (bytes >>> 0 > this.memoryBytesMax) {
      this.#isOutOfMemory = true
      throw new WebAssembly.RuntimeError('out of memory')
    }
    // All at once: each time moves the memory, and what is not written takes none of the host's.
    this.#memory.grow((SANDBOX_BYTES_MAX - this.#bytes.length) / WASM_PAGE_BYTES)
    this.#bytes = Buffer.from(this.#memory.buffer)
    return 1
  }
}

/** The module's functions. */
const CALLS = {
  begin: 'u',
  malloc: 'v',
  free: 'M',
  newRuntime: 'K',
  setStackBytes: 'D',
  newContext: 'N',
  evaluate: 'pa',
  call: 'ma',
  takeException: 'na',
  dump: 'oa',
  undefined: 'E',
  newNumber: 'Y',
  newString: '_',
  newArrayBuffer: 'X',
  elementOf: 'ia',
  textOf: '$',
  freeText: 'S',
  freeValue: 'P'
} as const

/** Files, a timer, leaving the process, functions of the host and modules. */
const UNUSED_IMPORTS = ['b', 'c', 'd', 'g', 'h', 'j', 'l', 'o', 'q', 'r', 's', 't']

export const WASM_PAGE_BYTES = 65_536
/** Of which an image is made: a divisor of the memory. */
const IMAGE_PAGE_BYTES = 16_384
const ZEROS = Buffer.alloc(IMAGE_PAGE_BYTES)
/** As the module says that its memory has. */
const HOST_PAGES_MAX = 32_768
/** Eleven numbers. */
const TIME_PARTS_BYTES = 44
