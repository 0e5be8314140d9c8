/** What is asked of a view, checked and turned into what an index answers. */

import { afterPrefix, compareBytes } from '../core/bytes.ts'
import { KEY_BYTES, keyAfter, keyTimeMs, parseEventKey } from '../core/event-key.ts'
import { stampAt } from '../core/hybrid-logical-clock.ts'
import type { Json } from '../core/json.ts'
import { encodeViewKey } from '../core/views/collation.ts'
import { LaterbaseError } from '../errors.ts'
import { parseTime } from '../schema/time.ts'
import { NotJsonError, jsonCopy } from '../views/function-value.ts'
import { VALUE_BYTES_MAX } from '../views/limits.ts'
import type { ViewProgram } from '../views/program.ts'
import { PLACE_BYTES } from '../store/event-store.ts'
import type { IndexQuery, KeyRange } from '../views/view-index.ts'
import { EXPLAIN_EVENTS_MAX } from './limits.ts'
import type { ViewQuery } from './views.ts'

export interface PlannedQuery extends IndexQuery {
  /** Commits that this cursor covers only: what no index can tell. */
  readonly heldBy: string | undefined
  /** What the rows of the answer are: events' own, or what became of several. */
  readonly rowsAre: 'events' | 'results'
}

/** @throws LATERBASE_ARGUMENT_INVALID */
export function planQuery(query: ViewQuery, program: ViewProgram): PlannedQuery {
  checkTypes(query)
  const reduce = reduceOf(query, program)
  if (query.include_events === true && reduce !== 'rows') {
    throw invalid('include_events', 'only rows of a map that is not reduced have an event each')
  }
  const ranges = rangesOf(query)
  if (query.keys !== undefined && reduce === 'all') {
    throw invalid('keys', 'several keys are reduced with group=true')
  }
  return {
    ranges,
    descending: query.descending ?? false,
    skip: count('skip', query.skip) ?? 0,
    limit: count('limit', query.limit) ?? Number.MAX_SAFE_INTEGER,
    reduce,
    ...timesOf(query),
    causes: query.explain === true ? EXPLAIN_EVENTS_MAX : 0,
    rowsAre: program.type === 'map' && reduce === 'rows' ? 'events' : 'results'
  }
}

/** A program of JavaScript may ask with anything. */
function checkTypes(query: ViewQuery): void {
  for (const [name, value] of Object.entries(query) as [string, unknown][]) {
    const kind = Object.hasOwn(PARAMETERS, name) ? PARAMETERS[name as keyof ViewQuery] : undefined
    if (kind === undefined) {
      throw invalid(name, `is not known here: ${Object.keys(PARAMETERS).join(', ')} are`)
    }
    const isLazy = name === 'update' && value === 'lazy'
    if (value === undefined || kind === 'json' || isLazy) continue
    const isOfKind = kind === 'list' ? Array.isArray(value) : typeof value === kind
    if (!isOfKind)
      throw invalid(name, `a ${kind} is expected${name === 'update' ? ', or lazy' : ''}`)
  }
}

const PARAMETERS = {
  key: 'json',
  keys: 'list',
  startkey: 'json',
  endkey: 'json',
  inclusive_end: 'boolean',
  descending: 'boolean',
  limit: 'number',
  skip: 'number',
  reduce: 'boolean',
  group: 'boolean',
  group_level: 'number',
  include_events: 'boolean',
  update: 'boolean',
  as_of: 'string',
  known_at: 'string',
  min_lc: 'string',
  explain: 'boolean'
} as const satisfies Record<keyof ViewQuery, 'json' | 'list' | 'boolean' | 'number' | 'string'>

function reduceOf(query: ViewQuery, program: ViewProgram): IndexQuery['reduce'] {
  const isGrouped = query.group === true || query.group_level !== undefined
  if (program.type === 'fold') {
    if (query.group_level !== undefined)
      throw invalid('group_level', 'a fold has a row for each key')
    if (query.reduce === false) throw invalid('reduce', 'a fold cannot be asked without its states')
    return 'keys'
  }
  const hasReducer = program.reducer !== undefined
  if (query.reduce === true && !hasReducer) throw invalid('reduce', 'the view has no reduce')
  if (isGrouped && (query.reduce === false || !hasReducer)) {
    throw invalid(query.group === true ? 'group' : 'group_level', 'only a reduce is grouped')
  }
  if (query.reduce === false || !hasReducer) return 'rows'
  if (query.group === true) return 'keys'
  const level = count('group_level', query.group_level) ?? 0
  return level === 0 ? 'all' : { level }
}

function rangesOf(query: ViewQuery): IndexQuery['ranges'] {
  const { key, keys, startkey, endkey } = query
  const isRange = startkey !== undefined || endkey !== undefined
  if (Number(key !== undefined) + Number(keys !== undefined) + Number(isRange) > 1) {
    throw invalid('key', 'give one of key, keys, or startkey and endkey')
  }
  if (key !== undefined) return [rangeOfKey('key', key)]
  if (keys !== undefined) return keys.map((each) => rangeOfKey('keys', each))
  return [rangeBetween(query)]
}

function rangeOfKey(name: string, key: Json): KeyRange & { readonly key: Json } {
  const from = encoded(name, key)
  return { from, to: afterPrefix(from), key }
}

function rangeBetween(query: ViewQuery): KeyRange {
  const { descending = false, inclusive_end: isInclusive = true } = query
  const start = query.startkey === undefined ? undefined : encoded('startkey', query.startkey)
  const end = query.endkey === undefined ? undefined : encoded('endkey', query.endkey)
  const range: KeyRange = descending
    ? { from: end && (isInclusive ? end : afterPrefix(end)), to: start && afterPrefix(start) }
    : { from: start, to: end && (isInclusive ? afterPrefix(end) : end) }
  if (range.from !== undefined && range.to !== undefined) {
    if (compareBytes(range.from, range.to) > 0) {
      const order = descending ? 'descending goes from the highest key down' : 'keys go up'
      throw invalid('startkey', `no row can be between it and endkey: ${order}`)
    }
  }
  return range
}

function encoded(name: string, key: Json): Uint8Array {
  try {
    return encodeViewKey(jsonCopy(key, { bytes: VALUE_BYTES_MAX }))
  } catch (error) {
    if (error instanceof NotJsonError) throw invalid(name, error.detail)
    if (error instanceof RangeError) throw invalid(name, error.message)
    throw error
  }
}

function count(name: string, value: number | undefined): number | undefined {
  if (value === undefined || (Number.isSafeInteger(value) && value >= 0)) return value
  throw invalid(name, 'a whole number, 0 or more, is expected')
}

function timesOf(query: ViewQuery): Pick<PlannedQuery, 'before' | 'recordedBy' | 'heldBy'> {
  const { as_of: asOf, known_at: knownAt } = query
  const before = asOf === undefined ? undefined : placeAfter(asOf)
  if (knownAt === undefined) return { before, recordedBy: undefined, heldBy: undefined }
  const ms = timeOf(knownAt)
  if (ms === undefined) return { before, recordedBy: undefined, heldBy: knownAt }
  return { before, recordedBy: stampAt(ms + 1) - 1n, heldBy: undefined }
}

/** The first place that is too late. Undefined for a key that none comes after. */
function placeAfter(text: string): Uint8Array | undefined {
  const place = new Uint8Array(PLACE_BYTES)
  const ms = parseTime(text)
  if (ms !== undefined) {
    new DataView(place.buffer).setBigUint64(0, BigInt(Math.max(0, ms + 1)) << 16n)
    return place
  }
  const key = parseEventKey(text)
  if (key === undefined) throw invalid('as_of', 'an RFC 3339 time or a ULID is expected')
  const next = keyAfter(key)
  if (next === undefined) return undefined
  place.set(next.subarray(0, KEY_BYTES))
  return place
}

function timeOf(text: string): number | undefined {
  const ms = parseTime(text)
  if (ms !== undefined) return ms
  const key = parseEventKey(text)
  return key === undefined ? undefined : keyTimeMs(key)
}

function invalid(name: string, why: string): LaterbaseError {
  return new LaterbaseError('LATERBASE_ARGUMENT_INVALID', `${name}: ${why}`, {
    facts: { parameter: name }
  })
}
