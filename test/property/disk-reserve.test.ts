/** The reserve of the disk, measured as the test says, on simulated time. */

import { describe, expect, test } from 'vitest'

import { createReopeningStore } from '../../src/store/reopening-store.ts'
import { DiskReserve } from '../../src/store/disk-reserve.ts'
import type { DiskNews, DiskSpace } from '../../src/store/disk-reserve.ts'
import { Life, WallClock, processClock } from '../../scripts/simulate/deterministic/clocks.ts'
import { World } from '../../scripts/simulate/deterministic/world.ts'
import { makeCommits, event } from './arbitraries.ts'
import { eventKey } from '../../src/core/event-key.ts'
import { emptyStore } from './failing-disk.ts'

const FULL = { code: 'LATERBASE_DISK_FULL' }
const GIGABYTE = 1_000_000_000

class Bench {
  readonly world = new World(1)
  readonly news: DiskNews[] = []
  space: DiskSpace | Error = { freeBytes: 100 * GIGABYTE, totalBytes: 200 * GIGABYTE }
  measured = 0
  readonly reserve = new DiskReserve({
    measure: async () => {
      this.measured += 1
      if (this.space instanceof Error) throw this.space
      return this.space
    },
    clock: processClock(this.world, new WallClock(this.world, 0), new Life(this.world)),
    told: (news) => this.news.push(news)
  })

  free(freeBytes: number, totalBytes = 200 * GIGABYTE): void {
    this.space = { freeBytes, totalBytes }
  }

  async pass(ms: number): Promise<void> {
    await this.world.run(this.world.nowMs + ms, () => false)
  }
}

describe('the reserve', () => {
  test('refuses writes while less is free, in words and figures, and takes them as soon as there is room', async () => {
    const bench = new Bench()
    await bench.reserve.admit()
    bench.free(120_400_000)
    await bench.pass(250)
    await expect(bench.reserve.admit()).rejects.toMatchObject({
      ...FULL,
      message:
        'The disk is full: 120 MB left, 256 MB are kept free. ' +
        'New events are refused until there is room; nothing is lost.',
      facts: { free_bytes: 120_400_000, reserve_bytes: 256_000_000 }
    })
    bench.free(256_000_000)
    await bench.pass(1_000)
    expect(bench.reserve.refusal()).toBeUndefined()
    await bench.reserve.admit()
  })

  test('of a small disk is small, and of one that does not tell there is none', async () => {
    for (const [freeBytes, totalBytes, isFull] of [
      [999_999, 16_000_000, true],
      [1_000_000, 16_000_000, false],
      [0, 0, false]
    ] as const) {
      const bench = new Bench()
      bench.free(freeBytes, totalBytes)
      const admitted = bench.reserve.admit()
      if (isFull) await expect(admitted).rejects.toMatchObject(FULL)
      else await admitted
    }
  })

  test('is kept beside what is to be written at one time, and names what is lacking', async () => {
    const bench = new Bench()
    bench.free(300_000_000)
    await bench.reserve.admit(44_000_000)
    const refused = bench.reserve.admit(44_000_001)
    await expect(refused).rejects.toMatchObject(FULL)
    await expect(refused).rejects.toThrow('44 MB are needed on the disk, besides 256 MB')
    expect(bench.reserve.refusal()).toBeUndefined()
  })

  test('is measured once for many writes at a time, and again before a later one', async () => {
    const bench = new Bench()
    const many = Array.from({ length: 100 }, () => bench.reserve.admit())
    await Promise.all(many)
    for (let write = 0; write < 100; write += 1) await bench.reserve.admit()
    expect(bench.measured).toBe(1)
    await bench.pass(250)
    const before = bench.measured
    await bench.reserve.admit()
    expect(bench.measured).toBe(before + 1)
  })

  test('is looked at without a write, so that a person is told before a client is', async () => {
    const bench = new Bench()
    await bench.pass(1)
    bench.free(0)
    await bench.pass(10_000)
    expect(bench.news.map(({ type }) => type)).toEqual(['full'])
    expect(bench.reserve.refusal()).toMatchObject(FULL)
  })

  test('tells once when it begins and once when it ends, however long and often it is measured', async () => {
    const bench = new Bench()
    for (let turn = 0; turn < 3; turn += 1) {
      bench.free(turn)
      await bench.pass(60_000)
      bench.free(GIGABYTE)
      await bench.pass(60_000)
    }
    const types = ['full', 'room']
    expect(bench.news.map(({ type }) => type)).toEqual([...types, ...types, ...types])
  })

  test('keeps what it knows of a disk that cannot be measured', async () => {
    const bench = new Bench()
    await bench.reserve.admit()
    bench.space = new Error('EIO')
    await bench.pass(60_000)
    await bench.reserve.admit()
    bench.free(0)
    await bench.pass(20_000)
    bench.space = new Error('EIO')
    await bench.pass(60_000)
    await expect(bench.reserve.admit()).rejects.toMatchObject(FULL)
  })

  test('is not measured any more once it is closed', async () => {
    const bench = new Bench()
    bench.free(0)
    await bench.pass(5_000)
    bench.reserve.close()
    const before = bench.measured
    await bench.pass(60_000)
    expect(bench.measured).toBe(before)
  })
})

test('a store on a full disk is read, and takes writes again with the room', async () => {
  const bench = new Bench()
  const held = emptyStore(7)
  const store = createReopeningStore(held, {
    name: 'Database depot',
    open: () => Promise.reject(new Error('it did not fail')),
    canReopen: () => Promise.reject(new Error('it did not fail')),
    reserve: bench.reserve,
    clock: processClock(bench.world, new WallClock(bench.world, 0), new Life(bench.world)),
    told: () => undefined
  })
  const key = eventKey(new Uint8Array(16))
  const commits = makeCommits([{ signer: 0, events: [event(key, '{"data":1}')], laterBy: 1 }])
  bench.free(0)
  await expect(store.write({ commits, clockCeiling: 1n })).rejects.toMatchObject(FULL)
  expect([store.arrival(), await store.getMany([key])]).toEqual([0, [undefined]])
  expect(store.refusal()).toMatchObject(FULL)
  bench.free(GIGABYTE)
  await bench.pass(1_000)
  await store.write({ commits, clockCeiling: 1n })
  expect([store.arrival(), store.refusal()]).toEqual([1, undefined])
})
