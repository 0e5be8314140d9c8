/**
 * Opens a repaired copy of damaged LevelDB files; the files themselves are only read.
 *
 * LevelDB's repair takes all tables and log files, whatever CURRENT and MANIFEST say. Tables that do
 * not match their checksums it does not get: what it cannot parse would end the process. From those
 * the intact blocks are read here.
 */

import { readdir, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'

import { ClassicLevel } from 'classic-level'

import { linkFiles } from './guarded-store.ts'
import { openLevel } from './open-level.ts'
import type { Level } from './open-level.ts'
import { intactBlocks } from './table-check.ts'
import { damagedTables } from './table-scan.ts'

/** @param copy a folder that is made, of links as far as there are, and is the caller's to remove */
export async function openRepaired(files: string, copy: string): Promise<Level> {
  await rm(copy, { recursive: true, force: true })
  await linkFiles(files, copy, { copyTables: true })
  try {
    await unkeepLogs(copy)
    const damaged = await damagedTables(copy)
    for (const name of damaged) await rm(join(copy, name))
    await ClassicLevel.repair(copy)
    const db = await openLevel(copy, false)
    for (const name of damaged) await addMissing(db, join(files, name))
    return db
  } catch (error) {
    await rm(copy, { recursive: true, force: true })
    throw error
  }
}

/** Logs that an opening kept, because LevelDB could not read them then, are read like all others. */
async function unkeepLogs(folder: string): Promise<void> {
  const names = await readdir(folder)
  for (const name of names.filter((each) => each.endsWith('.log.kept'))) {
    const log = name.slice(0, -'.kept'.length)
    if (names.includes(log)) await rm(join(folder, name))
    else await rename(join(folder, name), join(folder, log))
  }
}

/** Records that are nowhere else: what other files have may be newer. */
async function addMissing(db: Level, file: string): Promise<void> {
  for await (const entries of intactBlocks(file)) {
    const held = await db.getMany(entries.map(([key]) => key))
    const batch = db.batch()
    const seen = new Set<string>()
    for (const [index, [key, value]] of entries.entries()) {
      const name = key.toString('latin1')
      if (held[index] === undefined && !seen.has(name)) batch.put(key, value)
      seen.add(name)
    }
    await batch.write()
  }
}
