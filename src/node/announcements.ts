/**
 * Announcements that came in. Each waits until its commit is stored here, so that whoever hears of it from
 * us can also fetch it from us; then it is passed on, unless something as new of its log was already.
 *
 * A member may announce what does not exist, or one commit in a thousand ways: so no place in a log is
 * looked at twice for one announcement, and of each log only what is further than before is passed on.
 */

import type { Announcement } from '../../protocols/announce/codec.ts'
import { equalBytes } from '../core/bytes.ts'
import type { Clock } from '../core/clock.ts'
import { logId } from '../core/commit.ts'
import type { Head } from '../core/version.ts'
import type { AnnouncementVerdict } from '../p2p/transport.ts'
import { ownCommitAt } from '../store/known-logs.ts'
import type { NodeDatabase } from './database.ts'
import { withDeadline } from './deadline.ts'
import { ANNOUNCED_WAITING_MAX, ANNOUNCED_WAIT_MS, PASSED_ON_MAX } from './limits.ts'

export interface AnnouncementsInit {
  readonly clock: Clock
  /** Ends all waits. */
  readonly signal: AbortSignal
}

export class Announcements {
  readonly #init: AnnouncementsInit
  #waiting = 0
  /** How far each log was that was announced last, by database and log; the one of longest ago first. */
  readonly #passedOn = new Map<string, number>()

  constructor(init: AnnouncementsInit) {
    this.#init = init
  }

  /** @param missing called when the commit is not held, before it is waited for */
  async judge(
    database: NodeDatabase,
    announcement: Announcement,
    missing: (head: Head) => void
  ): Promise<AnnouncementVerdict> {
    const head = headOf(announcement)
    const isHeld = lookout(database, head)
    if (await isHeld()) return this.#passOn(database, head)
    missing(head)
    if (this.#waiting >= ANNOUNCED_WAITING_MAX) return 'ignore'
    this.#waiting += 1
    try {
      return (await this.#whenHeld(database, isHeld)) ? this.#passOn(database, head) : 'ignore'
    } finally {
      this.#waiting -= 1
    }
  }

  async #whenHeld(database: NodeDatabase, isHeld: () => Promise<boolean>): Promise<boolean> {
    const { clock, signal: ending } = this.#init
    const deadline = { clock, withinMs: ANNOUNCED_WAIT_MS, signal: ending }
    return withDeadline(deadline, async (signal) => {
      for (;;) {
        const told = database.committed.count()
        if (await isHeld()) return true
        if (signal.aborted) return false
        await database.committed.after(told, signal)
      }
    })
  }

  #passOn(database: NodeDatabase, { log, seq }: Head): AnnouncementVerdict {
    const name = `${database.name} ${log}`
    const before = this.#passedOn.get(name) ?? 0
    if (seq <= before) return 'ignore'
    this.#passedOn.delete(name)
    const oldest = this.#passedOn.keys().next()
    if (this.#passedOn.size >= PASSED_ON_MAX && !oldest.done) this.#passedOn.delete(oldest.value)
    this.#passedOn.set(name, seq)
    return 'accept'
  }
}

function headOf({ log, firstSeq, count, hash }: Announcement): Head {
  return { log: logId(log), seq: firstSeq + count - 1, hash }
}

/** Whether a commit is held by now. What a log has at a place never changes, so it is read once. */
function lookout({ store }: NodeDatabase, { log: id, seq, hash }: Head): () => Promise<boolean> {
  const read = new Set<number>()
  return async () => {
    for (const log of store.branches(id)) {
      if (log.tip.seq < seq || read.has(log.number)) continue
      if (log.tip.seq === seq && equalBytes(log.tip.hash, hash)) return true
      read.add(log.number)
      const commit = await ownCommitAt(store, log, seq)
      // The hash is of what stands at the place, its sequence numbers included.
      if (commit !== undefined && equalBytes(commit.hash, hash)) return true
    }
    return false
  }
}
