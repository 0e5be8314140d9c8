/**
 * Views beside PouchDB's: the same documents as events, the same functions and questions, the same answers.
 * `POUCH_RUNS` says how many sets of documents; each is asked ten questions.
 *
 * Left out, as stated in `src/views/README.md`, is what differs: the order of strings that UTF-8 and UTF-16 put
 * otherwise, `offset`, the direction of `keys`, and which event an error is of.
 */

import fc from 'fast-check'
import PouchDB from 'pouchdb-core'
import type { PouchAnswer, PouchDatabase } from 'pouchdb-core'
import memoryAdapter from 'pouchdb-adapter-memory'
import mapreduce from 'pouchdb-mapreduce'
import { expect, test } from 'vitest'

import { eventKey, formatEventKey } from '../../src/core/event-key.ts'
import type { Json } from '../../src/core/json.ts'
import { LaterbaseError } from '../../src/errors.ts'
import type { View, ViewAnswer, ViewQuery } from '../../src/node/views.ts'
import type { MapView } from '../../src/views/define-view.ts'
import { databaseOf } from './forest.ts'

PouchDB.plugin(memoryAdapter).plugin(mapreduce)

const RUNS = Number(process.env['POUCH_RUNS'] ?? 100)
const QUESTIONS = 10

interface Order {
  readonly tag: Json
  readonly sort: Json
  readonly count: number
  readonly lines: readonly Json[]
}

type Emit = (key: Json, value?: Json) => void

/** Each in two forms: a function of an event, and the text of one of a document. */
const MAPS = {
  tag: (order: Order, emit: Emit): void => emit(order.tag, order.count),
  pair: (order: Order, emit: Emit): void => emit([order.tag, order.sort], order.count),
  triple: (order: Order, emit: Emit): void => emit(['all', order.sort, order.count], 1),
  lines: (order: Order, emit: Emit): void => {
    for (const line of order.lines) emit(line, order.count)
  },
  some: (order: Order, emit: Emit): void => {
    if (order.count > 2) emit(order.sort)
  }
}

const total = (_keys: unknown, values: readonly Json[]): Json =>
  values.reduce<number>((sum, value) => sum + Number(value), 0)
const names = (keys: readonly (readonly [Json, string])[] | null, values: readonly Json[]): Json =>
  (keys === null ? values.flat().map(String) : keys.map(([, id]) => id)).sort()

const REDUCES = {
  none: undefined,
  sum: '_sum',
  count: '_count',
  stats: '_stats',
  total,
  names
} as const

/** Strings that both sort alike: PouchDB goes by UTF-16, CouchDB by ICU. */
const texts = fc.constantFrom(
  '',
  'a',
  'aa',
  'ab',
  'b',
  'B',
  'é',
  '0',
  '10',
  '9',
  '\u0000',
  'a\u0001',
  '~'
)
const keys: fc.Arbitrary<Json> = fc.oneof(
  { weight: 3, arbitrary: texts },
  {
    weight: 3,
    arbitrary: fc.constantFrom(0, 1, 2, 10, -1, -10, 0.5, 1e21, -1e-7, 123456.789)
  },
  {
    weight: 1,
    arbitrary: fc.constantFrom<Json[]>(
      null,
      true,
      false,
      [],
      {},
      ['a'],
      ['a', 1],
      [[]],
      { a: 1 },
      { a: 1, b: 2 },
      { b: 1 }
    )
  }
)
const orders: fc.Arbitrary<Order> = fc.record({
  tag: keys,
  sort: keys,
  count: fc.integer({ min: -3, max: 9 }),
  lines: fc.array(keys, { maxLength: 3 })
})

const edges = fc.oneof(
  keys,
  fc.tuple(keys, keys),
  fc.constantFrom<Json[]>(['all'], ['all', {}], ['a', {}], [null], {}),
  fc.tuple(fc.constant('all'), keys)
)
const maybe = <T>(arbitrary: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> =>
  fc.option(arbitrary, { nil: undefined })
const ranges = fc.oneof(
  { weight: 3, arbitrary: fc.constant({}) },
  { weight: 1, arbitrary: edges.map((key) => ({ key })) },
  {
    weight: 4,
    arbitrary: fc.record({
      startkey: maybe(edges),
      endkey: maybe(edges),
      inclusive_end: maybe(fc.boolean())
    })
  }
)
const pages = fc.oneof(
  fc.constant({}),
  fc.record({ limit: maybe(fc.nat(8)), skip: maybe(fc.nat(4)) })
)
const grouping = fc.oneof(
  fc.constant({}),
  fc.constant({ group: true }),
  fc.constant({ reduce: false }),
  fc.integer({ min: 0, max: 3 }).map((level) => ({ group_level: level }))
)
const several = fc.uniqueArray(edges, { maxLength: 5, selector: (key) => JSON.stringify(key) })

/** As the two have it in common: `keys` of a reduce are grouped, and go up. */
const questions: fc.Arbitrary<ViewQuery> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc
      .tuple(ranges, pages, grouping, maybe(fc.boolean()))
      .map(([range, page, group, descending]) => given({ ...range, ...page, ...group, descending }))
  },
  {
    weight: 1,
    arbitrary: fc
      .tuple(several, pages, fc.constantFrom({ group: true }, { reduce: false }))
      .map(([list, page, group]) => given({ keys: list, ...page, ...group }))
  }
)

function given(members: object): ViewQuery {
  return Object.fromEntries(Object.entries(members).filter(([, value]) => value !== undefined))
}

type MapName = keyof typeof MAPS
type ReduceName = keyof typeof REDUCES

/** What is not a number is an error of the event here, of the question there. */
const definitions = fc
  .tuple(
    fc.constantFrom(...(Object.keys(MAPS) as MapName[])),
    fc.constantFrom(...(Object.keys(REDUCES) as ReduceName[]))
  )
  .filter(([map, reduce]) => map !== 'some' || ['none', 'count', 'names'].includes(reduce))

interface Doc extends Order {
  readonly _id: string
}

let databases = 0

async function pouchOf(
  docs: readonly Doc[],
  map: MapName,
  reduce: ReduceName
): Promise<PouchDatabase> {
  databases += 1
  const database = new PouchDB(`orders-${databases}`, { adapter: 'memory' })
  const view = {
    map: `function (doc) { (${String(MAPS[map])})(doc, emit) }`,
    ...(reduce !== 'none' && { reduce: String(REDUCES[reduce]) })
  }
  await database.bulkDocs([...docs, { _id: '_design/orders', views: { view } }])
  return database
}

async function viewOf(docs: readonly Doc[], map: MapName, reduce: ReduceName): Promise<View> {
  const database = await databaseOf([])
  const events = docs.map(({ _id: key, ...data }) => ({ key, data: data as unknown as Json }))
  const mapped = MAPS[map]
  const view: MapView<Order> = {
    name: 'orders',
    // Functions of equal texts are told by their version.
    version: `${map} ${reduce}`,
    map: ({ data }, emit) => mapped(data, emit),
    ...(REDUCES[reduce] !== undefined && { reduce: REDUCES[reduce] })
  }
  const defined = await database.views.define(view)
  // Half of them come later: what is built anew, and what is changed, is the same.
  await database.append(events.slice(0, events.length >> 1), { clock: 'trust' })
  await defined.refresh()
  if (events.length > 0) await database.append(events.slice(events.length >> 1), { clock: 'trust' })
  return defined as unknown as View
}

function keyText(number: number): string {
  const key = new Uint8Array(16)
  key[5] = 1 + (number >> 4)
  key[15] = number & 15
  return formatEventKey(eventKey(key))
}

/** In what both say. */
function shown(answer: ViewAnswer | PouchAnswer, isReduced: boolean): unknown {
  return {
    total: answer.total_rows,
    rows: answer.rows.map(({ id, key, value }) => (isReduced ? { key, value } : { id, key, value }))
  }
}

test('answers are those of PouchDB, for any documents, functions and questions', async () => {
  const seen = { rows: 0, refused: 0, asked: 0 }
  await fc.assert(
    fc.asyncProperty(
      fc.array(orders, { maxLength: 25, size: 'max' }),
      fc.array(fc.nat(60), { minLength: 25, maxLength: 25 }),
      definitions,
      fc.array(questions, { minLength: QUESTIONS, maxLength: QUESTIONS }),
      async (list, numbers, [map, reduce], asked) => {
        const byId = new Map(list.map((order, at) => [keyText(numbers[at] ?? 0), order]))
        const docs = [...byId].map(([_id, order]) => ({ _id, ...order }))
        const [pouch, view] = [await pouchOf(docs, map, reduce), await viewOf(docs, map, reduce)]
        for (const query of asked.filter((each) => isAsked(each, reduce))) {
          const ours = await view.query(query).catch(refusal)
          const theirs = await pouch.query('orders/view', { ...query }).catch(refusal)
          seen.asked += 1
          const isReduced = reduce !== 'none' && query.reduce !== false
          const said = `${map} ${reduce} ${JSON.stringify(query)}`
          if (ours === 'refused' || theirs === 'refused') {
            seen.refused += 1
            expect([ours, theirs], said).toEqual(['refused', 'refused'])
          } else {
            seen.rows += ours.rows.length
            expect(shown(ours, isReduced), said).toEqual(shown(theirs, isReduced))
          }
        }
        await pouch.destroy()
      }
    ),
    { numRuns: RUNS }
  )
  expect(seen.rows).toBeGreaterThan(seen.asked / 2)
  expect(seen.refused).toBeGreaterThan(0)
}, 3_600_000)

/** Groups are of a reduce. */
function isAsked(query: ViewQuery, reduce: string): boolean {
  return reduce !== 'none' || (query.group === undefined && query.group_level === undefined)
}

function refusal(error: unknown): 'refused' {
  const code = error instanceof LaterbaseError ? error.code : (error as { name?: string }).name
  expect(['LATERBASE_ARGUMENT_INVALID', 'query_parse_error']).toContain(code)
  return 'refused'
}
