/**
 * The lock of a data directory: an empty LevelDB in it, whose lock the system frees when the process
 * dies, however it dies. It is not a store's own lock, because opening a store begins before LevelDB
 * has it, and because whoever repairs a store has to keep others out while it is closed.
 */

import { mkdir, realpath } from 'node:fs/promises'
import { join } from 'node:path'

import { LaterbaseError, isLaterbaseError } from '../errors.ts'
import { openLevel } from './open-level.ts'

export interface DirectoryLock {
  /** Idempotent. */
  release(): Promise<void>
}

/**
 * LevelDB's lock does not hold within one process: opening it twice silently frees it. So the
 * directories that this process has are remembered here.
 */
const heldHere = new Set<string>()

/**
 * Takes a data directory, made when missing, before anything in it is read or written.
 *
 * @throws LATERBASE_STORE_LOCKED where a node runs in it, or is being examined
 */
export async function lockDirectory(dir: string): Promise<DirectoryLock> {
  await mkdir(dir, { recursive: true, mode: 0o700 })
  const path = await realpath(dir)
  if (heldHere.has(path)) throw locked(path, 'this process has it already')
  heldHere.add(path)
  try {
    const level = await openLevel(join(path, LOCK_FOLDER), true)
    let released: Promise<void> | undefined
    const release = (): Promise<void> => {
      released ??= level.close().finally(() => heldHere.delete(path))
      return released
    }
    return { release }
  } catch (error) {
    heldHere.delete(path)
    if (!isLaterbaseError(error, 'LATERBASE_STORE_LOCKED')) throw error
    throw locked(path, 'another process has it: stop that, or use another directory', error)
  }
}

function locked(path: string, why: string, cause?: unknown): LaterbaseError {
  return new LaterbaseError('LATERBASE_STORE_LOCKED', `${path} is in use: ${why}`, { cause })
}

const LOCK_FOLDER = 'node.lock'
