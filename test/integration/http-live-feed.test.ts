/** The changes feed over HTTP as a stream: live rows, heartbeats, resumption, slow readers. */

import assert from 'node:assert/strict'
import { setImmediate } from 'node:timers/promises'

import { test } from 'vitest'

import type { Database } from '../../src/index.ts'
import {
  ask,
  nextEvent,
  open,
  openLines,
  post,
  serveNode,
  type ServedNode
} from '../fixtures/http-server.ts'

async function serveYard(
  limits: NonNullable<Parameters<typeof serveNode>[0]>['limits'] = {}
): Promise<ServedNode & { readonly events: string }> {
  const served = await serveNode({ limits })
  await served.node.createDatabase('yard')
  return { ...served, events: `${served.url}/db/yard/e` }
}

test('a continuous feed delivers what is there, and then what comes', async () => {
  await using served = await serveYard()
  await post(served.events, [{ data: 1 }, { data: 2 }])
  await using feed = await openLines(`${served.events}?feed=continuous`)
  assert.equal(feed.response.headers['content-type'], 'application/x-ndjson')
  assert.equal((await feed.row()).event.data, 1)
  assert.equal((await feed.row()).event.data, 2)
  for (const data of [3, 4, 5]) {
    await post(served.events, { data })
    const row = await feed.row()
    assert.equal(row.event.data, data)
    assert.deepEqual(Object.keys(row), ['lc', 'key', 'recorded', 'log', 'seq', 'event'])
  }
})

test('a continuous feed that is cut at any row goes on from it without a miss', async () => {
  await using served = await serveYard()
  await post(
    served.events,
    Array.from({ length: 10 }, (_, data) => ({ data }))
  )
  let lc = '0'
  for (let data = 0; data < 10; data++) {
    await using feed = await openLines(`${served.events}?feed=continuous&lc=${lc}`)
    const row = await feed.row()
    assert.equal(row.event.data, data)
    lc = row.lc
  }
})

test('a feed from now names its cursor before anything has happened', async () => {
  await using served = await serveYard()
  await post(served.events, { data: 1 })
  await using feed = await openLines(`${served.events}?feed=continuous&lc=now`)
  const lc = String(feed.response.headers['laterbase-lc'])
  await post(served.events, { data: 2 })
  assert.equal((await feed.row()).event.data, 2)
  await using resumed = await openLines(`${served.events}?feed=continuous&lc=${lc}`)
  assert.equal((await resumed.row()).event.data, 2)
})

test('a continuous feed ends after limit rows, or a time without one, and says where', async () => {
  await using served = await serveYard()
  await post(served.events, [{ data: 1 }, { data: 2 }, { data: 3 }])
  await using limited = await openLines(`${served.events}?feed=continuous&limit=2`)
  await limited.row()
  const second = await limited.row()
  const end = await limited.row()
  assert.equal(end.last_lc, second.lc)
  assert.equal(end.pending, 1)
  assert.equal(await limited.row(), undefined)
  await using timed = await openLines(`${served.events}?feed=continuous&lc=now&timeout=1`)
  assert.equal(typeof (await timed.row()).last_version, 'string')
  assert.equal(await timed.row(), undefined)
})

test('a silent continuous feed shows by empty lines that it lives', async () => {
  await using served = await serveYard()
  await using feed = await openLines(`${served.events}?feed=continuous&lc=now&heartbeat=100`)
  assert.equal(await feed.line(), '')
  assert.equal(await feed.line(), '')
  await post(served.events, { data: 1 })
  assert.equal((await feed.row()).event.data, 1)
})

test('under a filter the heartbeat moves the cursor over what was passed', async () => {
  await using served = await serveYard()
  await using feed = await openLines(`${served.events}?feed=continuous&type=in&heartbeat=100`)
  const written = await post(served.events, { data: 1, type: 'out' })
  const mark = await feed.row()
  assert.equal(mark.last_lc, written.json().lc)
  assert.equal(mark.pending, 0)
  await post(served.events, { data: 2, type: 'in' })
  let row = await feed.row()
  while (row.event === undefined) row = await feed.row()
  assert.equal(row.event.data, 2)
})

test('an eventsource delivers events with their cursor as id, and resumes by Last-Event-ID', async () => {
  await using served = await serveYard()
  await post(served.events, [{ data: 1 }, { data: 2 }, { data: 'a\n\nid: forged\ndata: x' }])
  const headers = { accept: 'text/event-stream' }
  await using feed = await openLines(served.events, headers)
  assert.equal(feed.response.headers['content-type'], 'text/event-stream')
  const first = await nextEvent(feed)
  const row = JSON.parse(first?.data ?? '')
  assert.equal(row.event.data, 1)
  assert.equal(row.lc, first?.id)
  assert.equal(first?.event, undefined)

  await using resumed = await openLines(`${served.events}?lc=now`, {
    ...headers,
    'last-event-id': first?.id ?? ''
  })
  assert.equal(JSON.parse((await nextEvent(resumed))?.data ?? '').event.data, 2)
  const third = JSON.parse((await nextEvent(resumed))?.data ?? '')
  assert.equal(third.event.data, 'a\n\nid: forged\ndata: x')
  await post(served.events, { data: 4 })
  assert.equal(JSON.parse((await nextEvent(resumed))?.data ?? '').event.data, 4)
})

test('a silent eventsource sends comments, and under a filter an id without data', async () => {
  await using served = await serveYard()
  const url = `${served.events}?feed=eventsource&heartbeat=100`
  await using plain = await openLines(`${url}&lc=now`)
  assert.equal(await plain.line(), ': heartbeat')
  assert.equal(await plain.line(), '')
  await using filtered = await openLines(`${url}&type=in`)
  const written = await post(served.events, { data: 1, type: 'out' })
  const mark = await nextEvent(filtered)
  assert.deepEqual(mark, { id: written.json().lc, event: undefined, data: undefined })
})

test('rows are one line each, however the event was written', async () => {
  await using served = await serveYard()
  await post(served.events, '{\n "data" : {\r\n"a":\n1}\n}')
  await using feed = await openLines(`${served.events}?feed=continuous`)
  assert.deepEqual((await feed.row()).event.data, { a: 1 })
})

test('thousands of rows arrive in order while others are written', async () => {
  await using served = await serveYard()
  const batch = (from: number): object[] =>
    Array.from({ length: 1_000 }, (_, n) => ({ data: { n: from + n, text: 'x'.repeat(200) } }))
  await post(served.events, batch(0))
  await using feed = await openLines(`${served.events}?feed=continuous`)
  const writing = (async () => {
    for (const from of [1_000, 2_000, 3_000]) await post(served.events, batch(from))
  })()
  for (let n = 0; n < 4_000; n++) assert.equal((await feed.row()).event.data.n, n)
  await writing
})

test('a reader that stops reading is cut off, and others are not held up', async () => {
  await using served = await serveYard({ stallMsMax: 100, feedsMax: 2 })
  const large = Array.from({ length: 50 }, () => ({ data: 'x'.repeat(200_000) }))
  for (let n = 0; n < 2; n++) await post(served.events, large)
  const stalled = await open(`${served.events}?feed=continuous`)
  const { last_lc: end } = (await ask(`${served.events}?lc=now`)).json()
  await using other = await openLines(`${served.events}?feed=continuous&lc=${end}`)
  await post(served.events, { data: 'last' })
  assert.equal((await other.row()).event.data, 'last')
  // Both places are taken until the server gives the silent reader up.
  const knock = `${served.events}?feed=longpoll&lc=now&timeout=0`
  while ((await ask(knock)).status === 503) await setImmediate()
  await assert.rejects(async () => {
    for await (const _ of stalled) continue
  }, /aborted/)
})

test('a reader that leaves gives its place back', async () => {
  await using served = await serveYard({ feedsMax: 1 })
  const database = served.node.database('yard')
  const changed = database.changed.bind(database)
  const left = new Promise<void>((resolve) => {
    Object.assign(database, {
      changed: async (...args: Parameters<Database['changed']>) => {
        try {
          await changed(...args)
        } finally {
          resolve()
        }
      }
    })
  })
  const feed = await openLines(`${served.events}?feed=continuous&lc=now`)
  await feed[Symbol.asyncDispose]()
  await left
  await using next = await openLines(`${served.events}?feed=continuous&lc=0`)
  assert.equal(next.response.statusCode, 200)
})

test('closing the server ends every feed, with the cursor to come back with', async () => {
  await using served = await serveYard()
  await post(served.events, { data: 1 })
  await using continuous = await openLines(`${served.events}?feed=continuous`)
  await using sse = await openLines(`${served.events}?feed=eventsource`)
  const { lc } = await continuous.row()
  await nextEvent(sse)
  await Promise.all([served.server.close(), served.server.close()])
  assert.equal((await continuous.row()).last_lc, lc)
  assert.equal(await continuous.row(), undefined)
  assert.equal((await nextEvent(sse))?.id, lc)
  assert.equal(await nextEvent(sse), undefined)
})

test('closing the node ends its feeds too', async () => {
  await using served = await serveYard()
  await using feed = await openLines(`${served.events}?feed=continuous&lc=now`)
  await served.node.close()
  assert.equal(typeof (await feed.row()).last_lc, 'string')
  assert.equal(await feed.row(), undefined)
})
