/**
 * The changes feed: what lies beyond a position, each event once.
 *
 * An event that was written on two nodes stands in two commits. It is delivered with the first of
 * them that the reader meets, and passed over where the reader's position covers another: that
 * depends on the position alone, so a reader who moves to another node misses and repeats nothing.
 */

import type { LogId } from '../core/commit.ts'
import type { Stamp } from '../core/hybrid-logical-clock.ts'
import type { Position } from '../core/version.ts'
import { present } from '../core/assert.ts'
import type { CommitSlice, EventStore, Occurrence, StoredEvent } from '../store/event-store.ts'
import { mergedCommits } from './commit-merge.ts'
import { shortCursor } from './cursor.ts'

export interface FeedRow {
  readonly event: StoredEvent
  readonly log: LogId
  readonly seq: number
  /** When the commit was recorded in which the feed met it. */
  readonly recorded: Stamp
  /** Short cursor: everything up to and with this event. */
  readonly lc: string
}

export interface FeedPage {
  readonly rows: readonly FeedRow[]
  /** After the last event read, those passed over included. */
  readonly position: Map<LogId, number>
}

export interface FeedQuery {
  readonly position: Position
  /** Events at the most. */
  readonly limit: number
  readonly matches: (event: StoredEvent) => boolean
}

/** Bytes of commits read for one page: what one reader can make a node hold in memory. */
const FEED_PAGE_BYTES = 4 * 1_048_576

/** Events read for one page, matching or not: a narrow filter must not hold up its reader's cursor. */
const FEED_PAGE_READS = 20_000

/** The next page; empty, at the same position, when there is nothing beyond it. */
export async function readFeedPage(store: EventStore, query: FeedQuery): Promise<FeedPage> {
  const position = new Map(query.position)
  const rows: FeedRow[] = []
  let slices: CommitSlice[] = []
  let [reads, bytes, pendingReads] = [0, 0, 0]
  const flush = async (): Promise<void> => {
    await deliver(store, { slices, position, rows, query })
    slices = []
    pendingReads = 0
  }
  for await (const { commit, from } of mergedCommits(store, query.position)) {
    const room = Math.min(query.limit - rows.length - pendingReads, FEED_PAGE_READS - reads)
    const to = Math.min(commit.keys.length, from + room)
    slices.push({ commit, from, to })
    reads += to - from
    pendingReads += to - from
    bytes += commit.bytes
    // Only a read tells how many match, so the limit is looked at again after each.
    if (rows.length + pendingReads >= query.limit) await flush()
    if (rows.length >= query.limit || reads >= FEED_PAGE_READS || bytes >= FEED_PAGE_BYTES) break
    if (to < commit.keys.length) break
  }
  await flush()
  return { rows, position }
}

interface Delivery {
  readonly slices: readonly CommitSlice[]
  readonly position: Map<LogId, number>
  readonly rows: FeedRow[]
  readonly query: FeedQuery
}

/** Reads slices, appends what is to be delivered, and moves the position behind them. */
async function deliver(store: EventStore, delivery: Delivery): Promise<void> {
  const { slices, position, rows, query } = delivery
  const logs = store.logs()
  const read = await store.readEvents(slices)
  const known: KnownPlaces = new Map()
  for (const [index, slice] of slices.entries()) {
    const log = present(logs[slice.commit.log], 'a commit is of a known log').tip.origin.id
    let seq = slice.commit.firstSeq + slice.from
    for (const event of present(read[index], 'one list a slice')) {
      const repeats =
        event.repeated && (await wasDelivered(store, event, { log, seq, position, known }))
      position.set(log, seq)
      if (!repeats && query.matches(event)) {
        const { recorded } = slice.commit
        rows.push({ event, log, seq, recorded, lc: shortCursor(position, store) })
      }
      seq += 1
    }
  }
}

/** Places of the events that one page has met, by the first of them: a page may meet one often. */
type KnownPlaces = Map<string, readonly Occurrence[]>

async function wasDelivered(
  store: EventStore,
  event: StoredEvent,
  here: {
    readonly log: LogId
    readonly seq: number
    readonly position: Position
    readonly known: KnownPlaces
  }
): Promise<boolean> {
  const logs = store.logs()
  const isBehind = (place: Occurrence): boolean => {
    const log = present(logs[place.log], 'an occurrence is in a known log').tip.origin.id
    if (log === here.log && place.seq === here.seq) return false
    return place.seq <= (here.position.get(log) ?? 0)
  }
  if (isBehind(event)) return true
  const name = `${event.log} ${event.seq}`
  const places = here.known.get(name) ?? (await store.occurrences(event))
  here.known.set(name, places)
  return places.some(isBehind)
}

/** How many events of commits lie beyond a position. */
export function pendingEvents(store: EventStore, position: Position): number {
  let pending = 0
  for (const { tip } of store.logs()) {
    pending += Math.max(0, tip.seq - (position.get(tip.origin.id) ?? 0))
  }
  return pending
}
