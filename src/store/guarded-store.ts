/**
 * Opens a store that is known to exist, or says what is wrong with it and where its files are kept.
 *
 * Opening is what destroys: LevelDB deletes the tables that a damaged MANIFEST does not name, and
 * the log files that it has read. So first every file gets a second name in a folder beside
 * (hard links: no bytes are copied), then the tables are checked, then LevelDB opens and what it
 * found is checked; only then do the second names go.
 *
 *     NAME/           the store
 *     NAME.mark       how far it was, see store-mark.ts
 *     NAME.before/    there while it is being opened: its files before
 */

import { copyFile, link, mkdir, readdir, rename, rm, stat } from 'node:fs/promises'
import { basename, join } from 'node:path'

import type { Clock } from '../core/clock.ts'
import { LaterbaseError, isLaterbaseError } from '../errors.ts'
import type { EventStore } from './event-store.ts'
import { openLevelStore } from './level-store.ts'
import type { LevelStoreOptions } from './level-store.ts'
import { TABLES_CHECKED_BYTES_MAX } from './limits.ts'
import { openFault } from './open-check.ts'
import { MarkFile, readMark } from './store-mark.ts'
import type { StoreMark } from './store-mark.ts'
import { firstTableFault } from './table-scan.ts'

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
      /** How far the store was, as its mark says. */
      readonly mark: StoreMark | undefined
    }

export function markFileOf(location: string): string {
  return `${location}.mark`
}

function beforeOf(location: string): string {
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
    opened: async (_db, store) => startMark(options, store)
  })
}

/**
 * @throws LATERBASE_STORE_LOCKED, LATERBASE_STORE_FORMAT, LATERBASE_STORE_FAILED; LATERBASE_STORE_LOST
 *   when neither the store nor its mark is there, as when a disk is not mounted
 */
export async function openGuarded(options: GuardedOptions): Promise<Opening> {
  const { location } = options
  const before = beforeOf(location)
  const mark = await readMark(markFileOf(location))
  const names = await storeFiles(location)
  const isInterrupted = (await storeFiles(before)).length > 0
  if (names.length === 0 && !isInterrupted && mark === undefined) {
    const message =
      `${location} is gone, and what is kept beside it too: put it back (is its disk mounted?), or ` +
      'run `laterbase doctor --repair`, which makes it anew and takes its events from peers'
    throw new LaterbaseError('LATERBASE_STORE_LOST', message)
  }
  // What an opening that was cut off had before it is whole; what it left behind may not be.
  const isLinked = isInterrupted || (await linkFiles(location, before))
  const damaged = (reason: string): Opening => {
    return { type: 'damaged', reason, files: isLinked ? before : location, mark }
  }
  const files = isLinked ? before : location
  // LevelDB ends the process on a table that it cannot parse; so after an end that was not orderly
  // all are looked at, however many there are.
  const bytesMax = mark?.clean === true ? TABLES_CHECKED_BYTES_MAX : Infinity
  const badTable = await firstTableFault(files, bytesMax)
  if (badTable !== undefined) return damaged(badTable)
  const opening = await openChecked(options, { mark, logBytes: await logFileBytes(files) })
  if (typeof opening === 'string') return damaged(opening)
  if (isLinked) await removeWhole(before)
  return { type: 'open', store: opening }
}

/** LevelDB's files: what a store consists of. */
export async function storeFiles(folder: string): Promise<string[]> {
  const names = await readdir(folder).catch(() => [])
  return names.filter((name) => /^(CURRENT|MANIFEST-\d+|\d+\.(ldb|sst|log))$/.test(name)).sort()
}

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
  if (isWhole) await rename(partial, to)
  else await rm(partial, { recursive: true, force: true })
  return isWhole
}

/** Half of it must not be taken for all of it after a crash. */
async function removeWhole(folder: string): Promise<void> {
  await rename(folder, `${folder}.new`)
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
  { mark, logBytes }: { readonly mark: StoreMark | undefined; readonly logBytes: number }
): Promise<EventStore | string> {
  try {
    return await openLevelStore({
      ...options,
      create: false,
      opened: async (db, store) => {
        const fault = await openFault({ db, store, mark, logBytes })
        if (fault !== undefined) throw new LaterbaseError('LATERBASE_STORE_CORRUPT', fault)
        return startMark(options, store)
      }
    })
  } catch (error) {
    const isDamage =
      isLaterbaseError(error, 'LATERBASE_STORE_CORRUPT') ||
      isLaterbaseError(error, 'LATERBASE_STORE_LOST')
    if (!isDamage) throw error
    return error.message.replaceAll(options.location, basename(options.location))
  }
}

function startMark({ location, clock }: GuardedOptions, store: EventStore): Promise<MarkFile> {
  const own = store.log(store.ownLog.id)
  const mark = {
    incarnation: store.incarnation,
    arrival: store.arrival(),
    events: store.eventCount(),
    ownLog: store.ownLog.id,
    ownSeq: own?.tip.seq ?? 0,
    checked: store.arrival(),
    clean: false
  }
  return MarkFile.open(markFileOf(location), mark, clock)
}
