/**
 * Replication as a state machine: what to ask of which peer, and when. It is told what happened
 * and what time it is, and answers what to do; `src/node/driver.ts` does it.
 *
 * Its rules: one fetch per peer and database in flight, what is announced meanwhile coalesces into
 * the next; digests are compared on every connect, on a jittered timer, after commits came otherwise
 * than by gossip, and where gossip may not reach; where digests differ, fetch. Left out: what a page
 * must look like (`../log.ts`), and the wire.
 */

import { assert, assertNever, present } from '../assert.ts'
import type { Millis, Rng } from '../clock.ts'
import {
  COMPARE_MS_MAX,
  CUT_OFF_MS,
  FRUITLESS_MAX,
  FRUITLESS_MS_MAX,
  RETRY_MS,
  RETRY_MS_MAX,
  RIPPLE_MS
} from '../limits.ts'
import { backoff, jittered } from './schedule.ts'

/**
 * Which fetch is meant. A fetch may end after its connection did: its result then says nothing of
 * the fetch that runs on the next connection to the same peer.
 */
export interface FetchName {
  readonly peer: string
  readonly database: string
  /** Unique in one state. */
  readonly fetch: number
}

export type SyncInput =
  | { readonly type: 'peer-connected'; readonly peer: string }
  | { readonly type: 'peer-disconnected'; readonly peer: string }
  /** The peer began to follow a database: what was gossiped before did not reach it. */
  | { readonly type: 'peer-subscribed'; readonly peer: string; readonly database: string }
  /** The peer's digests came, as a question or as an answer: the databases in which we differ. */
  | {
      readonly type: 'compared'
      readonly peer: string
      readonly unequal: readonly string[]
      /** Whether this answers our comparison. */
      readonly answer: boolean
    }
  | { readonly type: 'compare-failed'; readonly peer: string }
  /** The peer announced commits of a database that we do not hold. */
  | { readonly type: 'announced'; readonly peer: string; readonly database: string }
  /**
   * A fetch ended. `stored`: commits that were new to us. `equal`: with them our set is the one that
   * the peer's last page said it has.
   */
  | (FetchName & { readonly type: 'fetched'; readonly stored: number; readonly equal: boolean })
  | (FetchName & { readonly type: 'fetch-failed' })
  /** Something is new here of which gossip may not tell these peers. */
  | { readonly type: 'untold'; readonly peers: readonly string[] }
  /** The peer sent something invalid. */
  | { readonly type: 'peer-faulty'; readonly peer: string; readonly reason: string }
  /** The set of databases has changed here, or somebody wants agreement now. */
  | { readonly type: 'compare-now' }
  | { readonly type: 'timer' }

export type SyncOutput =
  | { readonly type: 'compare'; readonly peer: string }
  | (FetchName & { readonly type: 'fetch' })
  | {
      readonly type: 'cut-off'
      readonly peer: string
      readonly forMs: Millis
      readonly reason: string
    }

export interface SyncEnvironment {
  /** Monotonic. */
  readonly nowMs: Millis
  readonly rng: Rng
  /** Mean interval of comparisons with one peer. */
  readonly antiEntropyMs: Millis
}

export interface SyncState {
  readonly peers: Map<string, PeerSync>
  /** Fetches that were begun: the number of the last one. */
  fetches: number
}

export interface PeerSync {
  /** When the next comparison is due. */
  compareAtMs: Millis
  /** Since when a comparison is under way. */
  comparingSinceMs: Millis | undefined
  compareFailures: number
  readonly databases: Map<string, DatabaseSync>
}

interface DatabaseSync {
  /** The fetch that is under way. */
  fetching: number | undefined
  /** What was heard of during the fetch: a comparison is settled by an equal end, news is not. */
  again: 'no' | 'compared' | 'announced'
  /** The fetch that is under way began with an announcement, so the neighbours know. */
  announced: boolean
  failures: number
  /** Fetches in a row that brought nothing, of a peer that claims to differ. */
  fruitless: number
  /** Before this no fetch begins, whatever is heard. */
  quietUntilMs: Millis
  retryAtMs: Millis | undefined
}

export function newSyncState(): SyncState {
  return { peers: new Map(), fetches: 0 }
}

/** Takes one input; the outputs are to be done in their order. Changes `state`. */
export function stepSync(state: SyncState, input: SyncInput, env: SyncEnvironment): SyncOutput[] {
  switch (input.type) {
    case 'peer-connected':
      state.peers.set(input.peer, newPeer(env))
      return dueOutputs(state, env)
    case 'peer-disconnected':
      state.peers.delete(input.peer)
      return []
    case 'peer-subscribed':
      return compareSoon(state, [input.peer], 0, env)
    case 'compared':
      return onCompared(state, input, env)
    case 'compare-failed': {
      // Asked again soon: two silences in a row are how the transport tells a cut from a busy peer.
      const peer = state.peers.get(input.peer)
      if (peer === undefined) return []
      peer.comparingSinceMs = undefined
      const waitMs = backoff(peer.compareFailures, RETRY_MS, env.antiEntropyMs, env.rng)
      peer.compareFailures += 1
      peer.compareAtMs = Math.min(peer.compareAtMs, env.nowMs + waitMs)
      return []
    }
    case 'announced':
      return requestFetch(state, input, { announced: true, env })
    case 'fetched':
      return onFetched(state, input, env)
    case 'fetch-failed':
      return onFetchFailed(state, input, env)
    case 'untold':
      return compareSoon(state, input.peers, RIPPLE_MS, env)
    case 'peer-faulty':
      state.peers.delete(input.peer)
      return [{ type: 'cut-off', peer: input.peer, forMs: CUT_OFF_MS, reason: input.reason }]
    case 'compare-now':
      return compareSoon(state, [...state.peers.keys()], 0, env)
    case 'timer':
      return dueOutputs(state, env)
    default:
      return assertNever(input)
  }
}

/** When `timer` is wanted next, monotonic; undefined without peers. */
export function nextDueMs(state: SyncState): Millis | undefined {
  let due: Millis | undefined
  for (const peer of state.peers.values()) {
    due = Math.min(due ?? Infinity, peer.compareAtMs)
    for (const database of peer.databases.values()) {
      if (database.retryAtMs !== undefined) due = Math.min(due, database.retryAtMs)
    }
  }
  return due
}

function newPeer(env: SyncEnvironment): PeerSync {
  return {
    compareAtMs: env.nowMs,
    comparingSinceMs: undefined,
    compareFailures: 0,
    databases: new Map()
  }
}

function onCompared(
  state: SyncState,
  input: Extract<SyncInput, { type: 'compared' }>,
  env: SyncEnvironment
): SyncOutput[] {
  const peer = state.peers.get(input.peer)
  if (peer === undefined) return []
  if (input.answer) {
    peer.comparingSinceMs = undefined
    peer.compareFailures = 0
  }
  return input.unequal.flatMap((database) =>
    requestFetch(state, { peer: input.peer, database }, { announced: false, env })
  )
}

function requestFetch(
  state: SyncState,
  of: { readonly peer: string; readonly database: string },
  { announced, env }: { readonly announced: boolean; readonly env: SyncEnvironment }
): SyncOutput[] {
  const peer = state.peers.get(of.peer)
  if (peer === undefined) return []
  const database = peer.databases.get(of.database) ?? newDatabase()
  peer.databases.set(of.database, database)
  if (database.fetching !== undefined) {
    if (database.again !== 'announced') database.again = announced ? 'announced' : 'compared'
    return []
  }
  if (database.quietUntilMs > env.nowMs) database.retryAtMs ??= database.quietUntilMs
  else if (database.retryAtMs === undefined || announced) return [startFetch(state, of, announced)]
  return []
}

function onFetched(
  state: SyncState,
  input: Extract<SyncInput, { type: 'fetched' }>,
  env: SyncEnvironment
): SyncOutput[] {
  const database = fetchUnderWay(state, input)
  // What was stored is news to the neighbours however late the fetch ended.
  const ripple =
    input.stored > 0 && database?.announced !== true
      ? compareSoon(
          state,
          [...state.peers.keys()].filter((peer) => peer !== input.peer),
          RIPPLE_MS,
          env
        )
      : []
  if (database === undefined) return ripple
  database.fetching = undefined
  database.failures = 0
  if (input.stored > 0 || input.equal) database.fruitless = 0
  else countFruitless(database, env)
  const settled = database.again === 'no' || (database.again === 'compared' && input.equal)
  if (settled) return ripple
  return [...ripple, ...requestFetch(state, input, { announced: true, env })]
}

function onFetchFailed(
  state: SyncState,
  input: Extract<SyncInput, { type: 'fetch-failed' }>,
  env: SyncEnvironment
): SyncOutput[] {
  const database = fetchUnderWay(state, input)
  if (database === undefined) return []
  database.fetching = undefined
  database.again = 'no'
  database.retryAtMs = env.nowMs + backoff(database.failures, RETRY_MS, RETRY_MS_MAX, env.rng)
  database.failures += 1
  countFruitless(database, env)
  return []
}

/** A claim costs the peer nothing, and each fetch costs us a request with our whole version. */
function countFruitless(database: DatabaseSync, env: SyncEnvironment): void {
  database.fruitless += 1
  const tooMany = database.fruitless - FRUITLESS_MAX
  if (tooMany <= 0) return
  database.quietUntilMs = env.nowMs + backoff(tooMany - 1, RETRY_MS, FRUITLESS_MS_MAX, env.rng)
}

/** Undefined for a fetch that its connection did not outlive. */
function fetchUnderWay(state: SyncState, name: FetchName): DatabaseSync | undefined {
  const database = state.peers.get(name.peer)?.databases.get(name.database)
  return database?.fetching === name.fetch ? database : undefined
}

/** Brings the next comparison with each peer forward to within `meanMs`, jittered. */
function compareSoon(
  state: SyncState,
  peers: readonly string[],
  meanMs: Millis,
  env: SyncEnvironment
): SyncOutput[] {
  for (const name of peers) {
    const peer = state.peers.get(name)
    if (peer === undefined) continue
    peer.compareAtMs = Math.min(peer.compareAtMs, env.nowMs + jittered(meanMs, env.rng))
  }
  return dueOutputs(state, env)
}

function dueOutputs(state: SyncState, env: SyncEnvironment): SyncOutput[] {
  const outputs: SyncOutput[] = []
  for (const [name, peer] of state.peers) {
    if (peer.compareAtMs <= env.nowMs) {
      // A comparison under way was asked before the news: let it end, then compare again.
      const stuck =
        peer.comparingSinceMs !== undefined && peer.comparingSinceMs + COMPARE_MS_MAX > env.nowMs
      if (stuck) {
        peer.compareAtMs = env.nowMs + jittered(RIPPLE_MS, env.rng)
      } else {
        peer.comparingSinceMs = env.nowMs
        peer.compareAtMs = env.nowMs + jittered(env.antiEntropyMs, env.rng)
        outputs.push({ type: 'compare', peer: name })
      }
    }
    for (const [databaseName, database] of peer.databases) {
      if (database.retryAtMs === undefined || database.retryAtMs > env.nowMs) continue
      outputs.push(startFetch(state, { peer: name, database: databaseName }, false))
    }
  }
  return outputs
}

function newDatabase(): DatabaseSync {
  return {
    fetching: undefined,
    again: 'no',
    announced: false,
    failures: 0,
    fruitless: 0,
    quietUntilMs: Number.NEGATIVE_INFINITY,
    retryAtMs: undefined
  }
}

function startFetch(
  state: SyncState,
  { peer, database: name }: { readonly peer: string; readonly database: string },
  announced: boolean
): SyncOutput {
  const database = present(state.peers.get(peer)?.databases.get(name), 'a database that is synced')
  assert(database.fetching === undefined, 'one fetch per peer and database')
  state.fetches += 1
  database.fetching = state.fetches
  database.again = 'no'
  database.announced = announced
  database.retryAtMs = undefined
  return { type: 'fetch', peer, database: name, fetch: state.fetches }
}
