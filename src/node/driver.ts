/**
 * Replication, performed: runs the sync state machine of the core against a transport, a clock and
 * the databases. It decides nothing about whom to ask when; it asks, checks, stores, and reports.
 */

import { setMaxListeners } from 'node:events'

import { decodeAnnouncement, encodeAnnouncement } from '../../protocols/announce/codec.ts'
import {
  decodeDeltaAnswer,
  encodeDeltaAnswer,
  encodeDeltaRequest
} from '../../protocols/delta/codec.ts'
import type { DatabaseDigest, DeltaAnswer, DeltaRequest } from '../../protocols/delta/codec.ts'
import { ANNOUNCED_KEYS_MAX, DATABASES_MAX } from '../../protocols/limits.ts'
import { isRejected } from '../../protocols/rejected.ts'
import { AssertionError, assertNever } from '../core/assert.ts'
import { equalBytes } from '../core/bytes.ts'
import type { Commit } from '../core/commit.ts'
import type { Clock, Hasher, Rng, Timer, Verifier } from '../core/clock.ts'
import { COMPARE_MS_MAX, LOGS_MAX } from '../core/limits.ts'
import { versionDigest } from '../core/version.ts'
import { newSyncState, nextDueMs, stepSync } from '../core/sync/session.ts'
import type { FetchName, SyncInput, SyncOutput, SyncState } from '../core/sync/session.ts'
import { isLaterbaseError } from '../errors.ts'
import { sharingIdentity } from '../p2p/transport.ts'
import type { AnnouncementVerdict, Transport, TransportHandlers } from '../p2p/transport.ts'
import { Announcements } from './announcements.ts'
import type { NodeDatabase } from './database.ts'
import { withDeadline } from './deadline.ts'
import { DeltaResponder } from './delta-responder.ts'
import type { Answered } from './delta-responder.ts'
import { FaultyPeerError, fetchMissing } from './delta-fetch.ts'
import { OneAtATime } from './one-at-a-time.ts'
import { PageRoom } from './page-room.ts'
import { WARNINGS_MAX } from './limits.ts'
import type { Log } from './options.ts'
import { ViewComparison } from './view-comparison.ts'

/** The databases of a node, as replication sees them. */
export interface DatabaseRegistry {
  all(): readonly NodeDatabase[]
  get(name: string): NodeDatabase | undefined
  /** Whether this node has a database of that name whose store does not open. */
  isUnopened(name: string): boolean
  /** The database of a name that a peer has; undefined where this node has forgotten it on purpose. */
  adopt(name: string): Promise<NodeDatabase | undefined>
}

export interface DriverInit {
  readonly transport: Transport
  readonly databases: DatabaseRegistry
  readonly clock: Clock
  readonly rng: Rng
  readonly hasher: Hasher
  readonly verifier: Verifier
  readonly antiEntropyMs: number
  readonly gossip: boolean
  readonly log: Log
  /** A page could not be made of what is on our disk. */
  readonly damaged: () => void
}

export class Driver {
  readonly #init: DriverInit
  readonly #state: SyncState = newSyncState()
  readonly #responder: DeltaResponder
  readonly #views: ViewComparison
  readonly #closing = new AbortController()
  readonly #announcements: Announcements
  readonly #room = new PageRoom()
  readonly #tasks = new Set<Promise<void>>()
  /** What each connected peer's digests were when last heard of, by database. */
  readonly #seenDigests = new Map<string, Map<string, Uint8Array>>()
  readonly #warnings = new Set<string>()
  #timer: Timer | undefined
  /** Fetches that somebody asked for: a client in a loop costs one a peer at a time. */
  readonly #syncs = new OneAtATime<number>()
  #fetches = 0

  constructor(init: DriverInit) {
    this.#init = init
    this.#views = new ViewComparison({
      database: (name) => init.databases.get(name),
      ask: (peer, request) => this.#request(peer, request, COMPARE_MS_MAX),
      hasher: init.hasher,
      log: init.log
    })
    this.#responder = new DeltaResponder({
      digests: () => this.#digests(),
      database: (name) => init.databases.get(name),
      isUnopened: (name) => init.databases.isUnopened(name),
      views: (set) => this.#views.viewsOf(set),
      hasher: init.hasher,
      clock: init.clock
    })
    this.#announcements = new Announcements({ clock: init.clock, signal: this.#closing.signal })
    // Every request and every waiting announcement listens to it, and stops when it is done.
    setMaxListeners(0, this.#closing.signal)
  }

  handlers(): TransportHandlers {
    return {
      peerConnected: (peer) => this.#take({ type: 'peer-connected', peer }),
      peerDisconnected: (peer) => {
        this.#seenDigests.delete(peer)
        this.#responder.forget(peer)
        this.#views.forget(peer)
        this.#take({ type: 'peer-disconnected', peer })
      },
      peerSubscribed: (peer, database) => this.#take({ type: 'peer-subscribed', peer, database }),
      requested: (peer, frame) => this.#answer(peer, frame),
      announced: (peer, database, message) => this.#announced(peer, database, message)
    }
  }

  /** Follows a database that is new here, and tells the peers of it. */
  follow(database: NodeDatabase): void {
    if (this.#init.gossip) this.#init.transport.subscribe(database.name)
    this.#take({ type: 'compare-now' })
  }

  unfollow(name: string): void {
    this.#init.transport.unsubscribe(name)
  }

  /**
   * Gossips a commit that is on disk. Not at once: the writers are waiting for their answer, and
   * what gossip costs can be spent while the next commit is being synced.
   */
  announce(database: NodeDatabase, commit: Commit): void {
    if (!this.#init.gossip) return
    this.#init.clock.setTimer(0, () => {
      if (!this.#closing.signal.aborted) this.#announceNow(database, commit)
    })
  }

  #announceNow(database: NodeDatabase, commit: Commit): void {
    const keys = commit.events.slice(0, ANNOUNCED_KEYS_MAX).map((event) => event.key)
    const { origin, firstSeq, hash, events } = commit
    const head = { log: origin.idBytes, firstSeq, count: events.length }
    const message = encodeAnnouncement({ ...head, hash, keys })
    this.#run(this.#init.transport.announce(database.name, message))
    this.#tellTwins()
  }

  /** Of boxes that have one identity gossip reaches only one: all of them are asked, soon and once. */
  #tellTwins(): void {
    const peers = sharingIdentity(this.#state.peers.keys())
    if (peers.length > 0) this.#take({ type: 'untold', peers })
  }

  /** Fetches from every connected peer what this database lacks. */
  async sync(database: NodeDatabase, signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted()
    const peers = this.#init.transport.peers()
    const fetches = peers.map(({ peer }) =>
      this.#syncs.do(`${peer} ${database.name}`, () => this.#fetchOnce(peer, database))
    )
    await Promise.allSettled(fetches)
    signal?.throwIfAborted()
    this.#take({ type: 'compare-now' })
  }

  /** Begun since the start. */
  fetches(): number {
    return this.#fetches
  }

  /** In words for a person; what needs a look at this node or its peers. */
  /** Peers that came to other rows of a view, of the same events. */
  viewDiffers(database: string, view: string): readonly string[] {
    return this.#views.differing(database, view)
  }

  warnings(): readonly string[] {
    return [...this.#warnings, ...this.#views.warnings()]
  }

  /** Whether this peer's set was equal to ours now when we last heard of it. */
  isEqual(peer: string, database: NodeDatabase): boolean {
    const seen = this.#seenDigests.get(peer)?.get(database.name)
    return seen !== undefined && equalBytes(seen, database.digestBytes())
  }

  async close(): Promise<void> {
    this.#closing.abort()
    this.#timer?.cancel()
    await Promise.allSettled(this.#tasks)
  }

  /** One step of the state machine, and whatever comes of it. */
  #take(input: SyncInput): void {
    if (this.#closing.signal.aborted) return
    const { clock, rng, antiEntropyMs } = this.#init
    const env = { nowMs: clock.monotonicMs(), rng, antiEntropyMs }
    for (const output of stepSync(this.#state, input, env)) this.#perform(output)
    this.#armTimer()
  }

  #armTimer(): void {
    this.#timer?.cancel()
    const due = nextDueMs(this.#state)
    if (due === undefined) return
    const delayMs = Math.max(0, due - this.#init.clock.monotonicMs())
    this.#timer = this.#init.clock.setTimer(delayMs, () => this.#take({ type: 'timer' }))
  }

  #perform(output: SyncOutput): void {
    switch (output.type) {
      case 'compare':
        this.#run(this.#compare(output.peer))
        return
      case 'fetch':
        this.#run(this.#fetch(output))
        return
      case 'cut-off':
        this.#init.transport.cutOff(output.peer, output.forMs, output.reason)
        return
      default:
        assertNever(output)
    }
  }

  /** Keeps a task until it ends, so that `close` can wait for it. Its failures are handled inside. */
  #run(task: Promise<void>): void {
    const kept = task.catch((error: unknown) => {
      this.#init.log('error', 'replication task failed', { error: String(error) })
    })
    this.#tasks.add(kept)
    void kept.finally(() => this.#tasks.delete(kept))
  }

  async #compare(peer: string): Promise<void> {
    const request: DeltaRequest = { type: 'compare', digests: this.#digests() }
    const answer = await this.#request(peer, request, COMPARE_MS_MAX)
    if (answer?.type === 'compared') await this.#compared(peer, answer.digests, true)
    else this.#take({ type: 'compare-failed', peer })
  }

  /** Sorts a peer's digests into equal and unequal, and adopts databases that are new to us. */
  async #compared(
    peer: string,
    digests: readonly DatabaseDigest[],
    answer: boolean
  ): Promise<void> {
    const unequal: string[] = []
    const equal: string[] = []
    for (const { database: name, digest } of digests) {
      const database = await this.#adopt(name)
      if (database === undefined) continue
      this.#noteDigest(peer, name, digest)
      const those = equalBytes(database.digestBytes(), digest) ? equal : unequal
      those.push(name)
    }
    this.#take({ type: 'compared', peer, unequal, answer })
    if (this.#state.peers.has(peer)) await this.#views.compare(peer, equal)
  }

  /** One database that cannot be opened must not keep the others from being compared. */
  async #adopt(name: string): Promise<NodeDatabase | undefined> {
    try {
      return await this.#init.databases.adopt(name)
    } catch (error) {
      // The status says that the disk is full, as long as it is; the next comparison asks again.
      if (isLaterbaseError(error, 'LATERBASE_DISK_FULL')) return undefined
      this.#warn(`database ${name} of a peer cannot be opened here: ${String(error)}`, {})
      return undefined
    }
  }

  async #fetch({ peer, database: name, fetch }: FetchName): Promise<void> {
    const named = { peer, database: name, fetch }
    const database = this.#init.databases.get(name)
    if (database === undefined) {
      this.#take({ type: 'fetched', ...named, stored: 0, equal: true })
      return
    }
    try {
      const stored = await this.#fetchOnce(peer, database)
      const equal = this.isEqual(peer, database)
      this.#take({ type: 'fetched', ...named, stored, equal })
      if (stored > 0) this.#tellTwins()
    } catch (error) {
      if (this.#closing.signal.aborted) return
      if (error instanceof FaultyPeerError) {
        this.#take({ type: 'peer-faulty', peer, reason: error.message })
        return
      }
      // A broken invariant is our own mistake: said aloud, though the next fetch may well succeed.
      const level = error instanceof AssertionError ? 'error' : 'debug'
      this.#init.log(level, 'fetch failed', { peer, database: name, error: String(error) })
      this.#take({ type: 'fetch-failed', ...named })
    }
  }

  #fetchOnce(peer: string, database: NodeDatabase): Promise<number> {
    const { transport, clock, hasher, verifier } = this.#init
    // What could not be stored is not worth the way over the link; it is asked for again later.
    const refusal = database.store.refusal()
    if (refusal !== undefined) return Promise.reject(refusal)
    this.#fetches += 1
    return fetchMissing({
      database,
      clock,
      hasher,
      verifier,
      request: (frame, options) => transport.request(peer, frame, options),
      signal: this.#closing.signal,
      room: this.#room,
      seen: (version) => this.#noteDigest(peer, database.name, versionDigest(version, hasher)),
      logsMax: LOGS_MAX,
      logsFull: () => {
        this.#warn(`${database.name} has ${LOGS_MAX} logs and takes no new ones`, { peer })
      }
    })
  }

  async #answer(peer: string, frame: Uint8Array): Promise<Uint8Array> {
    const { log } = this.#init
    const answered = await this.#answerOrRefuse(peer, frame)
    const { request } = answered
    if (request?.type === 'compare') this.#run(this.#compared(peer, request.digests, false))
    if (answered.fault !== undefined) {
      log('warn', 'a peer sent a request that cannot be read', { peer, fault: answered.fault })
    }
    return answered.frame
  }

  /** Rot on our disk is for our operator to hear of; the asker goes to another peer. */
  async #answerOrRefuse(peer: string, frame: Uint8Array): Promise<Answered> {
    try {
      return await this.#responder.answer(peer, frame)
    } catch (error) {
      if (isLaterbaseError(error, 'LATERBASE_STORE_CORRUPT')) {
        this.#warn(`damaged on this disk: ${error.message}`, { peer })
        this.#init.damaged()
      } else if (!isLaterbaseError(error, 'LATERBASE_STORE_FAILED')) {
        throw error
      }
      const refused = encodeDeltaAnswer({ type: 'refused', reason: 'busy' })
      return { frame: refused, request: undefined, fault: undefined }
    }
  }

  /** Says it once in the log, and in the status from then on. */
  #warn(message: string, fields: Readonly<Record<string, unknown>>): void {
    if (this.#warnings.has(message) || this.#warnings.size >= WARNINGS_MAX) return
    this.#warnings.add(message)
    this.#init.log('warn', message, fields)
  }

  #digests(): DatabaseDigest[] {
    return this.#init.databases
      .all()
      .slice(0, DATABASES_MAX)
      .map((database) => ({ database: database.name, digest: database.digestBytes() }))
  }

  #noteDigest(peer: string, database: string, digest: Uint8Array): void {
    if (!this.#state.peers.has(peer)) return
    const seen = this.#seenDigests.get(peer) ?? new Map<string, Uint8Array>()
    seen.set(database, digest)
    this.#seenDigests.set(peer, seen)
  }

  async #announced(peer: string, name: string, message: Uint8Array): Promise<AnnouncementVerdict> {
    const announcement = decodeAnnouncement(message)
    if (isRejected(announcement)) return 'reject'
    const database = this.#init.databases.get(name)
    if (database === undefined) return 'ignore'
    return this.#announcements.judge(database, announcement, (head) => {
      database.learn([head])
      this.#take({ type: 'announced', peer, database: name })
    })
  }

  /** The answer, or undefined for a peer that gave none in time or sent rubbish. */
  async #request(
    peer: string,
    request: DeltaRequest,
    withinMs: number
  ): Promise<DeltaAnswer | undefined> {
    const { clock, transport } = this.#init
    const deadline = { clock, withinMs, signal: this.#closing.signal }
    const bytes = encodeDeltaRequest(request)
    try {
      const frame = await withDeadline(deadline, (signal) =>
        transport.request(peer, bytes, { signal })
      )
      const answer = decodeDeltaAnswer(frame)
      if (!isRejected(answer)) return answer
      this.#take({ type: 'peer-faulty', peer, reason: answer.detail })
    } catch (error) {
      this.#init.log('debug', 'request failed', { peer, error: String(error) })
    }
    return undefined
  }
}
