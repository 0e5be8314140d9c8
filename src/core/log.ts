/**
 * Logs: the rule by which a log grows. Everything that extends a log, ours or a peer's, passes
 * `checkPage`: identity, dense sequence, chain, rising recorded time; then every signature.
 */

import type { DeltaAnswer, PageCommit, PageLog } from '../../protocols/delta/codec.ts'
import { decodeEvents } from '../../protocols/event/codec.ts'
import { isRejected, rejected } from '../../protocols/rejected.ts'
import type { Rejected } from '../../protocols/rejected.ts'
import { equalBytes, toHex } from './bytes.ts'
import { present } from './assert.ts'
import type { Hasher, Verifier } from './clock.ts'
import { commitHash, lastSeq, logId, logOrigin } from './commit.ts'
import type { Commit, CommitEvent, LogId, LogOrigin } from './commit.ts'
import { eventKey } from './event-key.ts'
import type { Stamp } from './hybrid-logical-clock.ts'

/** Where a log stands: what the next commit must follow. */
export interface LogTip {
  readonly origin: LogOrigin
  /** Sequence number of the last event, 0 for a log without commits. */
  readonly seq: number
  /** Hash of the last commit, of the genesis for a log without commits. */
  readonly hash: Uint8Array
  /** Recorded time of the last commit, 0 for a log without commits. */
  readonly recorded: Stamp
}

export function emptyTip(origin: LogOrigin): LogTip {
  return { origin, seq: 0, hash: origin.hash, recorded: 0n }
}

export function tipAfter(tip: LogTip, commit: Commit): LogTip {
  return {
    origin: tip.origin,
    seq: lastSeq(commit),
    hash: commit.hash,
    recorded: commit.recorded
  }
}

export type LogPage = Extract<DeltaAnswer, { type: 'page' }>

/** The tip of a log right after the commit with this hash, which ends at `seq`; undefined: not held. */
export type FindTip = (log: LogId, seq: number, hash: Uint8Array) => LogTip | undefined

/**
 * Checks everything about a page but the signatures, which cost 150 µs each and are checked off
 * the main thread by `verifySignatures`.
 *
 * @param find what the receiver holds; what comes earlier in the page need not be in it
 * @returns the commits in page order, those included that the receiver holds already
 */
export function checkPage(
  page: LogPage,
  database: string,
  find: FindTip,
  hasher: Hasher
): readonly Commit[] | Rejected {
  const origins: (LogOrigin | undefined)[] = []
  for (const entry of page.logs) {
    const origin = readGenesis(entry, database, hasher)
    if (isRejected(origin)) return origin
    origins.push(origin)
  }
  const inPage = new Map<string, LogTip>()
  // Branches of one log in one page: one may leave the other within it.
  const isBranching = new Set(page.logs.map(({ log }) => toHex(log))).size < page.logs.length
  const tips: (LogTip | undefined)[] = page.logs.map(() => undefined)
  const commits: Commit[] = []
  for (const wire of page.commits) {
    const entry = present(page.logs[wire.logIndex], 'the codec checked the index')
    const origin = origins[wire.logIndex]
    const tip =
      tips[wire.logIndex] ??
      (origin === undefined ? findBase(entry, inPage, find) : emptyTip(origin))
    if (isRejected(tip)) return tip
    const commit = readCommit(wire, tip, hasher)
    if (isRejected(commit)) return commit
    const after = tipAfter(tip, commit)
    tips[wire.logIndex] = after
    if (isBranching) inPage.set(toHex(commit.hash), after)
    commits.push(commit)
  }
  return commits
}

/** Whether a commit continues its log right behind `tip`. */
export function follows(commit: Pick<Commit, 'firstSeq' | 'previous'>, tip: LogTip): boolean {
  return commit.firstSeq === tip.seq + 1 && equalBytes(commit.previous, tip.hash)
}

/** The first commit whose signature fails, if any. */
export async function verifySignatures(
  commits: readonly Commit[],
  verifier: Verifier
): Promise<Rejected | undefined> {
  const verdicts = await Promise.all(
    commits.map(({ origin, hash, signature }) =>
      verifier.verify(origin.genesis.publicKey, hash, signature)
    )
  )
  const bad = commits[verdicts.indexOf(false)]
  if (bad === undefined) return undefined
  return rejected('bad-signature', `commit ${bad.firstSeq} of log ${bad.origin.id}`)
}

/** The origin of a log that begins in the page; undefined for one that continues. */
function readGenesis(
  entry: PageLog,
  database: string,
  hasher: Hasher
): LogOrigin | undefined | Rejected {
  if (entry.genesis === undefined) return undefined
  const id = logId(entry.log)
  const origin = logOrigin({ ...entry.genesis, database }, hasher)
  if (origin.id !== id) return rejected('log-identity', `log ${id} is not its genesis`)
  if (!equalBytes(entry.previous, origin.hash)) return rejected('chain-broken', `log ${id}`)
  return origin
}

function findBase(
  { log, firstSeq, previous }: PageLog,
  inPage: ReadonlyMap<string, LogTip>,
  find: FindTip
): LogTip | Rejected {
  const id = logId(log)
  const base = find(id, firstSeq - 1, previous) ?? inPage.get(toHex(previous))
  if (base !== undefined && base.origin.id === id && base.seq === firstSeq - 1) return base
  return rejected('sequence-gap', `log ${id} continues at ${firstSeq}, after what is not held`)
}

function readCommit(wire: PageCommit, tip: LogTip, hasher: Hasher): Commit | Rejected {
  const decoded = decodeEvents(wire.events, wire.count)
  if (isRejected(decoded)) return decoded
  if (wire.recorded <= tip.recorded) {
    return rejected('clock-order', `log ${tip.origin.id} at ${tip.seq + 1}`)
  }
  const events: CommitEvent[] = decoded.map(({ key, value }) => ({
    key: eventKey(key),
    value,
    hash: hasher.sha256(value)
  }))
  const draft = {
    origin: tip.origin,
    firstSeq: tip.seq + 1,
    previous: tip.hash,
    recorded: wire.recorded,
    events
  }
  return { ...draft, hash: commitHash(draft, hasher), signature: wire.signature }
}
