/** What is read of a damaged store costs so much at the most, whatever its records no longer say. */

import { afterEach, expect, test } from 'vitest'

import { present } from '../../src/core/assert.ts'
import { sealCommit } from '../../src/core/commit.ts'
import type { Commit } from '../../src/core/commit.ts'
import { eventKey } from '../../src/core/event-key.ts'
import { emptyTip } from '../../src/core/log.ts'
import { systemHasher } from '../../src/node/system.ts'
import { SALVAGE_COMBINATIONS_MAX } from '../../src/store/limits.ts'
import { KIND } from '../../src/store/record-name.ts'
import { openSalvage } from '../../src/store/salvage.ts'
import { withRaw } from '../fixtures/raw-level.ts'
import { DATABASE, SIGNERS, event, logOf } from '../property/arbitraries.ts'
import { OWNER_SIGNER, databaseOn } from '../property/forest.ts'
import { collect } from './store-dump.ts'
import { createFolder, openAt } from './stores.ts'

const OWNER = { database: DATABASE, publicKey: OWNER_SIGNER.publicKey }

const folder = createFolder()
afterEach(() => folder.remove())

test('a commit is found among so many combinations of contents, and given up beyond them', async () => {
  const events = Math.log2(SALVAGE_COMBINATIONS_MAX)
  // Combinations begin with what answers for the keys: all of the first commit, none of the other.
  expect(await salvagedOf(events)).toEqual([1, 1])
  expect(await salvagedOf(events + 1)).toEqual([1, 0])
})

/** How many commits are salvaged of two logs, which say so many keys two ways, and nothing says which. */
async function salvagedOf(events: number): Promise<number[]> {
  const location = await folder.next()
  const store = await openAt(location, OWNER)
  const both = [0, 1].map((signer) => clashingCommit(signer, events))
  await databaseOn(store).merge(both)
  await store.close()
  await withRaw(location, async (raw) => {
    for await (const key of raw.keys()) {
      if (key[0] === KIND.content || key[0] === KIND.conflict) await raw.del(key)
    }
  })
  const copy = `${location}-copy`
  const salvage = await openSalvage({ files: location, copy, owner: OWNER, hasher: systemHasher })
  const counts: number[] = []
  for (const { origin } of both) {
    const log = salvage.logs.find((each) => each.origin.id === origin.id)
    const pieces = await collect(salvage.after(present(log, 'the log'), emptyTip(origin)))
    counts.push(pieces.flat().length)
  }
  await salvage.close()
  return counts
}

/** By the first signer all that answers for its keys, by the second all that does not. */
function clashingCommit(signer: number, count: number): Commit {
  const { origin, hash: previous } = emptyTip(logOf(signer))
  const events = Array.from({ length: count }, (_, at) => {
    const key = eventKey(new Uint8Array(16).fill(at + 1))
    const contents = ['1', '2'].map((data) => event(key, `{"data":${data}}`))
    const byHash = contents.toSorted((a, b) => Buffer.compare(a.hash, b.hash))
    return present(byHash[signer], 'a content each')
  })
  const draft = { origin, firstSeq: 1, previous, recorded: 1n, events }
  return sealCommit(draft, present(SIGNERS[signer], 'a signer'), systemHasher)
}
