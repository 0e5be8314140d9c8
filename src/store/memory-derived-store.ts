/** Derived records in memory: the twin of those on disk, for tests, simulation and throw-away nodes. */

import { compareBytes } from '../core/bytes.ts'
import { countBelow } from '../core/sorted-keys.ts'
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

/**
 * Records in order; never changed in place, so that whoever holds them has a snapshot. What a batch changes is laid
 * over them in one pass: pieces put in one by one move all that is behind, again and again.
 */
type Records = readonly DerivedRecord[]

class MemoryDerivedReader implements DerivedReader {
  protected readonly records: () => Records

  constructor(records: () => Records) {
    this.records = records
  }

  async get(key: Uint8Array): Promise<Uint8Array | undefined> {
    const records = this.records()
    const found = records[countBelow(records, key)]
    return found !== undefined && compareBytes(found.key, key) === 0 ? found.value : undefined
  }

  async scan({ from, to, reverse, limit }: DerivedRange): Promise<Records> {
    const records = this.records()
    const found = records.slice(countBelow(records, from), countBelow(records, to))
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
    super(() => this.#open())
  }

  snapshot(): DerivedSnapshot {
    const held = this.#open()
    return new MemoryDerivedSnapshot(() => {
      this.#open()
      return held
    })
  }

  async write(changes: readonly DerivedChange[]): Promise<void> {
    this.#held = withChanges(this.#open(), changes)
  }

  async clear(prefix: Uint8Array): Promise<void> {
    this.#held = this.#open().filter(
      ({ key }) => compareBytes(key.subarray(0, prefix.length), prefix) !== 0
    )
  }

  async diskBytes(): Promise<number> {
    this.#open()
    return 0
  }

  async close(): Promise<void> {
    this.#isClosed = true
  }

  #open(): Records {
    if (this.#isClosed) throw new LaterbaseError('LATERBASE_CLOSED', 'the views are closed')
    return this.#held
  }
}

/** Of several changes of one key the last one counts. */
export function withChanges(held: Records, changes: readonly DerivedChange[]): Records {
  const sorted = changes.toSorted((a, b) => compareBytes(a.key, b.key))
  const records: DerivedRecord[] = []
  let at = 0
  for (const [index, { key, value }] of sorted.entries()) {
    const next = sorted[index + 1]
    if (next !== undefined && compareBytes(next.key, key) === 0) continue
    const place = countBelow(held, key)
    for (; at < place; at += 1) records.push(held[at] as DerivedRecord)
    const found = held[at]
    if (found !== undefined && compareBytes(found.key, key) === 0) at += 1
    if (value !== undefined) records.push({ key, value })
  }
  for (; at < held.length; at += 1) records.push(held[at] as DerivedRecord)
  return records
}
