/** A store in memory whose every call begins and ends when a scheduler of fast-check says so. */

import type fc from 'fast-check'

import { systemHasher } from '../../src/node/system.ts'
import type { EventStore, StoreBatch } from '../../src/store/event-store.ts'
import { createMemoryStore } from '../../src/store/memory-store.ts'
import { DATABASE, seededRng } from './arbitraries.ts'
import { OWNER_SIGNER } from './forest.ts'

export interface ScheduledStore {
  /** What the database is given. */
  readonly store: EventStore
  /** The same, at once: for looking at what is stored. */
  readonly inner: EventStore
  readonly batches: readonly StoreBatch[]
  isClosed(): boolean
  /** What a store was asked that no caller may ask. */
  readonly faults: readonly string[]
}

export function scheduledStore(scheduler: fc.Scheduler, seed: number): ScheduledStore {
  const inner = createMemoryStore({
    owner: { database: DATABASE, publicKey: OWNER_SIGNER.publicKey },
    hasher: systemHasher,
    rng: seededRng(seed)
  })
  const batches: StoreBatch[] = []
  const faults: string[] = []
  let [writing, isClosed] = [false, false]
  const scheduled = async <T>(name: string, call: () => Promise<T>): Promise<T> => {
    // As a closed LevelDB does: whoever reads at that moment is not at fault.
    if (isClosed) throw new Error('the store is not open')
    await scheduler.schedule(Promise.resolve(), `${name} begins`)
    const result = await call()
    await scheduler.schedule(Promise.resolve(), `${name} ends`)
    return result
  }
  const write = (batch: StoreBatch): Promise<void> => {
    if (writing) faults.push('two writes at a time')
    if (isClosed) faults.push('a write after close')
    writing = true
    return scheduled('write', async () => {
      await inner.write(batch)
      batches.push(batch)
      writing = false
    })
  }
  const close = async (): Promise<void> => {
    if (writing) faults.push('close during a write')
    await scheduled('close', async () => undefined)
    isClosed = true
  }
  const store = new Proxy(inner, {
    get: (target, name) => {
      if (name === 'write') return write
      if (name === 'close') return close
      const member: unknown = Reflect.get(target, name, target)
      if (typeof member !== 'function') return member
      if (!SCHEDULED.has(name)) return member.bind(target) as unknown
      return (...args: unknown[]) =>
        scheduled(String(name), async () => Reflect.apply(member, target, args) as unknown)
    }
  })
  return { store, inner, batches, faults, isClosed: () => isClosed }
}

const SCHEDULED = new Set<string | symbol>([
  'getMany',
  'getAll',
  'commits',
  'seqBefore',
  'readEvents',
  'occurrences'
])
