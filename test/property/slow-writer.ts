/** A group commit on a store in memory whose writes end when the test says so. */

import { nextStamp, observeStamp } from '../../src/core/hybrid-logical-clock.ts'
import { present } from '../../src/core/assert.ts'
import type { Commit, LogId } from '../../src/core/commit.ts'
import { systemHasher } from '../../src/node/system.ts'
import type { EventStore } from '../../src/store/event-store.ts'
import { createGroupCommit } from '../../src/store/group-commit.ts'
import type { GroupCommit } from '../../src/store/group-commit.ts'
import { createMemoryStore } from '../../src/store/memory-store.ts'
import { DATABASE, SIGNERS, seededRng } from './arbitraries.ts'

/** Wall time of the writer's clock, which stands. */
/** What a writer is given when its log must be closed. */
export const RENEWAL = { incarnation: '00112233aabbccdd', nonce: new Uint8Array(16).fill(9) }

export const NOW = 1_793_599_800_000
/** Whose log the writer writes. */
export const SIGNER = present(SIGNERS[0], 'a signer')

export interface Bench {
  readonly writer: GroupCommit
  readonly store: EventStore
  /** Commits of each batch that was written. */
  /** Own logs that the writer closed. */
  readonly closedLogs: readonly LogId[]
  readonly batches: (readonly Commit[])[]
  /** Lets the write under way end; waits for one if there is none. */
  release(failure?: Error): Promise<void>
  /** Lets every write end, now and from now on. */
  flow(): void
}

export function createBench(): Bench {
  const store = createMemoryStore({
    owner: { database: DATABASE, publicKey: SIGNER.publicKey },
    hasher: systemHasher,
    rng: seededRng(7)
  })
  const gates: ((failure?: Error) => void)[] = []
  let arrived: (() => void) | undefined
  let flowing = false
  const slow: EventStore = Object.create(store, {
    incarnation: { value: store.incarnation },
    ownLog: { get: () => store.ownLog }
  }) as EventStore
  for (const name of [
    'logs',
    'log',
    'branches',
    'commits',
    'eventCount',
    'getMany',
    'getAll'
  ] as const) {
    Object.assign(slow, { [name]: store[name].bind(store) })
  }
  const batches: (readonly Commit[])[] = []
  const closedLogs: LogId[] = []
  slow.write = async (batch) => {
    batches.push(batch.commits)
    if (!flowing) {
      await new Promise<void>((resolve, reject) => {
        gates.push((failure) => (failure === undefined ? resolve() : reject(failure)))
        arrived?.()
      })
    }
    await store.write(batch)
  }
  let clock = 0n
  const writer = createGroupCommit({
    store: slow,
    signer: SIGNER,
    hasher: systemHasher,
    stamp: () => (clock = nextStamp(clock, NOW)),
    observe: (commit) => {
      if (commit !== undefined) clock = observeStamp(clock, commit.recorded, NOW)
      return clock
    },
    renew: () => RENEWAL,
    ownLogClosed: (log) => void closedLogs.push(log),
    committed: () => undefined
  })
  return {
    writer,
    store,
    batches,
    closedLogs,
    release: async (failure) => {
      if (gates.length === 0) await new Promise<void>((resolve) => (arrived = resolve))
      present(gates.shift(), 'a write under way')(failure)
    },
    flow: () => {
      flowing = true
      for (const open of gates.splice(0)) open()
    }
  }
}
