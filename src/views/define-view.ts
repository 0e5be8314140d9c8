/**
 * Views as their authors write them in TypeScript: a map with a reduce, or a fold. Types flow from the events'
 * data to the state and to what a query answers.
 */

import type { Json } from '../core/json.ts'
import type { UserReduce } from '../core/views/reducers.ts'
import type { ViewEvent } from './program.ts'

export type BuiltInReduce =
  '_sum' | '_count' | '_stats' | '_min' | '_max' | '_first' | '_last' | '_approx_count_distinct'

interface ViewBase {
  /** `^[a-z][a-z0-9_-]{0,62}$`, not `db`. */
  readonly name: string
  /**
   * Functions count as equal when their texts are, which cannot see what they take from around them: a
   * change there needs another version.
   */
  readonly version?: string | number
  /** `effective`: events that others correct are left out. Default `recorded`: all count. */
  readonly events?: 'recorded' | 'effective'
}

export interface MapView<Data = Json> extends ViewBase {
  readonly map: (event: TypedEvent<Data>, emit: (key: Json, value?: Json) => void) => void
  readonly reduce?: BuiltInReduce | UserReduce
}

/**
 * `State` is JSON, as is what `final` answers.
 *
 * An event that comes late costs the events of its aggregate that happened after it, until a state comes out as it
 * was: with many aggregates a moment, with a single one that remembers all of its past as long as their part of a
 * build. A state is written for each event that comes: what grows without end belongs into aggregates, or a map.
 */
export interface FoldView<Data = Json, State = Json, Result = State> extends ViewBase {
  /** The aggregate that an event belongs to; undefined for none. Default: its `subject`. */
  readonly key?: (event: TypedEvent<Data>) => Json | undefined
  readonly initial: () => State
  readonly apply: (state: State, event: TypedEvent<Data>) => State
  /** What a query answers of a state; default the state. */
  readonly final?: (state: State) => Result
}

/** The same in Emmett's words. */
export interface EvolveView<Data = Json, State = Json, Result = State> extends ViewBase {
  readonly key?: (event: TypedEvent<Data>) => Json | undefined
  readonly initialState: () => State
  readonly evolve: (state: State, event: TypedEvent<Data>) => State
  readonly final?: (state: State) => Result
}

export type TypedEvent<Data> = Omit<ViewEvent, 'data'> & { readonly data: Data }

/** Functions of a program: they run at native speed, on the node that has them. */
export type NativeView<Data = Json, State = Json, Result = State> =
  MapView<Data> | FoldView<Data, State, Result> | EvolveView<Data, State, Result>

/** A view of whatever types. */
export type AnyView = MapView<never> | LooseFold

/** A fold whose state nobody else looks at. */
type LooseFold = ViewBase & {
  readonly key?: (event: TypedEvent<never>) => Json | undefined
  readonly final?: (state: never) => unknown
} & (
    | {
        readonly initial: () => unknown
        readonly apply: (state: never, event: TypedEvent<never>) => unknown
      }
    | {
        readonly initialState: () => unknown
        readonly evolve: (state: never, event: TypedEvent<never>) => unknown
      }
  )
