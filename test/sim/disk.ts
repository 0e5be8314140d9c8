/**
 * A simulated disk: stores that outlive the process which opened them. A write takes time; a crash
 * meanwhile leaves all of it or nothing, and nobody was told which. A wipe leaves an empty disk. A write
 * may fail, with all of it there or nothing, and breaks the handle; openings fail for a while.
 */

import { createMemoryStore } from '../../src/store/memory-store.ts'
import type { EventStore, StoreBatch } from '../../src/store/event-store.ts'
import type { NodeStore } from '../../src/store/node-store.ts'
import { createReopeningStore } from '../../src/store/reopening-store.ts'
import type { WriteReserve } from '../../src/store/reopening-store.ts'
import type { StorePlace } from '../../src/node/database-registry.ts'
import type { Clock, Hasher } from '../../src/core/clock.ts'
import type { LogId } from '../../src/core/commit.ts'
import { parseEventKey } from '../../src/core/event-key.ts'
import { LaterbaseError } from '../../src/errors.ts'
import type { Prng } from '../../scripts/simulate/prng.ts'
import { branchesOf, stateOf } from '../property/failing-disk.ts'
import { worldRng } from './world.ts'
import type { World } from './world.ts'

export interface DiskFaults {
  /** Share of writes that fail, and of openings after them. */
  readonly failing: number
  /** Of its own: whether a disk fails changes nothing else of a run. */
  readonly prng: Prng
}

export class SimDisk {
  /** Undefined while all is well. */
  faults: DiskFaults | undefined
  /** Only the reserve is left. */
  isFull = false
  readonly #world: World
  readonly #hasher: Hasher
  #stores = new Map<string, EventStore>()
  #values = new Map<string, string>()
  /** Rises with every crash: what an earlier process holds is dead. */
  #life = 0
  /** Writes that have not reached the disk. */
  readonly #underWay = new Set<() => void>()

  constructor(world: World, hasher: Hasher) {
    this.#world = world
    this.#hasher = hasher
  }

  /** What was being written is there whole or not at all; whoever wrote it never hears. */
  crash(): void {
    this.#life += 1
    for (const land of this.#underWay) {
      if (this.#world.chance(0.5)) land()
    }
    this.#underWay.clear()
  }

  wipe(): void {
    this.#stores = new Map()
    this.#values = new Map()
  }

  /** Whether an event is on the disk, whatever becomes of the process. */
  async holds(database: string, key: string): Promise<boolean> {
    const parsed = parseEventKey(key)
    if (parsed === undefined) return false
    const [event] = (await this.#stores.get(database)?.getMany([parsed])) ?? []
    return event !== undefined
  }

  place(publicKey: Uint8Array, clock: Clock): StorePlace {
    const open = async (database: string, create: boolean): Promise<EventStore> => {
      await this.#take()
      if (!create && this.#fails()) throw ioError()
      let held = this.#stores.get(database)
      if (held === undefined && !create) {
        throw new LaterbaseError('LATERBASE_STORE_LOST', database)
      }
      held ??= createMemoryStore({
        owner: { database, publicKey },
        hasher: this.#hasher,
        rng: worldRng(this.#world)
      })
      this.#stores.set(database, held)
      return this.#handle(held)
    }
    return {
      open: async (database, create) =>
        createReopeningStore(await open(database, create), {
          name: database,
          open: () => open(database, false),
          canReopen: async () => !this.#fails(),
          reserve: this.#reserve(),
          clock,
          told: () => undefined
        }),
      remove: async (database) => {
        await this.#take()
        this.#stores.delete(database)
      },
      close: async () => undefined
    }
  }

  nodeStore(): NodeStore {
    return {
      get: async (name) => {
        await this.#take()
        const text = this.#values.get(name)
        return text === undefined ? undefined : JSON.parse(text)
      },
      put: async (name, value) => {
        await this.#take()
        this.#values.set(name, JSON.stringify(value))
      },
      close: async () => undefined
    }
  }

  #fails(): boolean {
    const { faults } = this
    return faults !== undefined && faults.prng.fraction() < faults.failing
  }

  #reserve(): WriteReserve {
    const refusal = (): LaterbaseError | undefined =>
      this.isFull ? new LaterbaseError('LATERBASE_DISK_FULL', 'no room') : undefined
    return {
      refusal,
      admit: async () => {
        const refused = refusal()
        if (refused !== undefined) throw refused
      }
    }
  }

  /** The store as one process sees it, until that process crashes or a write of it fails. */
  #handle(store: EventStore): EventStore {
    let isBroken = false
    let shown = stateOf(store)
    const write = (batch: StoreBatch): Promise<void> =>
      new Promise((resolve, reject) => {
        const life = this.#life
        if (isBroken) throw new Error('a broken handle was written to')
        isBroken = this.#fails()
        const isLost = isBroken && this.#fails()
        const land = (): void => {
          this.#underWay.delete(land)
          const landed = isLost ? Promise.resolve() : store.write(batch)
          landed.then(() => {
            if (!isBroken) shown = stateOf(store)
            if (life !== this.#life) return
            if (isBroken) reject(ioError())
            else resolve()
          }, reject)
        }
        this.#underWay.add(land)
        this.#world.after(this.#world.prng.fraction() * WRITE_MS_MAX, () => {
          if (this.#underWay.has(land)) land()
        })
      })
    return new Proxy(store, {
      get: (target, name) => {
        if (name === 'write') return write
        if (name === 'logs') return () => shown.logs
        if (name === 'log') return (id: LogId) => branchesOf(shown.logs, id)[0]
        if (name === 'branches') return (id: LogId) => branchesOf(shown.logs, id)
        if (name === 'incarnation') return shown.incarnation
        if (name === 'ownLog') return shown.ownLog
        if (name === 'close') return async () => undefined
        const member: unknown = Reflect.get(target, name, target)
        return typeof member === 'function' ? member.bind(target) : member
      }
    })
  }

  /** A little time; for ever in a process that has crashed. */
  async #take(life = this.#life): Promise<void> {
    await this.#world.sleep(this.#world.prng.fraction())
    if (life !== this.#life) await forever()
  }
}

const WRITE_MS_MAX = 5

function ioError(): LaterbaseError {
  return new LaterbaseError('LATERBASE_STORE_FAILED', 'I/O error')
}

function forever(): Promise<never> {
  return new Promise(() => undefined)
}
