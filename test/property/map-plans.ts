/**
 * Events whose content says itself what a map emits for it, and questions to a map's index; for the
 * properties. Few keys, times and contents, so that rows meet; some that cannot be kept.
 */

import fc from 'fast-check'

import { present } from '../../src/core/assert.ts'
import { afterPrefix } from '../../src/core/bytes.ts'
import { eventKey } from '../../src/core/event-key.ts'
import type { Stamp } from '../../src/core/hybrid-logical-clock.ts'
import type { Json } from '../../src/core/json.ts'
import { VIEW_KEY_BYTES_MAX } from '../../src/core/limits.ts'
import { encodeViewKey } from '../../src/core/views/collation.ts'
import { builtInReducer, userReducer } from '../../src/core/views/reducers.ts'
import type { Reducer, UserReduce } from '../../src/core/views/reducers.ts'
import { systemHasher } from '../../src/node/system.ts'
import type { Emitted, MapOutcome, MapProgram } from '../../src/views/program.ts'
import { viewEvent } from '../../src/views/view-event.ts'
import { PLACE_BYTES } from '../../src/store/event-store.ts'
import type { IndexQuery, IndexedEvent } from '../../src/views/view-index.ts'
import type { Asked, AskedRange } from './map-model.ts'

/** What an event's data says. */
interface EmitPlan {
  readonly rows: readonly (readonly [Json, Json])[]
  readonly fault?: string
}

const MINUS_ZERO = 'minus zero'
const TOO_LONG = 'longer than a key may be'
const TOO_DEEP = 'deeper than a key may be'

/** JSON has no -0, and what is too large need not be stored: a text stands for them. */
function keyMeant(key: Json): Json {
  if (key === MINUS_ZERO) return -0
  if (key === TOO_LONG) return 'x'.repeat(VIEW_KEY_BYTES_MAX)
  return key === TOO_DEEP ? nested(70) : key
}

function nested(depth: number): Json {
  return depth === 0 ? [] : [nested(depth - 1)]
}

/** Emits what the event's data says. */
export function planProgram(reducer: Reducer | undefined): MapProgram {
  const emitted = (plan: EmitPlan): MapOutcome => {
    if (plan.fault !== undefined) return { fault: plan.fault }
    return { rows: plan.rows.map(([key, value]): Emitted => ({ key: keyMeant(key), value })) }
  }
  return {
    type: 'map',
    hash: '00',
    events: 'recorded',
    reducer,
    map: (events) => events.map(({ data }) => emitted(data as unknown as EmitPlan))
  }
}

const SINGLE_KEYS: readonly Json[] = [null, false, 0, 1, 10, 'a', 'b', 'a\u0000', 'é', '\ud800', {}]
const DEEP_KEYS: readonly Json[] = [
  ['a', 1],
  ['a', 1, 'x'],
  ['a', 1, 'y'],
  ['a', 2],
  ['a', [1]]
]
const KEYS = [...SINGLE_KEYS, ...DEEP_KEYS, { a: 1 }, [], ['a'], ['b'], ['b', 1]]
export const viewKeys = fc.constantFrom(...KEYS)
const emittedKeys = fc.oneof(
  { weight: 30, arbitrary: viewKeys },
  { weight: 1, arbitrary: fc.constantFrom(MINUS_ZERO, TOO_LONG, TOO_DEEP) }
)

/** Bytes of a value that the tests have kept at the most. */
export const SMALL_VALUE_BYTES = 60

const numbers = fc.constantFrom(0, 1, 2, -3, 0.1, 0.2, 1e300, -1e300, 5e-324)
const anything: fc.Arbitrary<Json> = fc.oneof(
  { weight: 6, arbitrary: numbers },
  {
    weight: 1,
    arbitrary: fc.constantFrom<Json>('bad', '', [1, 2], { n: 1 }, null, 'é'.repeat(20))
  },
  { weight: 1, arbitrary: fc.constantFrom('x'.repeat(SMALL_VALUE_BYTES), 'é'.repeat(40)) }
)

function emitPlans(values: fc.Arbitrary<Json>): fc.Arbitrary<EmitPlan> {
  const rows = fc.array(fc.tuple(emittedKeys, values), { maxLength: 4 })
  return fc.oneof(
    { weight: 9, arbitrary: fc.record({ rows }) },
    { weight: 1, arbitrary: fc.record({ rows, fault: fc.constantFrom('broken', 'é'.repeat(600)) }) }
  )
}

/** Places of few times; several contents of one key among them. */
export function plannedEvents(count: number): fc.Arbitrary<IndexedEvent[]> {
  const event = fc.tuple(fc.nat(9), emitPlans(anything), fc.nat(5)).map(plannedEvent)
  return fc.uniqueArray(event, { minLength: 1, maxLength: count, selector: placeText })
}

/** Many events of few keys, as a large group has. */
export function manyEvents(count: number): fc.Arbitrary<IndexedEvent[]> {
  const seeds = fc.array(fc.tuple(fc.nat(3), fc.constantFrom(1, 0.1, 'bad', -7)), {
    minLength: 1,
    maxLength: 40
  })
  return seeds.map((plan) =>
    Array.from({ length: count }, (_, index) => {
      const [key, value] = present(plan[index % plan.length], 'a plan')
      const rows = [[present(DEEP_KEYS[key], 'a key'), value]] as const
      return plannedEvent([index, { rows }, index % 5])
    })
  )
}

function plannedEvent([number, plan, recorded]: [number, EmitPlan, number]): IndexedEvent {
  const key = new Uint8Array(16)
  key[5] = (number >> 1) & 255
  key[14] = number >> 9
  key[15] = number & 1
  const bytes = Buffer.from(JSON.stringify({ data: plan }))
  const place = new Uint8Array(PLACE_BYTES)
  place.set(key)
  place.set(systemHasher.sha256(bytes).subarray(0, PLACE_BYTES - key.length), key.length)
  const event = { place, recorded: BigInt(recorded), event: viewEvent(eventKey(key), bytes), bytes }
  const shown = `${key[5]}.${key[15]} @${recorded} ${bytes.toString().slice(0, 200)}`
  return Object.assign(event, { [fc.toStringMethod]: () => shown })
}

export function placeText({ place }: { readonly place: Uint8Array }): string {
  return Buffer.from(place).toString('hex')
}

const joined: UserReduce = (keys, values, rereduce) => {
  if (rereduce) return values.map(String).join('')
  return (keys ?? [])
    .map(([key, id], at) => `${id.slice(-3)}${shown(key)}${shown(values[at])};`)
    .join('')
}
const touchy: UserReduce = (_keys, values, rereduce) => {
  if (values.includes('bad')) throw new Error('a bad value')
  return rereduce ? values.reduce<number>((sum, each) => sum + Number(each), 0) : values.length
}

function shown(value: Json | undefined): string {
  return JSON.stringify(value)
}

/** One that tells in what order it got its rows, and one that throws for some of them, among them. */
export const REDUCERS: Readonly<Record<string, Reducer | undefined>> = {
  none: undefined,
  joined: userReducer(joined),
  touchy: userReducer(touchy),
  ...Object.fromEntries(
    ['_sum', '_count', '_stats', '_min', '_max', '_first', '_last', '_approx_count_distinct'].map(
      (name) => [name, present(builtInReducer(name), name)]
    )
  )
}

const edge = fc.option(fc.record({ key: viewKeys, inclusive: fc.boolean() }), { nil: undefined })
const keyRange: fc.Arbitrary<AskedRange> = viewKeys.map((key) => ({ key }))
const ranges: fc.Arbitrary<readonly AskedRange[]> = fc.oneof(
  { weight: 3, arbitrary: fc.record({ from: edge, to: edge }).map((range) => [range]) },
  { weight: 1, arbitrary: keyRange.map((range) => [range]) },
  { weight: 2, arbitrary: fc.array(keyRange, { maxLength: 4 }) }
)

/** Any question about the rows of these events. */
export function questions(events: readonly IndexedEvent[]): fc.Arbitrary<Asked> {
  const places = events.map(({ place }) => place)
  const before = fc.oneof(fc.constant(undefined), fc.constantFrom(...places).map(aboutPlace))
  return fc.record({
    ranges,
    descending: fc.boolean(),
    skip: fc.oneof(fc.constant(0), fc.nat(6)),
    limit: fc.oneof(fc.constant(Number.MAX_SAFE_INTEGER), fc.nat(6)),
    reduce: fc.oneof(
      fc.constantFrom('rows' as const, 'all' as const, 'keys' as const),
      fc.integer({ min: 1, max: 3 }).map((level) => ({ level }))
    ),
    before,
    recordedBy: fc.option(
      fc.nat(6).map((stamp): Stamp => BigInt(stamp)),
      { nil: undefined }
    )
  })
}

/** The place itself, or the beginning of its time. */
function aboutPlace(place: Uint8Array): Uint8Array {
  const about = place.slice()
  if ((place[20] ?? 0) % 2 === 0) about.fill(0, 6)
  return about
}

/** As an index is asked. */
export function indexQuery(asked: Asked, causes: number): IndexQuery {
  return { ...asked, ranges: asked.ranges.map(indexRange), causes }
}

function indexRange({ key, from, to }: AskedRange): IndexQuery['ranges'][number] {
  if (key !== undefined) {
    const bytes = encodeViewKey(key)
    return { from: bytes, to: afterPrefix(bytes), key }
  }
  const edgeBytes = (edge: AskedRange['from'], behind: boolean): Uint8Array | undefined => {
    if (edge === undefined) return undefined
    const bytes = encodeViewKey(edge.key)
    return edge.inclusive === behind ? afterPrefix(bytes) : bytes
  }
  return { from: edgeBytes(from, false), to: edgeBytes(to, true) }
}
