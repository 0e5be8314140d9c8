/**
 * Events that come and go among others of an aggregate: its rows are replayed from the last checkpoint before the
 * first of them, until a checkpoint behind the last of them comes out as it was: all that follows it is right then.
 */

import { present } from '../core/assert.ts'
import { compareBytes, equalBytes, toHex } from '../core/bytes.ts'
import type { FoldAggregate } from './fold-extend.ts'
import { Checkpoints, checkpointBefore, rowsBehind } from './fold-read.ts'
import { NO_SPAN, checkpointKey, encodeCheckpoint, encodeRows, rowsKey } from './fold-records.ts'
import type { FoldCheckpoint, FoldHead, FoldRow, RecordedSpan } from './fold-records.ts'
import { endsRun, eventOf, isKept, spanOf } from './fold-run.ts'

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
  const checkpoints = new Checkpoints(init.reader, init.aggregate, base?.place)
  const run = new Replay({ ...init, rowChanges, checkpoints, base })
  for await (const rows of rowsBehind(init.reader, init.aggregate, { behind: base?.place })) {
    if (await run.addRecord(rows)) return { head: init.head, added: run.added, gone: run.gone }
  }
  const head = await run.finish()
  return { head, added: run.added, gone: run.gone }
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
  async addRecord(rows: readonly FoldRow[]): Promise<boolean> {
    const last = present(rows.at(-1), 'a record of rows has one')
    this.#held.push({ place: last.place, rows: rows.length })
    for (const row of rows) {
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
    const run = this.#evaluated()
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
    const { text, isResumable, recorded } = run
    return { place, openRows: run.rows.length, recorded, isResumable, text }
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

  /** Ends the run, and says whether all is right behind it. */
  async #close(): Promise<boolean> {
    const { changes, aggregate, rowChanges } = this.#init
    const { rows, text, recorded } = this.#evaluated()
    const { place } = present(rows.at(-1), 'a run has rows').row
    this.#writeRun(rows, place)
    const old = await this.#removeCheckpoints(place)
    const key = checkpointKey(aggregate, place)
    const isCheckpoint = isKept(place, Buffer.byteLength(text))
    const isRight = isCheckpoint && old?.text === text
    if (isCheckpoint && !(isRight && isSameSpan(old.recorded, recorded))) {
      changes.put(key, encodeCheckpoint({ recorded, text }))
    }
    if (!isCheckpoint && old !== undefined) changes.remove(key)
    this.#run = []
    this.#text = text
    this.#place = place
    this.#recorded = isCheckpoint ? NO_SPAN : recorded
    return isRight && this.#done === rowChanges.length
  }

  /** The rows of the run with what now fails among them, and the state behind them. */
  #evaluated(): Evaluated {
    const { program, changes } = this.#init
    const run = this.#run
    const recorded = spanOf(
      run.map(({ row }) => row),
      this.#recorded
    )
    if (run.length === 0) return { rows: [], text: this.#text, isResumable: true, recorded }
    const step = program.apply(
      this.#text,
      run.map(({ row }) => eventOf(row))
    )
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
    return { rows, text: step.state, isResumable: step.isResumable, recorded }
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

/** A run, and what it comes to. */
interface Evaluated {
  readonly rows: readonly ReplayedRow[]
  readonly text: string
  readonly isResumable: boolean
  /** Of all rows behind the last checkpoint. */
  readonly recorded: RecordedSpan
}

function isSameSpan(a: RecordedSpan, b: RecordedSpan): boolean {
  return a.first === b.first && a.last === b.last
}
