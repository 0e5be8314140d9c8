/**
 * Scans of a store on disk that a thread reads ahead: the same events as without one, whatever becomes of the thread
 * or of the store meanwhile.
 */

import { once } from 'node:events'
import type { Worker } from 'node:worker_threads'

import fc from 'fast-check'
import { afterAll, afterEach, beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest'

import { present } from '../../src/core/assert.ts'
import type { CommitEvent } from '../../src/core/commit.ts'
import type { EventKey } from '../../src/core/event-key.ts'
import type { EventStore, KeyRange, StoredEvent } from '../../src/store/event-store.ts'
import { eventRecordKey } from '../../src/store/key-layout.ts'
import { damageBlock, flipped, putRaw, withRaw } from '../fixtures/raw-level.ts'
import { makeSmall } from '../fixtures/small-limits.ts'
import { OWNER, fact, key, plan, write } from './event-store-suite.ts'
import { readUntilError, scanAll, shownEvent } from './store-dump.ts'
import { MEMORY, createFolder, openAt } from './stores.ts'

vi.mock('../../src/store/limits.ts', async (original) => {
  const { smallable } = await import('../fixtures/small-limits.ts')
  return smallable(await original())
})

const folder = createFolder()
// Each scan of a test listens for its threads.
process.setMaxListeners(100)
/** Events that have one content; some in between have two. */
const COUNT = 400
let location: string
let store: EventStore

beforeEach(async () => {
  // A scan asks for a thread at once, and each message has a part of the events.
  makeSmall({ SCAN_ALONE_RECORDS: 1, SCAN_CHUNK: 50 })
  location = await folder.next()
  store = await openAt(location, OWNER)
  await fill(store)
})
afterEach(async () => {
  await store.close()
})
afterAll(async () => {
  await folder.remove()
})

test('gives what a scan without a thread gives, for any range and chunk', async () => {
  const twin = await MEMORY.open(OWNER)
  await fill(twin)
  const ranges = fc.record({
    from: fc.option(fc.nat(COUNT / 2), { nil: undefined }),
    to: fc.option(fc.integer({ min: COUNT / 4, max: COUNT + 5 }), { nil: undefined }),
    chunk: fc.integer({ min: 1, max: 90 })
  })
  let [threads, chunksAhead] = [0, 0]
  await fc.assert(
    fc.asyncProperty(ranges, async ({ from, to, chunk }) => {
      const range = { chunk, from: keyOf(from), to: keyOf(to) }
      const read = await scanAhead(range)
      threads += Number(read.hadThread)
      chunksAhead += read.chunks.length
      const expected: StoredEvent[] = []
      for await (const events of twin.scan(range)) expected.push(...events)
      expect(read.events.map(shownEvent)).toEqual(expected.map(shownEvent))
      expect(read.chunks.every((length) => length > 0 && length <= chunk)).toBe(true)
    }),
    { numRuns: 20 }
  )
  expect(threads).toBeGreaterThan(5)
  expect(chunksAhead).toBeGreaterThan(20)
})

test('ends its thread with the scan, and when nobody wants more of it', async () => {
  for (const most of [COUNT, 3]) {
    const scan = await beginAhead({ chunk: 2 })
    const exit = once(scan.thread, 'exit')
    for (let chunk = 0; chunk < most && (await scan.rest.next()).done !== true; chunk += 1);
    await scan.rest.return(undefined)
    await exit
  }
})

test('has one thread in the whole process: another scan beside it reads by itself', async () => {
  const first = await beginAhead({ chunk: 1 })
  const second = store.scan({ chunk: 7, ahead: true })
  expect(await countOf(second)).toBe(store.eventCount())
  expect(first.first.length + (await countOf(first.rest))).toBe(store.eventCount())
  expect(first.started.length).toBe(1)
})

test('goes on by itself where its thread was, without leaving out or giving twice, when that dies', async () => {
  const expected = (await scanAhead({ chunk: 1_000 })).events
  for (const before of [0, 7, 90]) {
    const { first, rest, thread, started } = await beginAhead({ chunk: 3 })
    const events = [...first]
    for (let chunk = 0; chunk < before; chunk += 1) events.push(...(await rest.next()).value)
    await thread.terminate()
    for await (const more of rest) events.push(...more)
    expect(events.map(shownEvent)).toEqual(expected.map(shownEvent))
    await ended(started)
  }
  await store.close()
  await expectClosed()
})

test('a store that is closed under it has closed its LevelDB: another process could open it', async () => {
  const { rest, thread } = await beginAhead({ chunk: 1 })
  await rest.next()
  await store.close()
  expect(thread.threadId).toBe(-1)
  await expectClosed()
  // What was read is given, and then it says so.
  await expect(countOf(rest)).rejects.toThrow()
  store = await openAt(location, OWNER, false)
  expect((await scanAhead({})).events.length).toBe(store.eventCount())
  await write(store, [plan(2, [fact(COUNT + 1)])])
})

test('a store that is closed while its thread starts waits for it', async () => {
  const started: Worker[] = []
  process.once('worker', (worker) => started.push(worker))
  const rest = store.scan({ chunk: 1, ahead: true })[Symbol.asyncIterator]()
  while (started.length === 0) await rest.next()
  await store.close()
  expect(started[0]?.threadId).toBe(-1)
  await expectClosed()
})

test('names a record that is not as it was written, as without a thread', async () => {
  await store.close()
  const recordKey = eventRecordKey(key(300))
  const record = present(await withRaw(location, (raw) => raw.get(recordKey)), 'a record')
  await putRaw(location, recordKey, flipped(record, 40))
  store = await openAt(location, OWNER, false)
  const { rest } = await beginAhead({ chunk: 10 })
  await expect(countOf(rest)).rejects.toMatchObject({
    code: 'LATERBASE_STORE_CORRUPT',
    message: expect.stringContaining('does not match its checksum')
  })
})

test('gives nothing behind a block that LevelDB cannot read, as without a thread', async () => {
  const stored = (await scanAll(store)).map(shownEvent)
  await store.close()
  await damageBlock(location, 1 / 4)
  store = await openAt(location, OWNER, false)
  const { first, rest } = await beginAhead({ chunk: 1 })
  const read = await readUntilError(rest)
  expect(read.error).toMatchObject({ code: 'LATERBASE_STORE_CORRUPT' })
  const events = [...first, ...read.events].map(shownEvent)
  expect(events).toEqual(stored.slice(0, events.length))
  expect(events.length).toBeGreaterThan(50)
})

describe('one process', () => {
  test('does not open a store twice, though its threads do', async () => {
    await expect(openAt(location, OWNER, false)).rejects.toMatchObject({
      code: 'LATERBASE_STORE_LOCKED'
    })
    await expect(withRaw(location, async () => undefined)).rejects.toThrow()
    await store.close()
    store = await openAt(location, OWNER, false)
  })
})

async function fill(filled: EventStore): Promise<void> {
  const facts: CommitEvent[] = Array.from({ length: COUNT }, (_, at) => fact(at + 1))
  await write(filled, [plan(0, facts)])
  await write(filled, [plan(1, [fact(10, 1), fact(90, 1), fact(90, 2), fact(COUNT, 1)])])
}

function keyOf(number: number | undefined): EventKey | undefined {
  return number === undefined ? undefined : key(number)
}

async function countOf(events: AsyncIterable<readonly StoredEvent[]>): Promise<number> {
  let count = 0
  for await (const some of events) count += some.length
  return count
}

interface Ahead {
  /** What was read until the thread could take over. */
  readonly first: readonly StoredEvent[]
  readonly rest: AsyncGenerator<StoredEvent[]>
  readonly started: readonly Worker[]
}

/** A scan up to where its thread takes over, or to its end where that comes before. */
async function scanFrom(range: KeyRange): Promise<Ahead> {
  const started: Worker[] = []
  const note = (worker: Worker): unknown => started.push(worker)
  process.on('worker', note)
  onTestFinished(() => {
    process.off('worker', note)
  })
  const rest = store.scan({ ...range, ahead: true })[Symbol.asyncIterator]() as AsyncGenerator<
    StoredEvent[]
  >
  const first: StoredEvent[] = []
  while (started.length === 0) {
    const { done, value } = await rest.next()
    if (done === true) break
    first.push(...value)
  }
  const [thread] = started
  if (thread !== undefined) await once(thread, 'message')
  return { first, rest, started }
}

async function beginAhead(range: KeyRange): Promise<Ahead & { readonly thread: Worker }> {
  const begun = await scanFrom(range)
  return { ...begun, thread: present(begun.started[0], 'a thread') }
}

interface Read {
  readonly events: readonly StoredEvent[]
  /** Lengths of what the thread has read. */
  readonly chunks: readonly number[]
  readonly hadThread: boolean
}

async function scanAhead(range: KeyRange): Promise<Read> {
  const { first, rest, started } = await scanFrom(range)
  const events = [...first]
  const chunks: number[] = []
  for await (const more of rest) {
    events.push(...more)
    chunks.push(more.length)
  }
  await ended(started)
  return { events, chunks, hadThread: started.length > 0 }
}

async function ended(threads: readonly Worker[]): Promise<void> {
  for (const thread of threads) if (thread.threadId !== -1) await once(thread, 'exit')
}

/** Whether LevelDB has let go of it: the records below are opened as another process would. */
async function expectClosed(): Promise<void> {
  await withRaw(location, async () => undefined)
}
