/** What views read of a database while others write to it. */

import { expect, test } from 'vitest'

import { present } from '../../src/core/assert.ts'
import { sealCommit } from '../../src/core/commit.ts'
import type { Commit } from '../../src/core/commit.ts'
import { eventKey } from '../../src/core/event-key.ts'
import { stampAt } from '../../src/core/hybrid-logical-clock.ts'
import { emptyTip } from '../../src/core/log.ts'
import { systemHasher } from '../../src/node/system.ts'
import type { EventStore } from '../../src/store/event-store.ts'
import { createMemoryStore } from '../../src/store/memory-store.ts'
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
