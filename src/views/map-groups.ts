/**
 * Groups of a map's rows, one after the other in the order of their keys, each as summaries that are together of
 * all its rows that are wanted.
 *
 * Goes along the runs of the lowest level: one that lies in a single group is taken by its summary, the rows
 * of the others are read, those of neighbours at one time. So many large groups cost their edges, and many
 * small ones a walk over their rows.
 */

import { after, afterPrefix, compareBytes } from '../core/bytes.ts'
import { groupOfLevel, groupRange } from '../core/views/collation.ts'
import type { Json } from '../core/json.ts'
import { rowsIn } from '../core/views/leaves.ts'
import { runAt, runFrom } from '../core/views/row-tree.ts'
import type { KeyBounds, Share, Summaries, TreeEntry, TreeReader } from '../core/views/row-tree.ts'
import { QUERY_CHUNK, RUNS_READ_AT_ONCE } from './limits.ts'
import { MapRow } from './map-rows.ts'
import type { MapSummary } from './map-rows.ts'

/** Rows of one key, or of keys that begin alike, within a range. */
export interface Group {
  readonly key: Json
  readonly bounds: KeyBounds
  /** Of at least one row, in the order of the rows. */
  readonly summaries: readonly MapSummary[]
}

export interface GroupsAsked {
  readonly tree: TreeReader
  readonly summaries: Summaries<MapSummary>
  readonly range: KeyBounds
  readonly descending: boolean
  /** Elements of an array that make a group; Infinity for whole keys. */
  readonly level: number
  /** Of a run that lies in one group. */
  readonly share: (summary: MapSummary) => Share
  readonly isWanted: (entry: TreeEntry) => boolean
}

export async function* groupsIn(asked: GroupsAsked): AsyncGenerator<Group> {
  const gathering = new Gathering(asked)
  let rows: { bounds: KeyBounds; runs: number } | undefined
  let atOnce = 1
  for await (const run of runsIn(asked)) {
    const whole = wholeGroup(run, asked)
    const summary = whole === undefined ? undefined : asked.summaries.decode(run.value)
    const share = summary === undefined ? 'some' : asked.share(summary)
    if (share === 'some') {
      rows = { bounds: joined(rows?.bounds, run.bounds, asked), runs: (rows?.runs ?? 0) + 1 }
      if (rows.runs < atOnce) continue
      // Whoever asks for a few groups is not made to wait for the rows of many.
      atOnce = Math.min(atOnce * 2, RUNS_READ_AT_ONCE)
    }
    if (rows !== undefined) yield* gathering.addRows(await readRows(asked, rows.bounds))
    rows = undefined
    if (share === 'all' && whole !== undefined && summary !== undefined) {
      yield* gathering.add(whole, summary)
    }
  }
  if (rows !== undefined) yield* gathering.addRows(await readRows(asked, rows.bounds))
  yield* gathering.end()
}

/** A run of the lowest level, as far as it lies in the range. */
interface Run {
  readonly begin: Uint8Array
  /** Undefined for the last one. */
  readonly end: Uint8Array | undefined
  readonly bounds: KeyBounds
  readonly isInside: boolean
  readonly value: Uint8Array
}

/** In the order of the answer. */
async function* runsIn(asked: GroupsAsked): AsyncGenerator<Run> {
  const { tree, range, descending } = asked
  if (tree.height === 0) return
  const [first, next] = await Promise.all([
    range.from === undefined ? undefined : runAt(tree, 1, range.from),
    range.to === undefined ? undefined : runFrom(tree, 1, range.to)
  ])
  const runOf = ({ key, value }: TreeEntry, end: Uint8Array | undefined): Run => {
    const bounds = within({ from: key, to: end }, range)
    return { begin: key, end, bounds, value, isInside: bounds.from === key && bounds.to === end }
  }
  let before: TreeEntry | undefined
  for await (const entry of entriesOf(tree, { from: first, to: range.to }, descending)) {
    if (descending) yield runOf(entry, before === undefined ? next : before.key)
    else if (before !== undefined) yield runOf(before, entry.key)
    before = entry
  }
  if (!descending && before !== undefined) yield runOf(before, next)
}

async function* entriesOf(
  tree: TreeReader,
  bounds: KeyBounds,
  reverse: boolean
): AsyncGenerator<TreeEntry> {
  for (let rest = bounds, limit = 8; ; limit = Math.min(limit * 4, QUERY_CHUNK)) {
    const entries = await tree.entries(1, { from: rest.from, to: rest.to, reverse, limit })
    yield* entries
    const last = entries.at(-1)
    if (last === undefined || entries.length < limit) return
    rest = reverse ? { ...rest, to: last.key } : { ...rest, from: after(last.key) }
  }
}

/** The group that all rows of a run are in, where it begins and the next one begins with it. */
function wholeGroup(run: Run, { level }: GroupsAsked): GroupName | undefined {
  if (!run.isInside || run.begin.length === 0 || run.end === undefined) return undefined
  const group = groupOf(run.begin, level)
  return isIn(run.end, group.bounds) ? group : undefined
}

interface GroupName {
  readonly key: Json
  readonly bounds: KeyBounds
}

function groupOf(rowKey: Uint8Array, level: number): GroupName {
  const { key, keyBytes } = new MapRow({ key: rowKey, value: rowKey })
  if (Array.isArray(key) && key.length >= level) {
    const group = groupOfLevel(key, level)
    return { key: group, bounds: groupRange(group as readonly Json[]) }
  }
  return { key, bounds: { from: keyBytes, to: afterPrefix(keyBytes) } }
}

class Gathering {
  readonly #asked: GroupsAsked
  #group: GroupName | undefined
  /** In the order of the answer. */
  #parts: MapSummary[] = []

  constructor(asked: GroupsAsked) {
    this.#asked = asked
  }

  *add(group: GroupName, part: MapSummary): Generator<Group> {
    yield* this.#enter(group)
    this.#parts.push(part)
  }

  /** @param entries in the order of the answer */
  *addRows(entries: readonly TreeEntry[]): Generator<Group> {
    const { summaries, isWanted, descending, level } = this.#asked
    for (let at = 0; at < entries.length;) {
      const first = entries[at]
      if (first === undefined) return
      const isSame = this.#group !== undefined && isIn(first.key, this.#group.bounds)
      const group = isSame && this.#group !== undefined ? this.#group : groupOf(first.key, level)
      let end = at
      while (end < entries.length && isIn(entries[end]?.key ?? first.key, group.bounds)) end += 1
      const rows = entries.slice(at, end).filter(isWanted)
      if (descending) rows.reverse()
      if (rows.length > 0) yield* this.add(group, summaries.ofRows(rows))
      at = end
    }
  }

  *end(): Generator<Group> {
    if (this.#group === undefined || this.#parts.length === 0) return
    const { descending, range } = this.#asked
    if (descending) this.#parts.reverse()
    const { key, bounds } = this.#group
    yield { key, bounds: within(bounds, range), summaries: this.#parts }
    this.#parts = []
  }

  *#enter(group: GroupName): Generator<Group> {
    const { from } = group.bounds
    const here = this.#group?.bounds.from
    const isSame = here !== undefined && from !== undefined && compareBytes(here, from) === 0
    if (!isSame) yield* this.end()
    this.#group = group
  }
}

/** The rows of runs that are neighbours. */
async function readRows(
  { tree, descending }: GroupsAsked,
  { from, to }: KeyBounds
): Promise<readonly TreeEntry[]> {
  return rowsIn(tree, { from, to, reverse: descending })
}

/** The bounds of runs of which one follows the other in the order of the answer. */
function joined(
  bounds: KeyBounds | undefined,
  next: KeyBounds,
  { descending }: GroupsAsked
): KeyBounds {
  if (bounds === undefined) return next
  return descending ? { from: next.from, to: bounds.to } : { from: bounds.from, to: next.to }
}

function within(inner: KeyBounds, outer: KeyBounds): KeyBounds {
  const isLater =
    outer.from !== undefined &&
    (inner.from === undefined || compareBytes(outer.from, inner.from) > 0)
  const isEarlier =
    outer.to !== undefined && (inner.to === undefined || compareBytes(outer.to, inner.to) < 0)
  return { from: isLater ? outer.from : inner.from, to: isEarlier ? outer.to : inner.to }
}

function isIn(key: Uint8Array, { from, to }: KeyBounds): boolean {
  if (from !== undefined && compareBytes(key, from) < 0) return false
  return to === undefined || compareBytes(key, to) < 0
}
