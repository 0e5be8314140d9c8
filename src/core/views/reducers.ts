/**
 * What a map/reduce view makes of its rows: the built-in reducers and the user's own.
 *
 * A view keeps what runs of rows come to and combines that. What a built-in answers depends only on
 * the set of rows, not on the runs or their order, so every node answers the same to the last digit. For
 * a reduce of the user's that is the user's promise. Left out: which rows, and where aggregates are kept.
 */

import { assert } from '../assert.ts'
import { compareBytes, toHex } from '../bytes.ts'
import { KEY_BYTES, eventKey, formatEventKey } from '../event-key.ts'
import type { Json } from '../json.ts'
import { compareViewKeys } from './collation.ts'
import { countDistinct, createDistinctTotal } from './distinct-count.ts'
import type { DistinctSet } from './distinct-count.ts'
import { addExact, addNumber, addSquare, emptyTotal, exactSum } from './exact-sum.ts'
import type { ExactSum } from './exact-sum.ts'
import { findUnsummable, roundSum, roundedJson, sumValues } from './sum-values.ts'

/** A row as a reducer sees it. Its values are JSON, nested no deeper than an event may be. */
export interface ReducedRow {
  readonly key: Json
  /** The key, encoded. */
  readonly keyBytes: Uint8Array
  readonly value: Json
  /**
   * Where the row's event stands in event order: its key's 16 bytes, then its content's hash, then the number
   * of the row within the event; compared as bytes. No two rows have the same.
   */
  readonly place: Uint8Array
}

/** What a run of rows comes to: JSON, persisted. Its form is its reducer's own. */
export type Aggregate = Json

export interface Reducer {
  readonly name: string
  /** What is wrong with a value that was emitted, in words; undefined for nothing. */
  check(value: Json): string | undefined
  /** Of at least one row, each of whose values passed `check`. */
  reduce(rows: readonly ReducedRow[]): Aggregate
  /** Of at least one aggregate, in the order of their rows. */
  combine(aggregates: readonly Aggregate[]): Aggregate
  /** What a query answers. */
  result(aggregate: Aggregate): Json
}

/** CouchDB's calling convention: `keys` are pairs of a row's key and its event's, as ULID text. */
export type UserReduce = (
  keys: readonly (readonly [Json, string])[] | null,
  values: readonly Json[],
  rereduce: boolean
) => unknown

/** `_sum`, `_count`, `_stats`, `_min`, `_max`, `_first`, `_last` or `_approx_count_distinct`. */
export function builtInReducer(name: string): Reducer | undefined {
  return BUILT_IN.get(name)
}

/**
 * A reduce function of the user's. What it throws comes out of `reduce` and `combine`.
 *
 * It gets copies, because one that changes what it was given must not change what is kept; and what it returns is
 * taken as its JSON: nothing is `null`, and what JSON cannot hold throws.
 */
export function userReducer(reduce: UserReduce): Reducer {
  return {
    name: 'user',
    check: () => undefined,
    reduce: (rows) => {
      const keys = rows.map((row) => [copyOf(row.key), eventKeyText(row.place)] as const)
      const values = rows.map((row) => copyOf(row.value))
      return toJson(reduce(keys, values, false))
    },
    combine: (aggregates) => {
      const [only] = aggregates
      if (only !== undefined && aggregates.length === 1) return only
      return toJson(reduce(null, aggregates.map(copyOf), true))
    },
    result: (aggregate) => aggregate
  }
}

/** A reducer whose aggregates have the form `A`. */
interface ReducerOf<A extends Json> {
  /** Absent where every value will do. */
  readonly check?: (value: Json) => string | undefined
  reduce(rows: readonly ReducedRow[]): A
  combine(aggregates: readonly A[]): A
  result(aggregate: A): Json
}

/** Aggregates come from the reducer that they are given to: their form is known, and not looked at again. */
function named<A extends Json>(name: string, reducer: ReducerOf<A>): [string, Reducer] {
  const check = reducer.check ?? (() => undefined)
  return [
    name,
    {
      name,
      check,
      reduce: (rows) => {
        assert(rows.length > 0, 'a run has rows')
        return reducer.reduce(rows)
      },
      combine: (aggregates) => {
        assert(aggregates.length > 0, 'something to combine')
        return reducer.combine(aggregates as readonly A[])
      },
      result: (aggregate) => reducer.result(aggregate as A)
    }
  ]
}

const sum: ReducerOf<Json> = {
  check: (value) => findUnsummable(value),
  reduce: (rows) => sumValues(rows.map((row) => row.value)),
  combine: sumValues,
  result: roundSum
}

const count: ReducerOf<number> = {
  reduce: (rows) => rows.length,
  combine: (counts) => addAll(counts),
  result: (aggregate) => aggregate
}

type Stats = {
  readonly count: number
  readonly max: number
  readonly min: number
  readonly sum: ExactSum
  readonly sumsqr: ExactSum
}

const stats: ReducerOf<Stats> = {
  check: (value) =>
    typeof value === 'number' && Number.isFinite(value) ? undefined : 'the value is not a number',
  reduce: (rows) => {
    const [sum, squares] = [emptyTotal(), emptyTotal()]
    let [min, max] = [Infinity, -Infinity]
    for (const { value } of rows) {
      assert(typeof value === 'number', 'a value was checked')
      addNumber(sum, value)
      addSquare(squares, value)
      if (value < min) min = value
      if (value > max) max = value
    }
    // Adding 0 makes -0 the 0 that JSON has.
    const ends = { max: max + 0, min: min + 0 }
    return { count: rows.length, ...ends, sum: exactSum(sum), sumsqr: exactSum(squares) }
  },
  combine: (aggregates) => {
    const [sum, squares] = [emptyTotal(), emptyTotal()]
    let [min, max] = [Infinity, -Infinity]
    for (const aggregate of aggregates) {
      addExact(sum, aggregate.sum)
      addExact(squares, aggregate.sumsqr)
      min = Math.min(min, aggregate.min)
      max = Math.max(max, aggregate.max)
    }
    const count = addAll(aggregates.map((aggregate) => aggregate.count))
    return { count, max, min, sum: exactSum(sum), sumsqr: exactSum(squares) }
  },
  // In CouchDB's order of members.
  result: ({ sum, count, min, max, sumsqr }) => {
    return { sum: roundedJson(sum), count, min, max, sumsqr: roundedJson(sumsqr) }
  }
}

/**
 * That order has no two values equal that are written differently: which row came first cannot tell.
 *
 * @param sign 1 for the last in the order of view keys, -1 for the first
 */
function extreme(sign: 1 | -1): ReducerOf<Json> {
  const best = (values: readonly Json[]): Json =>
    values.reduce((best, value) => (sign * compareViewKeys(value, best) > 0 ? value : best))
  return {
    reduce: (rows) => withoutMinusZero(best(rows.map((row) => row.value))),
    combine: best,
    result: (aggregate) => aggregate
  }
}

/** The row's place in hex, whose order is that of the bytes, and its value. */
type Placed = readonly [place: string, value: Json]

/** @param sign 1 for the row that is last in the order of events, -1 for the first */
function outermost(sign: 1 | -1): ReducerOf<Placed> {
  return {
    reduce: (rows) => {
      const row = rows.reduce((best, row) =>
        sign * compareBytes(row.place, best.place) > 0 ? row : best
      )
      return [toHex(row.place), withoutMinusZero(row.value)]
    },
    combine: (aggregates) =>
      aggregates.reduce((best, placed) =>
        placed[0] > best[0] === sign > 0 && placed[0] !== best[0] ? placed : best
      ),
    result: ([, value]) => value
  }
}

const distinctKeys: ReducerOf<DistinctSet> = {
  reduce: (rows) => {
    const total = createDistinctTotal()
    for (const row of rows) total.addKey(row.keyBytes)
    return total.set()
  },
  combine: (sets) => {
    const total = createDistinctTotal()
    for (const set of sets) total.addSet(set)
    return total.set()
  },
  result: countDistinct
}

function addAll(counts: readonly number[]): number {
  return counts.reduce((sum, count) => sum + count, 0)
}

/** JSON text has no -0: what is kept must be what is read back. */
function withoutMinusZero(value: Json): Json {
  return value === 0 ? 0 : value
}

function eventKeyText(place: Uint8Array): string {
  return formatEventKey(eventKey(place.subarray(0, KEY_BYTES)))
}

function copyOf(value: Json): Json {
  if (typeof value !== 'object' || value === null) return value
  return JSON.parse(JSON.stringify(value)) as Json
}

function toJson(value: unknown): Json {
  // JSON.stringify answers undefined, whatever its type says, for what JSON leaves out.
  const text = JSON.stringify(value) as string | undefined
  return text === undefined ? null : (JSON.parse(text) as Json)
}

const BUILT_IN: ReadonlyMap<string, Reducer> = new Map([
  named('_sum', sum),
  named('_count', count),
  named('_stats', stats),
  named('_min', extreme(-1)),
  named('_max', extreme(1)),
  named('_first', outermost(-1)),
  named('_last', outermost(1)),
  named('_approx_count_distinct', distinctKeys)
])
