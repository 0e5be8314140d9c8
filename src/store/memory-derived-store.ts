/** Derived records in memory: the twin of those on disk, for tests, simulation and throw-away nodes. */

import { compareBytes } from '../core/bytes.ts'
import { LaterbaseError } from '../errors.ts'
import type {
  DerivedChange,
  DerivedRange,
  DerivedReader,
  DerivedRecord,
  DerivedSnapshot,
  DerivedStore
} from './derived-store.ts'
import { SCAN_CHUNK } from './limits.ts'

export function createMemoryDerivedStore(): DerivedStore {
  return new MemoryDerivedStore()
}

/** Records in order; never changed in place, so that whoever holds them has a snapshot. */
type Records = readonly DerivedRecord[]

class MemoryDerivedReader implements DerivedReader {
  protected readonly records: () => Records

  constructor(records: () => Records) {
    this.records = records
  }

  async get(key: Uint8Array): Promise<Uint8Array | undefined> {
    const records = this.records()
    const found = records[placeOf(records, key)]
    return found !== undefined && compareBytes(found.key, key) === 0 ? found.value : undefined
  }

  async scan({ from, to, reverse, limit }: DerivedRange): Promise<Records> {
    const records = this.records()
    const found = records.slice(placeOf(records, from), placeOf(records, to))
    return (reverse === true ? found.reverse() : found).slice(0, limit)
  }

  async *chunks(range: DerivedRange): AsyncGenerator<Records> {
    const records = await this.scan(range)
    for (let at = 0; at < records.length; at += SCAN_CHUNK) {
      yield records.slice(at, at + SCAN_CHUNK)
    }
  }
}

class MemoryDerivedSnapshot extends MemoryDerivedReader implements DerivedSnapshot {
  async release(): Promise<void> {
    await Promise.resolve()
  }
}

class MemoryDerivedStore extends MemoryDerivedReader implements DerivedStore {
  #held: Records = []
  #isClosed = false

  constructor() {
    super(() => this.#held)
  }

  snapshot(): DerivedSnapshot {
    const held = this.#held
    return new MemoryDerivedSnapshot(() => held)
  }

  async write(changes: readonly DerivedChange[]): Promise<void> {
    this.#expectOpen()
    const held = [...this.#held]
    for (const { key, value } of changes) {
      const at = placeOf(held, key)
      const found = held[at]
      const isHeld = found !== undefined && compareBytes(found.key, key) === 0
      held.splice(at, isHeld ? 1 : 0, ...(value === undefined ? [] : [{ key, value }]))
    }
    this.#held = held
  }

  async clear(prefix: Uint8Array): Promise<void> {
    this.#expectOpen()
    this.#held = this.#held.filter(
      ({ key }) => compareBytes(key.subarray(0, prefix.length), prefix) !== 0
    )
  }

  async diskBytes(): Promise<number> {
    return 0
  }

  async close(): Promise<void> {
    this.#isClosed = true
  }

  #expectOpen(): void {
    if (this.#isClosed) throw new LaterbaseError('LATERBASE_CLOSED', 'the views are closed')
  }
}

/** Where a key stands, or would. */
function placeOf(records: Records, key: Uint8Array): number {
  let [low, high] = [0, records.length]
  while (low < high) {
    const middle = (low + high) >>> 1
    const found = records[middle]
    if (found !== undefined && compareBytes(found.key, key) < 0) low = middle + 1
    else high = middle
  }
  return low
}
