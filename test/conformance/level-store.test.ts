/** The store on disk alone: what it says of a directory that is locked, lost, newer or damaged. */

import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { readFile, readdir, rm, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'

import { ClassicLevel } from 'classic-level'

import { present } from '../../src/core/assert.ts'
import type { CommitEvent } from '../../src/core/commit.ts'
import { systemClock } from '../../src/node/system.ts'
import { EVENT_HEADER_BYTES } from '../../src/store/event-record.ts'
import type { CommitSlice, EventStore, StoredCommit } from '../../src/store/event-store.ts'
import {
  COUNTERS_KEY,
  IDENTITY_KEY,
  STORE_FORMAT,
  conflictRecordKey,
  eventRecordKey
} from '../../src/store/key-layout.ts'
import { openNodeStore } from '../../src/store/node-store.ts'
import { KIND } from '../../src/store/record-name.ts'
import { withRaw } from '../fixtures/raw-level.ts'
import type { RawLevel } from '../fixtures/raw-level.ts'
import { makeCommits } from '../property/arbitraries.ts'
import { OWNER, fact, key, plan, write } from './event-store-suite.ts'
import { allCommits, collect, dump, scanAll } from './store-dump.ts'
import { createFolder, openAt } from './stores.ts'

const folder = createFolder()
const children: ChildProcess[] = []
let location: string

beforeEach(async () => {
  location = await folder.next()
})
afterEach(async () => {
  for (const child of children.splice(0)) child.kill('SIGKILL')
  await folder.remove()
})

describe('opening', () => {
  test('a store that is not there is lost, unless it is to be made', async () => {
    await expect(openAt(location, OWNER, false)).rejects.toMatchObject({ code: LOST })
    // LevelDB leaves its lock and its diary, and no store.
    expect((await readdir(location)).toSorted()).toEqual(['LOCK', 'LOG'])
    await (await openAt(location, OWNER, true)).close()
    await (await openAt(location, OWNER, false)).close()
  })

  test('a store without its CURRENT file is lost, and nothing of it is deleted', async () => {
    await fill(location)
    await rm(join(location, 'CURRENT'))
    const before = await readdir(location)
    await expect(openAt(location, OWNER, false)).rejects.toMatchObject({ code: LOST })
    const after = await readdir(location)
    const kept = (names: string[]): string[] =>
      names.filter((name) => !name.startsWith('LO')).toSorted()
    expect(kept(after)).toEqual(kept(before))
  })

  test('an empty store where one with events was is lost', async () => {
    const raw = new ClassicLevel(location)
    await raw.open()
    await raw.close()
    await expect(openAt(location, OWNER, false)).rejects.toMatchObject({ code: LOST })
  })

  test('a store that another process has open is locked', async () => {
    await fill(location)
    const holder = await openInChild(location)
    await expect(openAt(location, OWNER, false)).rejects.toMatchObject({ code: LOCKED })
    holder.kill('SIGKILL')
    await once(holder, 'exit')
    await (await openAt(location, OWNER, false)).close()
  })

  test('a store of a newer format is refused, saying so, and is left as it is', async () => {
    await fill(location)
    const newer = JSON.stringify({ format: STORE_FORMAT + 1, incarnation: 'x', nonce: '00' })
    await withRaw(location, (raw) => raw.put(IDENTITY_KEY, Buffer.from(newer)))
    await expect(openAt(location, OWNER, false)).rejects.toMatchObject({ code: FORMAT })
    await withRaw(location, async (raw) => {
      expect((await raw.get(IDENTITY_KEY))?.toString()).toBe(newer)
    })
  })

  test('a store with a damaged CURRENT or MANIFEST is corrupt', async () => {
    await fill(location)
    const names = await readdir(location)
    for (const name of ['CURRENT', ...names.filter((each) => each.startsWith('MANIFEST'))]) {
      const file = join(location, name)
      const bytes = await readFile(file)
      await writeFile(file, Buffer.from(bytes.map((byte) => byte ^ 0x55)))
      await expect(openAt(location, OWNER, false), name).rejects.toMatchObject({ code: CORRUPT })
      await writeFile(file, bytes)
    }
    await (await openAt(location, OWNER, false)).close()
  })

  test('a store whose own records cannot be read is corrupt', async () => {
    await fill(location)
    const damages: [Buffer, Buffer][] = [
      [IDENTITY_KEY, Buffer.from('{"format":1,')],
      [IDENTITY_KEY, Buffer.from('{"format":"1"}')],
      [IDENTITY_KEY, Buffer.from('{"format":1,"incarnation":"0011223344556677","nonce":"00"}')],
      [COUNTERS_KEY, Buffer.alloc(3)],
      [Buffer.from([0x04, 0, 0, 0, 0]), Buffer.alloc(93)],
      [Buffer.from([0x04, 0, 0, 0, 7]), Buffer.alloc(94)]
    ]
    for (const [name, damaged] of damages) {
      let kept: Buffer | undefined
      await withRaw(location, async (raw) => {
        kept = await raw.get(name)
        await raw.put(name, damaged)
      })
      const opening = openAt(location, OWNER, false)
      await expect(opening, damaged.toString()).rejects.toMatchObject({ code: CORRUPT })
      await withRaw(location, (raw) => (kept === undefined ? raw.del(name) : raw.put(name, kept)))
    }
    await (await openAt(location, OWNER, false)).close()
  })
})

describe('reading', () => {
  test('a value with one bit changed is refused wherever it is read, and others are not', async () => {
    await fill(location)
    await withRaw(location, async (raw) => {
      const record = present(await raw.get(eventRecordKey(key(2))), 'a record')
      const at = EVENT_HEADER_BYTES + 3
      record[at] = (record[at] ?? 0) ^ 1
      await raw.put(eventRecordKey(key(2)), record)
    })
    const store = await openAt(location, OWNER, false)
    const commits = await allCommits(store)
    const slices = commits.map((commit) => ({ commit, from: 0, to: commit.keys.length }))
    const reads = [
      store.getMany([key(1), key(2)]),
      store.getAll(key(2)),
      store.readEvents(slices),
      scanAll(store),
      scanAll(store, { from: key(2), reverse: true })
    ]
    for (const read of await Promise.allSettled(reads)) {
      expect(read).toMatchObject({ status: 'rejected', reason: { code: CORRUPT } })
    }
    expect((await store.getMany([key(1), key(3)])).every((event) => event !== undefined)).toBe(true)
    expect((await scanAll(store, { to: key(2) })).length).toBe(1)
    await store.close()
  })

  test('a record cut short is refused', async () => {
    await fill(location)
    await withRaw(location, (raw) => raw.put(eventRecordKey(key(2)), Buffer.alloc(20)))
    const store = await openAt(location, OWNER, false)
    await expect(store.getMany([key(2)])).rejects.toMatchObject({ code: CORRUPT })
    await expect(scanAll(store)).rejects.toMatchObject({ code: CORRUPT })
    await store.close()
  })

  test('an event that is in a commit and not in the store is refused, not left out', async () => {
    await fill(location)
    await withRaw(location, (raw) => raw.del(eventRecordKey(key(2))))
    const store = await openAt(location, OWNER, false)
    const commits = await allCommits(store)
    const slices = commits.map((commit) => ({ commit, from: 0, to: commit.keys.length }))
    await expect(store.readEvents(slices)).rejects.toMatchObject({ code: CORRUPT })
    await store.close()
  })
})

describe('writing', () => {
  test('all of a batch is there after a kill, or nothing of it', async () => {
    await fill(location)
    const holder = await openInChild(location, 'db.batch(BATCH, { sync: true })')
    holder.kill('SIGKILL')
    await once(holder, 'exit')
    await withRaw(location, async (raw) => {
      const markers = await collect(raw.keys({ gte: Buffer.from([0x05]), lt: Buffer.from([0x06]) }))
      expect([0, 1_000]).toContain(markers.length)
    })
    await (await openAt(location, OWNER, false)).close()
  })

  test('a write that failed changes nothing that the store answers', async () => {
    const store = await fill(location, true)
    const before = await dump(store)
    await store.close()
    await expect(write(store, [plan(2, [fact(9)])])).rejects.toMatchObject({
      code: 'LATERBASE_STORE_FAILED'
    })
    const reopened = await openAt(location, OWNER, false)
    expect(await dump(reopened)).toEqual(before)
    await reopened.close()
  })

  test('grows what the directory takes on disk', async () => {
    const store = await openAt(location, OWNER)
    const before = await store.diskBytes()
    await write(store, [plan(0, [fact(1)])])
    expect(await store.diskBytes()).toBeGreaterThan(before)
    await store.close()
  })
})

describe('many contents of one key', () => {
  const COUNT = 400
  const one = (from: number): CommitEvent[] =>
    Array.from({ length: COUNT }, (_, index) => fact(1, from + index))
  const whole = (commit: StoredCommit): CommitSlice => {
    return { commit, from: 0, to: commit.keys.length }
  }

  test('cost about as many reads as as many keys', async () => {
    const counts: number[][] = []
    const spread = (from: number): CommitEvent[] => one(from).map((_, index) => fact(from + index))
    for (const events of [spread, one]) {
      const { store, reads } = await openCounting(await folder.next())
      const commits = makeCommits([plan(0, events(0)), plan(1, events(COUNT)), plan(2, events(0))])
      const writes: number[] = []
      for (const commit of commits) {
        writes.push(await reads(() => store.write({ commits: [commit], clockCeiling: 0n })))
      }
      const stored = await allCommits(store)
      const page = await reads(() => store.readEvents(stored.map(whole)))
      counts.push([...writes, page])
      await store.close()
    }
    const [asKeys, asContents] = counts
    expect(asKeys).toEqual([0, 0, COUNT, 2 * COUNT])
    for (const count of present(asContents, 'two counts')) {
      expect(count).toBeLessThanOrEqual(3 * COUNT + 1)
    }
  })

  test('cost one more of them no more than a few reads, and a few records to write', async () => {
    const { store, reads } = await openCounting(location)
    const [many, more] = makeCommits([plan(0, one(0)), plan(0, [fact(1, COUNT)])])
    await store.write({ commits: [present(many, 'a commit')], clockCeiling: 0n })
    const before = await store.diskBytes()
    const commits = [present(more, 'a commit')]
    expect(await reads(() => store.write({ commits, clockCeiling: 0n }))).toBeLessThanOrEqual(2)
    expect((await store.diskBytes()) - before).toBeLessThan(2_000)
    const [, last] = await allCommits(store)
    const slices = [whole(present(last, 'a commit'))]
    expect(await reads(() => store.readEvents(slices))).toBeLessThanOrEqual(2)
    await store.close()
  })

  test('without the record of which came first are refused, not guessed', async () => {
    const store = await openAt(location, OWNER)
    await write(store, [plan(0, one(0))])
    await store.close()
    await withRaw(location, (raw) => raw.del(conflictRecordKey(key(1))))
    const damaged = await openAt(location, OWNER, false)
    const slices = (await allCommits(damaged)).map(whole)
    await expect(damaged.readEvents(slices)).rejects.toMatchObject({ code: CORRUPT })
    await damaged.close()
  })
})

describe('the node store', () => {
  test('keeps named values across a reopening', async () => {
    const store = await openNodeStore(location, true, { clock: systemClock })
    expect(await store.get('databases')).toBeUndefined()
    await store.put('databases', { yard: 'open', __proto__: 1 })
    await store.put('databases', { yard: 'forgotten' })
    await store.close()
    await store.close()
    const reopened = await openNodeStore(location, false, { clock: systemClock })
    expect(await reopened.get('databases')).toEqual({ yard: 'forgotten' })
    await reopened.close()
  })

  test('that is not there is lost, and can be made afterwards', async () => {
    await expect(openNodeStore(location, false, { clock: systemClock })).rejects.toMatchObject({
      code: LOST
    })
    await (await openNodeStore(location, true, { clock: systemClock })).close()
  })
})

const LOST = 'LATERBASE_STORE_LOST'
const LOCKED = 'LATERBASE_STORE_LOCKED'
const FORMAT = 'LATERBASE_STORE_FORMAT'
const CORRUPT = 'LATERBASE_STORE_CORRUPT'

/** Three events in two commits; one of them in both. */
async function fill(at: string, stayOpen = false): Promise<EventStore> {
  const store = await openAt(at, OWNER)
  await write(store, [plan(0, [fact(1), fact(2)]), plan(1, [fact(2), fact(3)])])
  if (!stayOpen) await store.close()
  return store
}

/** A store that tells how many values an operation read: each that is read is hashed. */
/** A store, and how many records of events an operation has LevelDB give. */
async function openCounting(at: string): Promise<{
  readonly store: EventStore
  readonly reads: (operation: () => Promise<unknown>) => Promise<number>
}> {
  const store = await openAt(at, OWNER)
  const { getMany, iterator } = ClassicLevel.prototype as RawLevel
  const reads = async (operation: () => Promise<unknown>): Promise<number> => {
    let count = 0
    const isOfEvent = (key: unknown): boolean => Buffer.isBuffer(key) && key[0] === KIND.event
    const lookups = vi.spyOn(ClassicLevel.prototype as RawLevel, 'getMany')
    lookups.mockImplementation(async function (
      this: RawLevel,
      keys: unknown[],
      options: object = {}
    ) {
      const records = await getMany.call(this, keys, options)
      for (const [index, record] of records.entries()) {
        if (record !== undefined && isOfEvent(keys[index])) count += 1
      }
      return records
    })
    const iterators = vi.spyOn(ClassicLevel.prototype as RawLevel, 'iterator')
    iterators.mockImplementation(function (this: RawLevel, options) {
      const opened = iterator.call(this, options)
      const { nextv } = opened
      opened.nextv = async (size: number) => {
        const entries = await nextv.call(opened, size)
        for (const [key] of entries) if (isOfEvent(key)) count += 1
        return entries
      }
      return opened
    })
    await operation()
    lookups.mockRestore()
    iterators.mockRestore()
    return count
  }
  return { store, reads }
}

/** A process that has the directory open until it is killed; resolves once it has. */
async function openInChild(at: string, then = ''): Promise<ChildProcess> {
  const child = spawnHolder(at, then)
  const stdout = present(child.stdout ?? undefined, 'its output')
  await once(stdout, 'data')
  return child
}

function spawnHolder(at: string, then = ''): ChildProcess {
  const classicLevel = createRequire(import.meta.url).resolve('classic-level')
  const script = `
    const { ClassicLevel } = require(${JSON.stringify(classicLevel)})
    const encoding = { keyEncoding: 'buffer', valueEncoding: 'buffer' }
    const db = new ClassicLevel(${JSON.stringify(at)}, { ...encoding, createIfMissing: false })
    const value = Buffer.alloc(4_000)
    const BATCH = Array.from({ length: 1_000 }, (_, index) => {
      return { type: 'put', key: Buffer.from([5, index >> 8, index & 255]), value }
    })
    db.open().then(
      () => { ${then}; console.log('open'); setInterval(() => undefined, 1_000) },
      () => process.exit(3)
    )`
  const child = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'ignore'] })
  children.push(child)
  return child
}
