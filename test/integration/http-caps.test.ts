/** What one client can make the HTTP facade hold or wait for: each cap, made small, and gone beyond. */

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { request as httpRequest } from 'node:http'
import { type Socket, connect } from 'node:net'

import { onTestFinished, test } from 'vitest'

import {
  type HttpLimits,
  INSTANCE_CHARS_MAX,
  NAME_CHARS_MAX,
  RANGES_MAX
} from '../../src/http/limits.ts'
import { createHttpServer } from '../../src/http/server.ts'
import type { Database, Laterbase } from '../../src/index.ts'
import { NodeDatabase } from '../../src/node/database.ts'
import { incessantly } from '../../scripts/hostile/members.ts'
import { inventedCommit } from '../fixtures/hostile.ts'
import { ask, lineStream, open, post, serveNode, type ServedNode } from '../fixtures/http-server.ts'
import { until } from '../fixtures/nodes.ts'

const NDJSON = { 'content-type': 'application/x-ndjson' }

async function serveYard(
  limits: Partial<HttpLimits>
): Promise<ServedNode & { readonly events: string }> {
  const served = await serveNode({ limits })
  await served.node.createDatabase('yard')
  return { ...served, events: `${served.url}/db/yard/e` }
}

/** A connection, and what comes on it until it ends. */
async function dial(url: string): Promise<{ socket: Socket; answer: Promise<string> }> {
  const { hostname, port } = new URL(url)
  const socket = connect(Number(port), hostname)
  onTestFinished(() => void socket.destroy())
  let text = ''
  socket.setEncoding('latin1')
  socket.on('data', (chunk) => (text += String(chunk)))
  // A reset is an end too.
  socket.on('error', () => undefined)
  const answer = new Promise<string>((resolve) => socket.on('close', () => resolve(text)))
  await once(socket, 'connect')
  return { socket, answer }
}

const UP = 'GET /_up HTTP/1.1\r\nHost: localhost\r\n\r\n'

test('a connection above their number is closed unheard, and taken once another has left', async () => {
  await using served = await serveNode({ limits: { connectionsMax: 2 } })
  const first = await dial(served.url)
  const second = await dial(served.url)
  for (const { socket } of [first, second]) {
    socket.write(UP)
    await once(socket, 'data')
  }
  const third = await dial(served.url)
  third.socket.write(UP)
  assert.equal(await third.answer, '')
  first.socket.destroy()
  await until(async () => {
    const next = await dial(served.url)
    next.socket.write(UP.replace('\r\n\r\n', '\r\nConnection: close\r\n\r\n'))
    return (await next.answer).startsWith('HTTP/1.1 200 ')
  })
})

test('a connection that is kept for a next request is closed when none comes', async () => {
  await using served = await serveNode({ limits: { keepAliveMsMax: 50 } })
  const { socket, answer } = await dial(served.url)
  socket.write(UP)
  assert.match(await answer, /^HTTP\/1\.1 200 /)
})

test('what goes on to be sent after its refusal is dropped for a while, and then cut', async () => {
  await using served = await serveNode({ limits: { discardMsMax: 50 } })
  const { socket, answer } = await dial(served.url)
  socket.write('POST /nowhere HTTP/1.1\r\nHost: localhost\r\nContent-Length: 999999999\r\n\r\n')
  const sending = incessantly(() => void socket.write('x'))
  assert.match(await answer, /^HTTP\/1\.1 404 /)
  await sending.stop()
})

/** A database whose first page no system buffer holds. */
async function fillYard(served: ServedNode): Promise<string> {
  const { database } = await served.node.createDatabase('yard')
  for (let commit = 0; commit < 4; commit += 1) {
    await database.append(Array.from({ length: 15 }, () => ({ data: 'x'.repeat(250_000) })))
  }
  return `${served.url}/db/yard/e?lc=0`
}

test('pages that are being sent may weigh so much together, and a further reader comes back', async () => {
  await using served = await serveNode({
    limits: { pagesBytesMax: 24 * 1_048_576, pageBytesMax: 64 * 1_048_576 }
  })
  const page = await fillYard(served)
  const slow = await open(page)
  const refused = await ask(page)
  assert.equal(refused.status, 503)
  assert.equal(refused.json().code, 'busy')
  assert.ok(Number(refused.headers['retry-after']) > 0)
  slow.destroy()
  await until(async () => (await ask(page)).status === 200)
})

test('an answer that nobody reads is cut off, and what it held is free again', async () => {
  // Beside that page there is no room for one event of it.
  await using served = await serveNode({
    limits: {
      connectionIdleMsMax: 5_000,
      pagesBytesMax: 15_200_000,
      pageBytesMax: 64 * 1_048_576
    }
  })
  const page = await fillYard(served)
  const slow = await open(page)
  const knock = async (): Promise<number> => (await ask(`${page}&limit=1`)).status
  assert.equal(await knock(), 503)
  await until(async () => (await knock()) === 200)
  await assert.rejects(async () => {
    for await (const _ of slow) continue
  }, /aborted/)
})

test('a commit of a stream ends at its bytes, but for its last line', async () => {
  await using served = await serveYard({ groupBytesMax: 25 })
  const answer = await post(served.events, '{"data":1}\n'.repeat(10), NDJSON)
  const groups = answer.text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line).results?.length)
  assert.deepEqual(groups, [3, 3, 3, 1, undefined])
})

test('a client that sends and never reads has so many bytes of answer kept, and is cut off', async () => {
  await using served = await serveYard({
    answerBytesMax: 1_048_576,
    stallMsMax: 200,
    streamsMax: 1
  })
  // Each of these two bytes is answered by a problem of hundreds: far more than the system buffers.
  const lines = 100_000
  const request = httpRequest(`${served.events}?on_error=proceed`, {
    method: 'POST',
    headers: NDJSON,
    agent: false
  })
  request.on('error', () => undefined)
  request.end('7\n'.repeat(lines))
  const [response] = await once(request, 'response')
  await until(async () => (await post(served.events, '{"data":1}\n', NDJSON)).status === 200)
  await using answer = lineStream(response)
  let heard = 0
  await assert.rejects(async () => {
    while ((await answer.line()) !== undefined) heard += 1
  }, /aborted/)
  assert.ok(heard < lines)
})

test('a page of a range ends after so many events, though none of them passes its filter', async () => {
  await using served = await serveYard({ rangeScanMax: 7 })
  await served.node
    .database('yard')
    .append(Array.from({ length: 20 }, (_, n) => ({ data: n, type: n === 0 ? 'rare' : 'common' })))
  let [query, pages, found] = ['from=1999-01-01T00:00:00Z', 0, 0]
  while (query !== '') {
    const page = (await ask(`${served.events}?${query}&type=rare`)).json()
    pages += 1
    found += page.results.length
    query = page.next === undefined ? '' : `from=${page.next}`
  }
  assert.deepEqual([pages, found], [3, 1])
})

test('conflicting keys are listed up to their number, and that there are more is said', async () => {
  await using served = await serveYard({ conflictsMax: 2 })
  const yard = served.node.database('yard')
  assert.ok(yard instanceof NodeDatabase)
  for (let number = 0; number < 3; number += 1) {
    const commit = inventedCommit({ seed: 7, nonce: number, data: 'one' })
    await yard.merge([commit])
    const { key } = commit.events[0] ?? assert.fail('an event')
    await yard.merge([inventedCommit({ seed: 8, nonce: number, data: 'other', key })])
  }
  const { conflicts, more } = (await ask(`${served.url}/db/yard/_conflicts`)).json()
  assert.deepEqual([conflicts.length, more], [2, true])
  const refused = await ask(`${served.url}/db/yard/_conflicts?limit=3`)
  assert.equal(refused.json().code, 'parameter-invalid')
})

test('a sync that takes too long is answered, and the client comes back', async () => {
  let ended = 0
  const database = {
    name: 'yard',
    sync: ({ signal }: { readonly signal: AbortSignal }) =>
      new Promise<void>((_, reject) => {
        signal.addEventListener('abort', () => ((ended += 1), reject(signal.reason)))
      })
  }
  const node = { name: 'x', peerId: 'x', database: () => database as unknown as Database }
  await using server = await createHttpServer(node as unknown as Laterbase, {
    port: 0,
    limits: { syncMsMax: 50 }
  })
  const answer = await ask(`${server.url}/db/yard/_sync`, { method: 'POST' })
  assert.equal(answer.status, 503)
  assert.equal(answer.json().code, 'sync-timeout')
  assert.ok(Number(answer.headers['retry-after']) > 0)
  assert.equal(ended, 1)
})

test('what a problem repeats of a request is its beginning, and no more', async () => {
  await using served = await serveNode()
  const long = 'a'.repeat(1_000)
  const misspelt = (await ask(`${served.url}/db?${long}=1`)).json()
  assert.equal(misspelt.parameter, 'a'.repeat(NAME_CHARS_MAX))
  const nowhere = (await ask(`${served.url}/${long}`)).json()
  assert.equal(nowhere.instance, `/${long}`.slice(0, INSTANCE_CHARS_MAX))
})

test('of an Accept header without end the first media ranges are looked at', async () => {
  await using served = await serveNode()
  const status = async (before: number): Promise<number> => {
    const accept = `${'image/png, '.repeat(before)}application/json`
    return (await ask(`${served.url}/db`, { headers: { accept } })).status
  }
  assert.equal(await status(RANGES_MAX - 1), 200)
  assert.equal(await status(RANGES_MAX), 406)
})
