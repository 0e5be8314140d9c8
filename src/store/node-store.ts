/**
 * The small store of the node itself: named JSON values, each write synced. Who opens it has the lock
 * of the data directory: `directory-lock.ts`.
 *
 * After a write that failed the store is opened anew before anything else: a torn record in
 * LevelDB's log would hide what is written behind it, synced or not.
 */

import { rm } from 'node:fs/promises'

import { LaterbaseError } from '../errors.ts'
import { seal, unsealed } from './checksum.ts'
import { isLevelDamage, openLevel } from './open-level.ts'
import type { Level } from './open-level.ts'
import { openRepaired } from './repaired-level.ts'
import { firstTableFault } from './table-scan.ts'

export interface NodeStore {
  get(name: string): Promise<unknown>
  /** @throws LATERBASE_STORE_FAILED; a later call tries again */
  put(name: string, value: unknown): Promise<void>
  /** Idempotent. */
  close(): Promise<void>
}

/** @throws LATERBASE_STORE_LOST, LATERBASE_STORE_CORRUPT, LATERBASE_STORE_FAILED */
export async function openNodeStore(location: string, create: boolean): Promise<NodeStore> {
  const fault = await firstTableFault(location, Infinity)
  if (fault !== undefined) throw damaged(`${location}: ${fault}`)
  return new LevelNodeStore(location, await openLevel(location, create))
}

/** The values that a damaged node store still has; its files are only read. */
export async function salvageNodeStore(location: string): Promise<Map<string, unknown>> {
  const copy = `${location}.salvage`
  const values = new Map<string, unknown>()
  try {
    const db = await openRepaired(location, copy)
    for await (const [key, sealed] of db.iterator()) {
      const bytes = unsealed(key, sealed)
      if (bytes !== undefined) values.set(key.toString(), JSON.parse(bytes.toString()))
    }
    await db.close()
  } catch {
    // What cannot be read is not in the answer, and the caller says what that comes to.
  } finally {
    await rm(copy, { recursive: true, force: true })
  }
  return values
}

class LevelNodeStore implements NodeStore {
  readonly #location: string
  #db: Level
  #isBroken = false
  /** Operations happen one after the other: none is under way when the store is opened anew. */
  #last: Promise<unknown> = Promise.resolve()
  #closed: Promise<void> | undefined

  constructor(location: string, db: Level) {
    this.#location = location
    this.#db = db
  }

  get(name: string): Promise<unknown> {
    return this.#next(async () => {
      const key = Buffer.from(name)
      const sealed = await this.#db.get(key).catch((cause: unknown) => {
        if (!isLevelDamage(cause)) throw cause
        throw damaged(`${this.#location}: ${String(cause)}`, cause)
      })
      if (sealed === undefined) return undefined
      const bytes = unsealed(key, sealed)
      if (bytes !== undefined) return JSON.parse(bytes.toString())
      throw damaged(`${this.#location}: ${JSON.stringify(name)} does not match its checksum`)
    })
  }

  put(name: string, value: unknown): Promise<void> {
    const key = Buffer.from(name)
    const sealed = seal(key, Buffer.from(JSON.stringify(value)))
    return this.#next(async () => {
      try {
        await this.#db.put(key, sealed, { sync: true })
      } catch (cause) {
        this.#isBroken = true
        const message = `${this.#location}: the store of the node did not take a write`
        throw new LaterbaseError('LATERBASE_STORE_FAILED', message, { cause })
      }
    })
  }

  close(): Promise<void> {
    this.#closed ??= this.#last.then(() => this.#db.close())
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

function damaged(message: string, cause?: unknown): LaterbaseError {
  return new LaterbaseError('LATERBASE_STORE_CORRUPT', message, { cause })
}
