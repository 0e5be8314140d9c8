/**
 * Opens a store that is known to exist, or says what is wrong with it and where its files are kept.
 *
 * Opening is what destroys: LevelDB deletes the tables that a damaged MANIFEST does not name, and
 * the log files that it has read. So first the tables are checked, then every file gets a second
 * name in a folder beside (hard links: no bytes are copied), then LevelDB opens and what it found is
 * checked; only then do the second names go, before anybody writes. Before LevelDB opens nothing is
 * changed: whoever finds a bad table may put the store's folder back from a copy.
 *
 * These names are for damage that shows when LevelDB has opened. `kept-logs.ts`, within that opening,
 * is for disks that fail for a moment: it has LevelDB read its logs again, and nothing is damaged.
 *
 *     NAME/           the store
 *     NAME.marker     which opening of it was the last, see marker.ts
 *     NAME.progress   how far it was, see store-progress.ts
 *     NAME.before/    there while it is being opened: its files before
 */

import { copyFile, link, mkdir, readdir, rename, rm, stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'

import type { Clock } from '../core/clock.ts'
import { LaterbaseError, isDamage, isLaterbaseError } from '../errors.ts'
import type { EventStore } from './event-store.ts'
import { openLevelStore } from './level-store.ts'
import type { LevelStoreOptions } from './level-store.ts'
import { TABLES_CHECKED_BYTES_MAX } from './limits.ts'
import { openFault } from './open-check.ts'
import { ProgressFile, readProgress } from './store-progress.ts'
import type { StoreProgress } from './store-progress.ts'
import { firstTableFault } from './table-scan.ts'
import { syncFolder } from './whole-file.ts'

export interface GuardedOptions extends Omit<LevelStoreOptions, 'opened' | 'create'> {
  readonly clock: Pick<Clock, 'setTimer'>
}

export type Opening =
  | { readonly type: 'open'; readonly store: EventStore }
  | {
      readonly type: 'damaged'
      /** In words, for a person. */
      readonly reason: string
      /** The folder that holds all that is left. */
      readonly files: string
      /** How far the store was when that was noted last. */
      readonly progress: StoreProgress | undefined
    }

export function progressFileOf(location: string): string {
  return `${location}.progress`
}

export function beforeOf(location: string): string {
  return `${location}.before`
}

/**
 * Makes a store where there is none.
 *
 * @throws as `openLevelStore` does
 */
export async function createGuarded(options: GuardedOptions): Promise<EventStore> {
  return openLevelStore({
    ...options,
    create: true,
    opened: async (_db, store) => startProgress(options, store)
  })
}

/**
 * @param isAgain the store was open in this process until now: LevelDB has its tables in use, and all
 *   but the newest are passed over, which is what a write that failed can have spoilt
 * @throws LATERBASE_STORE_LOCKED, LATERBASE_STORE_FORMAT, LATERBASE_STORE_FAILED; LATERBASE_STORE_LOST
 *   when there is no file of it, as when a disk is not mounted
 */
export async function openGuarded(options: GuardedOptions, isAgain = false): Promise<Opening> {
  const { location } = options
  const before = beforeOf(location)
  const progress = await readProgress(progressFileOf(location))
  const isInterrupted = (await storeFiles(before)).length > 0
  if (!isInterrupted && (await storeFiles(location)).length === 0) {
    throw new LaterbaseError('LATERBASE_STORE_LOST', `${location} is gone; nothing was changed`)
  }
  // What an opening that was cut off had before it is whole; what it left behind may not be.
  const found = isInterrupted ? before : location
  // LevelDB ends the process on a table that it cannot parse; so after an end that was not orderly
  // all are looked at, however many there are.
  const bytesMax = progress?.clean === true ? TABLES_CHECKED_BYTES_MAX : Infinity
  const badTable = await firstTableFault(found, isAgain ? 0 : bytesMax)
  if (badTable !== undefined) return { type: 'damaged', reason: badTable, files: found, progress }
  const isLinked = isInterrupted || (await linkFiles(location, before))
  const files = isLinked ? before : location
  const logBytes = await logFileBytes(files)
  const store = await openChecked(options, { progress, logBytes }).catch(async (error: unknown) => {
    // Whoever has it open writes on: what was linked must not be taken for what there is later.
    const isOthers = isLaterbaseError(error, 'LATERBASE_STORE_LOCKED')
    if (isOthers && isLinked && !isInterrupted) await removeWhole(before)
    throw error
  })
  if (typeof store === 'string') return { type: 'damaged', reason: store, files, progress }
  try {
    if (isLinked) await removeWhole(before)
    return { type: 'open', store }
  } catch (error) {
    await store.close()
    throw error
  }
}

/** LevelDB's files: what a store consists of. */
export async function storeFiles(folder: string): Promise<string[]> {
  const names = await readdir(folder).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return []
    throw error
  })
  return names.filter((name) => STORE_FILE.test(name)).sort()
}

const STORE_FILE = /^(CURRENT|MANIFEST-\d+|\d+\.(ldb|sst|log|log\.kept))$/

/**
 * Gives the files of a store second names in another folder, which appears whole or not at all.
 *
 * @param copyTables where the file system has no hard links, copy even the bulk
 * @returns false where there are no links and so no folder
 */
export async function linkFiles(
  from: string,
  to: string,
  { copyTables }: { readonly copyTables: boolean } = { copyTables: false }
): Promise<boolean> {
  const partial = `${to}.new`
  await rm(partial, { recursive: true, force: true })
  await mkdir(partial, { mode: 0o700 })
  let isWhole = true
  for (const name of await storeFiles(from)) {
    try {
      await link(join(from, name), join(partial, name))
    } catch {
      // Tables are the bulk; without links they have only one name.
      if (isTable(name) && !copyTables) isWhole = false
      else await copyFile(join(from, name), join(partial, name))
    }
  }
  if (isWhole) {
    await syncFolder(partial)
    await rename(partial, to)
  } else await rm(partial, { recursive: true, force: true })
  return isWhole
}

/**
 * Half of it must not be taken for all of it after a crash; nor must it be there again when the
 * store has more than was in it.
 */
async function removeWhole(folder: string): Promise<void> {
  await rename(folder, `${folder}.new`)
  await syncFolder(dirname(folder))
  await rm(`${folder}.new`, { recursive: true, force: true })
}

function isTable(name: string): boolean {
  return name.endsWith('.ldb') || name.endsWith('.sst')
}

async function logFileBytes(folder: string): Promise<number> {
  let bytes = 0
  for (const name of await storeFiles(folder)) {
    if (name.endsWith('.log')) bytes += (await stat(join(folder, name))).size
  }
  return bytes
}

/** The store, or what is wrong with it. */
async function openChecked(
  options: GuardedOptions,
  {
    progress,
    logBytes
  }: { readonly progress: StoreProgress | undefined; readonly logBytes: number }
): Promise<EventStore | string> {
  try {
    return await openLevelStore({
      ...options,
      create: false,
      opened: async (db, store) => {
        const fault = await openFault({ db, store, progress, logBytes })
        if (fault !== undefined) throw new LaterbaseError('LATERBASE_STORE_CORRUPT', fault)
        return startProgress(options, store)
      }
    })
  } catch (error) {
    if (!isDamage(error)) throw error
    return error.message.replaceAll(options.location, basename(options.location))
  }
}

function startProgress(
  { location, clock }: GuardedOptions,
  store: EventStore
): Promise<ProgressFile> {
  const own = store.log(store.ownLog.id)
  const progress = {
    incarnation: store.incarnation,
    arrival: store.arrival(),
    events: store.eventCount(),
    ownLog: store.ownLog.id,
    ownSeq: own?.tip.seq ?? 0,
    checked: store.arrival(),
    clean: false
  }
  return ProgressFile.open(progressFileOf(location), progress, clock)
}
