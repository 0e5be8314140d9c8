/** What a client is told of a view that is not built, behind, busy or broken; and reading one's own writes. */

import assert from 'node:assert/strict'

import { test } from 'vitest'

import { LaterbaseError } from '../../src/index.ts'
import type { ViewQuery } from '../../src/node/views.ts'
import { ask, type Body, post } from '../fixtures/http-server.ts'
import { connect, startNetwork, untilEqual } from '../fixtures/nodes.ts'
import { createHttpServer } from '../../src/http/server.ts'
import { infoOf, serveDepot, serveScripted, STOCK } from '../fixtures/served-views.ts'

/** Waits as long as it is let. */
function never(
  _query: unknown,
  { signal }: { readonly signal?: AbortSignal } = {}
): Promise<never> {
  return new Promise((_, reject) => {
    signal?.addEventListener('abort', () => reject(signal.reason))
  })
}

const PROGRESS = { done: 25, total: 100 }
const BUILDING = infoOf({ state: 'building', lc: undefined, progress: PROGRESS, behind: 100 })

test('a view that is not built in time is 503 with its progress, and says when to ask again', async () => {
  await using server = await serveScripted({ query: never, info: BUILDING })
  const answer = await server.get('stock?timeout=100')
  const { code, progress } = answer.json()
  assert.deepEqual([answer.status, code, progress], [503, 'view-building', PROGRESS])
  assert.ok(Number(answer.headers['retry-after']) > 0)
})

test('so is one that is asked not to wait', async () => {
  const asked: unknown[] = []
  const query = async ({ update }: ViewQuery = {}): Promise<never> => {
    asked.push(update)
    throw new LaterbaseError('LATERBASE_VIEW_BUILDING', 'secret', { facts: { done: 1, total: 2 } })
  }
  await using server = await serveScripted({ query, info: BUILDING })
  for (const update of ['false', 'lazy']) {
    const answer = await server.get(`stock?update=${update}`)
    assert.deepEqual([answer.status, answer.json().progress], [503, PROGRESS])
    assert.ok(!answer.text.includes('secret'))
  }
  assert.deepEqual(asked, [false, 'lazy'])
})

test('a question is waited for so many milliseconds when the client does not say', async () => {
  await using server = await serveScripted({ query: never, info: BUILDING }, { viewMsDefault: 10 })
  assert.equal((await server.get('stock')).status, 503)
})

test('a client is told why nothing came in time', async () => {
  const told = async (known: Parameters<typeof infoOf>[0], query = ''): Promise<unknown[]> => {
    await using server = await serveScripted({ query: never, info: infoOf(known) })
    const answer = await server.get(`stock?timeout=100${query}`)
    const { code, behind } = answer.json()
    return [answer.status, code, behind]
  }
  assert.deepEqual(await told({ behind: 7 }, '&min_lc=x'), [409, 'view-behind', 7])
  assert.deepEqual(await told({ behind: 7 }), [503, 'view-building', 7])
  assert.deepEqual(await told({ behind: 0 }), [503, 'busy', undefined])
})

test('questions beyond their number are asked to come back, and those that wait go when the server closes', async () => {
  await using server = await serveScripted({ query: never, info: BUILDING }, { viewsAskedMax: 1 })
  const first = server.get('stock')
  const knock = async (): Promise<string> => (await server.get('stock?timeout=100')).json().code
  while ((await knock()) !== 'busy') continue
  await server.close()
  assert.deepEqual([(await first).status, (await first).json().code], [503, 'closing'])
})

test('a question whose client leaves is given up', async () => {
  const leaving = new AbortController()
  const { promise: givenUp, resolve } = withResolver()
  const query: typeof never = async (asked, options) => {
    options?.signal?.addEventListener('abort', resolve)
    leaving.abort()
    return never(asked, options)
  }
  await using server = await serveScripted({ query, info: BUILDING })
  const url = `${server.url}/db/depot/v/stock`
  await assert.rejects(fetch(url, { signal: leaving.signal }))
  await givenUp
})

function withResolver(): { readonly promise: Promise<void>; readonly resolve: () => void } {
  let resolve = (): void => undefined
  const promise = new Promise<void>((resolved) => (resolve = resolved))
  return { promise, resolve }
}

test('a client reads its own writes on another node, by the cursor that a feed hands on', async () => {
  const [a, b] = await startNetwork(2)
  if (a === undefined || b === undefined) throw new Error('two nodes')
  const { database } = await a.createDatabase('depot')
  await connect(a, b)
  await untilEqual([a, b], 'depot')
  await b.database('depot').views.define(STOCK)
  await b.goOffline()
  await using at = await createHttpServer(a, { port: 0 })
  await using server = await createHttpServer(b, { port: 0 })
  await post(`${at.url}/db/depot/e`, { data: { zone: 'A1', qty: 48 } })
  const { last_version: version } = (await ask(`${at.url}/db/depot/e?lc=0`)).json()
  const url = `${server.url}/depot/stock?min_lc=${version}`
  const behind = await ask(`${url}&timeout=100`)
  assert.deepEqual([behind.status, behind.json().code], [409, 'view-behind'])
  const waiting = ask(`${url}&timeout=50000`)
  await b.goOnline()
  await connect(a, b).catch(() => undefined)
  assert.deepEqual((await waiting).json().rows, [{ key: null, value: 48 }])
  assert.equal(database.digest(), b.database('depot').digest())
})

test('a view that was defined on another node is waited for where min_lc covers its definition', async () => {
  const [a, b] = await startNetwork(2, { trust: 'members' })
  if (a === undefined || b === undefined) throw new Error('two nodes')
  const { database } = await a.createDatabase('depot')
  await connect(a, b)
  await untilEqual([a, b], 'depot')
  await b.goOffline()
  await database.views.put('stock', { key: 'data.zone', value: 'data.qty', reduce: '_sum' })
  await using at = await createHttpServer(a, { port: 0 })
  await using server = await createHttpServer(b, { port: 0 })
  await post(`${at.url}/db/depot/e`, { data: { zone: 'A1', qty: 48 } })
  const { last_version: version } = (await ask(`${at.url}/db/depot/e?lc=0`)).json()
  const url = `${server.url}/depot/stock`
  assert.equal((await ask(url)).json().code, 'view-unknown')
  const behind = await ask(`${url}?min_lc=${version}&timeout=100`)
  assert.deepEqual([behind.status, behind.json().code], [409, 'view-behind'])
  const waiting = ask(`${url}?min_lc=${version}&timeout=50000`)
  const other = ask(`${server.url}/depot/other?min_lc=${version}&timeout=50000`)
  await b.goOnline()
  await connect(a, b).catch(() => undefined)
  assert.deepEqual((await waiting).json().rows, [{ key: null, value: 48 }])
  assert.equal((await other).json().code, 'view-unknown')
})

test('update=false answers as the view is, lazy brings it up to date afterwards', async () => {
  await using served = await serveDepot()
  await served.database.views.define(STOCK)
  const value = async (query: string): Promise<unknown> =>
    (await served.get(`stock?${query}`)).json().rows[0]?.value
  await served.receive(['06:00', 'A1', 48])
  assert.equal(await value('update=true'), 48)
  await served.receive(['07:00', 'A1', 2])
  assert.equal(await value('update=false'), 48)
  assert.equal(await value('update=false'), 48)
  assert.equal(await value('update=lazy'), 48)
  while ((await value('update=false')) !== 50) continue
})

test('a view whose definition is not run here is a conflict, one that failed is tried again; none names a path', async () => {
  const message = 'view stock: it takes all time there is'
  const refusal = new LaterbaseError('LATERBASE_VIEW_FAILED', message, { facts: { refused: true } })
  const failure = new LaterbaseError('LATERBASE_VIEW_FAILED', 'view stock: /var/lib/secret')
  const told = async (error: LaterbaseError): Promise<Body> => {
    const query = async (): Promise<never> => {
      throw error
    }
    const known = infoOf({ state: 'failed', reason: error.message })
    await using server = await serveScripted({ query, info: known })
    for (const path of ['stock', 'stock/_info']) {
      assert.ok(!(await server.get(path)).text.includes('secret'), path)
    }
    return (await server.get('stock')).json()
  }
  const { code, status, detail, refused } = await told(refusal)
  assert.deepEqual([code, status, detail, refused], ['view-refused', 409, message, undefined])
  const failed = await told(failure)
  assert.deepEqual([failed.code, failed.status], ['view-failed', 503])
})
