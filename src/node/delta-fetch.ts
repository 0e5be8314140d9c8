/**
 * One fetch: page after page of what a peer has and we lack, checked, then stored. The next page is
 * asked for while this one is verified and stored, so the link and the disk work at the same time
 * and never more than two pages are in memory; over all fetches `page-room.ts` bounds them.
 */

import { decodeDeltaAnswer, encodeDeltaRequest } from '../../protocols/delta/codec.ts'
import { isRejected } from '../../protocols/rejected.ts'
import type { Clock, Hasher, Verifier } from '../core/clock.ts'
import type { Commit, LogId } from '../core/commit.ts'
import { FETCH_PAGES_MAX, PAGE_BYTES, REQUEST_PACE } from '../core/limits.ts'
import { verifySignatures } from '../core/log.ts'
import type { LogPage } from '../core/log.ts'
import { fromWireHeads, headsByLog, toWireHeads } from '../core/version.ts'
import type { Head, Version } from '../core/version.ts'
import { LaterbaseError } from '../errors.ts'
import type { RequestOptions } from '../p2p/transport.ts'
import { lastSeqOf } from '../store/event-store.ts'
import { KnownLogs, checkAgainst } from '../store/known-logs.ts'
import type { HeldCommit, Placement } from '../store/known-logs.ts'
import { withPace } from './deadline.ts'
import type { NodeDatabase } from './database.ts'
import { BRANCHES_MAX, LOCATED_LOGS_MAX, PASSED_OVER_MAX } from './limits.ts'
import type { PageRoom } from './page-room.ts'
import { locatorOf } from './position.ts'

/** The peer sent something that no honest node sends. */
export class FaultyPeerError extends Error {}

export interface FetchInit {
  readonly database: NodeDatabase
  readonly clock: Clock
  readonly hasher: Hasher
  readonly verifier: Verifier
  readonly request: (frame: Uint8Array, options: RequestOptions) => Promise<Uint8Array>
  readonly signal: AbortSignal
  /** For pages that are not stored yet, of all fetches. */
  readonly room: PageRoom
  /** The version that the peer says it has, in its last page. */
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
  // A fetch that fails leaves no request behind: the page asked for ahead is not waited for.
  const ending = new AbortController()
  const end = (): void => ending.abort(init.signal.reason)
  init.signal.addEventListener('abort', end)
  if (init.signal.aborted) end()
  const fetch: Fetch = {
    init: { ...init, signal: ending.signal },
    known: new KnownLogs(init.database.store),
    passedOver: new Map(),
    located: new Set(),
    reached: new Map(),
    held: []
  }
  try {
    return await fetchPages(fetch)
  } finally {
    init.signal.removeEventListener('abort', end)
    // No page comes after this, and those that came are dropped.
    ending.abort()
    for (const giveBack of fetch.held) giveBack()
  }
}

async function fetchPages(fetch: Fetch): Promise<number> {
  const { init } = fetch
  const { database } = init
  let stored = 0
  let page = await askPage(fetch)
  for (let pages = 1; pages <= FETCH_PAGES_MAX; pages += 1) {
    // Read once: a version may have 15,000 heads.
    const heads = fromWireHeads(page.heads)
    database.learn(heads)
    const { commits, isNews, isCut } = await readPage(fetch, page, heads)
    const isMore = isCut || (page.complete ? await locate(fetch, heads) : isNews)
    const next = isMore ? askPage(fetch) : undefined
    // Before the last page its version is none that we could be equal with.
    if (next === undefined) init.seen(heads)
    // A failure of the next page is looked at when this one is stored.
    next?.catch(() => undefined)
    const bad = await verifySignatures(commits, init.verifier)
    if (bad !== undefined) throw new FaultyPeerError(bad.detail)
    stored += await database.merge(commits)
    fetch.held.shift()?.()
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
  /**
   * How far pages have come along those logs with what is held, by number of the stored log. Between the last
   * place that the peer knows and where the branches part there can be more than a page.
   */
  readonly reached: Map<number, Head>
  /** Gives back the room of each page that has come and is not stored, the first one first. */
  readonly held: (() => void)[]
}

async function askPage(fetch: Fetch): Promise<LogPage> {
  const { init } = fetch
  // The page before is being stored meanwhile, and gives its room back.
  await init.room.free(init.signal)
  const { version, places } = await versionWith(fetch)
  const request = encodeDeltaRequest({
    type: 'page',
    database: init.database.name,
    bytesMax: PAGE_BYTES,
    heads: toWireHeads(version),
    places: toWireHeads(places)
  })
  const paced = { clock: init.clock, pace: REQUEST_PACE, signal: init.signal }
  const frame = await withPace(paced, (signal, onProgress) =>
    init.request(request, { signal, onProgress })
  )
  init.signal.throwIfAborted()
  fetch.held.push(init.room.take(frame.length))
  const answer = decodeDeltaAnswer(frame)
  if (isRejected(answer)) throw new FaultyPeerError(`${answer.code}: ${answer.detail}`)
  if (answer.type === 'page') return answer
  if (answer.type !== 'refused') throw new FaultyPeerError(`${answer.type} answers a page request`)
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
  places.push(...fetch.reached.values())
  return { version: [...heads, ...[...fetch.passedOver.values()].flat()], places }
}

interface PageNews {
  /** What is new and we take. */
  readonly commits: readonly Commit[]
  /** The next page has something else. */
  readonly isNews: boolean
  /** Others stored branches while the page was read: the rest of it is asked for again. */
  readonly isCut: boolean
}

/** The commits of a page that are new and that we take. */
async function readPage(fetch: Fetch, page: LogPage, heads: Version): Promise<PageNews> {
  const { database, hasher } = fetch.init
  const { store } = database
  const before = new KnownLogs(store)
  const checked = await checkAgainst(before, page, { database: database.name, hasher })
  if (isRejected(checked)) throw new FaultyPeerError(`${checked.code}: ${checked.detail}`)
  const known = before.isStale() ? new KnownLogs(store) : before
  fetch.known = known
  const [taken, leftOut]: [Commit[], LogId[]] = [[], []]
  let isCut = false
  for (const commit of checked.news) {
    const placement = await known.place(commit)
    if (placement.type !== 'next' && known.isStale()) {
      isCut = true
      break
    }
    if (placement.type !== 'gap' && hasRoom(fetch.init, known, commit, placement)) {
      known.add(commit, placement)
      taken.push(commit)
    } else {
      leftOut.push(commit.origin.id)
    }
  }
  const isPassed = passOver(fetch, heads, leftOut)
  const isReached = reach(fetch, checked.held)
  // With nothing on its way, the next request may say all that others have brought.
  if (isCut && taken.length === 0) fetch.known = new KnownLogs(store)
  return { commits: taken, isNews: taken.length > 0 || isPassed || isReached, isCut }
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
  if (known.logCount() < logsMax && branches.length < BRANCHES_MAX) return true
  logsFull()
  return false
}

/** Passes these logs over from now on; whether one of them is new to this fetch. */
function passOver(fetch: Fetch, heads: Version, logs: readonly LogId[]): boolean {
  if (logs.length === 0) return false
  const byLog = headsByLog(heads)
  let room = PASSED_OVER_MAX
  for (const passed of fetch.passedOver.values()) room -= passed.length
  let isNew = false
  for (const log of logs) {
    const ofLog = byLog.get(log)
    if (ofLog === undefined || fetch.passedOver.has(log)) continue
    room -= ofLog.length
    if (room < 0) return isNew
    fetch.passedOver.set(log, ofLog)
    isNew = true
  }
  return isNew
}

/** Goes on behind what is held of the logs in question; whether that is further than before. */
function reach(fetch: Fetch, held: readonly HeldCommit[]): boolean {
  let isNew = false
  for (const { log, commit } of held) {
    const { id } = log.tip.origin
    const seq = lastSeqOf(commit)
    if (!fetch.located.has(id) || seq <= (fetch.reached.get(log.number)?.seq ?? 0)) continue
    fetch.reached.set(log.number, { log: id, seq, hash: commit.hash })
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
async function locate(fetch: Fetch, heads: Version): Promise<boolean> {
  let isNew = false
  for (const { log, seq, hash } of heads) {
    if (fetch.passedOver.has(log) || fetch.located.has(log)) continue
    if (fetch.located.size >= LOCATED_LOGS_MAX) return isNew
    if ((await fetch.known.tipAt(log, seq, hash)) !== undefined) continue
    fetch.located.add(log)
    isNew = true
  }
  return isNew
}
