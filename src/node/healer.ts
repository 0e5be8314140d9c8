/**
 * Keeps the stores of a running node whole: goes through them now and then, and has what is damaged
 * from peers, be it found by such a check or by a read. What cannot be healed in place, because
 * LevelDB's own files are damaged, is for a new store.
 */

import { passed } from '../core/clock.ts'
import type { Clock, Hasher, Timer, Verifier } from '../core/clock.ts'
import type { Commit } from '../core/commit.ts'
import { isLaterbaseError } from '../errors.ts'
import type { Transport } from '../p2p/transport.ts'
import { formatTime } from '../schema/time.ts'
import type { DamagePlace, Stretch } from '../store/event-store.ts'
import type { NodeDatabase } from './database.ts'
import type { VerifyStatus } from './laterbase.ts'
import {
  CHECK_REST_MS,
  CHECK_RETRY_MS,
  CHECK_SUSPECT_MS,
  DAMAGED_PLACES_MAX,
  FINDINGS_MAX,
  HEAL_BYTES_MAX,
  HEAL_RETRY_MS,
  HEAL_RETRY_MS_MAX
} from './limits.ts'
import type { Log } from './options.ts'
import { refetch } from './refetch.ts'

export interface HealerInit {
  readonly transport: Transport
  readonly clock: Clock
  readonly hasher: Hasher
  readonly verifier: Verifier
  readonly log: Log
  readonly databases: () => readonly NodeDatabase[]
  /** Mean interval between checks of a database, ms; 0 for none. */
  readonly verifyMs: number
  /** Makes a database's store anew from what is whole in it. */
  readonly rebuild: (database: string, reason: string) => Promise<void>
}

interface Watch {
  running: Promise<VerifyStatus> | undefined
  done: number
  total: number
  checkedAt: string | undefined
  found: number
  healed: number
  open: Stretch[]
  retry: Retry
  findings: string[]
  dueMs: number
  /** When the last check ended, by the monotonic clock. */
  endedMs: number
  /** Why the last check, or what had to follow it, did not come to its end. */
  failure: string | undefined
  /** Damage that a read met and that could not be healed, in words: when, and by which peers. */
  readonly unhealed: Map<string, Unhealed>
}

/** When the open stretches are asked for next, unless other peers are connected before. */
interface Retry {
  readonly dueMs: number
  readonly waitMs: number
  /** Who was asked last. */
  readonly peers: string
}

interface Unhealed {
  readonly atMs: number
  readonly peers: string
}

export class Healer {
  readonly #init: HealerInit
  readonly #watches = new Map<string, Watch>()
  readonly #healing = new Map<string, Promise<boolean>>()
  readonly #closing = new AbortController()
  readonly #tasks = new Set<Promise<unknown>>()
  #timer: Timer | undefined

  constructor(init: HealerInit) {
    this.#init = init
  }

  /** A database is open: it gets its turn, at a time of its own within the interval. */
  follow({ name }: NodeDatabase): void {
    const { hasher, transport, clock, verifyMs } = this.#init
    const spread = hasher.sha256(Buffer.from(`${transport.peerId} ${name}`))[0] ?? 0
    const dueMs = clock.monotonicMs() + (verifyMs * (spread + 1)) / 256
    this.#watch(name).dueMs = verifyMs === 0 ? Infinity : dueMs
    this.#arm()
  }

  unfollow(name: string): void {
    this.#watches.delete(name)
  }

  status(name: string): VerifyStatus {
    const { running, open, ...counts } = this.#watch(name)
    const { done, total, checkedAt, found, healed, findings } = counts
    const shown = { done, total, checkedAt, found, healed, findings: [...findings] }
    return { running: running !== undefined, ...shown, open: open.length }
  }

  warnings(): string[] {
    return [...this.#watches].flatMap(([name, { open, findings, failure }]) => {
      const last = findings.at(-1) ?? ''
      const places = open.length === 1 ? 'one place' : `${open.length} places`
      return [
        ...(open.length === 0
          ? []
          : [
              `${name} is damaged on this disk in ${places} that no connected peer can heal: ${last}`
            ]),
        ...(failure === undefined ? [] : [`${name}: ${failure}`])
      ]
    })
  }

  /**
   * Heals what a read met, from any connected peer. Concurrent reads share it.
   *
   * @returns whether the read is worth another try
   */
  heal(database: NodeDatabase, error: unknown): Promise<boolean> {
    if (!isLaterbaseError(error, 'LATERBASE_STORE_CORRUPT')) return Promise.resolve(false)
    const under = this.#healing.get(database.name)
    if (under !== undefined) return under
    const { key, log, seq } = error.facts
    const where = { key, log, seq } as DamagePlace
    // To look for it goes through all commits, and peers are asked for it now and then anyway.
    const { unhealed } = this.#watch(database.name)
    const atMs = this.#init.clock.monotonicMs()
    const now = { atMs, peers: this.#peers() }
    const tried = unhealed.get(error.message)
    const isFresh = tried !== undefined && atMs - tried.atMs < HEAL_RETRY_MS
    if (isFresh && tried.peers === now.peers) return Promise.resolve(false)
    const healing = this.#healAt(database, where, error.message)
      .then((isHealed) => {
        unhealed.delete(error.message)
        if (!isHealed && unhealed.size < DAMAGED_PLACES_MAX) unhealed.set(error.message, now)
        return isHealed
      })
      .finally(() => {
        this.#healing.delete(database.name)
      })
    this.#healing.set(database.name, healing)
    this.#keep(healing)
    return healing
  }

  /** Something of these stores could not be served: look for it. */
  suspect(): void {
    for (const database of this.#init.databases()) this.#suspect(database)
  }

  /** Goes through a store and heals what it can; joins a check that runs. */
  verify(database: NodeDatabase, signatures = false): Promise<VerifyStatus> {
    const watch = this.#watch(database.name)
    watch.running ??= this.#check(database, watch, signatures).finally(() => {
      watch.running = undefined
    })
    this.#keep(watch.running)
    return watch.running
  }

  /** Idempotent. */
  async close(): Promise<void> {
    this.#closing.abort()
    this.#timer?.cancel()
    await Promise.allSettled(this.#tasks)
  }

  #watch(name: string): Watch {
    const held = this.#watches.get(name)
    if (held !== undefined) return held
    const counts = { done: 0, total: 0, found: 0, healed: 0, dueMs: Infinity, endedMs: -Infinity }
    const none = { running: undefined, checkedAt: undefined, failure: undefined }
    const retry = { dueMs: 0, waitMs: HEAL_RETRY_MS, peers: '' }
    const watch: Watch = { ...none, ...counts, open: [], retry, findings: [], unhealed: new Map() }
    this.#watches.set(name, watch)
    return watch
  }

  /** Looks at everything, but not once more for what the last look has told. */
  #suspect(database: NodeDatabase): void {
    const { endedMs } = this.#watch(database.name)
    if (this.#init.clock.monotonicMs() - endedMs >= CHECK_SUSPECT_MS)
      this.#keep(this.verify(database))
  }

  async #check(database: NodeDatabase, watch: Watch, signatures: boolean): Promise<VerifyStatus> {
    const { clock, verifyMs } = this.#init
    let nextMs = Math.min(verifyMs, CHECK_RETRY_MS)
    let failing = 'a check could not go through all that is stored'
    try {
      const rebuild = await this.#goThrough(database, watch, signatures)
      watch.checkedAt = formatTime(clock.nowMs())
      if (rebuild !== undefined) {
        failing = `${rebuild}; it cannot be made anew now`
        await this.#rebuild(database, watch, rebuild)
      }
      watch.failure = undefined
      nextMs = verifyMs
    } catch (error) {
      watch.failure = `${failing}: ${error instanceof Error ? error.message : String(error)}`
      throw error
    } finally {
      watch.endedMs = clock.monotonicMs()
      watch.dueMs = verifyMs === 0 ? Infinity : watch.endedMs + nextMs
      this.#arm()
    }
    return this.status(database.name)
  }

  async #rebuild(database: NodeDatabase, watch: Watch, reason: string): Promise<void> {
    const { name } = database
    this.#init.log('error', 'a store is damaged and is made anew', { database: name, reason })
    await this.#init.rebuild(name, reason)
    watch.healed += 1
    watch.open = []
  }

  /** Why the store has to be made anew, if it has. */
  async #goThrough(
    database: NodeDatabase,
    watch: Watch,
    signatures: boolean
  ): Promise<string | undefined> {
    const { verifier } = this.#init
    const { signal } = this.#closing
    const options = signatures ? { verifier, signal } : { signal }
    let rebuild: string | undefined
    watch.done = 0
    for await (const step of database.store.check(options)) {
      if (step.type === 'progress') {
        watch.done = step.done
        watch.total = step.total
        await passed(this.#init.clock, CHECK_REST_MS)
        continue
      }
      this.#found(database.name, step.detail)
      if (step.type === 'rebuild') rebuild ??= step.detail
      else await this.#healOrKeep(database, step.stretch)
    }
    return rebuild
  }

  async #healAt(database: NodeDatabase, where: DamagePlace, detail: string): Promise<boolean> {
    this.#found(database.name, detail)
    const isNamed = where.key !== undefined || where.seq !== undefined
    const stretches = isNamed ? await database.store.damagedAt(where).catch(() => []) : []
    if (stretches.length === 0) {
      // It is nothing that a commit holds, or LevelDB itself: only a look at everything tells.
      this.#suspect(database)
      return false
    }
    let isHealed = true
    for (const stretch of stretches) {
      if (!(await this.#healOrKeep(database, stretch))) isHealed = false
    }
    return isHealed
  }

  async #healOrKeep(database: NodeDatabase, stretch: Stretch): Promise<boolean> {
    const watch = this.#watch(database.name)
    const isHealed = await this.#healStretch(database, stretch)
    // Nobody has waited for it yet, or somebody has come who has what was lacking.
    if (watch.open.length === 0 || isHealed) watch.retry = this.#nextRetry(HEAL_RETRY_MS)
    watch.open = watch.open.filter((each) => !isSame(each, stretch))
    if (isHealed) watch.healed += 1
    else if (watch.open.length < DAMAGED_PLACES_MAX) watch.open.push(stretch)
    this.#arm()
    return isHealed
  }

  /** Whether any connected peer had it. */
  async #healStretch(database: NodeDatabase, stretch: Stretch): Promise<boolean> {
    const { transport, clock, hasher, verifier, log } = this.#init
    for (const { peer } of transport.peers()) {
      try {
        const commits = await refetch({
          database,
          stretch,
          clock,
          hasher,
          verifier,
          request: (frame, options) => transport.request(peer, frame, options),
          signal: this.#closing.signal
        })
        if (commits === undefined) continue
        for (const some of inPieces(commits)) await database.store.heal(stretch.log, some)
        const events = [stretch.after.seq + 1, stretch.toSeq]
        const id = stretch.log.tip.origin.id
        log('warn', 'healed from a peer', { database: database.name, log: id, events, peer })
        return true
      } catch (error) {
        log('debug', 'a peer could not heal', { peer, error: String(error) })
      }
    }
    return false
  }

  #found(database: string, detail: string): void {
    const watch = this.#watch(database)
    watch.found += 1
    watch.findings.push(detail)
    if (watch.findings.length > FINDINGS_MAX) watch.findings.shift()
    this.#init.log('error', 'damaged on this disk', { database, detail })
  }

  /** One timer for the checks that are due and the damages that wait for a peer. */
  #arm(): void {
    this.#timer?.cancel()
    if (this.#closing.signal.aborted) return
    const nowMs = this.#init.clock.monotonicMs()
    let dueMs = Infinity
    for (const watch of this.#watches.values()) {
      dueMs = Math.min(dueMs, watch.open.length > 0 ? nowMs + HEAL_RETRY_MS : watch.dueMs)
    }
    if (dueMs === Infinity) return
    this.#timer = this.#init.clock.setTimer(Math.max(0, dueMs - nowMs), () => {
      this.#keep(this.#wake())
    })
  }

  async #wake(): Promise<void> {
    const nowMs = this.#init.clock.monotonicMs()
    for (const database of this.#init.databases()) {
      const watch = this.#watch(database.name)
      if (watch.open.length > 0 && this.#isRetryDue(watch.retry)) await this.#retry(database, watch)
      // One that fails says so itself, and must not keep the others from theirs.
      if (watch.dueMs <= nowMs) await this.verify(database).catch(() => undefined)
    }
    this.#arm()
  }

  /** Looked at every `HEAL_RETRY_MS`, so that whoever connects is asked soon. */
  #isRetryDue({ dueMs, peers }: Retry): boolean {
    return this.#init.clock.monotonicMs() >= dueMs || peers !== this.#peers()
  }

  async #retry(database: NodeDatabase, watch: Watch): Promise<void> {
    const { waitMs, peers } = watch.retry
    const isOther = peers !== this.#peers()
    watch.retry = this.#nextRetry(isOther ? HEAL_RETRY_MS : Math.min(2 * waitMs, HEAL_RETRY_MS_MAX))
    for (const stretch of watch.open) await this.#healOrKeep(database, stretch)
  }

  #nextRetry(waitMs: number): Retry {
    return { dueMs: this.#init.clock.monotonicMs() + waitMs, waitMs, peers: this.#peers() }
  }

  #peers(): string {
    const peers = this.#init.transport.peers().map(({ peer }) => peer)
    return peers.toSorted().join()
  }

  /** Kept until it ends, so that `close` can wait for it; what fails was found, and is found again. */
  #keep(task: Promise<unknown>): void {
    const kept = task.catch((error: unknown) => {
      if (this.#closing.signal.aborted || isLaterbaseError(error, 'LATERBASE_CLOSED')) return
      this.#init.log('error', 'a check of a store failed', { error: String(error) })
    })
    this.#tasks.add(kept)
    void kept.finally(() => this.#tasks.delete(kept))
  }
}

/** Commits in their order, as many at a time as are healed together. */
function* inPieces(commits: readonly Commit[]): Generator<readonly Commit[]> {
  let [piece, bytes]: [Commit[], number] = [[], 0]
  for (const commit of commits) {
    const size = commit.events.reduce((sum, { value }) => sum + value.length, 0)
    if (piece.length > 0 && bytes + size > HEAL_BYTES_MAX) {
      yield piece
      ;[piece, bytes] = [[], 0]
    }
    piece.push(commit)
    bytes += size
  }
  if (piece.length > 0) yield piece
}

function isSame(a: Stretch, b: Stretch): boolean {
  return a.log.number === b.log.number && a.after.seq === b.after.seq && a.toSeq === b.toSeq
}
