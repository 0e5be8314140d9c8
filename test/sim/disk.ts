/**
 * A simulated disk: stores that outlive the process which opened them. A write takes time; a crash
 * meanwhile leaves all of it or nothing, and nobody was told which. A wipe leaves an empty disk.
 */

import { createMemoryStore } from '../../src/store/memory-store.ts'
import type { EventStore, StoreBatch } from '../../src/store/event-store.ts'
import type { NodeStore } from '../../src/store/node-store.ts'
import type { StorePlace } from '../../src/node/database-registry.ts'
import type { Hasher } from '../../src/core/clock.ts'
import { parseEventKey } from '../../src/core/event-key.ts'
import { LaterbaseError } from '../../src/errors.ts'
import { worldRng } from './world.ts'
import type { World } from './world.ts'

export class SimDisk {
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

  place(publicKey: Uint8Array): StorePlace {
    return {
      open: async (database, create) => {
        await this.#take()
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
      },
      remove: async (database) => {
        await this.#take()
        this.#stores.delete(database)
      },
      close: () => undefined
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

  /** The store as one process sees it, until that process crashes. */
  #handle(store: EventStore): EventStore {
    const write = (batch: StoreBatch): Promise<void> =>
      new Promise((resolve, reject) => {
        const life = this.#life
        const land = (): void => {
          this.#underWay.delete(land)
          store.write(batch).then(() => {
            if (life === this.#life) resolve()
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

function forever(): Promise<never> {
  return new Promise(() => undefined)
}
