/** How far each log of a database is held, how far any peer was seen to have it, and what else its store knows. */

import type { LogId } from '../core/commit.ts'
import { stampMs } from '../core/hybrid-logical-clock.ts'
import { formatTime } from '../schema/time.ts'
import type { EventStore } from '../store/event-store.ts'
import { headVersion } from './cursor.ts'
import type { DatabaseStatus, LogStatus } from './laterbase.ts'
import { KNOWN_LOGS_MAX } from './limits.ts'

export interface LogKnowledge {
  /** The furthest that any peer was seen to have a log. */
  readonly known: ReadonlyMap<LogId, number>
  readonly peerId: (publicKey: Uint8Array) => string
}

/** The furthest that any peer was seen to have each log. */
export class LogRumours {
  readonly #known = new Map<LogId, number>()

  known(): ReadonlyMap<LogId, number> {
    return this.#known
  }

  learn(store: EventStore, known: Iterable<{ readonly log: LogId; readonly seq: number }>): void {
    for (const { log, seq } of known) {
      if (!this.#known.has(log) && this.#known.size >= KNOWN_LOGS_MAX) this.#forget(store)
      this.#known.set(log, Math.max(seq, this.#known.get(log) ?? 0))
    }
  }

  /** Logs that others invented must not keep real ones from being known. */
  #forget(store: EventStore): void {
    for (const log of this.#known.keys()) {
      if (store.log(log) === undefined) this.#known.delete(log)
    }
  }
}

/** Of the status of a database what its store knows. */
export async function storeStatus(
  store: EventStore,
  knowledge: LogKnowledge
): Promise<Omit<DatabaseStatus, 'name' | 'lc' | 'digest' | 'integrity'>> {
  return {
    events: store.eventCount(),
    commits: store.arrival(),
    version: headVersion(store),
    logs: logStatuses(store, knowledge),
    diskBytes: await store.diskBytes(),
    writeUnansweredMs: Number(store.refusal()?.facts['unanswered_ms'] ?? 0)
  }
}

/** One a branch of a log; and one a log that is known of but not held. */
function logStatuses(store: EventStore, { known, peerId }: LogKnowledge): LogStatus[] {
  const statuses = store.logs().map(({ tip, fork }): LogStatus => {
    const { id, genesis } = tip.origin
    const branches = store.branches(id)
    const isFurthest = branches.every((other) => other.tip.seq <= tip.seq)
    return {
      log: id,
      peer: peerId(genesis.publicKey),
      own: id === store.ownLog.id,
      held: tip.seq,
      known: isFurthest ? Math.max(tip.seq, known.get(id) ?? 0) : tip.seq,
      lastRecorded: tip.seq === 0 ? undefined : formatTime(stampMs(tip.recorded)),
      forked: branches.length > 1,
      forkedAfter: fork?.seq
    }
  })
  for (const [log, seq] of known) {
    if (store.log(log) !== undefined) continue
    const unknown = { peer: undefined, own: false, held: 0, lastRecorded: undefined }
    statuses.push({ log, known: seq, forked: false, forkedAfter: undefined, ...unknown })
  }
  return statuses
}
