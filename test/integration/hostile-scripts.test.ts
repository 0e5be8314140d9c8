/**
 * Texts of views that mean harm: whatever one does for an event, it ends soon, in its sandbox, with a fault for
 * that event alone; the next one finds everything as the first did.
 */

import { describe, expect, test } from 'vitest'

import { ATTACK, EVENT, attackText, survives } from '../fixtures/attacks.ts'
import { scriptMap } from '../fixtures/scripts.ts'

const TOO_LONG = {
  'a loop': 'for (;;);',
  'a loop that catches everything':
    'for (;;) try { for (;;) throw 1 } catch { continue } finally { continue }',
  'a loop in a getter of a row': 'emit({ get x() { for (;;); } }, 1)',
  'a loop in toJSON': 'class A { toJSON() { for (;;); } }; emit(new A(), 1)',
  'a loop in what it throws': 'throw { get name() { for (;;); }, toString() { for (;;); } }',
  'a loop in the message of an error':
    'const e = new Error(); Object.defineProperty(e, "message", { get() { for (;;); } }); throw e',
  'a loop in a proxy that is emitted': 'emit(new Proxy([], { get() { for (;;); } }), 1)',
  'calls that branch': '(function f(n) { if (n > 0) { f(n - 1); f(n - 1) } })(200)',
  'a generator that never ends': 'for (const x of (function* () { for (;;) yield 1 })());',
  'a comparator that never agrees':
    'const a = Array.from({ length: 1e5 }, (_, i) => i); for (;;) a.sort(() => -1)',
  'a sort without a comparator':
    'const a = Array.from({ length: 2e5 }, (_, i) => (i * 7919) % 200003); for (;;) a.sort()',
  'a search for a long text in a longer one':
    'const s = "a".repeat(4e6); s.indexOf("a".repeat(2e6) + "b")',
  'a search in what only says that it is long':
    'Array.prototype.indexOf.call({ length: 2 ** 53 - 1 }, 1)',
  'a join of what only says that it is long':
    'Array.prototype.includes.call(new Proxy({}, { get: (_, name) => name === "length" ? 2 ** 53 - 1 : 0 }), 1)',
  'products of huge numbers': 'let x = 3n ** 100000n; for (;;) x * x',
  'copies of long texts': 'const s = "ab".repeat(1e6); for (;;) (s + "x").slice(1)',
  'arrays filled again and again': 'const a = Array(1e5); for (;;) a.fill(1)',
  'an expression that goes back and forth': '/^(a+)+$/.test("a".repeat(40) + "b")',
  'an expression with a look ahead': '/^(?=(a|a)*$)(b|(a|aa)+)*c/.test("a".repeat(60) + "b")',
  'an expression with references': '/(.*)\\1(.*)\\2(.*)\\3x/.test("ab".repeat(300))',
  'a text that is replaced for ever':
    'let s = "a"; for (;;) s = s.replace(/a/g, "b").replace(/b/g, "a")',
  'a million million turns of flat':
    'let a = []; for (let i = 0; i < 60; i += 1) a = [a, a]; a.flat(Infinity)',
  'JSON that is parsed again and again': 'for (;;) JSON.parse("[".repeat(100) + "]".repeat(100))',
  'maps that grow and shrink':
    'const m = new Map(); for (let i = 0; ; i += 1) { m.set(i, i); if (i % 1000 === 0) m.clear() }',
  'objects that point at one another': 'for (;;) { const a = {}; a.a = a }',
  'normal forms': 'const s = "\\u00e9".repeat(1e5); for (;;) s.normalize("NFD")',
  times: 'for (let i = 0; ; i += 1) new Date(i * 1e9).toISOString()',
  'numbers as text': 'for (let i = 0; ; i += 1) Number(String(i / 7))',
  'a limit that is caught': 'for (;;) { try { (function f() { f() })() } catch {} }'
}

const TOO_LARGE = {
  'an array that grows': 'const a = []; for (;;) a.push(new Array(1e4).fill(0))',
  'a text that doubles':
    'let s = "x".repeat(100); for (;;) { s += s; s.charCodeAt(5); JSON.stringify(s) }',
  'one huge text': '"x".repeat(2 ** 29).charCodeAt(1)',
  'one huge array': 'new Array(2 ** 25).fill(1)',
  'a huge array of arguments': 'for (let n = 1; ; n *= 2) Math.max(...Array(n).fill(1))',
  'a huge map': 'const m = new Map(); for (let i = 0; ; i += 1) m.set("k" + i, "x".repeat(1e4))',
  'huge rows': 'for (;;) emit("x".repeat(1e6), "y".repeat(1e6))',
  'a limit of memory that is caught':
    'const a = []; for (;;) { try { a.push("x".repeat(1e6).split("")) } catch {} }',
  'a huge number': 'let x = 3n; for (;;) x = x * x',
  'bound functions': 'let f = () => 1; for (;;) f = f.bind(null)'
}

const TOO_DEEP = {
  'calls without end': '(function f() { f() })()',
  'calls without end that are caught': '(function f() { try { f() } finally { f() } })()',
  'JSON that is nested a hundred thousand deep': 'JSON.parse("[".repeat(1e5))',
  'an array that is nested a hundred thousand deep':
    'let a = []; for (let i = 0; i < 1e5; i += 1) a = [a]; JSON.stringify(a)',
  'a proxy of a proxy': 'let p = {}; for (let i = 0; i < 1e4; i += 1) p = new Proxy(p, {}); p.x',
  'a getter of itself': '({ get x() { return this.x } }).x',
  'a comparator that sorts': 'const c = () => { [2, 1].sort(c); return 1 }; [2, 1].sort(c)',
  'an expression that calls its replacer': 'const r = () => "a".replace(/a/g, r); r()',
  'a generator of generators': '(function* g() { yield* g() })().next()'
}

const STOPPED =
  /takes too long|takes too much memory|nested too deep|stack overflow|larger|more than|too many/

describe('a text that takes too much', () => {
  const attacks = Object.entries({ ...TOO_LONG, ...TOO_LARGE, ...TOO_DEEP })
  test.each(attacks)('%s is stopped', async (_name, attack) => {
    expect(await survives(attack)).toEqual({ fault: expect.stringMatching(STOPPED) })
  })
})

/** Each leaves something for the next event, if it can, and emits what it has got hold of. */
const ESCAPES = {
  'code of text': 'emit((() => {}).constructor("return this")())',
  'code of text, of generators': 'emit((function* () {}).constructor("yield 1"))',
  'code of text, of async functions': 'emit((async () => {}).constructor("return 1"))',
  'code of text, by the name of eval': 'eval("1")',
  'code of text, by a timer': 'setTimeout("1")',
  'modules of Node.js': 'require("node:fs")',
  'the process': 'process.exit(1)',
  'the process, from the global object': 'globalThis.process.exit(1)',
  'the console': 'console.log("seen")',
  'a socket': 'fetch("http://127.0.0.1/")',
  'the clock': 'emit(Date.now())',
  'the clock, by a constructor': 'emit(new Date())',
  'the clock, by another constructor': 'emit(new (class extends Date {})())',
  'the clock, by what constructs': 'emit(Reflect.construct(Date, []))',
  'the clock, from the prototype': 'emit(new Date.prototype.constructor())',
  'a finer clock': 'emit(performance.now())',
  chance: 'emit(Math.random())',
  'weak references': 'emit(new WeakRef({}).deref())',
  'what is told of the dead': 'new FinalizationRegistry(() => {})',
  'memory that is shared': 'emit(new SharedArrayBuffer(8))',
  waiting: 'Atomics.wait(new Int32Array(8), 0, 0)',
  'bytes whose bits differ': 'emit(new Float64Array([0 / 0]))',
  'a global variable': 'globalThis.n = 1',
  'a global variable without a declaration': 'n = 1',
  'another prototype of all objects': 'Object.setPrototypeOf(Object.prototype, { x: 1 })',
  'a member of all objects': 'Object.prototype.x = 1',
  'a member of all objects, as JSON':
    'JSON.parse(`{"__proto__":{"x":1}}`).__proto__.__proto__.x = 1; ({}).__proto__.x = 1',
  'a member of all objects, by definition':
    'Object.defineProperty(Object.prototype, "x", { value: 1 })',
  'a getter of all objects': 'Object.prototype.__defineGetter__("x", () => 1)',
  'another sort': 'Array.prototype.sort = () => []',
  'another iterator': '[][Symbol.iterator]().__proto__.next = () => ({ done: true })',
  'another iterator of generators': '(function* () {})().__proto__.__proto__.next = 1',
  'another JSON.stringify': 'JSON.stringify = () => "1"',
  'another JSON': 'JSON = {}',
  'another exec': 'RegExp.prototype.exec = () => null',
  'another toISOString': 'Date.prototype.toISOString = () => ""',
  'another stack of errors':
    'Error.prepareStackTrace = (e, frames) => { frames[0].getThis().n = 1 }',
  'a member of the function that emits': 'emit.calls = 1',
  'its own caller': 'emit(arguments.callee)',
  'the caller of the function that emits': 'emit(emit.caller)',
  'a member of what is made of a template': '((strings) => { strings.n = 1 })`a`'
}

const IN_VAIN = /Error|threw/

describe('a text that reaches for', () => {
  test.each(Object.entries(ESCAPES))('%s does not get it', async (_name, attack) => {
    expect(await survives(attack)).toEqual({ fault: expect.stringMatching(IN_VAIN) })
  })

  test('another name of its function finds it frozen, and so the next event too', async () => {
    const program = await scriptMap(`function me(event, emit) {
      try { me.n = 1; me.prototype.n = 1 } catch {}
      emit([typeof me.n, typeof me.prototype.n])
    }`)
    const outcome = { rows: [{ key: ['undefined', 'undefined'], value: null }] }
    expect(program.map([EVENT, EVENT])).toEqual([outcome, outcome])
  })

  test('a later turn never gets one', async () => {
    const program = await scriptMap(`function (event, emit) {
      const later = async () => { await 0; emit('late') }
      later()
      import('node:fs').catch(() => emit('late')).then(() => emit('late'))
      emit('now')
    }`)
    const outcome = { rows: [{ key: 'now', value: null }] }
    expect(program.map([EVENT, EVENT])).toEqual([outcome, outcome])
    await Promise.resolve()
    expect(program.map([EVENT])).toEqual([outcome])
  })

  test('the same symbol in two events has nothing there', async () => {
    const program = await scriptMap(`function (event, emit) {
      const map = new WeakMap()
      const symbol = Symbol.for('kept')
      emit([typeof globalThis[symbol], typeof Object[symbol]])
      try { Object[symbol] = 1 } catch {}
    }`)
    const outcome = { rows: [{ key: ['undefined', 'undefined'], value: null }] }
    expect(program.map([EVENT, EVENT])).toEqual([outcome, outcome])
  })
})

test('a text that takes too long again and again is not called for a while, and answers at once then', async () => {
  const program = await scriptMap(attackText('for (;;);'))
  const events = Array.from({ length: 200 }, () => ATTACK)
  const outcomes = program.map(events)
  const faults = new Set(outcomes.map((outcome) => ('fault' in outcome ? outcome.fault : '')))
  expect([...faults]).toEqual([
    'takes too long',
    'the functions of the view have taken too long for other events: ask again in a while'
  ])
  expect(
    outcomes.filter((outcome) => 'fault' in outcome && outcome.fault === 'takes too long').length
  ).toBeLessThan(45)
  expect(program.effort?.skipped).toBeGreaterThan(150)
  const before = performance.now()
  program.map(events)
  expect(performance.now() - before).toBeLessThan(100)
})

test('a text that takes too long for an event in a thousand is not given up', async () => {
  const program = await scriptMap(attackText('for (;;);'))
  for (let round = 0; round < 25; round += 1) {
    program.map([ATTACK, ...Array.from({ length: 200 }, () => EVENT)])
  }
  expect(program.effort?.skipped).toBe(0)
})

/** How often this nests here until the host's stack is at its end. */
function nest(levels: number, atEnd: () => void): void {
  if (levels === 0) atEnd()
  else nest(levels - 1, atEnd)
}

test('a text that nests too deep does not reach the end of the host’s stack, where a third of it is in use', async () => {
  let [least, most] = [100, 1_000_000]
  while (most - least > 100) {
    const middle = (least + most) >> 1
    try {
      nest(middle, () => undefined)
      least = middle
    } catch {
      most = middle
    }
  }
  for (const attack of Object.values(TOO_DEEP)) {
    const program = await scriptMap(attackText(attack))
    let outcome: unknown
    nest(Math.floor(least / 3), () => (outcome = program.map([ATTACK])[0]))
    expect(outcome).toEqual({ fault: expect.stringMatching(STOPPED) })
    expect(outcome).toEqual(program.map([ATTACK])[0])
  }
})

test('views that fill their memory again and again leave the process its own', async () => {
  const fill = attackText('const a = []; for (;;) a.push(Array(1e4).fill(1))')
  const run = async (): Promise<void> => {
    const program = await scriptMap(fill)
    for (let times = 0; times < 10; times += 1) program.map([ATTACK])
  }
  await run()
  const before = process.memoryUsage.rss()
  for (let times = 0; times < 20; times += 1) await run()
  // 200 times 27 MiB, of which those of the last few may be there still.
  expect(process.memoryUsage.rss() - before).toBeLessThan(400 * 1_048_576)
})
