/** Goes through the tables of a store's folder, newest first, comparing each with its checksums. */

import { readdir } from 'node:fs/promises'
import { join } from 'node:path'

import { LaterbaseError } from '../errors.ts'
import { liveTables } from './manifest.ts'
import { tableFault } from './table-check.ts'

/**
 * The first damaged table, in words. Only those that the store consists of; none where even that
 * cannot be read, which LevelDB will say.
 *
 * @param bytesMax no more are begun once this many bytes were read
 * @throws LATERBASE_STORE_FAILED for a table that the disk does not give
 */
export async function firstTableFault(
  folder: string,
  bytesMax: number
): Promise<string | undefined> {
  const live = await liveTables(folder)
  const names = new Set(await readdir(folder).catch(() => []))
  const newestFirst = [...(live ?? [])].toSorted(([a], [b]) => b - a)
  let bytes = 0
  for (const [number, size] of newestFirst) {
    if (bytes > bytesMax) return undefined
    bytes += size
    const digits = String(number).padStart(6, '0')
    const name = names.has(`${digits}.sst`) ? `${digits}.sst` : `${digits}.ldb`
    const fault = await tableFault(join(folder, name), size).catch((error: unknown) => {
      throw unreadable(name, error)
    })
    if (fault === undefined || (await isRetired(folder, number))) continue
    return `table ${name} is damaged: ${fault}`
  }
  return undefined
}

/** Not damage: a disk may give later what it does not give now. */
function unreadable(name: string, cause: unknown): LaterbaseError {
  const why = cause instanceof Error ? cause.message : String(cause)
  const message =
    `table ${name} cannot be read (${why}). Where that lasts, stop the node and run ` +
    '`laterbase doctor --repair`, best on a copy on another disk: it takes over all that can be read'
  return new LaterbaseError('LATERBASE_STORE_FAILED', message, { cause, facts: { table: name } })
}

/** A store that is open may have compacted a table away since it was listed. */
async function isRetired(folder: string, number: number): Promise<boolean> {
  const live = await liveTables(folder)
  return live !== undefined && !live.has(number)
}

/**
 * Names of all tables of a folder that are damaged, or that the disk does not give whole, those
 * included that a store no longer needs.
 */
export async function damagedTables(folder: string): Promise<string[]> {
  const names = (await readdir(folder)).filter((name) => /\.(ldb|sst)$/.test(name))
  const damaged: string[] = []
  for (const name of names) {
    const fault = await tableFault(join(folder, name)).catch(String)
    if (fault !== undefined) damaged.push(name)
  }
  return damaged
}
