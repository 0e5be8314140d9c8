/**
 * Fetches a damaged stretch of a log again: a page request whose version says that we have the log
 * only up to the commit before. What comes is checked as any page is, and has to end in the hash that
 * the chain names, so that it is exactly what was there.
 */

import { decodeDeltaAnswer, encodeDeltaRequest } from '../../protocols/delta/codec.ts'
import { isRejected } from '../../protocols/rejected.ts'
import { equalBytes } from '../core/bytes.ts'
import type { Clock, Hasher, Verifier } from '../core/clock.ts'
import { lastSeq } from '../core/commit.ts'
import type { Commit, LogId } from '../core/commit.ts'
import { PAGE_BYTES, REQUEST_MS_MAX } from '../core/limits.ts'
import { checkPage, tipAfter, verifySignatures } from '../core/log.ts'
import type { LogPage, LogTip } from '../core/log.ts'
import { fromWireHeads, joinVersions, toWireHeads } from '../core/version.ts'
import type { Head, Version } from '../core/version.ts'
import type { Stretch } from '../store/event-store.ts'
import type { NodeDatabase } from './database.ts'
import { withDeadline } from './deadline.ts'

export interface RefetchInit {
  readonly database: NodeDatabase
  readonly stretch: Stretch
  readonly clock: Clock
  readonly hasher: Hasher
  readonly verifier: Verifier
  readonly request: (frame: Uint8Array, signal: AbortSignal) => Promise<Uint8Array>
  readonly signal: AbortSignal
}

/** The commits of a stretch, whole and signed; undefined where this peer does not have them. */
export async function refetch(init: RefetchInit): Promise<readonly Commit[] | undefined> {
  const { stretch, database } = init
  const { origin } = stretch.log.tip
  const commits: Commit[] = []
  let tip: LogTip = { origin, ...stretch.after, recorded: 0n }
  let others = new Map(database.version())
  for (let pages = 0; pages < PAGES_MAX && tip.seq < stretch.toSeq; pages += 1) {
    others.delete(origin.id)
    const page = await askPage(init, { tip, others, bytesMax: pages === 0 ? 1 : PAGE_BYTES })
    const next = page === undefined ? undefined : await readPage(init, page, tip)
    if (page === undefined || next === undefined) return undefined
    for (const commit of next) {
      if (tip.seq >= stretch.toSeq) break
      commits.push(commit)
      tip = tipAfter(tip, commit)
    }
    if (next.length === 0 && page.complete) return undefined
    // What the peer has of other logs is not what is asked for.
    others = new Map(joinVersions(others, fromWireHeads(page.heads)))
  }
  const isWhole = tip.seq === stretch.toSeq && equalBytes(tip.hash, stretch.hash)
  return isWhole ? commits : undefined
}

/** Pages of one stretch: longer ones are for a new store, which fetches as a new node does. */
const PAGES_MAX = 64

async function askPage(
  init: RefetchInit,
  ask: { readonly tip: LogTip; readonly others: Version; readonly bytesMax: number }
): Promise<LogPage | undefined> {
  const { tip, others, bytesMax } = ask
  const heads = new Map<LogId, Head>(others)
  if (tip.seq > 0) heads.set(tip.origin.id, { seq: tip.seq, hash: tip.hash })
  const request = { type: 'page', database: init.database.name, bytesMax } as const
  const bytes = encodeDeltaRequest({ ...request, heads: toWireHeads(heads) })
  const deadline = { clock: init.clock, withinMs: REQUEST_MS_MAX, signal: init.signal }
  const frame = await withDeadline(deadline, (signal) => init.request(bytes, signal))
  const answer = decodeDeltaAnswer(frame)
  return !isRejected(answer) && answer.type === 'page' ? answer : undefined
}

/** The page's commits of the log; undefined where anything about them is wrong. */
async function readPage(
  init: RefetchInit,
  page: LogPage,
  tip: LogTip
): Promise<readonly Commit[] | undefined> {
  const { database, hasher, verifier } = init
  const tips = (log: LogId): LogTip | undefined => {
    return log === tip.origin.id ? tip : database.store.log(log)?.tip
  }
  const checked = checkPage(page, database.name, tips, hasher)
  if (isRejected(checked)) return undefined
  const commits = checked.commits.filter(({ origin }) => origin.id === tip.origin.id)
  const bad = await verifySignatures(commits, verifier)
  const [first] = commits
  const isNext = first === undefined || (first.firstSeq === tip.seq + 1 && lastSeq(first) > tip.seq)
  return bad === undefined && isNext ? commits : undefined
}
