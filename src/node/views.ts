/**
 * The public shape of a database's views: what is asked of one, what it answers, what is known of it.
 * Names of parameters and their meaning are CouchDB's where CouchDB has them.
 */

import type { Json } from '../core/json.ts'
import type { AnyView, NativeView, SelectingView } from '../views/define-view.ts'
import type { ViewDefinition } from '../views/view-definition.ts'
import type { RecordedEvent } from './laterbase.ts'

export interface ViewQuery {
  readonly key?: Json
  readonly keys?: readonly Json[]
  /** Inclusive, in the order of the answer. */
  readonly startkey?: Json
  /** Inclusive unless `inclusive_end` is false. */
  readonly endkey?: Json
  readonly inclusive_end?: boolean
  readonly descending?: boolean
  readonly limit?: number
  readonly skip?: number
  /** Default true where the view has a reduce. */
  readonly reduce?: boolean
  /** One row for each key; of a reduce only. */
  readonly group?: boolean
  /** One row for each beginning of so many elements; of a reduce only. */
  readonly group_level?: number
  /** Each row of a map with its event. */
  readonly include_events?: boolean
  /**
   * `true` (default): with everything that is held; `false`: as it is; `lazy`: as it is, and brought up to date
   * afterwards.
   */
  readonly update?: boolean | 'lazy'
  /** Only what had happened by then: RFC 3339, inclusive, or a ULID, inclusive. */
  readonly as_of?: string
  /** Only what had been recorded by then: RFC 3339, ULID (its time), inclusive; or a cursor. */
  readonly known_at?: string
  /** Waits until everything up to this cursor is held and in the answer. */
  readonly min_lc?: string
  /** Each row with the events that made it. */
  readonly explain?: boolean
}

export interface ViewQueryOptions {
  readonly signal?: AbortSignal
}

export interface ViewChangesOptions extends ViewQueryOptions {
  /** An answer of the view; default as it is when somebody begins to read. */
  readonly since?: Pick<ViewAnswer, 'lc' | 'digest'>
}

/** One of the events that made a row. */
export interface ViewCause {
  readonly key: string
  /** When it happened, and when it was recorded first: RFC 3339. */
  readonly time: string
  readonly recorded: string
  /** Recorded so long after it had happened. */
  readonly late_ms: number
  readonly log: string
  readonly seq: number
  /** Peer id of the node that recorded it. */
  readonly peer: string
}

export interface ViewRow<Value = Json> {
  /** Of a map: the event's key. */
  readonly id?: string
  /** Null where a reduce is not grouped. */
  readonly key: Json
  readonly value: Value
  readonly event?: RecordedEvent
  readonly events?: readonly ViewCause[]
  /** There are more than `events` lists. */
  readonly more_events?: boolean
  /** Why the value is null: `reduce` or `final` failed for this row. */
  readonly fault?: string
}

export interface ViewAnswer<Value = Json> {
  /** Of a map without reduce: rows in the view, and how many of them come before the first of the answer. */
  readonly total_rows?: number
  readonly offset?: number
  readonly rows: readonly ViewRow<Value>[]
  /** What the answer covers: everything up to this cursor. */
  readonly lc: string
  /** Equal on two nodes that hold the same set and have the same definition, and unequal otherwise. */
  readonly digest: string
  /** Events that the view's functions failed for, which are therefore not in it; and rows, which say why. */
  readonly faults: number
  /** Peer ids of nodes whose functions came to other rows of the same events: one of the two is wrong. */
  readonly differs?: readonly string[]
}

export interface ViewInfo {
  readonly name: string
  /** Undefined for a definition that makes no view here. */
  readonly type: 'map' | 'fold' | undefined
  /** SHA-256 of the definition, 64 hex digits; empty for one that makes no view here. */
  readonly hash: string
  /** `library`: functions of this program; `definition`: replicated. */
  readonly origin: 'library' | 'definition'
  /** The reducer's name; undefined for none. */
  readonly reduce: string | undefined
  readonly events: 'recorded' | 'effective'
  /**
   * `building`: no answer yet; `replacing`: answers are of the definition before; `refused`: the definition is not
   * run here, and `failed`: it could not be, and is tried again, both for the `reason` given.
   */
  readonly state: 'building' | 'ready' | 'replacing' | 'refused' | 'failed'
  readonly reason: string | undefined
  /** Of the build that is under way: events looked at, of how many. */
  readonly progress: { readonly done: number; readonly total: number } | undefined
  /** What it covers: a short cursor; undefined while nothing is built. */
  readonly lc: string | undefined
  /** Events not in it yet. */
  readonly behind: number
  readonly rows: number
  /** Events that functions failed for. Rows for which `reduce` or `final` fails are counted in an answer that has them. */
  readonly faults: number
  /** The last of them. */
  readonly lastFaults: readonly { readonly key: string; readonly fault: string }[]
  /** Digest of the contents at `lc`. */
  readonly digest: string | undefined
  /** See `ViewAnswer`. */
  readonly differs: readonly string[]
  readonly diskBytes: number
}

/** A row of a view has changed. */
export interface ViewChange<Value = Json> {
  /** Short cursor: the change is in answers that cover it. */
  readonly lc: string
  /** Of a map without reduce: the key of the event whose row it is. */
  readonly id?: string
  readonly key: Json
  /** Undefined: there was no row, or is none any more. */
  readonly old: Value | undefined
  readonly new: Value | undefined
  /**
   * What had been counted is another now: an event that came late, before others of this key that had been
   * counted, was a cause, or one that puts out what had been.
   */
  readonly restated: boolean
  /** The events that were new, the most recent twenty at most. */
  readonly causes: readonly ViewCause[]
}

export interface View<Value = Json> {
  readonly name: string
  info(): Promise<ViewInfo>
  /**
   * @throws LATERBASE_ARGUMENT_INVALID, LATERBASE_CURSOR_INVALID; LATERBASE_VIEW_BUILDING with progress as facts
   *   when nothing is built yet and `signal` aborts before there is, or with `update: false`; LATERBASE_VIEW_FAILED
   */
  query(query?: ViewQuery, options?: ViewQueryOptions): Promise<ViewAnswer<Value>>
  /**
   * Rows as they change from now on, until `signal` aborts, the loop is left or the node closes: those of the answer
   * `since`, with all changes up to a later `lc`, are those of an answer there.
   *
   * @throws LATERBASE_CHANGES_LOST when the view has gone on from `since`, the reader does not keep up, or the view
   *   becomes another one; LATERBASE_VIEW_UNKNOWN when it is removed; LATERBASE_VIEW_FAILED
   */
  changes(options?: ViewChangesOptions): AsyncIterable<ViewChange<Value>>
  /**
   * Resolves when it covers everything that is held now, by the definition that is there now; by the one before
   * where that could not be built for a fault of the disk, and is tried again.
   */
  refresh(options?: ViewQueryOptions): Promise<void>
}

export interface ViewGetOptions extends ViewQueryOptions {
  /** A view that is not known waits until what this cursor covers is held: its definition may be among that. */
  readonly min_lc?: string | undefined
}

/** The views of one database. */
export interface Views {
  /** Sorted by name. */
  list(): Promise<readonly ViewInfo[]>
  /**
   * @throws LATERBASE_VIEW_UNKNOWN; LATERBASE_VIEW_FAILED for a definition that makes no view here; for `min_lc`
   *   LATERBASE_CURSOR_INVALID, LATERBASE_CURSOR_FOREIGN
   */
  get(name: string, options?: ViewGetOptions): Promise<View>
  /**
   * Adds or replaces a view of functions on this node. The one before serves until this one is built, also who asks what
   * this returns: `refresh` waits for it. It is there until the node closes: its program defines it again at each start,
   * and finds it built.
   *
   * @throws LATERBASE_NAME_INVALID; LATERBASE_VIEW_INVALID
   */
  define<Data = Json, State = Json, Result = State, Input = Json>(
    view: SelectingView<Data, State, Result, Input>
  ): Promise<View<Result>>
  define<Data = Json, State = Json, Result = State>(
    view: NativeView<Data, State, Result>
  ): Promise<View<Result>>
  /** The same for one whose types are not known here, such as one of a list. */
  defineAny(view: AnyView): Promise<View>
  /**
   * Writes a definition, which replicates like an event, and is used by every node that trusts its author.
   *
   * @throws LATERBASE_NAME_INVALID; LATERBASE_VIEW_INVALID with `problems`
   */
  put(name: string, definition: ViewDefinition): Promise<ViewInfo>
  /** The replicated definition of a name; undefined for none. */
  definition(name: string): Promise<ViewDefinition | undefined>
  /** Of `define`: here; of `put`: everywhere. @throws LATERBASE_VIEW_UNKNOWN */
  remove(name: string): Promise<void>
}
