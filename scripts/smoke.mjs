/**
 * The whole path once, as real processes of whatever Node.js runs this file: two boxes of one
 * network, events written over HTTP on one and read on the other, both killed and started again,
 * still equal, then stopped by SIGTERM. `npm run build` comes first.
 *
 *     node scripts/smoke.mjs
 */

import assert from 'node:assert/strict'
import { execFile, spawn } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const MAIN = fileURLToPath(new URL('../dist/src/cli/main.js', import.meta.url))
const DEADLINE_MS = 60_000

const root = await mkdtemp(join(tmpdir(), 'laterbase-smoke-'))
const running = new Set()
const watchdog = setTimeout(() => fail(new Error(`not done within ${DEADLINE_MS} ms`)), DEADLINE_MS)
process.on('uncaughtException', fail)

const run = promisify(execFile)
const { stdout } = await run(process.execPath, [MAIN, 'init', '--json', '--dir', join(root, 'a')])
assert.ok(stdout.length > 0, 'init says what it made')
const invited = await run(process.execPath, [MAIN, 'invite', '--dir', join(root, 'a')])
const invitation = invited.stdout
  .trim()
  .split(/\s+/)
  .find((word) => word.startsWith('laterbase1_'))
assert.ok(invitation, 'invite prints an invitation')
await run(process.execPath, [MAIN, 'join', invitation, '--dir', join(root, 'b')])

let a = await start('a')
let b = await start('b', '--peer', a.addresses[0])
const written = await write(a, 500)
await untilEqual(a, b)
const more = await write(b, 500)
await untilEqual(a, b)
for (const box of [a, b]) assert.equal((await json(`${box.http}/db/stock`)).events, 1000)

for (const box of [a, b]) await end(box, 'SIGKILL')
a = await start('a')
b = await start('b', '--peer', a.addresses[0])
for (const key of [...written, ...more]) {
  assert.equal((await fetch(`${b.http}/db/stock/e/${key}`)).status, 200, key)
}
await untilEqual(a, b)
for (const box of [a, b]) assert.equal(await end(box, 'SIGTERM'), 0, 'SIGTERM ends a node with 0')
clearTimeout(watchdog)
await rm(root, { recursive: true, force: true })
console.log(`smoke run on Node.js ${process.version}: 1000 events on two boxes, killed, equal`)

async function start(name, ...more) {
  const args = ['start', '--json', '--dir', join(root, name), '--http', '127.0.0.1:0', '--no-mdns']
  const listen = ['--listen', '/ip4/127.0.0.1/tcp/0']
  const child = spawn(process.execPath, [MAIN, ...args, ...listen, ...more], {
    stdio: ['ignore', 'pipe', 'inherit']
  })
  running.add(child)
  child.once('exit', () => running.delete(child))
  for await (const line of createInterface({ input: child.stdout })) {
    const ready = JSON.parse(line)
    if (ready.event === 'ready') return { ...ready, child }
  }
  throw new Error(`${name} ended before it was ready`)
}

async function end(box, signal) {
  const exited = new Promise((resolve) => box.child.once('exit', resolve))
  box.child.kill(signal)
  return exited
}

async function write(box, count) {
  await fetch(`${box.http}/db/stock`, { method: 'PUT' })
  const events = Array.from({ length: count }, (_, index) => ({
    type: 'pallet-moved',
    time: new Date(Date.UTC(2026, 0, 1 + (index % 28), 6, 10, 0, index)).toISOString(),
    data: { sscc: `34012345${String(index).padStart(10, '0')}`, zone: 'A', box: box.peerId }
  }))
  const answer = await fetch(`${box.http}/db/stock/e`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(events)
  })
  assert.equal(answer.status, 201)
  const { results } = await answer.json()
  assert.ok(results.every(({ status }) => status === 'created'))
  return results.map(({ key }) => key)
}

async function untilEqual(...boxes) {
  for (;;) {
    const digests = await Promise.all(boxes.map((box) => digest(box)))
    if (digests[0] !== undefined && digests.every((other) => other === digests[0])) return
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

async function digest(box) {
  const answer = await fetch(`${box.http}/db/stock/_digest`)
  return answer.ok ? (await answer.json()).digest : undefined
}

async function json(url) {
  const answer = await fetch(url)
  assert.equal(answer.status, 200, url)
  return answer.json()
}

function fail(error) {
  console.error(error)
  for (const child of running) child.kill('SIGKILL')
  process.exit(1)
}
