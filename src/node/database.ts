/**
 * One database of a node: the public `Database` over a store and its writer. Replication reaches it
 * through `DatabaseInternals`, which clients do not see.
 */

import type { Commit, LogId } from '../core/commit.ts'
import { keyMinter } from '../core/event-key.ts'
import { stampMs } from '../core/hybrid-logical-clock.ts'
import type { Clock, Hasher, Rng, Signer } from '../core/clock.ts'
import { present } from '../core/assert.ts'
import { toHex } from '../core/bytes.ts'
import { formatDigest, versionDigest, versionOf } from '../core/version.ts'
import type { Version } from '../core/version.ts'
import { NONCE_BYTES } from '../../protocols/commit/codec.ts'
import { LaterbaseError } from '../errors.ts'
import { readEnvelope } from '../schema/envelope.ts'
import type { AcceptedEnvelope, RefusedEnvelope } from '../schema/envelope.ts'
import { findInexactNumber } from '../schema/exact-numbers.ts'
import { formatTime } from '../schema/time.ts'
import { createGroupCommit } from '../store/group-commit.ts'
import type { GroupCommit } from '../store/group-commit.ts'
import type { EventStore, StoredEvent } from '../store/event-store.ts'
import {
  appendedResult,
  invalidEvents,
  parseJson,
  refusal,
  refuseConflicts,
  rejectedResult
} from './append-outcome.ts'
import { portableCursor, readCursor, shortCursor } from './cursor.ts'
import { readBound, readFilter, readKey } from './event-filter.ts'
import { pendingEvents, readFeedPage } from './feed.ts'
import type { FeedPage, FeedQuery } from './feed.ts'
import { KNOWN_LOGS_MAX, LIVE_PAGE, PAGE_LIMIT } from './limits.ts'
import { headPosition, placesOf, settle } from './position.ts'
import type {
  AppendOptions,
  AppendResult,
  AppendedEvent,
  Change,
  ChangesOptions,
  ChangesPage,
  ConflictStatus,
  Database,
  DatabaseStatus,
  EventInput,
  LogStatus,
  RangeOptions,
  RecordedEvent
} from './laterbase.ts'
import type { RecordedClock } from './recorded-clock.ts'
import { recordedAt, recordedFirst, recordedHere } from './recorded-place.ts'
import { createSignal } from './signal.ts'
import type { Signal } from './signal.ts'

export interface DatabaseInit {
  readonly name: string
  readonly store: EventStore
  readonly signer: Signer
  readonly hasher: Hasher
  readonly rng: Rng
  readonly clock: Clock
  readonly recordedClock: RecordedClock
  readonly futureToleranceMs: number
  readonly peerId: (publicKey: Uint8Array) => string
  /** After each own commit is on disk. */
  readonly announce: (database: NodeDatabase, commit: Commit) => void
  /** Anti-entropy with all peers, for `sync`. */
  readonly sync: (database: NodeDatabase, signal: AbortSignal | undefined) => Promise<void>
  /** A peer's stamp is too far ahead to be believed. */
  readonly clockAhead: (database: string, commit: Commit) => void
  /** Somebody wrote on in the log of this node: it was closed, and a new one begun. */
  readonly ownLogClosed: (database: string, log: LogId) => void
}

export class NodeDatabase implements Database {
  readonly name: string
  readonly store: EventStore
  /** Told after every batch that is on disk. */
  readonly committed: Signal
  readonly #init: DatabaseInit
  readonly #writer: GroupCommit
  /** The furthest that any peer was seen to have a log. */
  readonly #known = new Map<LogId, number>()
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
      committed: (_commits, own) => this.#onCommitted(own)
    })
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
    const { reverse } = options
    for await (const events of this.#scanning(this.store.scan({ from, to, reverse }))) {
      for (const event of events) {
        options.signal?.throwIfAborted()
        if (!event.alternate) yield await this.#recorded(event)
      }
    }
  }

  async *conflicts(): AsyncGenerator<ConflictStatus> {
    for await (const key of this.#scanning(this.store.conflicts())) {
      const held = await this.#reading(() => this.store.getAll(key))
      const events = held.map((event) => recordedHere(this.store, event))
      yield { key: present(events[0], 'a conflict has events').key, events }
    }
  }

  async *changes(options: ChangesOptions = {}): AsyncGenerator<Change> {
    const { signal } = options
    let since = await this.#reading(() => readCursor(options.since ?? '0', this.store))
    const matches = this.#filter(options)
    while (!isAborted(signal) && this.#closed === undefined) {
      const told = this.committed.count()
      const page = await this.#livePage({ position: since, limit: LIVE_PAGE, matches })
      if (page === undefined) return
      for (const row of page.rows) {
        if (isAborted(signal)) return
        yield { lc: row.lc, event: recordedAt(this.store, row) }
      }
      since = page.position
      if (page.pending > 0) continue
      await this.committed.after(told, signal)
    }
  }

  async changesPage(
    options: ChangesOptions & { readonly limit?: number } = {}
  ): Promise<ChangesPage> {
    const since = await this.#reading(() => readCursor(options.since ?? '0', this.store))
    const query = {
      position: since,
      limit: options.limit ?? PAGE_LIMIT,
      matches: this.#filter(options)
    }
    const page = await this.#reading(() => readFeedPage(this.store, query))
    return {
      changes: page.rows.map((row) => ({ lc: row.lc, event: recordedAt(this.store, row) })),
      lastLc: page.lc,
      lastVersion: page.version,
      pending: page.pending
    }
  }

  async changed(since: string, options: { readonly signal?: AbortSignal } = {}): Promise<void> {
    const reader = await this.#reading(() => readCursor(since, this.store))
    for (;;) {
      options.signal?.throwIfAborted()
      if (this.#closed !== undefined) throw closedError(this.name)
      const told = this.committed.count()
      const { assumed } = await settle(this.store, reader)
      if (pendingEvents(this.store, assumed) > 0) return
      await this.committed.after(told, options.signal)
    }
  }

  digest(): string {
    return formatDigest(this.digestBytes())
  }

  async status(): Promise<DatabaseStatus> {
    const position = headPosition(this.store)
    return {
      name: this.name,
      events: this.store.eventCount(),
      commits: this.store.arrival(),
      lc: shortCursor(position, this.store),
      version: portableCursor(await placesOf(this.store, position)),
      digest: this.digest(),
      logs: this.#logStatus(),
      diskBytes: await this.store.diskBytes()
    }
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
    return this.#writer.merge(commits)
  }

  /** For replication: a peer was seen to have these. */
  learn(known: Iterable<{ readonly log: LogId; readonly seq: number }>): void {
    for (const { log, seq } of known) {
      if (!this.#known.has(log) && this.#known.size >= KNOWN_LOGS_MAX) this.#forgetRumours()
      this.#known.set(log, Math.max(seq, this.#known.get(log) ?? 0))
    }
  }

  /** Logs that others invented must not keep real ones from being known. */
  #forgetRumours(): void {
    for (const log of this.#known.keys()) {
      if (this.store.log(log) === undefined) this.#known.delete(log)
    }
  }

  /** Ends feeds, waits for writes under way, closes the store. Idempotent. */
  close(): Promise<void> {
    this.#closed ??= this.#writer.close().then(async () => {
      this.committed.tell()
      await this.store.close()
    })
    this.committed.tell()
    return this.#closed
  }

  async #append(offered: unknown, options: AppendOptions): Promise<AppendResult> {
    const envelopes = this.#readEnvelopes(offered, options)
    const partial = options.onError === 'proceed'
    const refused = envelopes.filter((envelope) => envelope.type === 'refused')
    if (!partial && refused.length > 0) throw refusal(refused, this.#init)
    const accepted = envelopes.filter((envelope) => envelope.type === 'accepted')
    options.signal?.throwIfAborted()
    const outcomes = accepted.length === 0 ? [] : await this.#writer.append(accepted, partial)
    if (!partial) refuseConflicts(accepted, outcomes, Array.isArray(offered))
    let at = 0
    const results = envelopes.map((envelope, index): AppendedEvent => {
      if (envelope.type === 'refused') return rejectedResult(envelope)
      const outcome = present(outcomes[at], 'one outcome an event')
      at += 1
      const pointer = Array.isArray(offered) ? `/${index}` : ''
      return appendedResult(envelope, outcome, pointer)
    })
    this.#lc ??= shortCursor(headPosition(this.store), this.store)
    return { lc: this.#lc, results }
  }

  #readEnvelopes(offered: unknown, options: AppendOptions): (AcceptedEnvelope | RefusedEnvelope)[] {
    const { clock, futureToleranceMs, rng, hasher } = this.#init
    const context = {
      database: this.name,
      nowMs: clock.nowMs(),
      futureToleranceMs: options.clock === 'trust' ? Infinity : futureToleranceMs,
      minter: keyMinter(rng),
      hasher
    }
    if (!Array.isArray(offered)) return [readEnvelope(offered, '', context)]
    return offered.map((event, index) => readEnvelope(event, `/${index}`, context))
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
    if (!event.repeated) return recordedHere(this.store, event)
    return this.#reading(() => recordedFirst(this.store, event))
  }

  /** Undefined once the database is closed: then a feed ends. */
  async #livePage(query: FeedQuery): Promise<FeedPage | undefined> {
    try {
      return await readFeedPage(this.store, query)
    } catch (error) {
      if (this.#closed !== undefined) return undefined
      throw error
    }
  }

  #filter(options: ChangesOptions): (event: StoredEvent) => boolean {
    return readFilter(options.filter ?? {}, (event) => recordedHere(this.store, event))
  }

  /** A read that meets the end of the database says so, rather than in the store's words. */
  async #reading<T>(read: () => Promise<T>): Promise<T> {
    try {
      return await read()
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

  #logStatus(): LogStatus[] {
    const statuses = this.store.logs().map((log): LogStatus => {
      const { tip, fork } = log
      const { id, genesis } = tip.origin
      const branches = this.store.branches(id)
      const isFurthest = branches.every((other) => other.tip.seq <= tip.seq)
      return {
        log: id,
        peer: this.#init.peerId(genesis.publicKey),
        own: id === this.store.ownLog.id,
        held: tip.seq,
        known: isFurthest ? Math.max(tip.seq, this.#known.get(id) ?? 0) : tip.seq,
        lastRecorded: tip.seq === 0 ? undefined : formatTime(stampMs(tip.recorded)),
        forked: branches.length > 1,
        forkedAfter: fork?.seq
      }
    })
    for (const [log, known] of this.#known) {
      if (this.store.log(log) !== undefined) continue
      const unknown = { peer: undefined, own: false, held: 0, lastRecorded: undefined }
      statuses.push({ log, known, forked: false, forkedAfter: undefined, ...unknown })
    }
    return statuses
  }
}

const INCARNATION_BYTES = 8

function isAborted(signal: AbortSignal | undefined): boolean {
  return signal?.aborted === true
}

function closedError(name: string, cause?: unknown): LaterbaseError {
  return new LaterbaseError('LATERBASE_CLOSED', `database ${name} is closed`, { cause })
}
