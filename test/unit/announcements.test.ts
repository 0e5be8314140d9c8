/** What an announcement that came in costs, and which of them are passed on. */

import { setMaxListeners } from 'node:events'
import { expect, test, vi } from 'vitest'

import { decodeAnnouncement, encodeAnnouncement } from '../../protocols/announce/codec.ts'
import { isRejected } from '../../protocols/rejected.ts'
import { lastSeq } from '../../src/core/commit.ts'
import type { Commit } from '../../src/core/commit.ts'
import type { Announcement } from '../../protocols/announce/codec.ts'
import { Announcements } from '../../src/node/announcements.ts'
import type { NodeDatabase } from '../../src/node/database.ts'
import { ANNOUNCED_WAIT_MS, PASSED_ON_MAX } from '../../src/node/limits.ts'
import { YARD, inventedCommit } from '../fixtures/hostile.ts'
import { ManualClock, settled } from '../fixtures/manual-clock.ts'
import { databaseOf } from '../property/forest.ts'

/** A short memory, which is full after few signatures. */
vi.mock('../../src/node/limits.ts', async (original) => ({
  ...(await original()),
  PASSED_ON_MAX: 50
}))

/** Commits of one log, each after the one before. */
function chain(length: number, nonce = 0): Commit[] {
  const commits: Commit[] = []
  for (let at = 0; at < length; at += 1) {
    const after = commits.at(-1)
    const place = after === undefined ? { nonce } : { after }
    commits.push(inventedCommit({ seed: 8, data: at, ...place }))
  }
  return commits
}

/** As its writer announces it, but for what a rogue changes. */
function announcementOf(commit: Commit, changed: Partial<Announcement> = {}): Announcement {
  const { origin, firstSeq, events, hash } = commit
  const head = { log: origin.idBytes, firstSeq, count: events.length, hash }
  const keys = events.map(({ key }) => key)
  const decoded = decodeAnnouncement(encodeAnnouncement({ ...head, keys, ...changed }))
  if (isRejected(decoded)) throw new Error(decoded.detail)
  return decoded
}

const otherKeys = (number: number): Partial<Announcement> => ({
  keys: [new Uint8Array(16).fill(number)]
})

function rig(database: NodeDatabase): {
  readonly clock: ManualClock
  readonly judge: (announcement: Announcement) => Promise<string>
  readonly missing: number[]
} {
  const clock = new ManualClock()
  const missing: number[] = []
  const { signal } = new AbortController()
  // As a node's is: everything that waits listens for its end.
  setMaxListeners(0, signal)
  const announcements = new Announcements({ clock, signal })
  const judge = (announcement: Announcement): Promise<string> =>
    announcements.judge(database, announcement, ({ seq }) => missing.push(seq))
  return { clock, judge, missing }
}

test('a commit is passed on once, in however many ways it is announced, and no earlier one after it', async () => {
  const [first, second, third] = chain(3)
  if (first === undefined || second === undefined || third === undefined) throw new Error('three')
  const database = await databaseOf([first, second], { name: YARD })
  const { judge, missing } = rig(database)
  expect(await judge(announcementOf(second))).toBe('accept')
  expect(await judge(announcementOf(second))).toBe('ignore')
  expect(await judge(announcementOf(second, otherKeys(1)))).toBe('ignore')
  expect(await judge(announcementOf(first))).toBe('ignore')
  expect(missing).toEqual([])
  const waiting = [1, 2, 3].map((number) => judge(announcementOf(third, otherKeys(number))))
  await settled()
  expect(missing).toEqual([3, 3, 3])
  await database.merge([third])
  expect((await Promise.all(waiting)).toSorted()).toEqual(['accept', 'ignore', 'ignore'])
})

test('of very many logs the one that was announced longest ago is forgotten', async () => {
  const logs = Array.from({ length: PASSED_ON_MAX + 1 }, (_, nonce) => chain(1, nonce)).flat()
  const database = await databaseOf(logs, { name: YARD })
  const { judge } = rig(database)
  for (const commit of logs) expect(await judge(announcementOf(commit))).toBe('accept')
  const again = await Promise.all([0, 2].map((at) => judgeAt(at)))
  expect(again).toEqual(['accept', 'ignore'])

  function judgeAt(at: number): Promise<string> {
    const commit = logs[at]
    return commit === undefined ? Promise.resolve('none') : judge(announcementOf(commit))
  }
})

test('what stands at an announced place is read once, however much is written meanwhile', async () => {
  const commits = chain(40)
  const database = await databaseOf(commits.slice(0, 10), { name: YARD })
  let reads = 0
  const store = new Proxy(database.store, {
    get: (target, name) => {
      if (name === 'commits') reads += 1
      const member: unknown = Reflect.get(target, name, target)
      return typeof member === 'function' ? member.bind(target) : member
    }
  })
  Object.assign(database, { store })
  const { clock, judge } = rig(database)
  const lies = commits.slice(0, 20).map((commit) => {
    return judge(announcementOf(commit, { hash: new Uint8Array(32).fill(lastSeq(commit)) }))
  })
  await settled()
  for (const commit of commits.slice(10)) {
    await database.merge([commit])
    await settled()
  }
  await clock.pass(ANNOUNCED_WAIT_MS)
  expect(new Set(await Promise.all(lies))).toEqual(new Set(['ignore']))
  expect(reads).toBeLessThanOrEqual(lies.length)
})
