/** Files that are there whole or not at all, and names that outlast a power cut. */

import { open, rename, stat } from 'node:fs/promises'
import { dirname } from 'node:path'

/**
 * Written beside, synced, renamed, and the name synced: a power cut leaves the old file or the new
 * one, and once this resolves the new one. Readable by the owner only.
 */
export async function writeWhole(path: string, text: string): Promise<void> {
  const beside = `${path}.new`
  const file = await open(beside, 'w', OWNER_ONLY)
  try {
    // One that a crash left behind has the mode that it had.
    await file.chmod(OWNER_ONLY)
    await file.writeFile(text)
    await file.sync()
  } finally {
    await file.close()
  }
  await rename(beside, path)
  await syncFolder(dirname(path))
}

/** Names in a folder are on disk when this resolves. */
export async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r')
  try {
    await folder.sync()
  } finally {
    await folder.close()
  }
}

/** @throws what the file system does where it cannot say */
export async function isThere(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    (error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return false
      throw error
    }
  )
}

const OWNER_ONLY = 0o600
