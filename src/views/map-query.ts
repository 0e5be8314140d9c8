/**
 * Answers of a map's index: rows in the order of their keys, or what its reducer makes of groups of them.
 *
 * A group that is small is reduced from its rows, which are read in a row; a large one from the runs of
 * the tree, of which those are taken whole that lie within the bounds of time that are asked for.
 */

import { after, compareBytes, equalBytes } from '../core/bytes.ts'
import type { Json } from '../core/json.ts'
import type { Reducer } from '../core/views/reducers.ts'
import { rowsIn } from '../core/views/leaves.ts'
import { summariesIn } from '../core/views/row-tree.ts'
import type {
  KeyBounds,
  Share,
  Summaries,
  TreeEntry,
  TreeQuery,
  TreeReader
} from '../core/views/row-tree.ts'
import { AnswerSize, weightOf } from './answer-size.ts'
import { WAITING, callRested } from './effort.ts'
import type { Effort } from './effort.ts'
import { QUERY_CHUNK } from './limits.ts'
import { groupsIn } from './map-groups.ts'
import type { Group } from './map-groups.ts'
import { MapRow } from './map-rows.ts'
import type { MapSummary } from './map-rows.ts'
import type { IndexAnswer, IndexQuery, IndexRow } from './view-index.ts'

export interface MapAsked {
  readonly tree: TreeReader
  readonly summaries: Summaries<MapSummary>
  readonly reducer: Reducer | undefined
  /** Of a reducer that may take much. */
  readonly effort: Effort | undefined
  readonly query: IndexQuery
}

export async function queryMap(asked: MapAsked): Promise<IndexAnswer> {
  const { query } = asked
  if (query.reduce === 'rows') return answerRows(asked)
  const groups = query.reduce === 'all' ? wholeRanges(asked) : groupsOf(asked)
  const rows: IndexRow[] = []
  const size = new AnswerSize()
  let [skipped, faults] = [0, 0]
  for await (const group of query.limit > 0 ? groups : []) {
    if (skipped < query.skip) {
      skipped += 1
      continue
    }
    const { value, fault } = await callRested(asked, query.care ?? WAITING, () =>
      resultOf(group, asked)
    )
    size.addRow(weightOf(value))
    if (fault !== undefined) faults += 1
    const causes = query.causes > 0 ? await causesIn(asked, group.bounds) : []
    rows.push({ key: group.key, value, place: undefined, causes, fault })
    if (rows.length >= query.limit) break
  }
  return { rows, totalRows: undefined, offset: undefined, faults }
}

function resultOf(
  { summaries: parts }: Group,
  { summaries, reducer }: MapAsked
): { readonly value: Json; readonly fault: string | undefined } {
  const { reduced } = summaries.combine(parts)
  if (reduced === undefined || reducer === undefined) {
    return { value: null, fault: 'the view has no reduce' }
  }
  if ('fault' in reduced) return { value: null, fault: reduced.fault }
  return { value: reducer.result(reduced.aggregate), fault: undefined }
}

/** What is asked for of a run, by when its events happened and were recorded. */
function wanted({ before, recordedBy }: IndexQuery): Omit<TreeQuery<MapSummary>, 'from' | 'to'> {
  if (before === undefined && recordedBy === undefined) return {}
  return {
    share: (summary): Share => {
      const { firstPlace, lastPlace, firstRecorded, lastRecorded } = summary
      const isPast = before === undefined || compareBytes(lastPlace, before) < 0
      const isKnown = recordedBy === undefined || lastRecorded <= recordedBy
      if (isPast && isKnown) return 'all'
      const isToCome = before !== undefined && compareBytes(firstPlace, before) >= 0
      const isUnknown = recordedBy !== undefined && firstRecorded > recordedBy
      return isToCome || isUnknown ? 'none' : 'some'
    },
    isWanted: (entry) => isWanted(entry, { before, recordedBy })
  }
}

function isWanted(
  entry: TreeEntry,
  { before, recordedBy }: Pick<IndexQuery, 'before' | 'recordedBy'>
): boolean {
  if (before === undefined && recordedBy === undefined) return true
  const row = new MapRow(entry)
  if (before !== undefined && compareBytes(row.eventPlace, before) >= 0) return false
  return recordedBy === undefined || row.recorded <= recordedBy
}

function summariesOf(asked: MapAsked, bounds: KeyBounds): Promise<MapSummary[]> {
  return summariesIn(asked.tree, asked.summaries, { ...wanted(asked.query), ...bounds })
}

async function countIn(asked: MapAsked, bounds: KeyBounds): Promise<number> {
  const summaries = await summariesOf(asked, bounds)
  return summaries.reduce((sum, { count }) => sum + count, 0)
}

async function answerRows(asked: MapAsked): Promise<IndexAnswer> {
  const { query } = asked
  const rows: IndexRow[] = []
  const size = new AnswerSize()
  let skipped = 0
  for (const range of query.ranges) {
    if (rows.length >= query.limit) break
    for await (const entry of entriesIn(asked, range, query.skip - skipped + query.limit)) {
      if (skipped < query.skip) {
        skipped += 1
        continue
      }
      if (rows.length >= query.limit) break
      const { key, value, eventPlace } = new MapRow(entry)
      size.addRow(weightOf(value))
      rows.push({ key, value, place: eventPlace, causes: query.causes > 0 ? [eventPlace] : [] })
    }
  }
  const totalRows = await countIn(asked, {})
  return { rows, totalRows, offset: await offsetOf(asked, skipped), faults: 0 }
}

/** Of one range: rows that come before it, and those skipped. */
async function offsetOf(asked: MapAsked, skipped: number): Promise<number | undefined> {
  const { ranges, descending, skip, limit } = asked.query
  const [range] = ranges
  if (range === undefined || ranges.length > 1) return undefined
  // Who asks for no row is told where it would be: nothing was read that could be skipped.
  const passed = limit > 0 ? skipped : Math.min(skip, await countIn(asked, range))
  const edge = descending ? range.to : range.from
  if (edge === undefined) return passed
  return passed + (await countIn(asked, descending ? { from: edge } : { to: edge }))
}

/** Rows that are wanted, in the order of the answer. */
async function* entriesIn(
  { tree, query }: MapAsked,
  bounds: KeyBounds,
  expected: number
): AsyncGenerator<TreeEntry> {
  let chunk = Math.min(Math.max(expected, 1), QUERY_CHUNK)
  for (let rest: KeyBounds | undefined = bounds; rest !== undefined && isSome(rest);) {
    const entries = await rowsIn(tree, {
      from: rest.from,
      to: rest.to,
      reverse: query.descending,
      limit: chunk
    })
    for (const entry of entries) if (isWanted(entry, query)) yield entry
    const last = entries.at(-1)
    if (last === undefined || entries.length < chunk) return
    rest = query.descending ? { ...rest, to: last.key } : { ...rest, from: after(last.key) }
    // Few of them are wanted: not one by one through all the others.
    chunk = Math.min(chunk * 4, QUERY_CHUNK)
  }
}

async function* wholeRanges(asked: MapAsked): AsyncGenerator<Group> {
  const { ranges } = asked.query
  for (const range of ranges) {
    const summaries = await summariesOf(asked, range)
    if (summaries.length > 0) yield { key: null, bounds: range, summaries }
  }
}

async function* groupsOf(asked: MapAsked): AsyncGenerator<Group> {
  const { query, tree, summaries } = asked
  const { share = (): Share => 'all' } = wanted(query)
  const level = typeof query.reduce === 'object' ? query.reduce.level : Infinity
  for (const range of query.ranges) {
    // A single key is one group, however it is found.
    if (range.key !== undefined && query.reduce === 'keys') {
      const parts = await summariesOf(asked, range)
      if (parts.length > 0) yield { key: range.key, bounds: range, summaries: parts }
    } else {
      const { descending } = query
      const isWantedRow = (entry: TreeEntry): boolean => isWanted(entry, query)
      yield* groupsIn({ tree, summaries, range, descending, level, share, isWanted: isWantedRow })
    }
  }
}

function isSome({ from, to }: KeyBounds): boolean {
  return from === undefined || to === undefined || compareBytes(from, to) < 0
}

/** Places of the events behind a group, in event order, one more than asked for where there are more. */
async function causesIn(asked: MapAsked, bounds: KeyBounds): Promise<Uint8Array[]> {
  const countMax = asked.query.causes + 1
  const places: Uint8Array[] = []
  const ascending = { ...asked, query: { ...asked.query, descending: false } }
  for await (const entry of entriesIn(ascending, bounds, countMax)) {
    const { eventPlace } = new MapRow(entry)
    if (!places.some((place) => equalBytes(place, eventPlace))) places.push(eventPlace)
    if (places.length >= countMax) break
  }
  return places.sort(compareBytes)
}
