/**
 * An event store that outlives the failures of its disk. A LevelDB handle stays broken after a write
 * that failed, and a torn record in its log hides what is written behind it, synced or not. So after
 * such a write nothing more is written; the store is closed and opened anew, again and again until
 * it opens, and goes on from what is on the disk. A write that the disk does not answer counts as
 * one that failed, until it is answered (`write-watch.ts`). Who uses it need not know.
 *
 * Until an opening promises to succeed the broken handle stays open: it still reads. Reads wait for
 * the time in between. Leaves out how a store is opened, which its maker says.
 */

import { assert } from '../core/assert.ts'
import type { Clock, Timer } from '../core/clock.ts'
import type { Commit, LogId, LogOrigin } from '../core/commit.ts'
import type { EventKey } from '../core/event-key.ts'
import type { Stamp } from '../core/hybrid-logical-clock.ts'
import { LaterbaseError, isDamage, isLaterbaseError } from '../errors.ts'
import type {
  CheckOptions,
  CheckStep,
  CommitSlice,
  DamagePlace,
  EventStore,
  KeyRange,
  Occurrence,
  OwnLogRenewal,
  StoreBatch,
  StoreFound,
  StoredCommit,
  StoredEvent,
  StoredLog,
  Stretch
} from './event-store.ts'
import {
  REOPEN_DAMAGED_MS,
  REOPEN_MS,
  REOPEN_MS_MAX,
  REOPEN_READ_MS_MAX,
  REOPEN_STEADY_MS
} from './limits.ts'
import { namedError } from './open-level.ts'
import { isOther } from './reopen-probe.ts'
import { WriteWatch } from './write-watch.ts'

export interface ReopeningInit {
  /** Names the store for people. */
  readonly name: string
  /** Opens the store, which is known to exist. */
  readonly open: () => Promise<EventStore>
  /** Whether an opening may be expected to succeed now; asked while the broken handle still reads. */
  readonly canReopen: () => Promise<boolean>
  readonly reserve: WriteReserve
  readonly clock: Clock
  readonly told: (news: StoreNews) => void
}

/** Keeps room on the disk: `disk-reserve.ts`. */
export interface WriteReserve {
  /** @throws LATERBASE_DISK_FULL */
  admit(): Promise<void>
  refusal(): LaterbaseError | undefined
}

export type StoreNews =
  | { readonly type: 'write-failed'; readonly error: LaterbaseError }
  | { readonly type: 'reopened'; readonly failedForMs: number }
  /** What is opened is damaged, or not what was closed, for some time: it is for a start to recover. */
  | { readonly type: 'damaged'; readonly error: LaterbaseError }
  | { readonly type: 'unanswered'; readonly error: LaterbaseError }
  | { readonly type: 'answered' }

/** @param store the first opening; closed with this store, or before it is opened anew */
export function createReopeningStore(store: EventStore, init: ReopeningInit): EventStore {
  return new ReopeningStore(store, init)
}

/** No more writes are taken since `sinceMs`, for `cause`. */
interface Failure {
  readonly cause: unknown
  readonly sinceMs: number
  /** What the write that failed would have made of the own log. */
  readonly renewal: OwnLogRenewal | undefined
}

class ReopeningStore implements EventStore {
  readonly found: StoreFound
  readonly #init: ReopeningInit
  readonly #watch: WriteWatch
  readonly #listeners: (() => void)[] = []
  /** Reads that wait for the store to be open. */
  readonly #waiting = new Set<() => void>()
  #store: EventStore
  #failure: Failure | undefined
  /** Between the closing of one handle and the opening of the next. */
  #isShut = false
  /** Since writes last succeeded for some time. */
  #attempts = 0
  #openedMs = -Infinity
  /** Since when openings find damage, or another store. */
  #damagedMs: number | undefined
  #timer: Timer | undefined
  #attempt: Promise<void> = Promise.resolve()
  #diskBytes = 0
  #closed: Promise<void> | undefined

  constructor(store: EventStore, init: ReopeningInit) {
    this.#init = init
    this.#store = store
    this.found = store.found
    this.#watch = new WriteWatch({
      name: init.name,
      meanwhile: MEANWHILE,
      clock: init.clock,
      unanswered: (error) => init.told({ type: 'unanswered', error }),
      answered: () => {
        init.told({ type: 'answered' })
        // It may be there, though its writers were told that it failed. Else an opening tells.
        if (this.#failure === undefined && this.#closed === undefined) this.#tellReopened()
      }
    })
  }

  get incarnation(): string {
    return this.#store.incarnation
  }

  get ownLog(): LogOrigin {
    return this.#store.ownLog
  }

  logs(): readonly StoredLog[] {
    return this.#store.logs()
  }

  log(id: LogId): StoredLog | undefined {
    return this.#store.log(id)
  }

  branches(id: LogId): readonly StoredLog[] {
    return this.#store.branches(id)
  }

  eventCount(): number {
    return this.#store.eventCount()
  }

  arrival(): number {
    return this.#store.arrival()
  }

  clockCeiling(): Stamp {
    return this.#store.clockCeiling()
  }

  highestKey(): EventKey | undefined {
    return this.#store.highestKey()
  }

  async write(batch: StoreBatch): Promise<void> {
    await this.#written((store) => store.write(batch), batch.renewal)
  }

  refusal(): LaterbaseError | undefined {
    if (this.#failure === undefined) return this.#watch.refusal() ?? this.#init.reserve.refusal()
    return failedError(this.#init.name, this.#failure.cause)
  }

  onReopened(listener: () => void): void {
    this.#listeners.push(listener)
  }

  getMany(keys: readonly EventKey[]): Promise<(StoredEvent | undefined)[]> {
    return this.#read((store) => store.getMany(keys))
  }

  getAll(key: EventKey): Promise<StoredEvent[]> {
    return this.#read((store) => store.getAll(key))
  }

  scan(range: KeyRange): AsyncIterable<StoredEvent[]> {
    return this.#iterate((store) => store.scan(range))
  }

  commits(log: StoredLog, afterSeq: number, countMax: number): Promise<StoredCommit[]> {
    return this.#read((store) => store.commits(log, afterSeq, countMax))
  }

  seqBefore(log: StoredLog, stamp: Stamp): Promise<number> {
    return this.#read((store) => store.seqBefore(log, stamp))
  }

  readEvents(commits: readonly CommitSlice[]): Promise<StoredEvent[][]> {
    return this.#read((store) => store.readEvents(commits))
  }

  conflicts(): AsyncIterable<EventKey> {
    return this.#iterate((store) => store.conflicts())
  }

  occurrences(event: StoredEvent): Promise<readonly Occurrence[]> {
    return this.#read((store) => store.occurrences(event))
  }

  damagedAt(where: DamagePlace): Promise<readonly Stretch[]> {
    return this.#read((store) => store.damagedAt(where))
  }

  async heal(log: StoredLog, commits: readonly Commit[]): Promise<void> {
    await this.#written((store) => store.heal(log, commits), undefined)
  }

  check(options: CheckOptions): AsyncIterable<CheckStep> {
    return this.#iterate((store) => store.check(options))
  }

  async diskBytes(): Promise<number> {
    // The status is asked for most when a disk does not answer.
    if (this.#watch.refusal() === undefined) this.#diskBytes = await this.#store.diskBytes()
    return this.#diskBytes
  }

  close(): Promise<void> {
    this.#closed ??= this.#close()
    return this.#closed
  }

  /** Heals come beside writes, so that one may end after the other has failed. */
  async #written(
    write: (store: EventStore) => Promise<void>,
    renewal: OwnLogRenewal | undefined
  ): Promise<void> {
    const refusal = this.refusal()
    if (refusal !== undefined) throw refusal
    await this.#watch.run(async (isGivenUp) => {
      await this.#init.reserve.admit()
      if (!isGivenUp()) await this.#write(write, renewal)
    })
  }

  async #write(
    write: (store: EventStore) => Promise<void>,
    renewal: OwnLogRenewal | undefined
  ): Promise<void> {
    const store = this.#store
    try {
      await write(store)
      // A table that cannot be read fails each compaction, and so a write soon after each opening.
      const openForMs = this.#init.clock.monotonicMs() - this.#openedMs
      if (openForMs >= REOPEN_STEADY_MS) this.#attempts = 0
    } catch (error) {
      // Other errors are of the reads that come before a batch: nothing was written, nothing is torn.
      const isTorn = isLaterbaseError(error, 'LATERBASE_STORE_FAILED')
      if (isTorn && !this.#isReplaced(store)) this.#fail(error, renewal)
      throw namedError(error)
    }
  }

  async #close(): Promise<void> {
    this.#timer?.cancel()
    this.#wake()
    await this.#attempt
    await this.#store.close()
  }

  /** Asks the store that is open; once more where it was replaced under the question. */
  async #read<T>(read: (store: EventStore) => Promise<T>): Promise<T> {
    for (;;) {
      if (this.#isShut) await this.#whenOpen()
      const store = this.#store
      try {
        return await read(store)
      } catch (error) {
        if (!this.#isReplaced(store)) throw namedError(error)
      }
    }
  }

  /** Ends with an error where the store is replaced: the caller knows where it has come to. */
  async *#iterate<T>(iterate: (store: EventStore) => AsyncIterable<T>): AsyncGenerator<T> {
    if (this.#isShut) await this.#whenOpen()
    try {
      yield* iterate(this.#store)
    } catch (error) {
      throw namedError(error)
    }
  }

  #isReplaced(store: EventStore): boolean {
    return this.#closed === undefined && (this.#isShut || store !== this.#store)
  }

  /** @throws LATERBASE_STORE_FAILED when the store does not open in time */
  async #whenOpen(): Promise<void> {
    await new Promise<void>((resolve) => {
      const wake = (): void => {
        timer.cancel()
        this.#waiting.delete(wake)
        resolve()
      }
      const timer = this.#init.clock.setTimer(REOPEN_READ_MS_MAX, wake)
      this.#waiting.add(wake)
    })
    if (this.#isShut) throw failedError(this.#init.name, this.#failure?.cause)
  }

  #wake(): void {
    for (const wake of this.#waiting) wake()
  }

  #fail(error: LaterbaseError, renewal: OwnLogRenewal | undefined): void {
    if (this.#failure !== undefined) {
      this.#failure = { ...this.#failure, renewal: renewal ?? this.#failure.renewal }
      return
    }
    const sinceMs = this.#init.clock.monotonicMs()
    this.#failure = { cause: error.cause ?? error, sinceMs, renewal }
    this.#init.told({ type: 'write-failed', error: failedError(this.#init.name, error.cause) })
    this.#schedule()
  }

  #schedule(): void {
    if (this.#closed !== undefined) return
    const waitMs = this.#attempts === 0 ? 0 : REOPEN_MS * 2 ** (this.#attempts - 1)
    this.#attempts += 1
    this.#timer = this.#init.clock.setTimer(Math.min(waitMs, REOPEN_MS_MAX), () => {
      this.#attempt = this.#reopen()
    })
  }

  async #reopen(): Promise<void> {
    const nowMs = this.#init.clock.monotonicMs()
    try {
      if (await this.#init.canReopen()) await this.#replace()
    } catch (error) {
      const sinceMs = this.#failure?.sinceMs ?? nowMs
      this.#failure = { cause: error, sinceMs, renewal: this.#failure?.renewal }
      this.#noteDamage(error, nowMs)
    }
    if (this.#failure !== undefined) this.#schedule()
  }

  /** A disk that fails shows anything for a moment; what it goes on showing is there. */
  #noteDamage(error: unknown, nowMs: number): void {
    if (!isDamage(error)) {
      this.#damagedMs = undefined
      return
    }
    this.#damagedMs ??= nowMs
    if (nowMs - this.#damagedMs < REOPEN_DAMAGED_MS || this.#closed !== undefined) return
    this.#damagedMs = nowMs
    this.#init.told({ type: 'damaged', error: failedError(this.#init.name, error) })
  }

  async #replace(): Promise<void> {
    if (this.#closed !== undefined) return
    this.#isShut = true
    const before = this.#store
    await before.close()
    const after = await this.#init.open()
    if (isOther(before, after, this.#failure?.renewal)) {
      await after.close()
      const message = 'what was opened is not the store that was closed, or has lost commits'
      throw new LaterbaseError('LATERBASE_STORE_LOST', message)
    }
    this.#store = after
    this.#isShut = false
    const failure = this.#failure
    assert(failure !== undefined, 'only a store that failed is opened anew')
    this.#failure = undefined
    this.#openedMs = this.#init.clock.monotonicMs()
    this.#damagedMs = undefined
    const failedForMs = this.#init.clock.monotonicMs() - failure.sinceMs
    this.#init.told({ type: 'reopened', failedForMs })
    this.#wake()
    this.#tellReopened()
  }

  #tellReopened(): void {
    for (const listener of this.#listeners) listener()
  }
}

const MEANWHILE =
  'New events are refused until it does. What waited may be stored all the same: sent again with ' +
  'the same key, or with source and id, it is one event.'

function failedError(name: string, cause: unknown): LaterbaseError {
  const reason = cause instanceof Error ? cause.message : String(cause)
  const message =
    `${name}: the disk did not take a write (${reason}). New events are refused until the store ` +
    'is open again, which is tried all the time; nothing that was acknowledged is lost.'
  return new LaterbaseError('LATERBASE_STORE_FAILED', message, { cause })
}
