/** The stores of a node on a real disk whose writes fail as the test says. */

import { rmSync } from 'node:fs'
import { mkdir, readFile, readdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'

import { ClassicLevel } from 'classic-level'

import { StoreKeeper } from '../../src/node/store-keeper.ts'
import { systemClock, systemHasher, systemRng, systemVerifier } from '../../src/node/system.ts'
import { ByteCursor } from '../../src/store/byte-cursor.ts'
import type { EventStore } from '../../src/store/event-store.ts'
import { WRITE_MS_MAX } from '../../src/store/limits.ts'
import { openNodeStore } from '../../src/store/node-store.ts'
import { canReopen } from '../../src/store/reopen-probe.ts'
import { tableFault } from '../../src/store/table-check.ts'
import { fileHandlePrototype } from '../fixtures/file-handles.ts'
import { ManualClock, settled } from '../fixtures/manual-clock.ts'
import { until } from '../fixtures/nodes.ts'
import { OWNER, fact, plan, write } from './event-store-suite.ts'
import { dump } from './store-dump.ts'
import { createFolder, openAt } from './stores.ts'

const FAILED = { code: 'LATERBASE_STORE_FAILED' }
const folder = createFolder()
let location: string

beforeEach(async () => {
  location = await folder.next()
})
afterEach(async () => {
  vi.restoreAllMocks()
  await folder.remove()
})

test('a store goes on by itself after its disk failed at a write, with what it held', async () => {
  const { store, lines, close } = await openPlace()
  await write(store, [plan(0, [fact(1), fact(2)])])
  const before = await dump(store)
  failWrites(1)
  await expect(write(store, [plan(1, [fact(3)])])).rejects.toMatchObject(FAILED)
  await expect(write(store, [plan(1, [fact(3)])])).rejects.toMatchObject(FAILED)
  await until(() => store.refusal() === undefined)
  expect(await dump(store)).toEqual(before)
  await write(store, [plan(1, [fact(3)])])
  await close()
  const reopened = await openAt(join(location, OWNER.database), OWNER, false)
  expect(reopened.eventCount()).toBe(3)
  await reopened.close()
  expect(lines).toEqual([
    expect.stringMatching(/^warn .*did not take a write \(ENOSPC\).*nothing that was acknowledged/),
    expect.stringMatching(/^info .*open again after .* s; new events are taken/)
  ])
})

test('a store that is found damaged when it is opened anew stays closed, and a start recovers it', async () => {
  const { store, close } = await openPlace()
  await write(store, [plan(0, [fact(1), fact(2)])])
  const { ownLog } = store
  const batch = vi.spyOn(ClassicLevel.prototype, 'batch')
  batch.mockImplementationOnce(() => {
    rmSync(join(location, OWNER.database, 'CURRENT'))
    throw new Error('EIO')
  })
  await expect(write(store, [plan(1, [fact(3)])])).rejects.toMatchObject(FAILED)
  await until(() => store.refusal()?.message.includes('is taken over when that lasts') === true)
  await close()
  expect((await readdir(location)).filter((name) => name.includes('damaged'))).toEqual([])
  const started = await openPlace(false)
  expect(started.store.eventCount()).toBe(2)
  expect(started.store.ownLog.id).not.toBe(ownLog.id)
  await started.close()
})

test('a reopening looks at the newest table only, also where the disk took no orderly end', async () => {
  for (const number of [0, 1]) {
    const { store, close } = await openPlace()
    await write(store, [plan(number, [fact(number + 1)])])
    await close()
  }
  const { store, lines, close } = await openPlace(false)
  const at = join(location, OWNER.database)
  const tables = (await readdir(at)).filter((name) => name.endsWith('.ldb')).sort()
  expect(tables.length).toBeGreaterThan(1)
  const [oldest = ''] = tables
  await refuseProgress()
  await spoilChecksum(join(at, oldest))
  failWrites(1)
  await expect(write(store, [plan(2, [fact(9)])])).rejects.toMatchObject(FAILED)
  await until(() => store.refusal() === undefined)
  expect(lines.filter((line) => line.includes('open again after')).length).toBe(1)
  await close()
})

test('a scan across the reopening ends with an error, and can be made again', async () => {
  const { store, close } = await openPlace()
  await write(store, [plan(0, [fact(1), fact(2)])])
  const scan = store.scan({ chunk: 1 })[Symbol.asyncIterator]()
  await scan.next()
  failWrites(1)
  await expect(write(store, [plan(1, [fact(3)])])).rejects.toMatchObject(FAILED)
  await until(() => store.refusal() === undefined)
  await expect(scan.next()).rejects.toMatchObject(FAILED)
  expect((await store.scan({})[Symbol.asyncIterator]().next()).value.length).toBe(2)
  await close()
})

test('the node store is opened anew before what comes after a write that failed', async () => {
  const store = await openNodeStore(location, true, { clock: systemClock })
  await store.put('one', 1)
  vi.spyOn(ClassicLevel.prototype, 'put').mockRejectedValueOnce(new Error('ENOSPC'))
  const closing = vi.spyOn(ClassicLevel.prototype, 'close')
  const [failed, next] = await Promise.allSettled([store.put('two', 2), store.put('three', 3)])
  expect(failed).toMatchObject({ status: 'rejected', reason: FAILED })
  expect(next.status).toBe('fulfilled')
  expect(closing).toHaveBeenCalledTimes(1)
  expect(await Promise.all(['one', 'two', 'three'].map((name) => store.get(name)))).toEqual([
    1,
    undefined,
    3
  ])
  await store.close()
})

test('the node store gives up a write that the disk does not answer, reads on, and goes on after it', async () => {
  const clock = new ManualClock()
  const told: string[] = []
  const watch = { clock, told: (message: string) => void told.push(message) }
  const store = await openNodeStore(location, true, watch)
  await store.put('one', 1)
  const answer = hangOnePut()
  const hanging = store.put('one', 2)
  const failed = expect(hanging).rejects.toMatchObject(FAILED)
  await settled()
  await clock.pass(WRITE_MS_MAX)
  await failed
  expect(told.join()).toMatch(/^The store of the node itself: the disk has not answered .* 20 s/)
  // Whoever comes now is told at once, and reads are answered.
  await expect(store.put('two', 2)).rejects.toMatchObject(FAILED)
  expect(store.refusal?.()).toMatchObject(FAILED)
  expect(await store.get('one')).toBe(1)
  answer()
  await until(() => store.refusal?.() === undefined)
  expect(told).toHaveLength(2)
  expect(await store.get('one')).toBe(2)
  await store.put('two', 2)
  await store.close()
})

/** The next write of a node store waits until the answer. */
function hangOnePut(): () => void {
  const { put } = ClassicLevel.prototype
  let answer = (): void => undefined
  const answered = new Promise<void>((resolve) => (answer = resolve))
  vi.spyOn(ClassicLevel.prototype, 'put').mockImplementationOnce(async function (
    this: ClassicLevel,
    ...args: Parameters<typeof put>
  ) {
    await answered
    await put.apply(this, args)
  })
  return () => answer()
}

test('an opening promises to succeed where there is room for the log, and the disk takes a write', async () => {
  await mkdir(location)
  await writeFile(join(location, '000003.log'), Buffer.alloc(100_000))
  const free = (freeBytes: number, totalBytes = 2 ** 40) =>
    canReopen(location, async () => ({ freeBytes, totalBytes }))
  expect(await free(1_048_576 + 99_999)).toBe(false)
  expect(await free(1_048_576 + 100_000)).toBe(true)
  expect(await free(0, 0)).toBe(true)
  await rm(location, { recursive: true })
  await expect(free(2 ** 30)).rejects.toThrow('ENOENT')
})

async function openPlace(create = true): Promise<{
  readonly store: EventStore
  readonly lines: string[]
  readonly close: () => Promise<void>
}> {
  await mkdir(location, { recursive: true })
  const lines: string[] = []
  const place = new StoreKeeper({
    folder: location,
    publicKey: OWNER.publicKey,
    hasher: systemHasher,
    rng: systemRng,
    clock: systemClock,
    verifier: systemVerifier,
    log: (level, message) => lines.push(`${level} ${message}`)
  })
  const store = await place.open(OWNER.database, create)
  const close = async (): Promise<void> => {
    await store.close()
    await place.close()
  }
  return { store, lines, close }
}

/** Of the index of the index, behind it: LevelDB does not look at it, `tableFault` does. */
async function spoilChecksum(table: string): Promise<void> {
  const bytes = await readFile(table)
  const footer = new ByteCursor(bytes.subarray(-48))
  const end = footer.varint() + footer.varint()
  bytes[end + 1] = (bytes[end + 1] ?? 0) ^ 1
  await writeFile(table, bytes)
  expect(await tableFault(table)).toContain('does not match its checksum')
}

/** What is noted next of how far a store is, which is that it was closed, is not written. */
async function refuseProgress(): Promise<void> {
  vi.spyOn(await fileHandlePrototype(), 'write').mockRejectedValueOnce(new Error('EIO'))
}

/** The next writes to any LevelDB of this process fail, and nothing of them lands. */
function failWrites(count: number): void {
  const batch = vi.spyOn(ClassicLevel.prototype, 'batch')
  for (let each = 0; each < count; each += 1) {
    batch.mockImplementationOnce(() => {
      throw new Error('ENOSPC')
    })
  }
}
