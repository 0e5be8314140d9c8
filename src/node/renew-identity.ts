/**
 * A new identity for a stopped node, which keeps its events: for a box whose disk is a copy of
 * another's. The log that was its own stays as one of a box that writes no more here, and is synced
 * on; what the node writes from now on goes to a new log, since a log's name follows from the key.
 */

import { keysFromSeed } from '../p2p/keys.ts'
import { formatTime } from '../schema/time.ts'
import { lockDirectory } from '../store/directory-lock.ts'
import { openDataDirectory, replaceIdentity } from './data-directory.ts'
import { systemClock, systemRng } from './system.ts'

export interface RenewedIdentity {
  readonly path: string
  /** Peer ids. */
  readonly before: string
  readonly after: string
  /** The file that holds the old identity. */
  readonly kept: string
}

/** @throws LATERBASE_STORE_LOCKED (the node is running), LATERBASE_IDENTITY_INVALID */
export async function renewIdentity(dir: string): Promise<RenewedIdentity> {
  // A node that runs would go on under the old identity.
  const lock = await lockDirectory(dir)
  try {
    const { path, seed } = await openDataDirectory(dir, undefined)
    const renewed = systemRng.bytes(32)
    const time = formatTime(systemClock.nowMs()).replaceAll(/[-:]/g, '')
    const kept = await replaceIdentity(path, renewed, `old-${time}`)
    const [before, after] = [keysFromSeed(seed).peerId, keysFromSeed(renewed).peerId]
    return { path, before, after, kept }
  } finally {
    await lock.release()
  }
}
