/**
 * A disk that fails as a test says: the store on it outlives its handles, a handle stays broken after
 * a write that failed, and of such a write nobody knows whether it landed. Time is simulated.
 */

import { present } from '../../src/core/assert.ts'
import type { LogId, LogOrigin } from '../../src/core/commit.ts'
import { LaterbaseError } from '../../src/errors.ts'
import { systemHasher } from '../../src/node/system.ts'
import type { EventStore, StoredLog } from '../../src/store/event-store.ts'
import { createMemoryStore } from '../../src/store/memory-store.ts'
import { createReopeningStore } from '../../src/store/reopening-store.ts'
import type { StoreNews, WriteReserve } from '../../src/store/reopening-store.ts'
import { Life, WallClock, processClock } from '../../scripts/simulate/deterministic/clocks.ts'
import { World } from '../../scripts/simulate/deterministic/world.ts'
import { DATABASE, SIGNERS, seededRng } from './arbitraries.ts'

/** Whose log the store is for. */
export const SIGNER = present(SIGNERS[0], 'a signer')

/** What becomes of a write; of one that hangs when the disk answers at last. */
export type WriteFate = 'kept' | 'lost' | 'landed' | 'hangs, kept' | 'hangs, lost' | 'hangs, landed'

export class FailingDisk {
  readonly world = new World(1)
  readonly clock = processClock(this.world, new WallClock(this.world, 0), new Life(this.world))
  /** What the disk holds, for as long as the test. */
  readonly held = emptyStore(7)
  readonly news: StoreNews[] = []
  /** Of the writes to come, in order; those beyond are kept. */
  fates: WriteFate[] = []
  /** Openings to come that fail. */
  openFailures = 0
  openings = 0
  canReopen = true
  /** What an opening finds in place of what was held. */
  swapped: EventStore | undefined
  /** For how long writes hang that do. */
  hangMs = Infinity
  readonly #hanging: (() => void)[] = []
  readonly #handles = new Set<object>()
  /** Handles that were open at one time, at the most: LevelDB's lock allows one. */
  openMax = 0

  store(reserve: WriteReserve = NO_RESERVE): EventStore {
    return createReopeningStore(this.#handle(), {
      name: 'Database depot',
      open: async () => {
        await this.world.sleep(10)
        this.openings += 1
        this.openFailures -= 1
        if (this.openFailures >= 0) throw failure('the disk is away')
        return this.#handle()
      },
      canReopen: async () => this.canReopen,
      reserve,
      clock: this.clock,
      told: (news) => this.news.push(news)
    })
  }

  /** The disk answers what hangs, now and from now on. */
  answer(): void {
    this.hangMs = 0
    for (const go of this.#hanging.splice(0)) go()
  }

  /** Lets time pass until the promise is settled. */
  async settle<T>(promise: Promise<T>, withinMs = 60_000): Promise<T> {
    let isSettled = false
    const settled = promise.finally(() => {
      isSettled = true
    })
    settled.catch(() => undefined)
    const inTime = await this.world.run(this.world.nowMs + withinMs, () => isSettled)
    if (!inTime) throw new Error(`not settled within ${withinMs} ms`)
    return settled
  }

  /** Lets time pass. */
  async pass(ms: number): Promise<void> {
    await this.world.run(this.world.nowMs + ms, () => false)
  }

  async #answer(): Promise<void> {
    if (this.hangMs < Infinity) await this.world.sleep(this.hangMs)
    else await new Promise<void>((resolve) => this.#hanging.push(resolve))
  }

  #handle(): EventStore {
    const store = this.swapped ?? this.held
    const handle = {}
    this.#handles.add(handle)
    this.openMax = Math.max(this.openMax, this.#handles.size)
    let isBroken = false
    // What a handle shows of its logs stays as it was when its last write failed.
    let shown = stateOf(store)
    const write: EventStore['write'] = async (batch) => {
      if (isBroken) throw failure('the handle is broken')
      const [fate, hangs] = fateOf(this.fates.shift() ?? 'kept')
      if (hangs) await this.#answer()
      if (fate !== 'lost') await store.write(batch)
      if (fate === 'kept') shown = stateOf(store)
      if (fate === 'kept') return
      isBroken = true
      throw failure('no space left on device')
    }
    return new Proxy(store, {
      get: (target, name) => {
        if (name === 'write') return write
        if (name === 'logs') return () => shown.logs
        if (name === 'log') return (id: LogId) => branchesOf(shown.logs, id)[0]
        if (name === 'branches') return (id: LogId) => branchesOf(shown.logs, id)
        if (name === 'incarnation') return shown.incarnation
        if (name === 'ownLog') return shown.ownLog
        if (name === 'close') return async () => void this.#handles.delete(handle)
        const member: unknown = Reflect.get(target, name, target)
        if (typeof member !== 'function') return member
        return (...args: readonly unknown[]): unknown => {
          if (name.toString().startsWith('get') && !this.#handles.has(handle)) {
            return Promise.reject(levelError('LEVEL_DATABASE_NOT_OPEN'))
          }
          return member.apply(target, args) as unknown
        }
      }
    })
  }
}

function fateOf(fate: WriteFate): readonly [fate: 'kept' | 'lost' | 'landed', hangs: boolean] {
  const [, hangs, what] = /^(hangs, )?(kept|lost|landed)$/.exec(fate) ?? []
  return [what as 'kept' | 'lost' | 'landed', hangs !== undefined]
}

interface StoreState {
  readonly logs: readonly StoredLog[]
  readonly incarnation: string
  readonly ownLog: LogOrigin
}

/** What a handle keeps in memory, of which it does not know when a write failed. */
export function stateOf(store: EventStore): StoreState {
  return { logs: store.logs(), incarnation: store.incarnation, ownLog: store.ownLog }
}

export function branchesOf(logs: readonly StoredLog[], id: LogId): readonly StoredLog[] {
  return logs.filter(({ tip }) => tip.origin.id === id)
}

/** An error as LevelDB's binding throws it. */
export function levelError(code: string): Error {
  return Object.assign(new Error(code), { code })
}

export function emptyStore(seed: number): EventStore {
  const owner = { database: DATABASE, publicKey: SIGNER.publicKey }
  return createMemoryStore({ owner, hasher: systemHasher, rng: seededRng(seed) })
}

function failure(reason: string): LaterbaseError {
  return new LaterbaseError('LATERBASE_STORE_FAILED', 'a write failed', {
    cause: new Error(reason)
  })
}

const NO_RESERVE: WriteReserve = { admit: async () => undefined, refusal: () => undefined }
