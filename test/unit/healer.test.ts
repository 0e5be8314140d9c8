/** Checks and healing at a bounded cost: nothing ends them, and nothing makes them run without end. */

import { expect, onTestFinished, test, vi } from 'vitest'

import { present } from '../../src/core/assert.ts'
import { lastSeq } from '../../src/core/commit.ts'
import type { Commit } from '../../src/core/commit.ts'
import { LaterbaseError } from '../../src/errors.ts'
import type { NodeDatabase } from '../../src/node/database.ts'
import { Healer } from '../../src/node/healer.ts'
import { systemHasher, systemVerifier } from '../../src/node/system.ts'
import type { TransportHandlers } from '../../src/p2p/transport.ts'
import type { CheckStep, Stretch } from '../../src/store/event-store.ts'
import { YARD, inventedCommit } from '../fixtures/hostile.ts'
import { ManualClock } from '../fixtures/manual-clock.ts'
import { ScriptedTransport } from '../fixtures/scripted-node.ts'
import { makeSmall } from '../fixtures/small-limits.ts'
import { answersOf, databaseOf } from '../property/forest.ts'

vi.mock('../../src/node/limits.ts', async (original) => {
  const { smallable } = await import('../fixtures/small-limits.ts')
  return smallable(await original())
})

const HASH = new Uint8Array(32)
const DAY_MS = 86_400_000
const HOUR_MS = 3_600_000
const CORRUPT = new LaterbaseError('LATERBASE_STORE_CORRUPT', 'rot', { facts: { log: 0, seq: 7 } })

test('a check that a disk cuts off is named and made again, and the others have their turn', async () => {
  const bench = new Bench(['a', 'b'])
  bench.fail('a', new Error('EIO: i/o error, read'))
  await bench.clock.pass(2 * DAY_MS)
  expect(bench.checks('b')).toBeGreaterThanOrEqual(1)
  expect(bench.healer.warnings().join()).toMatch(/^a: a check could not .*EIO/)
  // Each reads a disk that fails: not all the time.
  expect(bench.checks('a')).toBeGreaterThan(3)
  expect(bench.checks('a')).toBeLessThan((7 * 2 * DAY_MS) / HOUR_MS)
  bench.fail('a', undefined)
  await bench.clock.pass(HOUR_MS)
  expect(bench.healer.warnings()).toEqual([])
})

test('damage that is met again and again does not have everything gone through each time', async () => {
  const bench = new Bench(['a'])
  for (let minute = 0; minute < 60; minute += 1) {
    for (let turn = 0; turn < 10; turn += 1) bench.healer.suspect()
    await bench.clock.pass(60_000)
  }
  expect(bench.checks('a')).toBeLessThan(10)
})

test('a read that meets damage which nobody can give looks for it once in a while only', async () => {
  const bench = new Bench(['a'])
  for (let second = 0; second < 60; second += 1) {
    for (let read = 0; read < 10; read += 1) {
      expect(await bench.healer.heal(bench.database('a'), CORRUPT)).toBe(false)
    }
    await bench.clock.pass(1_000)
  }
  expect(bench.looks).toBeLessThan(15)
  // A peer that comes is asked at once.
  const before = bench.looks
  await bench.transport.start({ peerConnected: () => undefined } as unknown as TransportHandlers)
  await bench.healer.heal(bench.database('a'), CORRUPT)
  bench.transport.connect('peer')
  await bench.healer.heal(bench.database('a'), CORRUPT)
  expect(bench.looks).toBe(before + 2)
})

test('a store that there is no room to make anew is named, and is left open', async () => {
  const bench = new Bench(['a'])
  bench.steps = [{ type: 'rebuild', detail: 'table 000005.ldb is damaged' }]
  bench.rebuild = () => Promise.reject(new Error('900 MB are needed'))
  await expect(bench.healer.verify(bench.database('a'))).rejects.toThrow('900 MB')
  const [warning] = bench.healer.warnings()
  expect(warning).toBe(
    'a: table 000005.ldb is damaged; it cannot be made anew now: 900 MB are needed'
  )
})

test('what nobody can give is asked for less and less often, and at once when others are connected', async () => {
  const bench = new Bench(['a'])
  await bench.transport.start({ peerConnected: () => undefined } as unknown as TransportHandlers)
  let asked = 0
  bench.transport.script = async () => {
    asked += 1
    throw new Error('nothing of it is here')
  }
  bench.transport.connect('peer')
  bench.steps = [{ type: 'stretch', detail: 'rot', stretch: LOST }]
  await bench.healer.verify(bench.database('a'))
  expect([asked, bench.healer.status('a').open]).toEqual([1, 1])
  // After 5, 10, 20, 40, 60, 60 s and so on; each is looked at with the timer of 5 s.
  await bench.clock.pass(HOUR_MS)
  expect(asked).toBeGreaterThan(55)
  expect(asked).toBeLessThan(75)
  const before = asked
  bench.transport.connect('other')
  await bench.clock.pass(5_000)
  expect(asked).toBe(before + 2)
  await bench.clock.pass(10_000)
  expect(asked).toBe(before + 4)
})

test('of very many findings the last are shown, and all are counted', async () => {
  makeSmall({ FINDINGS_MAX: 3 })
  const bench = new Bench(['a'])
  bench.steps = rot(10)
  const { found, findings } = await bench.healer.verify(bench.database('a'))
  expect([found, findings]).toEqual([10, ['rot 7', 'rot 8', 'rot 9']])
})

test('of very many damaged places so many are remembered, whoever met them', async () => {
  makeSmall({ DAMAGED_PLACES_MAX: 4 })
  const bench = new Bench(['a'])
  bench.steps = rot(10)
  expect(await bench.healer.verify(bench.database('a'))).toMatchObject({ found: 10, open: 4 })
  const readAll = async (): Promise<number> => {
    const before = bench.looks
    for (const { detail } of rot(10)) {
      const error = new LaterbaseError('LATERBASE_STORE_CORRUPT', detail, { facts: CORRUPT.facts })
      expect(await bench.healer.heal(bench.database('a'), error)).toBe(false)
    }
    return bench.looks - before
  }
  // What is remembered is not looked for at once again.
  expect([await readAll(), await readAll()]).toEqual([10, 6])
})

test('commits of so many bytes are healed at a time, or one that has more', async () => {
  makeSmall({ HEAL_BYTES_MAX: 10_000 })
  const commits: Commit[] = []
  for (const length of [4_000, 4_000, 4_000, 20_000, 4_000]) {
    const last = commits.at(-1)
    const data = 'x'.repeat(length)
    commits.push(inventedCommit({ seed: 8, data, ...(last === undefined ? {} : { after: last }) }))
  }
  const answer = answersOf(await databaseOf(commits, { name: YARD }))
  const bench = new Bench([YARD])
  await bench.transport.start({ peerConnected: () => undefined } as unknown as TransportHandlers)
  bench.transport.script = (_peer, frame) => answer(frame)
  bench.transport.connect('peer')
  const { origin, hash } = present(commits.at(-1), 'a last one')
  const toSeq = commits.length
  const log = { number: 0, tip: { origin, seq: toSeq, hash, recorded: 0n }, fork: undefined }
  const stretch = { log, after: { seq: 0, hash: origin.hash }, toSeq, hash }
  bench.steps = [{ type: 'stretch', detail: 'rot', stretch }]
  expect(await bench.healer.verify(bench.database(YARD))).toMatchObject({ healed: 1, open: 0 })
  expect(bench.healed.map((some) => some.map(lastSeq))).toEqual([[1, 2], [3], [4], [5]])
})

/** What a check finds of so many damaged places. */
function rot(count: number): (CheckStep & { readonly detail: string })[] {
  return Array.from({ length: count }, (_, at) => {
    const stretch = { ...LOST, after: { seq: at, hash: HASH }, toSeq: at + 1 }
    return { type: 'stretch' as const, detail: `rot ${at}`, stretch }
  })
}

/** The only commit of a log of one event. */
const LOST = {
  log: { number: 0, tip: { origin: { id: '00'.repeat(16), hash: HASH }, seq: 1 } },
  after: { seq: 0, hash: HASH },
  toSeq: 1,
  hash: HASH
} as unknown as Stretch

class Bench {
  readonly clock = new ManualClock()
  readonly transport = new ScriptedTransport()
  readonly healer: Healer
  looks = 0
  steps: readonly CheckStep[] = []
  /** Commits that were healed together. */
  readonly healed: (readonly Commit[])[] = []
  rebuild: () => Promise<void> = () => Promise.resolve()
  readonly #counts = new Map<string, number>()
  readonly #failures = new Map<string, Error | undefined>()
  readonly #databases: readonly NodeDatabase[]

  constructor(names: readonly string[]) {
    this.#databases = names.map((name) => this.#make(name))
    this.healer = new Healer({
      transport: this.transport,
      clock: this.clock,
      hasher: systemHasher,
      verifier: systemVerifier,
      log: () => undefined,
      databases: () => this.#databases,
      verifyMs: DAY_MS,
      rebuild: () => this.rebuild()
    })
    for (const database of this.#databases) this.healer.follow(database)
    onTestFinished(() => this.healer.close())
  }

  database(name: string): NodeDatabase {
    const found = this.#databases.find((each) => each.name === name)
    if (found === undefined) throw new Error('a database of the bench')
    return found
  }

  checks(name: string): number {
    return this.#counts.get(name) ?? 0
  }

  fail(name: string, error: Error | undefined): void {
    this.#failures.set(name, error)
  }

  /** What of a database a healer asks for. */
  #make(name: string): NodeDatabase {
    const check = (): AsyncIterable<CheckStep> => this.#check(name)
    const damagedAt = async (): Promise<readonly never[]> => {
      this.looks += 1
      return []
    }
    const none = (): readonly never[] => []
    const heal = async (_log: unknown, commits: readonly Commit[]): Promise<void> => {
      this.healed.push(commits)
    }
    const arrival = (): number => 0
    const store = { check, damagedAt, heal, arrival, logs: none, branches: none }
    return { name, store, version: none } as unknown as NodeDatabase
  }

  async *#check(name: string): AsyncGenerator<CheckStep> {
    this.#counts.set(name, this.checks(name) + 1)
    const failure = this.#failures.get(name)
    if (failure !== undefined) throw failure
    yield* this.steps
  }
}
