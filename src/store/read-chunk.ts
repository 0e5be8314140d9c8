/**
 * Reads of LevelDB that leave nothing out in silence. An iterator goes on behind a block that it cannot read, be
 * it damaged or not given by the disk for a moment, and says so only once it has come to its end: whoever stops before
 * has a part of what there is, and does not know. So each iterator is taken to its end before anything of it is given.
 */

import type { Iterator } from 'classic-level'

import { after } from '../core/bytes.ts'
import { SCAN_BYTES, SCAN_CHUNK } from './limits.ts'
import type { Level, Snapshot } from './open-level.ts'

export interface RangeRead {
  /** Inclusive. */
  readonly gte: Buffer
  /** Exclusive. */
  readonly lt: Buffer
  readonly reverse: boolean
  /** Default: the state at the time of the call. */
  readonly snapshot?: Snapshot | undefined
}

/** A key, and what stands under it. */
export type Entry = [key: Buffer, value: Buffer]

/**
 * The first records of a range: so many at the most, fewer only where there are no more.
 *
 * @throws what LevelDB could not read up to there; or behind the range, or where the store begins: it looks there too
 */
export async function readFirst(db: Level, range: RangeRead, count: number): Promise<Entry[]> {
  if (count <= 0) return []
  return reading(db, range, async (iterator) => {
    const records: Entry[] = []
    while (records.length < count) {
      const more = await iterator.nextv(Math.min(count - records.length, SCAN_CHUNK))
      // It has told by then what it passed over.
      if (more.length === 0) return records
      for (const record of more) records.push(record)
    }
    await toItsEnd(iterator, range)
    return records
  })
}

/**
 * All records of a range, of one state, so many at a time at the most. More and more of them are asked of LevelDB at a time,
 * and from the second time on ahead: most who read much read all.
 *
 * @throws as `readFirst`
 */
export async function* readChunks(
  db: Level,
  range: RangeRead,
  chunk: number
): AsyncGenerator<Entry[]> {
  const own = range.snapshot === undefined ? db.snapshot() : undefined
  let left: RangeRead = { ...range, snapshot: range.snapshot ?? own }
  let ahead: Promise<Entry[]> | undefined
  try {
    for (let count = chunk; ; count = Math.max(chunk, Math.min(2 * count, SCAN_CHUNK))) {
      const isFirst = ahead === undefined
      const records = await (ahead ?? readChunk(db, left, count))
      const last = records.at(-1)
      if (last === undefined) return
      if (isFirst) yield records
      left = behind(left, last)
      ahead = readChunk(db, left, count)
      // It is awaited later: until then nobody would hear of a failure.
      ahead.catch(() => undefined)
      if (!isFirst) yield* partsOf(records, chunk)
    }
  } finally {
    await ahead?.catch(() => undefined)
    await own?.close()
  }
}

function* partsOf(records: Entry[], count: number): Generator<Entry[]> {
  for (let at = 0; at < records.length; at += count) yield records.slice(at, at + count)
}

/** As `readFirst`, but fewer also where they are large. */
function readChunk(db: Level, range: RangeRead, count: number): Promise<Entry[]> {
  return reading(db, range, async (iterator) => {
    const records = await iterator.nextv(count)
    if (records.length > 0) await toItsEnd(iterator, range)
    return records
  })
}

type RangeIterator = Iterator<Level, Buffer, Buffer>

async function reading<T>(
  db: Level,
  { gte, lt, reverse, snapshot }: RangeRead,
  read: (iterator: RangeIterator) => Promise<T>
): Promise<T> {
  const at = snapshot === undefined ? {} : { snapshot }
  const iterator = db.iterator({ gte, lt, reverse, highWaterMarkBytes: SCAN_BYTES, ...at })
  try {
    return await read(iterator)
  } finally {
    await iterator.close()
  }
}

/**
 * What lies between is not read. Where it goes to is chosen so that it meets few old versions of a key and few deleted
 * ones: it would go through all of them, and the last key of a store has been written at every commit.
 */
async function toItsEnd(iterator: RangeIterator, { lt, reverse }: RangeRead): Promise<void> {
  iterator.seek(reverse ? BEFORE_ALL : endOf(lt))
  while ((await iterator.nextv(SCAN_CHUNK)).length > 0);
}

/** A key below an exclusive bound that nothing of what is below it is above, or nearly nothing: what is behind is met first. */
export function endOf(lt: Buffer): Buffer {
  const last = lt.findLastIndex((byte) => byte > 0)
  if (last === -1) return lt
  const end = Buffer.alloc(last + 1 + END_BYTES, 0xff)
  lt.copy(end, 0, 0, last + 1)
  end[last] = (lt[last] ?? 0) - 1
  return end
}

function behind(range: RangeRead, [key]: Entry): RangeRead {
  return range.reverse ? { ...range, lt: key } : { ...range, gte: keyBehind(key) }
}

/** The least key above one. */
export function keyBehind(key: Buffer): Buffer {
  return Buffer.from(after(key).buffer)
}

const BEFORE_ALL = Buffer.alloc(0)
/** Keys that go on with more bytes of 255 behind a bound are met once more. */
const END_BYTES = 64
