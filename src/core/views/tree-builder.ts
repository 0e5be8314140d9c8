/** A tree from rows that come in order, without reading any of it. */

import { assert, present } from '../assert.ts'
import { leavesOf } from './leaves.ts'
import { BEGINNING, levelOf } from './row-tree.ts'
import type { Summaries, TreeChange, TreeEntry } from './row-tree.ts'

/** The whole tree of rows that come in order: each entry once. */
export class TreeBuilder<S> {
  readonly #summaries: Summaries<S>
  #rows: TreeEntry[] = []
  /** By level, from 1: where its open run begins, and what is in it. */
  readonly #open: { begin: Uint8Array; parts: S[] }[] = []
  /** The last run of the lowest level is whole: what comes next begins another one. */
  #isBetween = false

  constructor(summaries: Summaries<S>) {
    this.#summaries = summaries
  }

  /** What is complete now that this row comes. */
  add(row: TreeEntry): readonly TreeChange[] {
    const level = levelOf(row.key)
    while (this.#open.length < level + 1) this.#open.push({ begin: BEGINNING, parts: [] })
    if (level === 0) {
      assert(!this.#isBetween, 'a row behind a whole run begins one')
      this.#rows.push(row)
      return NOTHING
    }
    const changes = this.#begin(row.key, level)
    this.#isBetween = false
    this.#rows.push(row)
    return changes
  }

  /** A whole run of the lowest level, which is written already: all rows from the one that begins it to the next one that does. */
  addRun(key: Uint8Array, summary: S): readonly TreeChange[] {
    const level = levelOf(key)
    assert(level > 0, 'a run begins with a row that begins one')
    while (this.#open.length < level + 1) this.#open.push({ begin: BEGINNING, parts: [] })
    const changes = this.#begin(key, level)
    this.#isBetween = true
    this.#open[1]?.parts.push(summary)
    return changes
  }

  finish(): { readonly changes: readonly TreeChange[]; readonly height: number } {
    const height = this.#open.length
    return { changes: this.#close(height), height }
  }

  #begin(key: Uint8Array, level: number): TreeChange[] {
    const changes = this.#close(level)
    for (let below = 0; below < level; below += 1) {
      present(this.#open[below], 'a level that is open').begin = key
    }
    return changes
  }

  #close(upTo: number): TreeChange[] {
    const changes: TreeChange[] = []
    for (let level = 1; level <= upTo; level += 1) {
      const run = present(this.#open[level - 1], 'a level that is open')
      if (level === 1 && this.#rows.length > 0) {
        run.parts = [this.#summaries.ofRows(this.#rows)]
        const leaves = leavesOf({ begin: run.begin, rows: this.#rows })
        for (const leaf of leaves) changes.push({ level: 0, ...leaf })
        this.#rows = []
      }
      if (run.parts.length === 0) continue
      const summary =
        level === 1 ? present(run.parts[0], 'one') : this.#summaries.combine(run.parts)
      changes.push({ level, key: run.begin, value: this.#summaries.encode(summary) })
      run.parts = []
      this.#open[level]?.parts.push(summary)
    }
    return changes
  }
}

const NOTHING: readonly TreeChange[] = []
