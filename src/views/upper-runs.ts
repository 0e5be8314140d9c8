/**
 * The upper levels of a map's tree in memory: a few hundred entries for a million rows, which every question
 * and every change would read from the store otherwise. Those of one state of an index, and of no other.
 */

import { mergedEntries } from '../core/views/row-tree.ts'
import type { TreeChange, TreeEntry, TreeReader } from '../core/views/row-tree.ts'
import { TREE_LEVELS_MAX } from '../core/limits.ts'
import { UPPER_RUNS_MAX } from './limits.ts'
import { inStretches } from './run-stretches.ts'
import { selected } from './tree-entries.ts'

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
    const entries = mergedEntries(levels.get(level) ?? [], those)
    if (entries.length > UPPER_RUNS_MAX) return undefined
    levels.set(level, entries)
  }
  return levels
}

/** For one change, which looks for many of the lowest runs. */
export function withStretches(tree: TreeReader, runs: UpperRuns): TreeReader {
  return withUpperRuns(inStretches(tree, runs.get(LOWEST) ?? []), runs)
}

/** The lower levels from the store, the upper ones from memory. */
export function withUpperRuns(tree: TreeReader, runs: UpperRuns): TreeReader {
  return {
    height: tree.height,
    leaf: (key) => tree.leaf(key),
    entries: (level, query) => {
      const entries = level < LOWEST ? undefined : (runs.get(level) ?? [])
      return entries === undefined
        ? tree.entries(level, query)
        : Promise.resolve(selected(entries, query))
    }
  }
}

function copied(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(bytes)
}
