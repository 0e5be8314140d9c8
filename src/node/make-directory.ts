/** Makes a data directory for a node that is started later. Whoever makes or uses it meanwhile keeps others out. */

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
 * @throws LATERBASE_STORE_LOCKED (a node runs in it, or somebody else makes or examines it),
 *   LATERBASE_IDENTITY_INVALID, LATERBASE_INVITATION_INVALID
 */
export async function makeDirectory(
  dir: string,
  invitation: string | undefined
): Promise<MadeDirectory> {
  // Before the lock makes a folder: what cannot be read leaves nothing behind.
  if (invitation !== undefined) parseInvitation(invitation)
  const lock = await lockDirectory(dir)
  try {
    const existed = await hasIdentity(dir)
    const { path } = await openDataDirectory(dir, invitation)
    return { path, created: !existed }
  } finally {
    await lock.release()
  }
}
