/** Opens a ClassicLevel with this project's settings, and names what went wrong. */

import { ClassicLevel } from 'classic-level'

import { LaterbaseError } from '../errors.ts'
import { CACHE_BYTES, TABLE_FILE_BYTES, WRITE_BUFFER_BYTES } from './limits.ts'

export type Level = ClassicLevel<Buffer, Buffer>

/**
 * @param create makes the store when it is missing. Never true for a store that is known to exist:
 *   LevelDB with a lost CURRENT would start empty and delete the tables.
 */
export async function openLevel(location: string, create: boolean): Promise<Level> {
  const db: Level = new ClassicLevel(location, {
    keyEncoding: 'buffer',
    valueEncoding: 'buffer',
    createIfMissing: create,
    cacheSize: CACHE_BYTES,
    writeBufferSize: WRITE_BUFFER_BYTES,
    maxFileSize: TABLE_FILE_BYTES
  })
  try {
    await db.open()
    return db
  } catch (error) {
    throw openError(location, error)
  }
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
  if (code === 'LEVEL_CORRUPTION' || text.includes('Corruption')) {
    return new LaterbaseError('LATERBASE_STORE_CORRUPT', `${location}: ${text}`, { cause })
  }
  return new LaterbaseError('LATERBASE_STORE_FAILED', `${location}: ${text}`, { cause })
}
