/** A database whose store does not open: the node starts, the others go on, nobody is misled. */

import { mkdir, readFile, readdir, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'

import { createHttpServer } from '../../src/http/server.ts'
import type { Laterbase } from '../../src/index.ts'
import { ask } from '../fixtures/http-server.ts'
import {
  connect,
  reconnect,
  startNetwork,
  startNode,
  until,
  untilEqual
} from '../fixtures/nodes.ts'

const LOST = { code: 'LATERBASE_STORE_LOST' }

test('a store that is gone is not taken for a new one, and the other databases go on', async () => {
  const { node, lines } = await restartAfter((folder) => rm(folder, { recursive: true }))
  expect(node.databases()).toEqual(['yard'])
  await node.database('yard').append({ data: 2 })
  expect(() => node.database('stock')).toThrow(expect.objectContaining(LOST))
  await expect(node.createDatabase('stock')).rejects.toMatchObject(LOST)
  const { unopened, warnings, databases } = await node.status()
  expect(unopened).toMatchObject([{ name: 'stock', ...LOST, retried: true }])
  expect(databases.map(({ name }) => name)).toEqual(['yard'])
  expect(warnings).toEqual([
    expect.stringMatching(/stock is not open: .*gone.*Put its folder back/)
  ])
  expect(lines.filter((line) => line.includes('stock is not open')).length).toBe(1)
  // Nothing is in the way of whoever puts it back.
  expect(await readdir(join(node.dir, 'databases'))).not.toContain('stock')
})

test('what a crash left of a store that was being made is not in the way of making it', async () => {
  const first = await startNode()
  await first.close()
  const { dir } = first
  const folder = join(dir, 'databases', 'stock')
  await mkdir(folder, { recursive: true })
  // LevelDB makes these before anything that it would open again.
  for (const name of ['LOCK', 'LOG']) await writeFile(join(folder, name), '')
  const node = await startNode({ dir })
  expect([node.unopened(), (await node.status()).warnings]).toEqual([[], []])
  const { database } = await node.createDatabase('stock')
  await database.append({ data: 1 })
  expect((await database.status()).events).toBe(1)
})

test('a store that is put back is opened without a restart, and the warning goes', async () => {
  const { node, folder } = await restartAfter((at) => rename(at, `${at}-elsewhere`))
  expect(node.databases()).toEqual(['yard'])
  await rename(`${folder}-elsewhere`, folder)
  await until(() => node.databases().includes('stock'))
  expect((await node.database('stock').status()).events).toBe(1)
  expect([node.unopened(), (await node.status()).warnings]).toEqual([[], []])
  await node.database('stock').append({ data: 2 })
})

test('over HTTP it is listed apart, every operation on it says why, and it can be forgotten', async () => {
  const { node } = await restartAfter((folder) => rm(folder, { recursive: true }))
  await using server = await createHttpServer(node, { port: 0 })
  const listed = { databases: ['yard'], unopened: [{ name: 'stock', code: 'store-failed' }] }
  expect((await ask(`${server.url}/db`)).json()).toEqual(listed)
  expect((await ask(`${server.url}/_ready`)).json().unopened).toEqual(['stock'])
  for (const [method, path] of [
    ['GET', ''],
    ['PUT', ''],
    ['GET', '/e'],
    ['GET', '/_digest']
  ] as const) {
    const answer = await ask(`${server.url}/db/stock${path}`, { method })
    expect([answer.status, answer.json().code]).toEqual([503, 'store-failed'])
  }
  const gone = await ask(`${server.url}/db/stock?confirm=stock`, { method: 'DELETE' })
  expect(gone.status).toBe(204)
  expect((await ask(`${server.url}/db`)).json()).toEqual({ databases: ['yard'] })
})

test('peers are not answered as if it were empty, and bring it back when it is made anew', async () => {
  const [a, b] = await startNetwork(2)
  if (a === undefined || b === undefined) throw new Error('two nodes')
  const { database } = await a.createDatabase('stock')
  await database.append([{ data: 1 }, { data: 2 }])
  await connect(b, a)
  await untilEqual([a, b], 'stock')
  await a.close()
  await rm(join(a.dir, 'databases', 'stock'), { recursive: true })
  const again = await startNode({ dir: a.dir })
  expect(again.unopened()).toMatchObject([LOST])
  await reconnect(b, again)
  await b.database('stock').append({ data: 3 })
  await b.database('stock').sync()
  await until(() => b.peers().some(({ unequal }) => unequal.includes('stock')))
  expect([again.databases(), again.unopened().length]).toEqual([[], 1])
  await again.forgetDatabase('stock')
  await again.createDatabase('stock')
  await untilEqual([again, b], 'stock')
  expect((await again.database('stock').status()).events).toBe(3)
})

test('a store whose MANIFEST is damaged is made anew from its tables and logs, and is open', async () => {
  const { node } = await restartAfter(damageManifest)
  expect([node.databases(), node.unopened()]).toEqual([['stock', 'yard'], []])
  expect((await node.database('stock').status()).events).toBe(1)
  const { warnings } = await node.status()
  expect(warnings).toEqual([expect.stringMatching(/^stock was found damaged at .*1 of 1 events/)])
  // It is not told as one that was put back from an older copy, and goes on in a log of its own.
  await node.database('stock').append({ data: 2 })
  expect((await node.database('stock').status()).logs.map(({ own, held }) => [own, held])).toEqual([
    [false, 1],
    [true, 1]
  ])
})

/** A node with two databases, of which one is changed while it is down. */
async function restartAfter(change: (folder: string) => Promise<unknown>): Promise<{
  readonly node: Laterbase
  readonly folder: string
  readonly lines: string[]
}> {
  const first = await startNode()
  for (const name of ['stock', 'yard']) {
    const { database } = await first.createDatabase(name)
    await database.append({ data: 1 })
  }
  await first.close()
  const folder = join(first.dir, 'databases', 'stock')
  await change(folder)
  const lines: string[] = []
  const log = (_level: string, message: string): unknown => lines.push(message)
  return { node: await startNode({ dir: first.dir, log }), folder, lines }
}

async function damageManifest(folder: string): Promise<void> {
  const name = (await readdir(folder)).find((each) => each.startsWith('MANIFEST')) ?? ''
  const bytes = await readFile(join(folder, name))
  await writeFile(join(folder, name), Buffer.from(bytes.map((byte) => byte ^ 0x55)))
}
