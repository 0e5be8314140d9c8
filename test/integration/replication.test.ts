/** What two to five real nodes do with each other over loopback. */

import { cp } from 'node:fs/promises'
import { expect, test } from 'vitest'

import type { EventInput, Laterbase } from '../../src/index.ts'
import {
  allEvents,
  connect,
  reconnect,
  startNetwork,
  startNode,
  temporaryDirectory,
  until,
  untilEqual
} from '../fixtures/nodes.ts'

const DAY_MS = 86_400_000

function pallets(count: number, from = 0): EventInput[] {
  return Array.from({ length: count }, (_, index) => ({
    type: 'pallet-moved',
    time: new Date(Date.UTC(2026, 0, 1) + ((from + index) % 7) * DAY_MS + index).toISOString(),
    data: { pallet: from + index, zone: 'ABCDEFG'.charAt(index % 7) }
  }))
}

async function newDatabase(node: Laterbase, name = 'stock') {
  return (await node.createDatabase(name)).database
}

async function pair(options = {}): Promise<[Laterbase, Laterbase]> {
  const [a, b] = await startNetwork(2, options)
  if (a === undefined || b === undefined) throw new Error('two nodes were started')
  return [a, b]
}

test('a database that is created on one node appears on the others, with its events', async () => {
  const [a, b] = await pair()
  const stock = await newDatabase(a)
  await stock.append(pallets(20))
  await connect(b, a)
  await untilEqual([a, b], 'stock')
  expect(await allEvents(b.database('stock'))).toEqual(await allEvents(stock))
})

test('an event that is acknowledged on one node can be read on a connected one', async () => {
  const [a, b] = await pair()
  const stock = await newDatabase(a)
  await connect(b, a)
  await untilEqual([a, b], 'stock')
  const { results } = await stock.append({ data: 'live' })
  const [result] = results
  const key = result !== undefined && 'key' in result ? result.key : ''
  await until(async () => (await b.database('stock').get(key)) !== undefined)
})

test('without gossip anti-entropy alone makes nodes equal', async () => {
  const [a, b] = await pair({ gossip: false, antiEntropyMs: 50 })
  const stock = await newDatabase(a)
  await connect(a, b)
  await untilEqual([a, b], 'stock')
  await stock.append(pallets(10))
  await b.database('stock').append(pallets(10, 100))
  await untilEqual([a, b], 'stock')
  expect((await stock.status()).events).toBe(20)
})

test('a node that never meets the writer gets its events through the one between', async () => {
  const nodes = await startNetwork(3)
  const [a, b, c] = nodes as [Laterbase, Laterbase, Laterbase]
  const stock = await newDatabase(a)
  await stock.append(pallets(5))
  await connect(b, a)
  await connect(c, b)
  await untilEqual(nodes, 'stock')
  await stock.append(pallets(5, 100))
  await c.database('stock').append(pallets(5, 200))
  await untilEqual(nodes, 'stock')
  expect(c.peers().map(({ peer }) => peer)).toEqual([b.peerId])
  expect((await c.database('stock').status()).events).toBe(15)
})

test('a van that meets two depots one after the other carries the events of both', async () => {
  const [depotA, depotB, van] = (await startNetwork(3)) as [Laterbase, Laterbase, Laterbase]
  const stock = await newDatabase(depotA)
  await stock.append(pallets(5))
  await connect(van, depotA)
  await untilEqual([van, depotA], 'stock')
  await depotA.goOffline()
  await until(() => van.peers().length === 0)
  await newDatabase(depotB)
  await depotB.database('stock').append(pallets(5, 100))
  await connect(van, depotB)
  await untilEqual([van, depotB], 'stock')
  expect((await depotB.database('stock').status()).events).toBe(10)
})

test('a node that was away while both sides wrote becomes equal when it is back', async () => {
  const nodes = await startNetwork(3)
  const [a, b, c] = nodes as [Laterbase, Laterbase, Laterbase]
  await newDatabase(a)
  await connect(b, a)
  await connect(c, a)
  await connect(c, b)
  await untilEqual(nodes, 'stock')
  await c.goOffline()
  await until(() => a.peers().length === 1 && b.peers().length === 1)
  await Promise.all(
    nodes.map((node, index) => node.database('stock').append(pallets(50, index * 100)))
  )
  await untilEqual([a, b], 'stock')
  expect(c.database('stock').digest()).not.toBe(a.database('stock').digest())
  await c.goOnline()
  await untilEqual(nodes, 'stock')
  expect((await c.database('stock').status()).events).toBe(150)
})

test('the same natural event posted on two boxes apart is one event on both', async () => {
  const [a, b] = await pair()
  const scan: EventInput = {
    source: 'scanner-7',
    id: '000123',
    time: '2026-03-04T05:06:07Z',
    data: { sscc: '340123450000000018' }
  }
  await (await newDatabase(a)).append(scan)
  await (await newDatabase(b)).append({ ...scan, data: { sscc: '340123450000000018' } })
  await connect(a, b)
  await untilEqual([a, b], 'stock')
  for (const node of [a, b]) {
    const stock = node.database('stock')
    expect((await stock.status()).events).toBe(1)
    expect((await stock.changesPage()).changes).toHaveLength(1)
    expect(await stock.append(scan)).toMatchObject({ results: [{ status: 'duplicate' }] })
  }
})

test('one key with two contents keeps both, and every node answers with the same one', async () => {
  const [a, b] = await pair()
  const key = '01JB0000000000000000000001'
  await (await newDatabase(a)).append({ key, data: 'from a' })
  await (await newDatabase(b)).append({ key, data: 'from b' })
  await connect(a, b)
  await untilEqual([a, b], 'stock')
  const [atA, atB] = await Promise.all([a, b].map((node) => node.database('stock').get(key)))
  expect(atA?.json).toBe(atB?.json)
  expect(atA?.conflict).toBe(true)
  for (const node of [a, b]) {
    const conflicts = []
    for await (const conflict of node.database('stock').conflicts()) conflicts.push(conflict)
    expect(conflicts).toHaveLength(1)
    const contents = new Set(conflicts[0]?.events.map(({ data }) => data))
    expect(contents).toEqual(new Set(['from a', 'from b']))
  }
})

test('a reader of the feed who moves to another node misses nothing and repeats nothing', async () => {
  const [a, b] = await pair()
  await newDatabase(a)
  await connect(a, b)
  await untilEqual([a, b], 'stock')
  const scan: EventInput = { source: 's', id: '1', time: '2026-03-04T05:06:07Z', data: 1 }
  await a.goOffline()
  for (const [index, node] of [a, b].entries()) {
    await node.database('stock').append(pallets(30, index * 100))
    await node.database('stock').append(scan)
    await node.database('stock').append(pallets(30, index * 100 + 50))
  }
  await a.goOnline()
  await untilEqual([a, b], 'stock')
  const seen: string[] = []
  let since = '0'
  for (let page = 0; ; page += 1) {
    const node = page % 2 === 0 ? a : b
    const { changes, lastVersion, pending } = await node
      .database('stock')
      .changesPage({ since, limit: 7 })
    seen.push(...changes.map(({ event }) => event.key))
    since = lastVersion
    if (pending === 0) break
  }
  expect(new Set(seen).size).toBe(seen.length)
  expect(seen).toHaveLength(121)
})

test('a transfer that is cut in the middle goes on where it was after a restart', async () => {
  const [a, b] = await pair()
  const stock = await newDatabase(a)
  const text = 'x'.repeat(1_000)
  for (let batch = 0; batch < 12; batch += 1) {
    await stock.append(
      Array.from({ length: 500 }, (_, index) => ({ data: { batch, index, text } }))
    )
  }
  const dir = b.dir
  await connect(b, a)
  await until(() => b.databases().includes('stock'))
  for await (const change of b.database('stock').changes()) {
    expect(change.event.data).toMatchObject({ batch: 0, index: 0 })
    break
  }
  await b.close()
  const again = await startNode({ dir })
  const before = (await again.database('stock').status()).events
  expect([before > 0, before < 6_000, before % 500]).toEqual([true, true, 0])
  const sentBefore = (await a.status()).traffic.bytesOut
  await reconnect(again, a)
  await untilEqual([a, again], 'stock')
  expect((await again.database('stock').status()).events).toBe(6_000)
  // What it had does not come a second time: only the rest crosses, some 1,060 bytes an event.
  const sent = (await a.status()).traffic.bytesOut - sentBefore
  expect(sent).toBeLessThan((6_000 - before) * 1_080)
})

test('five nodes in a ring that all write become equal', async () => {
  const nodes = await startNetwork(5)
  const [first] = nodes as [Laterbase, ...Laterbase[]]
  await newDatabase(first)
  for (const [index, node] of nodes.entries()) {
    const next = nodes[(index + 1) % nodes.length]
    if (next !== undefined) await connect(node, next)
  }
  await untilEqual(nodes, 'stock')
  await Promise.all(
    nodes.map(async (node, index) => {
      for (let round = 0; round < 5; round += 1) {
        await node.database('stock').append(pallets(10, index * 1_000 + round * 100))
      }
    })
  )
  await untilEqual(nodes, 'stock')
  for (const node of nodes) expect((await node.database('stock').status()).events).toBe(250)
})

test('a wiped node comes back whole, its own events included', async () => {
  const [a, b] = await pair()
  await newDatabase(a)
  await connect(a, b)
  await untilEqual([a, b], 'stock')
  await b.database('stock').append(pallets(10))
  await untilEqual([a, b], 'stock')
  const events = await allEvents(b.database('stock'))
  const invitation = b.invitation()
  await b.close()
  const fresh = await startNode({ dir: await temporaryDirectory(), invitation })
  await connect(fresh, a)
  await untilEqual([a, fresh], 'stock')
  expect(await allEvents(fresh.database('stock'))).toEqual(events)
})

test('a cloned card and its original lose nothing, and go on in logs of their own', async () => {
  const [a, b] = await pair()
  await (await newDatabase(a)).append(pallets(5))
  await a.close()
  const card = await temporaryDirectory()
  await cp(a.dir, card, { recursive: true })
  const ownLog = async (node: Laterbase): Promise<string | undefined> =>
    (await node.database('stock').status()).logs.find(({ own }) => own)?.log
  const original = await startNode({ dir: a.dir })
  await original.database('stock').append({ data: 'original' })
  await connect(original, b)
  await untilEqual([original, b], 'stock')
  const { lastLc: ofOriginal } = await original.database('stock').changesPage()
  await original.close()
  const clone = await startNode({ dir: card })
  await clone.database('stock').append([{ data: 'clone' }, { data: 'more of it' }])
  const shared = await ownLog(clone)
  await expect(clone.database('stock').changesPage({ since: ofOriginal })).rejects.toMatchObject({
    code: 'LATERBASE_CURSOR_FOREIGN'
  })
  const { lastLc } = await clone.database('stock').changesPage()
  await reconnect(clone, b)
  await untilEqual([clone, b], 'stock')
  const { changes } = await clone.database('stock').changesPage({ since: lastLc })
  expect(changes.map(({ event }) => event.data)).toEqual(['original'])
  await clone.database('stock').append({ data: 'after the meeting' })
  await untilEqual([clone, b], 'stock')
  const ofClone = await ownLog(clone)
  await clone.close()
  const again = await startNode({ dir: a.dir })
  await again.database('stock').append({ data: 'original again' })
  await reconnect(again, b)
  await untilEqual([again, b], 'stock')
  await again.database('stock').append({ data: 'after its meeting' })
  await untilEqual([again, b], 'stock')
  expect(new Set([shared, ofClone, await ownLog(again)]).size).toBe(3)
  for (const node of [again, b]) {
    expect((await node.database('stock').status()).events).toBe(11)
    const { warnings } = await node.status()
    expect(warnings.join('\n')).toContain('two boxes wrote under the identity')
  }
})

test('what is new on a node is soon on both of two boxes that have one identity', async () => {
  // Comparisons come too late to be what brings it.
  const antiEntropyMs = 600_000
  const [a, third] = await pair({ antiEntropyMs })
  await newDatabase(third)
  await a.close()
  const card = await temporaryDirectory()
  await cp(a.dir, card, { recursive: true })
  const original = await startNode({ dir: a.dir, antiEntropyMs })
  const clone = await startNode({ dir: card, antiEntropyMs })
  for (const box of [original, clone]) {
    await connect(box, third)
    await untilEqual([box, third], 'stock')
  }
  await until(() => third.peers().length === 2)
  for (let round = 1; round <= 3; round += 1) {
    await third.database('stock').append({ data: round })
    await untilEqual([third, original, clone], 'stock')
  }
})

test('a box restored from an older copy gets its own events back, and uses no number twice', async () => {
  const [a, b] = await pair()
  await (await newDatabase(a)).append(pallets(3))
  await a.close()
  const backup = await temporaryDirectory()
  await cp(a.dir, backup, { recursive: true })
  const before = await startNode({ dir: a.dir })
  await before.database('stock').append(pallets(4))
  await connect(before, b)
  await untilEqual([before, b], 'stock')
  await before.close()
  const restored = await startNode({ dir: backup })
  const { lastLc } = await restored.database('stock').changesPage()
  await reconnect(restored, b)
  await untilEqual([restored, b], 'stock')
  await restored.database('stock').append({ data: 'after the backup' })
  await untilEqual([restored, b], 'stock')
  const { events, logs } = await b.database('stock').status()
  expect([events, logs.length]).toEqual([8, 2])
  expect(logs.some(({ forked }) => forked)).toBe(false)
  expect((await restored.status()).warnings.join()).toContain('restored from an older copy')
  const { changes } = await restored.database('stock').changesPage({ since: lastLc })
  expect(changes).toHaveLength(5)
})

test('a forgotten database does not come back from peers until it is created again', async () => {
  const [a, b] = await pair({ antiEntropyMs: 50 })
  const stock = await newDatabase(a)
  await stock.append(pallets(3))
  await connect(a, b)
  await untilEqual([a, b], 'stock')
  await b.forgetDatabase('stock')
  await newDatabase(a, 'other')
  await untilEqual([a, b], 'other')
  expect(b.databases()).toEqual(['other'])
  await newDatabase(b)
  await untilEqual([a, b], 'stock')
})

test('events written on one node keep their order in every feed, whatever their times', async () => {
  const [a, b] = await pair()
  const stock = await newDatabase(a)
  const written: string[] = []
  for (const event of pallets(20)) {
    const { results } = await stock.append(event)
    for (const result of results) if ('key' in result) written.push(result.key)
  }
  await connect(a, b)
  await untilEqual([a, b], 'stock')
  const { changes } = await b.database('stock').changesPage()
  expect(changes.map(({ event }) => event.key)).toEqual(written)
})
