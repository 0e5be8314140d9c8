/**
 * What every EventStore guarantees. An implementation runs this suite by handing in how it is
 * opened; `model-comparison.test.ts` compares implementations with one another.
 */

import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'

import { present } from '../../src/core/assert.ts'
import { compareBytes, toHex } from '../../src/core/bytes.ts'
import type { Commit, CommitEvent } from '../../src/core/commit.ts'
import { eventKey } from '../../src/core/event-key.ts'
import type { EventKey } from '../../src/core/event-key.ts'
import type { EventStore, StoreOwner } from '../../src/store/event-store.ts'
import { systemVerifier } from '../../src/node/system.ts'
import { DATABASE, SIGNERS, commitPlans, event, makeCommits } from '../property/arbitraries.ts'
import type { CommitPlan } from '../property/arbitraries.ts'
import { allCommits, collect, dump, scanAll, shownEvent } from './store-dump.ts'

export interface StoreFactory {
  readonly name: string
  /** A new, empty store of its own. */
  readonly open: (owner: StoreOwner) => Promise<EventStore>
  /** Closes and removes all that was opened. */
  readonly dispose: () => Promise<void>
}

export const OWNER: StoreOwner = {
  database: DATABASE,
  publicKey: present(SIGNERS[0], 'a signer').publicKey
}

export function eventStoreSuite(factory: StoreFactory): void {
  describe(`${factory.name}: the guarantees of an event store`, () => {
    let store: EventStore
    beforeEach(async () => {
      store = await factory.open(OWNER)
    })
    afterEach(() => factory.dispose())

    test('an empty store answers every question with nothing', async () => {
      expect(store.logs()).toEqual([])
      expect([store.eventCount(), store.arrival(), store.clockCeiling()]).toEqual([0, 0, 0n])
      expect(store.highestKey()).toBeUndefined()
      expect(await store.getMany([key(1)])).toEqual([undefined])
      expect(await store.getMany([])).toEqual([])
      expect(await store.getAll(key(1))).toEqual([])
      expect(await scanAll(store)).toEqual([])
      expect(await store.readEvents([])).toEqual([])
      expect(await collect(store.conflicts())).toEqual([])
      expect(store.incarnation).toMatch(/^[0-9a-f]{16}$/)
      expect(store.refusal()).toBeUndefined()
    })

    test('its own log is that of its owner, and two stores have two', async () => {
      const other = await factory.open(OWNER)
      const { publicKey, database } = store.ownLog.genesis
      expect([toHex(publicKey), database]).toEqual([toHex(OWNER.publicKey), DATABASE])
      expect(other.ownLog.id).not.toBe(store.ownLog.id)
      expect(other.incarnation).not.toBe(store.incarnation)
    })

    test('what is written is read back, by key, in order, by commit', async () => {
      const events = [3, 1, 2].map((value) => fact(value))
      const [commit] = await write(store, [plan(0, events)])
      expect(await values(store.getMany([key(2), key(9), key(1)]))).toEqual([
        '{"data":2}',
        undefined,
        '{"data":1}'
      ])
      expect(await values(scanAll(store))).toEqual(['{"data":1}', '{"data":2}', '{"data":3}'])
      const [stored] = await allCommits(store)
      const slice = { commit: present(stored, 'a commit'), from: 0, to: 3 }
      const [read] = await store.readEvents([slice])
      expect(read?.map(({ value }) => text(value))).toEqual([
        '{"data":3}',
        '{"data":1}',
        '{"data":2}'
      ])
      expect(read?.map(({ seq }) => seq)).toEqual([1, 2, 3])
      expect(toHex(slice.commit.hash)).toBe(toHex(present(commit, 'a commit').hash))
      expect(toHex(present(store.highestKey(), 'a highest key'))).toBe(toHex(key(3)))
    })

    test('logs are numbered in the order in which they came, and stand at their last commit', async () => {
      const commits = await write(store, [
        plan(2, [fact(1)]),
        plan(0, [fact(2)]),
        plan(2, [fact(3)])
      ])
      const logs = store.logs()
      expect(logs.map(({ number, tip }) => [number, tip.seq])).toEqual([
        [0, 2],
        [1, 1]
      ])
      for (const log of logs) expect(store.log(log.tip.origin.id)).toBe(log)
      expect(logs[0]?.tip.origin.id).toBe(commits[0]?.origin.id)
      expect(toHex(present(logs[0], 'a log').tip.hash)).toBe(toHex(present(commits[2], 'one').hash))
    })

    test('a batch with a commit that does not follow its log is refused whole', async () => {
      const commits = makeCommits([plan(0, [fact(1)]), plan(1, [fact(2)]), plan(0, [fact(3)])])
      const before = await dump(store)
      const gap = store.write({ commits: commits.slice(1), clockCeiling: 9n })
      await expect(gap).rejects.toThrow('a commit follows the tip of its log')
      expect(await dump(store)).toEqual(before)
      await store.write({ commits, clockCeiling: 9n })
      expect([store.arrival(), store.clockCeiling()]).toEqual([3, 9n])
      const again = store.write({ commits: commits.slice(0, 1), clockCeiling: 10n })
      await expect(again).rejects.toThrow('a commit follows the tip of its log')
      expect([store.arrival(), store.clockCeiling()]).toEqual([3, 9n])
    })

    test('an event is one event however many commits hold it, and knows them all', async () => {
      await write(store, [plan(0, [fact(1), fact(2)]), plan(1, [fact(2)]), plan(0, [fact(2)])])
      expect(store.eventCount()).toBe(2)
      const [once, often] = await store.getMany([key(1), key(2)])
      expect([once?.repeated, often?.repeated]).toEqual([false, true])
      expect(await store.occurrences(present(once, 'one'))).toEqual([{ log: 0, seq: 1 }])
      expect(await store.occurrences(present(often, 'two'))).toEqual([
        { log: 0, seq: 2 },
        { log: 0, seq: 3 },
        { log: 1, seq: 1 }
      ])
    })

    test('an event that one commit holds twice is one event at two places', async () => {
      await write(store, [plan(0, [fact(1), fact(1)])])
      expect(store.eventCount()).toBe(1)
      const [only] = await store.getMany([key(1)])
      expect(await store.occurrences(present(only, 'one'))).toEqual([
        { log: 0, seq: 1 },
        { log: 0, seq: 2 }
      ])
      expect(await values(scanAll(store))).toEqual(['{"data":1}'])
    })

    test('of several contents of a key the one with the lowest hash answers, in any order of arrival', async () => {
      const contents = [0, 1, 2].map((content) => fact(1, content))
      const lowest = contents.toSorted((a, b) => compareBytes(a.hash, b.hash))
      for (const order of permutations(contents)) {
        const each = await factory.open(OWNER)
        await write(
          each,
          order.map((content, signer) => plan(signer, [content]))
        )
        const all = await each.getAll(key(1))
        expect(all.map(({ value }) => text(value))).toEqual(lowest.map(({ value }) => text(value)))
        expect(all.map(({ alternate }) => alternate)).toEqual([false, true, true])
        expect(all.every(({ conflict }) => conflict)).toBe(true)
        expect((await each.getMany([key(1)])).map(shownEvent)).toEqual([shownEvent(all[0])])
        expect((await scanAll(each)).map(shownEvent)).toEqual(all.map(shownEvent))
        expect((await collect(each.conflicts())).map(toHex)).toEqual([toHex(key(1))])
        expect(each.eventCount()).toBe(3)
      }
    })

    test('a commit is read with the contents that it holds, not with those that answer', async () => {
      const [a, b] = [fact(1, 0), fact(1, 1)]
      await write(store, [plan(0, [a]), plan(1, [b]), plan(2, [a, b])])
      const slices = (await allCommits(store)).map((commit) => ({
        commit,
        from: 0,
        to: commit.keys.length
      }))
      const read = await store.readEvents(slices)
      expect(read.map((each) => each.map(({ value }) => text(value)))).toEqual([
        [text(a.value)],
        [text(b.value)],
        [text(a.value), text(b.value)]
      ])
    })

    test('a commit of many contents of one key is read as it was written, before and after others', async () => {
      const many = (from: number): CommitEvent[] =>
        Array.from({ length: 40 }, (_, index) => fact(1, from + index))
      const plans = [
        plan(0, [fact(1, 7)]),
        plan(1, [...many(0), fact(2), ...many(0)]),
        plan(2, many(20)),
        plan(0, [...many(60), fact(1, 7)])
      ]
      const commits = makeCommits(plans)
      for (const commit of commits) await store.write({ commits: [commit], clockCeiling: 0n })
      const together = await factory.open(OWNER)
      await together.write({ commits, clockCeiling: 0n })
      for (const each of [store, together]) {
        expect(each.eventCount()).toBe(101)
        const slices = (await allCommits(each))
          .toSorted((a, b) => a.arrival - b.arrival)
          .map((commit) => ({ commit, from: 0, to: commit.keys.length }))
        const read = await each.readEvents(slices)
        expect(read.map((events) => events.map(({ value }) => text(value)))).toEqual(
          plans.map(({ events }) => events.map(({ value }) => text(value)))
        )
      }
      expect(await dump(together)).toEqual(await dump(store))
    })

    test('many neighbours, the last of the store and scattered ones are read alike', async () => {
      const near = Array.from({ length: 200 }, (_, index) => fact(1_000 + index))
      const far = Array.from({ length: 50 }, (_, index) => fact(index * 4_000))
      const mixed = [...far, ...near].toReversed()
      await write(store, [plan(0, near), plan(1, far), plan(2, mixed)])
      const slices = (await allCommits(store)).map((commit) => ({
        commit,
        from: 0,
        to: commit.keys.length
      }))
      for (const slice of [...slices.map((each) => [each]), slices]) {
        const read = (await store.readEvents(slice)).flat()
        const expected = slice.flatMap(({ commit }) => commit.keys.map(toHex))
        expect(read.map((each) => toHex(each.key))).toEqual(expected)
      }
    })

    test('commits after a place inside a commit begin with that commit', async () => {
      await write(store, [plan(0, [fact(1), fact(2), fact(3)]), plan(0, [fact(4)])])
      const log = present(store.logs()[0], 'a log')
      const firsts = async (afterSeq: number): Promise<number[]> =>
        (await store.commits(log, afterSeq, 10)).map(({ firstSeq }) => firstSeq)
      expect(await Promise.all([0, 1, 2, 3, 4, 5].map(firsts))).toEqual([
        [1, 4],
        [1, 4],
        [1, 4],
        [4],
        [],
        []
      ])
    })

    test('seqBefore is the end of the last commit that was recorded before', async () => {
      const commits = await write(
        store,
        [5, 1, 9].map((laterBy) => ({ signer: 0, events: [fact(laterBy), fact(0)], laterBy }))
      )
      const log = present(store.logs()[0], 'a log')
      for (let stamp = 0n; stamp < 20n; stamp += 1n) {
        const before = commits.filter(({ recorded }) => recorded < stamp)
        expect(await store.seqBefore(log, stamp)).toBe(before.length * 2)
      }
    })

    test('the set does not depend on the order in which logs arrive', async () => {
      await fc.assert(
        fc.asyncProperty(commitPlans(), async (plans) => {
          const commits = makeCommits(plans)
          const ids = [...new Set(commits.map(({ origin }) => origin.id))].toReversed()
          const logwise = ids.flatMap((id) => commits.filter(({ origin }) => origin.id === id))
          const [one, other] = [await factory.open(OWNER), await factory.open(OWNER)]
          await one.write({ commits, clockCeiling: 0n })
          for (const commit of logwise) await other.write({ commits: [commit], clockCeiling: 0n })
          expect(await contents(other)).toEqual(await contents(one))
          expect(other.eventCount()).toBe(one.eventCount())
        }),
        { numRuns: 20 }
      )
    })

    test('commits known to hold only absent keys may be written blindly', async () => {
      const [first, second] = makeCommits([plan(0, [fact(5)]), plan(0, [fact(1), fact(2)])])
      await store.write({ commits: [present(first, 'a commit')], clockCeiling: 0n })
      const commit = present(second, 'a commit')
      await store.write({ commits: [commit], clockCeiling: 0n, absent: new Set([commit]) })
      expect(await values(scanAll(store))).toEqual(['{"data":1}', '{"data":2}', '{"data":5}'])
      expect(store.eventCount()).toBe(3)
    })

    test('a batch of megabytes, with events of the largest size, is written whole', async () => {
      const large = Array.from({ length: 8 }, (_, index) =>
        event(key(index), JSON.stringify({ data: 'x'.repeat(262_000) }))
      )
      await write(store, [plan(0, large), plan(1, large)])
      expect(store.eventCount()).toBe(8)
      expect((await scanAll(store)).every(({ repeated }) => repeated)).toBe(true)
    })

    test('to heal any commit that is as it was changes nothing', async () => {
      await fc.assert(
        fc.asyncProperty(commitPlans(), async (plans) => {
          const each = await factory.open(OWNER)
          const commits = await write(each, plans)
          const before = await dump(each)
          for (const commit of commits.toReversed()) {
            await each.heal(present(each.log(commit.origin.id), 'its log'), [commit])
          }
          expect(await dump(each)).toEqual(before)
          for (const log of each.logs()) {
            const all = commits.filter(({ origin }) => origin.id === log.tip.origin.id)
            await each.heal(log, all)
          }
          expect(await dump(each)).toEqual(before)
        }),
        { numRuns: 20 }
      )
    })

    test('a check of what was written finds nothing and goes through every commit', async () => {
      await fc.assert(
        fc.asyncProperty(commitPlans(), async (plans) => {
          const each = await factory.open(OWNER)
          await write(each, plans)
          const steps = await collect(each.check({ verifier: systemVerifier }))
          expect(steps.filter(({ type }) => type !== 'progress')).toEqual([])
          const total = plans.length
          if (total > 0) expect(steps.at(-1)).toEqual({ type: 'progress', done: total, total })
        }),
        { numRuns: 20 }
      )
    })

    test('closing is idempotent', async () => {
      await store.close()
      await store.close()
    })
  })
}

export function key(value: number): EventKey {
  const bytes = Buffer.alloc(16)
  bytes.writeUInt32BE(value >>> 2, 2)
  bytes[15] = value & 3
  return eventKey(Uint8Array.from(bytes))
}

export function fact(value: number, content = value): CommitEvent {
  return event(key(value), `{"data":${content}}`)
}

export function plan(signer: number, events: readonly CommitEvent[]): CommitPlan {
  return { signer, events, laterBy: 1 }
}

export async function write(store: EventStore, plans: readonly CommitPlan[]): Promise<Commit[]> {
  const commits = makeCommits(plans)
  await store.write({ commits, clockCeiling: 0n })
  return commits
}

async function values(
  events: Promise<readonly ({ readonly value: Uint8Array } | undefined)[]>
): Promise<(string | undefined)[]> {
  return (await events).map((each) => (each === undefined ? undefined : text(each.value)))
}

function text(value: Uint8Array): string {
  return Buffer.from(value).toString()
}

/** The set as such: keys and contents, without where they stand. */
async function contents(store: EventStore): Promise<string[]> {
  return (await scanAll(store)).map((each) => `${toHex(each.key)} ${text(each.value)}`)
}

function permutations<T>(values: readonly T[]): T[][] {
  if (values.length <= 1) return [[...values]]
  return values.flatMap((first, index) =>
    permutations(values.toSpliced(index, 1)).map((rest) => [first, ...rest])
  )
}
