/** Databases and the node itself over HTTP: making, listing, describing, forgetting, agreeing. */

import assert from 'node:assert/strict'

import { test } from 'vitest'

import { ask, post, serveNode } from '../fixtures/http-server.ts'

test('PUT makes a database once and says so, and then only that it is there', async () => {
  await using served = await serveNode()
  const first = await ask(`${served.url}/db/yard`, { method: 'PUT' })
  assert.equal(first.status, 201)
  assert.equal(first.headers.location, '/db/yard')
  assert.equal(first.json().name, 'yard')
  const again = await ask(`${served.url}/db/yard`, { method: 'PUT' })
  assert.equal(again.status, 200)
  assert.equal(again.headers.location, undefined)
})

test('POST makes a database, and refuses one that is there', async () => {
  await using served = await serveNode()
  assert.equal((await ask(`${served.url}/db/yard`, { method: 'POST' })).status, 201)
  const again = await ask(`${served.url}/db/yard`, { method: 'POST' })
  assert.equal(again.status, 409)
  assert.equal(again.json().code, 'db-exists')
})

test('databases are listed by name and described with count, cursors, digest and limits', async () => {
  await using served = await serveNode()
  await served.node.createDatabase('yard')
  await served.node.createDatabase('dock')
  assert.deepEqual((await ask(`${served.url}/db`)).json(), { databases: ['dock', 'yard'] })
  await post(`${served.url}/db/yard/e`, [{ data: 1 }, { data: 2 }])
  const described = (await ask(`${served.url}/db/yard`)).json()
  assert.equal(described.events, 2)
  for (const name of ['lc', 'version', 'digest']) assert.equal(typeof described[name], 'string')
  assert.equal(typeof described.disk_bytes, 'number')
  assert.equal(described.limits.event_bytes_max, 256 * 1024)
  assert.equal(described.limits.request_events_max, 10_000)
  assert.equal(described.limits.request_bytes_max, 16 * 1024 * 1024)
})

test('a copy is forgotten only by a request that names it twice', async () => {
  await using served = await serveNode()
  await served.node.createDatabase('yard')
  const unsure = await ask(`${served.url}/db/yard`, { method: 'DELETE' })
  assert.equal(unsure.status, 400)
  assert.equal(unsure.json().code, 'confirm-required')
  const other = await ask(`${served.url}/db/yard?confirm=dock`, { method: 'DELETE' })
  assert.equal(other.status, 400)
  const sure = await ask(`${served.url}/db/yard?confirm=yard`, { method: 'DELETE' })
  assert.equal(sure.status, 204)
  assert.equal(sure.text, '')
  assert.equal((await ask(`${served.url}/db/yard`)).json().code, 'database-unknown')
  assert.deepEqual((await ask(`${served.url}/db`)).json(), { databases: [] })
})

test.each(['Yard', '9yard', '-yard', '_yard', 'db', 'a.b', 'a%20b', 'a%2F..%2Fb', 'a%00', 'é'])(
  'the name %s is refused',
  async (name) => {
    await using served = await serveNode()
    const made = await ask(`${served.url}/db/${encodeURI(name).replaceAll('%25', '%')}`, {
      method: 'PUT'
    })
    assert.equal(made.status, 400)
    assert.equal(made.json().code, 'name-invalid')
    assert.deepEqual(served.node.databases(), [])
  }
)

test('a database may be called as what every object of JavaScript has', async () => {
  await using served = await serveNode()
  const url = `${served.url}/db/constructor`
  assert.equal((await ask(url, { method: 'PUT' })).status, 201)
  assert.equal((await post(`${url}/e`, { data: 1 })).status, 201)
  assert.deepEqual((await ask(`${url}/v`)).json(), { views: [] })
  assert.equal((await ask(`${url}/v/constructor`)).json().code, 'view-unknown')
})

test('a name of 63 characters is taken and one of 64 is not', async () => {
  await using served = await serveNode()
  const url = `${served.url}/db/`
  assert.equal((await ask(url + 'a'.repeat(63), { method: 'PUT' })).status, 201)
  assert.equal((await ask(url + 'a'.repeat(64), { method: 'PUT' })).json().code, 'name-invalid')
})

test('every route of a database that is not here answers 404', async () => {
  await using served = await serveNode()
  const key = '01JZZZZZZZZZZZZZZZZZZZZZZZ'
  const paths = ['', '/e', `/e/${key}`, '/_digest', '/_lag', '/_conflicts', '/e?lc=0&feed=longpoll']
  for (const path of [...paths, '/e?feed=continuous', '/e?feed=eventsource', `/e?keys=${key}`]) {
    const answer = await ask(`${served.url}/db/nowhere${path}`)
    assert.equal(answer.status, 404, path)
    assert.equal(answer.json().code, 'database-unknown')
  }
  assert.equal((await post(`${served.url}/db/nowhere/e`, { data: 1 })).status, 404)
  assert.equal((await post(`${served.url}/db/nowhere/e/_get`, { keys: [] })).status, 404)
  assert.equal((await ask(`${served.url}/db/nowhere/_sync`, { method: 'POST' })).status, 404)
})

test('the digest route agrees with the node, and moves with every event', async () => {
  await using served = await serveNode()
  const { database } = await served.node.createDatabase('yard')
  const before = (await ask(`${served.url}/db/yard/_digest`)).json()
  assert.equal(before.digest, database.digest())
  await post(`${served.url}/db/yard/e`, { data: 1 })
  const after = (await ask(`${served.url}/db/yard/_digest`)).json()
  assert.notEqual(after.digest, before.digest)
  assert.equal(after.digest, database.digest())
  assert.equal(after.events, 1)
})

test('lag tells what each log holds and that nothing is missing', async () => {
  await using served = await serveNode()
  await served.node.createDatabase('yard')
  await post(`${served.url}/db/yard/e`, [{ data: 1 }, { data: 2 }])
  const lag = (await ask(`${served.url}/db/yard/_lag`)).json()
  assert.equal(lag.missing, 0)
  const [log] = lag.logs
  assert.equal(log.own, true)
  assert.equal(log.held, 2)
  assert.deepEqual(log.missing, [])
  assert.equal(log.peer, served.node.peerId)
})

test('two nodes agree after a sync, and list a key that both wrote otherwise', async () => {
  await using left = await serveNode()
  await using right = await serveNode({}, { invitation: left.node.invitation() })
  await left.node.createDatabase('yard')
  await right.node.createDatabase('yard')
  const key = '01HZZZZZZZZZZZZZZZZZZZZZZZ'
  await post(`${left.url}/db/yard/e`, { key, data: 'left' })
  await post(`${right.url}/db/yard/e`, { key, data: 'right' })
  assert.deepEqual((await ask(`${left.url}/db/yard/_conflicts`)).json().conflicts, [])

  const [address = ''] = left.node.addresses()
  await right.node.connect(address)
  const synced = await ask(`${right.url}/db/yard/_sync`, { method: 'POST' })
  assert.equal(synced.status, 200)
  // The other side may take a moment longer: its feed says when it has both.
  const here = (await ask(`${left.url}/db/yard/e?lc=0&limit=1`)).json()
  await ask(`${left.url}/db/yard/e?feed=longpoll&lc=${here.last_lc}`)
  assert.equal(left.node.database('yard').digest(), right.node.database('yard').digest())

  for (const { url } of [left, right]) {
    const { conflicts, more } = (await ask(`${url}/db/yard/_conflicts`)).json()
    assert.equal(more, false)
    assert.equal(conflicts.length, 1)
    assert.equal(conflicts[0].key, key)
    const written = conflicts[0].events.map((row: { event: { data: string } }) => row.event.data)
    assert.deepEqual(written.sort(), ['left', 'right'])
    const event = await ask(`${url}/db/yard/e/${key}`)
    assert.equal(event.headers['laterbase-conflict'], 'true')
    assert.equal(event.headers['cache-control'], 'no-cache')
    const lag = (await ask(`${url}/db/yard/_lag`)).json()
    assert.equal(lag.logs.length, 2)
    assert.equal((await ask(`${url}/_peers`)).json().peers.length, 1)
  }
})

test('a sync with nobody there is done at once', async () => {
  await using served = await serveNode()
  const { database } = await served.node.createDatabase('yard')
  const synced = await ask(`${served.url}/db/yard/_sync`, { method: 'POST' })
  assert.deepEqual(synced.json(), { digest: database.digest(), equal: [], unequal: [] })
})

test('the node tells that it is up, ready, whom it sees and how it is', async () => {
  await using served = await serveNode()
  await served.node.createDatabase('yard')
  const up = await ask(`${served.url}/_up`)
  assert.deepEqual(up.json(), { status: 'up', peer: served.node.peerId })
  const ready = (await ask(`${served.url}/_ready`)).json()
  assert.equal(ready.status, 'ready')
  assert.equal(ready.databases, 1)
  const peers = (await ask(`${served.url}/_peers`)).json()
  assert.deepEqual(peers.peers, [])
  assert.deepEqual(peers.addresses, served.node.addresses())
  const status = (await ask(`${served.url}/_status`)).json()
  assert.equal(status.peerId, served.node.peerId)
  assert.equal(status.databases[0].name, 'yard')
})

test('the invitation is nowhere to be had', async () => {
  await using served = await serveNode()
  await served.node.createDatabase('yard')
  assert.equal((await ask(`${served.url}/_invitation`)).status, 404)
  assert.equal((await ask(`${served.url}/invitation`)).status, 404)
  const invitation = served.node.invitation()
  for (const path of ['/_status', '/_peers', '/_ready', '/_up', '/db/yard']) {
    assert.ok(!(await ask(served.url + path)).text.includes(invitation), path)
  }
})

test('HEAD is GET without the body', async () => {
  await using served = await serveNode()
  await served.node.createDatabase('yard')
  for (const path of ['/db', '/db/yard', '/_up', '/_status', '/db/yard/_digest', '/db/yard/e']) {
    const head = await ask(served.url + path, { method: 'HEAD' })
    const get = await ask(served.url + path)
    assert.equal(head.status, 200, path)
    assert.equal(head.text, '')
    assert.equal(head.headers['content-type'], get.headers['content-type'])
  }
})
