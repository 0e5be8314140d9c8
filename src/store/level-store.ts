/**
 * The store on ClassicLevel: one LevelDB per database, one synced batch per write.
 *
 * Opening and its errors are in `open-level.ts`, the bytes of the records in `key-layout.ts`, what
 * a write puts together in `level-batch.ts`, reads in `level-reader.ts`.
 */

import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'

import { AssertionError, assert, present } from '../core/assert.ts'
import { logOrigin } from '../core/commit.ts'
import type { Commit, LogId, LogOrigin } from '../core/commit.ts'
import type { Hasher, Rng } from '../core/clock.ts'
import type { EventKey } from '../core/event-key.ts'
import type { Stamp } from '../core/hybrid-logical-clock.ts'
import { LaterbaseError } from '../errors.ts'
import { unseal } from './checksum.ts'
import type {
  CheckOptions,
  CheckStep,
  CommitSlice,
  DamagePlace,
  EventStore,
  KeyRange,
  Occurrence,
  StoreBatch,
  StoredCommit,
  StoredEvent,
  StoredLog,
  StoreFound,
  StoreOwner,
  Stretch
} from './event-store.ts'
import { COUNTERS_KEY, decodeCounters } from './key-layout.ts'
import type { StoreCounters, StoreIdentity } from './key-layout.ts'
import { loadHeldKeys } from './held-keys.ts'
import { checkStore } from './integrity.ts'
import { LevelBatch } from './level-batch.ts'
import { healingPuts } from './level-heal.ts'
import { LevelReader } from './level-reader.ts'
import { LogDraft, LogTable } from './merge-batch.ts'
import { isLevelDamage, openSharedLevel } from './open-level.ts'
import type { Level } from './open-level.ts'
import { identify } from './store-identity.ts'
import { findStretches } from './stretches.ts'

export interface LevelStoreOptions {
  readonly location: string
  readonly owner: StoreOwner
  /** Make the store when it is not there; false for one that is known to exist. */
  readonly create: boolean
  readonly hasher: Hasher
  readonly rng: Rng
  /** Looks at a store before anybody else does: it throws to refuse it, or answers who is told. */
  readonly opened?: (db: Level, store: EventStore) => Promise<StoreObserver>
}

/** Is told of what is on disk. */
export interface StoreObserver {
  note(now: StoreExtent): void
  /** The store was closed with nothing under way. */
  close(): Promise<void>
}

export interface StoreExtent {
  readonly incarnation: string
  readonly arrival: number
  readonly events: number
  /** The log that the store's node writes from now on. */
  readonly ownLog: LogId
  /** Sequence number of its last event. */
  readonly ownSeq: number
}

/**
 * @throws LATERBASE_STORE_LOCKED, LATERBASE_STORE_LOST (not there and `create` is false),
 *   LATERBASE_STORE_FORMAT, LATERBASE_STORE_CORRUPT
 */
export async function openLevelStore(options: LevelStoreOptions): Promise<EventStore> {
  const db = await openSharedLevel(options.location, options.create)
  try {
    const { identity, found } = await identify(db, options)
    const reader = new LevelReader(db, options.hasher)
    const logs = await reader.logs(options.owner.database)
    const counters = await readCounters(db)
    const store = new LevelStore({ db, reader, identity, found, logs, options, counters })
    store.observer = await options.opened?.(db, store)
    return store
  } catch (error) {
    await db.close()
    throw unreadable(error) ? damaged(options.location, error) : error
  }
}

interface Opened {
  readonly db: Level
  readonly reader: LevelReader
  readonly identity: StoreIdentity
  readonly found: StoreFound
  readonly logs: readonly StoredLog[]
  readonly counters: StoreCounters
  readonly options: LevelStoreOptions
}

class LevelStore implements EventStore {
  readonly found: StoreFound
  observer: StoreObserver | undefined
  readonly #options: LevelStoreOptions
  readonly #db: Level
  readonly #reader: LevelReader
  readonly #location: string
  #identity: StoreIdentity
  #ownLog: LogOrigin
  readonly #logs: LogTable
  #counters: StoreCounters
  readonly #hasher: Hasher
  #writing = false
  /** A write or a heal failed: what is written behind a torn record may be hidden by it. */
  #isTorn = false
  #healing: Promise<void> | undefined
  /** Heals that wait for a write to end. */
  readonly #waiting: (() => void)[] = []
  #closed: Promise<void> | undefined

  constructor(opened: Opened) {
    this.found = opened.found
    this.#options = opened.options
    this.#identity = opened.identity
    this.#ownLog = ownLogOf(opened.identity, opened.options)
    this.#db = opened.db
    this.#reader = opened.reader
    this.#location = opened.options.location
    this.#hasher = opened.options.hasher
    this.#logs = new LogTable(opened.logs)
    this.#counters = opened.counters
  }

  get incarnation(): string {
    return this.#identity.incarnation
  }

  get ownLog(): LogOrigin {
    return this.#ownLog
  }

  logs(): readonly StoredLog[] {
    return this.#logs.all()
  }

  branches(id: LogId): readonly StoredLog[] {
    return this.#logs.branches(id)
  }

  log(id: LogId): StoredLog | undefined {
    return this.#logs.get(id)
  }

  eventCount(): number {
    return this.#counters.eventCount
  }

  arrival(): number {
    return this.#counters.arrival
  }

  clockCeiling(): Stamp {
    return this.#counters.clockCeiling
  }

  highestKey(): EventKey | undefined {
    return this.#counters.highestKey
  }

  async write(batch: StoreBatch): Promise<void> {
    assert(!this.#writing, 'one writer at a time')
    this.#writing = true
    try {
      await this.#healing
      this.#refuseWhenTorn()
      const held = await loadHeldKeys(this.#reader, batch, this.#counters.highestKey)
      const writing = new LevelBatch({
        logs: new LogDraft(this.#logs),
        counters: this.#counters,
        held
      })
      for (const commit of batch.commits) writing.add(commit, batch.forks?.get(commit))
      const counters = writing.finish(batch.clockCeiling)
      const identity =
        batch.renewal === undefined ? this.#identity : { ...this.#identity, ...batch.renewal }
      if (batch.renewal !== undefined) writing.identify(identity)
      await this.#put(() => writing.write(this.#db))
      this.#logs.apply(writing.logs)
      this.#counters = counters
      if (identity !== this.#identity) this.#ownLog = ownLogOf(identity, this.#options)
      this.#identity = identity
      this.#tellObserver()
    } finally {
      this.#writing = false
      for (const resolve of this.#waiting.splice(0)) resolve()
    }
  }

  refusal(): undefined {
    return undefined
  }

  onReopened(): void {
    // This is one opening of the store: `reopening-store.ts` goes from one to the next.
  }

  getMany(keys: readonly EventKey[]): Promise<(StoredEvent | undefined)[]> {
    return this.#reader.getMany(keys).catch(readFailed)
  }

  getAll(key: EventKey): Promise<StoredEvent[]> {
    return this.#reader.getAll(key).catch(readFailed)
  }

  scan(range: KeyRange): AsyncIterable<StoredEvent[]> {
    return readingAll(this.#reader.scan(range))
  }

  commits(log: StoredLog, afterSeq: number, countMax: number): Promise<StoredCommit[]> {
    return this.#reader.commits(log.number, afterSeq, countMax).catch(readFailed)
  }

  seqBefore(log: StoredLog, stamp: Stamp): Promise<number> {
    return this.#reader.seqBefore(log, stamp).catch(readFailed)
  }

  readEvents(slices: readonly CommitSlice[]): Promise<StoredEvent[][]> {
    return this.#reader.readEvents(slices).catch(readFailed)
  }

  conflicts(): AsyncIterable<EventKey> {
    return readingAll(this.#reader.conflicts())
  }

  occurrences(event: StoredEvent): Promise<readonly Occurrence[]> {
    return this.#reader.occurrences(event).catch(readFailed)
  }

  damagedAt(where: DamagePlace): Promise<readonly Stretch[]> {
    return findStretches(this.#db, this.logs(), where).catch(readFailed)
  }

  /** Between two writes: what it reads must not change before it writes. */
  async heal(log: StoredLog, commits: readonly Commit[]): Promise<void> {
    while (this.#writing || this.#healing !== undefined) await this.#turn()
    this.#refuseWhenTorn()
    const healing = this.#heal(log.number, commits)
    this.#healing = healing.catch(() => undefined)
    try {
      await healing
    } finally {
      this.#healing = undefined
    }
  }

  check(options: CheckOptions): AsyncIterable<CheckStep> {
    const init = { db: this.#db, store: this, location: this.#location, hasher: this.#hasher }
    return readingAll(checkStore({ ...init, ...options }))
  }

  async diskBytes(): Promise<number> {
    let total = 0
    for (const name of await readdir(this.#location)) {
      // A table may be compacted away between the listing and the look.
      total += await stat(join(this.#location, name)).then(
        (entry) => entry.size,
        () => 0
      )
    }
    return total
  }

  close(): Promise<void> {
    this.#closed ??= this.#close()
    return this.#closed
  }

  async #close(): Promise<void> {
    await this.#reader.close()
    await this.#db.close()
    await this.observer?.close()
  }

  async #turn(): Promise<void> {
    await this.#healing
    if (this.#writing) await new Promise<void>((resolve) => this.#waiting.push(resolve))
  }

  async #heal(number: number, commits: readonly Commit[]): Promise<void> {
    const log = present(this.logs()[number], 'a commit of a log that is held')
    const puts = await healingPuts({ db: this.#db, logs: this.logs(), log, commits })
    try {
      await this.#put(() => this.#db.batch(puts, { sync: true }))
    } catch (cause) {
      const message = 'the store did not take what was to heal it'
      throw new LaterbaseError('LATERBASE_STORE_FAILED', message, { cause })
    }
  }

  #tellObserver(): void {
    const { arrival, eventCount: events } = this.#counters
    const { incarnation, ownLog } = this
    const ownSeq = this.log(ownLog.id)?.tip.seq ?? 0
    this.observer?.note({ incarnation, arrival, events, ownLog: ownLog.id, ownSeq })
  }

  async #put(put: () => Promise<void>): Promise<void> {
    try {
      await put()
    } catch (error) {
      this.#isTorn = true
      throw error
    }
  }

  /** Heals and writes come from several hands: not all of them know what failed before them. */
  #refuseWhenTorn(): void {
    if (!this.#isTorn) return
    const message = `${this.#location}: a write failed before; the store has to be opened anew`
    throw new LaterbaseError('LATERBASE_STORE_FAILED', message)
  }
}

/** What LevelDB cannot make sense of is damage like any other. */
function readFailed(error: unknown): never {
  if (!isLevelDamage(error)) throw error
  const message = `LevelDB cannot read one of its files: ${String(error)}`
  throw new LaterbaseError('LATERBASE_STORE_CORRUPT', message, { cause: error })
}

async function* readingAll<T>(source: AsyncIterable<T>): AsyncGenerator<T> {
  try {
    yield* source
  } catch (error) {
    readFailed(error)
  }
}

function ownLogOf({ nonce }: StoreIdentity, { owner, hasher }: LevelStoreOptions): LogOrigin {
  return logOrigin({ ...owner, nonce }, hasher)
}

/** Whether a record of the store itself was not what its format says. */
function unreadable(error: unknown): boolean {
  return (
    isLevelDamage(error) ||
    error instanceof AssertionError ||
    error instanceof SyntaxError ||
    error instanceof RangeError
  )
}

function damaged(location: string, cause: unknown): LaterbaseError {
  const message = `${location}: a record of the store itself cannot be read`
  return new LaterbaseError('LATERBASE_STORE_CORRUPT', message, { cause })
}

async function readCounters(db: Level): Promise<StoreCounters> {
  const bytes = await db.get(COUNTERS_KEY)
  if (bytes !== undefined) return decodeCounters(unseal(COUNTERS_KEY, bytes))
  return { eventCount: 0, arrival: 0, clockCeiling: 0n, highestKey: undefined }
}
