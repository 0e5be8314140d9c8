/**
 * The store of one database: what the node needs of a disk. `level-store.ts` is the one for
 * production, `memory-store.ts` its twin; `test/conformance` runs the same suite on both.
 *
 * Guarantees of every implementation:
 * - `write` is atomic and durable: all of its commits or none, on disk when it resolves.
 * - Logs grow only by the commit that follows their tip; a database is the union of its logs. A
 *   commit that follows an earlier one begins a branch: both are kept.
 * - An event is stored once however many commits hold it. A key with several contents keeps them
 *   all; the one with the lowest hash answers for the key.
 * - Reads see whole commits. One writer at a time: callers do not overlap `write` calls.
 * - After a write that failed nothing more is written before the store was opened anew, or the disk
 *   has answered. Then logs stand where the disk has them: what failed is there whole, or not at all.
 */

import type { Commit, LogId, LogOrigin } from '../core/commit.ts'
import type { Verifier } from '../core/clock.ts'
import { KEY_BYTES } from '../core/event-key.ts'
import type { EventKey } from '../core/event-key.ts'
import type { Stamp } from '../core/hybrid-logical-clock.ts'
import type { LogTip } from '../core/log.ts'
import type { LaterbaseError } from '../errors.ts'

export interface EventStore {
  /** Changes when the store is replaced, and with the own log; 16 lower-case hex digits. */
  readonly incarnation: string
  /** The log that this store's node writes: another one after a batch that renews it. */
  readonly ownLog: LogOrigin
  /** How the store was found when it was opened. */
  readonly found: StoreFound

  /**
   * Logs in the order in which they came here; `number` is dense from 0, good on this store. Each
   * branch of a forked log is a stored log of its own, with the same id.
   */
  logs(): readonly StoredLog[]
  /** The stored log that came first of a log. */
  log(id: LogId): StoredLog | undefined
  /** All of them; more than one for a log that was forked. */
  branches(id: LogId): readonly StoredLog[]
  /** Distinct events. */
  eventCount(): number
  /** How many commits have arrived here. */
  arrival(): number
  /** The highest stamp that the node's clock had shown when it last wrote here. */
  clockCeiling(): Stamp
  /** The highest key stored; undefined when empty. A key above it is not there. */
  highestKey(): EventKey | undefined

  /**
   * @throws LATERBASE_DISK_FULL, and nothing was written; LATERBASE_STORE_FAILED, and whether it was
   *   written shows when the store was opened anew, or the disk answers
   */
  write(batch: StoreBatch): Promise<void>
  /** Why a write would be refused now; undefined when it would be tried. */
  refusal(): LaterbaseError | undefined
  /** Writes are taken again after one that failed: logs may have grown by what had failed. */
  onReopened(listener: () => void): void

  /** The event of each key, the lowest hash where there are several; undefined for none. */
  getMany(keys: readonly EventKey[]): Promise<(StoredEvent | undefined)[]>
  /** All events of one key, lowest hash first. */
  getAll(key: EventKey): Promise<StoredEvent[]>
  /**
   * Events in key order, in chunks; where a key has several, all of them, lowest hash first.
   * In reverse, exactly the reverse order.
   */
  scan(range: KeyRange): AsyncIterable<StoredEvent[]>
  /** Commits of a log after `afterSeq`, in order, without their values; the first may begin before. */
  commits(log: StoredLog, afterSeq: number, countMax: number): Promise<StoredCommit[]>
  /** The sequence number of the last event of the last commit recorded before `stamp`; 0 for none. */
  seqBefore(log: StoredLog, stamp: Stamp): Promise<number>
  /** The events of commits, in commit order: those that the commits hold, not their keys' lowest. */
  readEvents(commits: readonly CommitSlice[]): Promise<StoredEvent[][]>
  /** Keys that have several contents. */
  conflicts(): AsyncIterable<EventKey>
  /**
   * The places of this event, more than one where it was written on several nodes: the one that came
   * first, then the others by log and sequence number.
   */
  occurrences(event: StoredEvent): Promise<readonly Occurrence[]>

  /**
   * Stretches of logs that are damaged where a read said so: the commits that hold a key or that
   * stand at a place, and every commit that cannot be read. To be fetched again, and healed.
   */
  damagedAt(where: DamagePlace): Promise<readonly Stretch[]>
  /**
   * Writes the records of commits that are held anew, whatever became of them: all or none. Durable,
   * like `write`, and takes its turn with it.
   *
   * @param log the stored log in whose own part the commits stand
   * @param commits in the order of the log, checked by the caller against the chain
   */
  heal(log: StoredLog, commits: readonly Commit[]): Promise<void>
  /** Goes through all that is stored; see `integrity.ts`. */
  check(options: CheckOptions): AsyncIterable<CheckStep>

  diskBytes(): Promise<number>
  /** Idempotent; waits for a write under way. */
  close(): Promise<void>
}

/** What a LATERBASE_STORE_CORRUPT names in its facts. */
export interface DamagePlace {
  /** ULID text. */
  readonly key?: string | undefined
  /** Number of a log here. */
  readonly log?: number | undefined
  readonly seq?: number | undefined
}

/** Events `after.seq + 1` to `toSeq` of a log: whole commits. */
export interface Stretch {
  readonly log: StoredLog
  /** The commit before, or the beginning of the log. */
  readonly after: { readonly seq: number; readonly hash: Uint8Array }
  readonly toSeq: number
  /** Hash of the last commit of the stretch, as what follows it names it. */
  readonly hash: Uint8Array
}

export interface CheckOptions {
  /** Checks signatures too, at 150 µs each. */
  readonly verifier?: Verifier | undefined
  readonly signal?: AbortSignal | undefined
}

export type CheckStep =
  | { readonly type: 'progress'; readonly done: number; readonly total: number }
  /** Can be fetched from a peer and healed. */
  | { readonly type: 'stretch'; readonly detail: string; readonly stretch: Stretch }
  /** The store has to be made anew from what is whole in it. */
  | { readonly type: 'rebuild'; readonly detail: string }
/** `restored`: put back from an older copy; its own log was closed, and another is begun. */
export type StoreFound = 'new' | 'known' | 'restored'

export interface StoreBatch {
  /** In an order in which each commit follows the tip of its log. */
  readonly commits: readonly Commit[]
  readonly clockCeiling: Stamp
  /** Keys known to be absent, checked by the caller under the same writer. */
  readonly absent?: ReadonlySet<Commit> | undefined
  /** Commits that begin a branch, and where they leave the log. */
  readonly forks?: ReadonlyMap<Commit, ForkPoint> | undefined
  /** From this batch on the store's node writes another log. */
  readonly renewal?: OwnLogRenewal | undefined
}

export interface StoredLog {
  readonly number: number
  readonly tip: LogTip
  /** For a branch: its commits begin after this place. Undefined for the stored log that came first. */
  readonly fork: ForkPoint | undefined
}

/** A place at which a branch leaves another stored log of the same log. */
export interface ForkPoint {
  /** Number of the stored log that it leaves. */
  readonly parent: number
  /** Sequence number of the last event that both have; 0 where they share nothing but the genesis. */
  readonly seq: number
}

export interface OwnLogRenewal {
  readonly incarnation: string
  /** 16 bytes: what tells the new log of the node from its old ones. */
  readonly nonce: Uint8Array
}

export const HASH_HEAD_BYTES = 8
/** Bytes of where an event stands in event order. */
export const PLACE_BYTES = KEY_BYTES + HASH_HEAD_BYTES

/**
 * An event as it was read. Not to be spread: what is seldom asked for is made when it is, and a copy
 * would be without it.
 */
export interface StoredEvent {
  readonly key: EventKey
  readonly value: Uint8Array
  /** The value as text, made at each call. */
  text(): string
  /**
   * SHA-256 of the value, made when it is first asked for, and compared with what was stored of it.
   *
   * @throws LATERBASE_STORE_CORRUPT
   */
  readonly hash: Uint8Array
  /**
   * Where it stands in event order, a copy: its key, and the first `HASH_HEAD_BYTES` of the hash as they were
   * stored, for which none is made.
   */
  readonly place: Uint8Array
  /** The first commit that held it here. */
  readonly log: number
  readonly seq: number
  readonly recorded: Stamp
  /** Other contents of this key are stored too. */
  readonly conflict: boolean
  /** More than one commit holds this event. */
  readonly repeated: boolean
  /** Another content of this key has a lower hash and answers for the key. */
  readonly alternate: boolean
}

export interface StoredCommit {
  readonly log: number
  readonly firstSeq: number
  readonly arrival: number
  readonly recorded: Stamp
  readonly previous: Uint8Array
  readonly hash: Uint8Array
  readonly signature: Uint8Array
  /** Bytes of the events region on the wire. */
  readonly bytes: number
  readonly keys: readonly EventKey[]
}

/** The sequence number of its last event. */
export function lastSeqOf({ firstSeq, keys }: Pick<StoredCommit, 'firstSeq' | 'keys'>): number {
  return firstSeq + keys.length - 1
}

/** The events of a commit from `from` to before `to`, as indexes into its keys. */
export interface CommitSlice {
  readonly commit: StoredCommit
  readonly from: number
  readonly to: number
}

export interface Occurrence {
  readonly log: number
  readonly seq: number
}

export interface KeyRange {
  /** Inclusive. */
  readonly from?: EventKey | undefined
  /** Exclusive. */
  readonly to?: EventKey | undefined
  readonly reverse?: boolean | undefined
  /** Events in a chunk at the most. */
  readonly chunk?: number | undefined
  /**
   * Most of the range will be read, and need not be of one state: what comes meanwhile may be in it, in part or not
   * at all. It may be read ahead by a thread then. Forwards only.
   */
  readonly ahead?: boolean | undefined
}

/** What a store is opened for. */
export interface StoreOwner {
  readonly database: string
  /** Raw Ed25519 public key of the node. */
  readonly publicKey: Uint8Array
}
