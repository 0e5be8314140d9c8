/** The store on disk answers every question as its plain twin in memory does, also when reopened. */

import fc from 'fast-check'
import { afterEach, describe, expect, test } from 'vitest'

import type { Commit } from '../../src/core/commit.ts'
import type { EventStore } from '../../src/store/event-store.ts'
import { commitPlans, makeCommits } from '../property/arbitraries.ts'
import { OWNER } from './event-store-suite.ts'
import { dump } from './store-dump.ts'
import { MEMORY, createFolder, openAt } from './stores.ts'

const folder = createFolder()
afterEach(() => folder.remove())

/** Commits of several logs, cut into batches: events repeat, contradict, and go back in time. */
const histories = fc
  .tuple(commitPlans(), fc.infiniteStream(fc.integer({ min: 1, max: 3 })))
  .map(([plans, sizes]) => {
    const commits = makeCommits(plans)
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
          const batch = { commits, clockCeiling: BigInt(index) }
          for (const store of stores) await store.write(batch)
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
          const batch = { commits, clockCeiling: BigInt(index) }
          for (const store of [memory, level]) await store.write(batch)
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
})
