/**
 * Records of a range that most who ask for read all of. From some point on a thread reads them ahead, where one is to be
 * had: a build of a view is some fifth faster by that, and a scan of a few is not kept waiting.
 *
 * What comes while it is under way may be in it, in part or not at all: a thread sees another state.
 */

import { present } from '../core/assert.ts'
import { packedCount, packedKey } from './event-record.ts'
import type { PackedRecords, ReadRecord } from './event-record.ts'
import { SCAN_ALONE_RECORDS } from './limits.ts'
import type { Level } from './open-level.ts'
import { endOf, keyBehind, readChunks } from './read-chunk.ts'
import type { ScanThread, ScanThreads } from './scan-thread.ts'

/** Records as LevelDB gave them, or as a thread did. */
export type RecordChunk = { readonly records: readonly ReadRecord[] } | PackedChunk

/** Of packed records those from one to before another. */
export interface PackedChunk {
  readonly packed: PackedRecords
  readonly from: number
  readonly to: number
}

export interface LongScan {
  readonly db: Level
  readonly threads: ScanThreads
  /** Inclusive. */
  readonly gte: Buffer
  /** Exclusive. */
  readonly lt: Buffer
  /** Records at the most. */
  readonly chunk: number
}

/** @throws as `readFirst` in `read-chunk.ts` */
export async function* longScan(scan: LongScan): AsyncGenerator<RecordChunk> {
  const progress: Progress = { gte: scan.gte, isOver: false, thread: undefined }
  try {
    while (!progress.isOver) {
      yield* readHere(scan, progress)
      if (!progress.isOver) yield* readThere(scan, progress)
    }
  } finally {
    progress.thread?.end()
  }
}

interface Progress {
  /** Where what is not given yet begins. */
  gte: Buffer
  isOver: boolean
  thread: ScanThread | undefined
}

/** To the end, or until a thread can go on. */
async function* readHere(scan: LongScan, progress: Progress): AsyncGenerator<RecordChunk> {
  const { db, threads, lt, chunk } = scan
  const range = { gte: progress.gte, lt, reverse: false }
  let count = 0
  for await (const records of readChunks(db, range, chunk)) {
    yield { records }
    progress.gte = keyBehind(present(records.at(-1), 'no chunk is empty')[0])
    count += records.length
    if (progress.thread?.isGone === true) progress.thread = undefined
    if (count >= SCAN_ALONE_RECORDS) progress.thread ??= threads.start()
    if (progress.thread?.isOpen === true) return
  }
  progress.isOver = true
}

/** To the end, or until the thread is gone: what it was that it could not read shows when it is read here. */
async function* readThere(scan: LongScan, progress: Progress): AsyncGenerator<RecordChunk> {
  const { thread, gte } = progress
  if (thread === undefined) return
  thread.begin({ gte, lt: scan.lt, end: endOf(scan.lt) })
  for (let packed = await thread.next(); packed !== undefined; packed = await thread.next()) {
    const count = packedCount(packed)
    for (let from = 0; from < count; from += scan.chunk) {
      const to = Math.min(from + scan.chunk, count)
      yield { packed, from, to }
      progress.gte = keyBehind(packedKey(packed, to - 1))
    }
  }
  progress.isOver = !thread.isGone
  progress.thread = undefined
}
