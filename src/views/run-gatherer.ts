/**
 * The rows of a build by their view keys. Those of one key come in order, so a run that begins and ends among them is
 * whole as soon as the next one begins: it is written then, and let go of. What is left, where the rows of one key
 * meet those of another, is sorted in the end; and where keys are too many to be held side by side, everything is.
 */

import { assert } from '../core/assert.ts'
import { compareBytes } from '../core/bytes.ts'
import { LEAF_BYTES } from '../core/limits.ts'
import { ROW_LENGTHS_BYTES, leavesOf, rowsOfLeaf } from '../core/views/leaves.ts'
import { levelOf } from '../core/views/row-tree.ts'
import type { Summaries, TreeChange } from '../core/views/row-tree.ts'
import { nameOfBytes, nameOfKey } from './key-names.ts'
import type { KeyName } from './key-names.ts'
import { GATHERED_BYTES_MAX, GATHERED_KEY_BYTES } from './limits.ts'
import { packRow, packedMax } from './map-rows.ts'
import type { RowParts } from './map-rows.ts'
import { RowBuffers } from './row-buffers.ts'
import type { RowSorter } from './row-sorter.ts'

export interface RunGathererInit<S> {
  readonly summaries: Summaries<S>
  readonly put: (change: TreeChange) => void
  /** Gets what is left. */
  readonly sorter: RowSorter
}

export class RunGatherer<S> {
  readonly #init: RunGathererInit<S>
  readonly #open = new Map<KeyName, OpenRun>()
  readonly #buffers = new RowBuffers()
  #bytes = 0
  #isOver = false

  constructor(init: RunGathererInit<S>) {
    this.#init = init
  }

  /** @param row behind all of its view key that came before */
  add(row: RowParts): void {
    if (this.#isOver) {
      this.#init.sorter.add(row)
      return
    }
    const run = this.#runOf(row)
    const most = run.length + packedMax(row)
    if (most > run.bytes.length) {
      this.#bytes -= run.bytes.length
      run.bytes = this.#buffers.grow(run.bytes, run.length, most)
      this.#bytes += run.bytes.length
    }
    const end = packRow(run.bytes, run.length, row)
    const key = keyAt(run.bytes, run.length)
    if (levelOf(key) > 0) this.#beginWith(run, { key: Uint8Array.from(key), end })
    else run.length = end
    if (this.#bytes > GATHERED_BYTES_MAX) this.end()
  }

  /** Hands on what is left; all that comes is handed on from now. */
  end(): void {
    for (const { bytes, length } of this.#open.values()) {
      this.#init.sorter.addLeaf(bytes.subarray(0, length))
    }
    this.#open.clear()
    this.#isOver = true
  }

  /** Lets go of the rows before the one that was written last, which begins a run. */
  #beginWith(run: OpenRun, { key, end }: { readonly key: Uint8Array; readonly end: number }): void {
    const { bytes, length, begin } = run
    assert(begin === undefined || compareBytes(begin, key) < 0, 'events come in event order')
    if (begin === undefined) this.#init.sorter.addLeaf(bytes.subarray(0, length))
    else this.#putRun(begin, bytes.subarray(0, length))
    bytes.copyWithin(0, length, end)
    run.length = end - length
    run.begin = key
  }

  #putRun(begin: Uint8Array, value: Buffer): void {
    const { summaries, put } = this.#init
    const rows = rowsOfLeaf({ key: begin, value })
    // The bytes of a leaf already, but for where they are.
    if (value.length <= LEAF_BYTES) put({ level: 0, key: begin, value: Uint8Array.from(value) })
    else for (const leaf of leavesOf({ begin, rows })) put({ level: 0, ...leaf })
    put({ level: 1, key: begin, value: summaries.encode(summaries.ofRows(rows)) })
  }

  #runOf({ key, viewKey }: RowParts): OpenRun {
    const name = nameOfKey(key) ?? nameOfBytes(viewKey)
    const held = this.#open.get(name)
    if (held !== undefined) return held
    const run: OpenRun = { bytes: NOTHING, length: 0, begin: undefined }
    this.#open.set(name, run)
    this.#bytes += GATHERED_KEY_BYTES
    return run
  }
}

/** Rows of one key, as a leaf has them. */
interface OpenRun {
  bytes: Buffer
  length: number
  /** Key of the first of them; undefined where the run may have begun with rows of another key. */
  begin: Uint8Array | undefined
}

const NOTHING = Buffer.alloc(0)

/** The key of the row that is written there: a view. */
function keyAt(bytes: Buffer, at: number): Uint8Array {
  const begin = bytes.byteOffset + at + ROW_LENGTHS_BYTES
  return new Uint8Array(bytes.buffer, begin, bytes.readUInt16BE(at))
}
