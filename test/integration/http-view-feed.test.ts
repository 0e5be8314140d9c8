/** A view's feed over HTTP: rows as they change, restatements, signs of life, and how it ends. */

import assert from 'node:assert/strict'

import { test } from 'vitest'

import { LaterbaseError } from '../../src/index.ts'
import type { ViewChange } from '../../src/node/views.ts'
import {
  ask,
  type Body,
  type LineStream,
  nextEvent,
  open,
  openLines
} from '../fixtures/http-server.ts'
import { until } from '../fixtures/nodes.ts'
import {
  infoOf,
  PALLETS,
  serveDepot,
  serveScripted,
  type ServedViews,
  STOCK
} from '../fixtures/served-views.ts'

const FEED = 'feed=eventsource'

async function serveStock(
  limits: Parameters<typeof serveDepot>[0] = {}
): Promise<ServedViews & { readonly stock: string }> {
  const served = await serveDepot(limits)
  await served.database.views.define(STOCK)
  return { ...served, stock: `${served.url}/depot/stock` }
}

/** The next event that is named, with what it says. */
async function next(feed: LineStream): Promise<Body> {
  const event = await nextEvent(feed)
  return event && { name: event.event, id: event.id, ...JSON.parse(event.data ?? '{}') }
}

test('a feed begins with a cursor, and then tells each row that changes: old, new, cause', async () => {
  await using served = await serveStock()
  await served.receive(['06:00', 'A1', 48])
  await using feed = await openLines(`${served.stock}?${FEED}`)
  assert.equal(feed.response.headers['content-type'], 'text/event-stream')
  assert.equal(feed.response.headers['x-accel-buffering'], 'no')
  const start = await next(feed)
  assert.equal(start.name, 'start')
  assert.equal(start.id, start.lc)
  const answer = (await ask(`${served.stock}?min_lc=${start.lc}`)).json()
  assert.deepEqual([answer.lc, answer.digest], [start.lc, start.digest])

  await served.receive(['07:00', 'A1', 2], ['08:00', 'B1', 5])
  const [a1, b1] = [await next(feed), await next(feed)]
  assert.deepEqual([a1.name, a1.key, a1.old, a1.new], ['change', 'A1', 48, 50])
  assert.deepEqual([b1.name, b1.key, 'old' in b1, b1.new], ['change', 'B1', false, 5])
  assert.equal(a1.id, a1.lc)
  assert.deepEqual(
    [a1.restated, a1.causes.length, a1.causes[0].peer],
    [false, 1, served.node.peerId]
  )
})

test('of a map without reduce each row is told with the key of its event', async () => {
  await using served = await serveStock()
  await served.database.views.define(PALLETS)
  await served.receive(['06:00', 'A1', 48], ['07:00', 'A1', 48])
  const { rows } = (await served.get('pallets')).json()
  await using feed = await openLines(`${served.url}/depot/pallets?${FEED}`)
  assert.equal((await nextEvent(feed))?.event, 'start')
  await served.receive(['08:00', 'A1', 48])
  const told: Body = JSON.parse((await nextEvent(feed))?.data ?? '')
  const { rows: now } = (await served.get('pallets')).json()
  const [added] = now.filter(({ id }: Body) => !rows.some((row: Body) => row.id === id))
  assert.deepEqual([told.id, told.key, told.new], [added.id, ['A1', 48], 1])
})

test('a row that an event restates which came late is told as a restatement, with how late', async () => {
  await using served = await serveStock()
  await served.receive(['08:00', 'A1', 48])
  await using feed = await openLines(served.stock, { accept: 'text/event-stream' })
  await next(feed)
  await served.receive(['06:10', 'A1', 2])
  const { name, restated, old, causes, ...change } = await next(feed)
  assert.deepEqual([name, restated, old, change.new], ['restatement', true, 48, 50])
  assert.equal(causes[0].time, '2026-11-02T06:10:00.000Z')
  assert.equal(causes[0].late_ms, Date.parse(causes[0].recorded) - Date.parse(causes[0].time))
})

test('a silent feed sends comments, one on which nothing changes for its timeout ends', async () => {
  await using served = await serveStock()
  await using feed = await openLines(`${served.stock}?${FEED}&heartbeat=100`)
  await next(feed)
  for (let beat = 0; beat < 3; beat += 1) {
    assert.equal(await feed.line(), ': heartbeat')
    assert.equal(await feed.line(), '')
  }
  await served.receive(['06:00', 'A1', 48])
  assert.equal((await next(feed)).new, 48)
  await using timed = await openLines(`${served.stock}?${FEED}&timeout=50`)
  assert.equal((await next(timed)).name, 'start')
  assert.equal(await timed.line(), ': end')
  assert.equal(await timed.line(), '')
  assert.equal(await timed.line(), undefined)
})

test('closing the server or the node ends feeds of views in good order', async () => {
  await using served = await serveStock()
  await using other = await openLines(`${served.stock}?${FEED}`)
  await next(other)
  await served.node.close()
  assert.equal(await other.line(), ': end')
  await using again = await serveStock()
  await using feed = await openLines(`${again.stock}?${FEED}`)
  await next(feed)
  await again.server.close()
  assert.equal(await feed.line(), ': end')
})

test('a reader that leaves gives its place back, and beyond their number a reader is refused', async () => {
  await using served = await serveStock({ feedsMax: 1 })
  const feed = await openLines(`${served.stock}?${FEED}`)
  await next(feed)
  const refused = await ask(`${served.stock}?${FEED}`)
  assert.deepEqual([refused.status, refused.json().code], [503, 'feeds-full'])
  await feed[Symbol.asyncDispose]()
  await until(async () => {
    await using again = await openLines(`${served.stock}?${FEED}`)
    return again.response.statusCode === 200
  })
})

test('HEAD of a feed has its headers, and ends', async () => {
  await using served = await serveStock()
  const head = await ask(`${served.stock}?${FEED}`, { method: 'HEAD' })
  assert.deepEqual([head.status, head.text], [200, ''])
  assert.equal(head.headers['content-type'], 'text/event-stream')
})

test('a view that is not there is an ordinary problem, and what fails later is one in the stream', async () => {
  await using served = await serveStock()
  const missing = await ask(`${served.url}/depot/none?${FEED}`)
  assert.deepEqual([missing.status, missing.json().code], [404, 'view-unknown'])
  async function* changes(): AsyncGenerator<ViewChange> {
    yield { lc: 'at', key: 1, old: 1, new: 2, restated: false, causes: [] }
    throw new LaterbaseError('LATERBASE_VIEW_FAILED', 'secret')
  }
  const refresh = async (): Promise<void> => undefined
  await using server = await serveScripted({ changes, refresh, info: infoOf({}) })
  await using feed = await openLines(`${server.url}/depot/stock?${FEED}`)
  assert.deepEqual([(await next(feed)).name, (await next(feed)).name], ['start', 'change'])
  const { name, code, detail } = await next(feed)
  assert.deepEqual([name, code], ['problem', 'view-failed'])
  assert.ok(!detail.includes('secret'))
  assert.equal(await feed.line(), undefined)
})

test('a reader that stops reading is cut off, and the view is not asked for more meanwhile', async () => {
  let told = 0
  let ended = false
  const text = 'x'.repeat(1_000_000)
  async function* changes(): AsyncGenerator<ViewChange> {
    try {
      for (;;) {
        told += 1
        yield { lc: 'at', key: 'A1', old: undefined, new: text, restated: false, causes: [] }
      }
    } finally {
      ended = true
    }
  }
  const refresh = async (): Promise<void> => undefined
  await using server = await serveScripted(
    { changes, refresh, info: infoOf({}) },
    { stallMsMax: 100 }
  )
  const stalled = await open(`${server.url}/depot/stock?${FEED}`)
  await until(() => ended)
  assert.ok(told < 100, `${told} MB`)
  await assert.rejects(async () => {
    for await (const _ of stalled) continue
  }, /aborted/)
})

test('events of a text that looks like the format of a stream stay in their line', async () => {
  await using served = await serveStock()
  await using feed = await openLines(`${served.stock}?${FEED}`)
  await next(feed)
  const zone = 'A1\n\nid: forged\nevent: restatement\r\ndata: {}'
  await served.database.append({ data: { zone, qty: 1 } })
  const { name, key } = await next(feed)
  assert.deepEqual([name, key], ['change', zone])
})
