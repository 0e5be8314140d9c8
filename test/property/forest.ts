/**
 * Logs that were forked: commits of which each follows any earlier one of its log, and databases in
 * memory that hold parts of them and fetch from one another by the frames that cross the network.
 */

import fc from 'fast-check'

import { decodeDeltaRequest, encodeDeltaRequest } from '../../protocols/delta/codec.ts'
import { isRejected } from '../../protocols/rejected.ts'
import { present } from '../../src/core/assert.ts'
import type { Clock, Rng, Verifier } from '../../src/core/clock.ts'
import { lastSeq, sealCommit } from '../../src/core/commit.ts'
import type { Commit, CommitEvent } from '../../src/core/commit.ts'
import { emptyTip, tipAfter } from '../../src/core/log.ts'
import type { LogTip } from '../../src/core/log.ts'
import type { DatabaseInit } from '../../src/node/database-init.ts'
import { NodeDatabase } from '../../src/node/database.ts'
import { fetchMissing } from '../../src/node/delta-fetch.ts'
import { DeltaResponder } from '../../src/node/delta-responder.ts'
import { PageRoom } from '../../src/node/page-room.ts'
import { createRecordedClock } from '../../src/node/recorded-clock.ts'
import type { VerifyStatus } from '../../src/node/laterbase.ts'
import { ViewCompiler } from '../../src/node/view-compiler.ts'
import { systemClock, systemHasher, systemVerifier } from '../../src/node/system.ts'
import type { DerivedStore } from '../../src/store/derived-store.ts'
import type { EventStore } from '../../src/store/event-store.ts'
import { createMemoryDerivedStore } from '../../src/store/memory-derived-store.ts'
import { Upcasters } from '../../src/schema/upcast.ts'
import { createMemoryStore } from '../../src/store/memory-store.ts'
import { DATABASE, SIGNERS, clashingEvents, logOf, seededRng } from './arbitraries.ts'

interface ForestOptions {
  readonly events?: fc.Arbitrary<CommitEvent>
  readonly step?: bigint
}

interface ForkedPlan {
  readonly signer: number
  readonly events: Commit['events']
  readonly laterBy: number
  /** Which of the earlier commits of the log it follows; mostly the last one. */
  readonly after: number
}

/** @param step between the recorded times of two commits of a log, at least */
export function forests(
  maxLength = 14,
  { events = clashingEvents(), step = 1n }: ForestOptions = {}
): fc.Arbitrary<Commit[]> {
  const plan = fc.record({
    signer: fc.integer({ min: 0, max: 1 }),
    events: fc.array(events, { minLength: 1, maxLength: 3 }),
    laterBy: fc.integer({ min: 1, max: 3 }),
    after: fc.oneof({ weight: 2, arbitrary: fc.constant(0) }, fc.nat())
  })
  return fc.array(plan, { maxLength }).map((plans) => {
    const commits = plant(plans, step)
    return Object.assign(commits, { [fc.toStringMethod]: () => shownForest(commits).join('\n') })
  })
}

/** Commits in a few words, for the report of a counterexample. */
function shownForest(commits: readonly Commit[]): string[] {
  const name = (hash: Uint8Array): string => Buffer.from(hash).toString('hex', 0, 2)
  return commits.map((commit) => {
    const events = commit.events.map(({ key, hash }) => `${key[5]}.${key[15]}=${name(hash)}`)
    const place = `${commit.origin.id.slice(0, 2)} ${commit.firstSeq}`
    return `${place} ${name(commit.previous)}>${name(commit.hash)} @${commit.recorded} ${events.join(' ')}`
  })
}

/** Sealed commits in an order in which they can arrive. */
function plant(plans: readonly ForkedPlan[], step: bigint): Commit[] {
  const tips = new Map<number, LogTip[]>()
  const seen = new Set<string>()
  return plans.flatMap(({ signer, events, laterBy, after }) => {
    const ofLog = tips.get(signer) ?? [emptyTip(logOf(signer))]
    tips.set(signer, ofLog)
    const tip = present(ofLog[ofLog.length - 1 - (after % ofLog.length)], 'an earlier commit')
    const recorded = tip.recorded + step * BigInt(laterBy)
    const draft = {
      origin: tip.origin,
      firstSeq: tip.seq + 1,
      previous: tip.hash,
      recorded,
      events
    }
    const commit = sealCommit(draft, present(SIGNERS[signer], 'a signer'), systemHasher)
    const name = Buffer.from(commit.hash).toString('hex')
    if (seen.has(name)) return []
    seen.add(name)
    ofLog.push(tipAfter(tip, commit))
    return [commit]
  })
}

export interface Branched {
  readonly shared: Commit[]
  readonly mine: Commit[]
  readonly theirs: Commit[]
}

/** A log that two boxes have gone on with, each for itself, from some commit on. */
export function branchedLogs(maxLength = 40): fc.Arbitrary<Branched> {
  const lengths = fc.record({
    shared: fc.nat(maxLength),
    mine: fc.integer({ min: 1, max: maxLength }),
    theirs: fc.integer({ min: 1, max: maxLength })
  })
  return fc.tuple(lengths, clashingEvents()).map(([{ shared, mine, theirs }, event]) => {
    const plans = Array.from({ length: shared + mine + theirs }, (_, at): ForkedPlan => {
      const isFirstOfTheirs = at === shared + mine
      const place = { after: isFirstOfTheirs ? mine : 0, laterBy: isFirstOfTheirs ? 2 : 1 }
      return { signer: 0, events: [event], ...place }
    })
    const all = plant(plans, 1n)
    const branched = {
      shared: all.slice(0, shared),
      mine: all.slice(shared, shared + mine),
      theirs: all.slice(shared + mine)
    }
    const show = (): string => `${shared} shared, then ${mine} and ${theirs}`
    return Object.assign(branched, { [fc.toStringMethod]: show })
  })
}

/** Some of the commits, and all that these follow. */
export function withAncestors(all: readonly Commit[], chosen: readonly Commit[]): Commit[] {
  const wanted = new Set<Commit>()
  const add = (commit: Commit): void => {
    if (wanted.has(commit)) return
    wanted.add(commit)
    const before = all.find(({ hash }) => Buffer.compare(hash, commit.previous) === 0)
    if (before !== undefined) add(before)
  }
  for (const commit of chosen) add(commit)
  return all.filter((commit) => wanted.has(commit))
}

/** Commits without a later one, as `log seq hash`: what a version is made of. */
export function leavesOf(commits: readonly Commit[]): string[] {
  const followed = new Set(commits.map(({ previous }) => Buffer.from(previous).toString('hex')))
  return commits
    .map((commit) => ({ commit, hash: Buffer.from(commit.hash).toString('hex') }))
    .filter(({ hash }) => !followed.has(hash))
    .map(({ commit, hash }) => `${commit.origin.id} ${lastSeq(commit)} ${hash}`)
    .sort()
}

/** A database on a store in memory, of the node whose log is `logOf(2)`. */
export async function databaseOf(
  commits: readonly Commit[],
  {
    seed = 1,
    name = DATABASE,
    ...others
  }: {
    readonly seed?: number
    readonly name?: string
    readonly openViews?: DatabaseInit['openViews']
  } = {}
): Promise<NodeDatabase> {
  const rng = seededRng(seed)
  const owner = { database: name, publicKey: OWNER_SIGNER.publicKey }
  const store = createMemoryStore({ owner, hasher: systemHasher, rng })
  const database = databaseOn(store, { rng, name, ...others })
  await database.merge(commits)
  return database
}

/** Whose databases these are. */
export const OWNER_SIGNER = present(SIGNERS[2], 'a signer')

/** A history replays from its seed; several commits fall into a millisecond, as on a fast box. */
export function steppingClock(): Clock {
  let readings = 0
  const nowMs = (): number => Date.UTC(2026, 0) + (readings++ >> 2)
  return { nowMs, monotonicMs: nowMs, setTimer: systemClock.setTimer }
}

/** A database on a store of `OWNER_SIGNER`. */
export function databaseOn(
  store: EventStore,
  {
    rng = seededRng(1),
    name = DATABASE,
    clock = steppingClock(),
    trusts = (): boolean => true,
    openViews = async (): Promise<DerivedStore> => createMemoryDerivedStore()
  }: {
    readonly rng?: Rng
    readonly name?: string
    readonly clock?: Clock
    readonly trusts?: DatabaseInit['trusts']
    readonly openViews?: DatabaseInit['openViews']
  } = {}
): NodeDatabase {
  return new NodeDatabase({
    name,
    store,
    signer: OWNER_SIGNER,
    hasher: systemHasher,
    rng,
    clock,
    recordedClock: createRecordedClock(clock),
    futureToleranceMs: 0,
    trusts,
    peerId: (publicKey) => Buffer.from(publicKey).toString('hex'),
    announce: () => undefined,
    sync: async () => undefined,
    heal: async () => false,
    verify: async () => UNCHECKED,
    verification: () => UNCHECKED,
    viewDiffers: () => [],
    clockAhead: () => undefined,
    ownLogClosed: () => undefined,
    views: [],
    viewDefinitions: {},
    schemas: [],
    upcasters: new Upcasters([], systemHasher),
    viewCompiler: new ViewCompiler({ hasher: systemHasher, clock: systemClock, scripts: false }),
    openViews,
    log: () => undefined
  })
}

const UNCHECKED: VerifyStatus = {
  running: false,
  done: 0,
  total: 0,
  checkedAt: undefined,
  found: 0,
  healed: 0,
  open: 0,
  findings: []
}

export interface FetchCost {
  readonly stored: number
  readonly requests: number
}

/** What answers the peers of a node with one database. */
export function responderOf(database: NodeDatabase, clock = systemClock): DeltaResponder {
  return new DeltaResponder({
    digests: () => [{ database: database.name, digest: database.digestBytes() }],
    database: (name) => (name === database.name ? database : undefined),
    isUnopened: () => false,
    views: () => [],
    hasher: systemHasher,
    clock
  })
}

/** How a database answers the frames of a peer. */
export function answersOf(from: NodeDatabase): (frame: Uint8Array) => Promise<Uint8Array> {
  const responder = responderOf(from)
  return async (frame) => (await responder.answer('peer', frame)).frame
}

interface FetchOptions {
  readonly verifier?: Verifier
  readonly logsMax?: number
}

/** One fetch from one database into another. */
export async function fetchInto(
  to: NodeDatabase,
  from: NodeDatabase,
  {
    pageBytes,
    asked,
    ...options
  }: FetchOptions & {
    /** What pages are asked for, so that few events make many; default: as asked. */
    readonly pageBytes?: number | undefined
    /** Is given each request. */
    readonly asked?: (frame: Uint8Array) => void
  } = {}
): Promise<FetchCost> {
  const answer = answersOf(from)
  const request = (frame: Uint8Array): Promise<Uint8Array> => {
    asked?.(frame)
    return answer(pageBytes === undefined ? frame : withPageBytes(frame, pageBytes))
  }
  return fetchBy(to, request, options)
}

/** One fetch from whatever answers. */
export async function fetchBy(
  to: NodeDatabase,
  answer: (frame: Uint8Array) => Promise<Uint8Array>,
  { verifier = systemVerifier, logsMax = 10_000 }: FetchOptions = {}
): Promise<FetchCost> {
  let requests = 0
  const stored = await fetchMissing({
    database: to,
    clock: systemClock,
    hasher: systemHasher,
    verifier,
    request: async (frame) => {
      requests += 1
      return answer(frame)
    },
    signal: new AbortController().signal,
    room: new PageRoom(),
    seen: () => undefined,
    logsMax,
    logsFull: () => undefined
  })
  return { stored, requests }
}

function withPageBytes(frame: Uint8Array, bytesMax: number): Uint8Array {
  const request = decodeDeltaRequest(frame)
  if (isRejected(request) || request.type !== 'page') return frame
  return encodeDeltaRequest({ ...request, bytesMax })
}

/** What a database holds: its heads as `leavesOf` gives them. */
export function headsOf(database: NodeDatabase): string[] {
  return database
    .version()
    .map(({ log, seq, hash }) => `${log} ${seq} ${Buffer.from(hash).toString('hex')}`)
    .sort()
}

/** Every event of the changes feed, as `key hash`, from a cursor on. */
export async function fedSince(database: NodeDatabase, since: string, limit = 1_000): Promise<Fed> {
  const page = await database.changesPage({ since, limit })
  const events = page.changes.map(({ event }) => `${event.key} ${event.hash}`)
  return { events, cursor: page.lastVersion, lc: page.lastLc, pending: page.pending }
}

export interface Fed {
  readonly events: readonly string[]
  /** Portable. */
  readonly cursor: string
  /** Short. */
  readonly lc: string
  readonly pending: number
}
