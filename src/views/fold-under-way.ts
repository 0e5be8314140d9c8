/**
 * An aggregate whose rows come in order, in a build: the rows of its open run, as they will be written, and its state.
 *
 * Functions get an event when it comes where the program has sessions, else when several are there. Where they fail,
 * or a state is not what its text says, the rows of the run are gone through again.
 */

import type { FoldChanges } from './fold-changes.ts'
import { NO_SPAN, checkpointKey, encodeCheckpoint, rowsKey } from './fold-records.ts'
import type { FoldHead } from './fold-records.ts'
import { RowsUnderWay, encodeRows } from './fold-rows.ts'
import type { FoldRow } from './fold-rows.ts'
import { endsRun, inputOf, inputsOf, isKept, spanOf } from './fold-run.ts'
import type { RoutedEvent } from './fold-routing.ts'
import type { RowBuffers } from './row-buffers.ts'
import type { FoldInput, FoldProgram, FoldSession } from './program.ts'

export interface FoldUnderWayInit {
  readonly program: FoldProgram
  readonly changes: FoldChanges
  readonly buffers: RowBuffers
  /** Its key, encoded. */
  readonly aggregate: Uint8Array
  readonly written?: FoldWritten | undefined
}

/** What was written of an aggregate before. */
export interface FoldWritten {
  readonly head: FoldHead
  /** The state before the open run. */
  readonly base: string
  /** Of the open run. */
  readonly rows: readonly FoldRow[]
}

export class FoldUnderWay {
  /** When it had an event last. */
  turn = 0
  readonly #program: FoldProgram
  readonly #changes: FoldChanges
  readonly aggregate: Uint8Array
  readonly #writtenHead: FoldHead | undefined
  /** The state before the open run, and the one behind those of its events that functions had. */
  #base: string
  #text: string
  #isResumable = true
  #recorded = NO_SPAN
  #place: Uint8Array | undefined
  /** The rows of the open run. */
  readonly #rows: RowsUnderWay
  /** How many of them, the first ones, have records; and how many have such as are right. */
  #held = 0
  #written = 0
  /** Whose state is further than `#text` where `isAhead`. */
  #session: FoldSession | undefined
  #isAhead = false
  /** Rows at the end are not in any state, and no event waits: the run is to be gone through again. */
  #isBehind = false
  /** What functions did not have yet, of the last rows. */
  #waiting: FoldInput[] = []

  constructor({ program, changes, buffers, aggregate, written }: FoldUnderWayInit) {
    this.#program = program
    this.#changes = changes
    this.#rows = new RowsUnderWay(buffers)
    this.aggregate = aggregate
    this.#writtenHead = written?.head
    this.#base = written?.base ?? program.initial
    this.#text = written?.head.text ?? program.initial
    if (written === undefined) return
    this.#isResumable = written.head.isResumable
    this.#recorded = written.head.recorded
    this.#place = written.head.place
    for (const row of written.rows) this.#rows.add(row)
    this.#held = this.#written = this.#rows.length
  }

  /** Of its rows and states in memory; of a session's state, as it was at the end of a run. */
  get bytes(): number {
    return this.#rows.bytes + this.#text.length + this.#base.length
  }

  add({ place, recorded, bytes, event }: RoutedEvent): void {
    this.#give(event)
    this.#rows.add({ place, recorded, bytes, hasFailed: false })
    this.#place = place
    const { first, last } = this.#recorded
    if (recorded < first || recorded > last) this.#recorded = spanOf([{ recorded }], this.#recorded)
    if (endsRun(place, bytes.length)) this.#close(place)
  }

  /** One that has a record of its own, as have all before it. */
  addWritten(row: FoldRow): void {
    this.#held += 1
    this.#written += 1
    this.add({ ...row, event: inputOf(this.#program, row) })
  }

  /** Calls functions with what waits for it, and lets go of it. */
  callWaiting(): void {
    if (this.#waiting.length > 0) this.#settle()
  }

  /** Makes the state that of all rows. */
  #settle(): void {
    if (this.#isBehind) this.#settleRun()
    else if (this.#isAhead) this.#settleSession()
    else if (this.#waiting.length > 0) this.#settleWaiting()
    this.#isBehind = this.#isAhead = false
    this.#waiting = []
  }

  /** Writes what is in memory only. */
  writeOut(): void {
    this.#settle()
    if (this.#written < this.#rows.length) {
      for (const row of this.#rows.rows().slice(this.#written)) {
        this.#changes.put(rowsKey(this.aggregate, row.place), encodeRows([row]))
      }
    }
    if (this.#place === undefined) return
    this.#changes.setHead(this.aggregate, this.#writtenHead, {
      place: this.#place,
      openRows: this.#rows.length,
      recorded: this.#recorded,
      isResumable: this.#isResumable,
      text: this.#text
    })
  }

  /** Before its row is appended. */
  #give(event: FoldInput): void {
    if (this.#isBehind) return
    const { begin } = this.#program
    const isStuck = this.#rows.length > 0 && !this.#isResumable && this.#waiting.length === 0
    if (isStuck && !this.#isAhead) {
      this.#isBehind = true
    } else if (begin === undefined) {
      this.#waiting.push(event)
    } else {
      this.#session ??= begin(this.#text)
      this.#isAhead = this.#session.add(event)
      if (!this.#isAhead) [this.#session, this.#isBehind] = [undefined, true]
    }
  }

  #settleSession(): void {
    const text = this.#session?.text()
    if (text === undefined) this.#settleRun()
    else [this.#text, this.#isResumable] = [text, true]
  }

  #settleWaiting(): void {
    const step = this.#program.apply(this.#text, this.#waiting)
    if (!step.isResumable && this.#waiting.length < this.#rows.length) {
      this.#settleRun()
      return
    }
    const first = this.#rows.length - this.#waiting.length
    for (const { index, fault } of step.faults) {
      const at = first + index
      this.#written = Math.min(this.#written, at)
      this.#rows.setFailed(at, true)
      this.#changes.noteFault(this.#rows.placeOf(at), fault, true)
    }
    this.#text = step.state
    this.#isResumable = step.isResumable
  }

  /** The whole run again, because the state that it was at did not say all. */
  #settleRun(): void {
    this.#session = undefined
    const rows = this.#rows.rows()
    const inputs = inputsOf(this.#program, rows)
    const step = this.#program.apply(this.#base, inputs)
    const faults = new Map(step.faults.map(({ index, fault }) => [index, fault]))
    for (const [index, row] of rows.entries()) {
      const fault = faults.get(index)
      if (fault !== undefined) this.#changes.noteFault(row.place, fault, !row.hasFailed)
      else if (row.hasFailed) this.#changes.forgetFault(row.place)
      if ((fault !== undefined) === row.hasFailed) continue
      this.#rows.setFailed(index, fault !== undefined)
      this.#written = Math.min(this.#written, index)
    }
    this.#text = step.state
    this.#isResumable = step.isResumable
  }

  /** Ends the open run with the row of a place. */
  #close(place: Uint8Array): void {
    this.#settle()
    const held = this.#held === 0 ? [] : this.#rows.rows().slice(0, this.#held)
    for (const row of held) {
      this.#changes.remove(rowsKey(this.aggregate, row.place))
    }
    this.#changes.put(rowsKey(this.aggregate, place), this.#rows.take())
    if (isKept(place, Buffer.byteLength(this.#text))) {
      const checkpoint = { recorded: this.#recorded, text: this.#text }
      const key = checkpointKey(this.aggregate, place)
      this.#changes.put(key, encodeCheckpoint(checkpoint))
      this.#recorded = NO_SPAN
    }
    this.#base = this.#text
    this.#isResumable = true
    this.#held = this.#written = 0
  }
}
