/** A running node that meets damage on its disk has what is damaged from a peer, or says so. */

import { readdir } from 'node:fs/promises'
import { join } from 'node:path'

import { expect, test } from 'vitest'

import { present } from '../../src/core/assert.ts'
import { parseEventKey } from '../../src/core/event-key.ts'
import type { Laterbase } from '../../src/index.ts'
import { commitRecordKey, eventRecordKey } from '../../src/store/key-layout.ts'
import { damageTable, flipped, withRaw } from '../fixtures/raw-level.ts'
import type { RawLevel } from '../fixtures/raw-level.ts'
import { allEvents, reconnect, startNode, until, untilEqual } from '../fixtures/nodes.ts'

const CORRUPT = { code: 'LATERBASE_STORE_CORRUPT' }

test('a damaged event is had from a peer by whoever reads it, by key, in order or in a feed', async () => {
  const { peer, restart, keys } = await damagedPair()
  const reads: ((node: Laterbase) => Promise<unknown>)[] = [
    async (node) => node.database('stock').get(keys[3] ?? ''),
    async (node) => allEvents(node.database('stock')),
    async (node) => node.database('stock').changesPage()
  ]
  for (const read of reads) {
    const node = await restart((raw) => flip(raw, eventRecordKey(keyOf(keys[3]))))
    await expect(read(node)).rejects.toMatchObject(CORRUPT)
    await reconnect(node, peer)
    await read(node)
    expect(await allEvents(node.database('stock'))).toEqual(await allEvents(peer.database('stock')))
    const { found, healed, open } = node.database('stock').verification()
    expect([found > 0, healed > 0, open]).toEqual([true, true, 0])
  }
})

test('an event and a commit that are gone are found by a check, and healed when a peer comes', async () => {
  const { peer, restart, keys } = await damagedPair()
  const node = await restart(async (raw) => {
    await raw.del(eventRecordKey(keyOf(keys[2])))
    await raw.del(commitRecordKey(0, 4))
  })
  const alone = await node.database('stock').verify()
  expect(alone.open).toBeGreaterThan(0)
  expect((await node.status()).warnings.join()).toContain('no connected peer can heal')
  await reconnect(node, peer)
  await until(() => node.database('stock').verification().open === 0)
  const clean = await node.database('stock').verify({ signatures: true })
  expect(clean.found).toBe(alone.found)
  expect(await allEvents(node.database('stock'))).toEqual(await allEvents(peer.database('stock')))
})

test('what no commit has is found by a check, and the store is made anew without it', async () => {
  const { restart, peer } = await damagedPair()
  const node = await restart(async (raw) => raw.put(Buffer.from('010203', 'hex'), Buffer.alloc(9)))
  const before = await allEvents(peer.database('stock'))
  const status = await node.database('stock').verify()
  expect(status.found).toBeGreaterThan(0)
  expect(await allEvents(node.database('stock'))).toEqual(before)
  expect((await node.status()).warnings.join()).toContain('stock was found damaged')
  const kept = (await readdir(join(node.dir, 'databases'))).filter((name) => /damaged/.test(name))
  expect(kept.length).toBe(1)
  await node.database('stock').append({ data: 'goes on' })
  await reconnect(node, peer)
  await untilEqual([node, peer], 'stock')
})

test('a table that rots while a node runs has the store made anew, and nobody is given a part of it', async () => {
  const { peer, restart } = await damagedPair(300)
  const node = await restart((raw) => raw.compactRange(Buffer.alloc(1), Buffer.alloc(1, 0xff)))
  const before = await allEvents(peer.database('stock'))
  await damageTable(join(node.dir, 'databases', 'stock'), 1 / 4)
  const read = await allEvents(node.database('stock')).catch((error: unknown) => error)
  // Others read too: the store may be closed by then, or made anew, or have in memory what has rotted.
  if (Array.isArray(read)) expect(read).toEqual(before)
  await node
    .database('stock')
    .verify()
    .catch(() => undefined)
  await until(async () => (await node.status()).warnings.join().includes('stock was found damaged'))
  await until(() => node.databases().includes('stock'))
  await reconnect(node, peer)
  await untilEqual([node, peer], 'stock')
  expect(await allEvents(node.database('stock'))).toEqual(before)
})

/** A node to be damaged between two lives, and its peer, with the same commits. */
async function damagedPair(commits = 10): Promise<{
  readonly peer: Laterbase
  readonly keys: readonly string[]
  readonly restart: (damage: (raw: RawLevel) => Promise<void>) => Promise<Laterbase>
}> {
  const peer = await startNode({ antiEntropyMs: 500 })
  let node = await startNode({ invitation: peer.invitation() })
  const { dir } = node
  const { database } = await node.createDatabase('stock')
  const keys: string[] = []
  for (let commit = 0; commit < commits; commit += 1) {
    const { results } = await database.append({ data: { commit } })
    for (const result of results) if ('key' in result) keys.push(result.key)
  }
  await reconnect(node, peer)
  await untilEqual([node, peer], 'stock')
  const restart = async (damage: (raw: RawLevel) => Promise<void>): Promise<Laterbase> => {
    await node.close()
    // As a life without writes does: what was in the log file is in a table, and was checked.
    await (await startNode({ dir })).close()
    await withRaw(join(dir, 'databases', 'stock'), damage)
    node = await startNode({ dir, antiEntropyMs: 500 })
    return node
  }
  return { peer, keys, restart }
}

async function flip(raw: RawLevel, key: Buffer): Promise<void> {
  const record = present(await raw.get(key), 'a record')
  await raw.put(key, flipped(record, record.length - 2))
}

function keyOf(text: string | undefined) {
  return present(parseEventKey(text ?? ''), 'a key')
}
