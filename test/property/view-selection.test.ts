/** What a fold selects is all that its function gets, from the library or in the sandbox, and all that a view keeps. */

import fc from 'fast-check'
import { expect, expectTypeOf, test, vi } from 'vitest'

import { present } from '../../src/core/assert.ts'
import type { Json } from '../../src/core/json.ts'
import type { LaterbaseOptions, TypedEvent, View, Views } from '../../src/index.ts'
import type { FoldProgram, ViewEvent } from '../../src/views/program.ts'
import { Selection } from '../../src/views/selection.ts'
import { scriptFold, scriptProblems } from '../fixtures/scripts.ts'
import { makeSmall } from '../fixtures/small-limits.ts'
import { ALL, foldEvent } from './fold-model.ts'
import { HeldFold } from './folds.ts'
import { eventWith, foldOf, programOf } from './native-views.ts'

vi.mock('../../src/views/limits.ts', async (importActual) => {
  const { smallable } = await import('../fixtures/small-limits.ts')
  return smallable(await importActual())
})

const select = ({ data }: ViewEvent): unknown => {
  if (typeof data === 'boolean') throw new TypeError('no truth')
  return typeof data === 'string' ? undefined : { data, more: undefined }
}
/** Changes all that it is given, and keeps it. */
const apply = (state: Json[], given: { data: Json; more?: Json }): Json[] => {
  if (Object.keys(given).length !== 1) throw new Error('somebody had it before')
  given.more = state.length
  if (state.length % 3 === 2) {
    state.pop()
    throw new RangeError('every third')
  }
  state.push(given)
  return state
}

function inputsOf(program: FoldProgram, events: readonly ViewEvent[]): Selection[] {
  return present(
    program.select,
    'it selects'
  )(events).flatMap((each) => {
    if (each === undefined || 'fault' in each) return []
    return [new Selection(JSON.stringify(each.value))]
  })
}

test('a text selects and applies what the same functions do here, whatever they do to what they get', async () => {
  const text = await scriptFold({ select: String(select), initial: [], apply: String(apply) })
  const native = foldOf({ select, initial: () => [], apply })
  fc.assert(
    fc.property(fc.array(fc.jsonValue({ maxDepth: 2 }), { maxLength: 12 }), (all) => {
      const events = all.map((data) => eventWith(data as Json))
      expect(text.select?.(events)).toEqual(native.select?.(events))
      const inputs = inputsOf(native, events)
      const [here, there] = [native.apply('[]', inputs), text.apply('[]', inputs)]
      expect(there.state).toBe(here.state)
      expect(there.faults).toEqual(here.faults)
      expect(native.apply('[]', inputs)).toEqual(here)
    }),
    { numRuns: 100 }
  )
})

test('a text in the words of Emmett is the same as in ours', async () => {
  const [ours, emmetts] = [
    await scriptFold({ select: String(select), initial: [1], apply: String(apply) }),
    await scriptFold({ select: String(select), initialState: [1], evolve: String(apply) })
  ]
  const inputs = inputsOf(ours, [eventWith(1), eventWith([2]), eventWith(3)])
  expect(emmetts.initial).toBe('[1]')
  expect(emmetts.apply('[1]', inputs)).toEqual(ours.apply('[1]', inputs))
  expect(await scriptProblems({ fold: { initialState: 0, evolve: '1' } })).toEqual({
    '/fold/evolve': 'must be a function'
  })
})

test('what cannot be selected is a fault of its event, and undefined leaves the event out', () => {
  makeSmall({ VALUE_BYTES_MAX: 50 })
  const outcomes = foldOf({
    select: ({ data }: ViewEvent) => {
      if (data === 1) throw new Error('no one')
      if (data === 2) return undefined
      if (data === 3) return NaN
      if (data === 4) return 'x'.repeat(100)
      if (data === 5) return Promise.resolve(1)
      return { a: undefined, b: [undefined, -0], c: null }
    },
    initial: () => 0,
    apply: () => 0
  }).select?.([1, 2, 3, 4, 5, 6].map((data) => eventWith(data)))
  expect(outcomes).toEqual([
    { fault: 'Error: no one' },
    undefined,
    { fault: 'NaN is not JSON' },
    { fault: 'larger than it may be' },
    { fault: 'returned a promise: functions of views must be synchronous' },
    { value: { b: [null, 0], c: null } }
  ])
})

test('more than an event may have cannot be selected of one, and is a fault of it', async () => {
  makeSmall({ SELECTION_BYTES_MAX: 10 })
  const events = ['a'.repeat(8), 'ä'.repeat(4), 'a'.repeat(9), 'ä'.repeat(5), '"\u0001"'].map(
    (data, number) => foldEvent(number, 0, 1n, { subject: 'a', data })
  )
  const held = new HeldFold(
    foldOf({
      select: ({ data }: ViewEvent) => data,
      initial: () => [],
      apply: (all: Json[], data: Json) => [...all, data]
    })
  )
  await held.build(events.slice(0, 2), 10)
  await held.update({ put: events.slice(2), drop: [] })
  const { rows } = await held.index.query(held.store, held.state, ALL)
  expect(rows.map(({ value }) => value)).toEqual([['a'.repeat(8), 'ä'.repeat(4)]])
  const faults = await held.index.faults(held.store, 10)
  const fault = 'what is selected has at most 10 bytes, as JSON'
  expect(faults.map((each) => each.fault)).toEqual([fault, fault, fault])
  await held.update({ put: [], drop: events.slice(2, 4) })
  expect(held.state.faults).toBe(1)
})

test('of an event nothing is kept but what was selected', async () => {
  const secret = 'a name that nobody should read here'
  const events = Array.from({ length: 300 }, (_, number) => {
    return foldEvent(number, 0, 1n, { subject: 'a', data: { number, secret } })
  })
  const fold = {
    initial: () => 0,
    apply: (sum: number, [number]: readonly [number]) => sum * 2 + number
  }
  const bytesOf = async (view: object): Promise<Buffer> => {
    const held = new HeldFold(foldOf({ ...fold, ...view }))
    await held.build(events.slice(0, 250), 20)
    await held.update({ put: events.slice(250), drop: [] })
    expect((await held.index.query(held.store, held.state, ALL)).rows).toHaveLength(1)
    const records = await held.store.scan({ from: Uint8Array.of(0), to: Uint8Array.of(0xff) })
    return Buffer.concat(records.map(({ value }) => value))
  }
  const selecting = await bytesOf({
    select: ({ data }: TypedEvent<{ number: number }>) => [data.number]
  })
  expect(selecting.includes(secret)).toBe(false)
  const whole = await bytesOf({
    version: 2,
    apply: (sum: number, { data }: TypedEvent<{ number: number }>) => sum * 2 + data.number
  })
  expect(whole.includes(secret)).toBe(true)
  expect(selecting.length).toBeLessThan(whole.length / 2)
})

test('what a view selects is a part of what it is, in either words', () => {
  const initial = (): number => 0
  const count = (state: number): number => state + 1
  const plain = programOf({ name: 'a', initial, apply: count })
  const selecting = programOf({ name: 'a', select, initial, apply: count })
  const other = programOf({ name: 'a', select: () => 1, initial, apply: count })
  const emmett = programOf({ name: 'b', select, initialState: initial, evolve: count })
  expect(new Set([plain.hash, selecting.hash, other.hash]).size).toBe(3)
  expect(emmett.hash).toBe(selecting.hash)
  expect(() => programOf({ name: 'a', select: 1, initial, apply: count })).toThrow(/select/)
  expect(() => programOf({ name: 'a', select, map: () => undefined })).toThrow(/not both/)
})

test('types flow from the data to what is selected, to the state and to the answer', () => {
  interface Moved {
    readonly zone: string
    readonly qty: number
  }
  const define = (views: Views): Promise<View<string>> =>
    views.define({
      name: 'moved',
      key: ({ data }: TypedEvent<Moved>) => data.zone,
      select: ({ data }: TypedEvent<Moved>) => ({ qty: data.qty }),
      initial: () => ({ sum: 0 }),
      apply: (state, given) => {
        expectTypeOf(given).toEqualTypeOf<{ qty: number }>()
        return { sum: state.sum + given.qty }
      },
      final: (state) => `${state.sum}`
    })
  const inEmmettsWords = (views: Views): Promise<View<{ sum: number }>> =>
    views.define({
      name: 'moved',
      select: ({ data }: TypedEvent<Moved>) => (data.qty > 0 ? data.qty : undefined),
      initialState: () => ({ sum: 0 }),
      evolve: (state, qty) => ({ sum: state.sum + qty })
    })
  const forgotten = (views: Views): unknown => [
    // @ts-expect-error: without select apply gets an event
    views.define({ name: 'n', initial: () => 0, apply: (n: number, qty: number) => n + qty }),
    // @ts-expect-error: a map selects nothing
    views.define({ name: 'n', select: () => 1, map: () => undefined })
  ]
  const options: LaterbaseOptions['views'] = {
    depot: [
      { name: 'a', map: (event, emit) => emit(event.type ?? null) },
      {
        name: 'b',
        initial: () => 0,
        apply: (n: number, event) => n + (event.type === 'x' ? 1 : 0)
      },
      {
        name: 'c',
        select: ({ data }: TypedEvent<Moved>) => data.qty,
        initialState: () => 0,
        evolve: (n: number, qty: number) => n + qty
      }
    ]
  }
  expect([forgotten, options]).toHaveLength(2)
  expectTypeOf(define).returns.resolves.toEqualTypeOf<View<string>>()
  expectTypeOf(inEmmettsWords).returns.resolves.toEqualTypeOf<View<{ sum: number }>>()
})
