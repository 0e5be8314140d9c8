/** What is sent of a log of which the asker has more, or another branch, than whoever answers it. */

import { expect, test } from 'vitest'

import { decodeDeltaAnswer, encodeDeltaRequest } from '../../protocols/delta/codec.ts'
import { toWireHeads } from '../../src/core/version.ts'
import type { Head } from '../../src/core/version.ts'
import { PAGES_MADE_MAX } from '../../src/node/limits.ts'
import { systemHasher } from '../../src/node/system.ts'
import type { EventStore } from '../../src/store/event-store.ts'
import { createMemoryStore } from '../../src/store/memory-store.ts'
import { DATABASE, seededRng } from '../property/arbitraries.ts'
import { OWNER_SIGNER, databaseOn, responderOf } from '../property/forest.ts'

test('a log in which the asker is ahead is left out, also where it grows before the page is made', async () => {
  const { store, open } = gatedStore()
  const database = databaseOn(store)
  await database.append({ data: 1 })
  const responder = responderOf(database)
  const commitsFor = async (peer: string, heads: readonly Head[]): Promise<number> => {
    const { frame } = await responder.answer(peer, pageRequest(heads))
    const answer = decodeDeltaAnswer(frame)
    return 'commits' in answer ? answer.commits.length : -1
  }
  // All turns at making pages are taken, so that the asker's has to wait.
  const others = Array.from({ length: PAGES_MADE_MAX }, (_, index) => commitsFor(`${index}`, []))
  const ahead = { log: store.ownLog.id, seq: 9, hash: new Uint8Array(32) }
  const asked = commitsFor('asker', [ahead])
  await new Promise((resolve) => setImmediate(resolve))
  await database.append({ data: 2 })
  open()
  expect(await asked).toBe(0)
  expect(Math.min(...(await Promise.all(others)))).toBeGreaterThan(0)
  expect(await commitsFor('late', [])).toBe(2)
})

function pageRequest(heads: readonly Head[]): Uint8Array {
  return encodeDeltaRequest({
    type: 'page',
    database: DATABASE,
    bytesMax: 1_048_576,
    heads: toWireHeads(heads),
    places: []
  })
}

/** A store in memory that reads no events until it is opened. */
function gatedStore(): { readonly store: EventStore; readonly open: () => void } {
  const owner = { database: DATABASE, publicKey: OWNER_SIGNER.publicKey }
  const held = createMemoryStore({ owner, hasher: systemHasher, rng: seededRng(1) })
  let open = (): void => undefined
  const opened = new Promise<void>((resolve) => (open = resolve))
  const readEvents: EventStore['readEvents'] = async (slices) => {
    await opened
    return held.readEvents(slices)
  }
  const store = new Proxy(held, {
    get: (target, name) => {
      if (name === 'readEvents') return readEvents
      const member: unknown = Reflect.get(target, name, target)
      return typeof member === 'function' ? member.bind(target) : member
    }
  })
  return { store, open }
}
