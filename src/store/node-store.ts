/**
 * The small store of the node itself: named JSON values, each write synced. Who opens it has the lock
 * of the data directory: `directory-lock.ts`.
 *
 * After a write that failed the store is opened anew before anything else: a torn record in
 * LevelDB's log would hide what is written behind it, synced or not. A write that the disk does not
 * answer is given up (`write-watch.ts`); reads go on meanwhile.
 */

import { rm } from 'node:fs/promises'

import type { Clock } from '../core/clock.ts'
import { LaterbaseError } from '../errors.ts'
import { seal, unsealed } from './checksum.ts'
import { isLevelDamage, openLevel } from './open-level.ts'
import type { Level } from './open-level.ts'
import { openRepaired } from './repaired-level.ts'
import { firstTableFault } from './table-scan.ts'
import { WriteWatch } from './write-watch.ts'

export interface NodeStore {
  get(name: string): Promise<unknown>
  /** @throws LATERBASE_STORE_FAILED; the value may be there all the same; a later call tries again */
  put(name: string, value: unknown): Promise<void>
  /** Why nothing is written now, where the disk does not answer. */
  refusal?(): LaterbaseError | undefined
  /** Idempotent. */
  close(): Promise<void>
}

export interface NodeStoreWatch {
  readonly clock: Pick<Clock, 'monotonicMs' | 'setTimer'>
  /** Hears, in words, that the disk does not answer, and that it does again. */
  readonly told?: (message: string) => void
}

/** @throws LATERBASE_STORE_LOST, LATERBASE_STORE_CORRUPT, LATERBASE_STORE_FAILED */
export async function openNodeStore(
  location: string,
  create: boolean,
  watch: NodeStoreWatch
): Promise<NodeStore> {
  const fault = await firstTableFault(location, Infinity)
  if (fault !== undefined) throw damaged(`${location}: ${fault}`)
  return new LevelNodeStore(location, await openLevel(location, create), watch)
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
  readonly #watch: WriteWatch
  #db: Level
  #isBroken = false
  /** Operations happen one after the other: none is under way when the store is opened anew. */
  #last: Promise<unknown> = Promise.resolve()
  #closed: Promise<void> | undefined

  constructor(location: string, db: Level, { clock, told }: NodeStoreWatch) {
    this.#location = location
    this.#db = db
    this.#watch = new WriteWatch({
      name: NAME,
      meanwhile: MEANWHILE,
      clock,
      unanswered: (error) => told?.(error.message),
      answered: () => told?.(`${NAME}: the disk answers again.`)
    })
  }

  refusal(): LaterbaseError | undefined {
    return this.#watch.refusal()
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
    return this.#next(() => this.#written(() => this.#put(key, sealed)))
  }

  /** Waits for the disk, however long it takes: whoever closes a node has a bound of its own. */
  close(): Promise<void> {
    this.#closed ??= this.#last.then(() => this.#db.close())
    return this.#closed
  }

  #next<T>(operation: () => Promise<T>): Promise<T> {
    const done = this.#last.then(async () => {
      if (this.#isBroken) await this.#written(() => this.#reopen())
      return operation()
    })
    this.#last = done.catch(() => undefined)
    return done
  }

  /** Beside one that is not answered nothing is begun: so there is one at a time. */
  #written(write: () => Promise<void>): Promise<void> {
    const refusal = this.refusal()
    return refusal === undefined ? this.#watch.run(write) : Promise.reject(refusal)
  }

  async #put(key: Buffer, sealed: Buffer): Promise<void> {
    try {
      await this.#db.put(key, sealed, { sync: true })
    } catch (cause) {
      this.#isBroken = true
      const message = `${this.#location}: the store of the node did not take a write`
      throw new LaterbaseError('LATERBASE_STORE_FAILED', message, { cause })
    }
  }

  async #reopen(): Promise<void> {
    await this.#db.close()
    this.#db = await openLevel(this.#location, false)
    this.#isBroken = false
  }
}

const NAME = 'The store of the node itself'
const MEANWHILE =
  'No database is created or forgotten until it does, and no address of a peer is kept; what ' +
  'waited may be done all the same.'

function damaged(message: string, cause?: unknown): LaterbaseError {
  return new LaterbaseError('LATERBASE_STORE_CORRUPT', message, { cause })
}
