/** Cursors: both forms give the position back, on the store that they are of. */

import fc from 'fast-check'
import { describe, expect, test, vi } from 'vitest'

import type { Commit } from '../../src/core/commit.ts'
import type { EventStore } from '../../src/store/event-store.ts'
import { createMemoryStore } from '../../src/store/memory-store.ts'
import { headCursor, portableCursor, readCursor, shortCursor } from '../../src/node/cursor.ts'
import { headPosition, pass, placesOf, settle, tagsOf } from '../../src/node/position.ts'
import type { Position } from '../../src/node/position.ts'
import { systemHasher } from '../../src/node/system.ts'
import { DATABASE, SIGNERS, makeCommits, seededRng } from './arbitraries.ts'
import { databaseOf, fetchInto, forests, withAncestors } from './forest.ts'

/** A forest of commits, and for each log or branch how much of it was read. */
const histories = fc.tuple(forests(), fc.infiniteStream(fc.nat()))

/** Some position in a store: whatever a branch grew from is passed with it. */
function somePosition(store: EventStore, chance: Iterator<number>): Map<number, number> {
  const position = new Map<number, number>()
  for (const log of store.logs()) {
    const from = log.fork?.seq ?? 0
    const seq = from + (Number(chance.next().value) % (log.tip.seq - from + 1))
    if (seq > from) pass(position, store.logs(), { log, seq })
  }
  return position
}

describe('a cursor', () => {
  test('gives its position back in the short and in the portable form', async () => {
    await fc.assert(
      fc.asyncProperty(histories, async ([commits, chance]) => {
        const { store } = await databaseOf(commits)
        const passed = somePosition(store, chance)
        const short = shortCursor(passed, await tagsOf(store, passed), store)
        expect(short).toMatch(/^s[\w-]+$/)
        expect(await readPassed(short, store)).toEqual(entered(passed, store))
        const cursor = await portable(store, passed)
        expect(entered(await readPassed(cursor, store), store)).toEqual(entered(passed, store))
      })
    )
  })

  test('stays good while the store grows', async () => {
    await fc.assert(
      fc.asyncProperty(histories, fc.nat(), async ([commits], cut) => {
        const early = commits.slice(0, cut % (commits.length + 1))
        const database = await databaseOf(early)
        const position = headPosition(database.store)
        const cursors = [headCursor(database.store), await portable(database.store, position)]
        await database.merge(commits)
        for (const cursor of cursors) {
          expect(await readPassed(cursor, database.store)).toEqual(position)
        }
      })
    )
  })

  test('in the portable form is good on a node that took the logs in another order', async () => {
    await fc.assert(
      fc.asyncProperty(histories, async ([commits, chance]) => {
        const [one, other] = [await databaseOf(commits), await databaseOf([], { seed: 2 })]
        const logs = [...new Set(commits.map(({ origin }) => origin.id))].toReversed()
        for (const log of logs) {
          await other.merge(commits.filter(({ origin }) => origin.id === log))
        }
        const cursor = await portable(one.store, somePosition(one.store, chance))
        const { passed, beyond } = await readCursor(cursor, other.store)
        expect(beyond).toEqual([])
        expect(await portable(other.store, passed)).toBe(cursor)
      })
    )
  })

  test('of logs that the store does not know keeps them until it does', async () => {
    const plan = { signer: 0, events: EVENTS, laterBy: 1 }
    const [known, unknown] = [await databaseOf(makeCommits([plan])), await databaseOf([])]
    const cursor = await portable(known.store, headPosition(known.store))
    const page = await unknown.changesPage({ since: cursor })
    expect([page.lastLc, page.lastVersion]).toEqual([cursor, cursor])
    await unknown.merge(makeCommits([plan]))
    expect(await unknown.changesPage({ since: cursor })).toMatchObject({ changes: [], pending: 0 })
  })

  test('in the short form means the same commits on another store, or is refused', async () => {
    const outcomes = new Set<string>()
    await fc.assert(
      fc.asyncProperty(
        histories,
        fc.infiniteStream(fc.boolean()),
        async ([commits, chance], keep) => {
          const copies = [1, 2].map(() =>
            withAncestors(
              commits,
              commits.filter(() => keep.next().value)
            )
          )
          const [one, other] = [
            await databaseOf(copies[0] ?? []),
            await databaseOf(copies[1] ?? [])
          ]
          const passed = somePosition(one.store, chance)
          const short = shortCursor(passed, await tagsOf(one.store, passed), one.store)
          try {
            const there = await readPassed(short, other.store)
            expect(await portable(other.store, there)).toBe(await portable(one.store, passed))
            if (passed.size > 0) outcomes.add('taken')
          } catch (error) {
            expect(error).toMatchObject({ code: FOREIGN })
            outcomes.add('refused')
          }
        }
      )
    )
    expect([...outcomes].sort()).toEqual(['refused', 'taken'])
  })

  test('in the short form tells apart how far each of two commits was read', async () => {
    const [one = [], other = []] = [0, 1].map((signer) => {
      const events = [1, 2, 3].map((value) => eventOf(signer * 10 + value))
      return makeCommits([{ signer, events, laterBy: 1 }])
    })
    const [here, there] = [newStore(1), newStore(2)]
    await write(here, [...one, ...other])
    await write(there, [...other, ...one])
    const passed = new Map([
      [0, 3],
      [1, 2]
    ])
    const cursor = shortCursor(passed, await tagsOf(here, passed), here)
    expect(await readPassed(cursor, here)).toEqual(passed)
    await expect(readCursor(cursor, there)).rejects.toMatchObject({ code: FOREIGN })
  })

  test('of a branch that was lost does not hide what other copies of the log hold', async () => {
    // Copies of one disk: each writes on in the same log.
    const [lost, ...copies] = await Promise.all([1, 2, 3].map(() => databaseOf([])))
    for (const n of [1, 2, 3]) await lost?.append({ data: `lost ${n}` })
    const since = (await lost?.changesPage())?.lastVersion ?? ''
    const third = await databaseOf([], { seed: 2 })
    for (const [index, copy] of copies.entries()) {
      await copy.append({ data: `copy ${index}` })
      const { changes } = await copy.changesPage({ since })
      expect(changes.map(({ event }) => event.data)).toEqual([`copy ${index}`])
      await fetchInto(third, copy)
    }
    const { changes } = await third.changesPage({ since })
    expect(new Set(changes.map(({ event }) => event.data))).toEqual(new Set(['copy 0', 'copy 1']))
  })

  test('costs one look at the store for each place that is not at a tip, in either form', async () => {
    const database = await databaseOf([0, 1].flatMap((signer) => threeCommits(signer)))
    const { store } = database
    const passed = new Map([
      [0, 2],
      [1, 4]
    ])
    const short = shortCursor(passed, await tagsOf(store, passed), store)
    const looks = vi.spyOn(store, 'commits')
    for (const cursor of [short, await portable(store, passed)]) {
      looks.mockClear()
      const settled = await settle(store, await readCursor(cursor, store))
      await tagsOf(store, settled.passed, settled.tags)
      expect(looks).toHaveBeenCalledTimes(2)
    }
  })

  test('in the short form is refused by its own store restored to before it', async () => {
    const [store, restored] = [newStore(1), newStore(1)]
    const commits = makeCommits([1, 2, 3].map(() => ({ signer: 0, events: EVENTS, laterBy: 1 })))
    await write(store, commits.slice(0, 2))
    await write(restored, commits.slice(0, 1))
    const cursor = headCursor(store)
    await expect(readCursor(cursor, restored)).rejects.toMatchObject({ code: FOREIGN })
    await write(restored, commits.slice(1))
    expect(await readPassed(cursor, restored)).toEqual(new Map([[0, 4]]))
  })

  test('that is any other text is refused, and never read as a place', async () => {
    const store = newStore(1)
    await write(store, makeCommits([{ signer: 0, events: EVENTS, laterBy: 1 }]))
    const text = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 30 }),
      fc.stringMatching(/^[sv][\w-]{0,40}$/)
    )
    const good = headCursor(store)
    await fc.assert(
      fc.asyncProperty(
        fc.oneof(
          text,
          text.map((more) => good + more)
        ),
        async (cursor) => {
          try {
            const { passed } = await readCursor(cursor, store)
            for (const seq of passed.values()) expect(Number.isSafeInteger(seq)).toBe(true)
          } catch (error) {
            expect([FOREIGN, 'LATERBASE_CURSOR_INVALID']).toContain(
              (error as { code: string }).code
            )
          }
        }
      ),
      { numRuns: 500 }
    )
  })
})

test('0 is everything, now is the head, a time is what was recorded before it', async () => {
  const store = newStore(1)
  const plan = { signer: 0, events: EVENTS, laterBy: 65_536 * 1_000 }
  const commits = makeCommits([plan, plan, plan])
  await write(store, commits)
  expect(await readPassed('0', store)).toEqual(new Map())
  expect(await readPassed('now', store)).toEqual(new Map([[0, 6]]))
  expect(await readPassed('1970-01-01T00:00:01Z', store)).toEqual(new Map([[0, 0]]))
  expect(await readPassed('1970-01-01T00:00:01.001Z', store)).toEqual(new Map([[0, 2]]))
  expect(await readPassed('1970-01-01T00:00:03Z', store)).toEqual(new Map([[0, 4]]))
  expect(await readPassed('2000-01-01T00:00:00Z', store)).toEqual(new Map([[0, 6]]))
})

const FOREIGN = 'LATERBASE_CURSOR_FOREIGN'
const EVENTS = [1, 2].map(eventOf)

function eventOf(value: number): Commit['events'][number] {
  const content = Buffer.from(`{"data":${value}}`)
  const key = new Uint8Array(16).fill(value) as Commit['events'][number]['key']
  return { key, value: content, hash: systemHasher.sha256(content) }
}

function threeCommits(signer: number): Commit[] {
  const plan = { signer, laterBy: 1 }
  return makeCommits([1, 2, 3].map((n) => ({ ...plan, events: [2 * n, 2 * n + 1].map(eventOf) })))
}

function newStore(seed: number): EventStore {
  const owner = { database: DATABASE, publicKey: SIGNERS[0]?.publicKey ?? new Uint8Array(32) }
  return createMemoryStore({ owner, hasher: systemHasher, rng: seededRng(seed) })
}

async function write(store: EventStore, commits: readonly Commit[]): Promise<void> {
  await store.write({ commits, clockCeiling: 0n })
}

async function portable(store: EventStore, passed: Position): Promise<string> {
  return portableCursor(placesOf(store, passed, await tagsOf(store, passed)))
}

async function readPassed(cursor: string, store: EventStore): Promise<Position> {
  return (await readCursor(cursor, store)).passed
}

/** Without branches of which nothing was passed but what they grew from. */
function entered(position: Position, store: EventStore): Position {
  return new Map(
    [...position].filter(([number, seq]) => seq > (store.logs()[number]?.fork?.seq ?? 0))
  )
}
