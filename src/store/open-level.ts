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
