/**
 * Whatever is sent to the HTTP facade: nothing that a client can put into a request is answered with
 * a 5xx, nothing but the data directory is touched, and the node goes on answering.
 */

import { once } from 'node:events'
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { connect as connectHttp2 } from 'node:http2'
import { type Socket, connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { brotliCompressSync, deflateSync, gzipSync } from 'node:zlib'
import { expect, onTestFinished, test } from 'vitest'

import { type Answer, ask, open, post, serveNode } from '../fixtures/http-server.ts'
import { NAUGHTY_STRINGS, TRAVERSALS } from '../fixtures/naughty-strings.ts'

/** Bytes as they are, to the end of the answer; what came until the server hung up. */
async function sendRaw(url: string, bytes: string | Buffer): Promise<string> {
  const socket = await dial(url)
  const chunks: Buffer[] = []
  socket.on('data', (chunk: Buffer) => chunks.push(chunk))
  socket.write(bytes)
  await new Promise<void>((resolve) => socket.once('close', () => resolve()))
  return Buffer.concat(chunks).toString('latin1')
}

async function dial(url: string): Promise<Socket> {
  const { hostname, port } = new URL(url)
  const socket = connect({ host: hostname, port: Number(port), allowHalfOpen: false })
  socket.on('error', () => socket.destroy())
  onTestFinished(() => void socket.destroy())
  await once(socket, 'connect')
  return socket
}

function expectNoFault(answer: Answer, what: string): void {
  expect(answer.status, `${what}: ${answer.text.slice(0, 200)}`).toBeLessThan(500)
  if (answer.status >= 400) expect(answer.headers['content-type']).toBe('application/problem+json')
}

function head(path: string, headers: Readonly<Record<string, string>> = {}): string {
  const all = { Host: 'localhost', Connection: 'close', ...headers }
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`)
  return `${path} HTTP/1.1\r\n${lines.join('')}\r\n`
}

const WRITE = { 'Content-Type': 'application/json' }
const METHODS = ['GET', 'PUT', 'POST', 'DELETE']
const MEMBERS = [
  'key',
  'time',
  'type',
  'subject',
  'source',
  'id',
  'schema',
  'corrects',
  'data_base64'
]

test('naughty strings are taken or refused wherever a request has text, never a fault', async () => {
  await using served = await serveNode()
  const { database } = await served.node.createDatabase('yard')
  const { url } = served
  for (const text of NAUGHTY_STRINGS) {
    const coded = encodeURIComponent(Buffer.from(text).toString())
    const paths = [
      `/${coded}`,
      `/db/${coded}`,
      `/db/yard/${coded}`,
      `/db/yard/e/${coded}`,
      ...['lc', 'keys', 'from', 'to', 'limit', 'feed', 'type', 'source', 'timeout', coded].map(
        (name) => `/db/yard/e?${name}=${coded}`
      )
    ]
    const requests = paths.flatMap((path) => METHODS.map((method) => ({ method, path })))
    // At once, for they are thousands.
    await Promise.all([
      ...requests.map(async ({ method, path }) => {
        expectNoFault(await ask(url + path, { method }), `${method} ${path}`)
      }),
      ...MEMBERS.map(async (name) => {
        const event = { data: 1, [name]: text }
        expectNoFault(await post(`${url}/db/yard/e`, event), `${name} ${text}`)
      })
    ])
    const data = { [text]: text, list: [text] }
    const { status } = await post(`${url}/db/yard/e`, { data })
    expect(status, text).toBe(201)
    const since = (await database.changesPage({ limit: 100_000 })).changes.at(-1)?.event
    expect(since?.data).toEqual(data)
    const accept = { accept: text.replaceAll(/[^\u0020-\u007e]/g, '') }
    expectNoFault(await ask(`${url}/db`, { headers: accept }), `accept ${text}`)
  }
  expect((await ask(`${url}/_up`)).status).toBe(200)
}, 240_000)

test('no spelling of a path reaches a file outside of the data directory', async () => {
  const parent = await mkdtemp(join(tmpdir(), 'laterbase-abuse-'))
  onTestFinished(() => rm(parent, { recursive: true, force: true }))
  await mkdir(join(parent, 'around'))
  const secret = 'nobody outside may read this'
  for (const place of [parent, join(parent, 'around')]) await writeFile(join(place, 'file'), secret)
  const dir = join(parent, 'around', 'data')
  await using served = await serveNode({}, { dir })
  await served.node.createDatabase('yard')
  const before = await readdir(parent, { recursive: true })
  const stores = await readdir(join(dir, 'databases'))
  for (const up of TRAVERSALS) {
    for (const depth of [1, 2, 3, 8]) {
      const target = `${up.repeat(depth)}file`
      const paths = ['', '/db', '/db/yard', '/db/yard/e', '/db/yard/e/_get', '/_up']
      for (const path of paths.map((each) => `${each}/${target}`)) {
        for (const method of ['GET', 'PUT', 'DELETE', 'POST']) {
          const answer = await sendRaw(served.url, head(`${method} ${path}?confirm=${target}`))
          expect(answer, `${method} ${path}`).toMatch(/^HTTP\/1\.1 4\d\d /)
          expect(answer).not.toContain(secret)
        }
      }
    }
  }
  const outside = (names: readonly string[]): string[] =>
    names.filter((name) => !name.startsWith(join('around', 'data'))).sort()
  expect(outside(await readdir(parent, { recursive: true }))).toEqual(outside(before))
  expect(await readdir(join(dir, 'databases'))).toEqual(stores)
}, 120_000)

test('a body that is compressed is refused as it is, so that no bomb is ever opened', async () => {
  await using served = await serveNode()
  const { database } = await served.node.createDatabase('yard')
  const bomb = Buffer.from(`{"data":"${'0'.repeat(32 * 1_048_576)}"}`)
  const codings = { gzip: gzipSync, deflate: deflateSync, br: brotliCompressSync }
  for (const [coding, compress] of Object.entries(codings)) {
    for (const type of ['application/json', 'application/x-ndjson']) {
      const headers = { 'content-encoding': coding, 'content-type': type }
      const answer = await post(`${served.url}/db/yard/e`, compress(bomb), headers)
      expect(answer.status, `${coding} ${type}: ${answer.text}`).toBeGreaterThanOrEqual(400)
      expect(answer.status).toBeLessThan(500)
    }
  }
  const plain = { 'content-encoding': 'identity' }
  expect((await post(`${served.url}/db/yard/e`, { data: 1 }, plain)).status).toBe(201)
  expect((await database.status()).events).toBe(1)
})

test('nesting, chunks and headers without end are refused, and the next request is answered', async () => {
  await using served = await serveNode()
  const { database } = await served.node.createDatabase('yard')
  const url = `${served.url}/db/yard/e`
  for (const depth of [600, 100_000, 2_000_000]) {
    for (const [opening, closing] of [
      ['[', ']'],
      ['{"a":', '}']
    ] as const) {
      const deep = `{"data":${opening.repeat(depth)}1${closing.repeat(depth)}}`
      expectNoFault(await post(url, deep), `${depth} × ${opening}`)
      expectNoFault(await post(url, deep.slice(0, depth)), `${depth} × ${opening}, open`)
    }
  }
  const chunked = head('POST /db/yard/e', { ...WRITE, 'Transfer-Encoding': 'chunked' })
  for (const rest of [
    'zz\r\n{}\r\n0\r\n\r\n',
    '-1\r\n{}\r\n0\r\n\r\n',
    'ffffffffffffffffff\r\n{}\r\n',
    '2\r\n{"data":1}\r\n0\r\n\r\n',
    `2;${'x'.repeat(100_000)}\r\n{}\r\n0\r\n\r\n`,
    '\r\n\r\n0\r\n\r\n'
  ]) {
    expect(await sendRaw(served.url, chunked + rest), rest.slice(0, 40)).toMatch(/^HTTP\/1\.1 4/)
  }
  const many = Object.fromEntries(Array.from({ length: 3_000 }, (_, n) => [`x-${n}`, 'y']))
  expect(await sendRaw(served.url, head('GET /_up', many))).toMatch(/^HTTP\/1\.1 4/)
  const large = head('GET /_up', { 'x-large': 'y'.repeat(1_000_000) })
  expect(await sendRaw(served.url, large)).toMatch(/^HTTP\/1\.1 431/)
  expect((await database.status()).events).toBe(0)
  expect((await ask(`${served.url}/_up`)).status).toBe(200)
}, 120_000)

test('requests in one packet are answered in their order, one of them faulty', async () => {
  await using served = await serveNode()
  await served.node.createDatabase('yard')
  const request = (path: string): string => `GET ${path} HTTP/1.1\r\nHost: localhost\r\n\r\n`
  const paths = Array.from({ length: 200 }, (_, n) => (n % 3 === 0 ? '/nothing' : '/_up'))
  const answer = await sendRaw(served.url, paths.map(request).join('') + head('GET /nothing'))
  const statuses = [...answer.matchAll(/HTTP\/1\.1 (\d+)/g)].map(([, status]) => status)
  const expected = paths.map((path) => (path === '/_up' ? '200' : '404'))
  expect(statuses).toEqual([...expected, '404'])
})

test('a client that speaks HTTP/2, TLS or nothing of the kind is sent away', async () => {
  await using served = await serveNode()
  const session = connectHttp2(served.url)
  onTestFinished(() => session.destroy())
  const ended = new Promise<void>((resolve) => {
    session.on('error', () => resolve())
    session.on('close', () => resolve())
  })
  session.request({ ':path': '/_up' }).on('error', () => undefined)
  await ended
  for (const bytes of [
    'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
    Buffer.from('16030100c8010000c40303', 'hex'),
    'SSH-2.0-x\r\n',
    Buffer.alloc(70_000)
  ]) {
    expect(await sendRaw(served.url, bytes)).toMatch(/^HTTP\/1\.1 4\d\d /)
  }
  expect((await ask(`${served.url}/_up`)).status).toBe(200)
})

function heldBytes(): number {
  const { arrayBuffers, heapUsed } = process.memoryUsage()
  return arrayBuffers + heapUsed
}

test('live feeds that nobody reads hold a bounded part of what is written', async () => {
  await using served = await serveNode()
  const { database } = await served.node.createDatabase('yard')
  const responses = []
  for (let reader = 0; reader < 8; reader += 1) {
    const feed = reader % 2 === 0 ? 'continuous' : 'eventsource'
    const response = await open(`${served.url}/db/yard/e?feed=${feed}`)
    response.pause()
    response.on('error', () => undefined)
    responses.push(response)
  }
  const data = 'x'.repeat(200_000)
  const before = heldBytes()
  for (let count = 0; count < 300; count += 1) await database.append({ data })
  // 8 readers of 60 MB; each may hold a page, and garbage is not collected at once.
  expect(heldBytes() - before).toBeLessThan(200 * 1_048_576)
  expect((await ask(`${served.url}/_up`)).status).toBe(200)
  for (const response of responses) response.destroy()
}, 120_000)

test('five hundred clients that send a byte at a time are answered, and so is everybody else', async () => {
  await using served = await serveNode()
  const { database } = await served.node.createDatabase('yard')
  const slow = await Promise.all(
    Array.from({ length: 500 }, async (_, n) => {
      const body = JSON.stringify({ data: n })
      const length = { 'Content-Length': String(body.length) }
      const text = head('POST /db/yard/e', { ...WRITE, ...length }) + body
      const socket = await dial(served.url)
      const answer = once(socket, 'data').then(([chunk]) => String(chunk))
      // Half stand in the middle of their headers, half in their body.
      const cut = n % 2 === 0 ? 40 : text.length - 5
      socket.write(text.slice(0, cut))
      return { socket, answer, rest: text.slice(cut) }
    })
  )
  for (let at = 0; slow.some(({ rest }) => at < rest.length); at += 1) {
    for (const { socket, rest } of slow) if (at < rest.length) socket.write(rest.charAt(at))
    expect((await ask(`${served.url}/_up`)).status).toBe(200)
  }
  for (const { answer } of slow) expect(await answer).toMatch(/^HTTP\/1\.1 201 /)
  expect((await database.status()).events).toBe(500)
}, 120_000)

test('what is no chunk ends a stream whose answer has begun, and is not answered within it', async () => {
  await using served = await serveNode()
  await served.node.createDatabase('yard')
  const socket = await dial(served.url)
  const chunks: Buffer[] = []
  socket.on('data', (chunk: Buffer) => chunks.push(chunk))
  const answered = once(socket, 'data')
  const line = '{"data":1}\n'
  const headers = { 'Content-Type': 'application/x-ndjson', 'Transfer-Encoding': 'chunked' }
  socket.write(`${head('POST /db/yard/e', headers)}${line.length.toString(16)}\r\n${line}\r\n`)
  await answered
  const closed = once(socket, 'close')
  socket.write('no size\r\n')
  await closed
  const came = Buffer.concat(chunks).toString('latin1')
  expect(came.match(/HTTP\/1\.1 \d+/g)).toEqual(['HTTP/1.1 200'])
  // Without its last chunk a client knows that the answer is not whole.
  expect(came).not.toMatch(/\r\n0\r\n\r\n$/)
  // Where none has begun there is one.
  expect(await sendRaw(served.url, 'no request\r\n\r\n')).toMatch(/^HTTP\/1\.1 400 /)
})
