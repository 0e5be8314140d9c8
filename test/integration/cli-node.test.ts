/** The life of a node as a process: made, invited, started, stopped, killed, started again. */

import { execFile } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { promisify } from 'node:util'

import { assert, beforeAll, test, vi } from 'vitest'

import { Terminal } from '../../src/cli/terminal.ts'
import { welcome } from '../../src/cli/welcome.ts'
import type { NodeStatus } from '../../src/node/laterbase.ts'
import { buildCli } from '../fixtures/build.ts'
import { jsonLines, runCli, scratch, startNode } from '../fixtures/cli.ts'

/** Building may take a minute on a cold and busy machine, ms. */
const BUILD_MS_MAX = 180_000

beforeAll(async () => {
  await buildCli()
}, BUILD_MS_MAX)

test('an invitation of one directory makes another of the same network', async () => {
  await using folder = await scratch()
  const [first, second] = [join(folder.path, 'a'), join(folder.path, 'b')]
  const made = await runCli(['init', '--dir', first, '--json'])
  assert.deepEqual(jsonLines(made), [{ dir: first, created: true }])
  const again = await runCli(['init', '--dir', first, '--json'])
  assert.deepEqual(jsonLines(again), [{ dir: first, created: false }])

  const invitation = (await runCli(['invite', '--dir', first])).stdout
  assert.match(invitation, /^laterbase1_[\w-]+\n$/)
  const joined = await runCli(['join', '-', '--dir', second, '--json'], { input: invitation })
  assert.deepEqual(jsonLines(joined), [{ dir: second, created: true }])
  assert.equal((await runCli(['invite', '--dir', second])).stdout, invitation)
})

test('a directory of another network is not joined, and none is invited to without a node', async () => {
  await using folder = await scratch()
  const dir = join(folder.path, 'a')
  const none = await runCli(['invite', '--dir', dir])
  assert.equal(none.code, 1)
  assert.match(none.stderr, /^laterbase: there is no node in .*laterbase init.* \(no-node\)\n$/)

  await runCli(['init', '--dir', dir])
  await runCli(['init', '--dir', join(folder.path, 'b')])
  const other = (await runCli(['invite', '--dir', join(folder.path, 'b')])).stdout.trim()
  const refused = await runCli(['join', other, '--dir', dir])
  assert.equal(refused.code, 2)
  assert.match(refused.stderr, /another network.*\(LATERBASE_INVITATION_INVALID\)/)
})

test('the first line of a started node says where it answers, and it answers there', async () => {
  await using folder = await scratch()
  await using node = await startNode(join(folder.path, 'a'))
  const { event, peerId, http, addresses, dir } = node.ready
  assert.equal(event, 'ready')
  assert.equal(dir, join(folder.path, 'a'))
  assert.isTrue(addresses.every((address) => address.endsWith(`/p2p/${peerId}`)))
  const up = (await (await fetch(`${http}/_up`)).json()) as { peer: string }
  assert.equal(up.peer, peerId)
})

test('init and join say of a node that runs that it is there already, and change nothing', async () => {
  await using folder = await scratch()
  const dir = join(folder.path, 'a')
  await using node = await startNode(dir)
  const { invitation } = jsonLines<{ invitation: string }>(
    await runCli(['invite', '--dir', dir, '--json'])
  )[0] ?? { invitation: '' }
  for (const args of [['init'], ['join', invitation]]) {
    const said = await runCli([...args, '--dir', dir])
    assert.deepEqual([said.code, /nothing was changed/.test(said.stdout)], [0, true], said.stderr)
  }
  assert.equal(await node.end('SIGTERM'), 0)
})

test('SIGTERM and SIGINT stop a node with exit code 0', async () => {
  await using folder = await scratch()
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    await using node = await startNode(join(folder.path, 'a'))
    assert.equal(await node.end(signal), 0)
  }
})

test('what was acknowledged is there after kill -9', async () => {
  await using folder = await scratch()
  const dir = join(folder.path, 'a')
  const keys: string[] = []
  {
    await using node = await startNode(dir)
    const events = Array.from({ length: 50 }, (_each, at) => ({ data: { at } }))
    await runCli(['append', 'depot', '--url', node.url], { input: JSON.stringify(events) })
    const feed = await runCli(['feed', 'depot', '--url', node.url])
    for (const { key } of jsonLines<{ key: string }>(feed)) keys.push(key)
    assert.lengthOf(keys, 50)
    assert.equal(await node.end('SIGKILL'), 'SIGKILL')
  }
  await using node = await startNode(dir)
  const read = await runCli(['get', 'depot', ...keys, '--json', '--url', node.url])
  assert.equal(read.code, 0)
  assert.deepEqual(
    jsonLines<{ key: string }>(read).map(({ key }) => key),
    keys
  )
})

test('a port that is in use, and a directory that is, are named with the way out', async () => {
  await using folder = await scratch()
  const holder = createServer().listen(0, '127.0.0.1')
  await new Promise((resolve) => {
    holder.once('listening', resolve)
  })
  const { port } = holder.address() as AddressInfo
  try {
    const dir = join(folder.path, 'a')
    const args = ['--dir', dir, '--no-mdns', '--listen', '/ip4/127.0.0.1/tcp/0']
    const refused = await runCli(['start', ...args, '--http', `127.0.0.1:${port}`])
    assert.equal(refused.code, 1)
    assert.match(refused.stderr, /in use by another program: choose another with --http/)

    await using node = await startNode(dir)
    assert.isNotEmpty(node.url)
    const locked = await runCli(['start', ...args, '--no-http'])
    assert.equal(locked.code, 1)
    assert.match(locked.stderr, /in use.*\(LATERBASE_STORE_LOCKED\)\n$/)
  } finally {
    holder.close()
  }
})

test('two nodes of one network become equal; digest --with says so, and says when not', async () => {
  await using folder = await scratch()
  const [first, second] = [join(folder.path, 'a'), join(folder.path, 'b')]
  await runCli(['init', '--dir', first])
  const keyFile = join(folder.path, 'key')
  await writeFile(keyFile, (await runCli(['invite', '--dir', first])).stdout)
  await using a = await startNode(first)
  await using b = await startNode(second, ['--network-key-file', keyFile])
  for (const [node, data] of [
    [a, '{"data":"a"}'],
    [b, '{"data":"b"}']
  ] as const) {
    await runCli(['append', 'depot', '--url', node.url], { input: data })
  }
  const compare = ['digest', 'depot', '--url', a.url, '--with', b.url]
  const before = await runCli([...compare, '--json'])
  assert.equal(before.code, 3)
  assert.equal(jsonLines<{ equal: boolean }>(before)[0]?.equal, false)
  assert.match(before.stderr, /"code":"digest-unequal"/)

  assert.equal(await b.end('SIGTERM'), 0)
  const peer = a.ready.addresses[0] ?? ''
  await using back = await startNode(second, ['--peer', peer])
  const after = ['digest', 'depot', '--url', a.url, '--with', back.url]
  await vi.waitFor(
    async () => {
      assert.equal((await runCli(after)).code, 0)
    },
    { timeout: 30_000, interval: 200 }
  )
  const status = await runCli(['status', '--url', a.url])
  assert.include(status.stdout, back.ready.peerId)
})

test('the curl lines that a node prints for a person work when pasted', async () => {
  await using folder = await scratch()
  await using node = await startNode(join(folder.path, 'a'))
  const status = (await (await fetch(`${node.url}/_status`)).json()) as NodeStatus
  const place = { status, url: node.url, host: '127.0.0.1', command: 'laterbase' }
  const lines = welcome(place, new Terminal(false))
  const curls = lines.filter((line) => line.trimStart().startsWith('curl '))
  const answers: string[] = []
  for (const curl of curls) {
    const { stdout } = await promisify(execFile)('sh', ['-c', curl])
    answers.push(stdout)
  }
  assert.match(answers[0] ?? '', /"status":"created"/)
  assert.match(answers[1] ?? '', /"sscc":"340123450000000017"/)
})
