/**
 * What is written down of the recovery of a damaged store, beside the store: so that one that a
 * crash cut off begins again, and that a person finds where the damaged files are.
 */

import { readFile, rm } from 'node:fs/promises'

import type { LogId } from '../core/commit.ts'
import { writeWhole } from '../store/whole-file.ts'

export interface RecoveryNote {
  /** What was wrong, in words. */
  readonly reason: string
  /** RFC 3339. */
  readonly at: string
  /** Name of the folder, beside the store, that has the damaged files. */
  readonly kept: string
  /** `reading`: the new store is not whole yet, and is made anew from the files after a crash. */
  readonly state: 'reading' | 'read'
  /** Events that the damaged store had, where that is known. */
  readonly before: number | undefined
  /** Events that were read back. */
  readonly back: number
  /** Logs, and branches of forked ones, that are known to have gone further than was read back. */
  readonly expected: readonly ExpectedHead[]
}

/** How far a log is known to have gone. */
export interface ExpectedHead {
  readonly log: LogId
  readonly seq: number
  /** Hash of the commit that ends there, hex, where that is known: which branch is meant. */
  readonly hash?: string
}

/** Undefined where there is none that can be read: it tells, and nothing is decided by it alone. */
export async function readNote(file: string): Promise<RecoveryNote | undefined> {
  try {
    const note = JSON.parse(await readFile(file, 'utf8')) as RecoveryNote
    const texts = [note.reason, note.at, note.kept, note.state]
    if (!texts.every((text) => typeof text === 'string') || /[/\\]/.test(note.kept))
      return undefined
    return { ...note, expected: Array.isArray(note.expected) ? note.expected : [] }
  } catch {
    return undefined
  }
}

/** On disk when it resolves: by a `reading` that came back, a store that was written to would go. */
export function writeNote(file: string, note: RecoveryNote): Promise<void> {
  return writeWhole(file, `${JSON.stringify(note, undefined, 2)}\n`)
}

export function removeNote(file: string): Promise<void> {
  return rm(file, { force: true })
}
