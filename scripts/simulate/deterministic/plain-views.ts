/**
 * What a view must answer, from scratch: the events that count, one pass of the view's functions, a sort.
 * Nothing of the engine is used. It knows as much of a query as simulated clients ask.
 */

import { compareBytes } from '../../../src/core/bytes.ts'
import { formatEventKey, keyTimeMs } from '../../../src/core/event-key.ts'
import type { EventKey } from '../../../src/core/event-key.ts'
import type { Json } from '../../../src/node/laterbase.ts'
import { formatTime } from '../../../src/schema/time.ts'
import type { ViewEvent } from '../../../src/views/program.ts'
import type { ViewQuery } from '../../../src/node/views.ts'
import type { PlainReduce, SimFold, SimMap, SimView } from './sim-views.ts'

/** One event of a set. */
export interface PlainEvent {
  /** Key and content hash. */
  readonly id: string
  readonly key: EventKey
  readonly hash: Uint8Array
  readonly value: Uint8Array
  /** The stamp of the first of the commits that hold it. */
  readonly recorded: bigint
}

export interface PlainRow {
  readonly id?: string
  readonly key: Json
  readonly value: Json
}

/** A query, its times as events are compared with them. */
export interface PlainQuery extends Omit<ViewQuery, 'as_of' | 'known_at'> {
  /** The last key that counts. */
  readonly lastKey?: EventKey | undefined
  readonly lastMs?: number | undefined
  readonly recordedMs?: number | undefined
  /** Identities of the events that count. */
  readonly held?: ReadonlySet<string> | undefined
}

interface FullRow extends PlainRow {
  readonly event: PlainEvent
}

export function plainAnswer(
  view: SimView,
  events: readonly PlainEvent[],
  query: PlainQuery
): readonly PlainRow[] {
  const within = events.filter(isWithin(query)).filter((event) => !isDefinition(event))
  const counted = effectiveOf(view, within.sort(byPlace))
  const { skip = 0, limit = Infinity } = query
  const all = 'map' in view ? mapRows(view, counted, query) : foldRows(view, counted, query)
  return all.slice(skip, skip + limit)
}

function mapRows(
  view: SimMap,
  events: readonly PlainEvent[],
  query: PlainQuery
): readonly PlainRow[] {
  const rows = inOrder(
    events.flatMap((event) => rowsOf(view, event)),
    query
  )
  const isReduced = view.reduce !== undefined && query.reduce !== false
  return isReduced ? groupsOf(view.reduce, rows, query) : rows.map(shownRow)
}

/** One state an aggregate; an event that a function fails for leaves it as it was. */
function foldRows(
  view: SimFold,
  events: readonly PlainEvent[],
  query: PlainQuery
): readonly PlainRow[] {
  const states = new Map<string, Json>()
  for (const event of events) {
    const seen = { ...told(event), data: told(event).data ?? null }
    const key = unlessItThrows(() => view.key(seen))
    if (key === undefined) continue
    const selected = view.select === undefined ? null : unlessItThrows(() => view.select(seen))
    if (selected === undefined) continue
    const name = JSON.stringify(key)
    const state = states.get(name) ?? view.initial()
    const given = structuredClone(state)
    const apply = (): Json =>
      view.select === undefined ? view.apply(given, seen) : view.apply(given, selected)
    states.set(name, unlessItThrows(apply) ?? state)
  }
  const rows = [...states].map(([name, state]) => {
    const key = JSON.parse(name) as Json
    return { key, value: view.final === undefined ? state : view.final(state) }
  })
  return inOrder(rows, query)
}

function unlessItThrows<T>(work: () => T): T | undefined {
  try {
    return work()
  } catch {
    return undefined
  }
}

function inOrder<Row extends PlainRow>(rows: readonly Row[], query: PlainQuery): Row[] {
  const asked = rows.filter(({ key }) => isAsked(key, query)).sort(byKey)
  return query.descending === true ? asked.reverse() : asked
}

function isWithin({ lastKey, lastMs, recordedMs, held }: PlainQuery) {
  return ({ id, key, recorded }: PlainEvent): boolean =>
    (lastKey === undefined || compareBytes(key, lastKey) <= 0) &&
    (lastMs === undefined || keyTimeMs(key) <= lastMs) &&
    (recordedMs === undefined || Number(recorded >> 16n) <= recordedMs) &&
    (held === undefined || held.has(id))
}

/** What defines views is not among what they are of. */
export function isDefinition(event: PlainEvent): boolean {
  return keyTimeMs(event.key) === 0 && told(event).type === 'laterbase.view'
}

/** What the last of them defines, as it stands in the event; undefined for nothing. */
export function lastDefinition(events: readonly PlainEvent[]): Json | undefined {
  const last = events.filter(isDefinition).sort(byPlace).at(-1)
  const data = last === undefined ? undefined : told(last).data
  return (data as { readonly definition?: Json } | undefined)?.definition
}

function byPlace(a: PlainEvent, b: PlainEvent): number {
  return compareBytes(a.key, b.key) || compareBytes(a.hash, b.hash)
}

/** The event spec, section 5: what no other corrects, and of what corrects the last that is not passed over. */
function effectiveOf(view: SimView, sorted: readonly PlainEvent[]): readonly PlainEvent[] {
  if (view.events !== 'effective') return sorted
  const last = new Map<string, PlainEvent>()
  for (const event of sorted) {
    const corrected = correctedBy(event)
    if (corrected !== undefined) last.set(corrected, event)
  }
  const passedOver = passedOverOf(sorted, last)
  return sorted.filter((event) => {
    if (last.has(told(event).key) || passedOver.has(event)) return false
    const corrected = correctedBy(event)
    return corrected === undefined || (last.get(corrected) === event && told(event).data !== null)
  })
}

/** Corrections beside one of a higher key; those of what is passed over; and so on until nothing more is. */
function passedOverOf(
  sorted: readonly PlainEvent[],
  last: ReadonlyMap<string, PlainEvent>
): ReadonlySet<PlainEvent> {
  const passedOver = new Set<PlainEvent>()
  const keys = new Set<string>()
  for (let count = -1; count < passedOver.size;) {
    count = passedOver.size
    for (const event of sorted) {
      const corrected = correctedBy(event)
      const highest = corrected === undefined ? undefined : last.get(corrected)
      if (corrected === undefined || highest === undefined) continue
      if (told(event).key === told(highest).key && !keys.has(corrected)) continue
      passedOver.add(event)
      keys.add(told(event).key)
    }
  }
  return passedOver
}

function correctedBy(event: PlainEvent): string | undefined {
  const { corrects, key } = told(event)
  return corrects === key ? undefined : corrects
}

function rowsOf(view: SimMap, event: PlainEvent): readonly FullRow[] {
  const rows: FullRow[] = []
  const id = formatEventKey(event.key)
  try {
    view.map({ ...told(event), data: told(event).data ?? null }, (key, value) => {
      rows.push({ id, key, value: value ?? null, event })
    })
  } catch {
    return []
  }
  return rows
}

const TOLD = new WeakMap<PlainEvent, ViewEvent>()

/** As a view's functions see it. */
function told(event: PlainEvent): ViewEvent {
  const known = TOLD.get(event) ?? tell(event)
  TOLD.set(event, known)
  return known
}

function tell({ key, value }: PlainEvent): ViewEvent {
  const members = JSON.parse(Buffer.from(value).toString()) as Partial<ViewEvent>
  const { type, subject, source, id, schema, corrects, data } = members
  const time = formatTime(keyTimeMs(key))
  const content = { data, data_base64: undefined, datacontenttype: undefined }
  const envelope = { type, subject, source, id, schema, corrects }
  return { key: formatEventKey(key), time, ...envelope, ...content }
}

/** Rows of one key are in the order of their events; of one event, as they were emitted: sorting is stable. */
function byKey(a: PlainRow, b: PlainRow): number {
  return compareKeys(a.key, b.key)
}

function isAsked(
  key: Json,
  { key: only, startkey, endkey, descending = false }: PlainQuery
): boolean {
  if (only !== undefined) return compareKeys(key, only) === 0
  const sign = descending ? -1 : 1
  const isBefore = startkey !== undefined && sign * compareKeys(key, startkey) < 0
  const isBehind = endkey !== undefined && sign * compareKeys(key, endkey) > 0
  return !isBefore && !isBehind
}

function shownRow({ id, key, value }: FullRow): PlainRow {
  return { ...(id !== undefined && { id }), key, value }
}

function groupsOf(
  reduce: PlainReduce | undefined,
  rows: readonly FullRow[],
  { group, group_level: level = 0 }: PlainQuery
): readonly PlainRow[] {
  const nameOf = (key: Json): Json => {
    if (group === true) return key
    if (level === 0) return null
    return Array.isArray(key) ? key.slice(0, level) : key
  }
  const groups = new Map<string, FullRow[]>()
  for (const row of rows) {
    const name = JSON.stringify(nameOf(row.key))
    groups.set(name, [...(groups.get(name) ?? []), row])
  }
  return [...groups].map(([name, those]) => {
    return { key: JSON.parse(name) as Json, value: reduced(reduce, those) }
  })
}

function reduced(reduce: PlainReduce | undefined, rows: readonly FullRow[]): Json {
  if (reduce === '_count') return rows.length
  if (reduce === '_sum') return rows.reduce((sum, { value }) => sum + Number(value), 0)
  const [last] = rows.toSorted((a, b) => byPlace(b.event, a.event))
  return last?.value ?? null
}

/** null < numbers < texts < arrays. */
export function compareKeys(a: Json, b: Json): number {
  if (typeof a === 'number' && typeof b === 'number') return a - b
  if (typeof a === 'string' && typeof b === 'string') return a < b ? -1 : a > b ? 1 : 0
  if (Array.isArray(a) && Array.isArray(b)) {
    for (const [at, element] of a.entries()) {
      const other = b[at]
      if (other === undefined) return 1
      const order = compareKeys(element, other)
      if (order !== 0) return order
    }
    return a.length - b.length
  }
  return rank(a) - rank(b)
}

function rank(key: Json): number {
  if (key === null) return 0
  if (typeof key === 'number') return 1
  return typeof key === 'string' ? 2 : 3
}
