/**
 * The files of a database's views: what is in them can be made again, so files that cannot be read are
 * removed; and they take no room that the events need.
 */

import { rm } from 'node:fs/promises'

import type { DerivedStore } from '../store/derived-store.ts'
import { openDerivedStore } from '../store/level-derived-store.ts'

export interface ViewFilesOptions {
  /** Without what was there. */
  readonly anew: boolean
  /** @throws LATERBASE_DISK_FULL where nothing that can wait should be written */
  readonly admit: (bytes: number) => Promise<void>
}

export async function openViewFiles(
  location: string,
  { anew, admit }: ViewFilesOptions
): Promise<DerivedStore> {
  if (anew) await rm(location, { recursive: true, force: true })
  await admit(0)
  const store = await openDerivedStore(location)
  const write: DerivedStore['write'] = async (changes) => {
    await admit(changes.reduce((sum, { value }) => sum + (value?.length ?? 0), 0))
    await store.write(changes)
  }
  return {
    get: (key) => store.get(key),
    scan: (range) => store.scan(range),
    chunks: (range) => store.chunks(range),
    snapshot: () => store.snapshot(),
    write,
    clear: (prefix) => store.clear(prefix),
    diskBytes: (prefix) => store.diskBytes(prefix),
    close: () => store.close()
  }
}
