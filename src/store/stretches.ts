/**
 * Walks the commit records of a log and tells where they are whole: each follows the one before, and
 * the last is the log's tip. What is not whole comes out as stretches between two commits that are.
 * A branch of a forked log begins behind the commit that it follows on another stored log.
 */

import { equalBytes } from '../core/bytes.ts'
import { parseEventKey } from '../core/event-key.ts'
import type { EventKey } from '../core/event-key.ts'
import { unsealed } from './checksum.ts'
import { lastSeqOf } from './event-store.ts'
import type { DamagePlace, StoredCommit, StoredLog, Stretch } from './event-store.ts'
import { commitRecordKey, decodeCommitRecord } from './key-layout.ts'
import { SCAN_BYTES, SCAN_CHUNK } from './limits.ts'
import type { Level } from './open-level.ts'

export type WalkStep =
  | { readonly type: 'commit'; readonly commit: StoredCommit }
  | { readonly type: 'stretch'; readonly stretch: Stretch }

/** Commits that follow what was good before them, in order, and the stretches between. */
export async function* walkLog(db: Level, log: StoredLog): AsyncGenerator<WalkStep> {
  const base = await baseOf(db, log)
  // Where a branch begins cannot be said before what it leaves is healed, which is damaged too.
  if (base !== undefined) yield* walkFrom(db, log, base)
}

/**
 * What the first commit of a stored log follows: the beginning of the log, or for a branch the commit
 * that it leaves the other stored log behind.
 *
 * Where that one is damaged the branch's own first commit says its hash; undefined where neither does.
 */
export async function baseOf(db: Level, log: StoredLog): Promise<Stretch['after'] | undefined> {
  const { fork, tip } = log
  if (fork === undefined || fork.seq === 0) return { seq: 0, hash: tip.origin.hash }
  const range = {
    gte: commitRecordKey(fork.parent, 0),
    lte: commitRecordKey(fork.parent, fork.seq)
  }
  const [entry] = await db.iterator({ ...range, reverse: true, limit: 1 }).all()
  const left = entry === undefined ? undefined : readCommit(...entry)
  const isLast = left !== undefined && lastSeqOf(left) === fork.seq
  if (isLast) return { seq: fork.seq, hash: left.hash }
  const firstKey = commitRecordKey(log.number, fork.seq + 1)
  const record = await db.get(firstKey)
  const first = record === undefined ? undefined : readCommit(firstKey, record)
  return first === undefined ? undefined : { seq: fork.seq, hash: first.previous }
}

async function* walkFrom(
  db: Level,
  log: StoredLog,
  base: Stretch['after']
): AsyncGenerator<WalkStep> {
  const range = { gte: commitRecordKey(log.number, 0), lt: commitRecordKey(log.number + 1, 0) }
  const iterator = db.iterator({ ...range, highWaterMarkBytes: SCAN_BYTES })
  let here = base
  try {
    for (;;) {
      const entries = await iterator.nextv(SCAN_CHUNK)
      for (const [key, record] of entries) {
        const commit = readCommit(key, record)
        // Of a commit that does not follow, what should stand there is missing: that shows at the next.
        if (commit === undefined || commit.firstSeq <= here.seq) continue
        const isNext = commit.firstSeq === here.seq + 1
        if (isNext && !equalBytes(commit.previous, here.hash)) continue
        if (!isNext) {
          const toSeq = commit.firstSeq - 1
          yield { type: 'stretch', stretch: { log, after: here, toSeq, hash: commit.previous } }
        }
        yield { type: 'commit', commit }
        here = { seq: lastSeqOf(commit), hash: commit.hash }
      }
      if (entries.length === 0) break
    }
  } finally {
    await iterator.close()
  }
  const { seq, hash } = log.tip
  const isWhole = here.seq === seq && equalBytes(here.hash, hash)
  if (!isWhole) yield { type: 'stretch', stretch: { log, after: here, toSeq: seq, hash } }
}

/** A commit, as the stretch that it is. */
export function stretchOf(log: StoredLog, commit: StoredCommit): Stretch {
  const after = { seq: commit.firstSeq - 1, hash: commit.previous }
  return { log, after, toSeq: lastSeqOf(commit), hash: commit.hash }
}

/** See `EventStore.damagedAt`. Reads every commit record, no event. */
export async function findStretches(
  db: Level,
  logs: readonly StoredLog[],
  where: DamagePlace
): Promise<Stretch[]> {
  const found: Stretch[] = []
  const wanted = { ...where, key: where.key === undefined ? undefined : parseEventKey(where.key) }
  for (const log of logs) {
    for await (const step of walkLog(db, log)) {
      if (step.type === 'stretch') found.push(step.stretch)
      else if (isAt(step.commit, wanted)) found.push(stretchOf(log, step.commit))
    }
  }
  return found
}

function isAt(
  commit: StoredCommit,
  { key, log, seq }: Omit<DamagePlace, 'key'> & { readonly key: EventKey | undefined }
): boolean {
  if (key !== undefined) return commit.keys.some((each) => equalBytes(each, key))
  if (log !== commit.log || seq === undefined) return false
  return commit.firstSeq <= seq && seq < commit.firstSeq + commit.keys.length
}

function readCommit(key: Buffer, record: Buffer): StoredCommit | undefined {
  const bytes = key.length === 11 ? unsealed(key, record) : undefined
  return bytes === undefined ? undefined : decodeCommitRecord(key, bytes)
}
