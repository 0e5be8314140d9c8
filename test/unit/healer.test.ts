/** Checks and healing at a bounded cost: nothing ends them, and nothing makes them run without end. */

import { expect, onTestFinished, test } from 'vitest'

import { LaterbaseError } from '../../src/errors.ts'
import type { NodeDatabase } from '../../src/node/database.ts'
import { Healer } from '../../src/node/healer.ts'
import { systemHasher, systemVerifier } from '../../src/node/system.ts'
import type { TransportHandlers } from '../../src/p2p/transport.ts'
import type { CheckStep, Stretch } from '../../src/store/event-store.ts'
import { ManualClock } from '../fixtures/manual-clock.ts'
import { ScriptedTransport } from '../fixtures/scripted-node.ts'

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
  bench.step = { type: 'rebuild', detail: 'table 000005.ldb is damaged' }
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
  bench.step = { type: 'stretch', detail: 'rot', stretch: LOST }
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
  step: CheckStep | undefined
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
    const store = { check, damagedAt, logs: none, branches: none }
    return { name, store, version: none } as unknown as NodeDatabase
  }

  async *#check(name: string): AsyncGenerator<CheckStep> {
    this.#counts.set(name, this.checks(name) + 1)
    const failure = this.#failures.get(name)
    if (failure !== undefined) throw failure
    if (this.step !== undefined) yield this.step
  }
}
