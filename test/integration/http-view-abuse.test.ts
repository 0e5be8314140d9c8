/** Whatever is sent to views over HTTP: nothing of it is answered with a 5xx, and the node goes on answering. */

import { expect, test } from 'vitest'

import { type Answer, ask, post, serveNode } from '../fixtures/http-server.ts'
import { NAUGHTY_STRINGS } from '../fixtures/naughty-strings.ts'
import { serveStock } from '../fixtures/served-views.ts'

function expectNoFault(answer: Answer, what: string): void {
  expect(answer.status, `${what.slice(0, 200)}: ${answer.text.slice(0, 200)}`).toBeLessThan(500)
  if (answer.status >= 400) expect(answer.headers['content-type']).toBe('application/problem+json')
}

function put(url: string, body: string): Promise<Answer> {
  return ask(url, { method: 'PUT', headers: { 'content-type': 'application/json' }, body })
}

const PARAMETERS = [
  'key',
  'keys',
  'startkey',
  'endkey',
  'limit',
  'skip',
  'group',
  'group_level',
  'reduce',
  'update',
  'as_of',
  'known_at',
  'min_lc',
  'timeout',
  'feed',
  'explain'
]

/** Some text may be a cursor of what never comes. */
const WAITS: ReadonlySet<string> = new Set(['min_lc'])

test('naughty strings in every place of a question and of a definition are no fault', async () => {
  await using served = await serveStock()
  const stock = `${served.url}/depot/stock`
  for (const text of NAUGHTY_STRINGS) {
    const coded = encodeURIComponent(Buffer.from(text).toString())
    const json = encodeURIComponent(JSON.stringify(text))
    const asked = PARAMETERS.flatMap((name) =>
      [coded, json].map((value) => `${name}=${value}${WAITS.has(name) ? '&timeout=100' : ''}`)
    )
    const definitions = [
      { key: text },
      { key: { const: text }, value: [text, { object: { [text]: 'data' } }] },
      { key: 'data', where: { [text]: text, [`data.${text}`]: { [text]: text } } },
      { language: text, map: text, reduce: text, fold: { [text]: text } },
      { [text]: text }
    ]
    await Promise.all([
      ...asked.map(async (query) => expectNoFault(await ask(`${stock}?${query}`), query)),
      ...PARAMETERS.map(async (name) => {
        expectNoFault(await post(stock, { [name]: text }), `${name} ${text}`)
        expectNoFault(await post(stock, { [name]: { [text]: [text] } }), `${name} ${text}`)
      }),
      ...['GET', 'PUT', 'POST', 'DELETE'].flatMap((method) =>
        [
          `/depot/${coded}`,
          `/${coded}/stock`,
          `/db/depot/v/${coded}`,
          `/db/depot/v/${coded}/_def`
        ].map(async (path) => expectNoFault(await ask(served.url + path, { method }), path))
      ),
      ...definitions.map(async (definition) => {
        const body = JSON.stringify(definition)
        expectNoFault(await put(`${served.url}/db/depot/v/naughty/_def`, body), body)
      })
    ])
  }
  expect((await ask(stock)).status).toBe(200)
}, 240_000)

test('keys and definitions that are huge or nested without end are refused', async () => {
  await using served = await serveStock()
  const { url } = served
  const wide = JSON.stringify('x'.repeat(1_000_000))
  const many = JSON.stringify(Array.from({ length: 200_000 }, (_, n) => n))
  const bodies = [wide, many]
  for (const depth of [15, 16, 17, 64, 65, 600, 20_000]) {
    for (const [opening, closing] of [
      ['[', ']'],
      ['{"a":', '}'],
      ['{"object":{"a":', '}}']
    ] as const) {
      bodies.push(`${opening.repeat(depth)}1${closing.repeat(depth)}`)
    }
  }
  const bottomless = `{"key":${'['.repeat(7_000_000)}1${']'.repeat(7_000_000)}}`
  expectNoFault(await post(`${url}/depot/stock`, bottomless), 'a key without bottom')
  expectNoFault(await put(`${url}/db/depot/v/other/_def`, bottomless), 'and a definition')
  for (const body of bodies) {
    for (const name of ['key', 'keys', 'startkey', 'endkey']) {
      expectNoFault(await post(`${url}/depot/stock`, `{"${name}":${body}}`), name)
    }
    expectNoFault(await post(`${url}/depot/stock`, `{"group":true,"keys":[${body}]}`), 'keys')
    for (const name of ['key', 'value', 'where', 'reduce', 'events', 'language', 'fold']) {
      expectNoFault(await put(`${url}/db/depot/v/other/_def`, `{"${name}":${body}}`), name)
      const beside = `{"key":"data.zone","${name}":${body}}`
      expectNoFault(await put(`${url}/db/depot/v/other/_def`, beside), name)
    }
    expectNoFault(await put(`${url}/db/depot/v/other/_def`, body), 'definition')
  }
  expect((await ask(`${url}/depot/stock`)).status).toBe(200)
}, 120_000)

/** Each is a definition that a node takes, or refuses, and asks on every way that there is. */
const HOSTILE: readonly object[] = [
  { map: '() => { for (;;); }' },
  { map: '(event, emit) => { for (let i = 0; i < 1e7; i++) emit(i, i) }' },
  { map: '(event, emit) => { const all = []; for (;;) all.push(new Array(1e6)) }' },
  { map: '(event, emit) => { emit("x".repeat(1e7), 1) }' },
  { map: '(event, emit) => { emit(1, "x".repeat(1e7)) }' },
  { map: '(event, emit) => { let d = 1; for (let i = 0; i < 1e5; i++) d = [d]; emit(d, d) }' },
  { map: '(event, emit) => { const d = {}; d.d = d; emit(d, d) }' },
  { map: '(event, emit) => { emit({ toJSON() { for (;;); } }, 1) }' },
  { map: '(event, emit) => { throw { toString() { throw 1 } } }' },
  { map: '(event, emit) => { emit(NaN, Infinity); emit(undefined, () => 1); emit(1n, 1n) }' },
  { map: '(event, emit) => process.exit(1)' },
  { map: '(event, emit) => emit(event.constructor.constructor("return process")().pid)' },
  { map: '(event, emit) => { (function f() { f() })() }' },
  { map: '(event, emit) => emit(1, 1)', reduce: '() => { for (;;); }' },
  { map: '(event, emit) => emit(1, 1)', reduce: '() => "x".repeat(1e8)' },
  { map: '(event, emit) => emit(1, 1)', reduce: '() => { throw 1 }' },
  { fold: { initial: 0, key: '() => { for (;;); }', apply: '(s) => s + 1' } },
  { fold: { initial: 0, select: '() => { for (;;); }', apply: '(s) => s + 1' } },
  { fold: { initial: 0, select: '() => "x".repeat(2e6)', apply: '(s) => s + 1' } },
  { fold: { initial: [], key: '() => 1', apply: '(s) => [s, s]' } },
  { fold: { initial: 0, key: '() => 1', apply: '(s) => s + 1', final: '() => { for (;;); }' } },
  { fold: { initial: 0, key: '() => 1', apply: '(s) => undefined' } },
  { map: '}) ; for (;;); ({' },
  { map: 'not javascript' },
  { map: '`${(() => { for (;;); })()}`' }
]

test('text of functions that means harm makes no fault, whatever is asked of it', async () => {
  await using served = await serveNode({}, { viewScripts: true })
  const { database } = await served.node.createDatabase('depot')
  await database.append(
    Array.from({ length: 5 }, (_, n) => ({ subject: 'x', data: { zone: 'A1', qty: n } }))
  )
  const url = `${served.url}/db/depot/v/hostile`
  for (const hostile of HOSTILE) {
    const what = JSON.stringify(hostile)
    const body = JSON.stringify({ language: 'javascript', ...hostile })
    expectNoFault(await put(`${url}/_def`, body), what)
    for (const query of ['', '?update=false', '?reduce=false', '?group=true', '?explain=true']) {
      const answer = await ask(`${url}${query}${query === '' ? '?' : '&'}timeout=20000`)
      // Of one that is being built or taken on 503 is true.
      if (answer.status !== 503) expectNoFault(answer, `${what} ${query}`)
    }
    expectNoFault(await ask(`${url}/_info`), what)
    expect((await ask(`${served.url}/_up`)).status).toBe(200)
    expect((await ask(`${served.url}/metrics`)).status).toBe(200)
  }
  expect((await post(`${served.url}/db/depot/e`, { data: 1 })).status).toBe(201)
}, 300_000)
