/**
 * The lowest runs of a map's tree as the runs above part them: a stretch of some 64 is read in one go, and kept while
 * one change is worked on, which looks for several runs that lie close together, and puts all of a stretch together
 * in the end. Left out: rows, and ranges of many runs, which are read as they are.
 */

import { present } from '../core/assert.ts'
import { compareBytes } from '../core/bytes.ts'
import { countBelow } from '../core/sorted-keys.ts'
import { BEGINNING } from '../core/views/row-tree.ts'
import type { EntriesQuery, TreeEntry, TreeReader } from '../core/views/row-tree.ts'
import { STRETCHES_AT_ONCE, STRETCHES_MAX } from './limits.ts'
import { selected } from './tree-entries.ts'

/** The level that is read in stretches. */
const LEVEL = 1

/** @param above runs of the next level, in order */
export function inStretches(tree: TreeReader, above: readonly TreeEntry[]): TreeReader {
  const stretches = new Stretches(tree, above)
  return {
    height: tree.height,
    leaf: (key) => tree.leaf(key),
    entries: (level, query) =>
      level === LEVEL ? stretches.entries(query) : tree.entries(level, query)
  }
}

class Stretches {
  readonly #tree: TreeReader
  /** Where each begins; the first of them before every row. */
  readonly #begins: readonly TreeEntry[]
  readonly #read = new Map<number, Promise<readonly TreeEntry[]>>()

  constructor(tree: TreeReader, above: readonly TreeEntry[]) {
    const isWhole = above[0]?.key.length === 0
    this.#tree = tree
    this.#begins = isWhole ? above : [{ key: BEGINNING, value: BEGINNING }, ...above]
  }

  async entries(query: EntriesQuery): Promise<readonly TreeEntry[]> {
    const { from, to, reverse = false, limit } = query
    const first = from === undefined ? 0 : this.#at(from)
    const last = to === undefined ? this.#begins.length - 1 : this.#before(to)
    const isFew = limit === undefined ? last - first < STRETCHES_AT_ONCE : limit === 1
    if (!isFew) return this.#tree.entries(LEVEL, query)
    if (limit === undefined) {
      const numbers = Array.from({ length: last - first + 1 }, (_, index) => first + index)
      const all = await Promise.all(numbers.map((number) => this.#stretch(number)))
      return selected(all.flat(), query)
    }
    for (let step = 0; step <= last - first; step += 1) {
      const found = selected(await this.#stretch(reverse ? last - step : first + step), query)
      if (found.length > 0) return found
    }
    return []
  }

  /** The one in which a key lies. */
  #at(key: Uint8Array): number {
    const below = countBelow(this.#begins, key)
    const next = this.#begins[below]
    return next !== undefined && compareBytes(next.key, key) === 0 ? below : Math.max(0, below - 1)
  }

  /** The last one in which a key below another one lies. */
  #before(key: Uint8Array): number {
    return Math.max(0, countBelow(this.#begins, key) - 1)
  }

  #stretch(number: number): Promise<readonly TreeEntry[]> {
    const held = this.#read.get(number)
    if (held !== undefined) return held
    if (this.#read.size >= STRETCHES_MAX) this.#read.clear()
    const { key: from } = present(this.#begins[number], 'a stretch')
    const to = this.#begins[number + 1]?.key
    const read = this.#tree.entries(LEVEL, { from, to })
    this.#read.set(number, read)
    return read
  }
}
