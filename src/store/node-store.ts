/**
 * The small store of the node itself: named JSON values, each write synced. Beside it stands an empty
 * LevelDB whose lock is the lock of the whole data directory: the system frees it when the process dies,
 * however it dies. It is not the store's own lock, because opening a store begins before LevelDB has it.
 */

import { LaterbaseError } from '../errors.ts'
import { openLevel } from './open-level.ts'
import type { Level } from './open-level.ts'

export interface NodeStore {
  get(name: string): Promise<unknown>
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
    const held = lock
    const db = await openLevel(location, create)
    let closed: Promise<void> | undefined
    return {
      get: async (name) => {
        const bytes = await db.get(Buffer.from(name))
        return bytes === undefined ? undefined : JSON.parse(bytes.toString())
      },
      put: async (name, value) => {
        await db.put(Buffer.from(name), Buffer.from(JSON.stringify(value)), { sync: true })
      },
      close: () => {
        closed ??= closeBoth(db, held).finally(() => openLocations.delete(location))
        return closed
      }
    }
  } catch (error) {
    await lock?.close()
    openLocations.delete(location)
    throw error
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
