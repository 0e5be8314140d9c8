/** Questions to views over HTTP that are refused: misspelt, contradictory, too large. */

import assert from 'node:assert/strict'

import { test } from 'vitest'

import { EXPLAINED_EVENTS_MAX } from '../../src/node/limits.ts'
import { ANSWER_BYTES_MAX } from '../../src/views/limits.ts'
import { post } from '../fixtures/http-server.ts'
import { serveDepot, serveStock } from '../fixtures/served-views.ts'

test('a question that is misspelt or contradicts itself is refused by the name of what is wrong', async () => {
  await using served = await serveStock()
  const wrong: readonly (readonly [query: string, parameter: string, code: string])[] = [
    ['stock?grup=true', 'grup', 'parameter-unknown'],
    ['stock?include_docs=true', 'include_docs', 'parameter-unknown'],
    ['stock?key=1&key=2', 'key', 'parameter-invalid'],
    ['stock?key=A1', 'key', 'parameter-invalid'],
    ['stock?startkey={', 'startkey', 'parameter-invalid'],
    ['stock?key=340123450000000017', 'key', 'parameter-invalid'],
    ['stock?keys="A1"', 'keys', 'parameter-invalid'],
    ['stock?limit=-1', 'limit', 'parameter-invalid'],
    ['stock?limit=10001', 'limit', 'parameter-invalid'],
    ['stock?skip=x', 'skip', 'parameter-invalid'],
    ['stock?group=1', 'group', 'parameter-invalid'],
    ['stock?group_level=1.5', 'group_level', 'parameter-invalid'],
    ['stock?descending=yes', 'descending', 'parameter-invalid'],
    ['stock?update=soon', 'update', 'parameter-invalid'],
    ['stock?timeout=1', 'timeout', 'parameter-invalid'],
    ['stock?timeout=3600000', 'timeout', 'parameter-invalid'],
    ['stock?feed=continuous', 'feed', 'parameter-invalid'],
    ['stock?key=1&keys=[1]', 'keys', 'ambiguous-query'],
    ['stock?key=1&startkey=1', 'startkey', 'ambiguous-query'],
    ['stock?key=1&inclusive_end=false', 'inclusive_end', 'ambiguous-query'],
    ['stock?keys=[1]&startkey=1', 'startkey', 'ambiguous-query'],
    ['stock?keys=[1]&end_key=1', 'end_key', 'ambiguous-query'],
    ['stock?startkey=1&start_key=1', 'start_key', 'ambiguous-query'],
    ['stock?endkey=1&end_key=1', 'end_key', 'ambiguous-query'],
    ['stock?group=true&group_level=1', 'group_level', 'ambiguous-query'],
    ['stock?min_lc=0&update=false', 'min_lc', 'ambiguous-query'],
    ['stock?min_lc=0&update=lazy', 'min_lc', 'ambiguous-query'],
    ['stock?heartbeat=1000', 'heartbeat', 'ambiguous-query'],
    ['stock?feed=eventsource&key=1', 'key', 'ambiguous-query'],
    ['stock?reduce=false&group=true', 'group', 'argument-invalid'],
    ['stock?include_events=true', 'include_events', 'argument-invalid'],
    ['stock?keys=["A1"]', 'keys', 'argument-invalid'],
    ['stock?startkey=2&endkey=1', 'startkey', 'argument-invalid'],
    ['stock?as_of=yesterday', 'as_of', 'argument-invalid'],
    ['pallets?reduce=true', 'reduce', 'argument-invalid'],
    ['pallets?group=true', 'group', 'argument-invalid'],
    ['pallets?group_level=1', 'group_level', 'argument-invalid']
  ]
  for (const [query, parameter, code] of wrong) {
    const refused = await served.get(query)
    const problem = refused.json()
    assert.deepEqual(
      [refused.status, problem.parameter, problem.code],
      [400, parameter, code],
      query
    )
  }
  for (const query of ['stock?known_at=x', 'stock?min_lc=x']) {
    const refused = await served.get(query)
    assert.deepEqual([refused.status, refused.json().code], [400, 'cursor-invalid'], query)
  }
})

test('a body that is wrong is refused by the name of what is wrong', async () => {
  await using served = await serveStock()
  const wrong: readonly (readonly [body: unknown, parameter: string, code: string])[] = [
    [{ grup: true }, 'grup', 'parameter-unknown'],
    [{ limit: '1' }, 'limit', 'parameter-invalid'],
    [{ limit: 1.5 }, 'limit', 'parameter-invalid'],
    [{ limit: null }, 'limit', 'parameter-invalid'],
    [{ group: 'true' }, 'group', 'parameter-invalid'],
    [{ as_of: 1 }, 'as_of', 'parameter-invalid'],
    [{ update: 1 }, 'update', 'parameter-invalid'],
    [{ keys: 'A1' }, 'keys', 'parameter-invalid'],
    [{ key: 1, keys: [] }, 'keys', 'ambiguous-query'],
    [{ feed: 'eventsource' }, 'feed', 'ambiguous-query'],
    ['{"__proto__":1}', '__proto__', 'parameter-unknown']
  ]
  for (const [body, parameter, code] of wrong) {
    const refused = await post(`${served.url}/depot/stock`, body)
    const problem = refused.json()
    const place = JSON.stringify(body)
    assert.deepEqual(
      [refused.status, problem.parameter, problem.code],
      [400, parameter, code],
      place
    )
  }
  const others: readonly (readonly [body: string, code: string])[] = [
    ['', 'malformed-json'],
    ['{', 'malformed-json'],
    ['[]', 'argument-invalid'],
    ['null', 'argument-invalid'],
    ['{"key":340123450000000017}', 'argument-invalid']
  ]
  for (const [body, code] of others) {
    const refused = await post(`${served.url}/depot/stock`, body)
    assert.deepEqual([refused.status, refused.json().code], [400, code], body)
  }
  const form = { 'content-type': 'text/plain' }
  assert.equal((await post(`${served.url}/depot/stock`, '{}', form)).status, 415)
  const foreign = { origin: 'http://evil.example' }
  assert.equal((await post(`${served.url}/depot/stock`, '{}', foreign)).status, 403)
  const image = await served.get('stock', { accept: 'image/png' })
  assert.deepEqual([image.status, image.json().code], [406, 'not-acceptable'])
})

test('an answer of more rows or bytes than one may have is refused, and says how to go on', async () => {
  await using served = await serveStock({ viewRowsMax: 3, pageBytesMax: 150 })
  const rows = await served.get('pallets')
  assert.deepEqual([rows.status, rows.json().code, rows.json().rows_max], [413, 'too-large', 3])
  assert.match(rows.json().detail, /limit.*startkey/)
  const bytes = await served.get('pallets?limit=3')
  assert.deepEqual([bytes.status, bytes.json().rows_that_fit], [413, 2])
  assert.equal((await served.get('pallets?limit=2')).status, 200)
  assert.equal((await served.get('stock?group=true')).status, 200)
  const beyond = await served.get('pallets?limit=4')
  assert.deepEqual([beyond.status, beyond.json().parameter], [400, 'limit'])
})

test('more keys than a question may name are refused', async () => {
  await using served = await serveStock({ keysBodyMax: 3 })
  const refused = await post(`${served.url}/depot/pallets`, { keys: [1, 2, 3, 4] })
  assert.deepEqual([refused.status, refused.json().code], [413, 'too-large'])
  assert.equal((await post(`${served.url}/depot/pallets`, { keys: [1, 2, 3] })).status, 200)
})

test('what an answer holds of values, events and explanations is bounded by the node', async () => {
  await using served = await serveDepot()
  const { views } = served.database
  await views.define({ name: 'whole', map: ({ key, data }, emit) => emit(key, data) })
  await views.define({ name: 'count', map: ({ key }, emit) => emit(key, 1), reduce: '_count' })
  const text = 'x'.repeat(250_000)
  await views.define({
    name: 'folded',
    key: ({ key }) => key,
    initial: () => 0,
    apply: (count) => count + 1,
    final: (count) => 'x'.repeat(250_000 * count)
  })
  for (let commit = 0; commit < 4; commit += 1) {
    await served.database.append(Array.from({ length: 40 }, () => ({ data: text })))
  }
  for (const query of ['whole', 'folded', 'count?reduce=false&include_events=true']) {
    const refused = await served.get(query)
    const { code, answer_bytes_max: bytesMax, rows_that_fit: rows } = refused.json()
    assert.deepEqual([refused.status, code, bytesMax], [413, 'too-large', ANSWER_BYTES_MAX], query)
    assert.ok(rows >= 130 && rows < 160)
  }
})

test('an answer explains so many events, and no more', async () => {
  await using served = await serveDepot()
  const { views } = served.database
  await views.define({ name: 'count', map: ({ data }, emit) => emit(data, 1), reduce: '_count' })
  const events = Array.from({ length: EXPLAINED_EVENTS_MAX }, (_, n) => ({ data: n % 40 }))
  await served.database.append(events)
  assert.equal((await served.get('count?group=true&explain=true')).status, 200)
  await served.database.append({ data: 1 })
  const refused = await served.get('count?group=true&explain=true')
  assert.deepEqual([refused.status, refused.json().code], [413, 'too-large'])
  assert.equal((await served.get('count?group=true&explain=true&limit=20')).status, 200)
})
