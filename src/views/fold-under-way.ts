/**
 * An aggregate whose rows come in order, in a build: the rows of its open run, as they will be written, and its state.
 *
 * Functions get an event when it comes where the program has sessions, else when several are there. Where they fail
 * in a session, or a state is not what its text says, its rows are gone through again.
 */

import { callPaced } from './effort.ts'
import type { Care } from './effort.ts'
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
  /** Events come a few at a time, after a rest. */
  readonly care: Care | undefined
  readonly written?: FoldWritten | undefined
}

/** What was written of an aggregate before. */
export interface FoldWritten {
  readonly head: FoldHead
  /** Of the open run. */
  readonly rows: readonly FoldRow[]
}

export class FoldUnderWay {
  /** When it had an event last. */
  turn = 0
  readonly #program: FoldProgram
  readonly #isCareful: boolean
  readonly #changes: FoldChanges
  readonly aggregate: Uint8Array
  readonly #writtenHead: FoldHead | undefined
  /** The state behind rows of the open run, and how many these are. */
  #text: string
  #settled = 0
  #recorded = NO_SPAN
  #place: Uint8Array | undefined
  /** The rows of the open run. */
  readonly #rows: RowsUnderWay
  /** How many of them, the first ones, have records; and how many have such as are right. */
  #held = 0
  #written = 0
  /** Which has all rows. */
  #session: FoldSession | undefined
  /** A session failed: the rows behind `#text` are to be gone through again. */
  #hasFailed = false
  /** What functions did not have yet, of the last rows. */
  #waiting: FoldInput[] = []

  constructor({ program, changes, buffers, aggregate, care, written }: FoldUnderWayInit) {
    this.#program = program
    this.#isCareful = program.effort !== undefined && care !== undefined
    this.#changes = changes
    this.#rows = new RowsUnderWay(buffers)
    this.aggregate = aggregate
    this.#writtenHead = written?.head
    this.#text = written?.head.text ?? program.initial
    if (written === undefined) return
    this.#recorded = written.head.recorded
    this.#place = written.head.place
    for (const row of written.rows) this.#rows.add(row)
    this.#held = this.#written = this.#settled = this.#rows.length
  }

  /** Of its rows and states in memory; of a session's state, as it was at the end of a run. */
  get bytes(): number {
    return this.#rows.bytes + this.#text.length
  }

  add({ place, recorded, bytes, event }: RoutedEvent): void {
    this.#give(event)
    this.#rows.add({ place, recorded, bytes, hasFailed: false })
    this.#place = place
    const { first, last } = this.#recorded
    if (recorded < first || recorded > last) this.#recorded = spanOf([{ recorded }], this.#recorded)
    if (endsRun(place, bytes.length)) this.#close(place)
    else if (this.#isCareful) this.#settle()
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
    if (this.#settled < this.#rows.length) {
      if (this.#session === undefined) this.#apply()
      else this.#text = this.#session.text()
    }
    this.#settled = this.#rows.length
    this.#hasFailed = false
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
      text: this.#text
    })
  }

  /** Before its row is appended. */
  #give(event: FoldInput): void {
    const { begin } = this.#program
    if (begin === undefined) this.#waiting.push(event)
    else if (!this.#hasFailed) {
      this.#session ??= begin(this.#text)
      if (this.#session.add(event)) return
      this.#session = undefined
      this.#hasFailed = true
    }
  }

  /** Gives functions the rows that no state has. */
  #apply(): void {
    const first = this.#settled
    const waiting = this.#hasFailed
      ? inputsOf(this.#program, this.#rows.rows().slice(first))
      : this.#waiting
    const count = this.#isCareful ? 1 : Infinity
    const step = callPaced(this.#program, count, () => this.#program.apply(this.#text, waiting))
    for (const { index, fault } of step.faults) {
      const at = first + index
      this.#written = Math.min(this.#written, at)
      this.#rows.setFailed(at, true)
      this.#changes.noteFault(this.#rows.placeOf(at), fault, true)
    }
    this.#text = step.state
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
    this.#held = this.#written = this.#settled = 0
  }
}
