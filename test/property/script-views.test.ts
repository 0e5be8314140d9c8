/**
 * A text in the sandbox does what the same functions do here, for any events; and the same in any batches,
 * in any order, whatever the events before it did.
 */

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'

import type { Json } from '../../src/core/json.ts'
import { userReducer } from '../../src/core/views/reducers.ts'
import type { UserReduce } from '../../src/core/views/reducers.ts'
import type { MapOutcome, MapProgram, ViewEvent } from '../../src/views/program.ts'
import { scriptFold, scriptMap, viewEventOf } from '../fixtures/scripts.ts'
import { rowsOf } from './view-rows.ts'

type Emit = (key: unknown, value?: unknown) => void
type MapFunction = (event: ViewEvent, emit: Emit) => unknown

/** Much of the language, and what the two engines must agree on: numbers as text, orders, patterns, times. */
const MAPS: readonly MapFunction[] = [
  (event, emit) => emit(event.data, event),
  (event, emit) => emit([event.type, event.time.slice(0, 10)], 1),
  ({ data }, emit) => {
    for (const [name, value] of Object.entries(data ?? {})) emit(name, { value, of: typeof value })
  },
  ({ data }, emit) => {
    const text = JSON.stringify(data) ?? ''
    emit(text.length, text.split('').reverse().join(''))
    emit(
      text.replace(/[a-z]+|\d/g, (met) => `<${met}>`),
      text.split(/[,:]/)
    )
    emit(text.match(/"(?<name>[^"]*)"/u)?.groups?.['name'] ?? null, text.at(-1))
    emit(encodeURIComponent(text.replace(/[\ud800-\udfff]/g, '')), text.codePointAt(1))
  },
  ({ data }, emit) => {
    if (typeof data !== 'number') throw new TypeError(`no number: ${typeof data}`)
    emit([data, -data, data / 3, data / 1e21, Math.floor(data), Math.round(data), data % 7])
    emit([String(data), data.toFixed(2), data.toPrecision(5), data.toExponential(3)])
    emit([
      data | 0,
      data >>> 3,
      Math.fround(data % 1e9),
      Math.sqrt(Math.abs(data)),
      Number(`${data}`.slice(0, 6)) || 0
    ])
  },
  ({ data }, emit) => {
    const members = Object.entries(data ?? {}).map(([name, value]) => ({
      name,
      size: String(value).length
    }))
    const sorted = members.toSorted((a, b) => a.size - b.size || (a.name < b.name ? -1 : 1))
    const groups = new Map<number, string[]>()
    for (const { name, size } of sorted) groups.set(size, [...(groups.get(size) ?? []), name])
    emit([...groups], [...new Set(sorted.map(({ size }) => size % 3))])
  },
  ({ time, data }, emit) => {
    const date = new Date(time)
    emit([date.getUTCFullYear(), date.getUTCMonth(), date.getUTCDay(), date.getTime()], date)
    const moved = new Date(date.getTime() + (typeof data === 'number' ? Math.trunc(data) % 1e9 : 0))
    emit(moved.toISOString(), Date.UTC(2026, 1, 30) + Date.parse('2026-11-02T06:10:00+02:00'))
  },
  (event, emit) => {
    class Counter {
      #count = 0
      static of(value: unknown): number {
        const counter = new Counter()
        counter.walk(value)
        return counter.#count
      }
      walk(value: unknown): void {
        this.#count += 1
        if (Array.isArray(value)) for (const each of value) this.walk(each)
        else if (typeof value === 'object' && value !== null)
          Object.values(value).forEach(this.walk, this)
      }
    }
    emit(Counter.of(event.data), `${Counter.of([event.data])}`)
  },
  ({ data }, emit) => {
    const steps = function* (value: unknown): Generator<string> {
      if (Array.isArray(value)) for (const each of value) yield* steps(each)
      else yield String(BigInt.asIntN(64, BigInt(JSON.stringify(value)?.length ?? 0) ** 9n))
    }
    const [first, ...rest] = steps(data)
    emit(first, rest)
    outer: for (const a of [1, 2, 3]) {
      for (const b of [1, 2, 3]) {
        if (a === b) continue outer
        emit(`${a}${b}`, { [a]: b, ...(a > 1 && { more: null }), b: undefined })
      }
    }
  },
  ({ data }, emit) => {
    emit(data)
    const found = data as { a: { b: Json }[] }
    emit(found.a[0]?.b ?? null, found?.a)
  },
  (event, emit) => {
    try {
      emit(event.subject?.toUpperCase().padStart(5, '*'), event.id)
      emit(JSON.parse(String(event.source)))
    } catch (error) {
      emit(error instanceof SyntaxError, Object.keys(event).includes('key'))
    } finally {
      emit([event.corrects, event.schema, event.data_base64, event.datacontenttype])
    }
  }
]

function events(): fc.Arbitrary<ViewEvent> {
  const text = fc.option(fc.string({ unit: 'grapheme' }), { nil: undefined })
  const members = fc.record({
    type: text,
    subject: fc.option(fc.string(), { nil: undefined }),
    source: fc.option(fc.oneof(fc.json(), fc.string()), { nil: undefined }),
    id: text,
    time: fc
      .date({ min: new Date(0), max: new Date('9999-12-31'), noInvalidDate: true })
      .map((date) => date.toISOString())
  })
  const data = fc.oneof(
    fc.jsonValue({ maxDepth: 4 }),
    fc.double({ noNaN: true, noDefaultInfinity: true }),
    fc.integer(),
    fc.dictionary(fc.string(), fc.jsonValue({ maxDepth: 1 })),
    fc.constantFrom('\ud800', '__proto__', '{"__proto__":1}', '\u0000\u2028')
  )
  return fc
    .tuple(data, members)
    .map(
      ([value, rest]) => JSON.parse(JSON.stringify(viewEventOf(value as Json, rest))) as ViewEvent
    )
}

/** As a function here makes it; the words of a fault are not compared. */
function expected(map: MapFunction, event: ViewEvent): unknown {
  const rows: unknown[] = []
  const asJson = (value: unknown): unknown => JSON.parse(JSON.stringify(value) ?? 'null')
  try {
    map(structuredClone(event), (key, value) => {
      rows.push({ key: asJson(key), value: asJson(value) })
    })
    return { rows }
  } catch {
    return { fault: expect.any(String) }
  }
}

describe('a text of a map', () => {
  test.each(MAPS.map((map, number) => ({ map, number })))(
    'of function $number does what it does here',
    async ({ map }) => {
      const program = await scriptMap(String(map))
      fc.assert(
        fc.property(fc.array(events(), { maxLength: 20 }), (given) => {
          const copies = structuredClone(given)
          expect(program.map(given)).toEqual(given.map((event) => expected(map, event)))
          expect(given).toEqual(copies)
        }),
        { numRuns: 60 }
      )
    }
  )
})

test('a text of a reduce does what it does here', async () => {
  const reduce: UserReduce = (keys, values, rereduce) => {
    if (values.includes(null)) throw new Error('null')
    if (rereduce) return values.map((value) => (value as Json[])[0])
    return [
      [keys?.map(([key, id]) => `${JSON.stringify(key)}${id}`).join(), values.length],
      { keys }
    ]
  }
  const { reducer } = await scriptMap({ map: '() => {}', reduce: String(reduce) })
  const here = userReducer(reduce)
  const outcome = (run: () => unknown): unknown => {
    try {
      return run()
    } catch (error) {
      return String(error)
    }
  }
  const values = fc
    .jsonValue({ maxDepth: 2 })
    .map((value) => JSON.parse(JSON.stringify(value)) as Json)
  fc.assert(
    fc.property(fc.array(rowsOf(values), { minLength: 1, maxLength: 5 }), (runs) => {
      const reduced = runs.map((rows) => outcome(() => here.reduce(rows)) as Json)
      expect(runs.map((rows) => outcome(() => reducer?.reduce(rows)))).toEqual(
        reduced.map((each) => (each === 'Error: null' ? 'Error: Error: null' : each))
      )
      const whole = reduced.filter((each) => Array.isArray(each))
      if (whole.length > 0) expect(reducer?.combine(whole)).toEqual(here.combine(whole))
      expect(reducer?.check(reduced)).toBeUndefined()
    }),
    { numRuns: 60 }
  )
})

test('texts of a fold do what they do here, with a state of JSON between two events', async () => {
  type State = { n: number; seen: Json[]; last?: unknown }
  const key = (event: ViewEvent): unknown =>
    typeof event.data === 'string' ? event.data : undefined
  const apply = (state: State, event: ViewEvent): State => {
    state.n += 1
    if (typeof event.data === 'number' && event.data > 0.5) throw new RangeError('half done')
    state.seen.push(event.data ?? null)
    return { ...state, last: state.n % 2 === 0 ? undefined : event }
  }
  const program = await scriptFold({
    key: String(key),
    initial: { n: 0, seen: [] },
    apply: String(apply),
    final: '(state) => Object.keys(state)'
  })
  fc.assert(
    fc.property(fc.array(events(), { maxLength: 12 }), fc.nat(12), (given, cut) => {
      let text = program.initial
      const faults: number[] = []
      for (const [index, event] of given.entries()) {
        try {
          text = JSON.stringify(apply(JSON.parse(text) as State, structuredClone(event)))
        } catch {
          faults.push(index)
        }
      }
      const whole = program.apply(program.initial, given)
      expect(JSON.parse(whole.state)).toEqual(JSON.parse(text))
      expect(whole.faults.map(({ index }) => index)).toEqual(faults)
      const first = program.apply(program.initial, given.slice(0, cut))
      expect(program.apply(first.state, given.slice(cut)).state).toBe(whole.state)
      expect(program.result(whole.state)).toEqual({
        value: Object.keys(JSON.parse(text) as object)
      })
      expect(program.keysOf(given)).toEqual(
        given.map((event) => (key(event) === undefined ? undefined : { value: key(event) }))
      )
    }),
    { numRuns: 100 }
  )
})

/** Takes as much as the event says of what it says: around every limit, and far from it. */
const WORK = `function (event, emit) {
  const [kind, amount] = event.data
  let made = null
  switch (kind) {
    case 'turns':
      for (let turn = 0; turn < amount; turn += 1) made = turn
      break
    case 'garbage':
      for (let turn = 0; turn < amount / 10; turn += 1) { const a = { turn }; a.self = [a]; made = a }
      made = amount
      break
    case 'kept': {
      const kept = []
      for (let turn = 0; turn < amount / 20; turn += 1) kept.push({ turn, more: [turn] })
      made = kept.length
      break
    }
    case 'names': {
      const named = {}
      for (let turn = 0; turn < amount / 50; turn += 1) named['name' + turn * 7919] = turn
      made = Object.keys(named).length
      break
    }
    case 'text':
      made = 'ab'.repeat(amount * 4).indexOf('ba'.repeat(10) + 'x')
      break
    case 'caught':
      try { (function f(n) { if (n > 0) f(n - 1); else throw n })(amount / 1000) } catch (error) { made = String(error) }
      break
    case 'rows':
      for (let turn = 0; turn < amount / 100; turn += 1) emit(turn, 'x'.repeat(20))
      break
    default:
      throw new Error(kind)
  }
  emit(kind, made)
}`

const KINDS = ['turns', 'garbage', 'kept', 'names', 'text', 'caught', 'rows', 'none']

function workEvents(): fc.Arbitrary<ViewEvent> {
  const kind = fc.constantFrom(...KINDS)
  // As many small ones as large ones: most are far from the limits, which are around a million.
  const amount = fc
    .double({ min: 0, max: 14.5, noNaN: true })
    .map((power) => Math.floor(Math.exp(power)))
  return fc.tuple(kind, amount).map((data) => viewEventOf(data))
}

test('a text says the same of an event in any batch, in any order, and where it is stopped too', async () => {
  const alone = new Map<string, MapOutcome | undefined>()
  const outcomeAlone = async (event: ViewEvent): Promise<MapOutcome | undefined> => {
    const name = JSON.stringify(event.data)
    if (!alone.has(name)) alone.set(name, (await scriptMap(WORK)).map([event])[0])
    return alone.get(name)
  }
  let [stopped, whole] = [0, 0]
  const list = fc.array(workEvents(), { minLength: 1, maxLength: 12 })
  await fc.assert(
    fc.asyncProperty(list, fc.array(fc.nat(5), { maxLength: 6 }), async (given, cuts) => {
      let program: MapProgram = await scriptMap(WORK)
      const outcomes: (MapOutcome | undefined)[] = []
      let rest = given
      for (const cut of [...cuts, given.length]) {
        outcomes.push(...program.map(rest.slice(0, cut)))
        rest = rest.slice(cut)
        // What was given up says nothing of events.
        if ((program.effort?.skipped ?? 0) > 0) program = await scriptMap(WORK)
      }
      for (const [index, event] of given.entries()) {
        const outcome = outcomes[index]
        expect(outcome).toEqual(await outcomeAlone(event))
        if (outcome !== undefined && 'fault' in outcome) stopped += 1
        else whole += 1
      }
    }),
    { numRuns: 40 }
  )
  expect(stopped).toBeGreaterThan(5)
  expect(whole).toBeGreaterThan(5)
})

test('a text may take more for an event that is large, up to a bound', async () => {
  const program = await scriptMap(`(event, emit) => {
    for (let turn = 0; turn < event.data.turns; turn += 1);
    emit(event.data.text.length)
  }`)
  const outcome = (turns: number, chars: number): MapOutcome | undefined => {
    return program.map([viewEventOf({ turns, text: 'x'.repeat(chars) })])[0]
  }
  // What this many turns take is above what a small event may, below what a large one, and above what any may.
  expect(outcome(300_000, 0)).toEqual({ fault: 'takes too long' })
  expect(outcome(300_000, 200_000)).toEqual({ rows: [{ key: 200_000, value: null }] })
  expect(outcome(4_000_000, 200_000)).toEqual({ fault: 'takes too long' })
  // Large ones that take what they need are never too many.
  for (let times = 0; times < 40; times += 1)
    expect(outcome(300_000, 200_000)).toHaveProperty('rows')
  expect(program.effort?.skipped).toBe(0)
})

describe('at the very limit', () => {
  test.each(['turns', 'garbage', 'names'])(
    '%s come to the same after anything else',
    async (kind) => {
      const isWhole = async (amount: number): Promise<boolean> => {
        const outcome = (await scriptMap(WORK)).map([viewEventOf([kind, amount])])[0]
        return outcome !== undefined && 'rows' in outcome
      }
      let [whole, stopped] = [0, 4_000_000]
      while (stopped - whole > 50) {
        const middle = Math.floor((whole + stopped) / 2)
        if (await isWhole(middle)) whole = middle
        else stopped = middle
      }
      // What was there before makes it cheaper by some parts of a hundred, or dearer.
      for (const before of [
        [kind, whole],
        ['names', 250_000],
        ['garbage', 30_000],
        ['kept', 50_000]
      ]) {
        const [first, last, over] = [before, [kind, whole], [kind, stopped]].map((data) => {
          return viewEventOf(data)
        }) as [ViewEvent, ViewEvent, ViewEvent]
        const program = await scriptMap(WORK)
        const [beginning] = program.map([first])
        const outcomes = program.map([last, over, first])
        expect(outcomes[0]).toHaveProperty('rows')
        expect(outcomes[1]).toHaveProperty('fault')
        expect(outcomes[2]).toEqual(beginning)
        const another = await scriptMap(WORK)
        another.map([first])
        expect(another.map([over])[0]).toHaveProperty('fault')
      }
    }
  )
})
