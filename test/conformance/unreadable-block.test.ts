/**
 * A block of a table that LevelDB cannot make sense of. Its iterators go on behind it and say so in the end: what is
 * read here is what was written up to there, and then an error, whoever reads however little.
 */

import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'

import { present } from '../../src/core/assert.ts'
import type { DerivedRecord, DerivedStore } from '../../src/store/derived-store.ts'
import type { EventStore, StoredCommit } from '../../src/store/event-store.ts'
import { openDerivedStore } from '../../src/store/level-derived-store.ts'
import { damageBlock } from '../fixtures/raw-level.ts'
import { OWNER, fact, key, plan, write } from './event-store-suite.ts'
import { collect, readUntilError, scanAll, shownEvent } from './store-dump.ts'
import { createFolder, openAt } from './stores.ts'

const CORRUPT = { code: 'LATERBASE_STORE_CORRUPT' }
const folder = createFolder()
const COUNT = 600
let location: string

beforeEach(async () => {
  location = await folder.next()
})
afterEach(async () => {
  await folder.remove()
})

describe('events', () => {
  let store: EventStore
  let stored: readonly unknown[]

  beforeEach(async () => {
    store = await openAt(location, OWNER)
    await write(store, [
      plan(
        0,
        Array.from({ length: COUNT }, (_, at) => fact(at + 1))
      )
    ])
    stored = (await scanAll(store)).map(shownEvent)
    await store.close()
    await damageBlock(location, 1 / 4)
    store = await openAt(location, OWNER, false)
  })
  afterEach(async () => {
    await store.close()
  })

  test.each([{}, { reverse: true }])(
    'are scanned up to it, and none behind it: %j',
    async (way) => {
      const expected = 'reverse' in way ? stored.toReversed() : stored
      for (const chunk of [1, 7, 100, COUNT]) {
        const read = await readUntilError(store.scan({ ...way, chunk }))
        expect(read.error).toMatchObject(CORRUPT)
        expect(read.events.map(shownEvent)).toEqual(expected.slice(0, read.events.length))
        expect(read.events.length).toBeLessThan(COUNT)
        if (chunk < 100) expect(read.events.length).toBeGreaterThan(0)
      }
    }
  )

  test('are scanned up to it from any place, and whole where they do not reach it', async () => {
    const before = (await readUntilError(store.scan({ chunk: 1 }))).events.length
    const behind = (await readUntilError(store.scan({ chunk: 1, reverse: true }))).events.length
    expect(before).toBeGreaterThan(0)
    expect(behind).toBeGreaterThan(0)
    expect(before + behind).toBeLessThan(COUNT)
    const place = fc.nat(COUNT)
    let whole = 0
    await fc.assert(
      fc.asyncProperty(place, place, fc.integer({ min: 1, max: 90 }), async (one, other, chunk) => {
        const [from, to] = [Math.min(one, other), Math.max(one, other)]
        const range = { from: key(from + 1), to: key(to + 1), chunk }
        const { events, error } = await readUntilError(store.scan(range))
        const meant = stored.slice(from, to)
        expect(events.map(shownEvent)).toEqual(meant.slice(0, events.length))
        const isBeside = to <= before || from >= COUNT - behind
        if (error !== undefined) expect([error, isBeside]).toMatchObject([CORRUPT, false])
        else expect(events.length).toBe(meant.length)
        if (isBeside && meant.length > 0) whole += 1
      }),
      { numRuns: 60 }
    )
    expect(whole).toBeGreaterThan(5)
  })
})

/** A store of commits of one event each, a block of which was damaged so far into its table. */
async function damagedCommits(share: number): Promise<EventStore> {
  const store = await openAt(location, OWNER)
  const facts = Array.from({ length: COUNT }, (_, at) => fact(at + 1))
  await write(
    store,
    facts.map((each) => plan(0, [each]))
  )
  await store.close()
  await damageBlock(location, share)
  return openAt(location, OWNER, false)
}

test.each([0.25, 0.6, 0.9])(
  'a check says that the store has to be made anew, and ends: %d of the way',
  async (share) => {
    const store = await damagedCommits(share)
    const [first] = (await collect(store.check({}))).filter(({ type }) => type !== 'progress')
    const detail = expect.stringContaining('is damaged') as string
    expect(first).toMatchObject({ type: 'rebuild', detail })
    await store.close()
  }
)

test('commits behind it are not given as those that follow', async () => {
  // Events are some third of the records, and are first.
  const store = await damagedCommits(0.6)
  const log = present(store.logs()[0], 'a log')
  let failed = 0
  for (const countMax of [1, 3, 50, COUNT]) {
    for (let afterSeq = 0; afterSeq < COUNT; afterSeq += 1) {
      const read = await store.commits(log, afterSeq, countMax).catch((error: unknown) => error)
      if (Array.isArray(read)) {
        const seqs = (read as StoredCommit[]).map(({ firstSeq }) => firstSeq)
        expect(seqs).toEqual(seqs.map((_, at) => afterSeq + 1 + at))
        expect(seqs.length).toBe(Math.min(countMax, COUNT - afterSeq))
        continue
      }
      failed += 1
      expect(read).toMatchObject(CORRUPT)
    }
  }
  expect(failed).toBeGreaterThan(4)
  await store.close()
})

describe('derived records', () => {
  let store: DerivedStore

  beforeEach(async () => {
    store = await openDerivedStore(location)
    await store.write(
      Array.from({ length: COUNT }, (_, at) => ({ key: derivedKey(at), value: valueOf(at) }))
    )
    await store.close()
    await damageBlock(location, 1 / 2)
    store = await openDerivedStore(location)
  })
  afterEach(async () => {
    await store.close()
  })

  test('are read as they were written, or not at all, with any limit and either way', async () => {
    const ways = fc.record({
      from: fc.nat(COUNT),
      to: fc.nat(COUNT),
      reverse: fc.boolean(),
      limit: fc.option(fc.integer({ min: 1, max: COUNT }), { nil: undefined })
    })
    let [failed, read] = [0, 0]
    await fc.assert(
      fc.asyncProperty(ways, async ({ from, to, reverse, limit }) => {
        const bounds = { from: derivedKey(from), to: derivedKey(to), reverse }
        const range = limit === undefined ? bounds : { ...bounds, limit }
        const found = await store.scan(range).catch((error: unknown) => error)
        if (!Array.isArray(found)) {
          failed += 1
          expect(found).toMatchObject(CORRUPT)
          return
        }
        read += 1
        const meant = Array.from({ length: Math.max(0, to - from) }, (_, at) => hex(from + at))
        const ordered = reverse ? meant.reverse() : meant
        const keys = (found as DerivedRecord[]).map((each) => Buffer.from(each.key).toString('hex'))
        expect(keys).toEqual(ordered.slice(0, limit))
      }),
      { numRuns: 200 }
    )
    expect(failed).toBeGreaterThan(10)
    expect(read).toBeGreaterThan(10)
  })

  test('are given in chunks up to it, and none behind it', async () => {
    const keys: string[] = []
    const all = async (): Promise<void> => {
      for await (const records of store.chunks({ from: derivedKey(0), to: derivedKey(COUNT) })) {
        keys.push(...records.map((each) => Buffer.from(each.key).toString('hex')))
      }
    }
    await expect(all()).rejects.toMatchObject(CORRUPT)
    expect(keys).toEqual(keys.map((_, at) => hex(at)))
  })
})

function derivedKey(at: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(at)
  return bytes
}

function hex(at: number): string {
  return derivedKey(at).toString('hex')
}

/** Of bytes that do not become fewer. */
function valueOf(at: number): Buffer {
  return Buffer.from(
    Array.from({ length: 100 }, (_, index) => (at * 7919 + index * index * 31) & 255)
  )
}
