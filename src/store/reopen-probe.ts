/**
 * Whether a store on disk could be opened anew, asked before its broken handle is closed: an opening
 * writes LevelDB's log out as a table, and one that fails leaves nothing to read from. And whether
 * what was opened then is what was closed.
 */

import { open, readdir, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'

import type { DiskSpace } from './disk-reserve.ts'
import type { EventStore, OwnLogRenewal } from './event-store.ts'
import { PROBE_BYTES, REOPEN_BYTES } from './limits.ts'

/** Beside LevelDB's files, which it tells by their names. */
const PROBE_FILE = 'PROBE'

/** @throws what the disk says where it does not take a write */
export async function canReopen(
  location: string,
  measure: () => Promise<DiskSpace>
): Promise<boolean> {
  const { freeBytes, totalBytes } = await measure()
  const isKnown = totalBytes > 0
  if (isKnown && freeBytes < (await logBytes(location)) + REOPEN_BYTES) return false
  await probe(location)
  return true
}

/** Going on from another store, or from an earlier state, would use sequence numbers twice. */
export function isOther(
  before: EventStore,
  after: EventStore,
  renewal: OwnLogRenewal | undefined
): boolean {
  // The write that failed may be on the disk all the same.
  const incarnations = [before.incarnation, renewal?.incarnation]
  if (!incarnations.includes(after.incarnation)) return true
  const logs = after.logs()
  return before.logs().some(({ number, tip }) => {
    const now = logs[number]?.tip
    return now === undefined || now.origin.id !== tip.origin.id || now.seq < tip.seq
  })
}

async function logBytes(location: string): Promise<number> {
  let total = 0
  for (const name of await readdir(location)) {
    if (name.endsWith('.log')) total += (await stat(join(location, name))).size
  }
  return total
}

async function probe(location: string): Promise<void> {
  const file = join(location, PROBE_FILE)
  try {
    const handle = await open(file, 'w')
    try {
      await handle.writeFile(Buffer.alloc(PROBE_BYTES))
      await handle.sync()
    } finally {
      await handle.close()
    }
  } finally {
    await rm(file, { force: true })
  }
}
