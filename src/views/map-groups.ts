/**
 * Groups of a map's rows, one after the other in the order of their keys, each as summaries that are together of
 * all its rows that are wanted.
 *
 * Goes along the runs of the lowest level: one that lies in a single group is taken by its summary, the rows
 * of the others are read, those of several runs at one time. So many large groups cost their edges, and many
 * small ones a walk over their rows.
 */

import { present } from '../core/assert.ts'
import { after, afterPrefix, compareBytes } from '../core/bytes.ts'
import { groupOfLevel, groupRange } from '../core/views/collation.ts'
import type { Json } from '../core/json.ts'
import { rowsOfRun } from '../core/views/leaves.ts'
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
  readonly share: (summary: MapSummary) => Share
  readonly isWanted: (entry: TreeEntry) => boolean
}

export async function* groupsIn(asked: GroupsAsked): AsyncGenerator<Group> {
  const gathering = new Gathering(asked)
  for await (const part of partsIn(asked)) {
    if ('rows' in part) yield* gathering.addRows(await part.rows)
    else yield* gathering.add(part.whole, part.summary)
  }
  yield* gathering.end()
}

/** A run that lies in a group, or rows of runs that do not, which are being read. */
type Part =
  | { readonly whole: GroupName; readonly summary: MapSummary }
  | { readonly rows: Promise<readonly TreeEntry[]> }

/** In the order of the answer. Rows are read ahead: of one run at first, for whoever asks for a few groups waits for few. */
async function* partsIn(asked: GroupsAsked): AsyncGenerator<Part> {
  const ahead: Part[] = []
  let [reads, readsMax] = [0, 1]
  const take = (): Part => {
    const part = present(ahead.shift(), 'a part')
    if ('rows' in part) reads -= 1
    return part
  }
  try {
    for await (const part of wantedIn(asked)) {
      ahead.push(part)
      if ('rows' in part) {
        reads += 1
        // They are awaited later: until then nobody would hear of a failure.
        part.rows.catch(() => undefined)
      }
      while (reads >= readsMax || isWhole(ahead[0])) {
        if (!isWhole(ahead[0])) readsMax = Math.min(readsMax * 2, RUNS_READ_AT_ONCE)
        yield take()
      }
    }
    while (ahead.length > 0) yield take()
  } finally {
    // What is read from may be let go of then.
    await Promise.allSettled(ahead.flatMap((part) => ('rows' in part ? [part.rows] : [])))
  }
}

function isWhole(part: Part | undefined): boolean {
  return part !== undefined && 'whole' in part
}

async function* wantedIn(asked: GroupsAsked): AsyncGenerator<Part> {
  for await (const run of runsIn(asked)) {
    const whole = wholeGroup(run, asked)
    const summary = asked.summaries.decode(run.value)
    const share = asked.share(summary)
    if (share === 'none') continue
    if (share === 'all' && whole !== undefined) yield { whole, summary }
    else yield { rows: rowsOf(run, summary.count, asked) }
  }
}

async function rowsOf(
  { begin, bounds }: Run,
  count: number,
  { tree, descending }: GroupsAsked
): Promise<readonly TreeEntry[]> {
  const rows = await rowsOfRun(tree, { begin, count }, bounds)
  return descending ? rows.toReversed() : rows
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
