/**
 * Rows in order, and above them what runs of neighbours come to: a tree whose shape depends on its rows
 * alone. A hash of a row's key says up to which level a run begins with it, one row in 64 for each level;
 * so a row that comes late, anywhere, changes one run a level, and the same rows give the same tree on
 * every node, in whatever order they came.
 *
 * This decides what is to be written and what is to be read; who keeps the entries is told by it.
 * Source: deterministic skip lists (Pugh 1990) with boundaries by hash, as in Merkle search trees
 * (Auvolat and Taïani 2019).
 */

import { present } from '../assert.ts'
import { after, compareBytes, equalBytes, toHex } from '../bytes.ts'
import { PARTS_AT_ONCE, RUN_BITS, TREE_LEVELS_MAX } from '../limits.ts'
import { leafChanges, rowsOfLeaf, rowsOfRun } from './leaves.ts'
import type { LeafRun, PlacedRun } from './leaves.ts'
import { firstWord } from './murmur3.ts'

/** A row; or a leaf where the level is 0, else what a run comes to, under the key with which it begins. */
export interface TreeEntry {
  readonly key: Uint8Array
  readonly value: Uint8Array
}

export interface RowChange {
  readonly key: Uint8Array
  /** Undefined: the row is gone. */
  readonly value: Uint8Array | undefined
}

export interface TreeChange extends RowChange {
  readonly level: number
}

export interface KeyBounds {
  /** Inclusive. */
  readonly from?: Uint8Array | undefined
  /** Exclusive. */
  readonly to?: Uint8Array | undefined
}

export interface EntriesQuery extends KeyBounds {
  readonly reverse?: boolean
  readonly limit?: number
}

/** Where the entries of a tree are kept: leaves on level 0, runs above. */
export interface TreeReader {
  /** Levels that have runs; 0 for an empty tree. */
  readonly height: number
  entries(level: number, query: EntriesQuery): Promise<readonly TreeEntry[]>
  /** The leaf that has exactly this key. */
  leaf(key: Uint8Array): Promise<TreeEntry | undefined>
}

/** What runs come to. */
export interface Summaries<S> {
  /** Of at least one row. */
  ofRows(rows: readonly TreeEntry[]): S
  /** Of at least one, in the order of their rows. */
  combine(parts: readonly S[]): S
  countOf(summary: S): number
  encode(summary: S): Uint8Array
  decode(bytes: Uint8Array): S
}

/** The first run of each level begins before every row. */
export const BEGINNING = new Uint8Array(0)

/** Up to which level a run begins with this row. */
export function levelOf(rowKey: Uint8Array): number {
  return Math.min(TREE_LEVELS_MAX - 1, Math.floor(Math.clz32(firstWord(rowKey)) / RUN_BITS))
}

/**
 * What is to be written when these rows are put or taken away.
 *
 * @param rows in the order of their keys, each key once
 */
export async function changedRuns<S>(
  tree: TreeReader,
  summaries: Summaries<S>,
  rows: readonly RowChange[]
): Promise<{ readonly changes: readonly TreeChange[]; readonly height: number }> {
  const highest = rows.map(({ key, value }) => (value === undefined ? 0 : levelOf(key) + 1))
  const height = Math.max(tree.height, ...highest, rows.length > 0 ? 1 : 0)
  const changes: TreeChange[] = []
  let below = rows
  for (let level = 1; level <= height; level += 1) {
    const { runs, leaves } = await changedLevel({ tree, summaries, level, below })
    changes.push(...leaves, ...runs)
    below = runs
  }
  return { changes, height }
}

interface LevelInit<S> {
  readonly tree: TreeReader
  readonly summaries: Summaries<S>
  readonly level: number
  /** Rows or runs of the level below that change, in order. */
  readonly below: readonly RowChange[]
}

interface LevelChanges {
  readonly runs: readonly TreeChange[]
  /** Of the lowest level. */
  readonly leaves: readonly TreeChange[]
}

async function changedLevel<S>({
  tree,
  summaries,
  level,
  below
}: LevelInit<S>): Promise<LevelChanges> {
  const [changes, leaves]: [TreeChange[], TreeChange[]] = [[], []]
  const gone = new Set(
    below.filter(({ value }) => value === undefined).map(({ key }) => toHex(key))
  )
  for (let at = 0; at < below.length;) {
    const { key } = present(below[at], 'a change')
    let from = await runAt(tree, level, key)
    // A run whose first row is gone joins the one before.
    while (from.length > 0 && gone.has(toHex(from))) {
      changes.push({ level, key: from, value: undefined })
      from = await runAt(tree, level, from, 'before')
    }
    let to = await runAfter(tree, level, from)
    while (to !== undefined && gone.has(toHex(to))) {
      changes.push({ level, key: to, value: undefined })
      to = await runAfter(tree, level, to)
    }
    let end = at
    while (end < below.length && isBefore(present(below[end], 'a change').key, to)) end += 1
    const held = await tree.entries(level - 1, { from, to })
    const children = level === 1 ? held.flatMap(rowsOfLeaf) : held
    const runs = runsOf(level, from, mergedEntries(children, below.slice(at, end)))
    changes.push(...runs.map((run) => runChange(summaries, level, run)))
    if (level === 1) leaves.push(...leafChanges(held, runs))
    at = end
  }
  return { runs: changes.sort((a, b) => compareBytes(a.key, b.key)), leaves }
}

/** The runs that children make, of which the first begins at `from`. */
function runsOf(level: number, from: Uint8Array, children: readonly TreeEntry[]): LeafRun[] {
  const runs: LeafRun[] = []
  let [begin, rows]: [Uint8Array, TreeEntry[]] = [from, []]
  // A run that begins with a row has one; the first run of all may have none.
  const close = (): void => {
    if (rows.length > 0 || begin.length === 0) runs.push({ begin, rows })
  }
  for (const child of children) {
    if (child.key.length > 0 && levelOf(child.key) >= level && !equalBytes(child.key, begin)) {
      close()
      ;[begin, rows] = [child.key, []]
    }
    rows.push(child)
  }
  close()
  return runs
}

function runChange<S>(
  summaries: Summaries<S>,
  level: number,
  { begin, rows }: LeafRun
): TreeChange {
  const isEmpty = rows.length === 0
  const value = isEmpty ? undefined : summaries.encode(summaryOf(summaries, level, rows))
  return { level, key: begin, value }
}

function summaryOf<S>(summaries: Summaries<S>, level: number, run: readonly TreeEntry[]): S {
  if (level === 1) return summaries.ofRows(run)
  return summaries.combine(run.map(({ value }) => summaries.decode(value)))
}

/** Where the run begins in which a key lies, or the one before a run. */
export async function runAt(
  tree: TreeReader,
  level: number,
  key: Uint8Array,
  where: 'at' | 'before' = 'at'
): Promise<Uint8Array> {
  const to = where === 'at' ? after(key) : key
  const [found] = await tree.entries(level, { to, reverse: true, limit: 1 })
  return found?.key ?? BEGINNING
}

function runAfter(
  tree: TreeReader,
  level: number,
  key: Uint8Array
): Promise<Uint8Array | undefined> {
  return runFrom(tree, level, after(key))
}

/** Where the first run begins at or behind a key. */
export async function runFrom(
  tree: TreeReader,
  level: number,
  key: Uint8Array
): Promise<Uint8Array | undefined> {
  const [found] = await tree.entries(level, { from: key, limit: 1 })
  return found?.key
}

/** Without a bound everything is before it. */
function isBefore(key: Uint8Array, to: Uint8Array | undefined): boolean {
  return to === undefined || compareBytes(key, to) < 0
}

/** Whether what ends at `end`, or nowhere, ends at a bound at the latest. */
function isWithin(end: Uint8Array | undefined, to: Uint8Array | undefined): boolean {
  return to === undefined || (end !== undefined && compareBytes(end, to) <= 0)
}

/** Entries with changes laid over them, both in order. */
export function mergedEntries(
  held: readonly TreeEntry[],
  changes: readonly RowChange[]
): TreeEntry[] {
  const entries: TreeEntry[] = []
  let at = 0
  const put = ({ key, value }: RowChange): void => {
    if (value !== undefined) entries.push({ key, value })
  }
  for (const change of changes) {
    for (; at < held.length; at += 1) {
      const entry = present(held[at], 'an entry')
      const order = compareBytes(entry.key, change.key)
      if (order < 0) entries.push(entry)
      else if (order > 0) break
    }
    put(change)
  }
  return [...entries, ...held.slice(at)]
}

/** Whether all rows of a run, none, or some of them are wanted. */
export type Share = 'all' | 'none' | 'some'

export interface TreeQuery<S> extends KeyBounds {
  /** Of a run by its summary; `some` has its rows looked at one by one. Default: all. */
  readonly share?: (summary: S) => Share
  readonly isWanted?: (row: TreeEntry) => boolean
}

/** Summaries that are together of all rows within bounds that are wanted, in their order. */
export async function summariesIn<S>(
  tree: TreeReader,
  summaries: Summaries<S>,
  query: TreeQuery<S>
): Promise<S[]> {
  const { from, to } = query
  if (from !== undefined && !isBefore(from, to)) return []
  const clip = { from, to, endsRun: false }
  return cover({ tree, summaries, query }, tree.height, clip)
}

interface Covering<S> {
  readonly tree: TreeReader
  readonly summaries: Summaries<S>
  readonly query: TreeQuery<S>
}

/** Bounds, and what is known of the runs in which they lie. */
interface Clip extends KeyBounds {
  /** Of the level above, the one in which all is; undefined at the top. */
  readonly run?: TreeEntry
  /** Runs of all levels below end where the bounds do: then nobody looks for where they end. */
  readonly endsRun: boolean
}

async function cover<S>(init: Covering<S>, level: number, clip: Clip): Promise<S[]> {
  const { tree, summaries, query } = init
  const { from, to, run, endsRun } = clip
  if (level === 0) {
    const rows = await (run === undefined ? [] : rowsOfRun(tree, placedRun(summaries, run), clip))
    const wanted = query.isWanted === undefined ? rows : rows.filter(query.isWanted)
    return wanted.length > 0 ? [summaries.ofRows(wanted)] : []
  }
  // Of the lowest runs the last one's rows are looked at: to find out where it ends costs as much.
  const isEndSought = to !== undefined && !endsRun && level > 1
  const [runs, next] = await Promise.all([
    runsWithin(tree, level, clip),
    isEndSought ? runFrom(tree, level, to) : endsRun ? to : undefined
  ])
  const parts: Part<S>[] = []
  for (const [index, { key, value }] of runs.entries()) {
    const end = runs[index + 1]?.key ?? next
    const startsBefore = from !== undefined && isBefore(key, from)
    const endsWithin = isWithin(end, to)
    const summary = !startsBefore && endsWithin ? summaries.decode(value) : undefined
    const share = summary === undefined ? 'some' : (query.share?.(summary) ?? 'all')
    if (share === 'none') continue
    if (share === 'all' && summary !== undefined) parts.push({ summary })
    else {
      const bounds = { from: startsBefore ? from : key, to: endsWithin ? end : to }
      parts.push({ below: { ...bounds, run: { key, value }, endsRun: endsWithin } })
    }
  }
  return coverParts(init, level - 1, parts)
}

/** Runs in which rows between bounds are, in order; the first of them may begin before. */
async function runsWithin(
  tree: TreeReader,
  level: number,
  { from, to, run }: Clip
): Promise<readonly TreeEntry[]> {
  const isInside = from !== undefined && (run === undefined || !equalBytes(run.key, from))
  if (!isInside) return tree.entries(level, { from, to })
  const [first, rest] = await Promise.all([
    tree.entries(level, { to: after(from), reverse: true, limit: 1 }),
    tree.entries(level, { from: after(from), to })
  ])
  return [...first, ...rest]
}

function placedRun<S>(summaries: Summaries<S>, { key, value }: TreeEntry): PlacedRun {
  return { begin: key, count: summaries.countOf(summaries.decode(value)) }
}

/** A run that is wanted as it is, or where to look below it. */
type Part<S> = { readonly summary: S } | { readonly below: Clip }

async function coverParts<S>(
  init: Covering<S>,
  level: number,
  parts: readonly Part<S>[]
): Promise<S[]> {
  const found = (part: Part<S>): Promise<S[]> | S[] =>
    'summary' in part ? [part.summary] : cover(init, level, part.below)
  // A range has two ends; more come of a filter, which looks into many runs.
  const all: S[] = []
  for (let at = 0; at < parts.length; at += PARTS_AT_ONCE) {
    const some = parts.slice(at, at + PARTS_AT_ONCE)
    for (const each of await Promise.all(some.map(async (part) => found(part)))) all.push(...each)
  }
  return all
}
