/** What texts of views throw, emit and return, and which texts are none: each is a fault or a problem in words. */

import { describe, expect, test } from 'vitest'

import { survives } from '../fixtures/attacks.ts'
import type { Json } from '../../src/core/json.ts'
import {
  onlyOutcome,
  scriptFold,
  scriptMap,
  scriptProblems,
  viewEventOf
} from '../fixtures/scripts.ts'

/** What is thrown or emitted is looked at outside of the function. */
const STRANGE = {
  'null that is thrown': ['throw null', 'threw null'],
  'nothing that is thrown': ['throw undefined', 'threw undefined'],
  'a symbol that is thrown': ['throw Symbol("s")', 'threw Symbol(s)'],
  'an object without a prototype that is thrown': [
    'throw Object.create(null)',
    'threw something that is not an error'
  ],
  'an object whose text throws': [
    'throw { toString() { throw 1 } }',
    'threw something that is not an error'
  ],
  'an error whose message throws': [
    'throw new (class extends Error { get message() { throw 1 } })()',
    'threw something that is not an error'
  ],
  'a proxy that is thrown': [
    'throw new Proxy({}, { get() { throw 1 }, getPrototypeOf() { throw 1 } })',
    'threw something that is not an error'
  ],
  'an error of many lines': ['throw new Error("a\\n\\tb\\u0000c")', 'Error: a b c'],
  'a function as a key': ['emit(() => 1)', 'TypeError: a function is not JSON'],
  'a function within a value': ['emit(1, [{ a() {} }])', 'TypeError: a function is not JSON'],
  'a symbol as a value': ['emit(1, Symbol())', 'TypeError: a symbol is not JSON'],
  'a huge integer': ['emit(1n)', 'TypeError: a bigint is not JSON'],
  'no number': ['emit(0 / 0)', 'TypeError: NaN is not JSON'],
  'infinity within an object': ['emit(1, { a: -1 / 0 })', 'TypeError: -Infinity is not JSON'],
  'a map': [
    'emit(new Map([[1, 2]]))',
    'TypeError: a Map is not JSON: give a plain object or a text'
  ],
  'an instance of a class': [
    'emit(new (class A {})())',
    'TypeError: an instance of a class is not JSON: give a plain object or a text'
  ],
  'what points at itself': [
    'const a = []; a[0] = a; emit(a)',
    'TypeError: nested more than 512 deep'
  ],
  'a promise that is emitted': [
    'emit((async () => 1)())',
    'TypeError: a Promise is not JSON: give a plain object or a text'
  ],
  'a promise that is returned': [
    'return (async () => 1)()',
    'TypeError: returned a promise: functions of views must be synchronous'
  ],
  'a getter that throws': ['emit({ get a() { throw new RangeError("no") } })', 'RangeError: no'],
  'a refused row whose fault is caught': [
    'try { emit(() => 1) } catch {}',
    'TypeError: a function is not JSON'
  ],
  'a million rows': [
    'for (let i = 0; i < 1e6; i += 1) emit(i)',
    'TypeError: emits more than 10000 rows'
  ],
  'a message without end': ['throw new Error("ab".repeat(1e5))', `Error: ${'ab'.repeat(146)}a`],
  'a huge value': ['emit(1, "x".repeat(2e6))', 'TypeError: larger than it may be'],
  'many large values': ['for (;;) emit(1, "x".repeat(3e5))', 'TypeError: larger than it may be']
} as const

describe('what a text throws or emits', () => {
  test.each(Object.entries(STRANGE))('%s is a fault in words', async (_name, [attack, fault]) => {
    expect(await survives(attack)).toEqual({ fault })
  })

  test('is JSON as it was emitted, whatever becomes of it', async () => {
    const outcome = await survives(`
      const row = { a: 1, undefined, nested: [undefined, , -0] }
      row.toString = 'own'; row.constructor = 2; row['__proto__'] = 3
      emit(row, JSON.parse('{"__proto__":[1],"then":null}'))
      row.a = 2
      emit(new Date(0), { toJSON: 1 })
      emit(new Proxy({ b: 1 }, {}), { get c() { return 'got' } })
      return`)
    const first = { a: 1, nested: [null, null, 0], toString: 'own', constructor: 2 }
    const parsed: unknown = JSON.parse('{"__proto__":[1],"then":null}')
    const rows: unknown[] = [
      { key: first, value: parsed },
      { key: '1970-01-01T00:00:00.000Z', value: { toJSON: 1 } },
      { key: { b: 1 }, value: { c: 'got' } }
    ]
    expect(outcome).toEqual({ rows })
  })
})

test('data that is nested as deep as an event may be is emitted', async () => {
  const program = await scriptMap('(event, emit) => emit(1, event.data)')
  let deep: Json = 1
  for (let level = 0; level < 511; level += 1) deep = level % 2 === 0 ? [deep] : { deep }
  expect(onlyOutcome(program, viewEventOf(deep))).toEqual({ rows: [{ key: 1, value: deep }] })
})

describe('a text that is not one function', () => {
  const cases = {
    'keeps something around it': [
      '(() => { let n = 0; return (event, emit) => emit(n++) })()',
      'one function'
    ],
    'has something beside it': ['() => 1); let n = 1; (() => n', 'one function'],
    'ends what it is put into': ['() => 1)\n}\n(() => {', 'SyntaxError'],
    'is a class': ['class A { static n = 1 }', 'must be a function'],
    'is async': ['async (event) => 1', 'neither async'],
    'is a generator': ['function* (event) {}', 'neither async'],
    'is a number': ['1', 'must be a function'],
    'is nothing': ['', 'SyntaxError'],
    'never ends': ['(() => { for (;;); })()', 'takes too long'],
    grows: [
      '(() => { for (const a = []; ; ) a.push("x".repeat(1000).repeat(1000)) })()',
      'takes too much memory'
    ],
    'is nested too deep': [`() => ${'['.repeat(30_000)}`, 'nested too deep'],
    throws: ['(() => { throw { get message() { for (;;); } } })()', 'takes too long'],
    'says in which line it is wrong': ['(event) => {\n\n  return 1 +* 2\n}', 'line 3: SyntaxError']
  } as const

  test.each(Object.entries(cases))('%s: it is refused', async (_name, [text, detail]) => {
    const problems = await scriptProblems({ map: text })
    expect(problems['/map']).toContain(detail)
    const folded = await scriptProblems({ fold: { initial: 0, apply: text } })
    expect(folded['/fold/apply']).toContain(detail)
  })
})

test('a reduction that never ends throws, and the next one is right', async () => {
  const program = await scriptMap({
    map: '(event, emit) => emit(null, event.data)',
    reduce: `(keys, values, rereduce) => {
      if (values.includes(-1)) for (;;);
      if (values.includes(-2)) throw new Error('no')
      if (values.includes(-3)) return () => 1
      if (values.includes(-4)) return
      return values.reduce((a, b) => a + b, 0)
    }`
  })
  const reduce = (values: readonly number[]): unknown => program.reducer?.combine([...values, 0])
  expect(reduce([1, 2])).toBe(3)
  expect(() => reduce([-1, 2])).toThrow('takes too long')
  expect(() => reduce([-2])).toThrow('Error: no')
  expect(() => reduce([-3])).toThrow('a function is not JSON')
  expect(reduce([-4])).toBe(null)
  expect(reduce([1, 2])).toBe(3)
})

test('a fold whose functions fail keeps the state from before, for each event', async () => {
  const program = await scriptFold({
    key: '(event) => { if (event.data === 9) throw 1; return event.data === 8 ? undefined : [event.data] }',
    initial: { sum: 0, list: [] },
    apply: `(state, event) => {
      state.sum += 100
      state.list.push('half')
      switch (event.data) {
        case 1: for (;;);
        case 2: throw new Error('no')
        case 3: return
        case 4: for (;;) state.list.push('x'.repeat(1000).repeat(1000))
        case 5: return (function f() { return f() })()
        case 6: return { sum: 0 / 0 }
        case 7: return 'x'.repeat(2e6)
      }
      state.list.pop()
      return { ...state, sum: state.sum - 100 + event.data }
    }`,
    final: '(state) => { if (state.sum > 25) for (;;); return [state.sum] }'
  })
  const events = [10, 1, 2, 3, 4, 5, 6, 7, 11].map((data) => viewEventOf(data))
  const step = program.apply(program.initial, events)
  expect(JSON.parse(step.state)).toEqual({ sum: 21, list: [] })
  expect(step.faults.map(({ index }) => index)).toEqual([1, 2, 3, 4, 5, 6, 7])
  expect(step.faults.map(({ fault }) => fault)).toEqual([
    'takes too long',
    'Error: no',
    'TypeError: returned nothing: it must return the state',
    'takes too much memory',
    'calls are nested too deep',
    'TypeError: NaN is not JSON',
    'TypeError: larger than it may be'
  ])
  expect(program.result(step.state)).toEqual({ value: [21] })
  expect(program.result('{"sum":26,"list":[]}')).toEqual({ fault: 'takes too long' })
  expect(program.keysOf([7, 8, 9, 7].map((data) => viewEventOf(data)))).toEqual([
    { value: [7] },
    undefined,
    { fault: 'threw 1' },
    { value: [7] }
  ])
})
