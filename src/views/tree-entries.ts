/** Entries of a level of a tree that are in memory, in the order of their keys. */

import { countBelow } from '../core/sorted-keys.ts'
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
