/**
 * A disk that never answers a write: writers are told, the status and the metrics say so, reads go on,
 * and the node can be stopped.
 */

import { mkdir, realpath } from 'node:fs/promises'
import { join } from 'node:path'

import { assert, beforeAll, describe, test } from 'vitest'

import { buildCli } from '../fixtures/build.ts'
import { scratch, startNode } from '../fixtures/cli.ts'
import type { RunningNode } from '../fixtures/cli.ts'
import { ask, post } from '../fixtures/http-server.ts'
import type { Answer } from '../fixtures/http-server.ts'
import { buildShim, shimEnvironment } from './disk-shim.ts'

const shim = await buildShim()
/** More writes than there are calls before the one that hangs. */
const WRITES_MAX = 30

describe.skipIf(shim === undefined)('a write that the disk never answers', () => {
  beforeAll(async () => {
    await buildCli()
  }, 180_000)

  test('is given up, named with what to do, and takes nothing that was acknowledged with it', async () => {
    await using disk = await diskThatHangs('depot/000003.log')
    const keys: string[] = []
    {
      await using node = await startNode(disk.dir, [], disk)
      await ask(`${node.url}/db/depot`, { method: 'PUT' })
      const write = (id: number): Promise<Answer> =>
        post(`${node.url}/db/depot/e`, { source: 'test', id: String(id), time: TIME, data: id })
      const { done, refused } = await untilRefused(write)
      keys.push(...done.map((answer) => answer.json().results[0].key))
      assert.match(refused.json().detail, /may be there all the same: send it again/)
      // Whoever comes now is told at once, and reads are answered.
      assert.equal((await write(100)).status, 503)
      for (const key of keys) {
        assert.equal((await ask(`${node.url}/db/depot/e/${key}`)).status, 200)
      }
      const { warnings } = (await ask(`${node.url}/_status`)).json()
      assert.match(warnings.join(), /Database depot: the disk has not answered a write for \d+ s/)
      const metrics = (await ask(`${node.url}/metrics`)).text
      const seconds = /^laterbase_write_unanswered_seconds\{database="depot"\} (\S+)$/m.exec(
        metrics
      )
      assert.isAbove(Number(seconds?.[1]), 1)
      assert.match(await stopped(node), /"waitingFor":"database depot"/)
    }
    await using again = await startNode(disk.dir)
    for (const key of keys) {
      assert.equal((await ask(`${again.url}/db/depot/e/${key}`)).status, 200)
    }
  }, 180_000)

  test('of the list of databases stops nothing but changes of it, and not a stop of the node', async () => {
    await using disk = await diskThatHangs('node/000003.log')
    const made: string[] = []
    let key = ''
    {
      await using node = await startNode(disk.dir, [], disk)
      const make = (name: string): Promise<Answer> =>
        ask(`${node.url}/db/${name}`, { method: 'PUT' })
      const { done } = await untilRefused((id) => make(`d${id}`))
      made.push(...done.map((_answer, id) => `d${id}`))
      // Whoever comes now is told at once, and the databases that there are take events.
      assert.equal((await make('other')).status, 503)
      assert.equal((await ask(`${node.url}/db/d0?confirm=d0`, { method: 'DELETE' })).status, 503)
      const event = { source: 'test', id: '1', time: TIME, data: 1 }
      const stored = await post(`${node.url}/db/d0/e`, event)
      assert.equal(stored.status, 201)
      key = stored.json().results[0].key
      const { warnings } = (await ask(`${node.url}/_status`)).json()
      assert.match(warnings.join(), /store of the node itself: the disk has not answered a write/)
      assert.match(await stopped(node), /"waitingFor":"the store of the node itself"/)
    }
    await using again = await startNode(disk.dir)
    assert.includeMembers((await ask(`${again.url}/db`)).json().databases, made)
    assert.equal((await ask(`${again.url}/db/d0/e/${key}`)).status, 200)
  }, 180_000)
})

interface HangingDisk extends AsyncDisposable {
  readonly dir: string
  /** Of the process that is to have this disk. */
  readonly env: Readonly<Record<string, string>>
}

/** A disk that does not answer one of the first writes to a file, whose path ends so. */
async function diskThatHangs(only: string): Promise<HangingDisk> {
  const folder = await scratch()
  const at = (name: string): string => join(folder.path, name)
  const [dir, graves] = [at('data'), at('graves')]
  await Promise.all([dir, graves].map((path) => mkdir(path)))
  const place = { library: String(shim), dir: await realpath(dir), journal: at('journal'), graves }
  const env = shimEnvironment(place, { action: 'hang', at: 12, only })
  return { dir, env, [Symbol.asyncDispose]: () => folder[Symbol.asyncDispose]() }
}

/** Does it again and again until the disk hangs: what was done by then, and how the next is refused. */
async function untilRefused(
  act: (id: number) => Promise<Answer>
): Promise<{ readonly done: readonly Answer[]; readonly refused: Answer }> {
  const done: Answer[] = []
  for (let id = 0; id <= WRITES_MAX; id += 1) {
    const answer = await act(id)
    if (answer.status === 201) {
      done.push(answer)
      continue
    }
    assert.deepEqual([answer.status, answer.json().code], [503, 'store-failed'])
    assert.isAtLeast(done.length, 2)
    return { done, refused: answer }
  }
  throw new Error(`the disk answers ${WRITES_MAX} writes`)
}

/** Ends a node as whoever stops a service does; what it said meanwhile. */
async function stopped(node: RunningNode): Promise<string> {
  let said = ''
  node.child.stderr.on('data', (chunk: Buffer) => (said += chunk.toString()))
  // The signal itself, because a process that waits for its threads would never exit.
  assert.equal(await node.end('SIGTERM'), 'SIGTERM')
  return said
}

const TIME = '2026-01-01T00:00:00Z'
