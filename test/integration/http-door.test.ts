/** The door of the HTTP facade: hosts, origins, methods, malformed requests, faults, closing. */

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect } from 'node:net'

import { test } from 'vitest'

import { createHttpServer } from '../../src/http/server.ts'
import { type Database, type Laterbase, LaterbaseError } from '../../src/index.ts'
import { ask, post, serveNode } from '../fixtures/http-server.ts'

/** Longer than a test takes, ms. */
const LONG_MS = 300_000

/** Sends bytes as they are; resolves with all that comes back until the server hangs up. */
function sendRaw(url: string, text: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const { hostname, port } = new URL(url)
    const socket = connect(Number(port), hostname)
    let answer = ''
    socket.setEncoding('latin1')
    socket.on('data', (chunk) => {
      answer += String(chunk)
    })
    socket.on('error', reject)
    socket.on('close', () => {
      resolve(answer)
    })
    socket.write(text, 'latin1')
  })
}

/** A node whose every operation fails in one way. */
function failingNode(error: unknown): Laterbase {
  const fail = (): never => {
    throw error
  }
  const database = { name: 'yard', status: fail, get: fail, appendJson: fail, changesPage: fail }
  const node = {
    name: 'x',
    peerId: 'x',
    database: () => database as unknown as Database,
    status: fail
  }
  return node as unknown as Laterbase
}

test('a Host that is not ours is refused, and loopback names are taken with any port', async () => {
  await using served = await serveNode({ hosts: ['Depot-7.example'] })
  const status = async (host: string): Promise<number> =>
    (await ask(`${served.url}/_up`, { headers: { host } })).status
  for (const host of [
    'localhost',
    'LOCALHOST:8080',
    '127.0.0.1',
    '[::1]:80',
    'depot-7.example',
    'depot-7.example.:1'
  ]) {
    assert.equal(await status(host), 200, host)
  }
  for (const host of [
    'evil.example',
    'localhost.evil.example',
    '10.0.0.1',
    '127.0.0.1.evil',
    'evil#localhost',
    'a@localhost'
  ]) {
    assert.equal(await status(host), 421, host)
  }
  const refused = await ask(`${served.url}/db`, { headers: { host: 'evil.example' } })
  assert.equal(refused.json().code, 'host-unknown')
  const nameless = await sendRaw(served.url, 'GET /_up HTTP/1.1\r\nConnection: close\r\n\r\n')
  assert.match(nameless, /^HTTP\/1\.1 400 .*application\/problem\+json/s)
})

test('a page of another origin cannot write, with or without a body', async () => {
  await using served = await serveNode()
  const headers = { origin: 'http://evil.example' }
  for (const method of ['PUT', 'POST', 'DELETE']) {
    const refused = await ask(`${served.url}/db/yard?confirm=yard`, { method, headers })
    assert.equal(refused.status, 403, method)
    assert.equal(refused.json().code, 'cross-origin')
  }
  for (const origin of ['null', 'http://localhost:1', 'https://127.0.0.1']) {
    const refused = await ask(`${served.url}/db/yard`, { method: 'POST', headers: { origin } })
    assert.equal(refused.status, 403, origin)
  }
  const crossSite = { 'sec-fetch-site': 'cross-site' }
  const silent = await ask(`${served.url}/db/yard`, { method: 'POST', headers: crossSite })
  assert.equal(silent.status, 403)
  const form = { 'content-type': 'application/x-www-form-urlencoded' }
  const sent = await ask(`${served.url}/db/yard`, { method: 'POST', headers: form, body: 'a=b' })
  assert.equal(sent.status, 415)
  assert.deepEqual(served.node.databases(), [])
  const own = await ask(`${served.url}/db/yard`, {
    method: 'POST',
    headers: { origin: served.url }
  })
  assert.equal(own.status, 201)
})

test('no answer opens itself to other origins, and none may be taken for a script', async () => {
  await using served = await serveNode()
  const headers = { origin: 'http://evil.example', 'access-control-request-method': 'PUT' }
  for (const method of ['GET', 'OPTIONS']) {
    const answer = await ask(`${served.url}/db`, { method, headers })
    assert.equal(answer.headers['access-control-allow-origin'], undefined)
    assert.equal(answer.headers['x-content-type-options'], 'nosniff')
  }
})

test('a method that a resource does not have is 405 with those it has', async () => {
  await using served = await serveNode()
  const allowed: readonly (readonly [path: string, allow: string, methods: string[]])[] = [
    ['/db', 'GET, HEAD, OPTIONS', ['POST', 'PUT', 'DELETE', 'PATCH']],
    ['/db/yard', 'DELETE, GET, HEAD, OPTIONS, POST, PUT', ['PATCH']],
    ['/db/yard/e', 'GET, HEAD, OPTIONS, POST', ['PUT', 'DELETE', 'PATCH']],
    ['/db/yard/e/_get', 'OPTIONS, POST', ['GET', 'PUT', 'HEAD']],
    ['/db/yard/e/x', 'GET, HEAD, OPTIONS', ['POST', 'PUT', 'DELETE']],
    ['/db/yard/_sync', 'OPTIONS, POST', ['GET', 'PUT', 'DELETE']],
    ['/_up', 'GET, HEAD, OPTIONS', ['POST', 'DELETE']]
  ]
  for (const [path, allow, methods] of allowed) {
    for (const method of methods) {
      const refused = await ask(served.url + path, { method })
      assert.equal(refused.status, 405, `${method} ${path}`)
      assert.equal(refused.headers.allow, allow)
      if (method !== 'HEAD') assert.equal(refused.json().code, 'method-not-allowed')
    }
    const options = await ask(served.url + path, { method: 'OPTIONS' })
    assert.equal(options.status, 204)
    assert.equal(options.headers.allow, allow)
  }
})

test('an address where nothing is answers 404, whatever it looks like', async () => {
  await using served = await serveNode()
  const paths = [
    '/',
    '/nothing',
    '/db/',
    '/db/yard/',
    '/db/yard/e/',
    '/db/yard/e/a/b',
    '/DB',
    '/_Up',
    '/_all_dbs',
    '/db/../../etc/passwd',
    '/db/%2e%2e/%2e%2e/etc/passwd',
    '//db',
    '/db//e',
    '/__proto__',
    '/constructor'
  ]
  for (const path of paths) {
    const answer = await sendRaw(
      served.url,
      `GET ${path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`
    )
    assert.match(answer, /^HTTP\/1\.1 40[04] /, path)
    assert.match(answer, /application\/problem\+json/, path)
    assert.ok(!answer.includes('root:'))
  }
  const missing = (await ask(`${served.url}/nothing?secret=1`)).json()
  assert.equal(missing.code, 'route-unknown')
  assert.equal(missing.instance, '/nothing')
})

test('an address that is too long is 414', async () => {
  await using served = await serveNode()
  for (const path of [`/db/${'a'.repeat(9_000)}`, `/db?x=${'a'.repeat(9_000)}`]) {
    const refused = await ask(served.url + path)
    assert.equal(refused.status, 414)
    assert.equal(refused.json().code, 'url-too-long')
  }
})

test('what is not HTTP, or too much of it, is answered with a problem', async () => {
  await using served = await serveNode()
  const huge = `GET /_up HTTP/1.1\r\nHost: localhost\r\nX: ${'a'.repeat(20_000)}\r\n\r\n`
  assert.match(await sendRaw(served.url, huge), /^HTTP\/1\.1 431 .*"headers-too-large"/s)
  for (const text of [
    'nonsense\r\n\r\n',
    'GET /_up HTTP/9.9\r\n\r\n',
    'GET / HTTP/1.1\r\nHo st: x\r\n\r\n'
  ]) {
    assert.match(await sendRaw(served.url, text), /^HTTP\/1\.1 400 .*"malformed-request"/s)
  }
  const smuggled =
    'POST /db/yard/e HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n' +
    'Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n'
  assert.match(await sendRaw(served.url, smuggled), /^HTTP\/1\.1 400 /)
  const badPath = await ask(`${served.url}/db/%zz`)
  assert.equal(badPath.status, 400)
  assert.equal(badPath.json().code, 'malformed-request')
  const expecting = await ask(`${served.url}/_up`, { headers: { expect: 'the unexpected' } })
  assert.equal(expecting.status, 417)
  assert.equal((await ask(`${served.url}/_up`)).status, 200)
})

test('headers and bodies that come too slowly are given up, and the rest goes on', async () => {
  await using served = await serveNode({ limits: { headersMsMax: 100, bodyMsMax: 100 } })
  await served.node.createDatabase('yard')
  const headers = await sendRaw(served.url, 'GET /_up HTTP/1.1\r\nHost: loc')
  assert.match(headers, /^HTTP\/1\.1 408 .*"body-timeout"/s)
  const body = await sendRaw(
    served.url,
    'POST /db/yard/e HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n' +
      'Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{"data":'
  )
  assert.match(body, /^HTTP\/1\.1 408 .*"body-timeout"/s)
  assert.equal((await post(`${served.url}/db/yard/e`, { data: 1 })).status, 201)
})

test('five hundred slow senders keep nobody else waiting, nor the server from closing', async () => {
  // For longer than a test takes nobody is given up: whoever waited for them would wait in vain.
  const limits = { headersMsMax: LONG_MS, bodyMsMax: LONG_MS, connectionIdleMsMax: LONG_MS }
  await using served = await serveNode({ limits })
  const { database } = await served.node.createDatabase('yard')
  const { hostname, port } = new URL(served.url)
  const slow = await Promise.all(
    Array.from({ length: 500 }, async (_, n) => {
      const socket = connect(Number(port), hostname)
      await once(socket, 'connect')
      const head =
        'POST /db/yard/e HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n'
      socket.write(n % 2 === 0 ? 'GET /db HT' : `${head}Content-Length: 100\r\n\r\n{"da`)
      return socket
    })
  )
  assert.equal((await ask(`${served.url}/_up`)).status, 200)
  assert.equal((await post(`${served.url}/db/yard/e`, { data: 1 })).status, 201)
  await served.server.close()
  for (const socket of slow) socket.destroy()
  assert.equal((await database.status()).events, 1)
})

test('a body that is cut short is not written', async () => {
  await using served = await serveNode()
  const { database } = await served.node.createDatabase('yard')
  const { hostname, port } = new URL(served.url)
  const socket = connect(Number(port), hostname)
  socket.write(
    'POST /db/yard/e HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n' +
      'Content-Length: 100\r\n\r\n{"data":1}'
  )
  socket.destroySoon()
  await new Promise((resolve) => socket.on('close', resolve))
  assert.equal((await ask(`${served.url}/_up`)).status, 200)
  assert.equal((await database.status()).events, 0)
})

test('a fault of the store is a 5xx that names neither a path nor a line of code', async () => {
  const logged: unknown[] = []
  const faults: readonly (readonly [error: unknown, status: number, code: string])[] = [
    [new LaterbaseError('LATERBASE_STORE_FAILED', '/var/lib/secret/db'), 503, 'store-failed'],
    [new LaterbaseError('LATERBASE_DISK_FULL', '/var/lib/secret/db'), 507, 'disk-full'],
    [new LaterbaseError('LATERBASE_STORE_CORRUPT', '/var/lib/secret/db'), 500, 'store-corrupt'],
    [new LaterbaseError('LATERBASE_CLOSED', '/var/lib/secret/db'), 503, 'closing'],
    [new TypeError('secret of undefined'), 500, 'internal'],
    ['secret', 500, 'internal']
  ]
  for (const [error, status, code] of faults) {
    await using server = await createHttpServer(failingNode(error), {
      port: 0,
      log: (_level, message) => logged.push(message)
    })
    for (const path of ['/db/yard', '/db/yard/e', '/_status', '/db/yard/e?feed=eventsource']) {
      const answer = await ask(server.url + path)
      assert.equal(answer.status, status)
      assert.equal(answer.headers['content-type'], 'application/problem+json')
      assert.equal(answer.json().code, code)
      assert.ok(!answer.text.includes('secret') && !answer.text.includes('.ts'), answer.text)
      if (status === 503 || status === 507) assert.ok(Number(answer.headers['retry-after']) > 0)
    }
  }
  assert.ok(logged.length > 0)
})

test('every problem has the members of RFC 9457 and a code', async () => {
  await using served = await serveNode()
  for (const path of ['/nothing', '/db/nowhere', '/db/Bad', '/db?x=1']) {
    const answer = await ask(served.url + path)
    const problem = answer.json()
    for (const name of ['type', 'title', 'detail', 'instance', 'code']) {
      assert.equal(typeof problem[name], 'string', `${path} ${name}`)
    }
    assert.equal(problem.status, answer.status)
    assert.equal(problem.type, `urn:laterbase:problem:${problem.code}`)
  }
})

test('a server closes twice as well as once, leaves the node open and its port free', async () => {
  await using served = await serveNode()
  await served.node.createDatabase('yard')
  await served.server.close()
  await served.server.close()
  await assert.rejects(ask(`${served.url}/_up`), { code: 'ECONNREFUSED' })
  await using again = await createHttpServer(served.node, {
    port: Number(new URL(served.url).port)
  })
  assert.equal((await post(`${again.url}/db/yard/e`, { data: 1 })).status, 201)
})

test('a port that is taken is an error of the one who asks for it', async () => {
  await using served = await serveNode()
  const port = Number(new URL(served.url).port)
  await assert.rejects(createHttpServer(served.node, { port }), { code: 'EADDRINUSE' })
  assert.equal((await ask(`${served.url}/_up`)).status, 200)
})
