/** Writing events in one request over HTTP: what is taken, what is refused, and with which words. */

import assert from 'node:assert/strict'

import { test } from 'vitest'

import { ask, post, serveNode, type ServedNode } from '../fixtures/http-server.ts'

const KEY = '01HZZZZZZZZZZZZZZZZZZZZZZZ'

async function serveYard(): Promise<ServedNode & { readonly events: string }> {
  const served = await serveNode()
  await served.node.createDatabase('yard')
  return { ...served, events: `${served.url}/db/yard/e` }
}

async function countEvents({ node }: ServedNode): Promise<number> {
  return (await node.database('yard').status()).events
}

test('one event is created with its place and its tag, and is there', async () => {
  await using served = await serveYard()
  const written = await post(served.events, { data: { qty: 3 }, type: 'moved' })
  assert.equal(written.status, 201)
  const { lc, results } = written.json()
  assert.equal(typeof lc, 'string')
  assert.equal(results.length, 1)
  assert.equal(results[0].status, 'created')
  assert.equal(written.headers.location, `/db/yard/e/${results[0].key}`)
  const read = await ask(served.url + (written.headers.location ?? ''))
  assert.equal(read.headers.etag, written.headers.etag)
  assert.deepEqual(read.json().data, { qty: 3 })
  assert.equal(read.json().type, 'moved')
})

test('an array is one commit, in the order of the array', async () => {
  await using served = await serveYard()
  const written = await post(served.events, [{ data: 1 }, { data: 2 }, { data: 3 }])
  assert.equal(written.status, 201)
  assert.equal(written.headers.location, undefined)
  const keys = written.json().results.map((each: { key: string }) => each.key)
  assert.deepEqual(keys.toSorted(), keys)
  const page = (await ask(`${served.events}?lc=0`)).json()
  assert.deepEqual(
    page.results.map((row: { event: { data: number } }) => row.event.data),
    [1, 2, 3]
  )
  assert.equal(page.last_lc, written.json().lc)
})

test('what was sent is what comes back, hostile names and texts included', async () => {
  await using served = await serveYard()
  const data = {
    constructor: { prototype: { polluted: true } },
    toJSON: 1,
    hasOwnProperty: null,
    '': 'empty name',
    'a/b~c': 'pointer',
    texts: [
      '\u0000',
      '\u001B[31m',
      '\u202Edrow',
      '\uFEFF',
      '\u2028\u2029',
      '🏳️‍🌈',
      '\uD800',
      "';--",
      '${7*7}',
      '<script>',
      '../../etc/passwd',
      'a\r\nSet-Cookie: x',
      '%00',
      'İ',
      '田中さん'
    ],
    numbers: [0, -0.5, 1e-7, 1.5e300, 9007199254740991]
  }
  const text = `{"data":${JSON.stringify(data).replace('{', '{"__proto__":{"polluted":1},"then":"no promise",')}}`
  const written = await post(served.events, text)
  assert.equal(written.status, 201, written.text)
  const read = await ask(served.url + (written.headers.location ?? ''))
  assert.deepEqual(read.json().data, JSON.parse(text).data)
  assert.equal(({} as { polluted?: unknown }).polluted, undefined)
})

test('the same event twice is a success that changes nothing', async () => {
  await using served = await serveYard()
  const event = { key: KEY, data: 1 }
  assert.equal((await post(served.events, event)).status, 201)
  const again = await post(served.events, event)
  assert.equal(again.status, 200)
  assert.deepEqual(again.json().results, [{ key: KEY, status: 'duplicate' }])
  assert.equal(await countEvents(served), 1)
})

test('the same key with other content is refused, and nothing beside it is written', async () => {
  await using served = await serveYard()
  await post(served.events, { key: KEY, data: 1 })
  const refused = await post(served.events, [{ data: 'good' }, { key: KEY, data: 2 }])
  assert.equal(refused.status, 409)
  assert.equal(refused.headers['content-type'], 'application/problem+json')
  const problem = refused.json()
  assert.equal(problem.code, 'key-conflict')
  assert.equal(problem.status, 409)
  assert.equal(problem.instance, '/db/yard/e')
  assert.equal(problem.type, 'urn:laterbase:problem:key-conflict')
  assert.match(problem.errors[0].pointer, /^\/1/)
  assert.equal(await countEvents(served), 1)
})

test('with on_error=proceed what is good is written and each refusal has its problem', async () => {
  await using served = await serveYard()
  await post(served.events, { key: KEY, data: 1 })
  const mixed = [{ data: 1 }, { key: KEY, data: 2 }, { data: 3, time: 'noon' }, { data: 4 }]
  const written = await post(`${served.events}?on_error=proceed`, mixed)
  assert.equal(written.status, 200)
  const { results } = written.json()
  const statuses = results.map((each: { status: string }) => each.status)
  assert.deepEqual(statuses, ['created', 'rejected', 'rejected', 'created'])
  assert.equal(results[1].problem.code, 'key-conflict')
  assert.equal(results[2].problem.code, 'event-invalid')
  assert.match(results[2].problem.errors[0].pointer, /^\/2/)
  assert.equal(await countEvents(served), 3)
})

test('an event that breaks a rule is 422, with a pointer to what is wrong', async () => {
  await using served = await serveYard()
  const faults: readonly (readonly [body: unknown, pointer: string])[] = [
    [{}, ''],
    [[{ data: 1 }, { data: 2, time: 'noon' }], '/1/time'],
    [{ data: 1, key: 'short' }, '/key'],
    [{ data: 1, source: 'wms', id: '4711' }, '/time'],
    [{ data: 1, colour: 'red' }, '/colour'],
    [{ data: 1, type: 7 }, '/type'],
    [[[{ data: 1 }]], '/0'],
    ['"text"', ''],
    ['null', ''],
    ['7', '']
  ]
  for (const [body, pointer] of faults) {
    const refused = await post(served.events, body)
    assert.equal(refused.status, 422, JSON.stringify(body))
    assert.equal(refused.json().code, 'event-invalid')
    assert.equal(refused.json().errors[0].pointer, pointer)
  }
  assert.equal(await countEvents(served), 0)
})

test('a number that a double cannot hold is refused with its place, never rounded', async () => {
  await using served = await serveYard()
  const refused = await post(served.events, '[{"data":1},{"data":{"sscc":340123450000000018}}]')
  assert.equal(refused.status, 422)
  assert.equal(refused.json().errors[0].pointer, '/1/data/sscc')
  assert.equal(await countEvents(served), 0)
})

test('an event dated in the future is refused with the facts, unless the client means it', async () => {
  await using served = await serveYard()
  const event = { data: 1, time: '2199-01-01T00:00:00Z' }
  const refused = await post(served.events, event)
  assert.equal(refused.status, 422)
  const problem = refused.json()
  assert.equal(problem.code, 'future-dated')
  assert.equal(typeof problem.node_time, 'string')
  assert.equal(problem.tolerance_ms, 300_000)
  assert.equal((await post(`${served.events}?clock=trust`, event)).status, 201)
})

test('an event far in the past is taken, and its key holds when it happened', async () => {
  await using served = await serveYard()
  const written = await post(served.events, { data: 1, time: '1999-12-31T23:59:59.999Z' })
  assert.equal(written.status, 201)
  const read = await ask(served.url + (written.headers.location ?? ''))
  assert.equal(read.json().time, '1999-12-31T23:59:59.999Z')
})

test('a fact with source, id and time is one event, however often it is sent', async () => {
  await using served = await serveYard()
  const event = { source: 'wms', id: '4711', time: '2026-03-01T06:10:00Z', data: { qty: 1 } }
  const [first, second] = [await post(served.events, event), await post(served.events, event)]
  assert.equal(first.status, 201)
  assert.equal(second.status, 200)
  assert.equal(first.json().results[0].key, second.json().results[0].key)
})

test('a body that is no JSON content is 415, with what is taken', async () => {
  await using served = await serveYard()
  const types = [
    'text/plain',
    'application/x-www-form-urlencoded',
    'multipart/form-data; boundary=x',
    'application/json; charset=latin1',
    'application/jsonx',
    'text/json',
    'nonsense',
    '*/*'
  ]
  for (const type of types) {
    const refused = await post(served.events, { data: 1 }, { 'content-type': type })
    assert.equal(refused.status, 415, type)
    assert.equal(refused.json().code, 'media-type-unsupported')
  }
  const untyped = await ask(served.events, { method: 'POST', body: '{"data":1}' })
  assert.equal(untyped.status, 415)
  const zipped = await post(served.events, { data: 1 }, { 'content-encoding': 'gzip' })
  assert.equal(zipped.status, 415)
  const taken = await post(served.events, { data: 1 }, { 'content-type': 'text/plain' })
  assert.match(taken.headers['accept-post'] ?? '', /application\/json, .*application\/x-ndjson/)
  assert.equal(await countEvents(served), 0)
})

test('UTF-8 is named or not, and a byte order mark at the start is dropped', async () => {
  await using served = await serveYard()
  for (const type of ['application/json; charset=utf-8', 'Application/JSON;charset="UTF-8"']) {
    assert.equal((await post(served.events, { data: 1 }, { 'content-type': type })).status, 201)
  }
  assert.equal((await post(served.events, '\uFEFF{"data":"marked"}')).status, 201)
})

test('a CloudEvent is written as an event, its numbers untouched', async () => {
  await using served = await serveYard()
  const text = `{ "specversion" : "1.0", "id":"1", "source":"/wms", "type":"moved",
    "time":"2026-03-01T06:10:00Z", "dataschema":"urn:s", "data":{"specversion":"kept","n":[1.50,{}]} }`
  const type = 'application/cloudevents+json; charset=utf-8'
  const written = await post(served.events, text, { 'content-type': type })
  assert.equal(written.status, 201, written.text)
  const event = (await ask(served.url + (written.headers.location ?? ''))).json()
  assert.equal(event.schema, 'urn:s')
  assert.equal(event.source, '/wms')
  assert.equal(event.specversion, undefined)
  assert.deepEqual(event.data, { specversion: 'kept', n: [1.5, {}] })
  const inexact = text.replace('1.50', '340123450000000018')
  const refused = await post(served.events, inexact, { 'content-type': type })
  assert.equal(refused.status, 422)
  assert.equal(refused.json().errors[0].pointer, '/data/n/0')
})

test('a batch of CloudEvents is one commit, and a faulty one names what is wrong', async () => {
  await using served = await serveYard()
  const headers = { 'content-type': 'application/cloudevents-batch+json' }
  const event = (id: string, extra = {}): object => ({
    specversion: '1.0',
    id,
    source: 's',
    type: 't, "}],',
    time: '2026-03-01T06:10:00Z',
    data: ['],[', { a: '}' }],
    ...extra
  })
  assert.equal((await post(served.events, [event('1'), event('2')], headers)).status, 201)
  assert.equal((await post(served.events, [event('1'), event('2')], headers)).status, 200)
  const old = await post(served.events, [event('3'), event('4', { specversion: '0.3' })], headers)
  assert.equal(old.json().errors[0].pointer, '/1/specversion')
  const extended = await post(served.events, [event('5', { traceparent: 'x' })], headers)
  assert.equal(extended.json().errors[0].pointer, '/0/traceparent')
  const nameless = await post(served.events, [event('')], headers)
  assert.equal(nameless.json().errors[0].pointer, '/0/id')
  assert.equal((await post(served.events, event('6'), headers)).status, 422)
  assert.equal((await post(served.events, '[', headers)).json().code, 'malformed-json')
  assert.equal(await countEvents(served), 2)
})

test('a correction names what it corrects, whichever form it came in, also as a CloudEvent', async () => {
  await using served = await serveYard()
  const cloud = {
    specversion: '1.0',
    id: '1',
    source: 's',
    type: 't',
    time: '2026-03-01T06:10:00Z'
  }
  const bodies = [
    [{ data: null, corrects: KEY.toLowerCase() }, 'application/json'],
    [{ ...cloud, data: 1, corrects: KEY }, 'application/cloudevents+json']
  ] as const
  for (const [body, type] of bodies) {
    const written = await post(served.events, body, { 'content-type': type })
    assert.equal(written.status, 201, written.text)
    const read = (await ask(served.url + (written.headers.location ?? ''))).json()
    assert.equal(read.corrects, KEY)
  }
  const rows = (await ask(`${served.events}?lc=0&include_data=false`)).json().results
  assert.deepEqual(
    rows.map((row: { event: { corrects: string } }) => row.event.corrects),
    [KEY, KEY]
  )
  const itself = await post(served.events, [{ data: 1, key: KEY, corrects: KEY }])
  assert.equal(itself.status, 422)
  assert.equal(itself.json().errors[0].pointer, '/0/corrects')
})

test('a body above the limit is 413 with the limit, announced or not', async () => {
  await using served = await serveNode({ limits: { bodyBytesMax: 1_000 } })
  await served.node.createDatabase('yard')
  const body = JSON.stringify({ data: 'x'.repeat(2_000) })
  const announced = await post(`${served.url}/db/yard/e`, body)
  const headers = { 'transfer-encoding': 'chunked' }
  const chunked = await post(`${served.url}/db/yard/e`, body, headers)
  for (const refused of [announced, chunked]) {
    assert.equal(refused.status, 413)
    assert.equal(refused.json().code, 'too-large')
    assert.equal(refused.json().request_bytes_max, 1_000)
  }
})

test('an event above 256 KiB is 413, and the largest is taken', async () => {
  await using served = await serveYard()
  const refused = await post(served.events, { data: 'x'.repeat(256 * 1024) })
  assert.equal(refused.status, 413)
  assert.equal(refused.json().code, 'too-large')
  assert.equal((await post(served.events, { data: 'x'.repeat(255 * 1024) })).status, 201)
})

test('more events than one request may hold are 413', async () => {
  await using served = await serveYard()
  const refused = await post(served.events, `[${'{"data":1},'.repeat(10_000)}{"data":1}]`)
  assert.equal(refused.status, 413)
  assert.equal(await countEvents(served), 0)
})

test('when all bodies together are too much, a client is asked to come back', async () => {
  await using served = await serveNode({ limits: { bodiesBytesMax: 1_000 } })
  await served.node.createDatabase('yard')
  const refused = await post(`${served.url}/db/yard/e`, { data: 'x'.repeat(2_000) })
  assert.equal(refused.status, 503)
  assert.equal(refused.json().code, 'busy')
  assert.ok(Number(refused.headers['retry-after']) > 0)
  assert.equal((await post(`${served.url}/db/yard/e`, { data: 1 })).status, 201)
})
