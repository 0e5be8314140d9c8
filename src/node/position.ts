/**
 * Positions: how far somebody has a store's logs. By stored log, so that the branches of a forked
 * log are kept apart; what others say in terms of log, sequence number and hash is found in the
 * store here.
 */

import { equalBytes } from '../core/bytes.ts'
import { present } from '../core/assert.ts'
import type { LogId } from '../core/commit.ts'
import { TAG_BYTES, headsByLog } from '../core/version.ts'
import type { Head, Place, Version } from '../core/version.ts'
import { lastSeqOf } from '../store/event-store.ts'
import type { EventStore, StoredLog } from '../store/event-store.ts'
import { findCommit, ownCommitAt } from '../store/known-logs.ts'
import { HEAD_LOOKUPS_MAX } from './limits.ts'

/**
 * The sequence number of the last event passed, by number of the stored log. Closed: what has passed
 * a place on a branch has passed all that the branch grew from.
 */
export type Position = ReadonlyMap<number, number>

/** How far a position is in one stored log; where a branch has not been entered, its beginning. */
export function passedOf(position: Position, log: StoredLog): number {
  return position.get(log.number) ?? log.fork?.seq ?? 0
}

/** Everything that a store holds. */
export function headPosition(store: EventStore): Map<number, number> {
  return new Map(store.logs().map(({ number, tip }) => [number, tip.seq]))
}

/** Moves a position to at least a place, and to what the place's branch grew from. */
export function pass(
  position: Map<number, number>,
  logs: readonly StoredLog[],
  place: { readonly log: StoredLog; readonly seq: number }
): void {
  let { log, seq } = place
  for (;;) {
    if (seq > 0) position.set(log.number, Math.max(seq, position.get(log.number) ?? 0))
    if (log.fork === undefined) return
    seq = log.fork.seq
    log = present(logs[log.fork.parent], 'a branch leaves a stored log')
  }
}

/** How far a peer is. */
export interface PeerPosition {
  readonly position: Position
  /** Logs of which nothing is for the peer, whatever they grow by meanwhile: it may lack what is before. */
  readonly ahead: ReadonlySet<LogId>
}

/**
 * How far a peer is that has this version, in terms of what we hold.
 *
 * Of a log of which it has a head that we do not know nothing is missing to it, as far as we can
 * tell: it is ahead of us, or on another branch, which it finds out by our heads. Then it asks again
 * and names places along the log, of which we know some (delta spec, section 6).
 */
export async function positionOfVersion(
  store: EventStore,
  version: Version,
  places: Version
): Promise<PeerPosition> {
  const logs = store.logs()
  const position = new Map<number, number>()
  const ahead = new Set<LogId>()
  const placesByLog = headsByLog(places)
  let lookups = HEAD_LOOKUPS_MAX
  for (const [id, heads] of headsByLog(version)) {
    const branches = store.branches(id)
    const along = placesByLog.get(id)
    let isAhead = false
    for (const head of [...heads, ...(along ?? [])]) {
      const tip = branches.find((log) => isTip(log, head))
      lookups -= tip === undefined ? branches.length : 0
      const log = tip ?? (lookups < 0 ? undefined : (await findCommit(store, id, head))?.log)
      if (log === undefined) isAhead = along === undefined
      else pass(position, logs, { log, seq: head.seq })
    }
    if (!isAhead) continue
    ahead.add(id)
    for (const { number, tip } of branches) position.set(number, tip.seq)
  }
  return { position, ahead }
}

/**
 * Places along the branches of a log, from their tips back at growing distances: whoever holds the
 * log finds among them one close behind where the branches part.
 */
export async function locatorOf(store: EventStore, id: LogId): Promise<Head[]> {
  const heads: Head[] = []
  for (const log of store.branches(id)) {
    const begin = log.fork?.seq ?? 0
    for (let back = 0, seq = log.tip.seq; seq > begin; back = Math.max(1, back * 2)) {
      const commit = await ownCommitAt(store, log, seq)
      if (commit === undefined) break
      heads.push({ log: id, seq: lastSeqOf(commit), hash: commit.hash })
      seq = commit.firstSeq - 1 - back
    }
  }
  return heads
}

/** First bytes of the hashes of commits, by number of the stored log. */
export type Tags = ReadonlyMap<number, Uint8Array>

/**
 * Of each log that a position has entered, the tag of the commit that holds the last event passed.
 *
 * @param known tags of it that need not be read
 */
export async function tagsOf(
  store: EventStore,
  position: Position,
  known: Tags = new Map()
): Promise<Map<number, Uint8Array>> {
  const logs = store.logs()
  const tags = new Map<number, Uint8Array>()
  for (const [number, seq] of position) {
    const log = present(logs[number], 'a position is in stored logs')
    if (seq <= (log.fork?.seq ?? 0)) continue
    tags.set(number, known.get(number) ?? (await tagAt(store, log, seq)))
  }
  return tags
}

/**
 * A position in a form that every node understands.
 *
 * @param tags of the commits that hold the last events passed
 */
export function placesOf(store: EventStore, position: Position, tags: Tags): Place[] {
  const logs = store.logs()
  const places: Place[] = []
  for (const [number, tag] of tags) {
    const log = present(logs[number], 'a position is in stored logs')
    places.push({ log: log.tip.origin.id, seq: passedOf(position, log), tag })
  }
  return places
}

/** How far a reader of the feed is, who may have read on other nodes before. */
export interface ReaderPosition {
  readonly passed: Position
  /** Of places of `passed`, as far as they are known already. */
  readonly tags: Tags
  /** Places that are not held here: other nodes know them. */
  readonly beyond: readonly Place[]
}

/** A reader who has read nowhere else. */
export function readerAt(passed: Position): ReaderPosition {
  return { passed, tags: new Map(), beyond: [] }
}

export interface SettledPosition extends ReaderPosition {
  /**
   * `passed`, and with it all of those logs that reach less far here than a place beyond: it stands
   * to reason that who has read further has read them, until the log has grown to that place. Not of
   * a log that has branches here, for the place may be on one that was lost; nor of the log that this
   * store writes itself, which reached further only in another copy of it.
   */
  readonly assumed: Position
}

/** Looks again for the places that were not held: the store has grown meanwhile. */
export async function settle(store: EventStore, reader: ReaderPosition): Promise<SettledPosition> {
  if (reader.beyond.length === 0) return { ...reader, assumed: reader.passed }
  const logs = store.logs()
  const passed = new Map(reader.passed)
  const found: { readonly number: number; readonly place: Place }[] = []
  const beyond: Place[] = []
  for (const place of reader.beyond) {
    const log = await findPlace(store, place)
    if (log === undefined) beyond.push(place)
    else {
      pass(passed, logs, { log, seq: place.seq })
      found.push({ number: log.number, place })
    }
  }
  const isMoved = ([number]: readonly [number, Uint8Array]): boolean =>
    passed.get(number) !== reader.passed.get(number)
  const tags = new Map([...reader.tags].filter((each) => !isMoved(each)))
  for (const { number, place } of found) {
    if (passed.get(number) === place.seq) tags.set(number, place.tag)
  }
  return { passed, tags, beyond, assumed: assume(store, passed, beyond) }
}

function assume(
  store: EventStore,
  passed: Position,
  beyond: readonly Place[]
): Map<number, number> {
  const assumed = new Map(passed)
  for (const { log: id, seq } of beyond) {
    const [log, ...branches] = id === store.ownLog.id ? [] : store.branches(id)
    if (log === undefined || branches.length > 0 || log.tip.seq >= seq) continue
    assumed.set(log.number, log.tip.seq)
  }
  return assumed
}

async function tagAt(store: EventStore, log: StoredLog, seq: number): Promise<Uint8Array> {
  if (seq === log.tip.seq) return log.tip.hash.subarray(0, TAG_BYTES)
  const commit = present(await ownCommitAt(store, log, seq), 'a log is dense')
  return commit.hash.subarray(0, TAG_BYTES)
}

async function findPlace(
  store: EventStore,
  { log: id, seq, tag }: Place
): Promise<StoredLog | undefined> {
  for (const log of store.branches(id)) {
    const commit = await ownCommitAt(store, log, seq)
    if (commit !== undefined && equalBytes(commit.hash.subarray(0, TAG_BYTES), tag)) return log
  }
  return undefined
}

function isTip({ tip }: StoredLog, head: Head): boolean {
  return tip.seq === head.seq && equalBytes(tip.hash, head.hash)
}
