/**
 * What a map's index must answer, computed plainly: every event through the function, every row looked at,
 * one pass over sorted arrays. Knows the order of view keys by comparing values, never by their bytes.
 */

import { compareBytes, toHex } from '../../src/core/bytes.ts'
import type { Stamp } from '../../src/core/hybrid-logical-clock.ts'
import type { Json } from '../../src/core/json.ts'
import { compareViewKeys, encodeViewKey } from '../../src/core/views/collation.ts'
import type { Reducer } from '../../src/core/views/reducers.ts'
import type { MapProgram } from '../../src/views/program.ts'
import type { IndexedEvent } from '../../src/views/view-index.ts'

export interface ModelRow {
  readonly key: Json
  readonly value: Json
  /** Of its event. */
  readonly place: Uint8Array
  readonly number: number
  readonly recorded: Stamp
}

/** A range as somebody asks for it; both ends in the order of keys, whatever the direction. */
export interface AskedRange {
  readonly key?: Json
  readonly from?: { readonly key: Json; readonly inclusive: boolean } | undefined
  readonly to?: { readonly key: Json; readonly inclusive: boolean } | undefined
}

export interface Asked {
  readonly ranges: readonly AskedRange[]
  readonly descending: boolean
  readonly skip: number
  readonly limit: number
  readonly reduce: 'rows' | 'all' | 'keys' | { readonly level: number }
  readonly before: Uint8Array | undefined
  readonly recordedBy: Stamp | undefined
}

export interface ModelAnswer {
  readonly rows: readonly { key: Json; value: Json; place: string | undefined }[]
  readonly totalRows: number | undefined
  readonly offset: number | undefined
  readonly faults: number
  /** Of each row, the places of the events behind it, in event order. */
  readonly causes: readonly (readonly string[])[]
}

/** Bytes of a row's value and number of an event's rows beyond which none of the event's is kept. */
export interface RowLimits {
  readonly valueBytes: number
  readonly rows: number
}

/** All rows of these events, in order; and how many events a function failed for. */
export function modelRows(
  program: MapProgram,
  events: readonly IndexedEvent[],
  limits: RowLimits
): { readonly rows: readonly ModelRow[]; readonly faults: number } {
  let faults = 0
  const rows: ModelRow[] = []
  for (const event of events) {
    const ofEvent = rowsOfEvent(program, event, limits)
    if (ofEvent === undefined) faults += 1
    else rows.push(...ofEvent)
  }
  rows.sort(compareRows)
  return { rows, faults }
}

/** Undefined for an event that has none, because of a fault. */
function rowsOfEvent(
  program: MapProgram,
  { event, place, recorded }: IndexedEvent,
  limits: RowLimits
): ModelRow[] | undefined {
  const [outcome] = program.map([event])
  if (outcome === undefined || 'fault' in outcome) return undefined
  if (outcome.rows.length > limits.rows) return undefined
  const rows: ModelRow[] = []
  for (const [number, { key, value }] of outcome.rows.entries()) {
    const json = JSON.stringify(value)
    if (!isKey(key) || program.reducer?.check(value) !== undefined) return undefined
    if (Buffer.byteLength(json) > limits.valueBytes) return undefined
    const stored = { key: jsonOf(key), value: JSON.parse(json) as Json }
    rows.push({ ...stored, place, number, recorded })
  }
  return rows
}

function isKey(key: Json): boolean {
  try {
    encodeViewKey(key)
    return true
  } catch (error) {
    if (error instanceof RangeError) return false
    throw error
  }
}

export function modelAnswer(
  all: readonly ModelRow[],
  asked: Asked,
  reducer: Reducer | undefined
): ModelAnswer {
  const { before, recordedBy, reduce } = asked
  const known = all.filter(
    ({ place, recorded }) =>
      (before === undefined || compareBytes(place, before) < 0) &&
      (recordedBy === undefined || recorded <= recordedBy)
  )
  if (reduce === 'rows') return answerRows(known, asked)
  const groups = asked.ranges
    .flatMap((range) => groupsIn(known, range, asked))
    .slice(asked.skip, asked.skip + asked.limit)
  const results = groups.map(({ rows }) => resultOf(rows, reducer))
  return {
    rows: groups.map(({ key }, index) => {
      return { key, value: results[index]?.value ?? null, place: undefined }
    }),
    totalRows: undefined,
    offset: undefined,
    faults: results.filter(({ fault }) => fault).length,
    causes: groups.map(({ rows }) => [...new Set(rows.map(({ place }) => toHex(place)))].sort())
  }
}

function answerRows(known: readonly ModelRow[], asked: Asked): ModelAnswer {
  const { ranges, skip, limit, descending } = asked
  const found = ranges.flatMap((range) => {
    const rows = known.filter(({ key }) => isIn(key, range))
    return descending ? rows.reverse() : rows
  })
  const rows = found.slice(skip, skip + limit)
  const [range] = ranges
  return {
    rows: rows.map(({ key, value, place }) => ({ key, value, place: toHex(place) })),
    totalRows: known.length,
    offset:
      range === undefined || ranges.length > 1
        ? undefined
        : known.filter(({ key }) => isAhead(key, range, descending)).length +
          Math.min(skip, found.length),
    faults: 0,
    causes: rows.map(({ place }) => [toHex(place)])
  }
}

interface ModelGroup {
  readonly key: Json
  readonly rows: readonly ModelRow[]
}

function groupsIn(
  known: readonly ModelRow[],
  range: AskedRange,
  { reduce, descending }: Asked
): ModelGroup[] {
  const rows = known.filter(({ key }) => isIn(key, range))
  if (rows.length === 0) return []
  if (reduce === 'all') return [{ key: null, rows }]
  const level = typeof reduce === 'object' ? reduce.level : Infinity
  const groups: { key: Json; rows: ModelRow[] }[] = []
  for (const row of rows) {
    const key = Array.isArray(row.key) ? (row.key as Json[]).slice(0, level) : row.key
    const last = groups.at(-1)
    if (last !== undefined && compareViewKeys(last.key, key) === 0) last.rows.push(row)
    else groups.push({ key, rows: [row] })
  }
  return descending ? groups.reverse() : groups
}

function resultOf(
  rows: readonly ModelRow[],
  reducer: Reducer | undefined
): { readonly value: Json; readonly fault: boolean } {
  if (reducer === undefined) return { value: null, fault: true }
  try {
    const reduced = rows.map(({ key, value, place, number }) => {
      const full = Buffer.concat([place, Uint8Array.of(number >> 8, number & 255)])
      return { key, keyBytes: encodeViewKey(key), value, place: full }
    })
    return { value: jsonOf(reducer.result(reducer.reduce(reduced))), fault: false }
  } catch {
    return { value: null, fault: true }
  }
}

export function isIn(key: Json, { key: only, from, to }: AskedRange): boolean {
  if (only !== undefined) return compareViewKeys(key, only) === 0
  return !isBelow(key, from) && !isAbove(key, to)
}

/** Whether rows of this key come before a range in the answer's direction. */
function isAhead(key: Json, { key: only, from, to }: AskedRange, descending: boolean): boolean {
  const edge = { key: only ?? null, inclusive: true }
  if (descending) return isAbove(key, only === undefined ? to : edge)
  return isBelow(key, only === undefined ? from : edge)
}

function isBelow(key: Json, from: AskedRange['from']): boolean {
  if (from === undefined) return false
  const order = compareViewKeys(key, from.key)
  return from.inclusive ? order < 0 : order <= 0
}

function isAbove(key: Json, to: AskedRange['to']): boolean {
  if (to === undefined) return false
  const order = compareViewKeys(key, to.key)
  return to.inclusive ? order > 0 : order >= 0
}

function compareRows(a: ModelRow, b: ModelRow): number {
  const order = compareViewKeys(a.key, b.key) || compareBytes(a.place, b.place)
  return order || a.number - b.number
}

/** As JSON has it: no -0. */
function jsonOf(value: Json): Json {
  return JSON.parse(JSON.stringify(value)) as Json
}
