/** What others can make a node remember or do at once: each cap, reached and exceeded. */

import { expect, test } from 'vitest'

import { encodeAnnouncement } from '../../protocols/announce/codec.ts'
import {
  decodeDeltaAnswer,
  decodeDeltaRequest,
  encodeDeltaAnswer,
  encodeDeltaRequest
} from '../../protocols/delta/codec.ts'
import type { DeltaAnswer, DeltaRequest } from '../../protocols/delta/codec.ts'
import { DATABASES_MAX, PAGE_COMMITS_MAX } from '../../protocols/limits.ts'
import { isRejected } from '../../protocols/rejected.ts'
import { present } from '../../src/core/assert.ts'
import type { Clock } from '../../src/core/clock.ts'
import { logId, sealCommit } from '../../src/core/commit.ts'
import { eventKey } from '../../src/core/event-key.ts'
import { PAGE_BYTES } from '../../src/core/limits.ts'
import {
  ANNOUNCED_WAITING_MAX,
  ANNOUNCED_WAIT_MS,
  CLOCKS_AHEAD_MAX,
  FORKS_NAMED_MAX,
  KNOWN_LOGS_MAX,
  LOCATED_LOGS_MAX,
  OWN_LOGS_CLOSED_MAX,
  PREPARED_MAX,
  PREPARED_MS_MAX,
  STORES_OPENED_AT_ONCE,
  WARNINGS_MAX
} from '../../src/node/limits.ts'
import type { DeltaResponder } from '../../src/node/delta-responder.ts'
import { NodeDatabase } from '../../src/node/database.ts'
import { createSigner, systemClock, systemHasher } from '../../src/node/system.ts'
import { QUEUED_WRITES_MAX } from '../../src/store/limits.ts'
import { YARD, inventedCommit } from '../fixtures/hostile.ts'
import { ManualClock } from '../fixtures/manual-clock.ts'
import { memoryStores, settled, startScripted } from '../fixtures/scripted-node.ts'
import { databaseOf, responderOf } from '../property/forest.ts'

const ALL: Extract<DeltaRequest, { type: 'page' }> = {
  type: 'page',
  database: YARD,
  bytesMax: 1e9,
  heads: [],
  places: []
}

async function yardOf(
  node: Awaited<ReturnType<typeof startScripted>>['node']
): Promise<NodeDatabase> {
  const { database } = await node.createDatabase(YARD)
  if (!(database instanceof NodeDatabase)) throw new Error('a database of the node')
  return database
}

/** 32 bytes that no other number gives. */
function bytesOf(number: number, length = 32): Uint8Array {
  const bytes = new Uint8Array(length)
  new DataView(bytes.buffer).setUint32(0, number)
  return bytes
}

function pageOf(frame: Uint8Array): Extract<DeltaAnswer, { type: 'page' }> {
  const answer = decodeDeltaAnswer(frame)
  if (isRejected(answer) || answer.type !== 'page') throw new Error('a page')
  return answer
}

test('beyond the announcements that wait at one time further ones are ignored at once', async () => {
  const { node, transport } = await startScripted()
  await yardOf(node)
  transport.connect('peer')
  const announce = (number: number): Promise<string> => {
    const head = {
      log: bytesOf(number, 16),
      firstSeq: 1,
      count: 1,
      hash: bytesOf(number),
      keys: [bytesOf(number, 16)]
    }
    return transport.handlers.announced('peer', YARD, encodeAnnouncement(head))
  }
  let ended = 0
  for (let number = 0; number < ANNOUNCED_WAITING_MAX; number += 1) {
    void announce(number).finally(() => (ended += 1))
  }
  await settled()
  expect(ended).toBe(0)
  expect(await announce(ANNOUNCED_WAITING_MAX)).toBe('ignore')
  expect(ended).toBe(0)
})

test('an announcement of what does not come is ignored after a while', async () => {
  const clock = new ManualClock()
  const { node, transport } = await startScripted({ clock })
  await yardOf(node)
  transport.connect('peer')
  let verdict = 'none'
  const [log, hash] = [bytesOf(1, 16), bytesOf(1)]
  const message = encodeAnnouncement({ log, firstSeq: 1, count: 1, hash, keys: [log] })
  void transport.handlers.announced('peer', YARD, message).then((judged) => (verdict = judged))
  await settled()
  await clock.pass(ANNOUNCED_WAIT_MS - 1)
  expect(verdict).toBe('none')
  await clock.pass(1)
  expect(verdict).toBe('ignore')
})

test('logs that others invent do not keep real ones from being known of', async () => {
  const { node } = await startScripted()
  const yard = await yardOf(node)
  await yard.append({ data: 1 })
  const [own] = yard.version()
  yard.learn([{ log: present(own, 'a head').log, seq: 5 }])
  for (let number = 0; number < 3 * KNOWN_LOGS_MAX; number += 1) {
    yard.learn([{ log: logId(bytesOf(number, 16)), seq: 9 }])
  }
  const last = logId(bytesOf(0xffffffff, 16))
  yard.learn([{ log: last, seq: 7 }])
  const { logs } = await yard.status()
  expect(logs.length).toBeLessThanOrEqual(KNOWN_LOGS_MAX)
  const known = new Map(logs.map(({ log, known: seq }) => [log, seq]))
  expect([known.get(last), known.get(present(own, 'a head').log)]).toEqual([7, 5])
})

test('a node takes no more databases than it may have, whatever a peer lists', async () => {
  const { node, transport } = await startScripted()
  const digests = Array.from({ length: DATABASES_MAX }, (_, at) => {
    return { database: `d${at}`, digest: bytesOf(at) }
  })
  transport.script = async (_peer, frame) => {
    const request = decodeDeltaRequest(frame)
    const isComparison = !isRejected(request) && request.type === 'compare'
    return encodeDeltaAnswer(
      isComparison ? { type: 'compared', digests } : { type: 'refused', reason: 'busy' }
    )
  }
  await node.createDatabase('mine')
  transport.connect('peer')
  while (node.databases().length < DATABASES_MAX) await settled()
  await settled()
  expect(node.databases()).toHaveLength(DATABASES_MAX)
  await expect(node.createDatabase('one-more')).rejects.toMatchObject({
    code: 'LATERBASE_TOO_LARGE'
  })
})

test('stores are opened several at a time at a start, and no more than that', async () => {
  const stores = memoryStores(bytesOf(1))
  let [opening, most] = [0, 0]
  const open: typeof stores.open = async (name, create) => {
    opening += 1
    most = Math.max(most, opening)
    await settled()
    opening -= 1
    if (name === 'd3') throw new Error('no disk')
    return stores.open(name, create)
  }
  const names = Array.from({ length: 3 * STORES_OPENED_AT_ONCE }, (_, at) => `d${at}`)
  const { node } = await startScripted({
    stores: { ...stores, open },
    nodeStore: {
      get: async (name) =>
        name === 'databases' ? Object.fromEntries(names.map((each) => [each, 'open'])) : undefined,
      put: async () => undefined,
      close: async () => undefined
    }
  })
  expect(most).toBe(STORES_OPENED_AT_ONCE)
  expect(node.databases()).toEqual(names.filter((name) => name !== 'd3').toSorted())
  expect(node.unopened().map(({ name }) => name)).toEqual(['d3'])
})

test('no more warnings are kept than may be, whatever names a peer makes up', async () => {
  const stores = memoryStores(bytesOf(1))
  const { node, transport } = await startScripted({
    stores: { ...stores, open: () => Promise.reject(new Error('no space')) }
  })
  const digests = Array.from({ length: 2 * WARNINGS_MAX }, (_, at) => {
    return { database: `d${at}`, digest: bytesOf(at) }
  })
  transport.script = async () => encodeDeltaAnswer({ type: 'compared', digests })
  transport.connect('peer')
  await settled()
  await settled()
  await settled()
  expect((await node.status()).warnings).toHaveLength(WARNINGS_MAX)
})

test('so many boxes with fast clocks, and so many forks, are named in the status', async () => {
  const { node } = await startScripted()
  const yard = await yardOf(node)
  const ahead = Array.from({ length: CLOCKS_AHEAD_MAX + 10 }, (_, at) => {
    return inventedCommit({ seed: at, data: at, recorded: 1n << 60n })
  })
  await yard.merge(ahead)
  expect((await node.status()).clock.ahead).toHaveLength(CLOCKS_AHEAD_MAX)
  const first = present(ahead[0], 'a commit')
  const branches = Array.from({ length: FORKS_NAMED_MAX + 10 }, (_, at) => {
    return inventedCommit({ seed: at, after: present(ahead[at], 'a commit'), data: 'one' })
  })
  const others = branches.map((_, at) => {
    return inventedCommit({ seed: at, after: present(ahead[at], 'a commit'), data: 'other' })
  })
  expect(await yard.merge([...branches, ...others])).toBe(2 * branches.length)
  const { warnings } = await node.status()
  expect(warnings.filter((warning) => warning.includes('two boxes wrote'))).toHaveLength(
    FORKS_NAMED_MAX
  )
  expect(first.firstSeq).toBe(1)
})

test('of so many databases is said that another box wrote under this identity', async () => {
  const signer = createSigner(new Uint8Array(32).fill(1))
  const { node } = await startScripted({ signer, stores: memoryStores(signer.publicKey) })
  for (let number = 0; number < OWN_LOGS_CLOSED_MAX + 5; number += 1) {
    const { database } = await node.createDatabase(`d${number}`)
    if (!(database instanceof NodeDatabase)) throw new Error('a database of the node')
    const origin = database.store.ownLog
    const value = Buffer.from('{"data":1}')
    const event = { key: eventKey(bytesOf(1, 16)), value, hash: systemHasher.sha256(value) }
    const draft = { origin, firstSeq: 1, previous: origin.hash, recorded: 1n, events: [event] }
    expect(await database.merge([sealCommit(draft, signer, systemHasher)])).toBe(1)
  }
  const { warnings } = await node.status()
  expect(warnings.filter((warning) => warning.includes('another box'))).toHaveLength(
    OWN_LOGS_CLOSED_MAX
  )
})

test('a page ends at its number of commits, and at its bytes, whatever is asked for', async () => {
  const small: ReturnType<typeof inventedCommit>[] = []
  for (let at = 0; at <= PAGE_COMMITS_MAX; at += 1) {
    const after = small.at(-1)
    small.push(inventedCommit({ seed: 7, data: at, ...(after === undefined ? {} : { after }) }))
  }
  const large = Array.from({ length: 12 }, (_, at) =>
    inventedCommit({ seed: 8, nonce: at, data: 'x'.repeat(200_000) })
  )
  for (const commits of [small, large]) {
    const database = await databaseOf(commits, { name: YARD })
    const responder = responderOf(database)
    const page = pageOf((await responder.answer('peer', encodeDeltaRequest(ALL))).frame)
    const bytes = page.commits.reduce((sum, { events }) => sum + events.length, 0)
    expect(page.complete).toBe(false)
    expect(bytes).toBeLessThanOrEqual(PAGE_BYTES)
    expect(page.commits).toHaveLength(commits === small ? PAGE_COMMITS_MAX : 5)
  }
})

/** A responder of a database of three commits, which counts the pages that it makes. */
async function pageRig(clock: Clock): Promise<{
  readonly made: () => number
  readonly ask: (peer: string) => Promise<unknown>
  readonly responder: DeltaResponder
}> {
  const commits = Array.from({ length: 3 }, (_, nonce) => {
    return inventedCommit({ seed: 8, nonce, data: nonce })
  })
  const database = await databaseOf(commits, { name: YARD })
  let reads = 0
  const store = new Proxy(database.store, {
    get: (target, name) => {
      if (name === 'readEvents') reads += 1
      const member: unknown = Reflect.get(target, name, target)
      return typeof member === 'function' ? member.bind(target) : member
    }
  })
  Object.assign(database, { store })
  const responder = responderOf(database, clock)
  const frame = encodeDeltaRequest({ ...ALL, bytesMax: 1 })
  return { made: () => reads, ask: (peer) => responder.answer(peer, frame), responder }
}

test('pages are held ready for so many peers, and none of them twice', async () => {
  const rig = await pageRig(systemClock)
  const peers = PREPARED_MAX + 10
  for (let peer = 0; peer < peers; peer += 1) await rig.ask(`${peer}`)
  await settled()
  expect(rig.made()).toBe(peers + PREPARED_MAX)
})

test('a page that nobody comes for is not held, also of a peer that left before it was made', async () => {
  const clock = new ManualClock()
  const rig = await pageRig(clock)
  for (let peer = 0; peer < PREPARED_MAX; peer += 1) {
    const answered = rig.ask(`${peer}`)
    rig.responder.forget(`${peer}`)
    await answered
  }
  await clock.pass(0)
  expect(rig.made()).toBe(2 * PREPARED_MAX)
  await clock.pass(PREPARED_MS_MAX)
  await rig.ask('another')
  await clock.pass(0)
  expect(rig.made()).toBe(2 * PREPARED_MAX + 2)
})

test('a fetch names places of no more logs than it may, however many heads are claimed', async () => {
  const mine = Array.from({ length: 2 * LOCATED_LOGS_MAX }, (_, nonce) => {
    return inventedCommit({ seed: 8, nonce, data: nonce })
  })
  const { node, transport } = await startScripted()
  const yard = await yardOf(node)
  await yard.merge(mine)
  const heads = mine.map(({ origin }, at) => ({ log: origin.idBytes, seq: 99, hash: bytesOf(at) }))
  const placed: number[] = []
  transport.script = async (_peer, frame) => {
    const request = decodeDeltaRequest(frame)
    if (isRejected(request) || request.type !== 'page') {
      return encodeDeltaAnswer({
        type: 'compared',
        digests: [{ database: YARD, digest: bytesOf(1) }]
      })
    }
    placed.push(request.places.length)
    return encodeDeltaAnswer({ type: 'page', complete: true, logs: [], commits: [], heads })
  }
  transport.connect('peer')
  await settled()
  expect(placed).toEqual([0, LOCATED_LOGS_MAX])
})

test('writes that wait beyond their number are refused as overload, and the others are written', async () => {
  const { node } = await startScripted()
  const yard = await yardOf(node)
  const merges = Array.from({ length: QUEUED_WRITES_MAX + 5 }, () =>
    yard.merge([]).then(
      () => 'written',
      (error: Error) => error.message
    )
  )
  const outcomes = await Promise.all(merges)
  expect(outcomes.filter((outcome) => outcome !== 'written')).toEqual(
    Array.from({ length: 5 }, () => 'too many writes are waiting')
  )
})
