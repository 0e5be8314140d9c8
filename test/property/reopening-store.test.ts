/** A store on a disk that fails: nothing false is acknowledged, and it goes on by itself. */

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'

import { nextStamp } from '../../src/core/hybrid-logical-clock.ts'
import { eventKey } from '../../src/core/event-key.ts'
import { systemHasher } from '../../src/node/system.ts'
import type { EventStore } from '../../src/store/event-store.ts'
import { createGroupCommit } from '../../src/store/group-commit.ts'
import type { AppendEvent, GroupCommit } from '../../src/store/group-commit.ts'
import { WRITE_MS_MAX } from '../../src/store/limits.ts'
import { event, makeCommits } from './arbitraries.ts'
import { RENEWAL } from './slow-writer.ts'
import { FailingDisk, SIGNER, emptyStore, levelError } from './failing-disk.ts'
import type { WriteFate } from './failing-disk.ts'

const FAILED = { code: 'LATERBASE_STORE_FAILED' }

describe('whatever becomes of writes and openings', () => {
  test('what was acknowledged is there, what is there was offered, and the log does not fork', async () => {
    const hanging = ['hangs, kept', 'hangs, lost', 'hangs, landed'] as const
    const fate = fc.constantFrom<WriteFate>('kept', 'kept', 'kept', 'lost', 'landed', ...hanging)
    const turns = fc.array(fc.array(fc.nat(30), { minLength: 1, maxLength: 3 }), { maxLength: 12 })
    await fc.assert(
      fc.asyncProperty(fc.array(fate), turns, fc.nat(4), async (fates, groups, openFailures) => {
        const disk = new FailingDisk()
        Object.assign(disk, { fates: [...fates], openFailures, hangMs: 2 * WRITE_MS_MAX })
        const store = disk.store()
        const writer = writerOn(store)
        const [offered, acknowledged] = [new Set<number>(), new Set<number>()]
        for (const group of groups) {
          const appends = group.map((value) => {
            offered.add(value)
            return writer.append([asked(value)], false).then(() => acknowledged.add(value))
          })
          await disk.settle(Promise.allSettled(appends))
          if (disk.world.chance(0.5)) await disk.pass(5_000)
        }
        await disk.pass(3 * WRITE_MS_MAX)
        expect(store.refusal()).toBeUndefined()
        // The store in memory asserts of every commit that it follows its log's tip.
        const own = disk.held.log(disk.held.ownLog.id)
        expect(store.log(store.ownLog.id)).toEqual(own)
        const stored = (await valuesOf(disk.held)).toSorted((a, b) => a - b)
        for (const value of acknowledged) expect(stored).toContain(value)
        for (const value of stored) expect(offered.has(value)).toBe(true)
        expect(new Set(stored).size).toBe(stored.length)
        expect(disk.openMax).toBe(1)
      }),
      { numRuns: 300 }
    )
  })

  test('writes are taken again within ten seconds of the end of the fault', async () => {
    const disk = new FailingDisk()
    disk.fates = ['lost']
    disk.openFailures = Infinity
    const store = disk.store()
    const writer = writerOn(store)
    await expect(disk.settle(writer.append([asked(1)], false))).rejects.toMatchObject(FAILED)
    await disk.pass(3_600_000)
    await expect(disk.settle(writer.append([asked(2)], false))).rejects.toMatchObject(FAILED)
    disk.openFailures = 0
    await disk.pass(10_000)
    expect(await disk.settle(writer.append([asked(2)], false))).toEqual([{ type: 'created' }])
    expect(await valuesOf(disk.held)).toEqual([2])
  })
})

describe('after a write that failed', () => {
  test('nothing is acknowledged before the store was opened anew', async () => {
    const disk = new FailingDisk()
    disk.fates = ['lost']
    disk.canReopen = false
    const store = disk.store()
    const writer = writerOn(store)
    for (const waitMs of [0, 1, 1_000]) {
      const writes = [1, 2].map((value) => writer.append([asked(value)], false))
      const outcomes = await disk.settle(Promise.allSettled([...writes, writer.merge([])]))
      for (const outcome of outcomes) {
        expect(outcome).toMatchObject({ status: 'rejected', reason: FAILED })
      }
      await disk.pass(waitMs)
    }
    expect(await valuesOf(disk.held)).toEqual([])
    expect(store.refusal()?.message).toContain('no space left on device')
  })

  test('the broken handle goes on reading until an opening promises to succeed', async () => {
    const disk = new FailingDisk()
    disk.fates = ['kept', 'lost']
    disk.canReopen = false
    const store = disk.store()
    const writer = writerOn(store)
    await disk.settle(writer.append([asked(1)], false))
    await disk.settle(Promise.allSettled([writer.append([asked(2)], false)]))
    await disk.pass(60_000)
    expect((await disk.settle(store.getMany([asked(1).key])))[0]?.seq).toBe(1)
  })

  test('reads wait while the store is opened, and say so when that takes too long', async () => {
    const disk = new FailingDisk()
    disk.fates = ['kept', 'lost']
    const store = disk.store()
    const writer = writerOn(store)
    await disk.settle(writer.append([asked(1)], false))
    disk.openFailures = 1
    await disk.settle(Promise.allSettled([writer.append([asked(2)], false)]))
    await disk.pass(20)
    expect((await disk.settle(store.getMany([asked(1).key])))[0]?.seq).toBe(1)

    disk.fates = ['lost']
    disk.openFailures = Infinity
    await disk.settle(Promise.allSettled([writer.append([asked(2)], false)]))
    await disk.pass(5_000)
    await expect(disk.settle(store.getMany([asked(1).key]))).rejects.toMatchObject(FAILED)
    await expect(disk.settle(firstOf(store))).rejects.toMatchObject(FAILED)
  })

  test('a failed write that landed is told to those who follow, and its retry is a duplicate', async () => {
    const disk = new FailingDisk()
    disk.fates = ['landed']
    const store = disk.store()
    const seen: number[] = []
    store.onReopened(() => seen.push(store.eventCount()))
    const writer = writerOn(store)
    await expect(disk.settle(writer.append([asked(1)], false))).rejects.toMatchObject(FAILED)
    await disk.pass(5_000)
    expect(seen).toEqual([1])
    expect(await disk.settle(writer.append([asked(1)], false))).toEqual([{ type: 'duplicate' }])
    expect(await disk.settle(writer.append([asked(2)], false))).toEqual([{ type: 'created' }])
  })

  test('one piece of news says when it begins and one when it ends', async () => {
    const disk = new FailingDisk()
    disk.fates = ['lost']
    disk.openFailures = 3
    const writer = writerOn(disk.store())
    await disk.settle(Promise.allSettled([writer.append([asked(1)], false)]))
    await disk.pass(60_000)
    expect(disk.news.map(({ type }) => type)).toEqual(['write-failed', 'reopened'])
  })

  test('openings that follow each other keep their pace, however many writes succeed between', async () => {
    const disk = new FailingDisk()
    const store = disk.store()
    const writer = writerOn(store)
    const minutes = 5
    for (let turn = 0; turn < minutes * 600; turn += 1) {
      disk.fates = ['kept', 'lost']
      for (const value of [2 * turn, 2 * turn + 1]) {
        await disk.settle(Promise.allSettled([writer.append([asked(value)], false)]))
      }
      await disk.pass(100)
    }
    expect(disk.openings).toBeLessThan(minutes * 25)
    await disk.pass(10_000)
    disk.fates = []
    expect(store.refusal()).toBeUndefined()
  })

  test('what goes on being another store is told as damage, and what comes back is gone on from', async () => {
    const disk = new FailingDisk()
    disk.fates = ['kept', 'lost']
    const store = disk.store()
    const writer = writerOn(store)
    await disk.settle(writer.append([asked(1)], false))
    disk.swapped = emptyStore(8)
    await disk.settle(Promise.allSettled([writer.append([asked(2)], false)]))
    await disk.pass(2_000)
    expect(disk.news.map(({ type }) => type)).toEqual(['write-failed'])
    await disk.pass(10_000)
    expect(disk.news.map(({ type }) => type)).toContain('damaged')
    disk.swapped = undefined
    await disk.pass(5_000)
    expect(disk.news.at(-1)?.type).toBe('reopened')
    expect(store.refusal()).toBeUndefined()
  })

  test('another store, or an earlier state of this one, is not gone on from', async () => {
    for (const swapped of [emptyStore(8), emptyStore(7)]) {
      const disk = new FailingDisk()
      disk.fates = ['kept', 'lost']
      const store = disk.store()
      const writer = writerOn(store)
      await disk.settle(writer.append([asked(1)], false))
      disk.swapped = swapped
      await disk.settle(Promise.allSettled([writer.append([asked(2)], false)]))
      await disk.pass(60_000)
      await expect(disk.settle(writer.append([asked(3)], false))).rejects.toMatchObject(FAILED)
      expect(swapped.eventCount()).toBe(0)
    }
  })

  test('closing ends the attempts, and waits for the one under way', async () => {
    const disk = new FailingDisk()
    disk.fates = ['lost']
    disk.openFailures = Infinity
    const store = disk.store()
    await disk.settle(Promise.allSettled([writerOn(store).append([asked(1)], false)]))
    await disk.pass(100)
    await disk.settle(store.close())
    await disk.settle(store.close())
    const before = disk.openFailures
    disk.openFailures = 5
    await disk.pass(60_000)
    expect([before, disk.openFailures]).toEqual([Infinity, 5])
  })
})

describe('a write that', () => {
  test('the disk does not answer is given up in time, with all that wait for it', async () => {
    const disk = new FailingDisk()
    disk.fates = ['hangs, kept']
    const store = disk.store()
    const writer = writerOn(store)
    const writes = [writer.append([asked(1)], false)]
    await disk.pass(1_000)
    writes.push(writer.append([asked(2)], false))
    for (const outcome of await disk.settle(Promise.allSettled(writes), WRITE_MS_MAX)) {
      expect(outcome).toMatchObject({ status: 'rejected', reason: FAILED })
    }
    // Others are told at once, and for how long it has been.
    await disk.pass(5_000)
    await expect(writer.append([asked(3)], false)).rejects.toMatchObject(FAILED)
    expect(store.refusal()?.message).toContain('has not answered a write for 2')
    expect(store.refusal()?.facts['unanswered_ms']).toBeGreaterThanOrEqual(WRITE_MS_MAX)
    expect(disk.news.map(({ type }) => type)).toEqual(['unanswered'])
  })

  test('is answered late is there, is told of, and writes go on without an opening', async () => {
    const disk = new FailingDisk()
    disk.fates = ['hangs, kept']
    const store = disk.store()
    const seen: number[] = []
    store.onReopened(() => seen.push(store.eventCount()))
    const writer = writerOn(store)
    await expect(disk.settle(writer.append([asked(1)], false))).rejects.toMatchObject(FAILED)
    disk.answer()
    await disk.pass(1)
    expect([seen, store.refusal(), disk.openings]).toEqual([[1], undefined, 0])
    expect(await disk.settle(writer.append([asked(1)], false))).toEqual([{ type: 'duplicate' }])
    expect(await disk.settle(writer.append([asked(2)], false))).toEqual([{ type: 'created' }])
    expect(disk.news.map(({ type }) => type)).toEqual(['unanswered', 'answered'])
  })

  test('is answered late by a failure has the store opened anew', async () => {
    const disk = new FailingDisk()
    disk.fates = ['hangs, landed']
    const store = disk.store()
    const writer = writerOn(store)
    await expect(disk.settle(writer.append([asked(1)], false))).rejects.toMatchObject(FAILED)
    disk.answer()
    await disk.pass(5_000)
    expect([store.refusal(), disk.openings]).toEqual([undefined, 1])
    expect(await disk.settle(writer.append([asked(1)], false))).toEqual([{ type: 'duplicate' }])
  })

  test('waits for the disk to be measured is not begun once it was given up', async () => {
    const disk = new FailingDisk()
    let measured: (() => void) | undefined
    const admit = () => new Promise<void>((resolve) => (measured = resolve))
    const writer = writerOn(disk.store({ admit, refusal: () => undefined }))
    await expect(disk.settle(writer.append([asked(1)], false))).rejects.toMatchObject(FAILED)
    measured?.()
    await disk.pass(1_000)
    expect(await valuesOf(disk.held)).toEqual([])
  })
})

test('an error of a read is named by its code, and breaks nothing', async () => {
  const disk = new FailingDisk()
  const store = disk.store()
  for (const [code, named] of [
    ['LEVEL_IO_ERROR', 'LATERBASE_STORE_FAILED'],
    ['LEVEL_CORRUPTION', 'LATERBASE_STORE_CORRUPT']
  ] as const) {
    disk.held.getMany = () => Promise.reject(levelError(code))
    await expect(store.getMany([])).rejects.toMatchObject({ code: named })
  }
  expect(store.refusal()).toBeUndefined()
})

test('commits of peers whose write failed are taken when they are brought again', async () => {
  const disk = new FailingDisk()
  disk.fates = ['lost', 'kept', 'landed']
  const writer = writerOn(disk.store())
  const [first, second] = makeCommits(
    [1, 2].map((value) => ({ signer: 1, events: [asked(value)], laterBy: 1 }))
  ).map((commit) => [commit])
  for (const [commits, stored] of [
    [first, 1],
    [second, 0]
  ] as const) {
    await expect(disk.settle(writer.merge(commits ?? []))).rejects.toMatchObject(FAILED)
    await disk.pass(5_000)
    expect(await disk.settle(writer.merge(commits ?? []))).toBe(stored)
  }
  expect(disk.held.arrival()).toBe(2)
})

test('what comes while the store is opened is not held against what was there before', async () => {
  const disk = new FailingDisk()
  disk.fates = ['landed']
  const writer = writerOn(disk.store())
  const commits = makeCommits([{ signer: 1, events: [asked(1)], laterBy: 1 }])
  await expect(disk.settle(writer.merge(commits))).rejects.toMatchObject(FAILED)
  // Closed, and not open again.
  await disk.pass(5)
  const writes = [writer.merge(commits), writer.append([asked(2)], false)]
  for (const outcome of await disk.settle(Promise.allSettled(writes))) {
    expect(outcome).toMatchObject({ status: 'rejected', reason: FAILED })
  }
})

function writerOn(store: EventStore): GroupCommit {
  let clock = 0n
  return createGroupCommit({
    store,
    signer: SIGNER,
    hasher: systemHasher,
    stamp: () => (clock = nextStamp(clock, 1_000)),
    observe: () => clock,
    renew: () => RENEWAL,
    ownLogClosed: () => undefined,
    committed: () => undefined
  })
}

function asked(value: number): AppendEvent {
  const key = eventKey(Uint8Array.of(...Array<number>(14).fill(0), value >> 8, value))
  return { ...event(key, `{"data":${value}}`), fresh: false }
}

async function valuesOf(store: EventStore): Promise<number[]> {
  const values: number[] = []
  for await (const events of store.scan({})) {
    for (const { value } of events) values.push(JSON.parse(Buffer.from(value).toString()).data)
  }
  return values
}

async function firstOf(store: EventStore): Promise<unknown> {
  for await (const events of store.scan({})) return events
  return undefined
}
