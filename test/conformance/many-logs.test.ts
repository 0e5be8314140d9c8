/** What a write costs does not grow with what is stored already: logs, or places of one event. */

import { afterEach, expect, test } from 'vitest'

import { present } from '../../src/core/assert.ts'
import { systemHasher } from '../../src/node/system.ts'
import { LogDraft, LogTable } from '../../src/store/merge-batch.ts'
import { makeCommits } from '../property/arbitraries.ts'
import { OWNER, fact, key, plan } from './event-store-suite.ts'
import { createFolder, openAt } from './stores.ts'

const folder = createFolder()
afterEach(() => folder.remove())

test('an event in one more commit costs a place, however large it is and however often it stands', async () => {
  const store = await openAt(await folder.next(), OWNER)
  const value = Buffer.from(`{"data":"${'x'.repeat(100_000)}"}`)
  const large = { key: key(1), value, hash: systemHasher.sha256(value) }
  const commits = makeCommits(Array.from({ length: 60 }, () => plan(0, [large])))
  const costs: number[] = []
  for (const commit of commits) {
    const before = await store.diskBytes()
    await store.write({ commits: [commit], clockCeiling: 0n })
    costs.push((await store.diskBytes()) - before)
  }
  // The second one has the record say that there are others.
  for (const cost of costs.slice(2)) expect(cost).toBeLessThan(1_000)
  const [event] = await store.getMany([key(1)])
  expect(await store.occurrences(present(event, 'the event'))).toHaveLength(60)
  await store.close()
})

test('a draft holds what it changes, and its table nothing of it until it is applied', () => {
  const commits = makeCommits([plan(0, [fact(1)]), plan(1, [fact(2)]), plan(0, [fact(3)])])
  const [first, second, third] = commits
  const table = new LogTable([])
  table.extend(present(first, 'a commit'))
  const before = table.all()
  const draft = new LogDraft(table)
  draft.extend(present(second, 'a commit'))
  draft.extend(present(third, 'a commit'))
  expect(table.all()).toBe(before)
  expect(before.map(({ tip }) => tip.seq)).toEqual([1])
  expect(draft.changed().map(({ number, tip }) => [number, tip.seq])).toEqual([
    [1, 1],
    [0, 2]
  ])
  table.apply(draft)
  expect(before.map(({ tip }) => tip.seq)).toEqual([1])
  expect(table.all().map(({ number, tip }) => [number, tip.seq])).toEqual([
    [0, 2],
    [1, 1]
  ])
})
