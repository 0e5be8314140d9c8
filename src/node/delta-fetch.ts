/**
 * One fetch: page after page of what a peer has and we lack, checked, then stored. The next page is
 * asked for while this one is verified and stored, so the link and the disk work at the same time
 * and never more than two pages are in memory.
 */

import { decodeDeltaAnswer, encodeDeltaRequest } from '../../protocols/delta/codec.ts'
import { isRejected } from '../../protocols/rejected.ts'
import type { Clock, Hasher, Verifier } from '../core/clock.ts'
import type { Commit, LogId } from '../core/commit.ts'
import { FETCH_PAGES_MAX, PAGE_BYTES, REQUEST_MS_MAX } from '../core/limits.ts'
import { verifySignatures } from '../core/log.ts'
import type { LogPage } from '../core/log.ts'
import { fromWireHeads, headsByLog, toWireHeads } from '../core/version.ts'
import type { Head, Version } from '../core/version.ts'
import { LaterbaseError } from '../errors.ts'
import { KnownLogs, checkAgainst } from '../store/known-logs.ts'
import type { Placement } from '../store/known-logs.ts'
import { withDeadline } from './deadline.ts'
import type { NodeDatabase } from './database.ts'
import { BRANCHES_MAX, LOCATED_LOGS_MAX, PASSED_OVER_MAX } from './limits.ts'
import { locatorOf } from './position.ts'

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
  /** Stored logs that a database may have: LOGS_MAX. */
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
  const known = new KnownLogs(database.store)
  const fetch: Fetch = { init, known, passedOver: new Map(), located: new Set() }
  let stored = 0
  let page = await askPage(fetch)
  for (let pages = 1; pages <= FETCH_PAGES_MAX; pages += 1) {
    learnHeads(init, page)
    const { commits, isNews } = await readPage(fetch, page)
    const isMore = page.complete ? await locate(fetch, page) : isNews
    const next = isMore ? askPage(fetch) : undefined
    // A failure of the next page is looked at when this one is stored.
    next?.catch(() => undefined)
    const bad = await verifySignatures(commits, init.verifier)
    if (bad !== undefined) throw new FaultyPeerError(bad.detail)
    stored += await database.merge(commits)
    if (next === undefined) return stored
    page = await next
  }
  return stored
}

interface Fetch {
  readonly init: FetchInit
  /** The store's logs, with the page that is being stored: the next request builds on it. */
  known: KnownLogs
  /**
   * Heads of the peer of logs that we do not take, one too many of them. The next request says that
   * we have that, or they would fill every page and keep the honest logs behind them away.
   */
  readonly passedOver: Map<LogId, readonly Head[]>
  /** Logs of which the peer has a branch that we do not know: requests name places along them. */
  readonly located: Set<LogId>
}

async function askPage(fetch: Fetch): Promise<LogPage> {
  const { init } = fetch
  const { version, places } = await versionWith(fetch)
  const request = encodeDeltaRequest({
    type: 'page',
    database: init.database.name,
    bytesMax: PAGE_BYTES,
    heads: toWireHeads(version),
    places: toWireHeads(places)
  })
  const deadline = { clock: init.clock, withinMs: REQUEST_MS_MAX, signal: init.signal }
  const frame = await withDeadline(deadline, (signal) => init.request(request, signal))
  const answer = decodeDeltaAnswer(frame)
  if (isRejected(answer)) throw new FaultyPeerError(`${answer.code}: ${answer.detail}`)
  if (answer.type === 'page') return answer
  if (answer.type === 'compared') throw new FaultyPeerError('a comparison answers a page request')
  throw new LaterbaseError('LATERBASE_PEER_UNREACHABLE', `the peer refused: ${answer.reason}`)
}

/** What we hold, what is on its way, and what we pass over; and places along the logs in question. */
async function versionWith(fetch: Fetch): Promise<{ version: Version; places: Version }> {
  const { store } = fetch.init.database
  const heads = fetch.known.logs().flatMap(({ tip }): Head[] => {
    const { origin, seq, hash } = tip
    return seq === 0 ? [] : [{ log: origin.id, seq, hash }]
  })
  const places: Head[] = []
  for (const log of fetch.located) places.push(...(await locatorOf(store, log)))
  return { version: [...heads, ...[...fetch.passedOver.values()].flat()], places }
}

/** The commits of a page that are new and that we take. */
async function readPage(
  fetch: Fetch,
  page: LogPage
): Promise<{ readonly commits: readonly Commit[]; readonly isNews: boolean }> {
  const { database, hasher } = fetch.init
  const known = new KnownLogs(database.store)
  fetch.known = known
  const checked = await checkAgainst(known, page, { database: database.name, hasher })
  if (isRejected(checked)) throw new FaultyPeerError(`${checked.code}: ${checked.detail}`)
  const [taken, leftOut]: [Commit[], LogId[]] = [[], []]
  for (const commit of checked) {
    const placement = await known.place(commit)
    if (placement.type !== 'gap' && hasRoom(fetch.init, known, commit, placement)) {
      known.add(commit, placement)
      taken.push(commit)
    } else {
      leftOut.push(commit.origin.id)
    }
  }
  const isPassed = passOver(fetch, page, leftOut)
  return { commits: taken, isNews: taken.length > 0 || isPassed }
}

/** Whether a commit makes no more logs than a version may have, and no crowd of branches. */
function hasRoom(
  { logsMax, logsFull }: FetchInit,
  known: KnownLogs,
  { origin }: Commit,
  placement: Placement
): boolean {
  const branches = known.branches(origin.id)
  if (placement.type === 'next' && branches.length > 0) return true
  if (known.logs().length < logsMax && branches.length < BRANCHES_MAX) return true
  logsFull()
  return false
}

/** Passes these logs over from now on; whether one of them is new to this fetch. */
function passOver(fetch: Fetch, page: LogPage, logs: readonly LogId[]): boolean {
  if (logs.length === 0) return false
  const heads = headsByLog(fromWireHeads(page.heads))
  let room = PASSED_OVER_MAX
  for (const passed of fetch.passedOver.values()) room -= passed.length
  let isNew = false
  for (const log of logs) {
    const ofLog = heads.get(log)
    if (ofLog === undefined || fetch.passedOver.has(log)) continue
    room -= ofLog.length
    if (room < 0) return isNew
    fetch.passedOver.set(log, ofLog)
    isNew = true
  }
  return isNew
}

/**
 * A peer sends nothing of a log of which we have a head that it does not know: we may be ahead of it.
 * Where it has a head that we do not know, there is another branch, or news since it made the page.
 *
 * @returns whether there is a log to name places of that was not named before
 */
async function locate(fetch: Fetch, page: LogPage): Promise<boolean> {
  let isNew = false
  for (const { log, seq, hash } of fromWireHeads(page.heads)) {
    if (fetch.passedOver.has(log) || fetch.located.has(log)) continue
    if (fetch.located.size >= LOCATED_LOGS_MAX) return isNew
    if ((await fetch.known.tipAt(log, seq, hash)) !== undefined) continue
    fetch.located.add(log)
    isNew = true
  }
  return isNew
}

function learnHeads(init: FetchInit, page: LogPage): void {
  const heads = fromWireHeads(page.heads)
  init.seen(heads)
  init.database.learn(heads)
}
