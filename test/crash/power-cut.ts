/**
 * A power cut, after the fact: the process is gone, and its directory is rewritten to a state that
 * the disk could have had. All by a seed.
 *
 * Changes of one directory reach the disk in their order, so that a cut undoes the last ones; those
 * that were synced stay. Of bytes that were not synced, of each file for itself: all gone, all there,
 * a part, garbage or zeroes at the end, pages missing in the middle.
 */

import { link, mkdir, open, readdir, rename, rm, stat, truncate } from 'node:fs/promises'
import { dirname, join } from 'node:path'

import { present } from '../../src/core/assert.ts'
import type { Prng } from '../../scripts/simulate/prng.ts'
import type { Before, Change, Journal, Names } from './journal.ts'

export type CutKind = 'all-lost' | 'torn' | 'partial'
export const CUT_KINDS: readonly CutKind[] = ['all-lost', 'torn', 'partial']

export interface Cut {
  readonly dir: string
  readonly graves: string
  readonly before: Before
  readonly journal: Journal
  readonly kind: CutKind
  readonly prng: Prng
}

/** @returns what was taken away, in words */
export async function cutPower(cut: Cut): Promise<string[]> {
  const { dir, graves, journal, before } = cut
  const { names, undone } = namesAfter(cut)
  const places = new Map([...(await placesOf(graves)), ...(await placesOf(dir))])
  const after = `${dir}.after`
  await mkdir(after, { mode: 0o700 })
  const losses = undone.map((change) => `undone: ${change.type} ${change.to ?? change.path}`)
  for (const [path, ino] of [...names].sort(([a], [b]) => (a < b ? -1 : 1))) {
    const target = join(after, path)
    if (!(await isThere(dirname(target)))) continue
    if (ino === undefined) await mkdir(target)
    else {
      await link(present(places.get(ino), `the bytes of ${path} are kept`), target)
      const durable = journal.durable.get(ino) ?? before.sizes.get(ino) ?? 0
      const loss = await loseBytes(target, durable, cut)
      if (loss !== undefined) losses.push(`${path}: ${loss}`)
    }
  }
  await rm(dir, { recursive: true, force: true })
  await rename(after, dir)
  await rm(graves, { recursive: true, force: true })
  return losses
}

/** Nothing was lost with the process alone: what was unlinked stays so. */
export async function forgetGraves(graves: string): Promise<void> {
  await rm(graves, { recursive: true, force: true })
}

function namesAfter({ journal, before, kind, prng }: Cut): { names: Names; undone: Change[] } {
  const pending = new Map<string, Change[]>()
  for (const change of journal.changes.filter(({ isDurable }) => !isDurable)) {
    const folder = dirname(change.path)
    pending.set(folder, [...(pending.get(folder) ?? []), change])
  }
  const undone = [...pending.values()].flatMap((changes) =>
    changes.slice(kind === 'all-lost' ? 0 : prng.integer(0, changes.length))
  )
  const names: Names = new Map(before.names)
  const lost = new Set(undone)
  for (const change of journal.changes) if (!lost.has(change)) apply(change, names)
  names.delete('.')
  return { names, undone }
}

function apply({ type, path, to, ino }: Change, names: Names): void {
  // What an undone change would have put there is not there to be moved or removed.
  if (type !== 'set' && names.get(path) === ino) names.delete(path)
  if (type === 'set') names.set(path, ino)
  if (to !== undefined) names.set(to, ino)
}

async function loseBytes(file: string, durable: number, cut: Cut): Promise<string | undefined> {
  const { size } = await stat(file)
  if (size <= durable) return undefined
  const { kind, prng } = cut
  const chance = kind === 'all-lost' ? 'gone' : prng.pick(LOSSES[kind])
  const kept = prng.integer(durable, size)
  const said = `${size - durable} unsynced bytes ${chance}`
  if (chance === 'gone') await truncate(file, durable)
  if (chance === 'cut') await truncate(file, kept)
  if (chance === 'garbage' || chance === 'zeroes') {
    // The last block that arrived, and what the file system had in its place.
    await truncate(file, kept)
    const from = Math.max(durable, kept - prng.integer(1, BLOCK_BYTES))
    await overwrite(file, { from, to: kept }, chance === 'garbage' ? prng : undefined)
  }
  if (chance === 'holes') {
    for (let from = durable; from < size; from += BLOCK_BYTES) {
      const to = Math.min(size, from + BLOCK_BYTES)
      if (prng.fraction() < 0.5) await overwrite(file, { from, to }, undefined)
    }
  }
  return said
}

const LOSSES = {
  torn: ['cut', 'garbage', 'zeroes'],
  partial: ['gone', 'kept', 'kept', 'cut', 'holes', 'garbage']
} as const

/** Of the page cache and of most file systems. */
const BLOCK_BYTES = 4_096

async function overwrite(
  file: string,
  { from, to }: { readonly from: number; readonly to: number },
  prng: Prng | undefined
): Promise<void> {
  const bytes = Buffer.alloc(to - from)
  if (prng !== undefined)
    for (let at = 0; at < bytes.length; at += 1) bytes[at] = prng.integer(0, 255)
  const handle = await open(file, 'r+')
  await handle.write(bytes, 0, bytes.length, from)
  await handle.close()
}

/** Where the bytes of each inode are. */
async function placesOf(dir: string): Promise<Map<number, string>> {
  const places = new Map<number, string>()
  for (const path of await readdir(dir, { recursive: true }).catch(() => [])) {
    const file = join(dir, path)
    const found = await stat(file)
    if (found.isFile()) places.set(found.ino, file)
  }
  return places
}

function isThere(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false
  )
}
