/**
 * Derived records in a ClassicLevel of their own. Each is sealed with a check over its key and bytes: rot is
 * an error, not an answer. Writes are synced: a LevelDB log that is left behind unsynced when the next one
 * begins could be gone after a power cut while the next one is there.
 */

import { afterPrefix } from '../core/bytes.ts'
import { LaterbaseError } from '../errors.ts'
import { seal, unsealed } from './checksum.ts'
import type {
  DerivedChange,
  DerivedRange,
  DerivedReader,
  DerivedRecord,
  DerivedSnapshot,
  DerivedStore
} from './derived-store.ts'
import { CHAINED_BATCH_BYTES_MAX, SCAN_CHUNK } from './limits.ts'
import { namedError, openLevel } from './open-level.ts'
import type { Level, Snapshot } from './open-level.ts'
import { readChunks, readFirst } from './read-chunk.ts'
import type { RangeRead } from './read-chunk.ts'

/**
 * Opens the derived records in a folder, which is made when it is missing.
 *
 * @throws LATERBASE_STORE_CORRUPT or LATERBASE_STORE_LOST: delete the folder, and all is made again
 */
export async function openDerivedStore(location: string): Promise<DerivedStore> {
  return new LevelDerivedStore(await openLevel(location, true))
}

class LevelDerivedReader implements DerivedReader {
  protected readonly db: Level
  readonly #snapshot: Snapshot | undefined

  constructor(db: Level, snapshot?: Snapshot) {
    this.db = db
    this.#snapshot = snapshot
  }

  async get(key: Uint8Array): Promise<Uint8Array | undefined> {
    const at = this.#snapshot === undefined ? {} : { snapshot: this.#snapshot }
    const bytes = bufferOf(key)
    const sealed = await named(() => this.db.get(bytes, at))
    return sealed === undefined ? undefined : intact(bytes, sealed)
  }

  async scan(range: DerivedRange): Promise<readonly DerivedRecord[]> {
    const { limit = Infinity } = range
    return (await named(() => readFirst(this.db, this.#rangeOf(range), limit))).map(recordOf)
  }

  async *chunks(range: Omit<DerivedRange, 'limit'>): AsyncGenerator<readonly DerivedRecord[]> {
    const chunks = readChunks(this.db, this.#rangeOf(range), SCAN_CHUNK)
    try {
      for (;;) {
        const { done, value } = await named(() => chunks.next())
        if (done === true) return
        yield value.map(recordOf)
      }
    } finally {
      await chunks.return(undefined)
    }
  }

  #rangeOf({ from, to, reverse = false }: DerivedRange): RangeRead {
    return { gte: bufferOf(from), lt: bufferOf(to), reverse, snapshot: this.#snapshot }
  }
}

class LevelDerivedSnapshot extends LevelDerivedReader implements DerivedSnapshot {
  readonly #held: Snapshot

  constructor(db: Level, held: Snapshot) {
    super(db, held)
    this.#held = held
  }

  async release(): Promise<void> {
    await this.#held.close()
  }
}

class LevelDerivedStore extends LevelDerivedReader implements DerivedStore {
  /** One batch is in flight at a time. */
  #last: Promise<unknown> = Promise.resolve()
  #closed: Promise<void> | undefined

  snapshot(): DerivedSnapshot {
    try {
      return new LevelDerivedSnapshot(this.db, this.db.snapshot())
    } catch (error) {
      throw toldError(error)
    }
  }

  write(changes: readonly DerivedChange[]): Promise<void> {
    return this.#next(async () => {
      // A chained batch costs a fifth of an array, and much native memory where it is large.
      const bytes = changes.reduce((sum, { value }) => sum + (value?.length ?? 0), 0)
      if (bytes > CHAINED_BATCH_BYTES_MAX) {
        await this.db.batch(changes.map(operationOf), { sync: true })
        return
      }
      const batch = this.db.batch()
      for (const { key, value } of changes) {
        const bytes = bufferOf(key)
        if (value === undefined) batch.del(bytes)
        else batch.put(bytes, seal(bytes, value))
      }
      await batch.write({ sync: true })
    })
  }

  clear(prefix: Uint8Array): Promise<void> {
    return this.#next(() => this.db.clear(boundsOf(prefix)))
  }

  async diskBytes(prefix: Uint8Array): Promise<number> {
    const { gte, lt } = boundsOf(prefix)
    return named(async () => this.db.approximateSize(gte, lt))
  }

  close(): Promise<void> {
    this.#closed ??= this.#last.then(() => this.db.close())
    return this.#closed
  }

  #next(operation: () => Promise<void>): Promise<void> {
    if (this.#closed !== undefined) {
      return Promise.reject(new LaterbaseError('LATERBASE_CLOSED', 'the views are closed'))
    }
    const done = this.#last.then(() => named(operation))
    this.#last = done.catch(() => undefined)
    return done
  }
}

function operationOf({
  key,
  value
}: DerivedChange):
  | { readonly type: 'del'; readonly key: Buffer }
  | { readonly type: 'put'; readonly key: Buffer; readonly value: Buffer } {
  const bytes = bufferOf(key)
  if (value === undefined) return { type: 'del', key: bytes }
  return { type: 'put', key: bytes, value: seal(bytes, value) }
}

function recordOf([key, sealed]: [Buffer, Buffer]): DerivedRecord {
  return { key, value: intact(key, sealed) }
}

function intact(key: Buffer, sealed: Buffer): Buffer {
  const bytes = unsealed(key, sealed)
  if (bytes !== undefined) return bytes
  const message = `a record of the views, ${key.toString('hex')}, does not match its checksum`
  throw new LaterbaseError('LATERBASE_STORE_CORRUPT', message)
}

async function named<T>(operation: () => Promise<T>): Promise<T> {
  try {
    return await operation()
  } catch (error) {
    throw toldError(error)
  }
}

/** A handle that is not open was closed: by whoever closed the store, and that it failed was told before. */
function toldError(error: unknown): unknown {
  const code = error instanceof Error && 'code' in error ? String(error.code) : ''
  if (!code.endsWith('_NOT_OPEN')) return namedError(error)
  return new LaterbaseError('LATERBASE_CLOSED', 'the views are closed', { cause: error })
}

function boundsOf(prefix: Uint8Array): { gte: Buffer; lt: Buffer } {
  return { gte: bufferOf(prefix), lt: bufferOf(afterPrefix(prefix)) }
}

function bufferOf(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
}
