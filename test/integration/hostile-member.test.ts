/** What a member of the network that breaks the rules can do to others: no more than this. */

import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { expect, test } from 'vitest'

import { sealCommit, logOrigin } from '../../src/core/commit.ts'
import type { Commit } from '../../src/core/commit.ts'
import { eventKey } from '../../src/core/event-key.ts'
import { NodeDatabase } from '../../src/node/database.ts'
import { createSigner, systemHasher } from '../../src/node/system.ts'
import { KIND } from '../../src/store/record-name.ts'
import { fetchInto } from '../property/forest.ts'
import { connect, startNode, until } from '../fixtures/nodes.ts'
import { flipped, putRaw, readRaw } from '../fixtures/raw-level.ts'

/** Stands in for LOGS_MAX. */
const LOGS = 40

/** A commit as another member may sign it: any value, any key, any log. */
function foreignCommit(values: readonly string[], seed = 7, nonce = 0): Commit {
  const signer = createSigner(new Uint8Array(32).fill(seed))
  const bytes = new Uint8Array(16)
  new DataView(bytes.buffer).setUint32(0, nonce)
  const genesis = { publicKey: signer.publicKey, database: 'stock', nonce: bytes }
  const origin = logOrigin(genesis, systemHasher)
  const events = values.map((text, index) => {
    const value = Buffer.from(text)
    const key = new Uint8Array(16).fill(1)
    new DataView(key.buffer).setUint32(8, nonce)
    key[15] = index
    return { key: eventKey(key), value, hash: systemHasher.sha256(value) }
  })
  const draft = { origin, firstSeq: 1, previous: origin.hash, recorded: 1n << 16n, events }
  return sealCommit(draft, signer, systemHasher)
}

/** The commit that follows in its log. */
function nextCommit(before: Commit, value: string, seed = 7): Commit {
  const { origin, firstSeq, events, hash, recorded } = before
  const bytes = Buffer.from(value)
  const event = { key: eventKey(randomBytes(16)), value: bytes, hash: systemHasher.sha256(bytes) }
  const draft = { origin, firstSeq: firstSeq + events.length, previous: hash }
  const signer = createSigner(new Uint8Array(32).fill(seed))
  return sealCommit({ ...draft, recorded: recorded + 1n, events: [event] }, signer, systemHasher)
}

async function databaseWith(commits: readonly Commit[]): Promise<NodeDatabase> {
  const node = await startNode()
  const { database } = await node.createDatabase('stock')
  if (!(database instanceof NodeDatabase)) throw new Error('a database of the node')
  expect(await database.merge(commits)).toBe(commits.length)
  return database
}

test('values that are no JSON, or forge a key, are shown as the bytes that they are', async () => {
  const values = [
    '{"data',
    '{"data":1}}\n{"lc":"forged"',
    '{"data":1,"key":"01ARZ3NDEKTSV4RRFFQ69G5FAV"}',
    '{"data":1,"time":"1999-01-01T00:00:00.000Z"}',
    '{"data":1,"conflict":true}',
    '[1]',
    '{}',
    '\u00ff'
  ]
  const database = await databaseWith([foreignCommit(values)])
  const { changes } = await database.changesPage()
  for (const [index, { event }] of changes.entries()) {
    const shown = JSON.parse(event.json)
    expect(shown).toEqual({
      key: event.key,
      time: event.time,
      data_base64: Buffer.from(values[index] ?? '').toString('base64')
    })
  }
  expect(changes).toHaveLength(values.length)
})

test('an honest value of another member is shown as it was written', async () => {
  const database = await databaseWith([foreignCommit(['{"data":{"a":1},"type":"moved"}'])])
  const [change] = (await database.changesPage()).changes
  expect(change?.event.data).toEqual({ a: 1 })
  expect(change?.event.type).toBe('moved')
})

test('an event that two boxes wrote has the same recorded time everywhere', async () => {
  const [early, late] = [foreignCommit(['{"data":1}'], 1), foreignCommit(['{"data":1}'], 2)]
  const answers = []
  for (const commits of [
    [early, late],
    [late, early]
  ]) {
    const database = await databaseWith(commits)
    for await (const event of database.range()) {
      answers.push([event.recorded, event.log, event.seq, event.hash])
    }
  }
  expect(answers).toHaveLength(2)
  expect(answers[0]).toEqual(answers[1])
})

test('a log with two branches comes whole, with the logs behind it', async () => {
  const first = foreignCommit(['{"data":"common"}'])
  const large = `{"data":"${'x'.repeat(200_000)}"}`
  const branch: Commit[] = [first]
  for (let count = 0; count < 12; count += 1) {
    const last = branch.at(-1)
    if (last !== undefined) branch.push(nextCommit(last, large))
  }
  const from = await databaseWith(branch)
  await from.append({ data: 'honest' })
  const to = await databaseWith([first, nextCommit(first, '{"data":"other branch"}')])
  expect((await fetchInto(to, from)).stored).toBe(branch.length)
  const { changes } = await to.changesPage()
  expect(changes.map(({ event }) => event.data)).toContain('honest')
  const { logs } = await to.status()
  expect(logs.filter(({ forked }) => forked).map(({ log }) => log)).toEqual([
    first.origin.id,
    first.origin.id
  ])
})

test('a member that invents logs without end fills a limit, and the rest still comes', async () => {
  const from = await databaseWith([])
  const invented = Array.from({ length: LOGS + 30 }, (_, nonce) =>
    foreignCommit(['{"data":1}'], 7, nonce)
  )
  expect(await from.merge(invented)).toBe(invented.length)
  const known = invented[0]
  const to = await databaseWith(known === undefined ? [] : [known])
  const more = known === undefined ? undefined : nextCommit(known, '{"data":"honest"}')
  expect(await from.merge(more === undefined ? [] : [more])).toBe(1)
  await fetchInto(to, from, { logsMax: LOGS })
  expect(to.store.logs()).toHaveLength(LOGS)
  const { changes } = await to.changesPage()
  expect(changes.map(({ event }) => event.data)).toContain('honest')
})

test('rot on a disk is told to its operator, and served to nobody', async () => {
  const a = await startNode()
  const { database } = await a.createDatabase('stock')
  const { results } = await database.append({ data: 'to be damaged' })
  expect(results).toHaveLength(1)
  await a.close()
  const location = join(a.dir, 'databases', 'stock')
  for (const [key, value] of await readRaw(location)) {
    if (key[0] === KIND.event) await putRaw(location, key, flipped(value, value.length - 3))
  }
  const damaged = await startNode({ dir: a.dir })
  const other = await startNode({ invitation: damaged.invitation() })
  await connect(other, damaged)
  await until(async () =>
    (await damaged.status()).warnings.some((warning) => warning.includes('damaged'))
  )
  expect((await other.database('stock').status()).events).toBe(0)
})

test('feeds that are read while their node closes end, without an error', async () => {
  const node = await startNode()
  const { database } = await node.createDatabase('stock')
  for (let commit = 0; commit < 4; commit += 1) {
    await database.append(Array.from({ length: 1_000 }, (_, data) => ({ data })))
  }
  const readers = Array.from({ length: 20 }, async () => {
    let count = 0
    for await (const { event } of database.changes()) count += event.key.length > 0 ? 1 : 0
    return count
  })
  await node.close()
  for (const count of await Promise.all(readers)) expect(count).toBeLessThanOrEqual(4_000)
})
