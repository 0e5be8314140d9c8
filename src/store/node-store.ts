/**
 * The small store of the node itself: named JSON values, each write synced. Beside it stands an empty
 * LevelDB whose lock is the lock of the whole data directory: the system frees it when the process dies,
 * however it dies. It is not the store's own lock, because opening a store begins before LevelDB has it.
 *
 * After a write that failed the store is opened anew before anything else: a torn record in
 * LevelDB's log would hide what is written behind it, synced or not.
 */

import { LaterbaseError } from '../errors.ts'
import { openLevel } from './open-level.ts'
import type { Level } from './open-level.ts'

export interface NodeStore {
  get(name: string): Promise<unknown>
  /** @throws LATERBASE_STORE_FAILED; a later call tries again */
  put(name: string, value: unknown): Promise<void>
  /** Idempotent. */
  close(): Promise<void>
}

/**
 * LevelDB's lock does not hold within one process: opening a store twice silently frees it. So the
 * directories that this process has open are remembered here.
 */
const openLocations = new Set<string>()

/** @throws LATERBASE_STORE_LOCKED, LATERBASE_STORE_LOST, LATERBASE_STORE_CORRUPT */
export async function openNodeStore(location: string, create: boolean): Promise<NodeStore> {
  if (openLocations.has(location)) {
    const message = `${location} is in use by this process already`
    throw new LaterbaseError('LATERBASE_STORE_LOCKED', message)
  }
  openLocations.add(location)
  let lock: Level | undefined
  try {
    lock = await openLevel(`${location}${LOCK_SUFFIX}`, true)
    return new LevelNodeStore(location, lock, await openLevel(location, create))
  } catch (error) {
    await lock?.close()
    openLocations.delete(location)
    throw error
  }
}

class LevelNodeStore implements NodeStore {
  readonly #location: string
  readonly #lock: Level
  #db: Level
  #isBroken = false
  /** Operations happen one after the other: none is under way when the store is opened anew. */
  #last: Promise<unknown> = Promise.resolve()
  #closed: Promise<void> | undefined

  constructor(location: string, lock: Level, db: Level) {
    this.#location = location
    this.#lock = lock
    this.#db = db
  }

  get(name: string): Promise<unknown> {
    return this.#next(async () => {
      const bytes = await this.#db.get(Buffer.from(name))
      return bytes === undefined ? undefined : JSON.parse(bytes.toString())
    })
  }

  put(name: string, value: unknown): Promise<void> {
    const bytes = Buffer.from(JSON.stringify(value))
    return this.#next(async () => {
      try {
        await this.#db.put(Buffer.from(name), bytes, { sync: true })
      } catch (cause) {
        this.#isBroken = true
        const message = `${this.#location}: the store of the node did not take a write`
        throw new LaterbaseError('LATERBASE_STORE_FAILED', message, { cause })
      }
    })
  }

  close(): Promise<void> {
    this.#closed ??= this.#last
      .then(() => closeBoth(this.#db, this.#lock))
      .finally(() => openLocations.delete(this.#location))
    return this.#closed
  }

  #next<T>(operation: () => Promise<T>): Promise<T> {
    const done = this.#last.then(async () => {
      if (this.#isBroken) await this.#reopen()
      return operation()
    })
    this.#last = done.catch(() => undefined)
    return done
  }

  async #reopen(): Promise<void> {
    await this.#db.close()
    this.#db = await openLevel(this.#location, false)
    this.#isBroken = false
  }
}

/** The lock last, whatever becomes of the store. */
async function closeBoth(store: Level, lock: Level): Promise<void> {
  try {
    await store.close()
  } finally {
    await lock.close()
  }
}

/** Of the empty LevelDB beside a node's store. */
const LOCK_SUFFIX = '.lock'
