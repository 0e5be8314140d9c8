/**
 * The upper levels of a map's tree in memory: a few hundred entries for a million rows, which every question
 * and every change would read from the store otherwise. Those of one state of an index, and of no other.
 */

import { compareBytes } from '../core/bytes.ts'
import type { EntriesQuery, TreeChange, TreeEntry, TreeReader } from '../core/views/row-tree.ts'
import { TREE_LEVELS_MAX } from '../core/limits.ts'
import { UPPER_RUNS_MAX } from './limits.ts'

/** By level, its entries in order. Never changed in place. */
export type UpperRuns = ReadonlyMap<number, readonly TreeEntry[]>

/** The lowest level that is kept here. */
const LOWEST = 2

/** As they are stored; undefined for more than memory should hold. */
export async function readUpperRuns(tree: TreeReader): Promise<UpperRuns | undefined> {
  const levels = new Map<number, readonly TreeEntry[]>()
  for (let level = tree.height; level >= LOWEST; level -= 1) {
    const entries = await tree.entries(level, { limit: UPPER_RUNS_MAX + 1 })
    if (entries.length > UPPER_RUNS_MAX) return undefined
    // Not in the larger pieces of memory that they were read into.
    levels.set(
      level,
      entries.map(({ key, value }) => ({ key: copied(key), value: copied(value) }))
    )
  }
  return levels
}

/** With changes in the order of their keys; new levels begin empty. */
export function withChanges(
  runs: UpperRuns,
  changes: readonly TreeChange[]
): UpperRuns | undefined {
  const levels = new Map(runs)
  for (let level = LOWEST; level <= TREE_LEVELS_MAX; level += 1) {
    const those = changes.filter((change) => change.level === level)
    if (those.length === 0) continue
    const entries = merged(levels.get(level) ?? [], those)
    if (entries.length > UPPER_RUNS_MAX) return undefined
    levels.set(level, entries)
  }
  return levels
}

/** The lower levels from the store, the upper ones from memory. */
export function withUpperRuns(tree: TreeReader, runs: UpperRuns): TreeReader {
  return {
    height: tree.height,
    entries: (level, query) => {
      const entries = level < LOWEST ? undefined : (runs.get(level) ?? [])
      return entries === undefined
        ? tree.entries(level, query)
        : Promise.resolve(selected(entries, query))
    }
  }
}

function selected(
  entries: readonly TreeEntry[],
  { from, to, reverse, limit = Infinity }: EntriesQuery
): readonly TreeEntry[] {
  const begin = from === undefined ? 0 : placeOf(entries, from)
  const end = to === undefined ? entries.length : placeOf(entries, to)
  if (reverse === true) return entries.slice(Math.max(begin, end - limit), end).reverse()
  return entries.slice(begin, Math.min(end, begin + limit))
}

/** How many entries are below a key. */
function placeOf(entries: readonly TreeEntry[], key: Uint8Array): number {
  let [low, high] = [0, entries.length]
  while (low < high) {
    const middle = (low + high) >> 1
    const entry = entries[middle]
    if (entry !== undefined && compareBytes(entry.key, key) < 0) low = middle + 1
    else high = middle
  }
  return low
}

function merged(held: readonly TreeEntry[], changes: readonly TreeChange[]): readonly TreeEntry[] {
  const entries = [...held]
  for (const { key, value } of changes) {
    const at = placeOf(entries, key)
    const found = entries[at]
    const isThere = found !== undefined && compareBytes(found.key, key) === 0
    entries.splice(at, isThere ? 1 : 0, ...(value === undefined ? [] : [{ key, value }]))
  }
  return entries
}

function copied(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(bytes)
}
