/** Caps of the node that it takes long to reach: made small here, and gone beyond. */

import type * as crypto from 'node:crypto'
import { expect, test, vi } from 'vitest'

import { decodeDeltaRequest, encodeDeltaRequest } from '../../protocols/delta/codec.ts'
import type { DeltaRequest } from '../../protocols/delta/codec.ts'
import { isRejected } from '../../protocols/rejected.ts'
import { present } from '../../src/core/assert.ts'
import { FETCH_PAGES_MAX } from '../../src/core/limits.ts'
import { DeltaResponder } from '../../src/node/delta-responder.ts'
import type { NodeDatabase } from '../../src/node/database.ts'
import { readFeedPage } from '../../src/node/feed.ts'
import {
  FEED_PAGE_BYTES,
  FEED_PAGE_READS,
  HEAD_LOOKUPS_MAX,
  PASSED_OVER_MAX,
  PUBLIC_KEYS_MAX,
  REFETCH_PAGES_MAX
} from '../../src/node/limits.ts'
import { readerAt } from '../../src/node/position.ts'
import { refetch } from '../../src/node/refetch.ts'
import { createSigner, systemClock, systemHasher, systemVerifier } from '../../src/node/system.ts'
import type { EventStore } from '../../src/store/event-store.ts'
import { YARD, inventedCommit } from '../fixtures/hostile.ts'
import { settled } from '../fixtures/scripted-node.ts'
import { answersOf, databaseOf, fetchInto } from '../property/forest.ts'

const madeKeys = vi.hoisted(() => ({ count: 0 }))

vi.mock('node:crypto', async (original) => {
  const real = await original<typeof crypto>()
  const createPublicKey: typeof real.createPublicKey = (key) => {
    madeKeys.count += 1
    return real.createPublicKey(key)
  }
  return { ...real, createPublicKey }
})
vi.mock('../../src/core/limits.ts', async (original) => ({
  ...(await original()),
  FETCH_PAGES_MAX: 20,
  PAGE_BYTES: 1
}))
vi.mock('../../src/node/limits.ts', async (original) => ({
  ...(await original()),
  FEED_PAGE_BYTES: 10_000,
  FEED_PAGE_READS: 50,
  HEAD_LOOKUPS_MAX: 8,
  PASSED_OVER_MAX: 3,
  PREPARED_BYTES_MAX: 10_000,
  PUBLIC_KEYS_MAX: 4,
  REFETCH_PAGES_MAX: 5
}))

/** The store of a database, and how often each of its methods was called. */
function countCalls(database: NodeDatabase): Map<string, number> {
  const calls = new Map<string, number>()
  const store = new Proxy(database.store, {
    get: (target, name) => {
      const member: unknown = Reflect.get(target, name, target)
      if (typeof member !== 'function') return member
      return (...parameters: unknown[]): unknown => {
        calls.set(String(name), (calls.get(String(name)) ?? 0) + 1)
        return member.apply(target, parameters)
      }
    }
  })
  Object.assign(database, { store })
  return calls
}

function responderOn(database: NodeDatabase): DeltaResponder {
  return new DeltaResponder({
    digests: () => [],
    database: () => database,
    isUnopened: () => false,
    views: () => [],
    hasher: systemHasher,
    clock: systemClock
  })
}

const ALL: DeltaRequest = { type: 'page', database: YARD, bytesMax: 1e9, heads: [], places: [] }

/** One fetch, and what was asked in it. */
async function fetchFrom(
  from: NodeDatabase,
  { to, logsMax = 1_000 }: { readonly to: NodeDatabase; readonly logsMax?: number }
): Promise<{ readonly stored: number; readonly heads: readonly number[] }> {
  const heads: number[] = []
  const asked = (frame: Uint8Array): void => {
    const request = decodeDeltaRequest(frame)
    if (!isRejected(request) && request.type === 'page') heads.push(request.heads.length)
  }
  const { stored } = await fetchInto(to, from, { logsMax, asked })
  return { stored, heads }
}

/** The first commits of so many logs. */
function firstCommits(count: number): ReturnType<typeof inventedCommit>[] {
  return Array.from({ length: count }, (_, nonce) => {
    return inventedCommit({ seed: 8, nonce, data: nonce })
  })
}

test('a fetch that finds no end gives the others their turn after so many pages', async () => {
  const from = await databaseOf(firstCommits(FETCH_PAGES_MAX + 10), { name: YARD })
  const to = await databaseOf([], { name: YARD })
  expect((await fetchFrom(from, { to })).stored).toBe(FETCH_PAGES_MAX)
  expect((await fetchFrom(from, { to })).stored).toBe(10)
})

test('a request names so many heads of logs that are one too many, however many there are', async () => {
  const from = await databaseOf(firstCommits(15), { name: YARD })
  const to = await databaseOf([], { name: YARD })
  const logsMax = 2
  const { stored, heads } = await fetchFrom(from, { to, logsMax })
  expect(stored).toBe(logsMax)
  expect(Math.max(...heads)).toBe(logsMax + PASSED_OVER_MAX)
})

test('a request that names many heads of a forked log costs so many reads of the store', async () => {
  const first = inventedCommit({ seed: 8, data: 'first' })
  const branches = ['one', 'other'].map((data) => inventedCommit({ seed: 8, after: first, data }))
  const longer = branches.map((after) => inventedCommit({ seed: 8, after, data: 'last' }))
  const database = await databaseOf([first, ...branches, ...longer], { name: YARD })
  const calls = countCalls(database)
  const heads = Array.from({ length: 100 }, (_, at) => {
    return { log: first.origin.idBytes, seq: 2, hash: systemHasher.sha256(Uint8Array.of(at)) }
  })
  const { frame } = await responderOn(database).answer(
    'peer',
    encodeDeltaRequest({ ...ALL, heads })
  )
  expect(frame.length).toBeGreaterThan(0)
  expect(calls.get('commits')).toBe(HEAD_LOOKUPS_MAX)
})

test('a damaged stretch is asked for in so many pages, and one that takes more is not had', async () => {
  const chain = [inventedCommit({ seed: 8, data: 0 })]
  for (let data = 1; data <= REFETCH_PAGES_MAX; data += 1) {
    chain.push(inventedCommit({ seed: 8, after: present(chain.at(-1), 'a first'), data }))
  }
  const answer = answersOf(await databaseOf(chain, { name: YARD }))
  const database = await databaseOf([], { name: YARD })
  let pages = 0
  // A page holds one commit here.
  const fetched = async (toSeq: number): Promise<number | undefined> => {
    const { origin, hash } = present(chain[toSeq - 1], 'a commit')
    const log = { number: 0, tip: { origin, seq: toSeq, hash, recorded: 0n }, fork: undefined }
    pages = 0
    const commits = await refetch({
      database,
      stretch: { log, after: { seq: 0, hash: origin.hash }, toSeq, hash },
      clock: systemClock,
      hasher: systemHasher,
      verifier: systemVerifier,
      request: (frame) => {
        pages += 1
        return answer(frame)
      },
      signal: new AbortController().signal
    })
    return commits?.length
  }
  expect([await fetched(REFETCH_PAGES_MAX), pages]).toEqual([REFETCH_PAGES_MAX, REFETCH_PAGES_MAX])
  expect([await fetched(REFETCH_PAGES_MAX + 1), pages]).toEqual([undefined, REFETCH_PAGES_MAX])
})

test('pages held ready weigh so much together, and what is beyond is made when it is asked for', async () => {
  const commits = Array.from({ length: 3 }, (_, nonce) => {
    return inventedCommit({ seed: 8, nonce, data: 'x'.repeat(4_000) })
  })
  const database = await databaseOf(commits, { name: YARD })
  const calls = countCalls(database)
  const responder = responderOn(database)
  const reads = (): number => calls.get('readEvents') ?? 0
  const peers = ['first', 'second', 'third', 'fourth']
  for (const peer of peers) {
    await responder.answer(peer, encodeDeltaRequest(ALL))
    await settled()
  }
  // One for each answer, and one for each page behind it.
  expect(reads()).toBe(2 * peers.length)
  const [held] = database.version()
  const { log, seq, hash } = present(held, 'a head')
  const heads = [{ log: Buffer.from(log, 'hex'), seq, hash }]
  const asked: number[] = []
  for (const peer of peers) {
    const before = reads()
    await responder.answer(peer, encodeDeltaRequest({ ...ALL, heads }))
    asked.push(reads() - before)
    responder.forget(peer)
  }
  expect(asked).toEqual([0, 0, 1, 1])
})

/** The pages of a feed that lets nothing through, to its end: how far each came. */
async function pagesOf(store: EventStore): Promise<number[]> {
  const pending: number[] = []
  let position = readerAt(new Map())
  for (;;) {
    const page = await readFeedPage(store, { position, limit: 1_000, matches: () => false })
    pending.push(page.pending)
    if (page.pending === 0) return pending
    position = page.position
  }
}

test('a page of a feed reads so many events, and so many bytes, whatever its filter lets through', async () => {
  const small = await databaseOf(firstCommits(2 * FEED_PAGE_READS + 1), { name: YARD })
  expect(await pagesOf(small.store)).toEqual([FEED_PAGE_READS + 1, 1, 0])
  const large = Array.from({ length: 7 }, (_, nonce) => {
    return inventedCommit({ seed: 8, nonce, data: 'x'.repeat(FEED_PAGE_BYTES / 2) })
  })
  const { store } = await databaseOf(large, { name: YARD })
  expect(await pagesOf(store)).toEqual([5, 3, 1, 0])
})

test('so many public keys are kept in a form that is quick to use, whoever invents more', async () => {
  // None is kept yet.
  vi.resetModules()
  const { systemVerifier: verifier } = await import('../../src/node/system.ts')
  const message = Uint8Array.of(1)
  const signers = Array.from({ length: PUBLIC_KEYS_MAX + 1 }, (_, seed) => {
    return createSigner(new Uint8Array(32).fill(seed + 1))
  })
  const signed = signers.map(({ publicKey, sign }) => ({ publicKey, signature: sign(message) }))
  const verifyAll = async (these: typeof signed): Promise<number> => {
    const before = madeKeys.count
    for (const { publicKey, signature } of these) {
      expect(await verifier.verify(publicKey, message, signature)).toBe(true)
    }
    return madeKeys.count - before
  }
  const few = signed.slice(0, PUBLIC_KEYS_MAX)
  expect(await verifyAll(few)).toBe(PUBLIC_KEYS_MAX)
  expect(await verifyAll(few)).toBe(0)
  expect(await verifyAll(signed)).toBe(1)
  expect(await verifyAll(few)).toBe(PUBLIC_KEYS_MAX)
})
