/**
 * An index: what is kept of a view's program over a set of events, below a prefix of its own of a derived
 * store. There is one for maps and one for folds; the engine says which events come and go.
 *
 * An index is a function of its events alone: in whatever order they come and go, however they are
 * cut into updates, the records of two indexes over the same events answer alike.
 */

import type { Stamp } from '../core/hybrid-logical-clock.ts'
import type { Json } from '../core/json.ts'
import type { DerivedChange, DerivedReader } from '../store/derived-store.ts'
import type { Care } from './effort.ts'
import type { ViewEvent } from './program.ts'

/** Not to be spread: its bytes are looked for when they are asked for. */
export interface IndexedEvent {
  /** Where it stands in event order. */
  readonly place: Uint8Array
  /** When it was recorded first. */
  readonly recorded: Stamp
  readonly event: ViewEvent
  /** Its content as stored. */
  readonly bytes: Uint8Array
}

export interface IndexChange {
  /** In event order, each once. One that is in the index already may come again, with another recorded time. */
  readonly put: readonly IndexedEvent[]
  /** In event order; none of them is in `put`. One that is not in the index may be among them. */
  readonly drop: readonly DroppedEvent[]
}

export interface DroppedEvent extends IndexedEvent {
  /** The event that put it out, such as one that corrects it. */
  readonly by?: IndexedEvent | undefined
}

/** What is known of an index besides its records; plain JSON, written with them. */
export interface IndexState {
  /** Of a map: levels of its tree. */
  readonly height: number
  /** Of a map: rows emitted. Of a fold: aggregates. */
  readonly rows: number
  /** Events that a function failed for. */
  readonly faults: number
  /** Over keys and values, 32 hex digits: equal for equal contents, whatever they came from. */
  readonly digest: string
}

export interface IndexUpdate {
  readonly state: IndexState
  /** Keys below the index's prefix. */
  readonly changes: readonly DerivedChange[]
  /** View keys whose answers may be others now; in their order. Empty unless it was asked for. */
  readonly touched: readonly TouchedKey[]
}

export interface TouchedKey {
  readonly key: Json
  /** Encoded. */
  readonly keyBytes: Uint8Array
  /** Events that are new in it, and those that put others out of it, in event order. */
  readonly causes: readonly IndexedEvent[]
  /** What had been counted is another now: an event came before one that was in it already, or one went. */
  readonly late: boolean
  /** Of a map, event by event, in event order: those whose rows of this key came or went. */
  readonly moved?: readonly MovedEvent[]
}

/** An event whose rows of one key came or went. */
export interface MovedEvent {
  readonly place: Uint8Array
  readonly cause: IndexedEvent
  readonly late: boolean
}

export interface ViewIndex {
  /**
   * Makes the index of events that come in event order, each once, below an empty prefix.
   *
   * @param write to be awaited; of any size, not in one batch
   */
  build(
    events: AsyncIterable<readonly IndexedEvent[]>,
    write: (changes: readonly DerivedChange[]) => Promise<void>,
    reader: DerivedReader,
    care?: Care
  ): Promise<IndexState>
  /**
   * What is to be written, in one batch, when events come and go.
   *
   * @param reader the index's records before
   */
  update(
    reader: DerivedReader,
    state: IndexState,
    change: IndexChange,
    options?: UpdateOptions
  ): Promise<IndexUpdate>
  /** The rows of an answer. `reader` shows one state, which `state` belongs to. */
  query(reader: DerivedReader, state: IndexState, query: IndexQuery): Promise<IndexAnswer>
  /** The faults noted last, at most `limit`. */
  faults(
    reader: DerivedReader,
    limit: number
  ): Promise<readonly { place: Uint8Array; fault: string }[]>
}

/** Encoded view keys; of ranges, `to` is not among them. */
export interface KeyRange {
  readonly from: Uint8Array | undefined
  readonly to: Uint8Array | undefined
}

export interface UpdateOptions {
  /** Which keys' answers change is told. */
  readonly touched?: boolean
  /** Functions that may take much are called with it; default without. */
  readonly care?: Care | undefined
}

export interface IndexQuery {
  /** One for a range, several for `keys`: answered one after the other, in this order. */
  readonly ranges: readonly (KeyRange & { readonly key?: Json })[]
  readonly descending: boolean
  readonly skip: number
  readonly limit: number
  /** Of a map: `rows` of it as they are, or reduced to groups: `all` in one, by so many elements, or by whole key. */
  readonly reduce: 'rows' | 'all' | 'keys' | { readonly level: number }
  /** Places before this one only. */
  readonly before: Uint8Array | undefined
  /** Events recorded by then only. */
  readonly recordedBy: Stamp | undefined
  /** Name the events of each row, so many at the most. */
  readonly causes: number
  /** Of whoever asks; functions that may take much are always called with care. */
  readonly care?: Care
}

export interface IndexRow {
  readonly key: Json
  readonly value: Json
  /** Of a row of a map: its event's. */
  readonly place: Uint8Array | undefined
  /** As far as asked for; in event order, one more than asked for where there are more. */
  readonly causes: readonly Uint8Array[]
  /** Why its value is null: a function of the view failed for it. */
  readonly fault?: string | undefined
}

export interface IndexAnswer {
  readonly rows: readonly IndexRow[]
  /** Of a map that is not reduced: rows of the view under `before` and `recordedBy`, and before the first. */
  readonly totalRows: number | undefined
  readonly offset: number | undefined
  /** Rows or states for which a function failed: their value is null. */
  readonly faults: number
}
