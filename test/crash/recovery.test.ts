/** Recovery of a damaged store: what it does when it is cut off, and when peers lack what it has. */

import { readFile, readdir, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

import { ClassicLevel } from 'classic-level'
import { expect, onTestFinished, test, vi } from 'vitest'

import type { Laterbase } from '../../src/index.ts'
import { commitRecordKey } from '../../src/store/key-layout.ts'
import { withRaw } from '../fixtures/raw-level.ts'
import { allEvents, connect, reconnect, startNode, until, untilEqual } from '../fixtures/nodes.ts'

test('what lies beyond a hole comes from the old files once a peer has filled the hole', async () => {
  const { peer, dir, written } = await holedNode()
  const node = await startNode({ dir, antiEntropyMs: 500 })
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

test('what lies beyond a hole is taken over also where a write of it fails', async () => {
  const { peer, dir, written } = await holedNode()
  const node = await startNode({ dir, antiEntropyMs: 500 })
  // The first is what the peer gives, the second what lay behind it.
  const location = join(dir, 'databases', 'stock')
  const original = ClassicLevel.prototype.batch
  let writes = 0
  const batch = function (this: ClassicLevel<unknown, unknown>, ...args: readonly unknown[]) {
    if (this.location === location) writes += 1
    if (this.location === location && writes === 2) throw new Error('ENOSPC')
    return Reflect.apply(original, this, args) as unknown
  }
  vi.spyOn(ClassicLevel.prototype, 'batch').mockImplementation(batch as typeof original)
  onTestFinished(() => void vi.restoreAllMocks())
  await reconnect(node, peer)
  await until(async () => {
    const events = await allEvents(node.database('stock')).catch(() => [])
    return events.join() === written.join()
  })
  expect(writes).toBeGreaterThan(2)
})

test('old files that a disk does not give for a moment are not taken for unreadable', async () => {
  onTestFinished(() => void vi.restoreAllMocks())
  const { dir, written } = await closedNode()
  await rm(join(dir, 'databases', 'stock', 'CURRENT'))
  const failure = Object.assign(new Error('IO error: No space left on device'), {
    code: 'LEVEL_IO_ERROR'
  })
  vi.spyOn(ClassicLevel, 'repair').mockRejectedValueOnce(failure)
  const node = await startNode({ dir })
  expect(node.unopened()).toMatchObject([{ name: 'stock', retried: true }])
  await until(() => node.databases().includes('stock'))
  expect(await allEvents(node.database('stock'))).toEqual(written)
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

test('a store that is found damaged after a failed write is recovered while the node runs', async () => {
  onTestFinished(() => void vi.restoreAllMocks())
  const { dir, written } = await closedNode()
  // As a life does that ends in an orderly way: what was in the log is in a table.
  await (await startNode({ dir })).close()
  const node = await startNode({ dir })
  const folder = join(dir, 'databases', 'stock')
  for (const name of await readdir(folder)) {
    if (name.startsWith('MANIFEST')) await writeFile(join(folder, name), 'rot')
  }
  vi.spyOn(ClassicLevel.prototype, 'batch').mockImplementationOnce(() => {
    throw new Error('ENOSPC')
  })
  await expect(node.database('stock').append({ data: 'fails' })).rejects.toMatchObject({
    code: 'LATERBASE_STORE_FAILED'
  })
  await until(async () => {
    const { warnings, unopened } = await node.status()
    return warnings.join().includes('was found damaged') && unopened.length === 0
  })
  await until(async () => {
    const events = await allEvents(node.database('stock')).catch(() => [])
    return events.join() === written.join()
  })
  await node.database('stock').append({ data: 'goes on' })
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

/** A directory whose store has lost CURRENT, and the third of ten commits, and a peer with five. */
async function holedNode(): Promise<{
  readonly peer: Laterbase
  readonly dir: string
  readonly written: string[]
}> {
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
  return { peer, dir: first.dir, written }
}

async function closedNode(): Promise<{ readonly dir: string; readonly written: string[] }> {
  const node: Laterbase = await startNode()
  const { database } = await node.createDatabase('stock')
  for (let number = 1; number <= 3; number += 1) await database.append({ data: { number } })
  const written = await allEvents(database)
  await node.close()
  return { dir: node.dir, written }
}
