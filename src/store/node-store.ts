/**
 * The small store of the node itself: named JSON values, each write synced. Its LevelDB lock is the
 * lock of the whole data directory: the system frees it when the process dies, however it dies.
 */

import { rm } from 'node:fs/promises'

import { LaterbaseError } from '../errors.ts'
import { seal, unsealed } from './checksum.ts'
import { isLevelDamage, openLevel } from './open-level.ts'
import { openRepaired } from './repaired-level.ts'
import { firstTableFault } from './table-scan.ts'

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
    const fault = await firstTableFault(location, Infinity)
    if (fault !== undefined) {
      throw new LaterbaseError('LATERBASE_STORE_CORRUPT', `${location}: ${fault}`)
    }
    const db = await openLevel(location, create)
    let closed: Promise<void> | undefined
    return {
      get: async (name) => {
        const key = Buffer.from(name)
        const sealed = await db.get(key).catch((cause: unknown) => {
          if (!isLevelDamage(cause)) throw cause
          throw new LaterbaseError('LATERBASE_STORE_CORRUPT', `${location}: ${String(cause)}`, {
            cause
          })
        })
        if (sealed === undefined) return undefined
        const bytes = unsealed(key, sealed)
        if (bytes !== undefined) return JSON.parse(bytes.toString())
        const message = `${location}: ${JSON.stringify(name)} does not match its checksum`
        throw new LaterbaseError('LATERBASE_STORE_CORRUPT', message)
      },
      put: async (name, value) => {
        const key = Buffer.from(name)
        await db.put(key, seal(key, Buffer.from(JSON.stringify(value))), { sync: true })
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
