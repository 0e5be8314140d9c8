/**
 * Opens a ClassicLevel with this project's settings, makes sure that it stays open to those who come
 * after a power cut, and names what went wrong.
 */

import { readdir, rm, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'

import { ClassicLevel } from 'classic-level'

import { LaterbaseError } from '../errors.ts'
import { keepLogs, releaseLogs, wereLogsRead } from './kept-logs.ts'
import { CACHE_BYTES, OPEN_ATTEMPTS_MAX, TABLE_FILE_BYTES, WRITE_BUFFER_BYTES } from './limits.ts'
import { syncFolder } from './whole-file.ts'

export type Level = ClassicLevel<Buffer, Buffer>
export type Snapshot = ReturnType<Level['snapshot']>

/**
 * @param create makes the store when it is missing. Never true for a store that is known to exist:
 *   LevelDB with a lost CURRENT would start empty and delete the tables.
 */
export function openLevel(location: string, create: boolean): Promise<Level> {
  return open({ location, create, multithreading: false })
}

/** As `openLevel`, for one that threads of this process open beside whoever opened it first. */
export async function openSharedLevel(location: string, create: boolean): Promise<Level> {
  // ClassicLevel would give the handle that is open, be it broken.
  if (shared.has(location)) {
    throw new LaterbaseError(
      'LATERBASE_STORE_LOCKED',
      `${location} is open in this process already: close it there first`
    )
  }
  shared.add(location)
  try {
    const db = await open({ location, create, multithreading: true })
    db.once('closed', () => shared.delete(location))
    return db
  } catch (error) {
    shared.delete(location)
    throw error
  }
}

const shared = new Set<string>()

interface Opening {
  readonly location: string
  readonly create: boolean
  readonly multithreading: boolean
}

async function open(opening: Opening): Promise<Level> {
  const { location, create } = opening
  try {
    return await openReadingLogs(opening)
  } catch (error) {
    const failure = error instanceof LaterbaseError ? error : openError(location, error)
    const isHalfMade = create && failure.code === 'LATERBASE_STORE_CORRUPT'
    if (!isHalfMade || !(await isBlank(location))) throw failure
    // A power cut while it was made: CURRENT points to a MANIFEST that was never synced.
    await rm(location, { recursive: true })
    return open(opening)
  }
}

/** Opens anew where LevelDB passed over a log: it does so without a word, and then deletes it. */
async function openReadingLogs(opening: Opening): Promise<Level> {
  const { location, create } = opening
  for (let attempt = 1; attempt <= OPEN_ATTEMPTS_MAX; attempt += 1) {
    const kept = await keepLogs(location)
    const db = await openOnce(opening).catch(async (error: unknown) => {
      // LevelDB deletes nothing when it does not open.
      await releaseLogs(location, kept)
      throw error
    })
    try {
      if (await wereLogsRead(location, kept)) {
        await releaseLogs(location, kept)
        // LevelDB renames CURRENT at each opening and syncs the directory before, not after. Also,
        // a log that was released must not come back: it would be replayed over what is newer.
        await syncFolder(location)
        if (create) await syncFolder(dirname(location))
        return db
      }
    } catch (error) {
      await db.close()
      throw error
    }
    await db.close()
  }
  const message = `${location}: its log cannot be read now; it was kept for the next start`
  throw new LaterbaseError('LATERBASE_STORE_FAILED', message)
}

async function openOnce({ location, create, multithreading }: Opening): Promise<Level> {
  const db: Level = new ClassicLevel(location, {
    keyEncoding: 'buffer',
    valueEncoding: 'buffer',
    createIfMissing: create,
    multithreading,
    cacheSize: CACHE_BYTES,
    writeBufferSize: WRITE_BUFFER_BYTES,
    maxFileSize: TABLE_FILE_BYTES
  })
  await db.open()
  return db
}

/** Whether nothing was ever written to what is there: no table, and nothing in a log. */
export async function isBlank(location: string): Promise<boolean> {
  const names = await readdir(location).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return []
    throw error
  })
  for (const name of names) {
    if (/\.(ldb|sst|kept)$/.test(name)) return false
    if (name.endsWith('.log') && (await stat(join(location, name))).size > 0) return false
  }
  return true
}

/**
 * What an operation on an open store threw, by its code: LevelDB's own errors become ours.
 *
 * @returns LATERBASE_STORE_CORRUPT, LATERBASE_STORE_FAILED, or the error as it is
 */
export function namedError(error: unknown): unknown {
  if (!(error instanceof Error) || !('code' in error)) return error
  const code = String(error.code)
  if (!code.startsWith('LEVEL_')) return error
  const named = code === 'LEVEL_CORRUPTION' ? 'LATERBASE_STORE_CORRUPT' : 'LATERBASE_STORE_FAILED'
  return new LaterbaseError(named, error.message, { cause: error })
}

function openError(location: string, error: unknown): LaterbaseError {
  const cause = error instanceof Error ? (error.cause ?? error) : error
  const code = typeof cause === 'object' && cause !== null && 'code' in cause ? cause.code : ''
  const text = cause instanceof Error ? cause.message : String(cause)
  if (code === 'LEVEL_LOCKED') {
    const message = `${location} is in use by another process: stop it, or use another directory`
    return new LaterbaseError('LATERBASE_STORE_LOCKED', message, { cause })
  }
  if (text.includes('does not exist')) {
    const message = `${location} is gone or has lost its CURRENT file; nothing was changed`
    return new LaterbaseError('LATERBASE_STORE_LOST', message, { cause })
  }
  // CURRENT names a MANIFEST that is gone, or a MANIFEST tables that are.
  const isIncomplete = /No such file|missing files/.test(text)
  if (code === 'LEVEL_CORRUPTION' || isIncomplete || text.includes('Corruption')) {
    return new LaterbaseError('LATERBASE_STORE_CORRUPT', `${location}: ${text}`, { cause })
  }
  return new LaterbaseError('LATERBASE_STORE_FAILED', `${location}: ${text}`, { cause })
}

/** Whether LevelDB could not make sense of its files, rather than reach them. */
export function isLevelDamage(error: unknown): boolean {
  if (!(error instanceof Error) || !('code' in error)) return false
  if (error.code === 'LEVEL_CORRUPTION') return true
  // A file that is shorter than it was reads as an invalid argument; one that is gone, as itself.
  return error.code === 'LEVEL_IO_ERROR' && /Invalid argument|No such file/.test(error.message)
}
