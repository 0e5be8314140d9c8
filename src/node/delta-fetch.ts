/**
 * One fetch: page after page of what a peer has and we lack, checked, then stored. The next page is
 * asked for while this one is verified and stored, so the link and the disk work at the same time
 * and never more than two pages are in memory.
 */

import { decodeDeltaAnswer, encodeDeltaRequest } from '../../protocols/delta/codec.ts'
import { VERSION_HEADS_MAX } from '../../protocols/limits.ts'
import { isRejected } from '../../protocols/rejected.ts'
import type { Clock, Hasher, Verifier } from '../core/clock.ts'
import type { Commit, LogId } from '../core/commit.ts'
import { FETCH_PAGES_MAX, LOGS_MAX, PAGE_BYTES, REQUEST_MS_MAX } from '../core/limits.ts'
import { checkPage, tipAfter, verifySignatures } from '../core/log.ts'
import type { CheckedPage, LogPage, LogTip } from '../core/log.ts'
import { fromWireHeads, toWireHeads } from '../core/version.ts'
import type { Head, Version } from '../core/version.ts'
import { LaterbaseError } from '../errors.ts'
import { withDeadline } from './deadline.ts'
import type { NodeDatabase } from './database.ts'

/** The peer sent something that no honest node sends. */
export class FaultyPeerError extends Error {}

export interface FetchInit {
  readonly database: NodeDatabase
  readonly clock: Clock
  readonly hasher: Hasher
  readonly verifier: Verifier
  readonly request: (frame: Uint8Array, signal: AbortSignal) => Promise<Uint8Array>
  readonly signal: AbortSignal
  /** The version that the peer says it has. */
  readonly seen: (version: Version) => void
  /** A log of which the peer has another branch than we. */
  readonly forked: (log: LogId) => void
  /** Logs that a database may have: LOGS_MAX. */
  readonly logsMax: number
  /** The database has as many logs as it may have: new ones were left out. */
  readonly logsFull: () => void
}

/**
 * Fetches until the peer has nothing more for us.
 *
 * @returns how many commits were new
 * @throws FaultyPeerError; LATERBASE_PEER_UNREACHABLE and what else the transport throws. What was
 *   stored before stays: the next fetch goes on from there
 */
export async function fetchMissing(init: FetchInit): Promise<number> {
  const { database } = init
  const ahead: Ahead = { tips: new Map(), passedOver: new Map() }
  let stored = 0
  let page = await askPage(init, database.version())
  for (let pages = 1; pages <= FETCH_PAGES_MAX; pages += 1) {
    learnHeads(init, page)
    const { commits, forks, leftOut } = readPage(init, page, ahead)
    for (const commit of commits) advance(database, ahead, commit)
    const isPassed = passOver(ahead, page, [...forks, ...leftOut])
    const isNews = commits.length > 0 || isPassed
    const next = page.complete || !isNews ? undefined : askPage(init, versionWith(database, ahead))
    // A failure of the next page is looked at when this one is stored.
    next?.catch(() => undefined)
    // A branch that its log's own key did not sign is no fork but a forgery.
    const bad = await verifySignatures([...commits, ...forks], init.verifier)
    if (bad !== undefined) throw new FaultyPeerError(bad.detail)
    for (const { origin } of forks) markForked(init, origin.id)
    stored += await database.merge(commits)
    if (next === undefined) return stored
    page = await next
  }
  return stored
}

interface Ahead {
  /** Tips as they will be when the pages so far are stored: the next request builds on them. */
  readonly tips: Map<LogId, LogTip>
  /**
   * Logs that we do not take, another branch than ours or one too many, as far as the peer has them.
   * The next request says that we have that, or they would fill every page and keep the honest logs
   * behind them away.
   */
  readonly passedOver: Map<LogId, Head>
}

/** Passes the logs of these commits over from now on; whether one of them is new to this fetch. */
function passOver(ahead: Ahead, page: LogPage, commits: readonly Commit[]): boolean {
  const heads = fromWireHeads(page.heads)
  let isNew = false
  for (const { origin } of commits) {
    const head = heads.get(origin.id)
    if (head === undefined || ahead.passedOver.has(origin.id)) continue
    if (ahead.passedOver.size >= VERSION_HEADS_MAX - LOGS_MAX) return isNew
    ahead.passedOver.set(origin.id, head)
    isNew = true
  }
  return isNew
}

async function askPage(init: FetchInit, version: Version): Promise<LogPage> {
  const request = encodeDeltaRequest({
    type: 'page',
    database: init.database.name,
    bytesMax: PAGE_BYTES,
    heads: toWireHeads(version)
  })
  const deadline = { clock: init.clock, withinMs: REQUEST_MS_MAX, signal: init.signal }
  const frame = await withDeadline(deadline, (signal) => init.request(request, signal))
  const answer = decodeDeltaAnswer(frame)
  if (isRejected(answer)) throw new FaultyPeerError(`${answer.code}: ${answer.detail}`)
  if (answer.type === 'page') return answer
  if (answer.type === 'compared') throw new FaultyPeerError('a comparison answers a page request')
  throw new LaterbaseError('LATERBASE_PEER_UNREACHABLE', `the peer refused: ${answer.reason}`)
}

function readPage(
  init: FetchInit,
  page: LogPage,
  ahead: Ahead
): CheckedPage & { readonly leftOut: readonly Commit[] } {
  const { database, hasher } = init
  const tip = (log: LogId): LogTip | undefined =>
    furthest(ahead.tips.get(log), database.store.log(log)?.tip)
  const checked = checkPage(page, database.name, tip, hasher)
  if (isRejected(checked)) throw new FaultyPeerError(`${checked.code}: ${checked.detail}`)
  const { commits, leftOut } = withinLogsMax(init, checked.commits, ahead)
  return { commits, forks: checked.forks, leftOut }
}

/** Leaves out what would make more logs than a version may have. */
function withinLogsMax(
  { database, logsMax, logsFull }: FetchInit,
  commits: readonly Commit[],
  ahead: Ahead
): { readonly commits: Commit[]; readonly leftOut: Commit[] } {
  const news = new Set<LogId>()
  const room = logsMax - database.store.logs().length
  for (const log of ahead.tips.keys()) if (database.store.log(log) === undefined) news.add(log)
  const [taken, leftOut]: [Commit[], Commit[]] = [[], []]
  for (const commit of commits) {
    const { id } = commit.origin
    const isKnown = database.store.log(id) !== undefined || news.has(id)
    if (isKnown || news.size < room) {
      if (!isKnown) news.add(id)
      taken.push(commit)
    } else {
      leftOut.push(commit)
    }
  }
  if (leftOut.length > 0) logsFull()
  return { commits: taken, leftOut }
}

function markForked({ database, forked }: FetchInit, log: LogId): void {
  if (!database.forks.has(log)) forked(log)
  database.forks.add(log)
}

function advance(database: NodeDatabase, ahead: Ahead, commit: Commit): void {
  const { origin } = commit
  const before = ahead.tips.get(origin.id) ?? database.store.log(origin.id)?.tip
  const empty = { origin, seq: 0, hash: origin.hash, recorded: 0n }
  ahead.tips.set(origin.id, tipAfter(before ?? empty, commit))
}

function versionWith(database: NodeDatabase, ahead: Ahead): Version {
  const version = new Map<LogId, Head>(database.version())
  for (const [log, { seq, hash }] of [...ahead.tips, ...ahead.passedOver]) {
    const held = version.get(log)
    if (held === undefined || held.seq < seq) version.set(log, { seq, hash })
  }
  return version
}

function furthest(a: LogTip | undefined, b: LogTip | undefined): LogTip | undefined {
  if (a === undefined || b === undefined) return a ?? b
  return a.seq >= b.seq ? a : b
}

function learnHeads(init: FetchInit, page: LogPage): void {
  const heads = fromWireHeads(page.heads)
  init.seen(heads)
  init.database.learn(new Map([...heads].map(([log, head]) => [log, head.seq])))
}
