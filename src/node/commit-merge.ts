/**
 * The commits of a store beyond a position, merged over its logs by recorded time.
 *
 * A commit has a higher recorded time than any that its writer had seen, so every beginning of this
 * sequence is causally whole. The changes feed and the delta answers are both made of it.
 */

import { compareBytes } from '../core/bytes.ts'
import { present } from '../core/assert.ts'
import { createHeap } from '../core/heap.ts'
import { lastSeqOf } from '../store/event-store.ts'
import type { EventStore, StoredCommit, StoredLog } from '../store/event-store.ts'
import { READ_AHEAD_MAX, READ_AHEAD_MIN } from './limits.ts'
import { passedOf } from './position.ts'
import type { Position } from './position.ts'

export interface MergedCommit {
  readonly log: StoredLog
  readonly commit: StoredCommit
  /** Index of the first event beyond the position: above 0 where a cursor stands inside a commit. */
  readonly from: number
}

/**
 * What the store held when the first commit is asked for; later ones are not in it.
 *
 * Reads ahead a few commits a log, and looks only at logs that have something beyond the position.
 */
export async function* mergedCommits(
  store: EventStore,
  position: Position
): AsyncGenerator<MergedCommit, undefined> {
  const behind = (log: StoredLog): boolean => log.tip.seq > passedOf(position, log)
  const sources = createHeap(isBefore)
  for (const log of store.logs().filter(behind)) {
    const source = new LogSource(store, log, position)
    await source.fill()
    if (source.head !== undefined) sources.push(source)
  }
  for (let lowest = sources.peek(); lowest !== undefined; lowest = sources.peek()) {
    yield lowest.take()
    if (lowest.head === undefined) await lowest.fill()
    if (lowest.head === undefined) sources.pop()
    else sources.sink()
  }
}

class LogSource {
  readonly log: StoredLog
  readonly #store: EventStore
  #commits: StoredCommit[] = []
  #at = 0
  #afterSeq: number
  #readAhead = READ_AHEAD_MIN

  constructor(store: EventStore, log: StoredLog, position: Position) {
    this.#store = store
    this.log = log
    this.#afterSeq = passedOf(position, log)
  }

  get head(): StoredCommit | undefined {
    return this.#commits[this.#at]
  }

  take(): MergedCommit {
    const commit = present(this.head, 'taken from a source with a head')
    const from = Math.max(0, this.#afterSeq + 1 - commit.firstSeq)
    this.#at += 1
    this.#afterSeq = lastSeqOf(commit)
    return { log: this.log, commit, from }
  }

  async fill(): Promise<void> {
    this.#commits = []
    // Nothing that is meant is behind its end.
    if (this.#afterSeq >= this.log.tip.seq) return
    const commits = await this.#store.commits(this.log, this.#afterSeq, this.#readAhead)
    this.#readAhead = Math.min(this.#readAhead * 4, READ_AHEAD_MAX)
    this.#commits = commits.filter((commit) => commit.firstSeq <= this.log.tip.seq)
    this.#at = 0
  }
}

function isBefore(a: LogSource, b: LogSource): boolean {
  const [left, right] = [present(a.head, 'a head'), present(b.head, 'a head')]
  if (left.recorded !== right.recorded) return left.recorded < right.recorded
  const order = compareBytes(a.log.tip.origin.idBytes, b.log.tip.origin.idBytes)
  return order === 0 ? compareBytes(left.hash, right.hash) < 0 : order < 0
}
