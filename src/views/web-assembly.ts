/** What is used of the host's WebAssembly, which the types of Node.js do not describe. */

export interface WasmMemory {
  readonly buffer: ArrayBuffer
  /** By so many pages of 64 KiB; throws where there is no room. */
  grow(pages: number): number
}

export interface WasmGlobal {
  value: number
}

/** A compiled module. */
export interface WasmCode {
  readonly brand?: 'WebAssembly.Module'
}

export type WasmFunction = (...values: readonly number[]) => number

interface WebAssemblyApi {
  compile(bytes: Uint8Array<ArrayBuffer>): Promise<WasmCode>
  readonly Memory: new (pages: { initial: number; maximum: number }) => WasmMemory
  readonly Instance: new (
    code: WasmCode,
    imports: Readonly<Record<string, Readonly<Record<string, unknown>>>>
  ) => { readonly exports: Readonly<Record<string, unknown>> }
  readonly RuntimeError: new (message: string) => Error
}

export const { WebAssembly } = globalThis as unknown as { readonly WebAssembly: WebAssemblyApi }
