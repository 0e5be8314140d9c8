/**
 * The one writer of a database. Requests that wait at the same time share a commit, its signature
 * and its fsync; commits from peers go into the same batch. One batch is in flight at a time: two
 * measured slower, and order would be lost.
 */

import { present } from '../core/assert.ts'
import { logOrigin, sealCommit } from '../core/commit.ts'
import type { Commit, CommitEvent, LogId } from '../core/commit.ts'
import type { Hasher, Signer } from '../core/clock.ts'
import type { EventKey } from '../core/event-key.ts'
import { emptyTip } from '../core/log.ts'
import type { Stamp } from '../core/hybrid-logical-clock.ts'
import { regionBytes } from '../../protocols/event/codec.ts'
import { COMMIT_BYTES_MAX, COMMIT_EVENTS_MAX } from '../../protocols/limits.ts'
import { LaterbaseError } from '../errors.ts'
import type { EventStore, ForkPoint, OwnLogRenewal } from './event-store.ts'
import { hashText, keyText } from './key-layout.ts'
import { KnownLogs } from './known-logs.ts'
import { QUEUED_WRITES_MAX } from './limits.ts'

/** An event to append. */
export interface AppendEvent extends CommitEvent {
  /** Minted for this request, so that no store can have it. */
  readonly fresh: boolean
}

export type AppendOutcome =
  { readonly type: 'created' } | { readonly type: 'duplicate' } | { readonly type: 'conflict' }

export interface WriterEnvironment {
  readonly store: EventStore
  readonly signer: Signer
  readonly hasher: Hasher
  /** The node's clock: the next stamp, higher than any it gave or has seen. */
  readonly stamp: () => Stamp
  /** Tells the clock of a commit from a peer, if any, and reads it. */
  readonly observe: (commit: Commit | undefined) => Stamp
  /** A new incarnation of the store, with a new log for its node to write. */
  readonly renew: () => OwnLogRenewal
  /** Somebody else had written on in our log: it was closed, and another begun. */
  readonly ownLogClosed: (log: LogId) => void
  /** Called after every batch, in order, with what is now on disk. */
  readonly committed: (commits: readonly Commit[], own: Commit | undefined) => void
}

export interface GroupCommit {
  /**
   * Appends events as part of one commit; resolves when they are on disk. One outcome an event.
   *
   * With a conflict among them nothing of the request is written, unless `partial`.
   */
  append(events: readonly AppendEvent[], partial: boolean): Promise<readonly AppendOutcome[]>
  /** Stores checked commits of peers; resolves with the number that were new. */
  merge(commits: readonly Commit[]): Promise<number>
  /** Refuses what comes later, waits for what waits. */
  close(): Promise<void>
}

interface AppendRequest {
  readonly type: 'append'
  readonly events: readonly AppendEvent[]
  readonly partial: boolean
  readonly bytes: number
  readonly resolve: (outcomes: readonly AppendOutcome[]) => void
  readonly reject: (error: unknown) => void
}

interface MergeRequest {
  readonly type: 'merge'
  readonly commits: readonly Commit[]
  readonly resolve: (stored: number) => void
  readonly reject: (error: unknown) => void
}

type WriteRequest = AppendRequest | MergeRequest

export function createGroupCommit(env: WriterEnvironment): GroupCommit {
  return new Writer(env)
}

class Writer implements GroupCommit {
  readonly #env: WriterEnvironment
  #waiting: WriteRequest[] = []
  #running: Promise<void> | undefined
  #closed = false

  constructor(env: WriterEnvironment) {
    this.#env = env
  }

  append(events: readonly AppendEvent[], partial: boolean): Promise<readonly AppendOutcome[]> {
    const bytes = regionBytes(events)
    if (events.length > COMMIT_EVENTS_MAX || bytes > COMMIT_BYTES_MAX) {
      const facts = { events_max: COMMIT_EVENTS_MAX, bytes_max: COMMIT_BYTES_MAX }
      const message = `${events.length} events of ${bytes} bytes are more than one commit takes`
      return Promise.reject(new LaterbaseError('LATERBASE_TOO_LARGE', message, { facts }))
    }
    return new Promise((resolve, reject) => {
      this.#enqueue({ type: 'append', events, partial, bytes, resolve, reject })
    })
  }

  merge(commits: readonly Commit[]): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#enqueue({ type: 'merge', commits, resolve, reject })
    })
  }

  async close(): Promise<void> {
    this.#closed = true
    await this.#running
  }

  #enqueue(request: WriteRequest): void {
    if (this.#closed) {
      request.reject(new LaterbaseError('LATERBASE_CLOSED', 'the database is closed'))
      return
    }
    if (this.#waiting.length >= QUEUED_WRITES_MAX) {
      request.reject(new LaterbaseError('LATERBASE_STORE_FAILED', 'too many writes are waiting'))
      return
    }
    this.#waiting.push(request)
    this.#running ??= this.#run()
  }

  async #run(): Promise<void> {
    // Requests made in the same turn of the event loop go into the first batch together.
    await Promise.resolve()
    while (this.#waiting.length > 0) {
      const group = this.#takeGroup()
      try {
        await this.#write(group)
      } catch (error) {
        for (const request of group) request.reject(error)
      }
    }
    this.#running = undefined
  }

  /** As many waiting requests as one commit takes; at least one. */
  #takeGroup(): WriteRequest[] {
    let [events, bytes, count] = [0, 0, 0]
    for (const request of this.#waiting) {
      if (request.type === 'append') {
        events += request.events.length
        bytes += request.bytes
      } else {
        for (const commit of request.commits) bytes += regionBytes(commit.events)
      }
      const full = events > COMMIT_EVENTS_MAX || bytes > COMMIT_BYTES_MAX
      if (full && count > 0) break
      count += 1
    }
    return this.#waiting.splice(0, count)
  }

  async #write(group: readonly WriteRequest[]): Promise<void> {
    const { store } = this.#env
    // Asked before the tips are read: then no reopening comes between them and the write, which
    // could make a commit follow another tip than that on disk, or take a held key for absent.
    const refusal = store.refusal()
    if (refusal !== undefined) throw refusal
    const merges = group.filter((request) => request.type === 'merge')
    const appends = group.filter((request) => request.type === 'append')
    const { commits, forks, stored } = await this.#newCommits(merges)
    // What others bring of our log we have not written, or it would be here: a copy of this disk is
    // in use, or this is one. Both go on in logs of their own.
    const closed = store.ownLog.id
    const isOver = commits.some(({ origin }) => origin.id === closed)
    const renewal = isOver ? this.#env.renew() : undefined
    let ceiling = this.#env.observe(undefined)
    for (const commit of commits) ceiling = this.#env.observe(commit)
    const { events, outcomes } = await this.#newEvents(appends, commits)
    const own = events.length === 0 ? undefined : this.#seal(events, renewal)
    if (own !== undefined) ceiling = own.recorded
    const all = own === undefined ? commits : [...commits, own]
    if (all.length > 0) {
      const absent = new Set(own === undefined ? [] : [own])
      await store.write({ commits: all, clockCeiling: ceiling, absent, forks, renewal })
      if (isOver) this.#env.ownLogClosed(closed)
      this.#env.committed(all, own)
    }
    for (const [index, request] of merges.entries()) request.resolve(stored[index] ?? 0)
    for (const [index, request] of appends.entries()) {
      request.resolve(present(outcomes[index], 'one list of outcomes a request'))
    }
  }

  /** The commits that are not held, in order; another peer may have brought some already. */
  async #newCommits(merges: readonly MergeRequest[]): Promise<NewCommits> {
    const commits: Commit[] = []
    const forks = new Map<Commit, ForkPoint>()
    const stored: number[] = []
    if (merges.length === 0) return { commits, forks, stored }
    const known = new KnownLogs(this.#env.store)
    for (const request of merges) {
      let count = 0
      for (const commit of await known.newOf(request.commits)) {
        const placement = await known.place(commit)
        if (placement.type === 'gap') continue
        known.add(commit, placement)
        if (placement.type === 'branch') forks.set(commit, placement.fork)
        commits.push(commit)
        count += 1
      }
      stored.push(count)
    }
    return { commits, forks, stored }
  }

  /** What the appends add to the set, and what each of their events comes to. */
  async #newEvents(
    appends: readonly AppendRequest[],
    merged: readonly Commit[]
  ): Promise<{ events: CommitEvent[]; outcomes: AppendOutcome[][] }> {
    const contents = await this.#heldContents(appends, merged)
    const events: CommitEvent[] = []
    const outcomes = appends.map((request) => {
      const added = new Map<string, Set<string>>()
      const news: CommitEvent[] = []
      const results = request.events.map((event): AppendOutcome => {
        if (event.fresh) {
          news.push(event)
          return { type: 'created' }
        }
        const text = keyText(event.key)
        const held = added.get(text) ?? contents.get(text)
        if (held === undefined) {
          added.set(text, new Set([hashText(event.hash)]))
          news.push(event)
          return { type: 'created' }
        }
        // Of a key with several contents any that the client means is a duplicate.
        return { type: held.has(hashText(event.hash)) ? 'duplicate' : 'conflict' }
      })
      const refused = !request.partial && results.some(({ type }) => type === 'conflict')
      if (!refused) {
        events.push(...news)
        for (const [text, hashes] of added) contents.set(text, hashes)
      }
      return results
    })
    return { events, outcomes }
  }

  /** Hashes of all contents by key, as text, of those keys of the appends that are held or about to be. */
  async #heldContents(
    appends: readonly AppendRequest[],
    merged: readonly Commit[]
  ): Promise<Map<string, Set<string>>> {
    const contents = new Map<string, Set<string>>()
    const asked = new Map<string, EventKey>()
    for (const { events } of appends) {
      for (const { key, fresh } of events) if (!fresh) asked.set(keyText(key), key)
    }
    if (asked.size === 0) return contents
    const held = await this.#env.store.getMany([...asked.values()])
    for (const [index, [text, key]] of [...asked].entries()) {
      const found = held[index]
      if (found === undefined) continue
      const all = found.conflict ? await this.#env.store.getAll(key) : [found]
      contents.set(text, new Set(all.map(({ hash }) => hashText(hash))))
    }
    for (const { events } of merged) {
      for (const event of events) {
        const text = keyText(event.key)
        const hashes = contents.get(text)
        if (hashes === undefined) contents.set(text, new Set([hashText(event.hash)]))
        else hashes.add(hashText(event.hash))
      }
    }
    return contents
  }

  #seal(events: readonly CommitEvent[], renewal: OwnLogRenewal | undefined): Commit {
    const { store, signer, hasher } = this.#env
    const held = store.ownLog
    const origin =
      renewal === undefined ? held : logOrigin({ ...held.genesis, nonce: renewal.nonce }, hasher)
    const tip = store.log(origin.id)?.tip ?? emptyTip(origin)
    const stamp = this.#env.stamp()
    // The log may hold stamps of a clock that ran far ahead, which the clock no longer believes; the
    // log has to rise all the same.
    const recorded = stamp > tip.recorded ? stamp : tip.recorded + 1n
    const draft = { origin, firstSeq: tip.seq + 1, previous: tip.hash, recorded, events }
    return sealCommit(draft, signer, hasher)
  }
}

interface NewCommits {
  readonly commits: readonly Commit[]
  /** Where those leave their log that begin a branch. */
  readonly forks: ReadonlyMap<Commit, ForkPoint>
  /** How many of each request were new. */
  readonly stored: readonly number[]
}
