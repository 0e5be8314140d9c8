/**
 * Everything that happens to a database at one time, in any order: writers, commits of peers,
 * fetches from several of them, feeds, and its end. The scheduler of fast-check says which call of
 * the store goes on next. `SCHEDULES` says how many orders are tried.
 */

import fc from 'fast-check'
import { expect, test } from 'vitest'

import type { Verifier } from '../../src/core/clock.ts'
import type { Commit } from '../../src/core/commit.ts'
import { formatEventKey, parseEventKey } from '../../src/core/event-key.ts'
import { LaterbaseError } from '../../src/errors.ts'
import type { NodeDatabase } from '../../src/node/database.ts'
import type { AppendResult, EventInput } from '../../src/node/laterbase.ts'
import { clashingEvents, seededRng } from './arbitraries.ts'
import { databaseOn, fetchInto, forests, withAncestors } from './forest.ts'
import { scheduledStore } from './scheduled-store.ts'
import type { ScheduledStore } from './scheduled-store.ts'

const RUNS = Number(process.env['SCHEDULES'] ?? 150)

/** Signatures are checked elsewhere, on threads that no scheduler commands. */
const trusting: Verifier = { verify: async () => true }

/** Peers that bring commits; as many are fetched from. */
const MERGES = 2

interface Plan {
  readonly appends: readonly (readonly EventInput[])[]
  readonly commits: readonly Commit[]
  /** Which of the commits are brought by whom. */
  readonly parts: readonly (readonly boolean[])[]
}

const offered = fc.oneof(
  clashingEvents().map(({ key, value }): EventInput => {
    const { data } = JSON.parse(Buffer.from(value).toString()) as { data: number }
    return { key: formatEventKey(key), data }
  }),
  fc.nat(3).map((data): EventInput => ({ data }))
)

const plans: fc.Arbitrary<Plan> = fc.record({
  appends: fc.array(fc.array(offered, { minLength: 1, maxLength: 3 }), { maxLength: 6 }),
  commits: forests(10),
  parts: fc.array(fc.array(fc.boolean(), { minLength: 10, maxLength: 10 }), {
    minLength: 4,
    maxLength: 4
  })
})

interface Follower {
  readonly seen: string[]
  /** `reading`, `ended`, or what the feed failed with. */
  outcome: string
}

class Bench {
  readonly scheduler: fc.Scheduler
  readonly plan: Plan
  readonly disk: ScheduledStore
  readonly database: NodeDatabase
  /** Laws that were seen broken, in words. */
  readonly faults: string[] = []

  constructor(scheduler: fc.Scheduler, plan: Plan) {
    this.scheduler = scheduler
    this.plan = plan
    this.disk = scheduledStore(scheduler, 1)
    this.database = databaseOn(this.disk.store)
  }

  /** What everybody does, each begun when the scheduler says so. */
  async work(): Promise<PromiseSettledResult<unknown>[]> {
    const { appends, parts } = this.plan
    const peers = await Promise.all(
      parts.slice(MERGES).map((part, seed) => this.#peer(part, seed + 2))
    )
    const tasks: [string, () => Promise<unknown>][] = [
      ...appends.map((events, index): [string, () => Promise<unknown>] => [
        `append ${index}`,
        () => this.#append(events)
      ]),
      ...parts
        .slice(0, 2)
        .map((part, index): [string, () => Promise<unknown>] => [
          `merge ${index}`,
          () => this.database.merge(this.#part(part))
        ]),
      ...peers.map((peer, index): [string, () => Promise<unknown>] => [
        `fetch ${index}`,
        () => fetchInto(this.database, peer, { verifier: trusting })
      ])
    ]
    return Promise.allSettled(
      tasks.map(async ([name, run]) => {
        await this.scheduler.schedule(Promise.resolve(), name)
        await run()
      })
    )
  }

  /** Follows the feed; what it has seen grows while it does. A slow reader takes its time. */
  follow(signal: AbortSignal, isSlow = false): Follower {
    const follower: Follower = { seen: [], outcome: 'reading' }
    const read = async (): Promise<void> => {
      for await (const { event } of this.database.changes({ signal })) {
        follower.seen.push(`${event.key} ${event.hash}`)
        if (isSlow) await this.scheduler.schedule(Promise.resolve(), 'the reader goes on')
      }
    }
    read().then(
      () => (follower.outcome = 'ended'),
      (error: unknown) => (follower.outcome = String(error))
    )
    return follower
  }

  async stored(): Promise<string[]> {
    const names: string[] = []
    for await (const events of this.disk.inner.scan({})) {
      for (const { key, hash } of events) {
        names.push(`${formatEventKey(key)} ${Buffer.from(hash).toString('hex')}`)
      }
    }
    return names.sort()
  }

  async #append(events: readonly EventInput[]): Promise<void> {
    const written = await this.database.append(events, { onError: 'proceed' })
    for (const name of namesOf(written)) {
      const key = parseEventKey(name.split(' ')[0] ?? '')
      const held = key === undefined ? [] : await this.disk.inner.getAll(key)
      const isHeld = held.some(({ hash }) => name.endsWith(Buffer.from(hash).toString('hex')))
      if (!isHeld) this.faults.push(`${name} was acknowledged before it was stored`)
    }
  }

  #part(choice: readonly boolean[]): Commit[] {
    const { commits } = this.plan
    return withAncestors(
      commits,
      commits.filter((_, index) => choice[index] === true)
    )
  }

  async #peer(part: readonly boolean[], seed: number): Promise<NodeDatabase> {
    const { store } = scheduledStore(this.scheduler, seed)
    const database = databaseOn(store, { rng: seededRng(seed) })
    await database.merge(this.#part(part))
    return database
  }
}

test('in any order nothing is acknowledged early, written twice at a time, or missed by a feed', async () => {
  await fc.assert(
    fc.asyncProperty(fc.scheduler(), plans, async (scheduler, plan) => {
      const bench = new Bench(scheduler, plan)
      const controller = new AbortController()
      const feeds = [bench.follow(controller.signal), bench.follow(controller.signal, true)]
      const woken = { outcome: 'waiting' }
      bench.database.changed('0', { signal: controller.signal }).then(
        () => (woken.outcome = 'woken'),
        () => (woken.outcome = 'ended')
      )
      const outcomes = await scheduler.waitFor(bench.work())
      expect(outcomes.filter(({ status }) => status === 'rejected')).toEqual([])
      await atRest(scheduler)
      const stored = await bench.stored()
      for (const { seen } of feeds) expect(seen.toSorted()).toEqual(stored)
      if (stored.length > 0) expect(woken.outcome).toBe('woken')
      controller.abort()
      await atRest(scheduler)
      expect(feeds.map(({ outcome }) => outcome)).toEqual(['ended', 'ended'])
      expectOrder(bench)
      expect(new Set(stored).size).toBe(bench.disk.inner.eventCount())
    }),
    { numRuns: RUNS }
  )
}, 3_600_000)

test('closing in the midst of it waits for what was begun, and refuses what comes later', async () => {
  await fc.assert(
    fc.asyncProperty(fc.scheduler(), plans, async (scheduler, plan) => {
      const bench = new Bench(scheduler, plan)
      const { database, disk } = bench
      const feed = bench.follow(new AbortController().signal)
      const closing = scheduler.schedule(Promise.resolve(), 'close').then(async () => {
        await database.close()
        expect(disk.isClosed()).toBe(true)
        return disk.batches.length
      })
      const outcomes = await scheduler.waitFor(bench.work())
      const batches = await scheduler.waitFor(closing)
      await atRest(scheduler)
      expect(feed.outcome).toBe('ended')
      expect(disk.batches.length, 'nothing is written after close').toBe(batches)
      // A fetch is no request of a client: it may fail with whatever the store says.
      for (const outcome of outcomes.slice(0, plan.appends.length + MERGES)) {
        if (outcome.status === 'rejected') expect(outcome.reason).toBeInstanceOf(LaterbaseError)
        if (outcome.status === 'rejected') expect(outcome.reason.code).toBe('LATERBASE_CLOSED')
      }
      await expect(database.append({ data: 1 })).rejects.toMatchObject({ code: 'LATERBASE_CLOSED' })
      await expect(database.merge([])).rejects.toMatchObject({ code: 'LATERBASE_CLOSED' })
      const stored = new Set(await bench.stored())
      expect(new Set(feed.seen).size).toBe(feed.seen.length)
      for (const name of feed.seen) expect(stored).toContain(name)
      expectOrder(bench)
    }),
    { numRuns: RUNS }
  )
}, 3_600_000)

/** Until nothing is scheduled, and nothing that runs schedules more. */
async function atRest(scheduler: fc.Scheduler): Promise<void> {
  do {
    await scheduler.waitIdle()
    // It looks a few microtasks ahead; a page of a feed takes more.
    await new Promise(setImmediate)
  } while (scheduler.count() > 0)
}

/** One commit of ours a batch, whatever waited for it; and no fault. */
function expectOrder({ disk, faults }: Bench): void {
  expect([...faults, ...disk.faults]).toEqual([])
  for (const { commits } of disk.batches) {
    const own = commits.filter(({ origin }) => origin.id === disk.inner.ownLog.id)
    expect(own.length).toBeLessThanOrEqual(1)
  }
  const sequences = disk.batches
    .flatMap(({ commits }) => commits)
    .filter(({ origin }) => origin.id === disk.inner.ownLog.id)
    .map(({ firstSeq, events }) => [firstSeq, firstSeq + events.length])
  for (const [index, [firstSeq]] of sequences.entries()) {
    expect(firstSeq).toBe(index === 0 ? 1 : sequences[index - 1]?.[1])
  }
}

function namesOf({ results }: AppendResult): string[] {
  return results.flatMap((result) =>
    result.status === 'rejected' ? [] : [`${result.key} ${result.hash}`]
  )
}
