/** Any record of a store on disk with any of its bytes changed: refused aloud, or without effect. */

import fc from 'fast-check'
import { afterEach, describe, expect, test, vi } from 'vitest'

import { ClassicLevel } from 'classic-level'

import { isLaterbaseError } from '../../src/errors.ts'
import { recordCheck, seal, unsealed } from '../../src/store/checksum.ts'
import { eventPut } from '../../src/store/event-record.ts'
import { arrivalRecordKey, commitRecordKey } from '../../src/store/key-layout.ts'
import { KIND } from '../../src/store/record-name.ts'
import { flipped, putRaw, readRaw, withRaw } from '../fixtures/raw-level.ts'
import { OWNER, fact, key, plan, write } from './event-store-suite.ts'
import { collect, dump } from './store-dump.ts'
import { createFolder, openAt } from './stores.ts'

const folder = createFolder()
afterEach(() => folder.remove())

describe('the check of a record', () => {
  test('tells any one byte changed, in the key or in the bytes', () => {
    const bytes = fc.uint8Array({ minLength: 1, maxLength: 60 })
    fc.assert(
      fc.property(
        bytes,
        bytes,
        fc.nat(),
        fc.integer({ min: 1, max: 255 }),
        (key, value, at, by) => {
          const sealed = seal(key, value)
          expect(unsealed(key, sealed)).toEqual(Buffer.from(value))
          const place = at % (key.length + sealed.length)
          const [badKey, bad] = [Buffer.from(key), Buffer.from(sealed)]
          if (place < key.length) badKey[place] = (key[place] ?? 0) ^ by
          else bad[place - key.length] = (sealed[place - key.length] ?? 0) ^ by
          expect(unsealed(badKey, bad)).toBeUndefined()
        }
      )
    )
  })

  test('is not zero for zeros, and for the bytes alone, whatever is behind them', () => {
    expect(unsealed(Buffer.alloc(17), Buffer.alloc(40))).toBeUndefined()
    const [key, bytes] = [Buffer.from('key'), Buffer.from('bytes..')]
    expect(recordCheck(key, bytes, 5)).toBe(recordCheck(key, Buffer.from('bytes'), 5))
  })
})

test('a record of any kind with a byte changed is refused, or nothing is answered differently', async () => {
  const location = await folder.next()
  const store = await openAt(location, OWNER)
  // Repeated, contested, contested twice in one commit: every kind of record there is.
  await write(store, [
    plan(0, [fact(1), fact(2)]),
    plan(1, [fact(2), fact(3, 7), fact(3, 8)]),
    plan(2, [fact(3), fact(1)])
  ])
  const before = JSON.stringify(await dump(store), withoutBigInts)
  await store.close()
  const records = await readRaw(location)
  expect(new Set(records.map(([key]) => key[0]))).toEqual(new Set(Object.values(KIND)))
  let refused = 0
  for (const [key, value] of records) {
    for (const at of [0, 4, 10, 18, value.length >> 1, value.length - 1]) {
      await putRaw(location, key, flipped(value, at))
      const answer = await answers(location)
      if (answer === undefined) refused += 1
      else expect(answer, key.toString('hex')).toBe(before)
    }
    await putRaw(location, key, value)
  }
  expect(refused).toBeGreaterThan(records.length * 3)
  expect(await answers(location)).toBe(before)
})

test('what is damaged of a commit is found by a check, and healed by the commit', async () => {
  const location = await folder.next()
  const store = await openAt(location, OWNER)
  const commits = await write(store, [
    plan(0, [fact(1), fact(2)]),
    plan(1, [fact(2), fact(3, 7), fact(3, 8)]),
    plan(2, [fact(3), fact(1)]),
    plan(0, [fact(4)])
  ])
  const before = JSON.stringify(await dump(store), withoutBigInts)
  await store.close()
  const records = await readRaw(location)
  const ofCommits = records.filter(([key]) => key[0] !== KIND.meta && key[0] !== KIND.log)
  for (const [key, value] of ofCommits) {
    for (const damaged of [flipped(value, 5), undefined]) {
      const name = `${key.toString('hex')} ${damaged === undefined ? 'gone' : 'changed'}`
      await putRaw(location, key, damaged)
      const opened = await openAt(location, OWNER, false)
      const steps = await collect(opened.check({}))
      expect(
        steps.some(({ type }) => type !== 'progress'),
        name
      ).toBe(true)
      const stretches = steps.flatMap((step) => (step.type === 'stretch' ? [step.stretch] : []))
      // Twice: what one commit needs to be healed may be healed by another.
      for (const stretch of [...stretches, ...stretches]) {
        const { id } = stretch.log.tip.origin
        const inside = commits.filter(
          ({ origin, firstSeq }) =>
            origin.id === id && firstSeq > stretch.after.seq && firstSeq <= stretch.toSeq
        )
        await opened.heal(stretch.log, inside).catch(notYet)
      }
      const clean = await collect(opened.check({}))
      expect(
        clean.filter(({ type }) => type !== 'progress'),
        name
      ).toEqual([])
      expect(JSON.stringify(await dump(opened), withoutBigInts), name).toBe(before)
      await opened.close()
    }
  }
})

test('a value that is another under a check that fits is found by a check, and healed', async () => {
  const location = await folder.next()
  const store = await openAt(location, OWNER)
  const [commit] = await write(store, [plan(0, [fact(1), fact(2)])])
  const before = JSON.stringify(await dump(store), withoutBigInts)
  const [event] = await store.getMany([key(1)])
  await store.close()
  if (commit === undefined || event === undefined) throw new Error('what was written')
  const { hash, log, seq, recorded } = event
  const flags = { conflict: false, repeated: false, alternate: false }
  const put = eventPut({ key: key(1), hash, log, seq, recorded, ...flags }, Buffer.from('{}'))
  await putRaw(location, put.key, put.value)
  const opened = await openAt(location, OWNER, false)
  const [read] = await opened.getMany([key(1)])
  expect(() => read?.hash).toThrow(expect.objectContaining({ code: 'LATERBASE_STORE_CORRUPT' }))
  const steps = await collect(opened.check({}))
  const [stretch] = steps.flatMap((step) => (step.type === 'stretch' ? [step.stretch] : []))
  if (stretch === undefined) throw new Error('a stretch that is damaged')
  await opened.heal(stretch.log, [commit])
  expect(JSON.stringify(await dump(opened), withoutBigInts)).toBe(before)
  const clean = await collect(opened.check({}))
  expect(clean.filter(({ type }) => type !== 'progress')).toEqual([])
  await opened.close()
})

test('commits that are lost in a row are healed together, at the cost of one walk over the others', async () => {
  const location = await folder.next()
  const store = await openAt(location, OWNER)
  const numbers = Array.from({ length: 20 }, (_each, index) => index)
  const commits = await write(
    store,
    numbers.map((each) => plan(0, [fact(each), fact(each + 1), fact(3, each % 2)]))
  )
  const before = JSON.stringify(await dump(store), withoutBigInts)
  await store.close()
  const lost = commits.slice(4, 16)
  await withRaw(location, async (db) => {
    for (const { firstSeq } of lost) await db.del(commitRecordKey(0, firstSeq))
    for (let arrival = 5; arrival <= 16; arrival += 1) await db.del(arrivalRecordKey(arrival))
  })
  const opened = await openAt(location, OWNER, false)
  const [log] = opened.logs()
  if (log === undefined) throw new Error('the log of the test')
  // Alone, nobody could tell which of those that came then each of them was.
  await expect(opened.heal(log, lost.slice(0, 1))).rejects.toMatchObject({
    code: 'LATERBASE_STORE_CORRUPT'
  })
  const walks = vi.spyOn(ClassicLevel.prototype, 'iterator')
  await opened.heal(log, lost)
  const ofMany = walks.mock.calls.length
  walks.mockClear()
  await opened.heal(log, lost.slice(0, 1))
  // One more for the records of arrivals, which are there now.
  expect(ofMany).toBeLessThanOrEqual(walks.mock.calls.length + 1)
  walks.mockRestore()
  expect(JSON.stringify(await dump(opened), withoutBigInts)).toBe(before)
  const steps = await collect(opened.check({}))
  expect(steps.filter(({ type }) => type !== 'progress')).toEqual([])
  await opened.close()
})

function notYet(error: unknown): void {
  if (!isLaterbaseError(error, 'LATERBASE_STORE_CORRUPT')) throw error
}

/** Everything that the store answers, as text; undefined when it refused, saying why. */
async function answers(location: string): Promise<string | undefined> {
  try {
    const store = await openAt(location, OWNER, false)
    try {
      return JSON.stringify(await dump(store), withoutBigInts)
    } finally {
      await store.close()
    }
  } catch (error) {
    const codes = ['LATERBASE_STORE_CORRUPT', 'LATERBASE_STORE_FORMAT'] as const
    if (codes.some((code) => isLaterbaseError(error, code))) return undefined
    throw error
  }
}

function withoutBigInts(_name: string, value: unknown): unknown {
  return typeof value === 'bigint' ? String(value) : value
}
