/** What views read of a database while others write to it. */

import { expect, test } from 'vitest'

import { present } from '../../src/core/assert.ts'
import { sealCommit } from '../../src/core/commit.ts'
import type { Hasher } from '../../src/core/clock.ts'
import type { Commit } from '../../src/core/commit.ts'
import { eventKey } from '../../src/core/event-key.ts'
import { stampAt } from '../../src/core/hybrid-logical-clock.ts'
import { emptyTip } from '../../src/core/log.ts'
import { headCursor } from '../../src/node/cursor.ts'
import { systemHasher, systemRng } from '../../src/node/system.ts'
import type { EventStore } from '../../src/store/event-store.ts'
import { DatabaseViewSource } from '../../src/node/view-source.ts'
import { openLevelStore } from '../../src/store/level-store.ts'
import { createMemoryStore } from '../../src/store/memory-store.ts'
import type { SourceBatch } from '../../src/views/view-source.ts'
import { scanAll } from '../conformance/store-dump.ts'
import { createFolder } from '../conformance/stores.ts'
import { DATABASE, SIGNERS, event, logOf, seededRng } from '../property/arbitraries.ts'
import { OWNER_SIGNER, databaseOn } from '../property/forest.ts'

/** The same event, written on the box of a signer at a time. */
function commitOf(signer: number, recordedMs: number): Commit {
  const tip = emptyTip(logOf(signer))
  const events = [event(eventKey(new Uint8Array(16).fill(1)), '{"data":"a"}')]
  const draft = { origin: tip.origin, firstSeq: 1, previous: tip.hash, events }
  const recorded = stampAt(recordedMs)
  return sealCommit({ ...draft, recorded }, present(SIGNERS[signer], 'a signer'), systemHasher)
}

test('a commit that comes while an earlier one is read does not change when that was recorded', async () => {
  const owner = { database: DATABASE, publicKey: OWNER_SIGNER.publicKey }
  const store = createMemoryStore({ owner, hasher: systemHasher, rng: seededRng(1) })
  let meanwhile: (() => Promise<unknown>) | undefined
  const reading = new Proxy(store, {
    get: (target, name) => {
      if (name === 'readEvents') {
        return async (slices: Parameters<EventStore['readEvents']>[0]) => {
          const once = meanwhile
          meanwhile = undefined
          await once?.()
          return target.readEvents(slices)
        }
      }
      const member: unknown = Reflect.get(target, name, target)
      return typeof member === 'function' ? member.bind(target) : member
    }
  })
  const database = databaseOn(reading)
  const view = await database.views.define({
    name: 'all',
    map: ({ data }: { data: string }, emit) => emit(data)
  })
  await view.query()
  await database.merge([commitOf(0, 10)])
  meanwhile = () => database.merge([commitOf(1, 5)])
  const earlier = { known_at: new Date(7).toISOString() }
  const between = await view.query(earlier)
  expect(between.rows).toEqual([])
  expect(between.lc).not.toBe((await database.status()).lc)
  expect((await view.query(earlier)).rows).toHaveLength(1)
  await database.close()
})

test('what has come is read by one look at its log, and none behind its end', async () => {
  const owner = { database: DATABASE, publicKey: OWNER_SIGNER.publicKey }
  const store = createMemoryStore({ owner, hasher: systemHasher, rng: seededRng(1) })
  const asked: { readonly after: number; readonly end: number }[] = []
  const watched = new Proxy(store, {
    get: (target, name) => {
      if (name === 'commits') {
        return (...args: Parameters<EventStore['commits']>) => {
          const [log, after] = args
          asked.push({ after, end: present(target.logs()[log.number], 'a log').tip.seq })
          return target.commits(...args)
        }
      }
      const member: unknown = Reflect.get(target, name, target)
      return typeof member === 'function' ? member.bind(target) : member
    }
  })
  const database = databaseOn(watched)
  await database.append([{ data: 'before' }])
  const view = await database.views.define({
    name: 'all',
    map: ({ data }: { data: string }, emit) => emit(data)
  })
  await view.refresh()
  await database.append([{ data: 'a' }, { data: 'b' }])
  asked.length = 0
  expect((await view.query()).rows).toHaveLength(3)
  expect(asked.length).toBeGreaterThan(0)
  for (const { after, end } of asked) expect(after).toBeLessThan(end)
  await database.close()
})

test('what follows a cursor is read again where the first read of it fails, and nothing follows one of another store', async () => {
  const owner = { database: DATABASE, publicKey: OWNER_SIGNER.publicKey }
  const store = createMemoryStore({ owner, hasher: systemHasher, rng: seededRng(1) })
  let failures = 0
  const failing = new Proxy(store, {
    get: (target, name) => {
      if (name === 'commits' && failures > 0) {
        failures -= 1
        return () => Promise.reject(new Error('the disk does not answer'))
      }
      const member: unknown = Reflect.get(target, name, target)
      return typeof member === 'function' ? member.bind(target) : member
    }
  })
  const database = databaseOn(store)
  await database.append([{ data: 'before' }])
  const before = headCursor(store)
  await database.append([{ data: 'a' }])
  await database.append([{ data: 'b' }])
  const source = new DatabaseViewSource({
    store: failing,
    head: () => headCursor(store),
    changed: () => Promise.resolve(),
    reading: async (read) => read().catch(read),
    scanning: (range) => store.scan(range),
    peerId: () => ''
  })
  const read = async (cursor: string): Promise<unknown[]> => {
    const batches: SourceBatch[] = []
    for await (const batch of source.changes(cursor, 1)) batches.push(batch)
    expect(batches.at(-1)?.cursor ?? cursor).toBe(source.head())
    return batches.flatMap(({ events }) => events.map(({ event }) => event.data))
  }
  // The read of what follows, that which checks the cursor, or both.
  for (failures of [0, 1, 2]) expect(await read(before)).toEqual(['a', 'b'])
  expect(await read('0')).toEqual(['before', 'a', 'b'])
  expect(await read(source.head())).toEqual([])
  const other = createMemoryStore({ owner, hasher: systemHasher, rng: seededRng(2) })
  await databaseOn(other).append([{ data: 'other' }])
  await expect(read(headCursor(other))).rejects.toMatchObject({ code: 'LATERBASE_CURSOR_FOREIGN' })
  await database.close()
})

test('neither a build nor a page makes hashes of the events that are read', async () => {
  const folder = createFolder()
  const hashed = new Set<string>()
  const hasher: Hasher = {
    sha256: (bytes) => {
      hashed.add(Buffer.from(bytes).toString())
      return systemHasher.sha256(bytes)
    }
  }
  const owner = { database: DATABASE, publicKey: OWNER_SIGNER.publicKey }
  const location = await folder.next()
  const store = await openLevelStore({ location, owner, hasher, rng: systemRng, create: true })
  const database = databaseOn(store)
  await database.append([{ data: 'before' }])
  const view = await database.views.define({
    name: 'all',
    map: ({ data }: { data: string }, emit) => emit(data)
  })
  expect((await view.query()).rows).toHaveLength(1)
  await database.append([{ data: 'behind' }])
  expect((await view.query()).rows).toHaveLength(2)
  for await (const { data } of database.range()) expect(data).toMatch(/before|behind/)
  expect((await database.changesPage()).changes.map(({ event }) => event.data)).toContain('behind')
  expect([...hashed].filter((text) => text.includes('"data"'))).toEqual([])
  const [before] = await scanAll(store)
  expect([before?.hash.length, hashed.has('{"data":"before"}')]).toEqual([32, true])
  await database.close()
  await folder.remove()
})
