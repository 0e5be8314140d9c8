/** Entries in the order of their keys, as unsigned bytes. */

import { compareBytes } from './bytes.ts'

export interface Keyed {
  readonly key: Uint8Array
}

/** How many entries are below a key: where it stands, or would. */
export function countBelow(entries: readonly Keyed[], key: Uint8Array): number {
  let [low, high] = [0, entries.length]
  while (low < high) {
    const middle = (low + high) >>> 1
    const entry = entries[middle]
    if (entry !== undefined && compareBytes(entry.key, key) < 0) low = middle + 1
    else high = middle
  }
  return low
}
