/** Cursors: both forms give the position back, on the store that they are of. */

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'

import type { Commit, LogId } from '../../src/core/commit.ts'
import type { EventStore } from '../../src/store/event-store.ts'
import { createMemoryStore } from '../../src/store/memory-store.ts'
import { headPosition, portableCursor, readCursor, shortCursor } from '../../src/node/cursor.ts'
import { systemHasher } from '../../src/node/system.ts'
import { DATABASE, SIGNERS, commitPlans, makeCommits, seededRng } from './arbitraries.ts'

/** A store with some history, and a place in it that may lie inside a commit. */
const places = fc.tuple(commitPlans(), fc.infiniteStream(fc.nat())).map(([plans, chance]) => {
  const store = newStore(1)
  const commits = makeCommits(plans)
  const heads = new Map<LogId, number>()
  for (const { origin, firstSeq, events } of commits) {
    heads.set(origin.id, firstSeq + events.length - 1)
  }
  const position = new Map(
    [...heads].map(([log, seq]) => [log, chance.next().value % (seq + 1)] as const)
  )
  return { store, commits, position }
})

describe('a cursor', () => {
  test('gives its position back in the short and in the portable form', async () => {
    await fc.assert(
      fc.asyncProperty(places, async ({ store, commits, position }) => {
        await write(store, commits)
        const expected = new Map([...position].filter(([, seq]) => seq > 0))
        const short = shortCursor(position, store)
        expect(short).toMatch(/^s[\w-]+$/)
        expect(await readCursor(short, store)).toEqual(expected)
        expect(await readCursor(portableCursor(position), store)).toEqual(expected)
      })
    )
  })

  test('stays good while the store grows', async () => {
    await fc.assert(
      fc.asyncProperty(places, fc.nat(), async ({ store, commits }, cut) => {
        const early = commits.slice(0, cut % (commits.length + 1))
        await write(store, early)
        const [position, cursor] = [headPosition(store), shortCursor(headPosition(store), store)]
        await write(store, commits.slice(early.length))
        expect(await readCursor(cursor, store)).toEqual(position)
      })
    )
  })

  test('in the portable form is good on a node that took the logs in another order', async () => {
    await fc.assert(
      fc.asyncProperty(places, async ({ commits, position }) => {
        const other = newStore(2)
        const logs = [...new Set(commits.map(({ origin }) => origin.id))].toReversed()
        for (const log of logs) {
          await write(
            other,
            commits.filter(({ origin }) => origin.id === log)
          )
        }
        const expected = new Map([...position].filter(([, seq]) => seq > 0))
        expect(await readCursor(portableCursor(position), other)).toEqual(expected)
      })
    )
  })

  test('of logs that the store does not know is portable', async () => {
    const store = newStore(1)
    const commits = makeCommits([{ signer: 0, events: EVENTS, laterBy: 1 }])
    const position = new Map(commits.map(({ origin }) => [origin.id, 1]))
    const cursor = shortCursor(position, store)
    expect(cursor).toBe(portableCursor(position))
    expect(await readCursor(cursor, store)).toEqual(position)
  })

  test('in the short form is refused by another store, saying so', async () => {
    const [one, other] = [newStore(1), newStore(2)]
    const cursor = shortCursor(new Map(), one)
    await expect(readCursor(cursor, other)).rejects.toMatchObject({ code: FOREIGN })
  })

  test('in the short form is refused by its own store restored to before it', async () => {
    const [store, restored] = [newStore(1), newStore(1)]
    await write(store, makeCommits([{ signer: 0, events: EVENTS, laterBy: 1 }]))
    const cursor = shortCursor(headPosition(store), store)
    await expect(readCursor(cursor, restored)).rejects.toMatchObject({ code: FOREIGN })
  })

  test('that is any other text is refused, and never read as a place', async () => {
    const store = newStore(1)
    await write(store, makeCommits([{ signer: 0, events: EVENTS, laterBy: 1 }]))
    const text = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 30 }),
      fc.stringMatching(/^[sv][\w-]{0,40}$/)
    )
    const good = shortCursor(headPosition(store), store)
    await fc.assert(
      fc.asyncProperty(
        fc.oneof(
          text,
          text.map((more) => good + more)
        ),
        async (cursor) => {
          try {
            const position = await readCursor(cursor, store)
            for (const seq of position.values()) expect(Number.isSafeInteger(seq)).toBe(true)
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
  const log = commits.map(({ origin }) => origin.id)[0] as LogId
  expect(await readCursor('0', store)).toEqual(new Map())
  expect(await readCursor('now', store)).toEqual(new Map([[log, 6]]))
  expect(await readCursor('1970-01-01T00:00:01Z', store)).toEqual(new Map([[log, 0]]))
  expect(await readCursor('1970-01-01T00:00:01.001Z', store)).toEqual(new Map([[log, 2]]))
  expect(await readCursor('1970-01-01T00:00:03Z', store)).toEqual(new Map([[log, 4]]))
  expect(await readCursor('2000-01-01T00:00:00Z', store)).toEqual(new Map([[log, 6]]))
})

const FOREIGN = 'LATERBASE_CURSOR_FOREIGN'
const EVENTS = [1, 2].map((value) => {
  const content = Buffer.from(`{"data":${value}}`)
  const key = new Uint8Array(16).fill(value) as Commit['events'][number]['key']
  return { key, value: content, hash: systemHasher.sha256(content) }
})

function newStore(seed: number): EventStore {
  const owner = { database: DATABASE, publicKey: SIGNERS[0]?.publicKey ?? new Uint8Array(32) }
  return createMemoryStore({ owner, hasher: systemHasher, rng: seededRng(seed) })
}

async function write(store: EventStore, commits: readonly Commit[]): Promise<void> {
  await store.write({ commits, clockCeiling: 0n })
}
