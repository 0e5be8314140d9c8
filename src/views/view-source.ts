/** Where an engine has its events from: one database, by its commits and in event order. */

import type { EventKey } from '../core/event-key.ts'
import type { IndexedEvent } from './view-index.ts'

export interface ViewSource {
  /** A cursor of everything that is held now; the same text as long as nothing comes. */
  head(): string
  eventCount(): number
  /** Events of commits beyond a cursor. @throws LATERBASE_CURSOR_FOREIGN, as do the next two */
  behind(cursor: string): Promise<number>
  /** Whole commits beyond a cursor, up to what is held when it is asked: some at a time. */
  changes(cursor: string, eventsAtOnce: number): AsyncIterable<SourceBatch>
  /** Events in event order, each once. */
  scan(range: SourceRange): AsyncIterable<readonly IndexedEvent[]>
  /** Those that happened last, in event order. */
  latest(count: number): Promise<readonly IndexedEvent[]>
  /** All contents of a key, in event order. */
  eventsOf(key: EventKey): Promise<readonly IndexedEvent[]>
  /** Where a commit that holds an event stands: the one that was recorded first. */
  placeOf(place: Uint8Array): Promise<EventOrigin | undefined>
  /** Resolves when there may be more than `cursor` covers, at once if there is; on abort too. */
  changed(cursor: string, signal: AbortSignal): Promise<void>
}

export interface SourceBatch {
  /** In event order, each once; one that stood in an earlier commit may come again. */
  readonly events: readonly IndexedEvent[]
  /** Behind the last of its commits. */
  readonly cursor: string
}

export interface SourceRange {
  /** Places before this one only. */
  readonly before?: Uint8Array | undefined
  /** As if nothing had come since this cursor: neither events, nor other commits of those that were there. */
  readonly upTo?: string | undefined
  /** Of these, events in commits that this cursor covers only. */
  readonly heldBy?: string | undefined
}

export interface EventOrigin {
  /** RFC 3339. */
  readonly recorded: string
  readonly log: string
  readonly seq: number
  /** Peer id of the node that recorded it. */
  readonly peer: string
}
