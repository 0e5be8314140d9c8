/** Pages that a peer asks for again and again: it waits for them, and nobody who gets on does. */

import { expect, test } from 'vitest'

import { decodeDeltaAnswer, encodeDeltaRequest } from '../../protocols/delta/codec.ts'
import type { DeltaRequest } from '../../protocols/delta/codec.ts'
import { isRejected } from '../../protocols/rejected.ts'
import { present } from '../../src/core/assert.ts'
import { PAGE_BYTES } from '../../src/core/limits.ts'
import {
  REPEATED_ASK_BYTES,
  REPEATED_BYTES_MAX,
  REPEATED_BYTES_PER_SECOND,
  REPEATED_PEERS_MAX,
  REPEATED_WAIT_MS_MAX
} from '../../src/node/limits.ts'
import { RepeatedPages } from '../../src/node/repeated-pages.ts'
import { YARD, inventedCommit } from '../fixtures/hostile.ts'
import { ManualClock } from '../fixtures/manual-clock.ts'
import { settled } from '../fixtures/scripted-node.ts'
import { databaseOf, responderOf } from '../property/forest.ts'

type PageRequest = Extract<DeltaRequest, { type: 'page' }>

const ALL: PageRequest = { type: 'page', database: YARD, bytesMax: 1e9, heads: [], places: [] }
const LARGE = 200_000

interface Rig {
  readonly clock: ManualClock
  /** Asks, and lets time pass until the answer has come: ms. */
  readonly waited: (peer: string, request?: Partial<PageRequest>) => Promise<number>
  /** The heads that somebody has who holds the first commits of the log. */
  readonly headsOf: (commits: number) => PageRequest['heads']
}

/** A responder of one log of so many large commits. */
async function rigOf(count: number): Promise<Rig> {
  const clock = new ManualClock()
  const commits: ReturnType<typeof inventedCommit>[] = []
  for (let at = 0; at < count; at += 1) {
    const after = commits.at(-1)
    const data = 'x'.repeat(LARGE)
    commits.push(inventedCommit({ seed: 8, data, ...(after === undefined ? {} : { after }) }))
  }
  const responder = responderOf(await databaseOf(commits, { name: YARD }), clock)
  const waited = async (peer: string, request: Partial<PageRequest> = {}): Promise<number> => {
    const beganMs = clock.monotonicMs()
    const frames: Uint8Array[] = []
    const asked = responder.answer(peer, encodeDeltaRequest({ ...ALL, ...request }))
    void asked.then((answered) => frames.push(answered.frame))
    await settled()
    while (frames.length === 0) await clock.pass(10)
    const answer = decodeDeltaAnswer(present(frames[0], 'an answer'))
    if (isRejected(answer) || answer.type !== 'page') throw new Error('a page')
    return clock.monotonicMs() - beganMs
  }
  const headsOf = (held: number): PageRequest['heads'] =>
    commits
      .slice(0, held)
      .map(({ origin, hash }) => ({ log: origin.idBytes, seq: held, hash }))
      .slice(-1)
  return { clock, waited, headsOf }
}

test('who asks for the same again and again waits longer and longer, up to a second', async () => {
  const { waited } = await rigOf(6)
  const waits: number[] = []
  for (let asked = 0; asked < 24; asked += 1) waits.push(await waited('greedy'))
  // The first answer is none that was given before.
  const free = 1 + Math.floor(REPEATED_BYTES_MAX / PAGE_BYTES)
  expect(waits.slice(0, free)).toEqual(Array(free).fill(0))
  expect(waits.findIndex((ms) => ms > 0)).toBeLessThan(free + 3)
  expect(Math.max(...waits)).toBeGreaterThan(REPEATED_WAIT_MS_MAX * 0.9)
  expect(Math.max(...waits)).toBeLessThanOrEqual(REPEATED_WAIT_MS_MAX)
  expect(await waited('another')).toBe(0)
})

test('who asks for what it was not sent yet does not wait, whatever it has asked for again', async () => {
  const { waited, headsOf } = await rigOf(12)
  for (let asked = 0; asked < 24; asked += 1) await waited('peer')
  expect(await waited('peer')).toBeGreaterThan(0)
  for (let held = 5; held <= 12; held += 1) {
    expect(await waited('peer', { heads: headsOf(held), bytesMax: 1 })).toBe(0)
  }
})

test('two fetches of one peer at one time do not wait, however much there is to fetch', async () => {
  const count = Math.ceil((2 * REPEATED_BYTES_MAX) / LARGE)
  const { waited, headsOf } = await rigOf(count)
  for (let held = 0; held < count; held += 1) {
    for (let fetch = 0; fetch < 2; fetch += 1) {
      expect(await waited('peer', { heads: headsOf(held), bytesMax: 1 })).toBe(0)
    }
  }
})

test('what was sent again is forgiven with time', async () => {
  const { clock, waited } = await rigOf(6)
  for (let asked = 0; asked < 40; asked += 1) await waited('peer')
  expect(await waited('peer')).toBeGreaterThan(0)
  // Also after very many repeats: what a second of waiting brings is the most that is held against it.
  await clock.pass(((REPEATED_BYTES_MAX + 2 * PAGE_BYTES) / REPEATED_BYTES_PER_SECOND) * 1_000)
  for (let asked = 0; asked < 8; asked += 1) expect(await waited('peer')).toBe(0)
})

const [NONE, SOME] = [new Map<number, number>(), new Map([[0, 5]])]

test('repeats that bring nothing count for something', () => {
  const repeated = new RepeatedPages(new ManualClock())
  const most = REPEATED_BYTES_MAX / REPEATED_ASK_BYTES
  for (let asked = 0; asked <= most; asked += 1)
    repeated.note('peer', { from: NONE, to: SOME, bytes: 0 })
  expect(repeated.delayMs('peer', NONE)).toBe(0)
  repeated.note('peer', { from: NONE, to: SOME, bytes: 0 })
  expect(repeated.delayMs('peer', NONE)).toBeGreaterThan(0)
})

test('of very many peers the one that asked longest ago is forgotten, and no other', () => {
  const repeated = new RepeatedPages(new ManualClock())
  for (let peer = 0; peer <= REPEATED_PEERS_MAX; peer += 1) {
    for (let asked = 0; asked < 2; asked += 1) {
      repeated.note(`${peer}`, { from: NONE, to: SOME, bytes: 2 * REPEATED_BYTES_MAX })
    }
  }
  const delays = ['0', '1', `${REPEATED_PEERS_MAX}`].map((peer) => repeated.delayMs(peer, NONE))
  expect(delays).toEqual([0, REPEATED_WAIT_MS_MAX, REPEATED_WAIT_MS_MAX])
})
