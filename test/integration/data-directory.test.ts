/** What a start finds in a data directory that is not as the last one left it. */

import { readdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { assert, test } from 'vitest'

import { createLaterbase } from '../../src/index.ts'
import type { Laterbase } from '../../src/index.ts'
import { systemClock } from '../../src/node/system.ts'
import { openNodeStore } from '../../src/store/node-store.ts'
import { allEvents, temporaryDirectory } from '../fixtures/nodes.ts'

function start(dir: string): Promise<Laterbase> {
  return createLaterbase({ dir, mdns: false, listen: ['/ip4/127.0.0.1/tcp/0'] })
}

test('creating a database takes up the store of one that is missing in the list', async () => {
  const dir = await temporaryDirectory()
  {
    await using node = await start(dir)
    const { database } = await node.createDatabase('depot')
    await database.append({ data: 'kept' })
  }
  const list = await openNodeStore(join(dir, 'node'), false, { clock: systemClock })
  await list.put('databases', {})
  await list.close()

  await using node = await start(dir)
  const { database } = await node.createDatabase('depot')
  assert.lengthOf(await allEvents(database), 1)
})

test('a node store that was cut off while it was made is made anew', async () => {
  const dir = await temporaryDirectory()
  await (await start(dir)).close()
  await rm(join(dir, 'stores.json'))
  const folder = join(dir, 'node')
  for (const name of await readdir(folder)) {
    if (name.startsWith('MANIFEST')) await writeFile(join(folder, name), '')
  }
  await using node = await start(dir)
  assert.deepEqual(node.databases(), [])
})

test('a node store with anything in it is set aside, and what is in it taken over', async () => {
  const dir = await temporaryDirectory()
  {
    await using node = await start(dir)
    await node.createDatabase('depot')
  }
  await rm(join(dir, 'stores.json'))
  const folder = join(dir, 'node')
  const before = await readdir(folder)
  for (const name of before) {
    if (name.startsWith('MANIFEST')) await writeFile(join(folder, name), '')
  }
  await using node = await start(dir)
  assert.deepEqual(node.databases(), ['depot'])
  const kept = (await readdir(dir)).find((name) => name.startsWith('node.damaged-')) ?? ''
  const after = await readdir(join(dir, kept))
  assert.includeMembers(after.filter(isContent), before.filter(isContent))
})

/** Not LevelDB's own report of what it did. */
function isContent(name: string): boolean {
  return !name.startsWith('LOG')
}
