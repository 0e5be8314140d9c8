/** Pages that are made for others: so many at a time over all peers, whatever each of them asks. */

import { expect, test } from 'vitest'

import { decodeDeltaAnswer, encodeDeltaRequest } from '../../protocols/delta/codec.ts'
import { isRejected } from '../../protocols/rejected.ts'
import type { DeltaResponder } from '../../src/node/delta-responder.ts'
import { PAGES_MADE_MAX, PAGES_WAITING_MAX, PAGE_WAIT_MS_MAX } from '../../src/node/limits.ts'
import { YARD, inventedCommit } from '../fixtures/hostile.ts'
import { ManualClock } from '../fixtures/manual-clock.ts'
import { settled } from '../fixtures/scripted-node.ts'
import { databaseOf, responderOf } from '../property/forest.ts'

interface Disk {
  readonly clock: ManualClock
  readonly responder: DeltaResponder
  /** Asks for everything; what came of it is 'page' or 'busy'. */
  readonly ask: (peer: string) => Promise<string>
  /** Reads that the disk has not answered, the first one first. */
  readonly reading: (() => void)[]
  /** The disk answers all, those too that are asked of it meanwhile. */
  readonly answerAll: () => Promise<void>
}

/** A responder on a disk that answers a read when the test says so. */
async function slowDisk(): Promise<Disk> {
  const clock = new ManualClock()
  const database = await databaseOf([inventedCommit({ seed: 8, data: 1 })], { name: YARD })
  const reading: (() => void)[] = []
  const { readEvents } = database.store
  const store = new Proxy(database.store, {
    get: (target, name) => {
      const member: unknown = Reflect.get(target, name, target)
      if (typeof member !== 'function') return member
      if (name !== 'readEvents') return member.bind(target)
      return async (slices: Parameters<typeof readEvents>[0]) => {
        await new Promise<void>((resolve) => reading.push(resolve))
        return target.readEvents(slices)
      }
    }
  })
  Object.assign(database, { store })
  const responder = responderOf(database, clock)
  const all = { type: 'page', database: YARD, bytesMax: 1e9, heads: [], places: [] } as const
  const ask = async (peer: string): Promise<string> => {
    const answered = await responder.answer(peer, encodeDeltaRequest(all))
    const answer = decodeDeltaAnswer(answered.frame)
    if (isRejected(answer)) throw new Error(answer.detail)
    return answer.type === 'refused' ? answer.reason : answer.type
  }
  const answerAll = async (): Promise<void> => {
    while (reading.length > 0) {
      for (const answer of reading.splice(0)) answer()
      await settled()
    }
  }
  return { clock, responder, ask, reading, answerAll }
}

function asked(disk: Disk, count: number, peer: (index: number) => string): Promise<string>[] {
  return Array.from({ length: count }, (_, index) => disk.ask(peer(index)))
}

test('so many pages are made at one time over all peers, and the others when it is their turn', async () => {
  const disk = await slowDisk()
  const count = 2 * PAGES_MADE_MAX + 3
  const answers = asked(disk, count, String)
  await settled()
  expect(disk.reading).toHaveLength(PAGES_MADE_MAX)
  disk.reading.shift()?.()
  await settled()
  expect(disk.reading).toHaveLength(PAGES_MADE_MAX)
  await disk.answerAll()
  expect(new Set(await Promise.all(answers))).toEqual(new Set(['page']))
})

test('a peer that asks for little does not wait for all that another has asked for', async () => {
  const disk = await slowDisk()
  const flood = asked(disk, 3 * PAGES_MADE_MAX, () => 'flood')
  await settled()
  const other = disk.ask('other')
  await settled()
  disk.reading.shift()?.()
  await settled()
  disk.reading.pop()?.()
  expect(await other).toBe('page')
  await disk.answerAll()
  expect(new Set(await Promise.all(flood))).toEqual(new Set(['page']))
})

test('who waits too long for a page, or behind too many, is told that we are busy', async () => {
  const disk = await slowDisk()
  const hung = asked(disk, PAGES_MADE_MAX, String)
  const waiting = asked(disk, PAGES_WAITING_MAX, String)
  await settled()
  expect(await disk.ask('one too many')).toBe('busy')
  await disk.clock.pass(PAGE_WAIT_MS_MAX)
  expect(new Set(await Promise.all(waiting))).toEqual(new Set(['busy']))
  await disk.answerAll()
  expect(new Set(await Promise.all(hung))).toEqual(new Set(['page']))
  const late = disk.ask('late')
  await settled()
  await disk.answerAll()
  expect(await late).toBe('page')
})

test('of a peer that has gone nothing waits for its turn', async () => {
  const disk = await slowDisk()
  const hung = asked(disk, PAGES_MADE_MAX, String)
  const waiting = asked(disk, PAGES_WAITING_MAX, () => 'gone')
  await settled()
  disk.responder.forget('gone')
  expect(new Set(await Promise.all(waiting))).toEqual(new Set(['busy']))
  await disk.answerAll()
  expect(new Set(await Promise.all(hung))).toEqual(new Set(['page']))
})
