/**
 * Events that come and go among others of an aggregate: its rows are replayed from the last checkpoint before the
 * first of them, until a checkpoint behind the last of them comes out as it was: all that follows it is right then.
 */

import { present } from '../core/assert.ts'
import { compareBytes, equalBytes, toHex } from '../core/bytes.ts'
import { applyPaced } from './effort.ts'
import type { FoldAggregate } from './fold-extend.ts'
import { Checkpoints, checkpointBefore, rowsBehind } from './fold-read.ts'
import { NO_SPAN, checkpointKey, encodeCheckpoint, rowsKey } from './fold-records.ts'
import type { FoldCheckpoint, FoldHead, RecordedSpan } from './fold-records.ts'
import { encodeRows } from './fold-rows.ts'
import type { FoldRow, Rows } from './fold-rows.ts'
import { endsRun, inputOf, inputsIn, isKept, spanOf } from './fold-run.ts'

/** A row that comes, or goes. */
export interface RowChange extends Pick<FoldRow, 'place' | 'recorded' | 'bytes'> {
  readonly isDrop: boolean
}

export interface Replayed {
  readonly head: FoldHead | undefined
  /** Places of rows that were not there before, and of those that are not there any more; in order. */
  readonly added: readonly Uint8Array[]
  readonly gone: readonly Uint8Array[]
}

/** @param rowChanges in event order, at least one */
export async function replay(
  init: FoldAggregate,
  rowChanges: readonly RowChange[]
): Promise<Replayed> {
  const first = present(rowChanges[0], 'something that changes').place
  const base = await checkpointBefore(init.reader, init.aggregate, first)
  const records = rowsBehind(init.reader, init.aggregate, { behind: base?.place })
  const checkpoints = new Checkpoints(init.reader, init.aggregate, base?.place)
  const run = new Replay({ ...init, rowChanges, checkpoints, base })
  try {
    let [next] = await Promise.all([records.next(), checkpoints.begin()])
    for (; next.done !== true; next = await records.next()) {
      if (await run.addRecord(next.value)) {
        return { head: init.head, added: run.added, gone: run.gone }
      }
    }
    const head = await run.finish()
    return { head, added: run.added, gone: run.gone }
  } finally {
    await Promise.all([records.return(undefined), checkpoints.end()])
  }
}

interface ReplayInit extends FoldAggregate {
  readonly rowChanges: readonly RowChange[]
  /** Those that are kept behind `base`. */
  readonly checkpoints: Checkpoints
  readonly base: { readonly place: Uint8Array; readonly text: string } | undefined
}

interface ReplayedRow {
  readonly row: FoldRow
  readonly isChanged: boolean
}

/** A record of rows as it was. */
interface HeldRecord {
  readonly place: Uint8Array
  readonly rows: number
}

class Replay {
  readonly added: Uint8Array[] = []
  readonly gone: Uint8Array[] = []
  readonly #init: ReplayInit
  /** How many of the changes are done. */
  #done = 0
  /** The state before the run under way. */
  #text: string
  /** Of the rows behind the last checkpoint, but for those of the run under way. */
  #recorded = NO_SPAN
  /** Those rows are the ones that they were, behind a checkpoint that there was. */
  #isSpanAsItWas = true
  /** Of the last row before the run under way. */
  #place: Uint8Array | undefined
  #run: ReplayedRow[] = []
  /** Of the rows of the run under way, and the one whose rows are being gone through. */
  #held: HeldRecord[] = []

  constructor(init: ReplayInit) {
    this.#init = init
    this.#text = init.base?.text ?? init.program.initial
    this.#place = init.base?.place
  }

  /** Whether all is right from here on. */
  async addRecord(record: Rows): Promise<boolean> {
    const { lastPlace } = record
    if (this.#isRunAsItWas(record)) {
      const { program, care } = this.#init
      const step = await applyPaced(program, care, this.#text, inputsIn(program, record))
      if (step.faults.length === 0) return this.#pass(record, step.state)
    }
    this.#held.push({ place: lastPlace, rows: record.length })
    for (const row of record.all()) {
      if (this.#isNextBefore(row.place)) await this.#insertBefore(row.place)
      const kept = this.#kept(row)
      if (kept === undefined) continue
      this.#run.push(kept)
      if (endsRun(row.place, row.bytes.length) && (await this.#close())) return true
    }
    return false
  }

  /** The head that the rows come to; undefined where there are none. */
  async finish(): Promise<FoldHead | undefined> {
    await this.#insertBefore(undefined)
    await this.#removeCheckpoints(undefined)
    const { changes, aggregate } = this.#init
    const run = await this.#evaluated()
    const own = this.#held.filter(({ rows }) => rows === 1).map((held) => toHex(held.place))
    const held = new Set(own)
    const kept = new Set<string>()
    for (const { row, isChanged } of run.rows) {
      const name = toHex(row.place)
      kept.add(name)
      if (isChanged || !held.has(name))
        changes.put(rowsKey(aggregate, row.place), encodeRows([row]))
    }
    for (const { place } of this.#held) {
      if (!kept.has(toHex(place))) changes.remove(rowsKey(aggregate, place))
    }
    const place = run.rows.at(-1)?.row.place ?? this.#place
    if (place === undefined) return undefined
    const { text, recorded } = run
    return { place, openRows: run.rows.length, recorded, text }
  }

  /** A row that was there as it is now; undefined when it goes. */
  #kept(row: FoldRow): ReplayedRow | undefined {
    const { rowChanges, changes } = this.#init
    const change = rowChanges[this.#done]
    if (change === undefined || !equalBytes(change.place, row.place)) {
      return { row, isChanged: false }
    }
    this.#done += 1
    if (!change.isDrop) {
      const { recorded } = change
      return { row: { ...row, recorded }, isChanged: recorded !== row.recorded }
    }
    this.gone.push(change.place)
    if (row.hasFailed) changes.forgetFault(row.place)
    return undefined
  }

  #isNextBefore(place: Uint8Array | undefined): boolean {
    const change = this.#init.rowChanges[this.#done]
    if (change === undefined) return false
    return place === undefined || compareBytes(change.place, place) < 0
  }

  /** The rows that come before a place, or all that are left. */
  async #insertBefore(place: Uint8Array | undefined): Promise<void> {
    for (; this.#isNextBefore(place); this.#done += 1) {
      const change = present(this.#init.rowChanges[this.#done], 'a change')
      // What goes and was not there changes nothing.
      if (change.isDrop) continue
      this.added.push(change.place)
      const { recorded, bytes } = change
      const row = { place: change.place, recorded, bytes, hasFailed: false }
      this.#run.push({ row, isChanged: true })
      if (endsRun(row.place, bytes.length)) await this.#close()
    }
  }

  /** Whether a record is a run to and from which nothing comes and goes, and functions failed for none of it. */
  #isRunAsItWas(record: Rows): boolean {
    if (this.#run.length > 0 || this.#held.length > 0 || record.hasFailed) return false
    const { lastPlace } = record
    const change = this.#init.rowChanges[this.#done]
    if (change !== undefined && compareBytes(change.place, lastPlace) <= 0) return false
    return endsRun(lastPlace, record.lastBytes)
  }

  /** Goes on behind such a run, of which functions failed for nothing now either. */
  async #pass(record: Rows, text: string): Promise<boolean> {
    const place = record.lastPlace
    const old = await this.#removeCheckpoints(place)
    const recorded =
      this.#isSpanAsItWas && old !== undefined ? old.recorded : spanOf(record.all(), this.#recorded)
    return this.#goOn({ place, text, recorded, old, isAsItWas: this.#isSpanAsItWas })
  }

  /** Ends the run, and says whether all is right behind it. */
  async #close(): Promise<boolean> {
    const { rows, text, recorded } = await this.#evaluated()
    const { place } = present(rows.at(-1), 'a run has rows').row
    this.#writeRun(rows, place)
    const old = await this.#removeCheckpoints(place)
    this.#run = []
    return this.#goOn({ place, text, recorded, old, isAsItWas: false })
  }

  /** Writes what is behind a run, and says whether all is right from there on. */
  #goOn({ place, text, recorded, old, isAsItWas }: RunEnd): boolean {
    const { changes, aggregate, rowChanges } = this.#init
    const key = checkpointKey(aggregate, place)
    const isCheckpoint = isKept(place, Buffer.byteLength(text))
    const isRight = isCheckpoint && old?.text === text
    if (isCheckpoint && !(isRight && isSameSpan(old.recorded, recorded))) {
      changes.put(key, encodeCheckpoint({ recorded, text }))
    }
    if (!isCheckpoint && old !== undefined) changes.remove(key)
    this.#text = text
    this.#place = place
    this.#recorded = isCheckpoint ? NO_SPAN : recorded
    this.#isSpanAsItWas = isCheckpoint ? old !== undefined : isAsItWas && old === undefined
    return isRight && this.#done === rowChanges.length
  }

  /** The rows of the run with what now fails among them, and the state behind them. */
  async #evaluated(): Promise<Evaluated> {
    const { program, changes, care } = this.#init
    const run = this.#run
    const recorded = spanOf(
      run.map(({ row }) => row),
      this.#recorded
    )
    if (run.length === 0) return { rows: [], text: this.#text, recorded }
    const inputs = run.map(({ row }) => inputOf(program, row))
    const step = await applyPaced(program, care, this.#text, inputs)
    const faults = new Map(step.faults.map(({ index, fault }) => [index, fault]))
    const rows = run.map((replayed, index): ReplayedRow => {
      const { row } = replayed
      const fault = faults.get(index)
      const hasFailed = fault !== undefined
      if (hasFailed) changes.noteFault(row.place, fault, !row.hasFailed)
      else if (row.hasFailed) changes.forgetFault(row.place)
      if (hasFailed === row.hasFailed) return replayed
      return { row: { ...row, hasFailed }, isChanged: true }
    })
    return { rows, text: step.state, recorded }
  }

  /** The record of a run that is closed instead of those in which its rows were. */
  #writeRun(rows: readonly ReplayedRow[], place: Uint8Array): void {
    const { changes, aggregate } = this.#init
    const ends = this.#held.findIndex((held) => compareBytes(held.place, place) > 0)
    const held = this.#held.splice(0, ends === -1 ? this.#held.length : ends)
    const [only] = held
    const isOne = held.length === 1 && only?.rows === rows.length
    if (!isOne || rows.some(({ isChanged }) => isChanged)) {
      const bytes = encodeRows(rows.map(({ row }) => row))
      changes.put(rowsKey(aggregate, place), bytes)
    }
    for (const record of held) {
      if (!equalBytes(record.place, place)) changes.remove(rowsKey(aggregate, record.place))
    }
  }

  /** Removes those before a place, or all that are left, and finds the one that is there. */
  async #removeCheckpoints(place: Uint8Array | undefined): Promise<FoldCheckpoint | undefined> {
    const { checkpoints, changes, aggregate } = this.#init
    for (;;) {
      const old = await checkpoints.takeUpTo(place)
      if (old === undefined) return undefined
      if (place !== undefined && equalBytes(old.place, place)) return old
      changes.remove(checkpointKey(aggregate, old.place))
    }
  }
}

/** The end of a run. */
interface RunEnd {
  readonly place: Uint8Array
  /** The state there. */
  readonly text: string
  /** Of all rows behind the last checkpoint. */
  readonly recorded: RecordedSpan
  /** The checkpoint that there was. */
  readonly old: FoldCheckpoint | undefined
  /** The rows behind the last checkpoint are those that they were. */
  readonly isAsItWas: boolean
}

/** A run, and what it comes to. */
interface Evaluated {
  readonly rows: readonly ReplayedRow[]
  readonly text: string
  /** Of all rows behind the last checkpoint. */
  readonly recorded: RecordedSpan
}

function isSameSpan(a: RecordedSpan, b: RecordedSpan): boolean {
  return a.first === b.first && a.last === b.last
}
