/** `laterbase renew-identity`: another identity, the same events, and never under a running node. */

import { readFile, readdir } from 'node:fs/promises'
import { join } from 'node:path'

import { assert, beforeAll, test } from 'vitest'

import { buildCli } from '../fixtures/build.ts'
import { jsonLines, runCli, scratch, startNode } from '../fixtures/cli.ts'

interface Status {
  readonly peerId: string
  readonly databases: readonly {
    readonly events: number
    readonly logs: readonly { readonly log: string; readonly own: boolean }[]
  }[]
}

beforeAll(async () => {
  await buildCli()
}, 180_000)

async function status(url: string): Promise<Status> {
  return (await fetch(`${url}/_status`)).json() as Promise<Status>
}

async function append(url: string): Promise<void> {
  await fetch(`${url}/db/stock`, { method: 'PUT' })
  const headers = { 'content-type': 'application/json' }
  const body = JSON.stringify({ data: { qty: 1 } })
  assert.equal((await fetch(`${url}/db/stock/e`, { method: 'POST', headers, body })).status, 201)
}

test('a renewed box has another identity and writes to another log, and its events stay', async () => {
  await using dir = await scratch()
  const oldIdentity = async (): Promise<string> => readFile(join(dir.path, 'identity.json'), 'utf8')
  let before: Status
  {
    await using node = await startNode(dir.path)
    await append(node.url)
    before = await status(node.url)
    const refused = await runCli(['renew-identity', '--json', '--dir', dir.path])
    assert.equal(refused.code, 1)
    assert.include(refused.stderr, 'LATERBASE_STORE_LOCKED')
    await node.end('SIGTERM')
  }
  const identity = await oldIdentity()
  const renewed = await runCli(['renew-identity', '--json', '--dir', dir.path])
  assert.equal(renewed.code, 0)
  const [said] = jsonLines<{ before: string; peerId: string; kept: string }>(renewed)
  assert.equal(said?.before, before.peerId)
  assert.equal(await readFile(said?.kept ?? '', 'utf8'), identity)
  assert.notEqual(await oldIdentity(), identity)

  await using node = await startNode(dir.path)
  await append(node.url)
  const after = await status(node.url)
  assert.equal(after.peerId, said?.peerId)
  assert.notEqual(after.peerId, before.peerId)
  assert.equal(after.databases[0]?.events, 2)
  const [logs, logsBefore] = [after, before].map((each) => each.databases[0]?.logs ?? [])
  assert.deepEqual(
    logs?.filter(({ own }) => !own).map(({ log }) => log),
    logsBefore?.map(({ log }) => log)
  )
  assert.equal(logs?.filter(({ own }) => own).length, 1)
})

test('a directory without a node has no identity to renew, and gets none', async () => {
  await using dir = await scratch()
  const { code, stderr } = await runCli(['renew-identity', '--json', '--dir', dir.path])
  assert.equal(code, 1)
  assert.include(stderr, 'no-node')
  assert.deepEqual(await readdir(dir.path), [])
})
