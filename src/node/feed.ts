/**
 * The changes feed: what lies beyond a position, each event once.
 *
 * An event that was written on two nodes stands in two commits. It is delivered with the first of
 * them that the reader meets, and passed over where the reader's position covers another: that
 * depends on the position alone, so a reader who moves to another node misses and repeats nothing.
 */

import type { LogId } from '../core/commit.ts'
import type { Stamp } from '../core/hybrid-logical-clock.ts'
import { TAG_BYTES } from '../core/version.ts'
import type { Place } from '../core/version.ts'
import { present } from '../core/assert.ts'
import type {
  CommitSlice,
  EventStore,
  Occurrence,
  StoredCommit,
  StoredEvent,
  StoredLog
} from '../store/event-store.ts'
import { mergedCommits } from './commit-merge.ts'
import { portableCursor, shortCursor } from './cursor.ts'
import { FEED_PAGE_BYTES, FEED_PAGE_READS } from './limits.ts'
import { passedOf, placesOf, settle, tagsOf } from './position.ts'
import type { Position, ReaderPosition, SettledPosition } from './position.ts'

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
  readonly position: ReaderPosition
  /** Short cursor of it, portable where the reader has places beyond this store. */
  readonly lc: string
  /** Portable cursor of it. */
  readonly version: string
  /** Events of commits still to come after it. */
  readonly pending: number
}

export interface FeedQuery {
  readonly position: ReaderPosition
  /** Events at the most. */
  readonly limit: number
  readonly matches: (event: StoredEvent) => boolean
}

/** The next page; empty, at the same position, when there is nothing beyond it. */
export async function readFeedPage(store: EventStore, query: FeedQuery): Promise<FeedPage> {
  const settled = await settle(store, query.position)
  const { passed: start, tags: known } = settled
  const trail = new FeedTrail(settled, await tagsOf(store, start, known))
  const rows: FeedRow[] = []
  let slices: CommitSlice[] = []
  let [reads, bytes, pendingReads] = [0, 0, 0]
  const flush = async (): Promise<void> => {
    if (slices.length > 0) await deliver(store, { slices, trail, rows, query })
    slices = []
    pendingReads = 0
  }
  for await (const { commit, from } of mergedCommits(store, settled.assumed)) {
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
  const { passed, tags, beyond } = trail
  const cursors = { lc: trail.lc(store), version: trail.version(store) }
  const pending = pendingEvents(store, trail.assumed)
  return { rows, position: { passed, tags, beyond }, ...cursors, pending }
}

/** Where a reader is while a page is put together. */
class FeedTrail {
  readonly passed: Map<number, number>
  readonly assumed: Map<number, number>
  readonly beyond: readonly Place[]
  readonly tags: Map<number, Uint8Array>

  constructor({ passed, assumed, beyond }: SettledPosition, tags: Map<number, Uint8Array>) {
    this.passed = new Map(passed)
    this.assumed = new Map(assumed)
    this.beyond = beyond
    this.tags = tags
  }

  /** Enters a commit. */
  enter(commit: StoredCommit): void {
    this.tags.set(commit.log, commit.hash.subarray(0, TAG_BYTES))
  }

  advance(log: StoredLog, seq: number): void {
    this.passed.set(log.number, seq)
    this.assumed.set(log.number, seq)
  }

  /** Short; portable where the reader has places beyond this store. */
  lc(store: EventStore): string {
    if (this.beyond.length > 0) return this.version(store)
    return shortCursor(this.passed, this.tags, store)
  }

  /** Portable. */
  version(store: EventStore): string {
    return portableCursor([...placesOf(store, this.passed, this.tags), ...this.beyond])
  }
}

interface Delivery {
  readonly slices: readonly CommitSlice[]
  readonly trail: FeedTrail
  readonly rows: FeedRow[]
  readonly query: FeedQuery
}

/** Reads slices, appends what is to be delivered, and moves the position behind them. */
async function deliver(store: EventStore, delivery: Delivery): Promise<void> {
  const { slices, trail, rows, query } = delivery
  const logs = store.logs()
  const read = await store.readEvents(slices)
  const known: KnownPlaces = new Map()
  for (const [index, { commit, from }] of slices.entries()) {
    const log = present(logs[commit.log], 'a commit is of a known log')
    trail.enter(commit)
    let seq = commit.firstSeq + from
    for (const event of present(read[index], 'one list a slice')) {
      const here = { log: commit.log, seq, position: trail.passed, known }
      const repeats = event.repeated && (await wasDelivered(store, event, here))
      trail.advance(log, seq)
      if (!repeats && query.matches(event)) {
        const { recorded } = commit
        rows.push({ event, log: log.tip.origin.id, seq, recorded, lc: trail.lc(store) })
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
  here: Occurrence & { readonly position: Position; readonly known: KnownPlaces }
): Promise<boolean> {
  const isBehind = (place: Occurrence): boolean => {
    if (place.log === here.log && place.seq === here.seq) return false
    return place.seq <= (here.position.get(place.log) ?? 0)
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
  for (const log of store.logs()) {
    pending += Math.max(0, log.tip.seq - passedOf(position, log))
  }
  return pending
}
