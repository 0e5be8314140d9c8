/** Pages that have come and are not stored yet: bounded over all fetches, whatever becomes of each. */

import { expect, test, vi } from 'vitest'

import { present } from '../../src/core/assert.ts'
import { fetchMissing } from '../../src/node/delta-fetch.ts'
import { FETCHED_BYTES_MAX, FETCHED_BYTES_WAIT } from '../../src/node/limits.ts'
import { PageRoom } from '../../src/node/page-room.ts'
import { systemClock, systemHasher, systemVerifier } from '../../src/node/system.ts'
import { YARD, inventedCommit } from '../fixtures/hostile.ts'
import { until } from '../fixtures/nodes.ts'
import { settled } from '../fixtures/scripted-node.ts'
import { answersOf, databaseOf } from '../property/forest.ts'

vi.mock('../../src/core/limits.ts', async (original) => ({ ...(await original()), PAGE_BYTES: 1 }))
vi.mock('../../src/node/limits.ts', async (original) => ({
  ...(await original()),
  FETCHED_BYTES_WAIT: 10_000,
  FETCHED_BYTES_MAX: 80_000
}))

/** Commits of each source, each a page. */
const PAGES = 3
const VALUE_BYTES = 4_000
const FETCHES = 12

interface Gate {
  readonly open: () => void
  readonly fail: (error: Error) => void
  readonly passed: Promise<void>
}

function gate(): Gate {
  let settle: Pick<Gate, 'open' | 'fail'> | undefined
  const passed = new Promise<void>((open, fail) => (settle = { open, fail }))
  passed.catch(() => undefined)
  return { ...present(settle, 'the promise is made at once'), passed }
}

interface Rig {
  /** Requests that were sent. */
  asked: number
  readonly network: Gate
  readonly disk: Gate
  /** Begins one fetch from a peer of its own into a database of its own. */
  readonly begin: () => Promise<number>
}

/** Fetches with one room, whose answers and whose stores wait for their gates. */
function rigOf(): Rig {
  const room = new PageRoom()
  const [network, disk] = [gate(), gate()]
  const commits = Array.from({ length: PAGES }, (_, nonce) => {
    return inventedCommit({ seed: 8, nonce, data: 'x'.repeat(VALUE_BYTES) })
  })
  const begin = async (): Promise<number> => {
    const from = await databaseOf(commits, { name: YARD })
    const to = await databaseOf([], { name: YARD })
    const merge = to.merge.bind(to)
    Object.assign(to, {
      merge: async (these: typeof commits) => {
        await disk.passed
        return merge(these)
      }
    })
    const answer = answersOf(from)
    return fetchMissing({
      database: to,
      clock: systemClock,
      hasher: systemHasher,
      verifier: systemVerifier,
      request: async (frame) => {
        rig.asked += 1
        await network.passed
        return answer(frame)
      },
      signal: new AbortController().signal,
      room,
      seen: () => undefined,
      logsMax: 100,
      logsFull: () => undefined
    })
  }
  const rig: Rig = { asked: 0, network, disk, begin }
  return rig
}

/** The outcomes of so many fetches, begun one after the other. */
async function begun(rig: Rig, count: number): Promise<PromiseSettledResult<number>[]> {
  const fetches: Promise<number>[] = []
  for (let fetch = 0; fetch < count; fetch += 1) {
    const stored = rig.begin()
    stored.catch(() => undefined)
    fetches.push(stored)
    await settled()
  }
  return Promise.allSettled(fetches)
}

const PAGE_SIZED = VALUE_BYTES + 1_000

test('no page is asked for while pages of so many bytes have come and are not stored', async () => {
  const rig = rigOf()
  rig.network.open()
  const outcomes = begun(rig, FETCHES)
  await until(() => rig.asked > 0)
  for (let turn = 0; turn < FETCHES; turn += 1) await settled()
  expect(rig.asked).toBe(Math.ceil(FETCHED_BYTES_WAIT / PAGE_SIZED) + 1)
  rig.disk.open()
  const all = await outcomes
  expect(all).toEqual(all.map(() => ({ status: 'fulfilled', value: PAGES })))
})

test('a fetch whose store fails gives its room to the others', async () => {
  const rig = rigOf()
  rig.network.open()
  const outcomes = begun(rig, FETCHES)
  await until(() => rig.asked > 0)
  for (let turn = 0; turn < FETCHES; turn += 1) await settled()
  rig.disk.fail(new Error('the disk is full'))
  expect((await outcomes).map(({ status }) => status)).toEqual(Array(FETCHES).fill('rejected'))
  const askedBefore = rig.asked
  await expect(rig.begin()).rejects.toThrow('the disk is full')
  expect(rig.asked).toBeGreaterThan(askedBefore)
})

test('pages that all come at one time are dropped beyond their bytes, and are asked for again', async () => {
  const rig = rigOf()
  const outcomes = begun(rig, 2 * FETCHES)
  await until(() => rig.asked === 2 * FETCHES)
  rig.network.open()
  for (let turn = 0; turn < FETCHES; turn += 1) await settled()
  rig.disk.open()
  const all = await outcomes
  const dropped = all.filter(({ status }) => status === 'rejected')
  const most = Math.floor(FETCHED_BYTES_MAX / VALUE_BYTES)
  expect(all.length - dropped.length).toBeLessThanOrEqual(most)
  expect(all.length - dropped.length).toBeGreaterThan(most / 2)
  for (const outcome of dropped) {
    expect(outcome).toMatchObject({ reason: { code: 'LATERBASE_PEER_UNREACHABLE' } })
  }
  expect(await rig.begin()).toBe(PAGES)
})

test('who waits for room stops waiting at the end, whether or not there is any', async () => {
  const room = new PageRoom()
  room.take(FETCHED_BYTES_WAIT + 1)
  const ending = new AbortController()
  const waiting = room.free(ending.signal)
  ending.abort(new Error('closing'))
  await expect(waiting).rejects.toThrow('closing')
})
