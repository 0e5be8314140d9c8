/**
 * Group commit, on a store whose writes end when the test says so: requests that wait share a
 * commit, keep their order, and are all or nothing.
 */

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'

import { COMMIT_BYTES_MAX, COMMIT_EVENTS_MAX, EVENT_BYTES_MAX } from '../../protocols/limits.ts'
import { present } from '../../src/core/assert.ts'
import { sealCommit } from '../../src/core/commit.ts'
import type { CommitEvent } from '../../src/core/commit.ts'
import { eventKey } from '../../src/core/event-key.ts'
import { stampAt } from '../../src/core/hybrid-logical-clock.ts'
import { createGroupCommit } from '../../src/store/group-commit.ts'
import type { AppendEvent, AppendOutcome } from '../../src/store/group-commit.ts'
import { systemHasher } from '../../src/node/system.ts'
import { clashingEvents, commitPlans, event, makeCommits } from './arbitraries.ts'
import { RENEWAL, NOW, SIGNER, createBench } from './slow-writer.ts'

describe('requests that wait', () => {
  test('share one commit with all that came while a write was under way', async () => {
    const { writer, batches, release } = createBench()
    const first = writer.append([asked(1)], false)
    await settled()
    const others = [2, 3, 4, 5].map((value) => writer.append([asked(value)], false))
    await release()
    await first
    await release()
    await Promise.all(others)
    expect(batches.map((commits) => commits.map(({ events }) => events.length))).toEqual([[1], [4]])
  })

  test('of one turn of the event loop go into the first commit together', async () => {
    const { writer, batches, flow } = createBench()
    flow()
    await Promise.all([1, 2, 3].map((value) => writer.append([asked(value)], false)))
    expect(batches.length).toBe(1)
  })

  test('resolve only when their commit is on disk', async () => {
    const { writer, store, release } = createBench()
    let resolved = false
    const append = writer.append([asked(1)], false).then(() => (resolved = true))
    await settled()
    expect([resolved, store.eventCount()]).toEqual([false, 0])
    await release()
    await append
    expect([resolved, store.eventCount()]).toEqual([true, 1])
  })

  test('keep their order, and that of their events, in the log', async () => {
    const { writer, batches, flow } = createBench()
    const waiting = Array.from({ length: 20 }, (_, request) =>
      writer.append([asked(request * 2, request), asked(request * 2 + 1, request)], false)
    )
    flow()
    await Promise.all(waiting)
    const keys = batches.flat().flatMap(({ events }) => events.map(({ key }) => key[15]))
    expect(keys).toEqual(Array.from({ length: 40 }, (_, value) => value))
  })

  test('do not share a commit beyond its limits of events and bytes', async () => {
    const { writer, batches, flow } = createBench()
    flow()
    const half = COMMIT_EVENTS_MAX / 2
    const many = (from: number): AppendEvent[] =>
      Array.from({ length: half }, (_, index) => ({ ...wide(from + index), fresh: true }))
    await Promise.all([many(0), many(half), many(2 * half)].map((all) => writer.append(all, false)))
    const value = new Uint8Array(EVENT_BYTES_MAX)
    const hash = systemHasher.sha256(value)
    const large = Array.from({ length: 40 }, (_, index) => ({
      ...wide(3 * half + index),
      value,
      hash,
      fresh: true
    }))
    await Promise.all([large, large].map((all) => writer.append(all, false)))
    const sizes = batches.map((commits) => commits.flatMap(({ events }) => events).length)
    expect(sizes).toEqual([2 * half, half, 40, 40])
  })

  test('fail together with their write, and not with that of others', async () => {
    const { writer, store, release, flow } = createBench()
    const failed = [writer.append([asked(1)], false), writer.append([asked(2)], false)]
    await settled()
    const later = writer.append([asked(3)], false)
    const outcomes = Promise.allSettled(failed)
    await release(new Error('disk gone'))
    expect((await outcomes).map(({ status }) => status)).toEqual(['rejected', 'rejected'])
    flow()
    expect(await later).toEqual([{ type: 'created' }])
    expect(store.eventCount()).toBe(1)
    expect(await writer.append([asked(1)], false)).toEqual([{ type: 'created' }])
  })
})

describe('an append', () => {
  test('comes to what one after the other would, however requests are grouped', async () => {
    const request = fc.record({
      events: fc.array(clashingEvents(), { minLength: 1, maxLength: 4 }),
      partial: fc.boolean()
    })
    const turns = fc.array(fc.array(request, { minLength: 1, maxLength: 4 }), { maxLength: 5 })
    await fc.assert(
      fc.asyncProperty(turns, async (groups) => {
        const { writer, store, flow } = createBench()
        flow()
        const outcomes: (readonly AppendOutcome[])[] = []
        for (const group of groups) {
          const appends = group.map(({ events, partial }) => writer.append(old(events), partial))
          outcomes.push(...(await Promise.all(appends)))
        }
        const model = createModel()
        expect(outcomes).toEqual(groups.flat().map((each) => model.append(each)))
        expect(store.eventCount()).toBe(model.size())
      })
    )
  })

  test('with a conflict writes nothing, unless it is partial', async () => {
    const { writer, store, flow } = createBench()
    flow()
    await writer.append([asked(1, 0)], false)
    const mixed = [asked(2), asked(1, 1), asked(3)]
    const outcomes = [{ type: 'created' }, { type: 'conflict' }, { type: 'created' }]
    expect(await writer.append(mixed, false)).toEqual(outcomes)
    expect(store.eventCount()).toBe(1)
    expect(await writer.append(mixed, true)).toEqual(outcomes)
    expect(store.eventCount()).toBe(3)
  })

  test('of nothing new makes no commit', async () => {
    const { writer, batches, flow } = createBench()
    flow()
    await writer.append([asked(1)], false)
    expect(await writer.append([asked(1)], false)).toEqual([{ type: 'duplicate' }])
    expect(batches.length).toBe(1)
  })

  test('of the same event by waiting requests makes it once', async () => {
    const { writer, store, batches, flow } = createBench()
    const waiting = [1, 2, 3].map(() => writer.append([asked(1), asked(1)], false))
    flow()
    const outcomes = (await Promise.all(waiting)).flat().map(({ type }) => type)
    expect(outcomes).toEqual(['created', ...Array.from({ length: 5 }, () => 'duplicate')])
    expect([store.eventCount(), batches.length]).toEqual([1, 1])
  })

  test('beyond one commit is refused with the limits, and nothing is written', async () => {
    const { writer, batches, flow } = createBench()
    flow()
    const tooMany = Array.from({ length: COMMIT_EVENTS_MAX + 1 }, (_, index) => ({
      ...wide(index),
      fresh: true
    }))
    await expect(writer.append(tooMany, false)).rejects.toMatchObject({
      code: 'LATERBASE_TOO_LARGE',
      facts: { events_max: COMMIT_EVENTS_MAX, bytes_max: COMMIT_BYTES_MAX }
    })
    expect(batches).toEqual([])
  })
})

describe('commits of peers', () => {
  test('are stored once, however many peers bring them at a time', async () => {
    await fc.assert(
      fc.asyncProperty(commitPlans(), fc.nat(3), async (plans, cut) => {
        const commits = makeCommits(plans)
        const { writer, store, flow } = createBench()
        flow()
        const merges = [commits, commits.slice(0, -cut || undefined), commits]
        const stored = await Promise.all(merges.map((each) => writer.merge(each)))
        expect(stored.reduce((sum, count) => sum + count, 0)).toBe(commits.length)
        expect(store.arrival()).toBe(commits.length)
      }),
      { numRuns: 50 }
    )
  })

  test('in the batch of an append that holds their events make it a duplicate', async () => {
    const { writer, batches, flow } = createBench()
    const theirs = makeCommits([{ signer: 1, events: [plain(1), plain(2, 1)], laterBy: 1 }])
    const waiting = Promise.all([
      writer.append([asked(1)], false),
      writer.merge(theirs),
      writer.append([asked(2, 0)], false)
    ])
    flow()
    expect(await waiting).toEqual([[{ type: 'duplicate' }], 1, [{ type: 'conflict' }]])
    expect(batches.length).toBe(1)
  })

  test('with many contents of a key have them read once for an append of many, not for each', async () => {
    const { store } = createBench()
    let reads = 0
    const counting = new Proxy(store, {
      get: (target, name) => {
        if (name === 'getAll') reads += 1
        const member: unknown = Reflect.get(target, name, target)
        return typeof member === 'function' ? (member.bind(target) as unknown) : member
      }
    })
    let stamp = 0n
    const writer = createGroupCommit({
      store: counting,
      signer: SIGNER,
      hasher: systemHasher,
      stamp: () => (stamp += 1n),
      observe: () => stamp,
      renew: () => RENEWAL,
      ownLogClosed: () => undefined,
      committed: () => undefined
    })
    const contents = Array.from({ length: 100 }, (_, content) => asked(1, content))
    await writer.merge(makeCommits([{ signer: 1, events: contents, laterBy: 1 }]))
    const outcomes = await writer.append([...contents, asked(1, 100)], true)
    const duplicates = contents.map(() => ({ type: 'duplicate' }))
    expect(outcomes).toEqual([...duplicates, { type: 'conflict' }])
    expect(reads).toBe(1)
  })

  test('with a second content of a key make an append of that content a duplicate', async () => {
    const { writer, flow } = createBench()
    flow()
    await writer.append([asked(1, 0)], false)
    const theirs = makeCommits([
      { signer: 1, events: [plain(1, 1)], laterBy: 1 },
      { signer: 2, events: [plain(1, 2)], laterBy: 1 }
    ])
    const together = await Promise.all([
      writer.merge(theirs),
      writer.append([asked(1, 0)], false),
      writer.append([asked(1, 1)], false),
      writer.append([asked(1, 2)], false)
    ])
    expect(together).toEqual([2, ...[0, 1, 2].map(() => [{ type: 'duplicate' }])])
  })

  test('have lower stamps than what is written after them', async () => {
    const { writer, store, flow } = createBench()
    flow()
    const laterBy = Number(stampAt(1)) * 1_000
    const theirs = makeCommits([{ signer: 1, events: [plain(1)], laterBy }])
    await writer.merge(theirs)
    await writer.append([asked(2)], false)
    const own = present(store.log(store.ownLog.id), 'the own log')
    expect(own.tip.recorded > present(theirs[0], 'a commit').recorded).toBe(true)
  })

  test('that write on in our own log close it, and we go on in a new one', async () => {
    const { writer, store, flow, closedLogs } = createBench()
    flow()
    await writer.append([asked(1)], false)
    const before = present(store.log(store.ownLog.id), 'the own log')
    const foreign = sealCommit(
      {
        origin: before.tip.origin,
        firstSeq: 2,
        previous: before.tip.hash,
        recorded: stampAt(NOW + 10 * 365 * 86_400_000),
        events: [plain(2)]
      },
      SIGNER,
      systemHasher
    )
    await Promise.all([writer.merge([foreign]), writer.append([asked(3)], false)])
    expect(await writer.append([asked(4)], false)).toEqual([{ type: 'created' }])
    expect(closedLogs).toEqual([before.tip.origin.id])
    expect(store.incarnation).toBe(RENEWAL.incarnation)
    expect(store.log(before.tip.origin.id)?.tip.hash).toEqual(foreign.hash)
    expect(store.log(store.ownLog.id)?.tip.seq).toBe(2)
    expect(store.ownLog.id).not.toBe(before.tip.origin.id)
  })

  test('that our own log holds already do not close it', async () => {
    const { writer, store, flow, closedLogs, batches } = createBench()
    flow()
    await writer.append([asked(1)], false)
    await writer.append([asked(2)], false)
    const own = batches.flat()
    expect(await writer.merge(own)).toBe(0)
    expect(closedLogs).toEqual([])
    expect(store.log(store.ownLog.id)?.tip.seq).toBe(2)
  })
})

describe('closing', () => {
  test('waits for what waits and refuses what comes later', async () => {
    const { writer, store, release, flow } = createBench()
    const first = writer.append([asked(1)], false)
    await settled()
    const second = writer.append([asked(2)], false)
    const closing = writer.close()
    await expect(writer.append([asked(3)], false)).rejects.toMatchObject({
      code: 'LATERBASE_CLOSED'
    })
    await release()
    flow()
    await Promise.all([first, second, closing])
    expect(store.eventCount()).toBe(2)
  })
})

/** What appends come to when they are made one after the other. */
function createModel(): {
  append: (request: { events: readonly CommitEvent[]; partial: boolean }) => AppendOutcome[]
  size: () => number
} {
  let held = new Map<string, string>()
  return {
    size: () => held.size,
    append: ({ events, partial }) => {
      const next = new Map(held)
      const outcomes = events.map(({ key, hash }): AppendOutcome => {
        const [name, content] = [key.join(), hash.join()]
        const other = next.get(name)
        if (other === undefined) next.set(name, content)
        if (other === undefined) return { type: 'created' }
        return { type: other === content ? 'duplicate' : 'conflict' }
      })
      if (partial || outcomes.every(({ type }) => type !== 'conflict')) held = next
      return outcomes
    }
  }
}

function plain(key: number, content = 0): CommitEvent {
  return event(eventKey(new Uint8Array(16).fill(key, 15)), `{"data":${content}}`)
}

function asked(key: number, content = 0): AppendEvent {
  return { ...plain(key, content), fresh: false }
}

function old(events: readonly CommitEvent[]): AppendEvent[] {
  return events.map((each) => ({ ...each, fresh: false }))
}

function wide(value: number): CommitEvent {
  const key = new Uint8Array(16)
  new DataView(key.buffer).setUint32(12, value)
  return event(eventKey(key), '{"data":0}')
}

/** Until everything that is ready has run. */
function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}
