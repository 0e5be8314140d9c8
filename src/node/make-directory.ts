/** Makes a data directory for a node that is started later. Whoever makes or uses it meanwhile keeps others out. */

import { isLaterbaseError } from '../errors.ts'
import { lockDirectory } from '../store/directory-lock.ts'
import { hasIdentity, openDataDirectory } from './data-directory.ts'
import { parseInvitation } from './invitation.ts'

export interface MadeDirectory {
  readonly path: string
  /** False where there was a node in it already, which is as it was. */
  readonly created: boolean
}

/**
 * @param invitation the network to join; without one a new directory makes a network of its own
 * @throws LATERBASE_STORE_LOCKED (somebody else makes it),
 *   LATERBASE_IDENTITY_INVALID, LATERBASE_INVITATION_INVALID
 */
export async function makeDirectory(
  dir: string,
  invitation: string | undefined
): Promise<MadeDirectory> {
  // Before the lock makes a folder: what cannot be read leaves nothing behind.
  if (invitation !== undefined) parseInvitation(invitation)
  const lock = await lockDirectory(dir).catch(async (error: unknown) => {
    // A node that runs there has its identity, which is written last: its files are only read.
    if (isLaterbaseError(error, 'LATERBASE_STORE_LOCKED') && (await hasIdentity(dir)))
      return undefined
    throw error
  })
  try {
    const existed = await hasIdentity(dir)
    const { path } = await openDataDirectory(dir, invitation)
    return { path, created: !existed }
  } finally {
    await lock?.release()
  }
}
