/**
 * What an engine runs: a view's functions, wherever they come from (the library, a declarative definition,
 * text in a sandbox), as plain synchronous calls over batches. A function that fails fails for its event
 * alone: it answers a fault, and never throws.
 *
 * A program is a pure function of events. It sees of an event what is the same on every node (key and
 * content), and nothing of who recorded it where and when.
 */

import type { Json } from '../core/json.ts'
import type { Reducer } from '../core/views/reducers.ts'
import type { Effort } from './effort.ts'
import type { SelectedRows, Selection } from './selection.ts'

/** An event as view functions see it. Members of the envelope that it does not have are undefined. */
export interface ViewEvent {
  /** ULID text, 26 characters. */
  readonly key: string
  /** When it happened, RFC 3339 with milliseconds, UTC. */
  readonly time: string
  readonly type: string | undefined
  readonly subject: string | undefined
  readonly source: string | undefined
  readonly id: string | undefined
  readonly schema: string | undefined
  /** Key of the event that this one corrects, ULID text. */
  readonly corrects: string | undefined
  readonly data: Json | undefined
  readonly data_base64: string | undefined
  readonly datacontenttype: string | undefined
}

/** Why a function has nothing for an event, in one line. */
export interface Fault {
  readonly fault: string
}

/** What a function answered. */
export type Outcome = { readonly value: Json } | Fault

export interface Emitted {
  readonly key: Json
  readonly value: Json
}

export type MapOutcome = { readonly rows: readonly Emitted[] } | Fault

interface ProgramBase {
  /** SHA-256 over the definition, 64 hex digits: equal programs are equal functions. */
  readonly hash: string
  /** `effective`: events that others correct are left out; else all count, as they were recorded. */
  readonly events: 'recorded' | 'effective'
  /** Of functions that may take much; undefined for those that are this program's. */
  readonly effort?: Effort | undefined
}

export interface MapProgram extends ProgramBase {
  readonly type: 'map'
  /** What each event emits, in its order; keys and values are JSON, their sizes not checked yet. */
  map(events: readonly ViewEvent[]): readonly MapOutcome[]
  /** Undefined for a view without one. What it throws is a fault of the run of rows that it got. */
  readonly reducer: Reducer | undefined
}

/** What `apply` gets for an event: the event; or what the program selects of it. */
export type FoldInput = ViewEvent | Selection
/** The same for several. */
export type FoldInputs = readonly FoldInput[] | SelectedRows

/**
 * States are JSON text, as they are kept: what functions do with an object that they were given cannot change
 * what is kept of it.
 */
export interface FoldProgram extends ProgramBase {
  readonly type: 'fold'
  /** The state of an aggregate before its first event. */
  readonly initial: string
  /** The aggregate of each event; undefined for one that belongs to none. */
  keysOf(events: readonly ViewEvent[]): readonly (Outcome | undefined)[]
  /**
   * What `apply` gets of each event in its stead; undefined for one of which nothing counts, which then belongs to no
   * aggregate. Absent: `apply` gets events.
   */
  readonly select?: ((events: readonly ViewEvent[]) => readonly (Outcome | undefined)[]) | undefined
  /** The state after these, in their order; one that fails leaves the state as it was. Calls follow each other like one. */
  apply(state: string, inputs: FoldInputs): FoldStep
  /** What a query answers for a state. */
  result(state: string): Outcome
  /** A function makes it of the state. */
  readonly isFinalCalled: boolean
  /** The same as `apply`, event by event, for programs to which a call costs little; undefined for others. */
  readonly begin?: ((state: string) => FoldSession) | undefined
}

/** A state that inputs come to one by one. */
export interface FoldSession {
  /** False where it fails, or a text does not say all of the state: then all inputs of the session are `apply`'s. */
  add(input: FoldInput): boolean
  /** The state after them, to which more may come. */
  text(): string
}

export interface FoldStep {
  readonly state: string
  readonly faults: readonly { readonly index: number; readonly fault: string }[]
}

export type ViewProgram = MapProgram | FoldProgram
