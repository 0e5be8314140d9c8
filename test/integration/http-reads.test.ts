/** Reading events over HTTP by key, by keys and by when they happened. */

import assert from 'node:assert/strict'

import { test } from 'vitest'

import { ask, post, serveNode, type ServedNode } from '../fixtures/http-server.ts'

const ABSENT = '01JZZZZZZZZZZZZZZZZZZZZZZZ'

async function serveYard(
  limits: NonNullable<Parameters<typeof serveNode>[0]>['limits'] = {}
): Promise<ServedNode & { readonly events: string }> {
  const served = await serveNode({ limits })
  await served.node.createDatabase('yard')
  return { ...served, events: `${served.url}/db/yard/e` }
}

interface Row {
  readonly key: string
  readonly event: { readonly data: number; readonly time: string }
}

/** Events one minute apart, each `data` its place. */
async function writeMinutes(events: string, count: number): Promise<string[]> {
  const minutes = Array.from({ length: count }, (_, n) => ({
    time: new Date(Date.UTC(2026, 0, 1, 0, n)).toISOString(),
    type: n % 2 === 0 ? 'even' : 'odd',
    data: n
  }))
  const written = (await post(events, minutes)).json()
  return written.results.map((each: { key: string }) => each.key)
}

test('one event is its own JSON, with a strong tag and leave to keep it for ever', async () => {
  await using served = await serveYard()
  const [key = ''] = await writeMinutes(served.events, 1)
  const read = await ask(`${served.events}/${key}`)
  assert.equal(read.status, 200)
  assert.equal(read.headers['content-type'], 'application/json')
  assert.match(read.headers.etag ?? '', /^"[0-9a-f]{64}"$/)
  assert.equal(read.headers['cache-control'], 'max-age=31536000, immutable')
  const { key: sameKey, time, type, data } = read.json()
  assert.deepEqual([sameKey, time, type, data], [key, '2026-01-01T00:00:00.000Z', 'even', 0])
})

test('who has the event is told so with 304, and nothing more', async () => {
  await using served = await serveYard()
  const [key = ''] = await writeMinutes(served.events, 1)
  const url = `${served.events}/${key}`
  const { etag = '' } = (await ask(url)).headers
  for (const header of [etag, `W/${etag}`, `"other", ${etag}`, '*']) {
    const again = await ask(url, { headers: { 'if-none-match': header } })
    assert.equal(again.status, 304, header)
    assert.equal(again.text, '')
    assert.equal(again.headers.etag, etag)
  }
  assert.equal((await ask(url, { headers: { 'if-none-match': '"other"' } })).status, 200)
})

test('a key is read in any of its spellings', async () => {
  await using served = await serveYard()
  const [key = ''] = await writeMinutes(served.events, 1)
  assert.equal((await ask(`${served.events}/${key.toLowerCase()}`)).json().key, key)
})

test('a key that is not there is 404, and what is no key is 400', async () => {
  await using served = await serveYard()
  const absent = await ask(`${served.events}/${ABSENT}`)
  assert.equal(absent.status, 404)
  assert.equal(absent.json().code, 'event-unknown')
  for (const key of [
    'short',
    '8ZZZZZZZZZZZZZZZZZZZZZZZZZ',
    '..%2F..%2Fetc',
    '%00',
    'ü',
    '__proto__'
  ]) {
    const refused = await ask(encodeURI(`${served.events}/${key}`).replaceAll('%25', '%'))
    assert.equal(refused.status, 400, key)
    assert.equal(refused.json().code, 'argument-invalid')
  }
})

test('several keys are answered in the order they were asked for, gaps shown', async () => {
  await using served = await serveYard()
  const [first = '', second = ''] = await writeMinutes(served.events, 2)
  const keys = [second, ABSENT, first]
  const query = (await ask(`${served.events}?keys=${keys.join(',')}`)).json()
  const body = (await post(`${served.events}/_get`, { keys })).json()
  assert.deepEqual(query, body)
  assert.deepEqual(
    query.results.map((row: Row) => row.event?.data),
    [1, undefined, 0]
  )
  assert.deepEqual(query.results[1], { key: ABSENT, missing: true })
  const { recorded, log, seq } = query.results[0]
  assert.match(recorded, /^\d{4}-.*Z$/)
  assert.match(log, /^[0-9a-f]{32}$/)
  assert.equal(seq, 2)
})

test('a thousand keys are read in one request', async () => {
  await using served = await serveYard()
  const keys = await writeMinutes(served.events, 1_000)
  const read = (await post(`${served.events}/_get`, { keys: keys.toReversed() })).json()
  const places = read.results.map((row: Row) => row.event.data)
  assert.deepEqual(
    places,
    Array.from({ length: 1_000 }, (_, n) => 999 - n)
  )
  assert.deepEqual((await post(`${served.events}/_get`, { keys: [] })).json(), { results: [] })
})

test('too many keys, no keys and what are no keys are refused', async () => {
  await using served = await serveYard({ keysBodyMax: 200 })
  const many = await ask(`${served.events}?keys=${Array(101).fill(ABSENT).join(',')}`)
  assert.equal(many.status, 413)
  assert.equal(many.json().keys_max, 100)
  const more = await post(`${served.events}/_get`, { keys: Array(201).fill(ABSENT) })
  assert.equal(more.status, 413)
  assert.equal((await ask(`${served.events}?keys=`)).json().code, 'parameter-invalid')
  assert.equal((await ask(`${served.events}?keys=nonsense`)).json().code, 'argument-invalid')
  for (const body of [{}, { keys: 'x' }, { keys: [1] }, [], null, 7, { keys: { 0: 'x' } }]) {
    const refused = await post(`${served.events}/_get`, body)
    assert.equal(refused.status, 400, JSON.stringify(body))
    assert.equal(refused.json().code, 'argument-invalid')
  }
  const untyped = await post(`${served.events}/_get`, '{"keys":[]}', {
    'content-type': 'text/plain'
  })
  assert.equal(untyped.status, 415)
})

test('a range holds what happened from its start and before its end', async () => {
  await using served = await serveYard()
  const keys = await writeMinutes(served.events, 10)
  const read = async (query: string): Promise<number[]> =>
    (await ask(`${served.events}?${query}`)).json().results.map((row: Row) => row.event.data)
  assert.deepEqual(await read('from=2026-01-01T00:03:00Z&to=2026-01-01T00:06:00Z'), [3, 4, 5])
  assert.deepEqual(await read('from=2026-01-01T01:08:00+01:00'), [8, 9])
  assert.deepEqual(await read('to=2026-01-01T00:02:00Z'), [0, 1])
  assert.deepEqual(await read(`from=${keys[2]}&to=${keys[4]}`), [2, 3])
  assert.deepEqual(await read('from=2027-01-01T00:00:00Z'), [])
  assert.deepEqual(await read('from=1999-01-01T00:00:00Z&type=odd'), [1, 3, 5, 7, 9])
  assert.equal((await ask(`${served.events}?from=noon`)).status, 400)
})

test.each(['', '&type=even', '&include_data=false'])(
  'the pages of a range%s hold each event once and no more pages than needed',
  async (parameters) => {
    await using served = await serveYard({ rangeScanMax: 7 })
    const keys = await writeMinutes(served.events, 40)
    const seen: string[] = []
    let from: string | undefined = '2026-01-01T00:00:00Z'
    let pages = 0
    while (from !== undefined) {
      const page: { results: Row[]; next?: string } = (
        await ask(`${served.events}?from=${from}&limit=5${parameters}`)
      ).json()
      assert.ok(page.results.length <= 5)
      seen.push(...page.results.map((row) => row.key))
      from = page.next
      pages++
    }
    const expected = parameters === '&type=even' ? keys.filter((_, n) => n % 2 === 0) : keys
    assert.deepEqual(seen, expected)
    assert.ok(pages <= 8, `${pages} pages`)
  }
)

test('the last key of all ends a range', async () => {
  await using served = await serveYard()
  const last = '7ZZZZZZZZZZZZZZZZZZZZZZZZZ'
  await post(`${served.events}?clock=trust`, [{ key: last, data: 1 }, { data: 0 }])
  const page = (await ask(`${served.events}?from=1999-01-01T00:00:00Z&limit=1`)).json()
  const end = (await ask(`${served.events}?from=${page.next}&limit=1`)).json()
  assert.equal(end.results[0].key, last)
  assert.equal(end.next, undefined)
})

test('a page of large events ends early rather than hold them all', async () => {
  await using served = await serveYard({ pageBytesMax: 10_000 })
  await post(
    served.events,
    Array.from({ length: 20 }, () => ({ data: 'x'.repeat(3_000) }))
  )
  const range = (await ask(`${served.events}?from=1999-01-01T00:00:00Z`)).json()
  assert.equal(range.results.length, 4)
  assert.equal(typeof range.next, 'string')
})

test('include_data=false leaves the data out and the rest of the event in', async () => {
  await using served = await serveYard()
  const [key = ''] = await writeMinutes(served.events, 1)
  for (const query of [`keys=${key}`, 'lc=0', 'from=1999-01-01T00:00:00Z']) {
    const [row] = (await ask(`${served.events}?${query}&include_data=false`)).json().results
    assert.deepEqual(row.event, { key, time: '2026-01-01T00:00:00.000Z', type: 'even' })
  }
})

test('lc, keys and a range exclude each other', async () => {
  await using served = await serveYard()
  const queries = [
    `lc=0&keys=${ABSENT}`,
    `keys=${ABSENT}&from=2026-01-01T00:00:00Z`,
    'lc=0&from=2026-01-01T00:00:00Z',
    'lc=0&to=2026-01-01T00:00:00Z',
    `feed=normal&keys=${ABSENT}`,
    `keys=${ABSENT}&limit=1`,
    'from=2026-01-01T00:00:00Z&timeout=1'
  ]
  for (const query of queries) {
    const refused = await ask(`${served.events}?${query}`)
    assert.equal(refused.status, 400, query)
    assert.equal(refused.json().code, 'ambiguous-query')
  }
})

test('a parameter that is misspelt, repeated or out of bounds is refused by name', async () => {
  await using served = await serveYard()
  const queries: readonly (readonly [query: string, name: string, code: string])[] = [
    ['limt=1', 'limt', 'parameter-unknown'],
    ['__proto__=1', '__proto__', 'parameter-unknown'],
    ['constructor[prototype]=1', 'constructor[prototype]', 'parameter-unknown'],
    ['lc=0&lc=1', 'lc', 'parameter-invalid'],
    ['limit=0', 'limit', 'parameter-invalid'],
    ['limit=-1', 'limit', 'parameter-invalid'],
    ['limit=1e3', 'limit', 'parameter-invalid'],
    ['limit=10001', 'limit', 'parameter-invalid'],
    ['limit=', 'limit', 'parameter-invalid'],
    ['include_data=yes', 'include_data', 'parameter-invalid'],
    ['feed=push', 'feed', 'parameter-invalid'],
    ['feed=longpoll&timeout=x', 'timeout', 'parameter-invalid'],
    ['feed=longpoll&timeout=600001', 'timeout', 'parameter-invalid'],
    ['feed=continuous&heartbeat=99', 'heartbeat', 'parameter-invalid'],
    ['feed=continuous&heartbeat=600001', 'heartbeat', 'parameter-invalid'],
    ['feed=longpoll&timeout=99999999', 'timeout', 'parameter-invalid'],
    ['feed=continuous&heartbeat=1', 'heartbeat', 'parameter-invalid']
  ]
  for (const [query, name, code] of queries) {
    const refused = await ask(`${served.events}?${query}`)
    assert.equal(refused.status, 400, query)
    assert.equal(refused.json().code, code)
    assert.equal(refused.json().parameter, name)
  }
})
