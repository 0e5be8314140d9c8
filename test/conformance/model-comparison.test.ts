/** The store on disk answers every question as its plain twin in memory does, also when reopened. */

import fc from 'fast-check'
import { afterEach, describe, expect, test } from 'vitest'

import type { Commit } from '../../src/core/commit.ts'
import type { EventStore } from '../../src/store/event-store.ts'
import { commitPlans, makeCommits } from '../property/arbitraries.ts'
import { forests } from '../property/forest.ts'
import { OWNER } from './event-store-suite.ts'
import { batchOf, dump } from './store-dump.ts'
import { MEMORY, createFolder, openAt } from './stores.ts'

const folder = createFolder()
afterEach(() => folder.remove())

/**
 * Commits of several logs, cut into batches: events repeat, contradict, and go back in time; logs
 * are forked.
 */
const histories = fc
  .tuple(
    fc.oneof(commitPlans().map(makeCommits), forests(8)),
    fc.infiniteStream(fc.integer({ min: 1, max: 3 }))
  )
  .map(([commits, sizes]) => {
    const batches: Commit[][] = []
    for (let at = 0; at < commits.length;) {
      const size = sizes.next().value
      batches.push(commits.slice(at, at + size))
      at += size
    }
    return batches
  })

describe('ClassicLevel and memory', () => {
  test('give the same answers after every batch', async () => {
    await fc.assert(
      fc.asyncProperty(histories, async (batches) => {
        const stores = [await MEMORY.open(OWNER), await openAt(await folder.next(), OWNER)]
        for (const [index, commits] of batches.entries()) {
          for (const store of stores) {
            await store.write(await batchOf(store, commits, BigInt(index)))
          }
          const [memory, level] = await Promise.all(stores.map(dump))
          expect(level).toEqual(memory)
        }
        for (const store of stores) await store.close()
      }),
      { numRuns: 25 }
    )
  })

  test('give the same answers after the one on disk was reopened, and go on from there', async () => {
    await fc.assert(
      fc.asyncProperty(histories, fc.nat(), async (batches, cut) => {
        const location = await folder.next()
        const memory = await MEMORY.open(OWNER)
        let level: EventStore = await openAt(location, OWNER)
        const { incarnation, ownLog } = level
        for (const [index, commits] of batches.entries()) {
          if (index === cut % Math.max(1, batches.length)) {
            await level.close()
            level = await openAt(location, OWNER, false)
          }
          for (const store of [memory, level]) {
            await store.write(await batchOf(store, commits, BigInt(index)))
          }
        }
        await level.close()
        level = await openAt(location, OWNER, false)
        expect(await dump(level)).toEqual(await dump(memory))
        expect([level.incarnation, level.ownLog.id]).toEqual([incarnation, ownLog.id])
        await level.close()
      }),
      { numRuns: 15 }
    )
  })

  test('write another log after a batch that renews it, also when reopened', async () => {
    const location = await folder.next()
    const [memory, level] = [await MEMORY.open(OWNER), await openAt(location, OWNER)]
    const renewal = { incarnation: '0011223344556677', nonce: new Uint8Array(16).fill(5) }
    const origins = []
    for (const store of [memory, level]) {
      const before = store.ownLog.id
      await store.write({ commits: [], clockCeiling: 1n, renewal })
      expect(store.ownLog.id).not.toBe(before)
      expect([store.incarnation, store.ownLog.genesis.nonce]).toEqual(Object.values(renewal))
      origins.push(store.ownLog.id)
      await store.close()
    }
    const reopened = await openAt(location, OWNER, false)
    expect(new Set([...origins, reopened.ownLog.id]).size).toBe(1)
    expect(reopened.incarnation).toBe(renewal.incarnation)
    await reopened.close()
  })
})
