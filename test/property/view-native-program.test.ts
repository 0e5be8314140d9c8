/** Functions of views: what they return becomes JSON, what they throw a fault, whatever they do. */

import fc from 'fast-check'
import { expect, test, vi } from 'vitest'

import type { Json } from '../../src/core/json.ts'
import { FAULT_CHARS_MAX } from '../../src/views/limits.ts'
import type { Emitted, MapOutcome, ViewEvent } from '../../src/views/program.ts'
import { makeSmall } from '../fixtures/small-limits.ts'
import { eventWith, foldOf, mapOf, programOf } from './native-views.ts'

vi.mock('../../src/views/limits.ts', async (importActual) => {
  const { smallable } = await import('../fixtures/small-limits.ts')
  return smallable(await importActual())
})

type Emit = (key: unknown, value?: unknown) => void

function emitted(map: (event: ViewEvent, emit: Emit) => unknown, data: Json = null): MapOutcome {
  const [outcome] = mapOf({ map }).map([eventWith(data)])
  if (outcome === undefined) throw new Error('an outcome')
  return outcome
}

function rowsOf(outcome: MapOutcome): readonly Emitted[] {
  if ('fault' in outcome) throw new Error(outcome.fault)
  return outcome.rows
}

function faultOf(outcome: MapOutcome): string {
  if ('rows' in outcome) throw new Error('rows')
  return outcome.fault
}

test('what is emitted is what its JSON is, as it was when it was emitted', () => {
  fc.assert(
    fc.property(fc.jsonValue(), fc.jsonValue(), (key, value) => {
      const rows = rowsOf(
        emitted((_, emit) => {
          const pair = [key, value]
          emit(pair, { value })
          pair.length = 0
        })
      )
      const expected = [{ key: [key, value], value: { value } }]
      expect(rows).toEqual(JSON.parse(JSON.stringify(expected)))
    })
  )
})

test('what is not defined is null, and no member; an event or a date is what its JSON is', () => {
  const outcome = emitted((event, emit) => {
    emit('a')
    emit(['b', undefined], { one: undefined, two: -0 })
    emit(new Date(0), event)
    emit(JSON.parse('{"__proto__":1}'))
  }, 1)
  const event = { key: '0'.repeat(26), time: '1970-01-01T00:00:00.000Z', data: 1 }
  expect(rowsOf(outcome).map(({ key, value }) => JSON.stringify([key, value]))).toEqual([
    '["a",null]',
    '[["b",null],{"two":0}]',
    JSON.stringify(['1970-01-01T00:00:00.000Z', event]),
    '[{"__proto__":1},null]'
  ])
})

const cycle: unknown[] = []
cycle.push({ cycle })
class Weight {
  readonly kg = 1
}

test.each([
  ['a function', { a: [() => 1] }, 'a function is not JSON, at /a/0'],
  ['a symbol', Symbol('a'), 'a symbol is not JSON'],
  ['a BigInt', { 'a/b': 1n }, 'a bigint is not JSON, at /a~1b'],
  ['NaN', NaN, 'NaN is not JSON'],
  ['an infinity', [-Infinity], '-Infinity is not JSON, at /0'],
  ['a cycle', cycle, /^nested more than 512 deep, at \/0\/cycle/],
  ['a map', new Map(), 'a Map is not JSON: give a plain object or a text'],
  ['an instance', new Weight(), /^an instance of a class is not JSON/]
])('%s that is emitted is a fault, and no row of the event is kept', (_, value, fault) => {
  expect(faultOf(emitted((_, emit) => (emit('a', 1), emit('b', value))))).toMatch(fault)
  expect(faultOf(emitted((_, emit) => (emit('a', 1), emit([value], 2))))).toBeTypeOf('string')
})

test('what is emitted after the function has returned is not looked at', () => {
  const emits: Emit[] = []
  const outcomes = mapOf({ map: (_: ViewEvent, emit: Emit) => emits.push(emit) }).map([
    eventWith(1),
    eventWith(2)
  ])
  for (const emit of emits) emit('late', 1)
  expect(outcomes).toEqual([{ rows: [] }, { rows: [] }])
})

test('a function that catches what an emit throws has failed all the same', () => {
  const outcome = emitted((_, emit) => {
    emit('a', 1)
    try {
      emit('b', NaN)
    } catch {
      emit('c', 1)
    }
  })
  expect(outcome).toEqual({ fault: 'NaN is not JSON' })
})

test('what a function throws is a fault of one line, and not endless', () => {
  const thrower = {
    toString: () => {
      throw new Error('no text')
    }
  }
  const thrown: [unknown, string][] = [
    [new TypeError('not\n\ta\u0000 number'), 'TypeError: not a number'],
    ['text', 'threw text'],
    [undefined, 'threw undefined'],
    [thrower, 'threw something that is not an error'],
    [new Error('x'.repeat(1_000_000)), `Error: ${'x'.repeat(FAULT_CHARS_MAX - 7)}`]
  ]
  for (const [error, fault] of thrown) {
    expect(
      emitted(() => {
        throw error
      })
    ).toEqual({ fault })
  }
})

test('a function that returns a promise is told to be synchronous, and harms nobody later', async () => {
  let emit: Emit | undefined
  const outcomes = mapOf({
    map: async (_: ViewEvent, given: Emit) => {
      given('a', 1)
      emit = given
      await Promise.resolve()
      throw new Error('nobody waits for this')
    }
  }).map([eventWith(1), eventWith(2)])
  const fault = 'returned a promise: functions of views must be synchronous'
  expect(outcomes).toEqual([{ fault }, { fault }])
  emit?.('late', 1)
  const fold = foldOf({ initial: () => 0, apply: async () => 1, final: async () => 1 })
  expect(fold.apply('0', [eventWith(1)])).toMatchObject({ state: '0', faults: [{ fault }] })
  expect(fold.result('0')).toEqual({ fault })
  await new Promise((resolve) => setImmediate(resolve))
})

test('an event of which too many rows are emitted, or too much, has a fault', () => {
  makeSmall({ EMITS_MAX: 10, EMITTED_BYTES_MAX: 1_000 })
  const emits = (count: number) => (_: ViewEvent, emit: Emit) => {
    for (let number = 0; number < count; number += 1) emit(number)
  }
  expect(rowsOf(emitted(emits(10)))).toHaveLength(10)
  expect(emitted(emits(11))).toEqual({ fault: 'emits more than 10 rows' })
  const shared = [['x'.repeat(90)], ['x'.repeat(90)]]
  const wide = Array.from({ length: 40 }, () => shared)
  expect(faultOf(emitted((_, emit) => emit('a', wide)))).toMatch(/^larger than it may be/)
  expect(rowsOf(emitted((_, emit) => emit('a', shared)))).toHaveLength(1)
})

test('a value that becomes too large by what is in it many times costs no more than it may', () => {
  makeSmall({ EMITTED_BYTES_MAX: 100_000, VALUE_BYTES_MAX: 100_000 })
  let value: unknown = 'x'
  for (let depth = 0; depth < 200; depth += 1) value = [value, value]
  expect(faultOf(emitted((_, emit) => emit('a', value)))).toMatch(/^larger than it may be/)
  const fold = foldOf({ initial: () => 'x', apply: () => value })
  const { faults } = fold.apply('"x"', [eventWith(1)])
  expect(faults).toMatchObject([{ fault: expect.stringMatching(/^larger than it may be/) }])
})

test('an event belongs to the aggregate that the function says, or to its subject, or to none', () => {
  const view = { initial: () => 0, apply: () => 0 }
  const events = [eventWith(1, 'a'), eventWith(null), eventWith([1, 2], 'c')]
  expect(foldOf(view).keysOf(events)).toEqual([{ value: 'a' }, undefined, { value: 'c' }])
  const key = ({ data }: ViewEvent): unknown => {
    if (data === null) throw new Error('no data')
    return data === 1 ? undefined : [data, undefined]
  }
  expect(foldOf({ ...view, key }).keysOf(events)).toEqual([
    undefined,
    { fault: 'Error: no data' },
    { value: [[1, 2], null] }
  ])
})

test('a reduce of the user’s must be synchronous, and return JSON', () => {
  const reducerOf = (reduce: unknown) => mapOf({ map: () => undefined, reduce }).reducer
  const rows = [{ key: 1, keyBytes: Uint8Array.of(1), value: 2, place: new Uint8Array(24) }]
  expect(reducerOf((_: unknown, values: Json[]) => values)?.reduce(rows)).toEqual([2])
  expect(reducerOf('_count')?.reduce(rows)).toBe(1)
  expect(reducerOf(undefined)).toBeUndefined()
  expect(() => reducerOf(async () => 1)?.reduce(rows)).toThrow(/synchronous/)
  expect(() => reducerOf(() => NaN)?.reduce(rows)).toThrow(/NaN/)
})

const map = (): void => undefined
const initial = (): number => 0
const apply = (state: number): number => state
const final = (state: number): number => state

test('equal functions have equal hashes, whatever the view is called and in whose words it is', () => {
  const fold = programOf({ name: 'a', initial, apply })
  expect(programOf({ name: 'b', initialState: initial, evolve: apply })).toMatchObject({
    type: 'fold',
    hash: fold.hash
  })
  expect(fold.hash).toMatch(/^[0-9a-f]{64}$/)
})

test('views that differ in anything but their name have different hashes', () => {
  const views: object[] = [
    { map },
    { map: () => 1 },
    { map, reduce: '_sum' },
    { map, reduce: '_count' },
    { map, reduce: () => 1 },
    { map, version: 1 },
    { map, version: '1' },
    { map, events: 'effective' },
    { initial, apply },
    { initial: () => 1, apply },
    { initial, apply: () => 1 },
    { initial, apply, key: () => 1 },
    { initial, apply, final },
    { initial, apply, version: 1 }
  ]
  const hashes = views.map((view) => programOf({ name: 'some', ...view }).hash)
  expect(new Set(hashes).size).toBe(views.length)
  const recorded = programOf({ name: 'some', map, events: 'recorded' })
  expect(recorded.hash).toBe(hashes[0])
})

test.each([
  [{}, ''],
  [{ map, initial, apply }, ''],
  [{ reduce: '_sum', initial, apply }, ''],
  [{ reduce: '_sum' }, '/map'],
  [{ map: 'function' }, '/map'],
  [{ map, reduce: '_median' }, '/reduce'],
  [{ map, reduce: 1 }, '/reduce'],
  [{ map, events: 'all' }, '/events'],
  [{ map, version: {} }, '/version'],
  [{ map: map.bind(undefined) }, '/map'],
  [{ initial }, '/apply'],
  [{ apply }, '/initial'],
  [{ initial: 0, apply }, '/initial'],
  [{ initial, apply, evolve: apply }, '/evolve'],
  [{ initial, initialState: initial, apply }, '/initialState'],
  [{ initial: async () => 0, apply }, '/initial'],
  [{ initial: () => undefined, apply }, '/initial'],
  [{ initialState: () => new Map(), evolve: apply }, '/initialState'],
  [{ initial, apply, selekt: apply }, '/selekt'],
  [{ map, reducer: '_sum' }, '/reducer'],
  [{ initial, apply, key: 'subject' }, '/key'],
  [{ initial, apply, final: null }, '/final']
])('a view that breaks a rule is refused with where: %o', (view, pointer) => {
  const refused = expect.objectContaining({
    code: 'LATERBASE_VIEW_INVALID',
    problems: [expect.objectContaining({ pointer })]
  })
  expect(() => programOf({ name: 'some', ...view })).toThrow(refused)
})

test('a bound function is told by the view’s version', () => {
  expect(programOf({ name: 'some', map: map.bind(undefined), version: 1 }).type).toBe('map')
})
