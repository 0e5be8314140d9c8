/**
 * Which builds a store of views has: a record for each view that says which one answers for it and what its
 * definition was. A build that is not named is what a crash has left, and is removed.
 */

import { toHex } from '../core/bytes.ts'
import type { DerivedStore } from '../store/derived-store.ts'
import { BUILDS, prefixOf } from './view-build.ts'

/** `library`: functions of this program; `definition`: a definition that replicates. */
export type ViewOrigin = 'library' | 'definition'

export interface CatalogEntry {
  readonly build: number
  /** `LAYOUT` when it was made. */
  readonly layout: number
  /** Hash of the program that it was made with. */
  readonly hash: string
  readonly origin: ViewOrigin
}

const ENTRIES = 0x00
/** To be raised when records of a build are laid out otherwise, or runs end elsewhere: those before are made anew. */
export const LAYOUT = 2

export class Catalog {
  readonly store: DerivedStore
  readonly #entries: Map<string, CatalogEntry>
  #last = 0

  static async open(store: DerivedStore): Promise<Catalog> {
    const entries = new Map<string, CatalogEntry>()
    const records = await store.scan({ from: bytesOf(ENTRIES), to: bytesOf(ENTRIES + 1) })
    for (const { key, value } of records) {
      const name = Buffer.from(key).toString('utf8', 1)
      const entry = JSON.parse(Buffer.from(value).toString()) as CatalogEntry
      if (entry.layout === LAYOUT) entries.set(name, entry)
      else await store.write([{ key, value: undefined }])
    }
    const catalog = new Catalog(store, entries)
    await catalog.#sweep()
    return catalog
  }

  private constructor(store: DerivedStore, entries: Map<string, CatalogEntry>) {
    this.store = store
    this.#entries = entries
    this.#last = Math.max(0, ...[...entries.values()].map(({ build }) => build))
  }

  get(view: string): CatalogEntry | undefined {
    return this.#entries.get(view)
  }

  views(origin: ViewOrigin): readonly string[] {
    const those = [...this.#entries].filter(([, entry]) => entry.origin === origin)
    return those.map(([name]) => name)
  }

  /** The number of a build that is begun. */
  next(): number {
    this.#last += 1
    return this.#last
  }

  /**
   * From now on this build answers for the view; the one before may be cleared. Entries change at once, and on the
   * disk in the same order: after a write that fails they are read anew.
   */
  async set(view: string, made: Omit<CatalogEntry, 'layout'>): Promise<void> {
    const entry = { ...made, layout: LAYOUT }
    this.#entries.set(view, entry)
    const value = Buffer.from(JSON.stringify(entry))
    await this.store.write([{ key: bytesOf(ENTRIES, view), value }])
  }

  /** No build answers for the view any more. */
  async remove(view: string): Promise<void> {
    if (!this.#entries.delete(view)) return
    await this.store.write([{ key: bytesOf(ENTRIES, view), value: undefined }])
  }

  async clear(build: number): Promise<void> {
    await this.store.clear(prefixOf(build))
  }

  async #sweep(): Promise<void> {
    const kept = new Set([...this.#entries.values()].map(({ build }) => toHex(prefixOf(build))))
    const end = bytesOf(BUILDS + 1)
    for (let from = bytesOf(BUILDS); ;) {
      const [first] = await this.store.scan({ from, to: end, limit: 1 })
      if (first === undefined) return
      const prefix = first.key.slice(0, prefixOf(0).length)
      if (!kept.has(toHex(prefix))) await this.store.clear(prefix)
      const number = new DataView(prefix.buffer, prefix.byteOffset).getUint32(1)
      from = prefixOf(number + 1)
    }
  }
}

function bytesOf(tag: number, text = ''): Uint8Array {
  return Buffer.concat([Buffer.from([tag]), Buffer.from(text)])
}
