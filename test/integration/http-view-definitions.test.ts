/** Definitions of views over HTTP: put, read, guarded, replaced, deleted, on one node and on another. */

import assert from 'node:assert/strict'

import { test } from 'vitest'

import { createHttpServer } from '../../src/http/server.ts'
import type { AnyView, EventInput, ViewDefinition } from '../../src/index.ts'
import { VIEWS_NAMED_MAX } from '../../src/node/limits.ts'
import { type Answer, ask, type Ask, type Body, serveNode } from '../fixtures/http-server.ts'
import {
  connect,
  startNetwork,
  startNode,
  temporaryDirectory,
  until,
  untilEqual
} from '../fixtures/nodes.ts'
import { brief, serveDepot, STOCK } from '../fixtures/served-views.ts'

const BY_ZONE = {
  where: { type: 'pallet.received' },
  key: 'data.zone',
  value: 'data.qty',
  reduce: '_sum'
}
const COUNT = { ...BY_ZONE, reduce: '_count' }

function put(url: string, body: unknown, headers: Ask['headers'] = {}): Promise<Answer> {
  const text = typeof body === 'string' ? body : JSON.stringify(body)
  const all = { 'content-type': 'application/json', ...headers }
  return ask(url, { method: 'PUT', headers: all, body: text })
}

test('a definition is put, read, replaced and deleted, and the view answers by it', async () => {
  await using served = await serveDepot()
  await served.receive(['06:00', 'A1', 48], ['07:00', 'A1', 2])
  const url = `${served.url}/db/depot/v/stock/_def`
  const first = await put(url, BY_ZONE)
  assert.equal(first.status, 201, first.text)
  assert.equal(first.headers['location'], '/db/depot/v/stock/_def')
  const { name, type, origin, reduce, hash } = first.json()
  assert.deepEqual([name, type, origin, reduce], ['stock', 'map', 'definition', '_sum'])
  assert.match(hash, /^[0-9a-f]{64}$/)
  assert.deepEqual(brief((await served.get('stock')).json().rows), [[null, 50]])

  const read = await ask(url)
  assert.deepEqual(read.json(), BY_ZONE)
  assert.equal(read.headers.etag, first.headers.etag)
  assert.match(String(read.headers.etag), /^"[0-9a-f]{32}"$/)
  const condition = { 'if-none-match': String(read.headers.etag) }
  assert.equal((await ask(url, { headers: condition })).status, 304)
  const head = await ask(url, { method: 'HEAD' })
  assert.deepEqual([head.status, head.text, head.headers.etag], [200, '', read.headers.etag])

  const { events } = await served.database.status()
  const again = await put(url, BY_ZONE)
  assert.deepEqual([again.status, again.headers.etag], [200, read.headers.etag])
  assert.equal((await served.database.status()).events, events, 'the same again writes nothing')

  const second = await put(url, COUNT)
  assert.equal(second.status, 200)
  assert.notEqual(second.headers.etag, read.headers.etag)
  assert.notEqual(second.json().hash, hash)
  await until(async () => (await served.get('stock/_info')).json().state === 'ready')
  assert.deepEqual(brief((await served.get('stock')).json().rows), [[null, 2]])

  const deleted = await ask(url, { method: 'DELETE' })
  assert.deepEqual([deleted.status, deleted.text], [204, ''])
  for (const path of ['stock', 'stock/_def', 'stock/_info']) {
    assert.equal((await served.get(path)).json().code, 'view-unknown', path)
  }
  assert.equal((await ask(url, { method: 'DELETE' })).status, 404)
  assert.equal((await put(url, BY_ZONE)).status, 201)
  assert.deepEqual(brief((await served.get('stock')).json().rows), [[null, 50]])
})

test('a change may be guarded by what it is to replace', async () => {
  await using served = await serveDepot()
  const url = `${served.url}/db/depot/v/stock/_def`
  const absent = await put(url, BY_ZONE, { 'if-match': '*' })
  assert.deepEqual([absent.status, absent.json().code], [412, 'precondition-failed'])
  const { status, headers } = await put(url, BY_ZONE, { 'if-none-match': '*' })
  assert.equal(status, 201)
  assert.equal((await put(url, COUNT, { 'if-none-match': '*' })).status, 412)
  assert.equal((await put(url, COUNT, { 'if-match': '"other"' })).status, 412)
  assert.deepEqual((await ask(url)).json(), BY_ZONE)
  const etag = String(headers.etag)
  assert.equal((await put(url, COUNT, { 'if-match': `"other", ${etag}` })).status, 200)
  assert.equal((await put(url, BY_ZONE, { 'if-match': etag })).status, 412)
  const remove = (tag: string): Promise<Answer> =>
    ask(url, { method: 'DELETE', headers: { 'if-match': tag } })
  assert.equal((await remove(etag)).status, 412)
  assert.equal((await remove(String((await ask(url)).headers.etag))).status, 204)
})

test('a definition that breaks a rule is refused with pointers to what is wrong, and defines nothing', async () => {
  await using served = await serveDepot()
  const url = `${served.url}/db/depot/v/stock/_def`
  const wrong: readonly (readonly [definition: unknown, pointer: string])[] = [
    [{ where: { type: 'x' } }, ''],
    [{ key: 'zone' }, '/key'],
    [{ key: ['data.zone', 7] }, '/key/1'],
    [{ key: 'data.zone', reduce: '_avg' }, '/reduce'],
    [{ key: 'data.zone', group: true }, '/group'],
    [{ key: 'data.zone', where: { 'data.qty': { above: 1 } } }, '/where/data.qty/above']
  ]
  for (const [definition, pointer] of wrong) {
    const refused = await put(url, definition)
    const { code, errors } = refused.json()
    const place = JSON.stringify(definition)
    assert.deepEqual([refused.status, code], [422, 'view-invalid'], place)
    assert.ok(
      errors.some((each: Body) => each.pointer === pointer),
      JSON.stringify(errors)
    )
  }
  assert.equal((await ask(url)).json().code, 'view-unknown')
  assert.deepEqual((await ask(`${served.url}/db/depot/v`)).json().views, [])
})

test('what is no definition, or comes by no way of one, is refused', async () => {
  await using served = await serveDepot()
  await served.database.views.define(STOCK)
  const url = `${served.url}/db/depot/v/pallets/_def`
  const body = JSON.stringify(BY_ZONE)
  const refusals: readonly (readonly [answer: Answer, status: number, code: string])[] = [
    [await put(url, ''), 400, 'malformed-json'],
    [await put(url, '{"key":'), 400, 'malformed-json'],
    [await put(url, '[]'), 400, 'argument-invalid'],
    [await put(url, '{"key":{"const":340123450000000017}}'), 400, 'argument-invalid'],
    [await put(`${url}?x=1`, body), 400, 'parameter-unknown'],
    [await put(`${served.url}/db/depot/v/Stock/_def`, body), 400, 'name-invalid'],
    [await put(`${served.url}/db/depot/v/db/_def`, body), 400, 'name-invalid'],
    [await put(`${served.url}/db/none/v/stock/_def`, body), 404, 'database-unknown'],
    [await put(url, body, { origin: 'http://evil.example' }), 403, 'cross-origin'],
    [await put(url, body, { 'content-type': 'text/plain' }), 415, 'media-type-unsupported'],
    [await put(`${served.url}/db/depot/v/stock/_def`, body), 422, 'view-invalid'],
    [await ask(`${served.url}/db/depot/v/stock/_def`), 404, 'view-unknown'],
    [await ask(`${served.url}/db/depot/v/stock/_def`, { method: 'DELETE' }), 404, 'view-unknown'],
    [await ask(url, { method: 'POST' }), 405, 'method-not-allowed']
  ]
  for (const [answer, status, code] of refusals) {
    assert.deepEqual([answer.status, answer.json().code], [status, code], answer.text)
  }
  assert.equal((await served.get('stock')).status, 200, 'functions of the program stand')
})

test('what is defined on one node is asked on every other, with equal digests, and deleted on all', async () => {
  const [a, b] = await startNetwork(2)
  if (a === undefined || b === undefined) throw new Error('two nodes')
  const { database } = await a.createDatabase('depot')
  await connect(a, b)
  await using at = await createHttpServer(a, { port: 0 })
  await using server = await createHttpServer(b, { port: 0 })
  assert.equal((await put(`${at.url}/db/depot/v/stock/_def`, BY_ZONE)).status, 201)
  await database.append({ type: 'pallet.received', data: { zone: 'A1', qty: 48 } })
  await untilEqual([a, b], 'depot')
  const here = (await ask(`${at.url}/depot/stock?group=true`)).json()
  const there = (await ask(`${server.url}/depot/stock?group=true`)).json()
  assert.deepEqual([there.rows, there.digest], [here.rows, here.digest])
  assert.deepEqual(brief(there.rows), [['A1', 48]])
  const gone = await ask(`${server.url}/db/depot/v/stock/_def`, { method: 'DELETE' })
  assert.equal(gone.status, 204)
  await untilEqual([a, b], 'depot')
  await until(async () => (await ask(`${at.url}/depot/stock`)).status === 404)
})

const SCRIPT = {
  language: 'javascript' as const,
  map: '(event, emit) => emit(event.data.zone, event.data.qty)',
  reduce: '_sum'
}

test('words of a fold and of Emmett may stand together, and each for the other', async () => {
  await using served = await serveNode({}, { viewScripts: true })
  const { database } = await served.node.createDatabase('depot')
  await database.append([{ data: 1 }, { data: 2 }])
  const apply = '(sum, event) => sum + event.data'
  const folds = [
    { initial: 0, evolve: apply },
    { initialState: 0, apply },
    { initialState: 0, evolve: apply }
  ]
  for (const fold of folds) {
    const url = `${served.url}/db/depot/v/sums`
    const definition = { language: 'javascript', fold: { key: '() => 1', ...fold } }
    assert.ok((await put(`${url}/_def`, definition)).status < 300)
    assert.deepEqual(brief((await ask(url)).json().rows), [[1, 3]])
  }
})

test('text of functions is refused on a node that runs none, and runs on one that does', async () => {
  await using closed = await serveNode()
  await closed.node.createDatabase('depot')
  const refused = await put(`${closed.url}/db/depot/v/stock/_def`, SCRIPT)
  assert.deepEqual([refused.status, refused.json().code], [403, 'scripts-disabled'])
  await using opened = await serveNode({}, { viewScripts: true })
  const { database } = await opened.node.createDatabase('depot')
  await database.append([
    { data: { zone: 'A1', qty: 48 } },
    { data: { zone: 'A1', qty: 2 } },
    { data: null }
  ])
  const url = `${opened.url}/db/depot/v/stock`
  assert.equal((await put(`${url}/_def`, SCRIPT)).status, 201)
  const { rows, faults } = (await ask(`${url}?group=true`)).json()
  assert.deepEqual([brief(rows), faults], [[['A1', 50]], 1])
  const syntax = await put(`${url}/_def`, { ...SCRIPT, map: '(event, emit) => {' })
  assert.deepEqual([syntax.status, syntax.json().errors[0].pointer], [422, '/map'])
})

test('a fold of text that selects is told again when an event comes late, the same on each node', async () => {
  const [a, b] = await startNetwork(2, { viewScripts: true, trust: 'members' })
  if (a === undefined || b === undefined) throw new Error('two nodes')
  const { database } = await a.createDatabase('depot')
  await connect(a, b)
  await using at = await createHttpServer(a, { port: 0 })
  await using server = await createHttpServer(b, { port: 0 })
  const fold = {
    key: '(event) => event.data.zone',
    select: '({ data }) => (data.qty > 0 ? data.qty : undefined)',
    initial: '',
    apply: '(text, qty) => `${text} ${qty}`'
  }
  const url = `${at.url}/db/depot/v/stock/_def`
  const wrong = await put(url, { language: 'javascript', fold: { ...fold, select: '1' } })
  assert.deepEqual([wrong.status, wrong.json().errors[0].pointer], [422, '/fold/select'])
  assert.equal((await put(url, { language: 'javascript', fold })).status, 201)
  const moved = (hour: string, qty: number): EventInput => {
    return { time: `2026-11-02T${hour}:00:00Z`, data: { zone: 'A1', qty } }
  }
  await database.append([moved('06', 48), moved('08', 2), moved('09', 0), { data: null }])
  await untilEqual([a, b], 'depot')
  const first = (await ask(`${at.url}/depot/stock`)).json()
  assert.deepEqual([brief(first.rows), first.faults], [[['A1', ' 48 2']], 1])
  await b.database('depot').append(moved('07', 24))
  await untilEqual([a, b], 'depot')
  const here = (await ask(`${at.url}/depot/stock?explain=true`)).json()
  const there = (await ask(`${server.url}/depot/stock?explain=true`)).json()
  assert.deepEqual([brief(here.rows), here.rows[0].events.length], [[['A1', ' 48 24 2']], 3])
  assert.deepEqual([there.rows, there.digest], [here.rows, here.digest])
})

test('a definition whose authors are not trusted is named, and says how it would count', async () => {
  const [a, b] = await startNetwork(2, { trust: [], viewScripts: true })
  if (a === undefined || b === undefined) throw new Error('two nodes')
  await a.createDatabase('depot')
  await connect(a, b)
  await using at = await createHttpServer(a, { port: 0 })
  await using server = await createHttpServer(b, { port: 0 })
  assert.equal((await put(`${at.url}/db/depot/v/stock/_def`, SCRIPT)).status, 201)
  await untilEqual([a, b], 'depot')
  assert.equal((await ask(`${at.url}/depot/stock`)).status, 200)
  await until(async () => (await ask(`${server.url}/depot/stock`)).status === 409)
  const refused = (await ask(`${server.url}/depot/stock`)).json()
  assert.equal(refused.code, 'view-refused')
  assert.match(refused.detail, /--trust/)
  const { views } = (await ask(`${server.url}/db/depot/v`)).json()
  assert.deepEqual(
    views.map(({ name, state }: Body) => [name, state]),
    [['stock', 'refused']]
  )
  const { warnings } = (await ask(`${server.url}/_status`)).json()
  assert.match(warnings[0], /^View stock of depot is not run here: .*--trust/)
  const own = await put(`${server.url}/db/depot/v/stock/_def`, COUNT)
  assert.equal(own.status, 201, own.text)
  assert.equal((await ask(`${server.url}/depot/stock`)).status, 200)
  assert.deepEqual((await ask(`${server.url}/_status`)).json().warnings, [])
})

test('a view of the configuration that is none says so to whoever asks for it, and others are used', async () => {
  const bad = { name: 'bad', select: 5, initial: () => 0, apply: () => 0 } as unknown as AnyView
  await using served = await serveNode(
    {},
    {
      views: { depot: [STOCK, bad] },
      viewDefinitions: { depot: { text: SCRIPT, odd: { keyy: 'data.x' } as ViewDefinition } }
    }
  )
  await served.node.createDatabase('depot')
  const url = `${served.url}/db/depot/v`
  const expected = [
    ['bad', /select must be a function/],
    ['odd', /keyy: is not known here/],
    ['text', /--view-scripts/]
  ] as const
  for (const [name, reason] of expected) {
    await until(async () => (await ask(`${url}/${name}`)).status === 409)
    const { code, detail } = (await ask(`${url}/${name}`)).json()
    assert.equal(code, 'view-refused')
    assert.match(detail, reason)
  }
  assert.equal((await ask(`${url}/stock`)).status, 200)
  const { views } = (await ask(url)).json()
  const states = views.map(({ name, type, state }: Body) => `${name} ${type} ${state}`)
  assert.deepEqual(states, [
    'bad undefined refused',
    'odd undefined refused',
    'stock map ready',
    'text undefined refused'
  ])
  const { warnings } = (await ask(`${served.url}/_status`)).json()
  assert.equal(warnings.filter((each: string) => /^View .* is not run here/.test(each)).length, 3)
})

test('text that came from another node makes no view where none is run, which says why', async () => {
  const [a, b] = await startNetwork(2, { viewScripts: true, trust: 'members' })
  if (a === undefined || b === undefined) throw new Error('two nodes')
  await a.createDatabase('depot')
  await connect(a, b)
  await using at = await createHttpServer(a, { port: 0 })
  assert.equal((await put(`${at.url}/db/depot/v/stock/_def`, SCRIPT)).status, 201)
  await untilEqual([a, b], 'depot')
  await using open = await createHttpServer(b, { port: 0 })
  assert.equal((await ask(`${open.url}/depot/stock`)).status, 200)
  const [c] = await startNetwork(1, { invitation: a.invitation(), trust: 'members' })
  if (c === undefined) throw new Error('a node')
  await connect(a, c)
  await untilEqual([a, c], 'depot')
  await using server = await createHttpServer(c, { port: 0 })
  const refused = await ask(`${server.url}/depot/stock`)
  assert.deepEqual([refused.status, refused.json().code], [409, 'view-refused'])
  const info = (await ask(`${server.url}/db/depot/v/stock/_info`)).json()
  assert.equal(info.state, 'refused')
  assert.match(info.reason, /JavaScript/)
})

test('views that are not run here are named in the status, up to a number', async () => {
  const dir = await temporaryDirectory()
  const before = await startNode({ dir, viewScripts: true })
  const { database } = await before.createDatabase('depot')
  for (let number = 0; number <= VIEWS_NAMED_MAX; number += 1) {
    await database.views.put(`stock-${number}`, SCRIPT)
  }
  assert.deepEqual((await before.status()).warnings, [])
  await before.close()
  const node = await startNode({ dir })
  await using server = await createHttpServer(node, { port: 0 })
  assert.equal((await ask(`${server.url}/depot/stock-0`)).json().code, 'view-refused')
  const { warnings } = (await ask(`${server.url}/_status`)).json()
  assert.equal(warnings.length, VIEWS_NAMED_MAX)
  assert.match(warnings[0], /^View stock-0 of depot is not run here: .*JavaScript/)
  const metrics = (await ask(`${server.url}/metrics`)).text
  assert.match(metrics, /laterbase_view_failed\{database="depot",view="stock-0"\} 1\n/)
})
