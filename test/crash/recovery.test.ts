/** Recovery of a damaged store: what it does when it is cut off, and when peers lack what it has. */

import { readFile, readdir, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

import { expect, test } from 'vitest'

import type { Laterbase } from '../../src/index.ts'
import { commitRecordKey } from '../../src/store/key-layout.ts'
import { withRaw } from '../fixtures/raw-level.ts'
import { allEvents, connect, reconnect, startNode, until, untilEqual } from '../fixtures/nodes.ts'

test('what lies beyond a hole comes from the old files once a peer has filled the hole', async () => {
  const peer = await startNode({ antiEntropyMs: 500 })
  const first = await startNode({ invitation: peer.invitation(), antiEntropyMs: 500 })
  const { database } = await first.createDatabase('stock')
  for (let number = 1; number <= 5; number += 1) await database.append({ data: { number } })
  await connect(first, peer)
  await untilEqual([first, peer], 'stock')
  await first.goOffline()
  for (let number = 6; number <= 10; number += 1) await database.append({ data: { number } })
  const written = await allEvents(database)
  await first.close()
  const folder = join(first.dir, 'databases', 'stock')
  await withRaw(folder, (raw) => raw.del(commitRecordKey(0, 3)))
  await rm(join(folder, 'CURRENT'))

  const node = await startNode({ dir: first.dir, antiEntropyMs: 500 })
  expect((await allEvents(node.database('stock'))).length).toBe(2)
  expect((await node.status()).warnings.join()).toContain('2 of 10 events were read back, 8')
  await reconnect(node, peer)
  await until(async () => (await allEvents(node.database('stock'))).length === 10)
  expect(await allEvents(node.database('stock'))).toEqual(written)
  await untilEqual([node, peer], 'stock')
  expect((await node.status()).warnings.join()).toContain('may be deleted')
  await node.database('stock').append({ data: 'goes on in a log of its own' })
  await untilEqual([node, peer], 'stock')
})

test('a recovery that was cut off begins again and ends with every event', async () => {
  const { dir, written } = await closedNode()
  const databases = join(dir, 'databases')
  await rename(join(databases, 'stock'), join(databases, 'stock.damaged-then'))
  const facts = { at: '2026-01-01T00:00:00.000Z', kept: 'stock.damaged-then', state: 'reading' }
  const note = { reason: 'a test', ...facts, before: 3, back: 0, expected: {} }
  await writeFile(join(databases, 'stock.recovery.json'), JSON.stringify(note))
  const node = await startNode({ dir })
  expect(await allEvents(node.database('stock'))).toEqual(written)
  await node.close()
  const after = await readFile(join(databases, 'stock.recovery.json'), 'utf8')
  expect(JSON.parse(after)).toMatchObject({ state: 'read', back: 3 })
})

test('an opening that was cut off leaves the files as they were before it', async () => {
  const { dir, written } = await closedNode()
  const databases = join(dir, 'databases')
  // LevelDB had begun to delete when the power went.
  await rename(join(databases, 'stock'), join(databases, 'stock.before'))
  const node = await startNode({ dir })
  expect(await allEvents(node.database('stock'))).toEqual(written)
})

test('files that a person has deleted are not spoken of any more', async () => {
  const { dir, written } = await closedNode()
  await rm(join(dir, 'databases', 'stock', 'CURRENT'))
  const node = await startNode({ dir })
  expect((await node.status()).warnings.join()).toContain('may be deleted')
  await node.close()
  for (const name of await readdir(join(dir, 'databases'))) {
    if (name.includes('.damaged-')) await rm(join(dir, 'databases', name), { recursive: true })
  }
  const again = await startNode({ dir })
  expect((await again.status()).warnings).toEqual([])
  expect(await allEvents(again.database('stock'))).toEqual(written)
})

async function closedNode(): Promise<{ readonly dir: string; readonly written: string[] }> {
  const node: Laterbase = await startNode()
  const { database } = await node.createDatabase('stock')
  for (let number = 1; number <= 3; number += 1) await database.append({ data: { number } })
  const written = await allEvents(database)
  await node.close()
  return { dir: node.dir, written }
}
