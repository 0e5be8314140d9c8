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
 * `State` is JSON, as is what `final` answers. After each event it is what `JSON.stringify` and `JSON.parse` make of it:
 * an undefined member is not there for the next event, a Date is a text. An event that makes it NaN has failed.
 *
 * An event that comes late costs the events of its aggregate that happened after it, until a state comes out as it
 * was: with many aggregates a moment, with a single one that remembers all of its past as long as their part of a
 * build, or a fraction of it with `select`. A state is written for each event that comes: what grows without end
 * belongs into aggregates, or a map.
 */
export interface FoldView<Data = Json, State = Json, Result = State> extends ViewBase {
  /** The aggregate of an event, which it may not change; undefined for none. Default: its `subject`. */
  readonly key?: (event: TypedEvent<Data>) => Json | undefined
  /** See `SelectFoldView`. */
  readonly select?: undefined
  readonly initial: () => State
  readonly apply: (state: State, event: TypedEvent<Data>) => State
  /** What a query answers of a state; default the state. */
  readonly final?: (state: State) => Result
}

/** The same in Emmett's words. */
export interface EvolveView<Data = Json, State = Json, Result = State> extends ViewBase {
  readonly key?: (event: TypedEvent<Data>) => Json | undefined
  readonly select?: undefined
  readonly initialState: () => State
  readonly evolve: (state: State, event: TypedEvent<Data>) => State
  readonly final?: (state: State) => Result
}

/**
 * Folds that say what they look at: smaller on disk, and several times as fast where an event that comes late has
 * many of its aggregate behind it, as they are gone through again without their events.
 */
export interface SelectFoldView<Data = Json, State = Json, Result = State, Input = Json>
  extends Selecting<Data, Input>, Omit<FoldView<Data, State, Result>, 'select' | 'apply'> {
  readonly apply: (state: State, input: Input) => State
}

/** The same in Emmett's words. */
export interface SelectEvolveView<Data = Json, State = Json, Result = State, Input = Json>
  extends Selecting<Data, Input>, Omit<EvolveView<Data, State, Result>, 'select' | 'evolve'> {
  readonly evolve: (state: State, input: Input) => State
}

interface Selecting<Data, Input> {
  /**
   * What the function gets of an event in its stead: JSON, which is what `JSON.stringify` makes of it, a time a text.
   * Undefined for an event of which nothing counts, which then belongs to no aggregate, as one for which this fails.
   *
   * @param event the same that `key` had: neither may change it
   */
  readonly select: (event: TypedEvent<Data>) => Input | undefined
}

export type TypedEvent<Data> = Omit<ViewEvent, 'data'> & { readonly data: Data }

/** Functions of a program: they run at native speed, on the node that has them. */
export type NativeView<Data = Json, State = Json, Result = State> =
  MapView<Data> | FoldView<Data, State, Result> | EvolveView<Data, State, Result>

/** Of these, folds that select. */
export type SelectingView<Data = Json, State = Json, Result = State, Input = Json> =
  SelectFoldView<Data, State, Result, Input> | SelectEvolveView<Data, State, Result, Input>

/** A view of whatever types. */
export type AnyView = (MapView<never> & { readonly select?: undefined }) | LooseFold

/** A fold whose state nobody else looks at, nor at what it selects. */
type LooseFold = ViewBase & {
  readonly key?: (event: TypedEvent<never>) => Json | undefined
  readonly final?: (state: never) => unknown
} & (
    | (LooseWords<TypedEvent<never>> & { readonly select?: undefined })
    | (LooseWords<never> & { readonly select: (event: TypedEvent<never>) => unknown })
  )

type LooseWords<Input> =
  | {
      readonly initial: () => unknown
      readonly apply: (state: never, input: Input) => unknown
    }
  | {
      readonly initialState: () => unknown
      readonly evolve: (state: never, input: Input) => unknown
    }
