/** Entries of a level of a tree that are in memory, in the order of their keys. */

import { compareBytes } from '../core/bytes.ts'
import type { EntriesQuery, TreeEntry } from '../core/views/row-tree.ts'

export function selected(
  entries: readonly TreeEntry[],
  { from, to, reverse, limit = Infinity }: EntriesQuery
): readonly TreeEntry[] {
  const begin = from === undefined ? 0 : countBelow(entries, from)
  const end = to === undefined ? entries.length : countBelow(entries, to)
  if (reverse === true) return entries.slice(Math.max(begin, end - limit), end).reverse()
  return entries.slice(begin, Math.min(end, begin + limit))
}

/** How many entries are below a key. */
export function countBelow(entries: readonly TreeEntry[], key: Uint8Array): number {
  let [low, high] = [0, entries.length]
  while (low < high) {
    const middle = (low + high) >> 1
    const entry = entries[middle]
    if (entry !== undefined && compareBytes(entry.key, key) < 0) low = middle + 1
    else high = middle
  }
  return low
}
