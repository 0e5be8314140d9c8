/**
 * Fetches a damaged stretch of a log again: page requests whose version says that we have the log
 * only up to the commit before. What comes is checked as any page is, and has to lead by its hashes
 * from that commit to the end of the stretch, so that it is exactly what was there.
 *
 * Of a forked log a peer may send other branches too, and may have the stretch on another stored log
 * than we do: what counts is the chain, which is followed back from its end.
 */

import { decodeDeltaAnswer, encodeDeltaRequest } from '../../protocols/delta/codec.ts'
import { isRejected } from '../../protocols/rejected.ts'
import { equalBytes, toHex } from '../core/bytes.ts'
import type { Clock, Hasher, Verifier } from '../core/clock.ts'
import { lastSeq, logId } from '../core/commit.ts'
import type { Commit, LogId } from '../core/commit.ts'
import { PAGE_BYTES, REQUEST_PACE } from '../core/limits.ts'
import { checkPage, verifySignatures } from '../core/log.ts'
import type { LogPage, LogTip } from '../core/log.ts'
import { fromWireHeads, toWireHeads } from '../core/version.ts'
import type { Head } from '../core/version.ts'
import type { StoredLog, Stretch } from '../store/event-store.ts'
import type { RequestOptions } from '../p2p/transport.ts'
import { KnownLogs } from '../store/known-logs.ts'
import type { NodeDatabase } from './database.ts'
import { withPace } from './deadline.ts'
import { REFETCH_PAGES_MAX } from './limits.ts'

export interface RefetchInit {
  readonly database: NodeDatabase
  readonly stretch: Stretch
  readonly clock: Clock
  readonly hasher: Hasher
  readonly verifier: Verifier
  readonly request: (frame: Uint8Array, options: RequestOptions) => Promise<Uint8Array>
  readonly signal: AbortSignal
}

/** The commits of a stretch, whole and signed; undefined where this peer does not have them. */
export async function refetch(init: RefetchInit): Promise<readonly Commit[] | undefined> {
  const { stretch, database, verifier } = init
  const { origin } = stretch.log.tip
  const fetched: Fetched = { tips: new Map(), commits: new Map(), followed: new Set() }
  fetched.tips.set(toHex(stretch.after.hash), { origin, ...stretch.after, recorded: 0n })
  let others: readonly Head[] = database.version().filter(({ log }) => log !== origin.id)
  for (let pages = 0; pages < REFETCH_PAGES_MAX; pages += 1) {
    const bytesMax = pages === 0 ? 1 : PAGE_BYTES
    const page = await askPage(init, { others, own: ownHeads(init, fetched), bytesMax })
    const isNews = page !== undefined && (await readPage(init, page, fetched))
    const chain = chainOf(stretch, fetched)
    if (chain !== undefined) {
      return (await verifySignatures(chain, verifier)) === undefined ? chain : undefined
    }
    if (page === undefined || (!isNews && page.complete)) return undefined
    // What the peer has of other logs is not what is asked for.
    others = [...others, ...newHeads(others, page, origin.id)]
  }
  return undefined
}

/** What came of the log, by hash. */
interface Fetched {
  readonly tips: Map<string, LogTip>
  readonly commits: Map<string, Commit>
  /** Hashes of commits that another one follows. */
  readonly followed: Set<string>
}

/**
 * What we say that we have of the log: what came, else what is before the stretch; and those branches
 * that do not lead through it.
 */
function ownHeads({ database, stretch }: RefetchInit, { tips, followed }: Fetched): Head[] {
  const logs = database.store.logs()
  const { id } = stretch.log.tip.origin
  const apart = database.store.branches(id).filter((log) => !leadsThrough(log, logs, stretch))
  const ends = [...tips].flatMap(([hash, tip]) => (followed.has(hash) ? [] : [tip]))
  const heads = [...apart.map(({ tip }) => tip), ...ends].filter(({ seq }) => seq > 0)
  const byHash = new Map(heads.map(({ seq, hash }) => [toHex(hash), { log: id, seq, hash }]))
  return [...byHash.values()]
}

function leadsThrough(
  log: StoredLog,
  logs: readonly StoredLog[],
  { after, ...stretch }: Stretch
): boolean {
  let here: StoredLog | undefined = log
  let end = log.tip.seq
  while (here !== undefined) {
    if (here.number === stretch.log.number) return end > after.seq
    end = here.fork?.seq ?? 0
    here = here.fork === undefined ? undefined : logs[here.fork.parent]
  }
  return false
}

function newHeads(others: readonly Head[], page: LogPage, own: LogId): Head[] {
  const known = new Set(others.map(({ hash }) => toHex(hash)))
  return fromWireHeads(page.heads).filter(({ log, hash }) => log !== own && !known.has(toHex(hash)))
}

/** The commits from the one before the stretch to its end; undefined while any is missing. */
function chainOf({ after, hash }: Stretch, { commits }: Fetched): readonly Commit[] | undefined {
  const chain: Commit[] = []
  for (let here = hash; !equalBytes(here, after.hash);) {
    const commit = commits.get(toHex(here))
    if (commit === undefined || commit.firstSeq <= after.seq) return undefined
    chain.unshift(commit)
    here = commit.previous
  }
  return chain
}

async function askPage(
  init: RefetchInit,
  ask: {
    readonly others: readonly Head[]
    readonly own: readonly Head[]
    readonly bytesMax: number
  }
): Promise<LogPage | undefined> {
  const { others, own, bytesMax } = ask
  const request = { type: 'page', database: init.database.name, bytesMax } as const
  const heads = toWireHeads([...others, ...own])
  // Named as places too, so that a branch that the peer does not know is not taken for being ahead.
  const bytes = encodeDeltaRequest({ ...request, heads, places: toWireHeads(own) })
  const paced = { clock: init.clock, pace: REQUEST_PACE, signal: init.signal }
  const frame = await withPace(paced, (signal, onProgress) =>
    init.request(bytes, { signal, onProgress })
  )
  const answer = decodeDeltaAnswer(frame)
  return !isRejected(answer) && answer.type === 'page' ? answer : undefined
}

/** Takes over the page's commits of the log, unless anything about them is wrong; whether some are new. */
async function readPage(init: RefetchInit, page: LogPage, fetched: Fetched): Promise<boolean> {
  const { database, hasher, stretch } = init
  const ofLog = onlyOf(page, stretch.log.tip.origin.id)
  const known = new KnownLogs(database.store)
  const bases = new Map(fetched.tips)
  for (const { log, firstSeq, previous } of ofLog.logs) {
    if (bases.has(toHex(previous))) continue
    // What follows another damaged place is not for now.
    const base = await known.tipAt(logId(log), firstSeq - 1, previous).catch(() => undefined)
    if (base !== undefined) bases.set(toHex(previous), base)
  }
  const checked = checkPage(
    ofLog,
    database.name,
    (_log, _seq, hash) => bases.get(toHex(hash)),
    hasher
  )
  if (isRejected(checked)) return false
  let isNews = false
  for (const commit of checked) {
    const [name, before] = [toHex(commit.hash), toHex(commit.previous)]
    if (fetched.commits.has(name)) continue
    fetched.commits.set(name, commit)
    fetched.followed.add(before)
    const { origin, hash, recorded } = commit
    fetched.tips.set(name, { origin, seq: lastSeq(commit), hash, recorded })
    isNews = true
  }
  return isNews
}

/** A page as if it held nothing but one log. */
function onlyOf(page: LogPage, log: LogId): LogPage {
  const logs = page.logs.filter((entry) => logId(entry.log) === log)
  const indexes = new Map(logs.map((entry, index) => [page.logs.indexOf(entry), index]))
  const commits = page.commits.flatMap((commit) => {
    const logIndex = indexes.get(commit.logIndex)
    return logIndex === undefined ? [] : [{ ...commit, logIndex }]
  })
  return { ...page, logs, commits }
}
