/**
 * The commits of a store beyond a position, merged over its logs by recorded time.
 *
 * A commit has a higher recorded time than any that its writer had seen, so every beginning of this
 * sequence is causally whole. The changes feed and the delta answers are both made of it.
 */

import { compareBytes } from '../core/bytes.ts'
import { present } from '../core/assert.ts'
import type { EventStore, StoredCommit, StoredLog } from '../store/event-store.ts'
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
): AsyncGenerator<MergedCommit> {
  const behind = (log: StoredLog): boolean => log.tip.seq > passedOf(position, log)
  const sources = store
    .logs()
    .filter(behind)
    .map((log) => new LogSource(store, log, position))
  for (const source of sources) await source.fill()
  for (;;) {
    let lowest: LogSource | undefined
    for (const source of sources) {
      if (source.head !== undefined && (lowest === undefined || isBefore(source, lowest))) {
        lowest = source
      }
    }
    if (lowest === undefined) return
    yield lowest.take()
    if (lowest.head === undefined) await lowest.fill()
  }
}

/**
 * Commits read ahead of one log: few at first, because one page is often all that is wanted, then
 * more, because a scan of many small ones costs a read each time.
 */
const READ_AHEAD_MIN = 4
const READ_AHEAD_MAX = 256

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
    this.#afterSeq = commit.firstSeq + commit.keys.length - 1
    return { log: this.log, commit, from }
  }

  async fill(): Promise<void> {
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
