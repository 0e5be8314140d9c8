/**
 * A table that a disk does not give, or gives damaged: named with what to do, read again at a bounded
 * cost, and given up only for what cannot be read of it, and only by a person.
 */

import { readlinkSync } from 'node:fs'
import { cp, readFile, readdir, rm, stat, writeFile } from 'node:fs/promises'
import type { FileHandle } from 'node:fs/promises'
import { join } from 'node:path'

import { expect, onTestFinished, test, vi } from 'vitest'

import { examineDirectory } from '../../src/node/directory-doctor.ts'
import type { DirectoryFinding } from '../../src/node/directory-doctor.ts'
import { UnopenedStores } from '../../src/node/unopened-stores.ts'
import { readWhatCan } from '../../src/store/table-file.ts'
import { fileHandlePrototype } from '../fixtures/file-handles.ts'
import { ManualClock } from '../fixtures/manual-clock.ts'
import { allEvents, startNode, temporaryDirectory, until } from '../fixtures/nodes.ts'

const HOUR_MS = 3_600_000

test('a table that the disk does not give keeps its database closed and named until it does', async () => {
  const { dir, table, written } = await closedNode()
  const disk = await refuseReads((path) => path.endsWith(table))
  const node = await startNode({ dir })
  const [unopened] = node.unopened()
  expect(unopened).toMatchObject({ name: 'stock', code: 'LATERBASE_STORE_FAILED', retried: true })
  expect(unopened?.reason).toContain(`table ${table} cannot be read (EIO`)
  expect(unopened?.reason).toContain('laterbase doctor --repair')
  disk.mend()
  await until(() => node.databases().includes('stock'))
  expect(await allEvents(node.database('stock'))).toEqual(written)
  expect((await node.status()).warnings).toEqual([])
})

test('a doctor names a table that the disk does not give, and takes all else over when asked to', async () => {
  const { dir, table, written } = await closedNode()
  await refuseReads((path) => path.endsWith(table))
  const [found] = await examine(dir, false)
  expect(found).toMatchObject({ part: 'stock', repaired: false })
  expect(found?.detail).toContain(`table ${table} cannot be read`)
  const [repaired] = await examine(dir, true)
  expect(repaired).toMatchObject({ part: 'stock', repaired: true })
  vi.restoreAllMocks()
  const node = await startNode({ dir })
  const events = await allEvents(node.database('stock'))
  expect(events).toEqual(written.filter((event) => events.includes(event)))
  expect(events.length).toBeGreaterThan(0)
  expect(events.length).toBeLessThan(written.length)
  expect((await node.status()).warnings.join()).toContain('stock was found damaged')
})

test('a table is read but for the pages that the disk refuses', async () => {
  const file = join(await temporaryDirectory(), '000005.ldb')
  const bytes = Buffer.alloc(3_000_000, 7)
  await writeFile(file, bytes)
  await refuseReads((path) => path === file, { from: 1_500_000, to: 1_500_001 })
  const read = await readWhatCan(file)
  expect(read.length).toBe(bytes.length)
  const lost = bytes.filter((byte, at) => read[at] !== byte).length
  expect([lost > 0, lost <= 4_096]).toEqual([true, true])
})

test('a store that takes long to open in vain is not opened all the time', async () => {
  const clock = new ManualClock()
  let attempts = 0
  const stores = new UnopenedStores({
    open: async () => {
      attempts += 1
      await new Promise<void>((resolve) => clock.setTimer(30_000, resolve))
      throw new Error('EIO')
    },
    clock,
    log: () => undefined
  })
  onTestFinished(() => stores.close())
  stores.add('stock', new Error('EIO'))
  await clock.pass(10 * HOUR_MS)
  expect(attempts).toBeGreaterThan(50)
  expect(attempts * 30_000).toBeLessThan(HOUR_MS + 60_000)
})

test('a table that a doctor only looks at is left where it is, so that a copy can be put back', async () => {
  const { dir, table, written } = await closedNode()
  const folder = join(dir, 'databases', 'stock')
  await cp(folder, `${dir}/copy`, { recursive: true })
  const bytes = await readFile(join(folder, table))
  bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] ?? 0) ^ 1
  await writeFile(join(folder, table), bytes)
  expect((await examine(dir, false)).length).toBe(1)
  await rm(folder, { recursive: true })
  await cp(`${dir}/copy`, folder, { recursive: true })
  const node = await startNode({ dir })
  expect((await node.status()).warnings).toEqual([])
  expect(await allEvents(node.database('stock'))).toEqual(written)
})

/** A node's directory with a store of several tables, of which the largest is named. */
async function closedNode(): Promise<{ dir: string; table: string; written: string[] }> {
  const dir = await temporaryDirectory()
  let written: string[] = []
  for (const count of [3, 300, 0]) {
    const node = await startNode({ dir })
    const { database } = await node.createDatabase('stock')
    for (let number = 0; number < count; number += 1) {
      await database.append({ data: { number, text: `${number} `.repeat(200) } })
    }
    written = await allEvents(database)
    await node.close()
  }
  const folder = join(dir, 'databases', 'stock')
  const tables = (await readdir(folder)).filter((name) => name.endsWith('.ldb'))
  expect(tables.length).toBeGreaterThan(1)
  const sizes = await Promise.all(tables.map(async (name) => (await stat(join(folder, name))).size))
  return { dir, table: tables[sizes.indexOf(Math.max(...sizes))] ?? '', written }
}

function examine(dir: string, repair: boolean): Promise<DirectoryFinding[]> {
  const quiet = { log: () => undefined, progress: () => undefined }
  return examineDirectory({ dir, signatures: false, repair, newIdentity: false, ...quiet })
}

/** Reads of these files fail that touch a part of them; not LevelDB's own. */
async function refuseReads(
  isRefused: (path: string) => boolean,
  part = { from: 8_192, to: 8_193 }
): Promise<{ readonly mend: () => void }> {
  const prototype = await fileHandlePrototype()
  const original = prototype.read
  const read = function (this: FileHandle, ...args: [Buffer, number, number, number]) {
    const [, , length, position] = args
    const touches = position < part.to && position + length > part.from
    if (touches && isRefused(readlinkSync(`/proc/self/fd/${this.fd}`))) {
      return Promise.reject(new Error('EIO: i/o error, read'))
    }
    return original.apply(this, args as unknown as Parameters<typeof original>)
  }
  const spied = vi.spyOn(prototype, 'read').mockImplementation(read as typeof original)
  onTestFinished(() => spied.mockRestore())
  return { mend: () => spied.mockRestore() }
}
