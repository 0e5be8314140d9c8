/** The node as a library: what `createLaterbase` gives a program. */

import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'

import { createLaterbase } from '../../src/index.ts'
import type { AppendResult, Change, Database, EventInput } from '../../src/index.ts'
import { allEvents, startNode, temporaryDirectory } from '../fixtures/nodes.ts'

async function stockOf(options = {}): Promise<Database> {
  const node = await startNode(options)
  return (await node.createDatabase('stock')).database
}

function keysOf(result: AppendResult): string[] {
  return result.results.map((each) => ('key' in each ? each.key : ''))
}

async function take(changes: AsyncIterable<Change>, count: number): Promise<Change[]> {
  const taken: Change[] = []
  for await (const change of changes) {
    taken.push(change)
    if (taken.length === count) break
  }
  return taken
}

test('a database that is closed refuses every read and write by the same code', async () => {
  const node = await startNode()
  const { database } = await node.createDatabase('stock')
  const { results } = await database.append([{ data: 1 }, { data: 2 }])
  const { lastVersion } = await database.changesPage({ limit: 1 })
  await node.close()
  const key = results[0]?.status === 'created' ? results[0].key : ''
  const requests: readonly (() => Promise<unknown>)[] = [
    () => database.append({ data: 3 }),
    () => database.get(key),
    () => allEvents(database),
    () => take(database.changes({ since: lastVersion }), 1),
    () => database.changesPage({ since: lastVersion }),
    () => database.changed(lastVersion),
    async () => {
      for await (const conflict of database.conflicts()) expect(conflict).toBe(undefined)
    }
  ]
  for (const request of requests) {
    await expect(request(), String(request)).rejects.toMatchObject({ code: 'LATERBASE_CLOSED' })
  }
})

test('await using gives a node and closes it', async () => {
  const dir = await temporaryDirectory()
  {
    await using node = await createLaterbase({ dir, mdns: false, listen: [] })
    const { database } = await node.createDatabase('stock')
    await database.append({ data: 1 })
  }
  await using again = await createLaterbase({ dir, mdns: false, listen: [] })
  expect(await allEvents(again.database('stock'))).toHaveLength(1)
})

test('an event comes back as it was sent, under a key that says when it happened', async () => {
  const stock = await stockOf()
  const event: EventInput = {
    time: '2026-03-04T05:06:07.089Z',
    type: 'pallet-received',
    subject: 'pallet/1',
    source: 'scanner',
    schema: 'v1',
    data: JSON.parse(
      '{"z":[1,null,"é\\u0000\\ud800"],"a":{"__proto__":1,"then":true},"10":0.1,"9":-1e-7}'
    )
  }
  const [key = ''] = keysOf(await stock.append(event))
  const read = await stock.get(key)
  expect(JSON.parse(read?.json ?? '')).toEqual({ key, ...event })
  expect(read?.time).toBe(event.time)
  expect(read?.data).toEqual(event.data)
})

test('events that are written into the past stand where they happened', async () => {
  const stock = await stockOf()
  await stock.append({ time: '2026-05-01T14:00:00Z', data: 'keyed in first' })
  await stock.append({ time: '2026-05-01T06:10:00Z', data: 'happened first' })
  const events = (await allEvents(stock)).map((text) => JSON.parse(text).data)
  expect(events).toEqual(['happened first', 'keyed in first'])
  const fed = (await stock.changesPage()).changes.map(({ event }) => event.data)
  expect(fed).toEqual(['keyed in first', 'happened first'])
})

test('a write with one bad event writes nothing and names every fault', async () => {
  const stock = await stockOf()
  const events = [{ data: 1 }, { tiem: 'x', data: 2 }, { data: 3, time: 'yesterday' }]
  await expect(stock.append(events as EventInput[])).rejects.toMatchObject({
    code: 'LATERBASE_EVENT_INVALID',
    problems: [{ pointer: '/1/tiem' }, { pointer: '/2/time' }]
  })
  expect((await stock.status()).events).toBe(0)
})

test('the same event again is a success that changes nothing, other content is refused', async () => {
  const stock = await stockOf()
  const event = { key: '01JB0000000000000000000001', data: { b: 1, a: 2 } }
  expect((await stock.append(event)).results).toMatchObject([{ status: 'created' }])
  const reordered = { data: { a: 2, b: 1 }, key: event.key }
  expect((await stock.append(reordered)).results).toMatchObject([{ status: 'duplicate' }])
  const contradiction = [{ data: 'fine' }, { ...event, data: 'other' }]
  await expect(stock.append(contradiction)).rejects.toMatchObject({
    code: 'LATERBASE_KEY_CONFLICT',
    problems: [{ pointer: '/1' }]
  })
  expect((await stock.status()).events).toBe(1)
})

test('with onError proceed what is good is written and the rest reported', async () => {
  const stock = await stockOf()
  await stock.append({ key: '01JB0000000000000000000001', data: 1 })
  const { results } = await stock.append(
    [{ data: 'good' }, { key: 'bad', data: 1 }, { key: '01JB0000000000000000000001', data: 2 }],
    { onError: 'proceed' }
  )
  expect(results).toMatchObject([
    { status: 'created' },
    { status: 'rejected', code: 'LATERBASE_EVENT_INVALID', problem: { pointer: '/1/key' } },
    { status: 'rejected', code: 'LATERBASE_KEY_CONFLICT', problem: { pointer: '/2' } }
  ])
  expect((await stock.status()).events).toBe(2)
})

test('a number that a double cannot hold is refused with its place, as a string it is kept', async () => {
  const stock = await stockOf()
  await expect(
    stock.appendJson('[{"data":{"ok":1.5}},{"data":{"a/b":[0,340123450000000018]}}]')
  ).rejects.toMatchObject({
    code: 'LATERBASE_EVENT_INVALID',
    problems: [{ pointer: '/1/data/a~1b/1' }]
  })
  const [key = ''] = keysOf(await stock.appendJson('{"data":"340123450000000018"}'))
  expect((await stock.get(key))?.data).toBe('340123450000000018')
})

test('an event of tomorrow is refused unless the client says that it means it', async () => {
  const stock = await stockOf()
  const tomorrow = { time: new Date(Date.now() + 86_400_000).toISOString(), data: 1 }
  await expect(stock.append(tomorrow)).rejects.toMatchObject({
    code: 'LATERBASE_FUTURE_DATED',
    facts: { tolerance_ms: 300_000, skew_ms: expect.any(Number) }
  })
  expect((await stock.append(tomorrow, { clock: 'trust' })).results).toHaveLength(1)
})

test('a commit is bounded: what is larger is refused with the limits', async () => {
  const stock = await stockOf()
  await expect(stock.append({ data: 'x'.repeat(300_000) })).rejects.toMatchObject({
    code: 'LATERBASE_TOO_LARGE'
  })
  const many = Array.from({ length: 10_001 }, () => ({ data: 1 }))
  await expect(stock.append(many)).rejects.toMatchObject({
    code: 'LATERBASE_TOO_LARGE',
    facts: { events_max: 10_000 }
  })
  expect((await stock.status()).events).toBe(0)
})

test('a feed shows what is there, then what comes, and stops when it is left', async () => {
  const stock = await stockOf()
  await stock.append([{ data: 1 }, { data: 2 }])
  const reading = take(stock.changes(), 3)
  await stock.append({ data: 3 })
  expect((await reading).map(({ event }) => event.data)).toEqual([1, 2, 3])
})

test('a feed ends with its signal, and with its node', async () => {
  const node = await startNode()
  const { database } = await node.createDatabase('stock')
  const stop = new AbortController()
  const aborted = take(database.changes({ signal: stop.signal }), 1)
  const closed = take(database.changes(), 1)
  stop.abort()
  expect(await aborted).toEqual([])
  await node.close()
  expect(await closed).toEqual([])
})

test('every cursor that a feed handed out leads on from where it was', async () => {
  const stock = await stockOf()
  for (let commit = 0; commit < 5; commit += 1) {
    await stock.append(Array.from({ length: 4 }, (_, index) => ({ data: commit * 4 + index })))
  }
  const { changes } = await stock.changesPage()
  expect(changes).toHaveLength(20)
  for (const [index, { lc }] of changes.entries()) {
    const rest = await stock.changesPage({ since: lc })
    expect(rest.changes.map(({ event }) => event.data)).toEqual(
      Array.from({ length: 19 - index }, (_, at) => index + 1 + at)
    )
  }
})

test('a cursor of another store is refused by name, and one that is no cursor too', async () => {
  const [here, there] = [await stockOf(), await stockOf()]
  await here.append({ data: 1 })
  const { lastLc } = await here.changesPage()
  await expect(there.changesPage({ since: lastLc })).rejects.toMatchObject({
    code: 'LATERBASE_CURSOR_FOREIGN'
  })
  await expect(here.changesPage({ since: 'rubbish' })).rejects.toMatchObject({
    code: 'LATERBASE_CURSOR_INVALID'
  })
})

test('a feed from a time begins with what was recorded from then on', async () => {
  const stock = await stockOf()
  await stock.append({ data: 'before' })
  const [before] = (await stock.changesPage()).changes
  const after = new Date(Date.parse(before?.event.recorded ?? '') + 60_000).toISOString()
  expect((await stock.changesPage({ since: before?.event.recorded ?? '' })).changes).toHaveLength(1)
  expect((await stock.changesPage({ since: after })).changes).toHaveLength(0)
})

test('filters pass what matches and move the cursor through the rest', async () => {
  const stock = await stockOf()
  await stock.append([
    { type: 'moved', time: '2026-01-01T00:00:00Z', data: 1 },
    { type: 'counted', time: '2026-01-02T00:00:00Z', data: 2 },
    { type: 'moved', time: '2026-01-03T00:00:00Z', data: 3 }
  ])
  const moved = await stock.changesPage({ filter: { type: 'moved' } })
  expect(moved.changes.map(({ event }) => event.data)).toEqual([1, 3])
  expect(moved.pending).toBe(0)
  const late = await stock.changesPage({
    filter: { type: 'moved', from: '2026-01-01T00:00:00.001Z', to: '2026-01-04T00:00:00Z' }
  })
  expect(late.changes.map(({ event }) => event.data)).toEqual([3])
})

test('a hundred writers at once share few commits, and each has its events', async () => {
  const stock = await stockOf()
  const results = await Promise.all(
    Array.from({ length: 100 }, (_, data) => stock.append({ data }))
  )
  const events = await stock.getMany(results.flatMap(keysOf))
  expect(events.map((event) => event?.data)).toEqual(Array.from({ length: 100 }, (_, data) => data))
  expect((await stock.status()).commits).toBeLessThan(10)
})

test('a data directory that is in use is refused, by this process too', async () => {
  const node = await startNode()
  await expect(createLaterbase({ dir: node.dir, mdns: false })).rejects.toMatchObject({
    code: 'LATERBASE_STORE_LOCKED'
  })
})

test('a damaged identity is refused, with the way out', async () => {
  const dir = await temporaryDirectory()
  await mkdir(dir, { recursive: true })
  await writeFile(join(dir, 'identity.json'), '{')
  await expect(startNode({ dir })).rejects.toMatchObject({ code: 'LATERBASE_IDENTITY_INVALID' })
})

test('a directory of one network cannot join another', async () => {
  const [node, other] = [await startNode(), await startNode()]
  await node.close()
  await expect(startNode({ dir: node.dir, invitation: other.invitation() })).rejects.toMatchObject({
    code: 'LATERBASE_INVITATION_INVALID'
  })
})

test('names that routes or files could take for something else are refused', async () => {
  const node = await startNode()
  for (const name of ['', 'db', '_x', 'Up', '1st', 'a/b', '../a', 'a'.repeat(64), 'ä']) {
    await expect(node.createDatabase(name)).rejects.toMatchObject({
      code: 'LATERBASE_NAME_INVALID'
    })
  }
  expect(node.databases()).toEqual([])
})

test('a closed node says so', async () => {
  const node = await startNode()
  const { database } = await node.createDatabase('stock')
  await node.close()
  await node.close()
  await expect(database.append({ data: 1 })).rejects.toMatchObject({ code: 'LATERBASE_CLOSED' })
  await expect(node.createDatabase('more')).rejects.toMatchObject({ code: 'LATERBASE_CLOSED' })
})
