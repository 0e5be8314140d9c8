/**
 * What a node keeps of a database besides its events and can make again from them: views. Ordered
 * records and atomic batches, in a folder of their own, so that deleting it loses nothing, and whatever
 * becomes of it leaves the events alone. `level-derived-store.ts` is the one on disk.
 *
 * Guarantees of every implementation:
 * - A batch is there whole or not at all, and none before an earlier one: what was written last may be
 *   gone after a power cut, what remains is a state that there was.
 * - A snapshot shows one state, whatever is written meanwhile.
 * - What is read is what was written, or the read fails.
 */

export interface DerivedStore extends DerivedReader {
  /** One state, to be released. */
  snapshot(): DerivedSnapshot
  write(changes: readonly DerivedChange[]): Promise<void>
  /** Removes every record whose key begins with these bytes; not atomic. */
  clear(prefix: Uint8Array): Promise<void>
  diskBytes(prefix: Uint8Array): Promise<number>
  /** Idempotent; waits for a write under way. */
  close(): Promise<void>
}

export interface DerivedReader {
  get(key: Uint8Array): Promise<Uint8Array | undefined>
  /** Records in the order of their keys as unsigned bytes, or in reverse. */
  scan(range: DerivedRange): Promise<readonly DerivedRecord[]>
  /** The same, for ranges of any size: all of one state. */
  chunks(range: Omit<DerivedRange, 'limit'>): AsyncIterable<readonly DerivedRecord[]>
}

export interface DerivedSnapshot extends DerivedReader {
  release(): Promise<void>
}

export interface DerivedRecord {
  readonly key: Uint8Array
  readonly value: Uint8Array
}

export interface DerivedChange {
  readonly key: Uint8Array
  /** Undefined removes the record. */
  readonly value: Uint8Array | undefined
}

export interface DerivedRange {
  /** Inclusive. */
  readonly from: Uint8Array
  /** Exclusive. */
  readonly to: Uint8Array
  readonly reverse?: boolean
  readonly limit?: number
}
