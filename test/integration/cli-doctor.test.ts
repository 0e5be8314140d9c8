/** `laterbase verify` and `laterbase doctor`, on stopped directories and on a running node. */

import { readFile, readdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

import { assert, beforeAll, test } from 'vitest'

import { buildCli } from '../fixtures/build.ts'
import { jsonLines, runCli, scratch, startNode } from '../fixtures/cli.ts'

beforeAll(async () => {
  await buildCli()
}, 180_000)

test('a directory as it was written is said to be so, stopped or running', async () => {
  await using directory = await scratch()
  await filled(directory.path)
  const stopped = await runCli(['verify', '--dir', directory.path, '--signatures', '--json'])
  assert.deepEqual([stopped.code, jsonLines(stopped)], [0, [{ dir: directory.path, findings: 0 }]])
  const healthy = await runCli(['doctor', '--dir', directory.path])
  assert.deepEqual([healthy.code, healthy.stdout.includes('nothing is wrong')], [0, true])
  await using node = await startNode(directory.path)
  const running = await runCli(['verify', '--url', node.url, '--signatures', '--json'])
  assert.equal(running.code, 0, running.stderr)
  assert.deepEqual(jsonLines(running), [{ db: 'stock', commits: 3, found: 0, healed: 0, open: 0 }])
  const locked = await runCli(['verify', '--dir', directory.path])
  assert.deepEqual([locked.code, /LATERBASE_STORE_LOCKED/.test(locked.stderr)], [1, true])
})

test('a lost CURRENT is named by verify, and repaired by doctor with every event', async () => {
  await using directory = await scratch()
  await filled(directory.path)
  const folder = join(directory.path, 'databases')
  await rm(join(folder, 'stock', 'CURRENT'))
  const verified = await runCli(['verify', '--dir', directory.path])
  assert.deepEqual([verified.code, /^stock: .*CURRENT/m.test(verified.stdout)], [1, true])
  const looked = await runCli(['doctor', '--dir', directory.path])
  assert.equal(looked.code, 1)
  assert.match(looked.stdout, /repair: its files are set aside/)
  const repaired = await runCli(['doctor', '--dir', directory.path, '--repair'])
  assert.equal(repaired.code, 0, repaired.stderr)
  assert.equal((await readdir(folder)).filter((name) => name.includes('.damaged-')).length, 1)
  await using node = await startNode(directory.path)
  const answer = await fetch(`${node.url}/db/stock`)
  assert.equal(((await answer.json()) as { events: number }).events, 3)
})

test('a damaged identity is replaced only when asked for, and the events stay', async () => {
  await using directory = await scratch()
  await filled(directory.path)
  const file = join(directory.path, 'identity.json')
  const before = await readFile(file, 'utf8')
  const damaged = before.replace(/"seed": "./, (match) => {
    return `${match.slice(0, -1)}${match.endsWith('A') ? 'B' : 'A'}`
  })
  await writeFile(file, damaged)
  const refused = await runCli(['start', '--dir', directory.path, '--no-mdns', '--no-http'])
  assert.deepEqual([refused.code, /LATERBASE_IDENTITY_INVALID/.test(refused.stderr)], [1, true])
  assert.equal((await runCli(['doctor', '--dir', directory.path, '--repair'])).code, 1)
  assert.equal(await readFile(file, 'utf8'), damaged)
  const repaired = await runCli(['doctor', '--dir', directory.path, '--repair', '--new-identity'])
  assert.equal(repaired.code, 0, repaired.stderr)
  await using node = await startNode(directory.path)
  const answer = await fetch(`${node.url}/db/stock`)
  assert.equal(((await answer.json()) as { events: number }).events, 3)
})

test('where there is no node, doctor and verify make none', async () => {
  await using directory = await scratch()
  for (const command of ['verify', 'doctor']) {
    const { code, stderr } = await runCli([command, '--dir', directory.path])
    assert.deepEqual([code, /no-node/.test(stderr)], [1, true])
  }
  assert.deepEqual(await readdir(directory.path), [])
})

/** A directory of a node that has ended, with three commits. */
async function filled(dir: string): Promise<void> {
  await using node = await startNode(dir)
  await fetch(`${node.url}/db/stock`, { method: 'PUT' })
  for (const number of [1, 2, 3]) {
    const headers = { 'content-type': 'application/json' }
    const body = JSON.stringify({ data: { number } })
    await fetch(`${node.url}/db/stock/e`, { method: 'POST', headers, body })
  }
  await node.end('SIGTERM')
}
