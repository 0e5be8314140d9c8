/** Views over events of few keys and contents, and all that can be asked of one; for the properties. */

import fc from 'fast-check'

import { present } from '../../src/core/assert.ts'
import type { CommitEvent } from '../../src/core/commit.ts'
import { eventKey, formatEventKey } from '../../src/core/event-key.ts'
import type { Json } from '../../src/core/json.ts'
import { compareViewKeys } from '../../src/core/views/collation.ts'
import type { ViewQuery } from '../../src/node/views.ts'
import { formatTime } from '../../src/schema/time.ts'
import type { FoldView, MapView, SelectFoldView } from '../../src/views/define-view.ts'
import { event } from './arbitraries.ts'
import type { Asked, AskedRange } from './map-model.ts'

interface Content {
  readonly k?: Json
  readonly v?: Json
}

type PlainDefinition =
  Omit<MapView<Content | null>, 'name'> | Omit<FoldView<Content | null, Json[], Json>, 'name'>
type SelectingFold = Omit<SelectFoldView<Content | null, Json[], Json, Json[]>, 'name'>
type Definition = PlainDefinition | SelectingFold

/** Each of other functions; what they emit is fit for some reducers only. */
const PLAIN: Readonly<Record<string, PlainDefinition>> = {
  rows: { map: ({ data }, emit) => emit(data?.k ?? 'none', data?.v ?? null) },
  sum: { map: ({ data }, emit) => emit(data?.k ?? null, data?.v ?? 0), reduce: '_sum' },
  count: {
    map: ({ data, key }, emit) => {
      if (data?.v === 3) throw new Error('three')
      emit([data?.k ?? null, key.slice(9, 10)], 1)
      emit(['all'], data?.v ?? null)
    },
    reduce: '_count'
  },
  joined: {
    map: ({ data, key }, emit) => emit([data?.k ?? 'none'], key.slice(-2)),
    reduce: (_keys, values) => values.map(String).join('')
  },
  fold: {
    key: ({ data }) => data?.k,
    initial: () => [],
    apply: (state, { data, key }) => {
      if (data?.v === 3) throw new Error('three')
      return [...state, `${key.slice(-1)}${JSON.stringify(data?.v)}`]
    },
    final: (state) => state.map(String).join()
  },
  'effective fold': {
    events: 'effective',
    key: ({ data }) => [data?.k ?? null, 'effective'],
    initial: () => [],
    apply: (state, { key }) => [...state, key.slice(-2)]
  },
  'effective rows': {
    events: 'effective',
    map: ({ data, key }, emit) => emit(data?.k ?? 'none', [data?.v ?? null, key.slice(-1)])
  },
  'effective sum': {
    events: 'effective',
    map: ({ data }, emit) => emit([data?.k ?? null, 'effective'], data?.v ?? 0),
    reduce: '_sum'
  }
}
const SELECTING: SelectingFold = {
  key: ({ data }) => data?.k,
  select: ({ data, key }) => (data?.v === 2 ? undefined : [key.slice(-1), data?.v ?? null]),
  initial: () => [],
  apply: (state, seen) => {
    if (seen[1] === 3) throw new Error('three')
    return [...state, seen]
  }
}

export const DEFINITIONS: Readonly<Record<string, Definition>> = {
  ...PLAIN,
  'selecting fold': SELECTING,
  'effective selecting fold': { ...SELECTING, events: 'effective' }
}
export const DEFINITION_NAMES = Object.keys(DEFINITIONS)

const CONTENT_KEYS: readonly Json[] = ['a', 'b', ['a'], ['a', 1], null]
const SMALL_KEYS = Array.from({ length: 13 }, (_, number) => {
  const key = new Uint8Array(16)
  key[5] = number >> 2
  key[15] = number & 3
  return eventKey(key)
})
export const SMALL_KEY_TEXTS = SMALL_KEYS.map(formatEventKey)

const contents: fc.Arbitrary<Record<string, Json>> = fc
  .record({
    corrects: fc.option(fc.constantFrom(...SMALL_KEY_TEXTS), { freq: 2, nil: undefined }),
    data: fc.oneof(
      {
        weight: 6,
        arbitrary: fc.record({
          k: fc.constantFrom(...CONTENT_KEYS),
          v: fc.constantFrom<Json>(1, 2, 3, 0.1, 'text')
        })
      },
      { weight: 1, arbitrary: fc.constant(null) }
    )
  })
  .map(({ corrects, data }) => (corrects === undefined ? { data } : { corrects, data }))

/** What others commit: several contents of a key among them, corrections of what is there, or not yet. */
export const viewedEvents: fc.Arbitrary<CommitEvent> = fc
  .tuple(fc.constantFrom(...SMALL_KEYS), contents)
  .map(([key, content]) => event(key, JSON.stringify(content)))

/** What a client of this box writes. */
export const viewedInputs = fc
  .tuple(fc.option(fc.constantFrom(...SMALL_KEY_TEXTS), { nil: undefined }), contents)
  .map(([key, content]) => ({ ...(key !== undefined && { key }), ...content }))

const ASKED_KEYS: readonly Json[] = [
  ...CONTENT_KEYS,
  ['all'],
  [null],
  ['b'],
  ['a', '2'],
  [['a'], '0'],
  ['a', 'effective']
]
const someKey = fc.constantFrom<Json[]>(...ASKED_KEYS)
const maybe = <T>(arbitrary: fc.Arbitrary<T>, freq = 1): fc.Arbitrary<T | undefined> =>
  fc.option(arbitrary, { freq, nil: undefined })

/** Without `known_at` as a cursor, which only those who hold one can ask with. */
export const viewQueries: fc.Arbitrary<ViewQuery> = fc
  .record({
    range: fc.oneof(
      { weight: 2, arbitrary: fc.constant({}) },
      fc.record({ key: someKey }),
      fc.record({ keys: fc.array(someKey, { maxLength: 3 }) }),
      fc.record({ startkey: someKey, endkey: someKey }),
      fc.record({ startkey: someKey }),
      fc.record({ endkey: someKey })
    ),
    group: fc.oneof(
      fc.constant({}),
      fc.constant({ group: true }),
      fc.constant({ reduce: false }),
      fc.constant({ reduce: true }),
      fc.integer({ min: 0, max: 2 }).map((level) => ({ group_level: level }))
    ),
    inclusive_end: maybe(fc.boolean()),
    descending: maybe(fc.boolean()),
    limit: maybe(fc.nat(5)),
    skip: maybe(fc.nat(3)),
    include_events: maybe(fc.boolean(), 4),
    update: maybe(fc.constantFrom(true, false, 'lazy' as const), 2),
    as_of: maybe(fc.oneof(fc.nat(5).map(formatTime), fc.constantFrom(...SMALL_KEY_TEXTS)), 3),
    known_at: maybe(fc.oneof(fc.nat(40).map(formatTime), fc.constantFrom(...SMALL_KEY_TEXTS)), 3),
    explain: maybe(fc.boolean(), 3)
  })
  .map(({ range, group, ...others }) => defined({ ...range, ...group, ...others }))

function defined(members: object): ViewQuery {
  const given = Object.entries(members).filter(([, value]) => value !== undefined)
  return Object.fromEntries(given)
}

export type ViewKind = 'rows' | 'reduced' | 'folded'

export function kindOf(definition: Definition): ViewKind {
  if (!('map' in definition)) return 'folded'
  return definition.reduce === undefined ? 'rows' : 'reduced'
}

/** What a query asks of a view; undefined for one that is refused. */
export function askedOf(
  query: ViewQuery,
  kind: ViewKind
): Omit<Asked, 'before' | 'recordedBy'> | undefined {
  const { descending = false, skip = 0, limit = Number.MAX_SAFE_INTEGER } = query
  const reduce = reduceOf(query, kind)
  const ranges = rangesOf(query)
  if (reduce === undefined || ranges === undefined) return undefined
  if (query.include_events === true && reduce !== 'rows') return undefined
  if (query.keys !== undefined && reduce === 'all') return undefined
  return { ranges, descending, skip, limit, reduce }
}

function reduceOf(query: ViewQuery, kind: ViewKind): Asked['reduce'] | undefined {
  const { reduce, group, group_level: level } = query
  if (kind === 'folded') return reduce === false || level !== undefined ? undefined : 'keys'
  if (kind === 'rows') {
    return reduce === true || group === true || level !== undefined ? undefined : 'rows'
  }
  if (reduce === false) return group === true || level !== undefined ? undefined : 'rows'
  if (group === true) return 'keys'
  return level === undefined || level === 0 ? 'all' : { level }
}

function rangesOf(query: ViewQuery): readonly AskedRange[] | undefined {
  const { key, keys, startkey, endkey, descending = false, inclusive_end: inclusive = true } = query
  if (key !== undefined) return [{ key }]
  if (keys !== undefined) return keys.map((each) => ({ key: each }))
  const start = startkey === undefined ? undefined : { key: startkey, inclusive: true }
  const end = endkey === undefined ? undefined : { key: endkey, inclusive }
  const range = descending ? { from: end, to: start } : { from: start, to: end }
  if (start === undefined || end === undefined) return [range]
  const order = compareViewKeys(present(range.from, 'a start').key, present(range.to, 'an end').key)
  return order > 0 ? undefined : [range]
}
