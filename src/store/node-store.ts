/**
 * The small store of the node itself: named JSON values, each write synced. Its LevelDB lock is the
 * lock of the whole data directory: the system frees it when the process dies, however it dies.
 */

import { LaterbaseError } from '../errors.ts'
import { openLevel } from './open-level.ts'

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
  try {
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
        closed ??= db.close().finally(() => openLocations.delete(location))
        return closed
      }
    }
  } catch (error) {
    openLocations.delete(location)
    throw error
  }
}
