/** A node on a disk that is really full, again and again. Skipped where no disk can be mounted. */

import { assert, test } from 'vitest'

import type { Laterbase } from '../../src/index.ts'
import { runCli, scratch, startNode } from '../fixtures/cli.ts'
import type { RunningNode } from '../fixtures/cli.ts'
import { ask, post } from '../fixtures/http-server.ts'
import { startNode as startHere, until } from '../fixtures/nodes.ts'
import { mountSmallDisk, noSmallDisk } from '../fixtures/small-disk.ts'
import type { SmallDisk } from '../fixtures/small-disk.ts'

/** Small, because all of it is memory. */
const DISK_BYTES = 16 * 1_048_576
/** A sixteenth of that is kept free. */
const RESERVE_BYTES = DISK_BYTES / 16
/** How often the disk is filled under a node that measured it just before. */
const TRIES_MAX = 100
/** With the building of the program, ms. */
const TEST_MS_MAX = 180_000

const reason = noSmallDisk()
if (reason !== undefined && process.env['CI'] !== undefined) throw new Error(reason)
if (reason !== undefined) console.warn(`SKIPPED, the disk is not filled: ${reason}`)

test.skipIf(reason !== undefined)(
  'below the reserve writes are refused, all else goes on, and they are taken again with the room',
  async () => {
    await using folder = await scratch()
    await using disk = await mountSmallDisk(folder.path, DISK_BYTES)
    await using node = await startNode(disk.path, [], disk)
    await ask(`${node.url}/db/depot`, { method: 'PUT' })
    const keys = [await append(node), await append(node)]
    const other = await startPeer(node, disk)

    await disk.fill(RESERVE_BYTES / 2)
    await until(async () => (await write(node)).status === 507)
    const refused = await write(node)
    assert.equal(refused.json().code, 'disk-full')
    assert.isBelow(refused.json().free_bytes, refused.json().reserve_bytes)
    assert.isAbove(Number(refused.headers['retry-after']), 0)
    assert.match((await warnings(node)).join(), /^The disk is full: 0\.5 MB left, 1\.0 MB are kept/)
    await readAll(node, keys)
    const fed = (await ask(`${node.url}/db/depot/e?lc=0`)).json().results
    assert.sameMembers(
      fed.map(({ key }: { key: string }) => key),
      keys
    )
    // Replication out goes on, in does not, and nobody is cut off.
    await other.connect(node.ready.addresses[0] ?? '')
    await until(() => other.databases().includes('depot'))
    await until(async () => (await other.database('depot').status()).events === keys.length)
    await other.database('depot').append({ data: 'from elsewhere' })
    await other.database('depot').sync()
    assert.lengthOf(other.peers(), 1)
    assert.equal((await ask(`${node.url}/db/depot`)).json().events, keys.length)

    await disk.free()
    await until(async () => (await write(node)).status === 201)
    assert.deepEqual(await warnings(node), [])
    await until(async () => {
      const digest = (await ask(`${node.url}/db/depot`)).json().digest
      return digest === other.database('depot').digest()
    })
    assert.lengthOf(other.peers(), 1)
  },
  TEST_MS_MAX
)

test.skipIf(reason !== undefined)(
  'after writes that met a disk without a byte left all that was acknowledged outlives a kill',
  async () => {
    await using folder = await scratch()
    await using disk = await mountSmallDisk(folder.path, DISK_BYTES)
    const keys: string[] = []
    {
      await using node = await startNode(disk.path, [], disk)
      await ask(`${node.url}/db/depot`, { method: 'PUT' })
      for (let turn = 0; turn < 3; turn += 1) {
        keys.push(...(await failOnce(node, disk)))
        await readAll(node, keys)
        await disk.free()
        await until(async () => {
          const answer = await write(node)
          if (answer.status === 201) keys.push(answer.json().results[0].key)
          return answer.status === 201
        })
        // What a torn record would hide.
        for (let each = 0; each < 20; each += 1) keys.push(await append(node))
      }
      assert.deepEqual(await warnings(node), [])
      assert.equal(await node.end('SIGKILL'), 'SIGKILL')
    }
    await using node = await startNode(disk.path, [], disk)
    await readAll(node, keys)
    keys.push(await append(node))
    await readAll(node, keys)
  },
  TEST_MS_MAX
)

/** Fills the disk behind the node's back until a write fails; the keys of those that did not. */
async function failOnce(node: RunningNode, disk: SmallDisk): Promise<string[]> {
  const keys: string[] = []
  for (let tries = 0; tries < TRIES_MAX; tries += 1) {
    await until(async () => {
      const answer = await write(node)
      if (answer.status === 201) keys.push(answer.json().results[0].key)
      return answer.status === 201
    })
    await disk.fill(0)
    const answer = await write(node)
    if (answer.status === 503) {
      assert.equal(answer.json().code, 'store-failed')
      assert.match((await warnings(node)).join(), /Database depot: the disk did not take a write/)
      return keys
    }
    if (answer.status === 201) keys.push(answer.json().results[0].key)
    await disk.free()
  }
  throw new Error(`no write failed in ${TRIES_MAX} tries`)
}

let made = 0

/** Larger than what LevelDB's log has left of a block that it holds already. */
function write(node: RunningNode): ReturnType<typeof post> {
  made += 1
  return post(`${node.url}/db/depot/e`, { data: { made, filling: 'x'.repeat(20_000) } })
}

async function append(node: RunningNode): Promise<string> {
  const answer = await write(node)
  assert.equal(answer.status, 201, answer.text)
  return answer.json().results[0].key
}

async function readAll(node: RunningNode, keys: readonly string[]): Promise<void> {
  const answer = await post(`${node.url}/db/depot/e/_get`, { keys })
  assert.equal(answer.status, 200, answer.text)
  const { results } = answer.json()
  for (const { key, missing } of results) assert.isUndefined(missing, `${key} is gone`)
  assert.lengthOf(results, keys.length)
}

async function warnings(node: RunningNode): Promise<readonly string[]> {
  return (await ask(`${node.url}/_status`)).json().warnings
}

async function startPeer(node: RunningNode, disk: SmallDisk): Promise<Laterbase> {
  const { stdout } = await runCli(['invite', '--dir', node.ready.dir], disk)
  return startHere({ invitation: stdout.trim() })
}
