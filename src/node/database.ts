/**
 * One database of a node: the public `Database` over a store and its writer. Replication reaches it
 * through `DatabaseInternals`, which clients do not see.
 */

import type { Commit, LogId } from '../core/commit.ts'
import { present } from '../core/assert.ts'
import { toHex } from '../core/bytes.ts'
import { formatDigest, versionDigest, versionOf } from '../core/version.ts'
import type { Version } from '../core/version.ts'
import { NONCE_BYTES } from '../../protocols/commit/codec.ts'
import { LaterbaseError } from '../errors.ts'
import { findInexactNumber } from '../schema/exact-numbers.ts'
import { createGroupCommit } from '../store/group-commit.ts'
import type { AppendEvent, AppendOutcome, GroupCommit } from '../store/group-commit.ts'
import type { EventStore, KeyRange, StoredEvent } from '../store/event-store.ts'
import {
  appendResults,
  invalidEvents,
  parseJson,
  refusal,
  refuseConflicts
} from './append-outcome.ts'
import type { DatabaseInit } from './database-init.ts'
import { headCursor, readCursor } from './cursor.ts'
import { DatabaseSchemas } from './database-schemas.ts'
import { Definitions } from './definitions.ts'
import { readBound, readFilter, readKey } from './event-filter.ts'
import { pendingEvents, readFeedPage } from './feed.ts'
import type { FeedPage, FeedQuery } from './feed.ts'
import { readEnvelopes } from './ingress.ts'
import { LIVE_PAGE, PAGE_LIMIT } from './limits.ts'
import { LogRumours, storeStatus } from './log-status.ts'
import { settle } from './position.ts'
import type { ReaderPosition } from './position.ts'
import type {
  AppendOptions,
  AppendResult,
  Change,
  ChangesOptions,
  ChangesPage,
  ConflictStatus,
  Database,
  DatabaseStatus,
  EventInput,
  RangeOptions,
  RecordedEvent,
  VerifyStatus
} from './laterbase.ts'
import { recordedAt, recordedFirst, recordedHere } from './recorded-place.ts'
import { unlessAborted } from '../views/unless-aborted.ts'
import { healedRead, healedScan } from './healed-read.ts'
import { openDatabaseViews } from './database-views.ts'
import type { DatabaseViews, ViewedDatabase } from './database-views.ts'
import { createSignal } from './signal.ts'
import type { Signal } from './signal.ts'

export class NodeDatabase implements Database {
  readonly name: string
  readonly store: EventStore
  /** Told after every batch that is on disk. */
  readonly committed: Signal
  readonly definitions: Definitions
  readonly schemas: DatabaseSchemas
  readonly views: DatabaseViews
  readonly #init: DatabaseInit
  readonly #writer: GroupCommit
  readonly #rumours = new LogRumours()
  #digest: Uint8Array | undefined
  /** Short cursor of all that is held; requests that share a commit share it too. */
  #lc: string | undefined
  #closed: Promise<void> | undefined

  constructor(init: DatabaseInit) {
    this.name = init.name
    this.store = init.store
    this.committed = createSignal()
    this.#init = init
    const { store, signer, hasher, recordedClock } = init
    recordedClock.raise(store.clockCeiling())
    this.#writer = createGroupCommit({
      store,
      signer,
      hasher,
      stamp: () => recordedClock.next(),
      observe: (commit) => this.#observe(commit),
      renew: () => ({
        incarnation: toHex(init.rng.bytes(INCARNATION_BYTES)),
        nonce: init.rng.bytes(NONCE_BYTES)
      }),
      ownLogClosed: (log) => init.ownLogClosed(this.name, log),
      committed: (commits, own) => {
        this.definitions.took(commits)
        this.#onCommitted(own)
      }
    })
    this.definitions = new Definitions({
      store,
      hasher,
      clock: init.clock,
      trusts: init.trusts,
      append: async (event) => present((await this.#write([event], true))[0], 'an outcome')
    })
    const reading: ViewedDatabase['reading'] = (read) => this.#reading(read)
    this.schemas = new DatabaseSchemas(init, this.definitions, reading)
    this.views = openDatabaseViews(init, {
      definitions: this.definitions,
      head: () => this.#head(),
      changed: (cursor, signal) => this.changed(cursor, { signal }),
      reading,
      scan: (range) => this.#scanning(this.store.scan(range)),
      heal: (error) => this.#heal(error),
      reached: (cursor, signal) => this.#reached(cursor, signal)
    })
    this.definitions.onChanged(() => this.views.follow())
    store.onReopened(() => {
      this.#onCommitted(undefined)
      // A write whose writer was told that it failed may be there after all: peers and we may differ.
      void init.sync(this, undefined)
    })
  }

  async append(
    events: EventInput | readonly EventInput[],
    options: AppendOptions = {}
  ): Promise<AppendResult> {
    return this.#append(events, options)
  }

  async appendJson(text: string, options: AppendOptions = {}): Promise<AppendResult> {
    const offered = parseJson(text)
    const inexact = findInexactNumber(text)
    if (inexact !== undefined) throw invalidEvents([inexact])
    return this.#append(offered, options)
  }

  async get(key: string): Promise<RecordedEvent | undefined> {
    const [event] = await this.getMany([key])
    return event
  }

  async getMany(keys: readonly string[]): Promise<(RecordedEvent | undefined)[]> {
    const parsed = keys.map(readKey)
    return this.#reading(async () => {
      const events: (RecordedEvent | undefined)[] = []
      for (const event of await this.store.getMany(parsed)) {
        events.push(event && (await this.#recorded(event)))
      }
      return events
    })
  }

  async *range(options: RangeOptions = {}): AsyncGenerator<RecordedEvent> {
    const from = readBound(options.from)
    const to = readBound(options.to)
    const scan = (range: KeyRange): AsyncIterable<StoredEvent[]> =>
      this.#scanning(this.store.scan(range))
    const heal = (error: unknown): Promise<boolean> => this.#heal(error)
    for await (const events of healedScan({ from, to, reverse: options.reverse }, scan, heal)) {
      for (const event of events) {
        options.signal?.throwIfAborted()
        if (!event.alternate) yield await this.#reading(async () => this.#recorded(event))
      }
    }
  }

  async *conflicts(): AsyncGenerator<ConflictStatus> {
    for await (const key of this.#scanning(this.store.conflicts())) {
      const held = await this.#reading(() => this.store.getAll(key))
      const events = held.map((event) => recordedHere(this.store, event, this.schemas.labels()))
      yield { key: present(events[0], 'a conflict has events').key, events }
    }
  }

  async *changes(options: ChangesOptions = {}): AsyncGenerator<Change> {
    const { signal } = options
    let since = await this.#readCursor(options.since)
    const matches = this.#filter(options)
    while (!isAborted(signal) && this.#closed === undefined) {
      const told = this.committed.count()
      const page = await this.#livePage({ position: since, limit: LIVE_PAGE, matches })
      if (page === undefined) return
      for (const row of page.rows) {
        if (isAborted(signal)) return
        yield { lc: row.lc, event: recordedAt(this.store, row, this.schemas.labels()) }
      }
      since = page.position
      if (page.pending > 0) continue
      await this.committed.after(told, signal)
    }
  }

  async changesPage(
    options: ChangesOptions & { readonly limit?: number } = {}
  ): Promise<ChangesPage> {
    const since = await this.#readCursor(options.since)
    const query = {
      position: since,
      limit: options.limit ?? PAGE_LIMIT,
      matches: this.#filter(options)
    }
    const page = await this.#reading(() => readFeedPage(this.store, query))
    return {
      changes: page.rows.map((row) => ({
        lc: row.lc,
        event: recordedAt(this.store, row, this.schemas.labels())
      })),
      lastLc: page.lc,
      lastVersion: page.version,
      pending: page.pending
    }
  }

  async changed(since: string, options: { readonly signal?: AbortSignal } = {}): Promise<void> {
    const reader = await this.#readCursor(since)
    for (;;) {
      options.signal?.throwIfAborted()
      if (this.#closed !== undefined) throw closedError(this.name)
      const told = this.committed.count()
      const { assumed } = await this.#reading(() => settle(this.store, reader))
      if (pendingEvents(this.store, assumed) > 0) return
      await this.committed.after(told, options.signal)
    }
  }

  digest(): string {
    return formatDigest(this.digestBytes())
  }

  async status(): Promise<DatabaseStatus> {
    const { name, store } = this
    const knowledge = { known: this.#rumours.known(), peerId: this.#init.peerId }
    const held = await storeStatus(store, knowledge)
    const [lc, digest, integrity] = [this.#head(), this.digest(), this.verification()]
    return { name, ...held, lc, digest, integrity }
  }

  verification(): VerifyStatus {
    return this.#init.verification(this.name)
  }

  async verify(
    options: { readonly signatures?: boolean; readonly signal?: AbortSignal } = {}
  ): Promise<VerifyStatus> {
    options.signal?.throwIfAborted()
    const verified = this.#init.verify(this, options.signatures ?? false)
    return options.signal === undefined ? verified : unlessAborted(verified, options.signal)
  }

  async sync(options: { readonly signal?: AbortSignal } = {}): Promise<void> {
    await this.#init.sync(this, options.signal)
  }

  /** For replication: the full digest, 32 bytes. */
  digestBytes(): Uint8Array {
    this.#digest ??= versionDigest(this.version(), this.#init.hasher)
    return this.#digest
  }

  /** For replication. */
  version(): Version {
    const heads = this.store.logs().filter(({ tip }) => tip.seq > 0)
    return versionOf(heads.map(({ tip }) => ({ log: tip.origin.id, seq: tip.seq, hash: tip.hash })))
  }

  /** For replication: stores checked commits; resolves with the number that were new. */
  merge(commits: readonly Commit[]): Promise<number> {
    return this.#reading(() => this.#writer.merge(commits))
  }

  /** For replication: a peer was seen to have these. */
  learn(known: Iterable<{ readonly log: LogId; readonly seq: number }>): void {
    this.#rumours.learn(this.store, known)
  }

  /** Ends feeds, waits for writes under way, closes the store. Idempotent. */
  close(): Promise<void> {
    this.#closed ??= this.#writer.close().then(async () => {
      this.committed.tell()
      await this.views.close()
      await this.store.close()
    })
    this.committed.tell()
    return this.#closed
  }

  async #append(offered: unknown, options: AppendOptions): Promise<AppendResult> {
    const isArray = Array.isArray(offered)
    const read = readEnvelopes(offered, options, this.#init)
    const envelopes = await this.schemas.checked(read, isArray)
    const partial = options.onError === 'proceed'
    const refused = envelopes.filter((envelope) => envelope.type === 'refused')
    if (!partial && refused.length > 0) throw refusal(refused, this.#init)
    const accepted = envelopes.filter((envelope) => envelope.type === 'accepted')
    options.signal?.throwIfAborted()
    const outcomes = accepted.length === 0 ? [] : await this.#write(accepted, partial)
    if (!partial) refuseConflicts(accepted, outcomes, isArray)
    return { lc: this.#head(), results: appendResults(envelopes, outcomes, isArray) }
  }

  #head(): string {
    this.#lc ??= headCursor(this.store)
    return this.#lc
  }

  async #reached(cursor: string, signal: AbortSignal | undefined): Promise<void> {
    const reader = await this.#readCursor(cursor)
    for (;;) {
      signal?.throwIfAborted()
      if (this.#closed !== undefined) throw closedError(this.name)
      const told = this.committed.count()
      const { beyond } = await this.#reading(() => settle(this.store, reader))
      if (beyond.length === 0) return
      await this.committed.after(told, signal)
    }
  }

  #write(events: readonly AppendEvent[], partial: boolean): Promise<readonly AppendOutcome[]> {
    return this.#reading(() => this.#writer.append(events, partial))
  }

  #observe(commit: Commit | undefined): bigint {
    const { recordedClock, clockAhead } = this.#init
    if (commit !== undefined && recordedClock.observe(commit.recorded).ahead) {
      clockAhead(this.name, commit)
    }
    return recordedClock.read()
  }

  #onCommitted(own: Commit | undefined): void {
    this.#digest = undefined
    this.#lc = undefined
    this.committed.tell()
    if (own !== undefined) this.#init.announce(this, own)
  }

  /** Waits for the store only for the few events that stand in several commits. */
  #recorded(event: StoredEvent): RecordedEvent | Promise<RecordedEvent> {
    if (!event.repeated) return recordedHere(this.store, event, this.schemas.labels())
    return this.#reading(() => recordedFirst(this.store, event, this.schemas.labels()))
  }

  /** Undefined once the database is closed: then a feed ends. */
  async #livePage(query: FeedQuery): Promise<FeedPage | undefined> {
    try {
      return await this.#reading(() => readFeedPage(this.store, query))
    } catch (error) {
      if (this.#closed !== undefined) return undefined
      throw error
    }
  }

  #readCursor(since = '0'): Promise<ReaderPosition> {
    return this.#reading(() => readCursor(since, this.store))
  }

  #filter(options: ChangesOptions): (event: StoredEvent) => boolean {
    return readFilter(options.filter ?? {}, (event) => recordedHere(this.store, event))
  }

  /**
   * A read that meets the end of the database says so, rather than in the store's words. One that
   * meets damage waits until a peer has healed it, or fails with what the store said.
   */
  async #reading<T>(read: () => Promise<T>): Promise<T> {
    try {
      return await healedRead(
        () => this.schemas.load()?.then(read) ?? read(),
        (error) => this.#heal(error)
      )
    } catch (error) {
      throw this.#closed === undefined ? error : closedError(this.name, error)
    }
  }

  async *#scanning<T>(source: AsyncIterable<T>): AsyncGenerator<T> {
    try {
      yield* source
    } catch (error) {
      throw this.#closed === undefined ? error : closedError(this.name, error)
    }
  }

  async #heal(error: unknown): Promise<boolean> {
    return this.#closed === undefined && this.#init.heal(this, error)
  }
}

const INCARNATION_BYTES = 8

function isAborted(signal: AbortSignal | undefined): boolean {
  return signal?.aborted === true
}

function closedError(name: string, cause?: unknown): LaterbaseError {
  return new LaterbaseError('LATERBASE_CLOSED', `database ${name} is closed`, { cause })
}
