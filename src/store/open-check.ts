/**
 * What is looked at of a store when it is opened: whether it reaches as far as it did, and whether
 * something is gone from its middle. A flipped byte in LevelDB's log makes it leave out batches
 * there without a word.
 *
 * Only what can have been in the log files is walked, from the last commit back; all the rest is in
 * tables, which have checksums of their own (`table-check.ts`).
 */

import { equalBytes } from '../core/bytes.ts'
import { unsealed } from './checksum.ts'
import { lastSeqOf } from './event-store.ts'
import type { EventStore, StoredCommit, StoredLog } from './event-store.ts'
import { arrivalRecordKey, commitRecordKey, decodeCommitRecord, encodePlace } from './key-layout.ts'
import type { Level } from './open-level.ts'
import { COMMIT_LOG_BYTES_MIN, SCAN_BYTES, SCAN_CHUNK } from './limits.ts'
import type { StoreProgress } from './store-progress.ts'
import { baseOf } from './stretches.ts'

export interface OpenCheck {
  readonly db: Level
  readonly store: EventStore
  readonly progress: StoreProgress | undefined
  /** Bytes of LevelDB's log files before it was opened. */
  readonly logBytes: number
}

/** What is wrong, in words; undefined when all is well. */
export async function openFault(check: OpenCheck): Promise<string | undefined> {
  return progressFault(check) ?? (await walkBack(check))
}

function progressFault({ store, progress }: OpenCheck): string | undefined {
  // Of a store that was put back from an older copy more is not expected than the copy had; and one
  // that was renewed in the last moment before a crash has another name than what was noted of it.
  if (progress?.incarnation !== store.incarnation) return undefined
  const lost = progress.arrival - store.arrival()
  return lost > 0 ? `its last ${lost === 1 ? 'commit is' : `${lost} commits are`} gone` : undefined
}

/** Commits from the last one back: none is left out, each is followed by the one that names it. */
async function walkBack(check: OpenCheck): Promise<string | undefined> {
  const { db, store, progress, logBytes } = check
  const most = Math.ceil(logBytes / COMMIT_LOG_BYTES_MIN)
  const checked = progress?.incarnation === store.incarnation ? progress.checked : 0
  const from = Math.max(Math.min(checked, store.arrival()), store.arrival() - most)
  const places = new Map<number, Buffer>()
  for (const log of store.logs()) {
    const fault = await walkLog(db, { log, from, places })
    if (fault !== undefined) return fault
  }
  let arrival = from
  const range = { gt: arrivalRecordKey(from), lte: arrivalRecordKey(store.arrival()) }
  const iterator = db.iterator({ ...range, highWaterMarkBytes: SCAN_BYTES })
  try {
    for (;;) {
      const entries = await iterator.nextv(SCAN_CHUNK)
      for (const [key, record] of entries) {
        arrival += 1
        const place = places.get(arrival)
        const told = unsealed(key, record)
        const isRight = key.equals(arrivalRecordKey(arrival)) && place !== undefined
        if (!isRight || told?.equals(place) !== true) return `commit number ${arrival} is gone`
      }
      if (entries.length === 0) break
    }
  } finally {
    await iterator.close()
  }
  return arrival === store.arrival() ? undefined : `commit number ${arrival + 1} is gone`
}

/** A log backwards from its tip, as far as its commits arrived after `from`. */
async function walkLog(
  db: Level,
  walk: {
    readonly log: StoredLog
    readonly from: number
    /** By arrival number, where the commit stands; filled in. */
    readonly places: Map<number, Buffer>
  }
): Promise<string | undefined> {
  const { log, from, places } = walk
  const { seq, origin } = log.tip
  const fault = `what came at or before ${seq} of log ${origin.id} is gone or damaged`
  const range = { gte: commitRecordKey(log.number, 0), lt: commitRecordKey(log.number + 1, 0) }
  const iterator = db.iterator({ ...range, reverse: true, highWaterMarkBytes: SCAN_BYTES })
  let next: StoredCommit | undefined
  // A log that did not grow lately costs one record.
  let chunk = 1
  try {
    for (;;) {
      const entries = await iterator.nextv(chunk)
      chunk = SCAN_CHUNK
      for (const [key, record] of entries) {
        const bytes = unsealed(key, record)
        if (bytes === undefined) return fault
        const commit = decodeCommitRecord(key, bytes)
        if (!follows(commit, next, log)) return fault
        if (commit.arrival <= from) return undefined
        places.set(commit.arrival, encodePlace({ log: log.number, seq: commit.firstSeq }))
        next = commit
      }
      if (entries.length === 0) break
    }
  } finally {
    await iterator.close()
  }
  const base = await baseOf(db, log)
  // What a branch left may have rotted in a table since: that is for the checks of a running node.
  if (base === undefined) return undefined
  const isBegun = next?.firstSeq === base.seq + 1 && equalBytes(next.previous, base.hash)
  return isBegun ? undefined : fault
}

function follows(commit: StoredCommit, next: StoredCommit | undefined, log: StoredLog): boolean {
  const last = lastSeqOf(commit)
  if (next === undefined) return last === log.tip.seq && equalBytes(commit.hash, log.tip.hash)
  return last + 1 === next.firstSeq && equalBytes(commit.hash, next.previous)
}
