/**
 * The rows of a build in the order of their keys, whatever the order in which they come: sorted in memory, and
 * where they do not fit, in parts that are written out and merged. A row in memory is the bytes that a leaf has of it,
 * in slabs that are used again, as objects of a million rows would be what the collector is busy with.
 *
 * A part's records: their tag, its number (4 bytes) and theirs (4) → rows, as in a leaf.
 */

import { assert, present } from '../core/assert.ts'
import { compareBytes } from '../core/bytes.ts'
import { ROW_LENGTHS_BYTES, packRows, packedLength, rowsOfLeaf } from '../core/views/leaves.ts'
import type { TreeEntry } from '../core/views/row-tree.ts'
import type { DerivedChange, DerivedReader } from '../store/derived-store.ts'
import { SORT_BYTES_MAX, SORT_RECORDS_AT_ONCE, SORT_RECORD_BYTES } from './limits.ts'
import { packRow, packedMax } from './map-rows.ts'
import type { RowParts } from './map-rows.ts'
import { readAhead } from './read-ahead.ts'
import { TAG, boundsOf, tagged } from './records.ts'

export interface RowSorterInit {
  readonly write: (changes: readonly DerivedChange[]) => Promise<void>
  readonly reader: DerivedReader
}

export class RowSorter {
  readonly #init: RowSorterInit
  readonly #held = new HeldRows()
  /** Of each part how many records it has. */
  readonly #parts: number[] = []

  constructor(init: RowSorterInit) {
    this.#init = init
  }

  add(row: RowParts): void {
    this.#held.add(row)
  }

  /** Rows side by side, as a leaf has them. */
  addLeaf(leaf: Buffer): void {
    this.#held.addLeaf(leaf)
  }

  async flushWhenFull(): Promise<void> {
    if (this.#held.bytes >= SORT_BYTES_MAX) await this.#writeOut()
  }

  /** All of them, and none is held or written out any more. */
  async *sorted(): AsyncGenerator<TreeEntry[]> {
    if (this.#parts.length === 0) {
      yield* this.#held.sorted()
      this.#held.clear()
      return
    }
    await this.#writeOut()
    yield* merged(this.#parts.map((_, part) => this.#read(part)))
    await this.#clear()
  }

  async #writeOut(): Promise<void> {
    const part = this.#parts.length
    let records = 0
    let batch: DerivedChange[] = []
    for (const rows of this.#held.sorted()) {
      const length = rows.reduce((sum, row) => sum + packedLength(row), 0)
      batch.push({ key: recordKey(part, records), value: packRows(rows, length) })
      records += 1
      if (batch.length < SORT_RECORDS_AT_ONCE) continue
      await this.#init.write(batch)
      batch = []
    }
    if (batch.length > 0) await this.#init.write(batch)
    this.#held.clear()
    if (records > 0) this.#parts.push(records)
  }

  async *#read(part: number): AsyncGenerator<TreeEntry[]> {
    const range = boundsOf(TAG.sorted, numberBytes(part))
    for await (const records of readAhead(this.#init.reader.chunks(range))) {
      for (const record of records) yield rowsOfLeaf(record)
    }
  }

  async #clear(): Promise<void> {
    for (const [part, records] of this.#parts.entries()) {
      const keys = Array.from({ length: records }, (_, record) => recordKey(part, record))
      await this.#init.write(keys.map((key) => ({ key, value: undefined })))
    }
  }
}

function recordKey(part: number, record: number): Uint8Array {
  return tagged(TAG.sorted, numberBytes(part), numberBytes(record))
}

function numberBytes(number: number): Uint8Array {
  const bytes = new Uint8Array(4)
  new DataView(bytes.buffer).setUint32(0, number)
  return bytes
}

const SLAB_BYTES = 2 * 1_048_576
/** As many bytes of a key as a number holds exactly; a row has more. */
const HEAD_BYTES = 6
/** Beginnings of keys that are told apart before rows are: more are not few any more. */
const FEW_GROUPS = 4_096

/** Rows in slabs. */
class HeldRows {
  bytes = 0
  readonly #slabs: Buffer[] = []
  #slab = -1
  #at = SLAB_BYTES
  /** By row: its slab and where it begins there, and how its key begins. */
  readonly #places: number[] = []
  readonly #heads: number[] = []

  add(row: RowParts): void {
    const slab = this.#room(packedMax(row))
    this.#note(slab, packRow(slab, this.#at, row))
  }

  addLeaf(leaf: Buffer): void {
    for (let at = 0; at < leaf.length;) {
      const length = ROW_LENGTHS_BYTES + leaf.readUInt16BE(at) + leaf.readUInt32BE(at + 2)
      const slab = this.#room(length)
      slab.set(leaf.subarray(at, at + length), this.#at)
      this.#note(slab, this.#at + length)
      at += length
    }
  }

  /** A row that was written, up to there. */
  #note(slab: Buffer, end: number): void {
    const begin = this.#at
    this.#places.push(this.#slab * SLAB_BYTES + begin)
    this.#heads.push(slab.readUIntBE(begin + ROW_LENGTHS_BYTES, HEAD_BYTES))
    this.#at = end
    this.bytes += end - begin
  }

  /** Views of what is held, until it is cleared; so many at a time as a record has. */
  *sorted(): Generator<TreeEntry[]> {
    let [rows, bytes]: [TreeEntry[], number] = [[], 0]
    for (const index of this.#order()) {
      const row = this.#rowAt(this.#places[index] ?? 0)
      rows.push(row)
      bytes += packedLength(row)
      if (bytes < SORT_RECORD_BYTES) continue
      yield rows
      ;[rows, bytes] = [[], 0]
    }
    if (rows.length > 0) yield rows
  }

  clear(): void {
    this.bytes = 0
    this.#slab = -1
    this.#at = SLAB_BYTES
    this.#places.length = 0
    this.#heads.length = 0
  }

  /**
   * Rows come by event, and views have few keys: those whose keys begin alike stand in order already, or nearly. So
   * they are put together first, and each such group is sorted only where it is not in order.
   */
  #order(): Uint32Array {
    const heads = this.#heads
    const groups = groupsOf(heads)
    const compare = (a: number, b: number): number => {
      const difference = (heads[a] ?? 0) - (heads[b] ?? 0)
      return difference === 0
        ? this.#compare(this.#places[a] ?? 0, this.#places[b] ?? 0)
        : difference
    }
    if (groups === undefined) return Uint32Array.from(heads.keys()).sort(compare)
    const order = new Uint32Array(heads.length)
    let at = 0
    for (const group of groups) {
      const isSorted = group.every((row, index) => {
        return index === 0 || compare(present(group[index - 1], 'one before'), row) < 0
      })
      order.set(isSorted ? group : group.sort(compare), at)
      at += group.length
    }
    return order
  }

  #room(length: number): Buffer {
    assert(length <= SLAB_BYTES, 'a row fits a slab')
    if (this.#at + length > SLAB_BYTES) {
      this.#slab += 1
      this.#at = 0
      if (this.#slab === this.#slabs.length) this.#slabs.push(Buffer.allocUnsafeSlow(SLAB_BYTES))
    }
    return this.#slabAt(this.#slab)
  }

  #slabAt(slab: number): Buffer {
    return present(this.#slabs[slab], 'a slab')
  }

  #rowAt(place: number): TreeEntry {
    const slab = this.#slabAt(Math.floor(place / SLAB_BYTES))
    const at = place % SLAB_BYTES
    const keyAt = at + ROW_LENGTHS_BYTES
    const valueAt = keyAt + slab.readUInt16BE(at)
    const end = valueAt + slab.readUInt32BE(at + 2)
    return { key: viewOf(slab, keyAt, valueAt), value: viewOf(slab, valueAt, end) }
  }

  /** Of two keys that begin alike. */
  #compare(a: number, b: number): number {
    const slabA = this.#slabAt(Math.floor(a / SLAB_BYTES))
    const slabB = this.#slabAt(Math.floor(b / SLAB_BYTES))
    const [atA, atB] = [a % SLAB_BYTES, b % SLAB_BYTES]
    const [lengthA, lengthB] = [slabA.readUInt16BE(atA), slabB.readUInt16BE(atB)]
    const length = Math.min(lengthA, lengthB)
    for (let index = HEAD_BYTES; index < length; index += 1) {
      const at = ROW_LENGTHS_BYTES + index
      const difference = (slabA[atA + at] ?? 0) - (slabB[atB + at] ?? 0)
      if (difference !== 0) return difference
    }
    return lengthA - lengthB
  }
}

/** Cheaper than a Buffer: two are made for each row. */
function viewOf({ buffer, byteOffset }: Buffer, from: number, to: number): Uint8Array {
  return new Uint8Array(buffer, byteOffset + from, to - from)
}

/** Of each beginning, in their order, which ones begin so; undefined where they are many. */
function groupsOf(heads: readonly number[]): number[][] | undefined {
  const groups = new Map<number, number[]>()
  for (let index = 0; index < heads.length; index += 1) {
    const head = heads[index] ?? 0
    const group = groups.get(head)
    if (group === undefined) groups.set(head, [index])
    else group.push(index)
    if (groups.size > FEW_GROUPS) return undefined
  }
  return [...groups].sort(([a], [b]) => a - b).map(([, group]) => group)
}

/** A part, as far as it is read. */
interface Reading {
  readonly source: AsyncGenerator<TreeEntry[]>
  rows: readonly TreeEntry[]
  at: number
}

/** Rows of sorted parts in one order. Parts are some 24 MiB each: a handful. */
async function* merged(parts: readonly AsyncGenerator<TreeEntry[]>[]): AsyncGenerator<TreeEntry[]> {
  const open: Reading[] = []
  for (const source of parts) {
    const reading = { source, rows: [], at: 0 }
    if (await goOn(reading)) open.push(reading)
  }
  let rows: TreeEntry[] = []
  while (open.length > 0) {
    let least = present(open[0], 'a part')
    for (const reading of open) {
      if (compareBytes(headRow(reading).key, headRow(least).key) < 0) least = reading
    }
    rows.push(headRow(least))
    least.at += 1
    if (least.at < least.rows.length) continue
    yield rows
    rows = []
    if (!(await goOn(least))) open.splice(open.indexOf(least), 1)
  }
}

function headRow({ rows, at }: Reading): TreeEntry {
  return present(rows[at], 'a part that is open')
}

async function goOn(reading: Reading): Promise<boolean> {
  const { done, value } = await reading.source.next()
  if (done === true) return false
  reading.rows = value
  reading.at = 0
  return true
}
