/**
 * The shim's journal, read: what a power cut must leave of a directory, and what it may take away.
 *
 * A synced file keeps its bytes and its name: ext4, XFS and btrfs write the entry of a new file when
 * the file is synced (LevelDB depends on it: it syncs a new log file, not the directory). Every other
 * change of a directory is certain only when that directory was synced. `strict` is the letter of
 * POSIX instead, which promises a name only after a sync of its directory.
 */

import { appendFileSync } from 'node:fs'
import { lstat, readFile, readdir } from 'node:fs/promises'
import { dirname, join } from 'node:path'

export type NamePromise = 'with-file' | 'strict'

/** By path below the directory: the inode of a file, or undefined for a directory. */
export type Names = Map<string, number | undefined>

/** One change of one entry, in the order in which they happened. */
export interface Change {
  readonly number: number
  readonly type: 'set' | 'removed' | 'renamed'
  readonly path: string
  readonly to?: string
  readonly ino: number | undefined
  /** It outlives a power cut. */
  isDurable: boolean
}

/** A call that the shim saw, by its class: reads, writes, grows, shrinks (u). */
export interface Call {
  readonly kind: string
  readonly name: string
  readonly path: string
  /** What the process had said that it does, if it does. */
  readonly step: string
}

export interface Journal {
  readonly calls: readonly Call[]
  readonly changes: readonly Change[]
  /** Synced bytes by inode. */
  readonly durable: ReadonlyMap<number, number>
  /** The call that went wrong, if one did. */
  readonly fault: Call | undefined
}

/** What is on disk before a process starts: all of it is durable. */
export interface Before {
  readonly names: Names
  readonly sizes: ReadonlyMap<number, number>
}

/** For a process under the shim to say in its journal what it does from here on. */
export function noteStep(step: string): void {
  const journal = process.env['DISK_SHIM_JOURNAL']
  if (journal !== undefined) appendFileSync(journal, `step\t${step}\n`)
}

export async function readTree(dir: string): Promise<Before> {
  const names: Names = new Map()
  const sizes = new Map<number, number>()
  const entries = await readdir(dir, { recursive: true }).catch(() => [])
  for (const path of entries) {
    const { ino, size, isFile } = await statOf(join(dir, path))
    names.set(path, isFile ? ino : undefined)
    if (isFile) sizes.set(ino, size)
  }
  return { names, sizes }
}

async function statOf(path: string): Promise<{ ino: number; size: number; isFile: boolean }> {
  const found = await lstat(path)
  return { ino: found.ino, size: found.size, isFile: found.isFile() }
}

export async function readJournal(
  file: string,
  before: Before,
  promise: NamePromise = 'with-file'
): Promise<Journal> {
  const reader = new JournalReader(before, promise)
  // A process that never touched the directory leaves none; a last line may be cut.
  const text = await readFile(file, 'utf8').catch(() => '')
  for (const line of text.slice(0, text.lastIndexOf('\n') + 1).split('\n')) {
    if (line !== '') reader.take(line.split('\t'))
  }
  return reader
}

class JournalReader implements Journal {
  readonly calls: Call[] = []
  readonly changes: Change[] = []
  readonly durable: Map<number, number>
  fault: Call | undefined
  #step = ''
  readonly #names: Names
  readonly #promise: NamePromise

  constructor(before: Before, promise: NamePromise) {
    this.#names = new Map(before.names)
    this.durable = new Map(before.sizes)
    this.#promise = promise
  }

  take(fields: readonly string[]): void {
    const [type, first = '', second = '', third = ''] = fields
    const step = this.#step
    if (type === 'step') this.#step = first
    if (type === 'call') this.calls.push({ kind: first, name: second, path: third, step })
    if (type === 'fault') this.fault = { kind: '', name: second, path: third, step }
    if (type === 'create' || type === 'mkdir') {
      const ino = type === 'create' ? Number(second) : undefined
      if (ino !== undefined) this.durable.set(ino, 0)
      this.#names.set(third, ino)
      this.#change({ number: Number(first), type: 'set', path: third, ino })
    }
    if (type === 'rename') {
      const ino = this.#names.get(second)
      this.#names.delete(second)
      this.#names.set(third, ino)
      this.#change({ number: Number(first), type: 'renamed', path: second, to: third, ino })
    }
    if (type === 'unlink') {
      const ino = this.#names.get(second)
      this.#names.delete(second)
      this.#change({ number: Number(first), type: 'removed', path: second, ino })
    }
    if (type === 'resize') this.#resize(Number(first), Number(second))
    if (type === 'sync') this.#sync(Number(first), Number(second))
    if (type === 'syncdir') this.#syncDirectory(Number(first), second)
  }

  #change(change: Omit<Change, 'isDurable'>): void {
    this.changes.push({ ...change, isDurable: change.path === '.' })
  }

  #resize(ino: number, size: number): void {
    this.durable.set(ino, Math.min(size, this.durable.get(ino) ?? 0))
  }

  #sync(ino: number, size: number): void {
    this.durable.set(ino, Math.max(size, this.durable.get(ino) ?? 0))
    if (this.#promise === 'strict') return
    const named = this.changes.findLast((change) => change.ino === ino && change.type !== 'removed')
    if (named === undefined) return
    named.isDurable = true
    this.#keepFolders(dirname(named.to ?? named.path))
  }

  /** A file that is kept keeps the folders that it is in. */
  #keepFolders(folder: string): void {
    if (folder === '.') return
    for (const change of this.changes) {
      if (change.path === folder && change.type === 'set') change.isDurable = true
    }
    this.#keepFolders(dirname(folder))
  }

  #syncDirectory(upTo: number, folder: string): void {
    for (const change of this.changes) {
      if (change.number <= upTo && dirname(change.path) === folder) change.isDurable = true
    }
  }
}
