/**
 * Logs: the rule by which a log grows. Everything that extends a log, ours or a peer's, passes
 * `checkPage`: identity, dense sequence, chain, rising recorded time; then every signature.
 */

import type { DeltaAnswer, PageCommit, PageLog } from '../../protocols/delta/codec.ts'
import { decodeEvents } from '../../protocols/event/codec.ts'
import { isRejected, rejected } from '../../protocols/rejected.ts'
import type { Rejected } from '../../protocols/rejected.ts'
import { equalBytes } from './bytes.ts'
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

/** A page whose commits continue the logs that we hold; their signatures are not yet checked. */
export interface CheckedPage {
  /** New commits, in page order; those already held are left out. */
  readonly commits: readonly Commit[]
  /** The first commit of each branch that is not ours: with its signature, proof of a fork. */
  readonly forks: readonly Commit[]
}

/**
 * Checks everything about a page but the signatures, which cost 150 µs each and are checked off
 * the main thread by `verifySignatures`.
 *
 * @param tips what we hold, by log
 */
export function checkPage(
  page: LogPage,
  database: string,
  tips: (log: LogId) => LogTip | undefined,
  hasher: Hasher
): CheckedPage | Rejected {
  const states: PageLogState[] = []
  for (const entry of page.logs) {
    const state = beginLog(entry, database, tips, hasher)
    if (isRejected(state)) return state
    states.push(state)
  }
  const commits: Commit[] = []
  for (const wire of page.commits) {
    const state = present(states[wire.logIndex], 'the codec checked the index')
    const commit = readCommit(wire, state.tip, hasher)
    if (isRejected(commit)) return commit
    state.tip = tipAfter(state.tip, commit)
    const place = placeCommit(commit, state.held)
    if (place === 'fork') state.fork ??= commit
    if (place === 'next' && state.fork === undefined) {
      state.held = state.tip
      commits.push(commit)
    }
  }
  return { commits, forks: states.flatMap(({ fork }) => (fork === undefined ? [] : [fork])) }
}

/** Where a commit stands against what we hold of its log. */
export type CommitPlace = 'next' | 'held' | 'gap' | 'fork'

/**
 * Below our head a commit counts as held without a look at its hash: a page that begins there and
 * differs is found as a fork where it reaches our head.
 */
export function placeCommit(commit: Commit, held: LogTip): CommitPlace {
  const last = lastSeq(commit)
  if (commit.firstSeq > held.seq + 1) return 'gap'
  if (commit.firstSeq === held.seq + 1) {
    return equalBytes(commit.previous, held.hash) ? 'next' : 'fork'
  }
  if (last < held.seq) return 'held'
  return last === held.seq && equalBytes(commit.hash, held.hash) ? 'held' : 'fork'
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

interface PageLogState {
  /** Where the page has come to in this log. */
  tip: LogTip
  /** Where we hold it, the page's commits so far included. */
  held: LogTip
  /** The first commit of another branch than ours. */
  fork: Commit | undefined
}

function beginLog(
  entry: PageLog,
  database: string,
  tips: (log: LogId) => LogTip | undefined,
  hasher: Hasher
): PageLogState | Rejected {
  const id = logId(entry.log)
  const held = tips(id)
  if (entry.genesis !== undefined) {
    const origin = logOrigin({ ...entry.genesis, database }, hasher)
    if (origin.id !== id) return rejected('log-identity', `log ${id} is not its genesis`)
    if (!equalBytes(entry.previous, origin.hash)) return rejected('chain-broken', `log ${id}`)
    const tip = emptyTip(origin)
    return { tip, held: held ?? tip, fork: undefined }
  }
  if (held === undefined || entry.firstSeq > held.seq + 1) {
    return rejected('sequence-gap', `log ${id} continues at ${entry.firstSeq}`)
  }
  const continues = entry.firstSeq === held.seq + 1 && equalBytes(entry.previous, held.hash)
  // Elsewhere the recorded time before the page is not known; the chain is checked all the same.
  const recorded = continues ? held.recorded : 0n
  const tip = { origin: held.origin, seq: entry.firstSeq - 1, hash: entry.previous, recorded }
  return { tip, held, fork: undefined }
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
