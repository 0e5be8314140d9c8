/**
 * A store whose reads take simulated time: what one gives is of its beginning or of its end, and much
 * may be written in between. A read under which the store is closed fails. Left out: the size of the
 * files, for which no disk has to be read.
 */

import { LaterbaseError } from '../../../src/errors.ts'
import type { EventStore } from '../../../src/store/event-store.ts'
import type { Life } from './clocks.ts'
import type { World } from './world.ts'

export interface ReadTime {
  readonly world: World
  readonly life: Life
  /** What a read takes at the most, ms; 0: no time. Asked with each. */
  readonly msMax: () => number
  readonly isClosed: () => boolean
}

type Reads = Pick<
  EventStore,
  | 'getMany'
  | 'getAll'
  | 'scan'
  | 'commits'
  | 'seqBefore'
  | 'readEvents'
  | 'conflicts'
  | 'occurrences'
  | 'damagedAt'
  | 'check'
>

/** The reads of a store, each of which takes its time. */
export function slowReads(store: EventStore, time: ReadTime): Reads {
  return {
    getMany: (keys) => readInTime(() => store.getMany(keys), time),
    getAll: (key) => readInTime(() => store.getAll(key), time),
    scan: (range) => iterate(store.scan(range), time),
    commits: (log, afterSeq, countMax) =>
      readInTime(() => store.commits(log, afterSeq, countMax), time),
    seqBefore: (log, stamp) => readInTime(() => store.seqBefore(log, stamp), time),
    readEvents: (slices) => readInTime(() => store.readEvents(slices), time),
    conflicts: () => iterate(store.conflicts(), time),
    occurrences: (event) => readInTime(() => store.occurrences(event), time),
    damagedAt: (where) => readInTime(() => store.damagedAt(where), time),
    check: (options) => iterate(store.check(options), time)
  }
}

/** What `ask` answers at the beginning of the read, or at its end. */
export async function readInTime<T>(ask: () => Promise<T>, time: ReadTime): Promise<T> {
  const { world, life, isClosed } = time
  const msMax = time.msMax()
  if (msMax === 0) return ask()
  const takesMs = world.prng.fraction() * msMax
  const early = world.chance(0.5) ? { answer: await ask() } : undefined
  await life.sleep(takesMs)
  if (isClosed()) throw new LaterbaseError('LATERBASE_STORE_FAILED', 'the store is closed')
  return early === undefined ? ask() : early.answer
}

async function* iterate<T>(source: AsyncIterable<T>, time: ReadTime): AsyncGenerator<T> {
  const iterator = source[Symbol.asyncIterator]()
  for (;;) {
    const next = await readInTime(() => iterator.next(), time)
    if (next.done === true) return
    yield next.value
  }
}
