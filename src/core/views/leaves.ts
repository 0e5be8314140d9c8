/**
 * The rows of a tree as they are kept: those of a run of the lowest level side by side in one record, or in several
 * where they are large, under the key with which the run, or the record's first row, begins. A row by itself costs a
 * store as much as a run of them.
 *
 * A leaf: of each row the length of its key (2 bytes) and of its value (4), big-endian, then both.
 */

import { present } from '../assert.ts'
import { after, compareBytes, equalBytes, toHex } from '../bytes.ts'
import { LEAF_BYTES } from '../limits.ts'
import { countBelow } from '../sorted-keys.ts'
import type { KeyBounds, TreeChange, TreeEntry, TreeReader } from './row-tree.ts'

/** Before the key and the value of each row. */
export const ROW_LENGTHS_BYTES = 6

/** A run of the lowest level. */
export interface LeafRun {
  readonly begin: Uint8Array
  readonly rows: readonly TreeEntry[]
}

/** A run of which the rows are not read yet. */
export interface PlacedRun extends Pick<LeafRun, 'begin'> {
  readonly count: number
}

/** The leaves of a run: as the rows are, whatever they were before. */
export function leavesOf({ begin, rows }: LeafRun): TreeEntry[] {
  const leaves: TreeEntry[] = []
  for (let at = 0; at < rows.length;) {
    const first = at
    let length = 0
    for (; at < rows.length; at += 1) {
      const more = packedLength(present(rows[at], 'a row'))
      if (at > first && length + more > LEAF_BYTES) break
      length += more
    }
    const key = first === 0 ? begin : present(rows[first], 'a row').key
    leaves.push({ key, value: packRows(rows.slice(first, at), length) })
  }
  return leaves
}

/** Bytes of a row in a leaf. */
export function packedLength({ key, value }: TreeEntry): number {
  return ROW_LENGTHS_BYTES + key.length + value.length
}

/** @param length of all of them together, by `packedLength` */
export function packRows(rows: readonly TreeEntry[], length: number): Uint8Array {
  const bytes = new Uint8Array(length)
  let at = 0
  for (const { key, value } of rows) {
    bytes[at] = key.length >>> 8
    bytes[at + 1] = key.length
    bytes[at + 2] = value.length >>> 24
    bytes[at + 3] = value.length >>> 16
    bytes[at + 4] = value.length >>> 8
    bytes[at + 5] = value.length
    bytes.set(key, at + ROW_LENGTHS_BYTES)
    at += ROW_LENGTHS_BYTES + key.length
    bytes.set(value, at)
    at += value.length
  }
  return bytes
}

/** The rows of a leaf: views of it. */
export function rowsOfLeaf({ value: bytes }: TreeEntry): TreeEntry[] {
  const rows: TreeEntry[] = []
  const byte = (at: number): number => bytes[at] ?? 0
  for (let at = 0; at < bytes.length;) {
    const keyAt = at + ROW_LENGTHS_BYTES
    const valueAt = keyAt + ((byte(at) << 8) | byte(at + 1))
    const length = (byte(at + 2) << 24) | (byte(at + 3) << 16) | (byte(at + 4) << 8) | byte(at + 5)
    const key = bytes.subarray(keyAt, valueAt)
    at = valueAt + length
    rows.push({ key, value: bytes.subarray(valueAt, at) })
  }
  return rows
}

/** What becomes of the leaves of some runs when these runs come into their place. */
export function leafChanges(held: readonly TreeEntry[], runs: readonly LeafRun[]): TreeChange[] {
  const gone = new Map(held.map((leaf) => [toHex(leaf.key), leaf]))
  const changes: TreeChange[] = []
  for (const leaf of runs.flatMap(leavesOf)) {
    const before = gone.get(toHex(leaf.key))
    gone.delete(toHex(leaf.key))
    const isSame = before !== undefined && equalBytes(before.value, leaf.value)
    if (!isSame) changes.push({ level: 0, ...leaf })
  }
  for (const { key } of gone.values()) changes.push({ level: 0, key, value: undefined })
  return changes
}

export interface RowsQuery extends KeyBounds {
  readonly reverse?: boolean
  readonly limit?: number
}

/** Rows between bounds, in the order of their keys or in reverse. */
export async function rowsIn(tree: TreeReader, query: RowsQuery): Promise<readonly TreeEntry[]> {
  const { from, to, reverse = false, limit } = query
  if (limit === undefined) {
    const leaves = await leavesFrom(tree, { from, to })
    const rows = rowsWithin(leaves.flatMap(rowsOfLeaf), query)
    return reverse ? rows.reverse() : rows
  }
  return reverse ? lastRows(tree, query, limit) : firstRows(tree, query, limit)
}

/** Rows of a run between bounds, in order: of small rows it is one leaf, which is had by its key. */
export async function rowsOfRun(
  tree: TreeReader,
  { begin, count }: PlacedRun,
  bounds: KeyBounds
): Promise<readonly TreeEntry[]> {
  const leaf = await tree.leaf(begin)
  const rows = leaf === undefined ? [] : rowsOfLeaf(leaf)
  return rows.length === count ? rowsWithin(rows, bounds) : rowsIn(tree, bounds)
}

/** All leaves in which rows between bounds may be. */
async function leavesFrom(
  tree: TreeReader,
  { from, to, limit }: KeyBounds & { readonly limit?: number }
): Promise<readonly TreeEntry[]> {
  const most = limit === undefined ? {} : { limit }
  if (from === undefined) return tree.entries(0, { to, ...most })
  const behind = after(from)
  const [first, rest] = await Promise.all([
    tree.entries(0, { to: behind, reverse: true, limit: 1 }),
    tree.entries(0, { from: behind, to, ...most })
  ])
  return [...first, ...rest]
}

async function firstRows(tree: TreeReader, query: RowsQuery, limit: number): Promise<TreeEntry[]> {
  const { from, to } = query
  const rows: TreeEntry[] = []
  let count = leavesFor(limit)
  let leaves = await leavesFrom(tree, { from, to, limit: count })
  for (;;) {
    rows.push(...rowsWithin(leaves.flatMap(rowsOfLeaf), query))
    const last = leaves.at(-1)
    if (rows.length >= limit || last === undefined || leaves.length < count) break
    count *= 2
    leaves = await tree.entries(0, { from: after(last.key), to, limit: count })
  }
  return rows.slice(0, limit)
}

async function lastRows(tree: TreeReader, query: RowsQuery, limit: number): Promise<TreeEntry[]> {
  const rows: TreeEntry[] = []
  let count = leavesFor(limit)
  for (let { to } = query; ;) {
    const leaves = await tree.entries(0, { to, reverse: true, limit: count })
    for (const leaf of leaves) rows.push(...rowsWithin(rowsOfLeaf(leaf), query).reverse())
    const last = leaves.at(-1)
    if (rows.length >= limit || last === undefined || leaves.length < count) break
    const { from } = query
    if (from !== undefined && compareBytes(last.key, from) <= 0) break
    to = last.key
    count *= 2
  }
  return rows.slice(0, limit)
}

/** Half of what a leaf of small rows has: a leaf or two more are read where that is too many. */
const ROWS_A_LEAF = 32

function leavesFor(rows: number): number {
  return Math.ceil(rows / ROWS_A_LEAF)
}

function rowsWithin(rows: readonly TreeEntry[], { from, to }: KeyBounds): TreeEntry[] {
  const first = from === undefined ? 0 : countBelow(rows, from)
  return rows.slice(first, to === undefined ? undefined : countBelow(rows, to))
}
