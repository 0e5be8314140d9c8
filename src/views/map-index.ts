/**
 * The index of a map: its rows in the order of their view keys, and above them a tree of what runs of
 * rows come to. An event that comes late costs a run a level, like one that comes last.
 */

import { compareBytes, equalBytes } from '../core/bytes.ts'
import { assert, present } from '../core/assert.ts'
import type { Json } from '../core/json.ts'
import { encodeViewKey } from '../core/views/collation.ts'
import type { Reducer } from '../core/views/reducers.ts'
import { changedRuns, levelOf } from '../core/views/row-tree.ts'
import type {
  RowChange,
  Summaries,
  TreeChange,
  TreeEntry,
  TreeReader
} from '../core/views/row-tree.ts'
import { TreeBuilder } from '../core/views/tree-builder.ts'
import type { DerivedChange, DerivedReader } from '../store/derived-store.ts'
import { callPaced, paced, reduceEffort } from './effort.ts'
import type { Care, Effort } from './effort.ts'
import { BUILD_BATCH, ROW_VALUE_BYTES_MAX } from './limits.ts'
import { queryMap } from './map-query.ts'
import { EVENT_ROWS_MAX, digestText, mapSummaries, rowOf } from './map-rows.ts'
import type { MapSummary, RowParts } from './map-rows.ts'
import { touchedKeys } from './map-touched.ts'
import type { Emitted, Fault, MapOutcome, MapProgram } from './program.ts'
import { readAhead } from './read-ahead.ts'
import { RecordCursor } from './record-cursor.ts'
import { RowSorter } from './row-sorter.ts'
import { RunGatherer } from './run-gatherer.ts'
import {
  TAG,
  boundsOf,
  faultBytes,
  faultChange,
  lastFaults,
  tagged,
  treeChange,
  treeReader
} from './records.ts'
import type {
  IndexAnswer,
  IndexChange,
  IndexQuery,
  IndexState,
  IndexUpdate,
  IndexedEvent,
  UpdateOptions,
  ViewIndex
} from './view-index.ts'
import { EMPTY_DIGEST } from './view-digest.ts'
import { readUpperRuns, withChanges, withStretches, withUpperRuns } from './upper-runs.ts'
import type { UpperRuns } from './upper-runs.ts'

export function createMapIndex(program: MapProgram): ViewIndex {
  return new MapIndex(program)
}

/** What an event comes to. */
type EventRows = { readonly rows: readonly RowParts[] } | Fault

class MapIndex implements ViewIndex {
  readonly #program: MapProgram
  readonly #summaries: Summaries<MapSummary>
  readonly #upper = new WeakMap<IndexState, Promise<UpperRuns | undefined>>()

  constructor(program: MapProgram) {
    this.#program = program
    this.#summaries = mapSummaries(program.reducer)
  }

  /** Whole runs of rows first, as the events come, in their order; what is left when all have. Then the tree. */
  async build(
    events: AsyncIterable<readonly IndexedEvent[]>,
    write: (changes: readonly DerivedChange[]) => Promise<void>,
    reader: DerivedReader
  ): Promise<IndexState> {
    let faults = 0
    const batch = new Batch(write)
    const sorter = new RowSorter({ write, reader })
    const put = (change: TreeChange): void => batch.add(treeChange(change))
    const gatherer = new RunGatherer({ summaries: this.#summaries, put, sorter })
    for await (const chunk of readAhead(events)) {
      for (const [index, outcome] of this.#rowsCalled(chunk).entries()) {
        if ('rows' in outcome) {
          for (const row of outcome.rows) gatherer.add(row)
          continue
        }
        faults += 1
        const { place } = present(chunk[index], 'an outcome an event')
        batch.add({ key: tagged(TAG.fault, place), value: faultBytes(outcome.fault) })
      }
      await batch.flushWhenFull()
      await sorter.flushWhenFull()
    }
    gatherer.end()
    await batch.end()
    const height = await this.#buildTree(batch, sorter.sorted(), reader)
    return { ...(await this.#totals(treeReader(reader, height), height, [])), height, faults }
  }

  async update(
    reader: DerivedReader,
    state: IndexState,
    change: IndexChange,
    options: UpdateOptions = {}
  ): Promise<IndexUpdate> {
    const faults: DerivedChange[] = []
    let moreFaults = 0
    const rows: RowChange[] = []
    const note = async (event: IndexedEvent, fault: string | undefined): Promise<void> => {
      const noted = await faultChange(reader, event.place, fault)
      if (noted.change !== undefined) faults.push(noted.change)
      moreFaults += noted.more
    }
    for (const [index, outcome] of (await this.#rowsPaced(change.drop, options.care)).entries()) {
      if ('fault' in outcome) await note(present(change.drop[index], 'an event'), undefined)
      else rows.push(...outcome.rows.map((row) => ({ key: rowOf(row).key, value: undefined })))
    }
    for (const [index, outcome] of (await this.#rowsPaced(change.put, options.care)).entries()) {
      if ('fault' in outcome) await note(present(change.put[index], 'an event'), outcome.fault)
      else rows.push(...outcome.rows.map(rowOf))
    }
    rows.sort((a, b) => compareBytes(a.key, b.key))
    const tree = await this.#tree(reader, state, withStretches)
    const { changes, height } = await changedRuns(tree, this.#summaries, rows)
    const totals = await this.#totals(tree, height, changes)
    const next = { ...totals, height, faults: state.faults + moreFaults }
    const upper = await this.#upper.get(state)?.catch(() => undefined)
    if (upper !== undefined) this.#upper.set(next, Promise.resolve(withChanges(upper, changes)))
    const touched = options.touched === true ? await touchedKeys(tree, change, rows) : []
    return {
      state: next,
      changes: [...changes.map(treeChange), ...faults],
      touched
    }
  }

  async query(reader: DerivedReader, state: IndexState, query: IndexQuery): Promise<IndexAnswer> {
    const tree = await this.#tree(reader, state, withUpperRuns)
    const { reducer } = this.#program
    const effort = reduceEffort(this.#program)
    const summaries =
      reducer === undefined || effort === undefined
        ? this.#summaries
        : mapSummaries(patientReducer(reducer, effort))
    return queryMap({ tree, summaries, reducer, effort, query })
  }

  faults(
    reader: DerivedReader,
    limit: number
  ): Promise<readonly { readonly place: Uint8Array; readonly fault: string }[]> {
    return lastFaults(reader, limit)
  }

  async #tree(
    reader: DerivedReader,
    state: IndexState,
    read: (tree: TreeReader, runs: UpperRuns) => TreeReader
  ): Promise<TreeReader> {
    const tree = treeReader(reader, state.height)
    const runs = await this.#upperRuns(tree, state)
    return runs === undefined ? tree : read(tree, runs)
  }

  /** Read by one for all who ask meanwhile; what it fails by is its own, and the others try themselves. */
  async #upperRuns(tree: TreeReader, state: IndexState): Promise<UpperRuns | undefined> {
    for (let shared = this.#upper.get(state); shared !== undefined;) {
      try {
        return await shared
      } catch {
        const next = this.#upper.get(state)
        shared = next === shared ? undefined : next
      }
    }
    const own = readUpperRuns(tree)
    this.#upper.set(state, own)
    try {
      return await own
    } catch (error) {
      if (this.#upper.get(state) === own) this.#upper.delete(state)
      throw error
    }
  }

  async #rowsPaced(events: readonly IndexedEvent[], care: Care | undefined): Promise<EventRows[]> {
    const rows: EventRows[] = []
    for await (const some of paced(this.#program, events, care))
      rows.push(...this.#rowsCalled(some))
    return rows
  }

  #rowsCalled(events: readonly IndexedEvent[]): EventRows[] {
    return callPaced(this.#program, events.length, () => this.#rowsOf(events))
  }

  #rowsOf(events: readonly IndexedEvent[]): EventRows[] {
    if (events.length === 0) return []
    const outcomes = this.#program.map(events.map(({ event }) => event))
    return outcomes.map((outcome, index) =>
      this.#keptRows(present(events[index], 'an outcome an event'), outcome)
    )
  }

  /** Of an event of which one row cannot be kept none is. */
  #keptRows({ place, recorded }: IndexedEvent, outcome: MapOutcome): EventRows {
    if ('fault' in outcome) return outcome
    if (outcome.rows.length > EVENT_ROWS_MAX) {
      return { fault: `an event has at most ${EVENT_ROWS_MAX} rows` }
    }
    let rows: RowParts[] = []
    for (const { key, value } of outcome.rows) {
      const json = this.#checked(value)
      const viewKey = encoded(key)
      if (typeof json !== 'string') return json
      if (!(viewKey instanceof Uint8Array)) return viewKey
      const row = { key, viewKey, place, number: rows.length, recorded, json }
      // Most have one, and an array that grows by one has room for seventeen.
      if (rows.length === 0) rows = [row]
      else rows.push(row)
    }
    return { rows }
  }

  #checked(value: Emitted['value']): string | Fault {
    const problem = this.#program.reducer?.check(value)
    if (problem !== undefined) return { fault: problem }
    const json = JSON.stringify(value)
    const isShort = 3 * json.length <= ROW_VALUE_BYTES_MAX
    if (isShort || Buffer.byteLength(json) <= ROW_VALUE_BYTES_MAX) return json
    return { fault: `a value has at most ${ROW_VALUE_BYTES_MAX} bytes, as JSON` }
  }

  /** From the rows that are left, and the runs of the lowest level that are written already. */
  async #buildTree(
    batch: Batch,
    rows: AsyncIterable<readonly TreeEntry[]>,
    reader: DerivedReader
  ): Promise<number> {
    const runs = new RecordCursor(reader.chunks(boundsOf(1)))
    try {
      return await this.#buildOver(batch, rows, runs)
    } finally {
      await runs.close()
    }
  }

  async #buildOver(
    batch: Batch,
    rows: AsyncIterable<readonly TreeEntry[]>,
    runs: RecordCursor
  ): Promise<number> {
    const builder = new TreeBuilder(this.#summaries)
    const addRunsBefore = async (key: Uint8Array): Promise<void> => {
      for (let run = await runs.head(); run !== undefined; run = await runs.head()) {
        const begin = run.key.subarray(1)
        if (compareBytes(begin, key) > 0) return
        const changes = builder.addRun(begin, this.#summaries.decode(run.value))
        for (const change of changes) batch.add(treeChange(change))
        runs.pass()
      }
    }
    for await (const chunk of rows) {
      for (const row of chunk) {
        if (levelOf(row.key) > 0) await addRunsBefore(row.key)
        for (const change of builder.add(row)) batch.add(treeChange(change))
      }
      await batch.flushWhenFull()
    }
    assert((await runs.head()) === undefined, 'a run ends where a row of another begins')
    const { changes, height } = builder.finish()
    for (const change of changes) batch.add(treeChange(change))
    await batch.end()
    return height
  }

  /** What all rows come to, by the highest runs. */
  async #totals(
    tree: TreeReader,
    height: number,
    changes: readonly TreeChange[]
  ): Promise<{ readonly rows: number; readonly digest: string }> {
    if (height === 0) return { rows: 0, digest: EMPTY_DIGEST }
    const held = await tree.entries(height, {})
    const changed = changes.filter(({ level }) => level === height)
    const kept = held.filter(({ key }) => !changed.some((each) => equalBytes(each.key, key)))
    const runs = [...kept, ...changed].flatMap(({ value }) => (value === undefined ? [] : [value]))
    if (runs.length === 0) return { rows: 0, digest: EMPTY_DIGEST }
    const plain = mapSummaries(undefined)
    const { count, digest } = plain.combine(runs.map((run) => plain.decode(run)))
    return { rows: count, digest: digestText(digest) }
  }
}

function encoded(key: Json): Uint8Array | Fault {
  try {
    return encodeViewKey(key)
  } catch (error) {
    if (error instanceof RangeError) return { fault: error.message }
    throw error
  }
}

/** Of whoever asks: called between two reads, when it may have to wait for what builds take. */
function patientReducer(reducer: Reducer, effort: Effort): Reducer {
  return {
    ...reducer,
    reduce: (rows) => effort.patiently(() => reducer.reduce(rows)),
    combine: (aggregates) => effort.patiently(() => reducer.combine(aggregates))
  }
}

/** Gathers what is to be written; one batch is written while the next one is gathered. */
class Batch {
  readonly #write: (changes: readonly DerivedChange[]) => Promise<void>
  #changes: DerivedChange[] = []
  #written: Promise<void> = Promise.resolve()

  constructor(write: (changes: readonly DerivedChange[]) => Promise<void>) {
    this.#write = write
  }

  add(change: DerivedChange): void {
    this.#changes.push(change)
  }

  async flushWhenFull(): Promise<void> {
    if (this.#changes.length >= BUILD_BATCH) await this.#flush()
  }

  async end(): Promise<void> {
    await this.#flush()
    await this.#written
  }

  async #flush(): Promise<void> {
    await this.#written
    const changes = this.#changes
    this.#changes = []
    if (changes.length === 0) return
    this.#written = this.#write(changes)
    // Whoever flushes next hears of a failure.
    this.#written.catch(() => undefined)
  }
}
