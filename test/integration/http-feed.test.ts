/** The changes feed over HTTP as single answers: pages, cursors, filters, longpoll. */

import assert from 'node:assert/strict'

import { test } from 'vitest'

import type { Database } from '../../src/index.ts'
import { ask, post, serveNode, type ServedNode } from '../fixtures/http-server.ts'

async function serveYard(
  limits: NonNullable<Parameters<typeof serveNode>[0]>['limits'] = {}
): Promise<ServedNode & { readonly events: string }> {
  const served = await serveNode({ limits })
  await served.node.createDatabase('yard')
  return { ...served, events: `${served.url}/db/yard/e` }
}

interface Row {
  readonly lc: string
  readonly key: string
  readonly event: { readonly data: number }
}

interface Page {
  readonly results: readonly Row[]
  readonly last_lc: string
  readonly last_version: string
  readonly pending: number
}

async function readPage(url: string): Promise<Page> {
  const answer = await ask(url)
  assert.equal(answer.status, 200, answer.text)
  return answer.json()
}

function dataOf(page: Page): number[] {
  return page.results.map((row) => row.event.data)
}

/** Resolves when as many requests wait for a change of the database as `count` says. */
function waiting({ node }: ServedNode, count: number): Promise<void> {
  const database = node.database('yard')
  const changed = database.changed.bind(database)
  return new Promise((resolve) => {
    let waits = 0
    Object.assign(database, {
      changed: (...args: Parameters<Database['changed']>) => {
        if (++waits === count) resolve()
        return changed(...args)
      }
    })
  })
}

test('a page holds rows in commit order, cursors for this node and for any, and what is left', async () => {
  await using served = await serveYard()
  await post(served.events, [{ data: 1 }, { data: 2 }])
  await post(served.events, { data: 0, time: '1999-01-01T00:00:00Z' })
  const page = await readPage(`${served.events}?lc=0&limit=2`)
  assert.deepEqual(dataOf(page), [1, 2])
  assert.equal(page.pending, 1)
  assert.deepEqual(Object.keys(page.results[0] ?? {}), [
    'lc',
    'key',
    'recorded',
    'log',
    'seq',
    'event'
  ])
  for (const cursor of [page.last_lc, page.last_version]) {
    const rest = await readPage(`${served.events}?lc=${encodeURIComponent(cursor)}`)
    assert.deepEqual(dataOf(rest), [0])
    assert.equal(rest.pending, 0)
  }
})

test('a reader goes on from any row it was handed, within a commit too', async () => {
  await using served = await serveYard()
  await post(
    served.events,
    Array.from({ length: 5 }, (_, data) => ({ data }))
  )
  await post(
    served.events,
    Array.from({ length: 5 }, (_, n) => ({ data: 5 + n }))
  )
  const whole = await readPage(`${served.events}?lc=0`)
  for (const [at, row] of whole.results.entries()) {
    const rest = await readPage(`${served.events}?lc=${row.lc}`)
    assert.deepEqual(dataOf(rest), dataOf(whole).slice(at + 1))
  }
})

test('pages of any size, followed to their end, are the whole feed', async () => {
  await using served = await serveYard({ pageBatch: 7 })
  await post(
    served.events,
    Array.from({ length: 100 }, (_, data) => ({ data }))
  )
  for (const limit of [1, 3, 7, 8, 99, 100, 101]) {
    const seen: number[] = []
    let page = await readPage(`${served.events}?limit=${limit}`)
    while (page.results.length > 0) {
      assert.ok(page.results.length <= limit)
      seen.push(...dataOf(page))
      assert.equal(page.pending, 100 - seen.length)
      page = await readPage(`${served.events}?limit=${limit}&lc=${page.last_lc}`)
    }
    assert.deepEqual(
      seen,
      Array.from({ length: 100 }, (_, n) => n)
    )
  }
})

test('now is the end, and a time is when events were recorded', async () => {
  await using served = await serveYard()
  await post(served.events, { data: 1, time: '1999-01-01T00:00:00Z' })
  const now = await readPage(`${served.events}?lc=now`)
  assert.deepEqual(now.results, [])
  await post(served.events, { data: 2 })
  assert.deepEqual(dataOf(await readPage(`${served.events}?lc=${now.last_lc}`)), [2])
  assert.deepEqual(dataOf(await readPage(`${served.events}?lc=2020-01-01T00:00:00Z`)), [1, 2])
  assert.deepEqual(dataOf(await readPage(`${served.events}?lc=2199-01-01T00:00:00+02:00`)), [])
})

test('what is no cursor is 400, and a cursor of another store 410 but for its portable form', async () => {
  await using served = await serveYard()
  await using other = await serveYard()
  await post(served.events, { data: 1 })
  await post(other.events, { data: 2 })
  for (const lc of ['nonsense', '-1', '%00', 's', 'v!', 'x'.repeat(4_000)]) {
    const refused = await ask(`${served.events}?lc=${lc}`)
    assert.ok([400, 410].includes(refused.status), `${lc}: ${refused.status}`)
  }
  assert.equal((await ask(`${served.events}?lc=nonsense`)).json().code, 'cursor-invalid')
  const page = await readPage(`${served.events}?lc=0`)
  for (const feed of ['normal', 'longpoll', 'continuous', 'eventsource']) {
    const foreign = await ask(`${other.events}?lc=${page.last_lc}&feed=${feed}`)
    assert.equal(foreign.status, 410)
    assert.equal(foreign.headers['content-type'], 'application/problem+json')
    assert.equal(foreign.json().code, 'log-replaced')
  }
  const moved = await readPage(`${other.events}?lc=${encodeURIComponent(page.last_version)}`)
  assert.deepEqual(dataOf(moved), [2])
})

test('a filter passes what matches, and the cursor moves over the rest', async () => {
  await using served = await serveYard()
  const event = (data: number, type: string, source?: string): object => ({
    data,
    type,
    subject: `pallet ${data}`,
    ...(source === undefined ? {} : { source }),
    time: `2026-01-0${data}T00:00:00Z`
  })
  await post(served.events, [event(1, 'in', 'a'), event(2, 'out'), event(3, 'in'), event(4, 'out')])
  const read = async (query: string): Promise<number[]> =>
    dataOf(await readPage(`${served.events}?${query}`))
  assert.deepEqual(await read('type=in'), [1, 3])
  assert.deepEqual(await read('type=in&source=a'), [1])
  assert.deepEqual(await read('subject=pallet%202'), [2])
  assert.deepEqual(await read('subject=pallet+4'), [4])
  assert.deepEqual(
    await read('feed=normal&from=2026-01-02T00:00:00Z&to=2026-01-04T00:00:00Z'),
    [2, 3]
  )
  assert.deepEqual(await read('type=none'), [])
  const none = await readPage(`${served.events}?type=none`)
  assert.equal(none.pending, 0)
  assert.deepEqual(dataOf(await readPage(`${served.events}?lc=${none.last_lc}`)), [])
})

test('a longpoll with something to read answers at once', async () => {
  await using served = await serveYard()
  await post(served.events, { data: 1 })
  assert.deepEqual(dataOf(await readPage(`${served.events}?feed=longpoll&lc=0`)), [1])
})

test('a longpoll wakes on a write, also for what only the filter of another lets through', async () => {
  await using served = await serveYard()
  const { last_lc: lc } = await readPage(`${served.events}?lc=now`)
  const isWaiting = waiting(served, 2)
  const all = readPage(`${served.events}?feed=longpoll&lc=${lc}`)
  const some = readPage(`${served.events}?feed=longpoll&lc=now&type=in`)
  await isWaiting
  await post(served.events, { data: 1, type: 'out' })
  assert.deepEqual(dataOf(await all), [1])
  await post(served.events, { data: 2, type: 'in' })
  assert.deepEqual(dataOf(await some), [2])
})

test('a longpoll without news answers empty when its time is over, with its cursor', async () => {
  await using served = await serveYard()
  await post(served.events, { data: 1 })
  const { last_lc: lc } = await readPage(`${served.events}?lc=0`)
  const page = await readPage(`${served.events}?feed=longpoll&lc=${lc}&timeout=1`)
  assert.deepEqual(page.results, [])
  assert.equal(page.last_lc, lc)
  const moved = await readPage(`${served.events}?feed=longpoll&lc=0&type=none&timeout=1`)
  assert.equal(moved.last_lc, lc)
})

test('a closing server answers those who wait, at once', async () => {
  await using served = await serveYard()
  const isWaiting = waiting(served, 1)
  const polled = readPage(`${served.events}?feed=longpoll&lc=now`)
  await isWaiting
  await served.server.close()
  assert.deepEqual((await polled).results, [])
})

test('beyond the number of feeds a reader is asked to come back', async () => {
  await using served = await serveYard({ feedsMax: 1 })
  const isWaiting = waiting(served, 1)
  const polled = readPage(`${served.events}?feed=longpoll&lc=now`)
  await isWaiting
  for (const feed of ['longpoll', 'continuous', 'eventsource']) {
    const refused = await ask(`${served.events}?feed=${feed}&lc=now`)
    assert.equal(refused.status, 503)
    assert.equal(refused.json().code, 'feeds-full')
    assert.ok(Number(refused.headers['retry-after']) > 0)
  }
  assert.equal((await ask(`${served.events}?lc=now`)).status, 200)
  await post(served.events, { data: 1 })
  await polled
  assert.equal((await ask(`${served.events}?feed=longpoll&lc=0`)).status, 200)
})

test('Accept chooses the form of the feed, and what cannot be had is 406', async () => {
  await using served = await serveYard()
  const typeFor = async (accept: string, query = 'timeout=0'): Promise<string | undefined> =>
    (await ask(`${served.events}?${query}`, { headers: { accept } })).headers['content-type']
  assert.equal(await typeFor('application/json'), 'application/json')
  assert.equal(await typeFor('*/*'), 'application/json')
  assert.equal(await typeFor('text/html, application/*;q=0.1'), 'application/json')
  assert.equal(await typeFor('application/x-ndjson'), 'application/x-ndjson')
  assert.equal(await typeFor('text/event-stream'), 'text/event-stream')
  assert.equal(await typeFor('text/event-stream', 'feed=normal'), 'application/json')
  for (const accept of [
    'text/html',
    'application/json;q=0',
    'image/*',
    'application/xml, text/csv'
  ]) {
    const refused = await ask(`${served.events}?lc=0`, { headers: { accept } })
    assert.equal(refused.status, 406, accept)
    assert.equal(refused.json().code, 'not-acceptable')
  }
})
