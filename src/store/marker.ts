/**
 * The marker beside a store: a small file that names the store's epoch, a random word which changes
 * each time the store is opened. A store that was put back from an older copy has an older epoch than
 * its marker, and so is noticed before it writes anything: peers may hold commits of its log that it
 * no longer knows. Left out: a copy that has its marker with it, which only peers can notice.
 */

import { readFile } from 'node:fs/promises'

import { writeWhole } from './whole-file.ts'

/** What the marker's path has behind the store's. */
export const MARKER_SUFFIX = '.marker'

export interface Marker {
  /** The epoch that the store had before; the same as `epoch` once the store is known to have that. */
  readonly before: string
  /** The epoch that it was given when it was opened last. */
  readonly epoch: string
}

/** Undefined where there is none that can be read. */
export async function readMarker(path: string): Promise<Marker | undefined> {
  const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return ''
    throw error
  })
  try {
    const { before, epoch } = JSON.parse(text) as Readonly<Record<string, unknown>>
    return typeof before === 'string' && typeof epoch === 'string' ? { before, epoch } : undefined
  } catch {
    return undefined
  }
}

/** Whole or not at all, and on disk when it resolves. */
export function writeMarker(path: string, marker: Marker): Promise<void> {
  return writeWhole(path, `${JSON.stringify(marker)}\n`)
}
