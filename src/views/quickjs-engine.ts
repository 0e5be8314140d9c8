/**
 * QuickJS, a JavaScript engine in C, as WebAssembly: one instance with one context, whose memory can be taken
 * down and set back byte for byte. It counts its work (`metered-wasm.ts`) and gets nothing of the world: what it
 * imports is answered here, and knows no time, no file and no function of the host.
 *
 * Left out: the module's own names, its imports and its memory (`engine-instance.ts`), what runs in it
 * (`sandbox-prelude.ts`), and what a view is.
 */

import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'

import { assert } from '../core/assert.ts'
import { toHex } from '../core/bytes.ts'
import type { Hasher } from '../core/clock.ts'
import { EngineInstance, WASM_PAGE_BYTES } from './engine-instance.ts'
import type { EngineImage, Stop } from './engine-instance.ts'
import { ENGINE_STACK_BYTES, SANDBOX_BYTES, SANDBOX_BYTES_MAX } from './limits.ts'
import { METER_FULL, meteredWasm } from './metered-wasm.ts'
import { WebAssembly } from './web-assembly.ts'
import type { WasmCode } from './web-assembly.ts'

const require = createRequire(import.meta.url)

/** SHA-256 of the module whose names are known: QuickJS 2025-09-13. */
export const ENGINE_SHA256 = '105c3bed22d457e43e3d1c3c1c6959fda62a8fe06f0fc8a985303c3a2be72232'

/** Compiles the engine, which takes a tenth of a second once. */
export async function loadEngineCode(hasher: Hasher): Promise<WasmCode> {
  const path = require.resolve('@jitl/quickjs-wasmfile-release-sync/wasm')
  const bytes = await readFile(path)
  assert(toHex(hasher.sha256(bytes)) === ENGINE_SHA256, 'the engine is the one that is known')
  return WebAssembly.compile(meteredWasm(bytes, SANDBOX_BYTES / WASM_PAGE_BYTES))
}

/** A value of the engine's JavaScript: where it stands in its memory. Whoever got it frees it. */
export type EngineValue = number & { readonly brand: 'EngineValue' }

/** What a call may take. */
export interface CallLimits {
  readonly fuel: number
  readonly depthBytes: number
  readonly memoryBytes: number
}

/** `fuel` is what it took. */
export type Attempt<Result> =
  | { readonly type: 'done'; readonly result: Result; readonly fuel: number }
  | { readonly type: 'stopped'; readonly stop: Stop; readonly fuel: number }

/** What JavaScript threw, in words, and in which line. */
export class EngineError extends Error {
  readonly line: number | undefined

  constructor(message: string, line: number | undefined) {
    super(message)
    this.name = 'EngineError'
    this.line = line
  }
}

export class Engine {
  readonly #code: WasmCode
  #instance: EngineInstance
  #runtime = 0
  #context = 0

  /** Without `image` one that has just begun. */
  constructor(code: WasmCode, origin?: Engine) {
    this.#code = code
    this.#instance = new EngineInstance(code)
    if (origin === undefined) {
      this.#begin()
    } else {
      this.#runtime = origin.#runtime
      this.#context = origin.#context
    }
  }

  /** Where in memory the bytes stand, from now on and in every image that is taken. */
  reserve(bytes: number): number {
    const { malloc } = this.#instance.calls
    const at = malloc(bytes)
    assert(at !== 0, 'the engine has room')
    return at
  }

  /** The 32-bit number at a place. */
  wordAt(at: number): number {
    return this.#instance.wordAt(at)
  }

  bufferOf(at: number, bytes: number): EngineValue {
    return this.#instance.calls.newArrayBuffer(this.#context, at, bytes) as EngineValue
  }

  number(value: number): EngineValue {
    return this.#instance.calls.newNumber(this.#context, value) as EngineValue
  }

  text(value: string): EngineValue {
    const at = this.#put(value)
    const text = this.#instance.calls.newString(this.#context, at) as EngineValue
    this.#instance.calls.free(at)
    return text
  }

  elementOf(array: EngineValue, index: number): EngineValue {
    return this.#instance.calls.elementOf(this.#context, array, index) as EngineValue
  }

  free(value: EngineValue): void {
    this.#instance.calls.freeValue(this.#context, value)
  }

  /** @throws EngineError */
  evaluate(text: string, file: string): EngineValue {
    const { calls } = this.#instance
    const [source, name] = [this.#put(text), this.#put(file)]
    const length = Buffer.byteLength(text)
    const value = calls.evaluate(this.#context, source, length, name, 0, STRICT)
    calls.free(source)
    calls.free(name)
    return this.#returned(value)
  }

  /** @throws EngineError */
  call(callee: EngineValue, given: readonly EngineValue[]): EngineValue {
    const { calls } = this.#instance
    const list = calls.malloc(POINTER_BYTES * Math.max(1, given.length))
    for (const [index, value] of given.entries()) {
      this.#instance.setWord(list + index * POINTER_BYTES, value)
    }
    const self = calls.undefined()
    const value = calls.call(this.#context, callee, self, given.length, list)
    calls.free(list)
    return this.#returned(value)
  }

  /** Of a text; frees it. */
  takeText(value: EngineValue): string {
    const { calls } = this.#instance
    const at = calls.textOf(this.#context, value)
    const text = this.#instance.textAt(at)
    calls.freeText(this.#context, at)
    this.free(value)
    return text
  }

  /**
   * Runs it within limits. After a stop the engine is to be restored before anything else.
   *
   * What `run` throws comes out, and is no stop.
   */
  attempt<Result>(limits: CallLimits, run: () => Result): Attempt<Result> {
    const instance = this.#instance
    const { fuel, depth } = instance.meters
    fuel.value = limits.fuel
    depth.value = limits.depthBytes
    instance.memoryBytesMax = limits.memoryBytes
    try {
      const result = run()
      return { type: 'done', result, fuel: limits.fuel - fuel.value }
    } catch (error) {
      const stop = instance.stopOf(error)
      if (stop === undefined) throw error
      return { type: 'stopped', stop, fuel: limits.fuel - Math.max(0, fuel.value) }
    } finally {
      fuel.value = METER_FULL
      depth.value = METER_FULL
      instance.memoryBytesMax = SANDBOX_BYTES_MAX
    }
  }

  takeImage(): EngineImage {
    return this.#instance.takeImage()
  }

  restore(image: EngineImage): void {
    // A memory does not shrink: what grew goes as a whole, so that a view keeps no more than it needs.
    if (this.#instance.hasGrown) this.#instance = new EngineInstance(this.#code)
    this.#instance.restore(image)
  }

  #begin(): void {
    const { calls } = this.#instance
    calls.begin()
    this.#runtime = calls.newRuntime()
    calls.setStackBytes(this.#runtime, ENGINE_STACK_BYTES)
    this.#context = calls.newContext(this.#runtime, 0)
    assert(this.#context !== 0, 'the engine has a context')
  }

  #put(text: string): number {
    const length = Buffer.byteLength(text)
    const at = this.reserve(length + 1)
    this.#instance.setText(at, text)
    return at
  }

  #returned(value: number): EngineValue {
    const thrown = this.#instance.calls.takeException(this.#context, value) as EngineValue
    if (thrown === 0) return value as EngineValue
    const { name, message, lineNumber } = this.#shown(thrown)
    const line = typeof lineNumber === 'number' ? lineNumber : undefined
    throw new EngineError(`${String(name)}: ${String(message)}`, line)
  }

  /** Of an error of the engine's own: what functions of a view throw is caught by the prelude. */
  #shown(thrown: EngineValue): Readonly<Record<string, unknown>> {
    const text = this.#instance.textAt(this.#instance.calls.dump(this.#context, thrown))
    try {
      return { ...(JSON.parse(text) as object) }
    } catch {
      return { name: 'Error', message: 'threw something that is not an error' }
    }
  }
}

const POINTER_BYTES = 4
/** Of a text as a whole: strict mode. */
const STRICT = 8
