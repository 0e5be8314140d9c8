/**
 * The events of a database as its views read them: by commits, and in event order. Definitions are not among
 * them: what a view answers does not depend on what others are defined.
 */

import { present } from '../core/assert.ts'
import { compareBytes } from '../core/bytes.ts'
import { KEY_BYTES, eventKey, keyAfter } from '../core/event-key.ts'
import type { EventKey } from '../core/event-key.ts'
import type { Stamp } from '../core/hybrid-logical-clock.ts'
import { TAG_BYTES } from '../core/version.ts'
import { LaterbaseError } from '../errors.ts'
import type {
  CommitSlice,
  EventStore,
  KeyRange,
  Occurrence,
  StoredEvent
} from '../store/event-store.ts'
import type { ViewEvent } from '../views/program.ts'
import { viewEventOf } from '../views/view-event.ts'
import type { IndexedEvent } from '../views/view-index.ts'
import type { EventOrigin, SourceBatch, SourceRange, ViewSource } from '../views/view-source.ts'
import { mergedCommits } from './commit-merge.ts'
import type { MergedCommit } from './commit-merge.ts'
import { readCursor, claimedPosition, shortCursor } from './cursor.ts'
import { readDefinition } from './definition-events.ts'
import { pendingEvents } from './feed.ts'
import { VIEW_SCAN_CHUNK } from './limits.ts'
import { passedOf } from './position.ts'
import type { Position, ReaderPosition } from './position.ts'
import { firstRecorded, recordedFirst } from './recorded-place.ts'

export interface ViewSourceInit {
  readonly store: EventStore
  /** A cursor of everything held, made once a commit. */
  readonly head: () => string
  readonly changed: (cursor: string, signal: AbortSignal) => Promise<void>
  /** Reads that wait until damage is healed, and end when the database does. */
  readonly reading: <T>(read: () => Promise<T>) => Promise<T>
  readonly scanning: (range: KeyRange) => AsyncIterable<readonly StoredEvent[]>
  readonly peerId: (publicKey: Uint8Array) => string
}

export class DatabaseViewSource implements ViewSource {
  readonly #init: ViewSourceInit

  constructor(init: ViewSourceInit) {
    this.#init = init
  }

  head(): string {
    return this.#init.head()
  }

  eventCount(): number {
    return this.#init.store.eventCount()
  }

  async behind(cursor: string): Promise<number> {
    const { passed } = await this.#position(cursor)
    return pendingEvents(this.#init.store, passed)
  }

  changed(cursor: string, signal: AbortSignal): Promise<void> {
    return this.#init.changed(cursor, signal)
  }

  async *changes(cursor: string, eventsAtOnce: number): AsyncGenerator<SourceBatch> {
    const { store } = this.#init
    const { start, commits } = await this.#begin(cursor)
    const passed = new Map(start.passed)
    const tags = new Map(start.tags)
    let slices: CommitSlice[] = []
    let count = 0
    const batch = async (): Promise<SourceBatch> => {
      const events = await this.#read(slices, passed)
      slices = []
      count = 0
      return { events, cursor: shortCursor(passed, tags, store) }
    }
    for await (const { commit, from } of commits) {
      const to = commit.keys.length
      slices.push({ commit, from, to })
      count += to - from
      passed.set(commit.log, commit.firstSeq + to - 1)
      tags.set(commit.log, commit.hash.subarray(0, TAG_BYTES))
      if (count >= eventsAtOnce) yield await batch()
    }
    if (slices.length > 0) yield await batch()
  }

  async *scan({ before, upTo, heldBy }: SourceRange): AsyncGenerator<readonly IndexedEvent[]> {
    const position = upTo === undefined ? undefined : (await this.#position(upTo)).passed
    const held = heldBy === undefined ? undefined : (await this.#position(heldBy)).passed
    let last: Uint8Array | undefined
    const to = before && keyAfter(eventKey(before.subarray(0, KEY_BYTES)))
    for await (const events of this.#init.scanning({ to, chunk: VIEW_SCAN_CHUNK, ahead: true })) {
      const chunk: IndexedEvent[] = []
      for (const event of events) {
        if (readDefinition(event) !== undefined) continue
        if (position !== undefined && !(await this.#isHeldBy(event, position))) continue
        const told = this.#indexed(event, position)
        const indexed = told instanceof Promise ? await told : told
        const { place } = indexed
        // A scan that went on behind damage may give a key's contents once more.
        if (last !== undefined && compareBytes(place, last) <= 0) continue
        if (before !== undefined && compareBytes(place, before) >= 0) break
        last = place
        if (held === undefined || (await this.#isHeldBy(event, held))) chunk.push(indexed)
      }
      yield chunk
    }
  }

  async latest(count: number): Promise<readonly IndexedEvent[]> {
    const latest: IndexedEvent[] = []
    for await (const events of this.#init.scanning({ reverse: true, chunk: count })) {
      const those = events.filter((event) => readDefinition(event) === undefined)
      for (const event of those.slice(0, count - latest.length)) {
        latest.push(await this.#indexed(event))
      }
      if (latest.length >= count) break
    }
    return latest.sort((a, b) => compareBytes(a.place, b.place))
  }

  async eventsOf(key: EventKey): Promise<readonly IndexedEvent[]> {
    const events = await this.#init.reading(() => this.#init.store.getAll(key))
    return Promise.all(events.map(async (event) => this.#indexed(event)))
  }

  async placeOf(place: Uint8Array): Promise<EventOrigin | undefined> {
    const { store, peerId, reading } = this.#init
    const event = await this.event(place)
    if (event === undefined) return undefined
    const { recorded, log, seq } = await reading(() => recordedFirst(store, event))
    const stored = present(
      store.logs().find(({ tip }) => tip.origin.id === log),
      'the log of an event'
    )
    return { recorded, log, seq, peer: peerId(stored.tip.origin.genesis.publicKey) }
  }

  /** What stands at a place. */
  async event(place: Uint8Array): Promise<StoredEvent | undefined> {
    const key = eventKey(place.subarray(0, KEY_BYTES))
    const events = await this.#init.reading(() => this.#init.store.getAll(key))
    return events.find((event) => compareBytes(event.place, place) === 0)
  }

  /** The first of the commits behind a cursor is read while it is found out whether the cursor is of this store. */
  async #begin(cursor: string): Promise<Following> {
    const { store } = this.#init
    const claimed = claimedPosition(cursor, store)
    if (claimed === undefined) {
      const start = await this.#position(cursor)
      return { start, commits: mergedCommits(store, start.passed) }
    }
    const merged = mergedCommits(store, claimed)
    const reading = merged.next().catch(() => undefined)
    const start = await this.#position(cursor)
    const first = await reading
    // What could not be read then may be healed by now.
    const isRead = first !== undefined
    return { start, commits: isRead ? withFirst(first, merged) : mergedCommits(store, claimed) }
  }

  /** @throws LATERBASE_CURSOR_FOREIGN for one that was not made of this store */
  async #position(cursor: string): Promise<ReaderPosition> {
    const position = await this.#init.reading(() => readCursor(cursor, this.#init.store))
    if (position.beyond.length === 0) return position
    const message =
      'the cursor covers what this node does not hold: min_lc waits until it does, and another node may hold it'
    throw new LaterbaseError('LATERBASE_CURSOR_FOREIGN', message)
  }

  /** @param position behind the last of them */
  async #read(slices: readonly CommitSlice[], position: Position): Promise<IndexedEvent[]> {
    const { store, reading } = this.#init
    const read = await reading(() => store.readEvents(slices))
    const events: IndexedEvent[] = []
    for (const event of read.flat()) {
      if (readDefinition(event) !== undefined) continue
      const indexed = this.#indexed(event, position)
      events.push(indexed instanceof Promise ? await indexed : indexed)
    }
    events.sort((a, b) => compareBytes(a.place, b.place))
    return events.filter(({ place }, index) => {
      const before = events[index - 1]
      return before === undefined || compareBytes(before.place, place) !== 0
    })
  }

  /**
   * Waits for the store only for the few events that stand in several commits.
   *
   * @param position whose commits say when it was recorded; default all that is held
   */
  #indexed(event: StoredEvent, position?: Position): IndexedEvent | Promise<IndexedEvent> {
    if (!event.repeated) return new StoredIndexedEvent(event, event.recorded)
    const { store, reading } = this.#init
    const isMeant = position && ((place: Occurrence): boolean => this.#isPassed(place, position))
    return reading(() => firstRecorded(store, event, isMeant)).then(
      (recorded) => new StoredIndexedEvent(event, recorded)
    )
  }

  async #isHeldBy(event: StoredEvent, position: Position): Promise<boolean> {
    const { store, reading } = this.#init
    const places = event.repeated ? await reading(() => store.occurrences(event)) : [event]
    return places.some((place) => this.#isPassed(place, position))
  }

  #isPassed({ log, seq }: Occurrence, position: Position): boolean {
    return seq <= passedOf(position, present(this.#init.store.logs()[log], 'a log'))
  }
}

/** What follows a position. */
interface Following {
  readonly start: ReaderPosition
  readonly commits: AsyncGenerator<MergedCommit, undefined>
}

async function* withFirst(
  { done, value }: IteratorResult<MergedCommit, undefined>,
  rest: AsyncGenerator<MergedCommit, undefined>
): AsyncGenerator<MergedCommit, undefined> {
  if (done === true) return
  yield value
  yield* rest
}

/** A class, because a build makes hundreds of thousands, and a map does not look at their bytes. */
class StoredIndexedEvent implements IndexedEvent {
  readonly #stored: StoredEvent
  readonly place: Uint8Array
  readonly recorded: Stamp
  readonly event: ViewEvent

  constructor(stored: StoredEvent, recorded: Stamp) {
    this.#stored = stored
    this.place = stored.place
    this.recorded = recorded
    this.event = viewEventOf(stored)
  }

  get bytes(): Uint8Array {
    return this.#stored.value
  }
}
