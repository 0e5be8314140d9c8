/** Schemas over HTTP: put, read, replaced, deleted; what they refuse, and what they label. */

import assert from 'node:assert/strict'

import { test } from 'vitest'

import { ask, post, serveNode, type Answer, type ServedNode } from '../fixtures/http-server.ts'

const QTY = {
  $schema: 'http://json-schema.org/draft-07/schema#',
  type: 'object',
  required: ['qty'],
  properties: { qty: { type: 'integer', minimum: 0 } }
}
const JSON_TYPE = { 'content-type': 'application/json' }

interface Yard extends ServedNode {
  readonly events: string
  readonly schemas: string
}

async function serveYard(...options: Parameters<typeof serveNode>): Promise<Yard> {
  const served = await serveNode(...options)
  await served.node.createDatabase('yard')
  return { ...served, events: `${served.url}/db/yard/e`, schemas: `${served.url}/db/yard/schema` }
}

function put(url: string, body: unknown, headers = {}): Promise<Answer> {
  const text = typeof body === 'string' ? body : JSON.stringify(body)
  return ask(url, { method: 'PUT', headers: { ...JSON_TYPE, ...headers }, body: text })
}

test('a schema is put, read, replaced and deleted, and says by its tag which one it is', async () => {
  await using served = await serveYard()
  // Any text is a type, as long as the address spells it.
  const at = `${served.schemas}/${encodeURIComponent('pallet/received ☃')}`
  const created = await put(at, QTY)
  assert.equal(created.status, 201, created.text)
  assert.equal(new URL(created.headers.location ?? '', served.url).href, new URL(at).href)
  assert.equal(created.json().state, 'enforced')
  assert.deepEqual(created.json().authors, [served.node.peerId])
  const read = await ask(at)
  assert.deepEqual([read.json(), read.headers.etag], [QTY, created.headers.etag])
  const headers = { 'if-none-match': read.headers.etag ?? '' }
  assert.equal((await ask(at, { headers })).status, 304)
  const same = await put(at, QTY)
  assert.deepEqual([same.status, same.headers.etag], [200, read.headers.etag])
  const stale = await put(at, true, { 'if-match': '"other"' })
  assert.deepEqual([stale.status, stale.json().code], [412, 'precondition-failed'])
  const replaced = await put(at, true, { 'if-match': read.headers.etag })
  assert.equal(replaced.status, 200)
  assert.notEqual(replaced.headers.etag, read.headers.etag)
  const listed = (await ask(served.schemas)).json().schemas
  assert.deepEqual(
    listed.map((each: { type: string; state: string }) => [each.type, each.state]),
    [['pallet/received ☃', 'enforced']]
  )
  assert.equal((await ask(at, { method: 'DELETE' })).status, 204)
  for (const gone of [await ask(at), await ask(at, { method: 'DELETE' })]) {
    assert.deepEqual([gone.status, gone.json().code], [404, 'schema-unknown'])
  }
})

test('what is no schema is refused with its place in it', async () => {
  await using served = await serveYard()
  const at = `${served.schemas}/moved`
  const wrong = await put(at, { properties: { qty: { minimum: 'none' } } })
  assert.deepEqual([wrong.status, wrong.json().code], [422, 'schema-invalid'])
  assert.equal(wrong.json().errors[0].pointer, '/properties/qty/minimum')
  const far = await put(at, { $ref: 'https://example.com/other' })
  assert.equal(far.status, 422)
  const inexact = await put(at, '{"const":340123450000000018}')
  assert.equal(inexact.json().errors[0].pointer, '/const')
  assert.equal((await put(at, '{')).json().code, 'malformed-json')
  assert.equal((await put(at, QTY, { 'content-type': 'text/plain' })).status, 415)
  assert.equal((await put(`${served.schemas}/laterbase.view`, true)).status, 400)
  assert.equal((await put(at, { title: 'x'.repeat(150_000) })).status, 413)
  assert.equal((await ask(`${at}?versoin=1`)).json().code, 'parameter-unknown')
  assert.deepEqual((await ask(served.schemas)).json(), { schemas: [] })
})

test('a schema may refer to itself as a whole, and one that is too large says so', async () => {
  await using served = await serveYard()
  const tree = {
    properties: { kids: { type: 'array', items: { $ref: '#' } }, v: { type: 'number' } }
  }
  for (const draft of ['http://json-schema.org/draft-07/schema#', undefined]) {
    await put(`${served.schemas}/tree`, { ...(draft && { $schema: draft }), ...tree })
    const nested = (v: unknown) => ({ type: 'tree', data: { kids: [{ kids: [{ v }] }] } })
    const refused = await post(served.events, nested('x'))
    assert.equal(refused.json().errors[0].pointer, '/data/kids/0/kids/0/v')
    assert.equal((await post(served.events, nested(1))).status, 201)
  }
  const names = Array.from({ length: 3_000 }, (_, number) => [`p${number}`, { type: 'string' }])
  const large = await put(`${served.schemas}/large`, { properties: Object.fromEntries(names) })
  assert.match(large.json().errors[0].detail, /more than a thousand properties/)
})

test('an event that is held is a duplicate, whatever its schema asks by now', async () => {
  await using served = await serveYard()
  const held = {
    type: 'moved',
    time: '2026-03-01T06:10:00Z',
    source: 's',
    id: '1',
    data: { qty: -1 }
  }
  assert.equal((await post(served.events, held)).status, 201)
  await put(`${served.schemas}/moved`, QTY)
  const again = await post(served.events, [held, { data: 1 }])
  assert.equal(again.status, 201)
  const statuses = again.json().results.map(({ status }: { status: string }) => status)
  assert.deepEqual(statuses, ['duplicate', 'created'])
  const other = await post(served.events, { ...held, data: { qty: -2 } })
  assert.equal(other.json().errors[0].pointer, '/data/qty')
})

test('a write that does not follow is 422 with pointers, in whichever way it comes', async () => {
  await using served = await serveYard()
  await put(`${served.schemas}/moved`, QTY)
  const bad = { type: 'moved', data: { qty: -1 } }
  const array = await post(served.events, [{ data: 1 }, bad])
  assert.equal(array.status, 422)
  assert.deepEqual(array.json().errors, [{ pointer: '/1/data/qty', detail: 'must be >= 0' }])
  const one = await post(served.events, bad)
  assert.equal(one.json().errors[0].pointer, '/data/qty')
  const cloud = { ...bad, specversion: '1.0', id: '1', source: 's', time: '2026-03-01T06:10:00Z' }
  const event = await post(served.events, cloud, { 'content-type': 'application/cloudevents+json' })
  assert.equal(event.json().errors[0].pointer, '/data/qty')
  const lines = [{ data: 1 }, bad].map((each) => JSON.stringify(each)).join('\n')
  const stream = { 'content-type': 'application/x-ndjson' }
  const streamed = await post(`${served.events}?on_error=proceed`, lines, stream)
  const [first] = streamed.text.split('\n').map((line) => line && JSON.parse(line))
  assert.equal(first.results[1].problem.errors[0].pointer, '/data/qty')
  assert.equal((await post(served.events, { type: 'moved', data: { qty: 1 } })).status, 201)
  // The schema itself, the line that was good, and this one.
  assert.equal((await served.node.database('yard').status()).events, 3)
})

test('a schema of a version is for events that name it', async () => {
  await using served = await serveYard()
  const created = await put(`${served.schemas}/moved?version=v%202`, { type: 'string' })
  assert.equal(created.headers.location, '/db/yard/schema/moved?version=v%202')
  assert.equal((await post(served.events, { type: 'moved', data: 1 })).status, 201)
  const bad = { type: 'moved', schema: 'v 2', data: 1 }
  assert.equal((await post(served.events, bad)).status, 422)
  assert.equal((await ask(`${served.schemas}/moved`)).status, 404)
  assert.deepEqual((await ask(`${served.schemas}/moved?version=v%202`)).json(), { type: 'string' })
})

test('rows say what is wrong with an event that is there, and of others nothing', async () => {
  await using served = await serveYard()
  await post(served.events, [
    { type: 'moved', data: { qty: -1 }, time: '2026-03-01T06:10:00Z' },
    { type: 'moved', data: { qty: 1 }, time: '2026-03-01T06:11:00Z' }
  ])
  await put(`${served.schemas}/moved`, QTY)
  for (const query of [
    'from=2026-01-01T00:00:00Z',
    'lc=0&type=moved',
    'lc=0&type=moved&include_data=false'
  ]) {
    const rows = (await ask(`${served.events}?${query}`)).json().results
    assert.deepEqual(
      rows.map((row: { schema_problems?: unknown }) => row.schema_problems),
      [[{ pointer: '/data/qty', detail: 'must be >= 0' }], undefined]
    )
  }
})

test('schemas of the program are shown and enforced, and cannot be deleted here', async () => {
  const schemas = { yard: { moved: QTY }, constructor: { moved: false } }
  await using served = await serveYard({}, { schemas })
  assert.equal((await post(served.events, { type: 'moved', data: {} })).status, 422)
  const [listed] = (await ask(served.schemas)).json().schemas
  assert.deepEqual([listed.origin, listed.state], ['library', 'enforced'])
  assert.deepEqual((await ask(`${served.schemas}/moved`)).json(), QTY)
  assert.equal((await ask(`${served.schemas}/moved`, { method: 'DELETE' })).status, 404)
  // A definition is kept for others, and for a program without its own.
  assert.equal((await put(`${served.schemas}/moved`, true)).json().state, 'replaced')
  assert.equal((await post(served.events, { type: 'moved', data: {} })).status, 422)
})

test('a schema of the options that is none keeps the node from starting', async () => {
  const schemas = { yard: { moved: { type: 'figure' } } }
  await assert.rejects(serveNode({}, { schemas }), {
    code: 'LATERBASE_OPTION_INVALID',
    message: /^schemas\.yard\.moved: \/type: /
  })
})
