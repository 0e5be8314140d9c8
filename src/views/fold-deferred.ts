/**
 * The second part of a build in which not all aggregates that were under way fitted into memory: rows that came to
 * one that had been written out were only written, each in a record of its own. They are gone through here in the
 * order of their aggregates, which the store has brought them into, one aggregate after the other.
 */

import { compareBytes, equalBytes } from '../core/bytes.ts'
import type { DerivedReader, DerivedRecord } from '../store/derived-store.ts'
import type { Care } from './effort.ts'
import type { FoldChanges } from './fold-changes.ts'
import { decodeHead, placeOf } from './fold-records.ts'
import type { FoldHead } from './fold-records.ts'
import { decodeRows, singleRowBytes } from './fold-rows.ts'
import type { FoldRow } from './fold-rows.ts'
import { endsRun } from './fold-run.ts'
import { FoldUnderWay } from './fold-under-way.ts'
import type { FoldProgram } from './program.ts'
import { RecordCursor } from './record-cursor.ts'
import { TAG, boundsOf } from './records.ts'
import type { RowBuffers } from './row-buffers.ts'
import { PLACE_BYTES } from '../store/event-store.ts'

export interface FoldDeferredInit {
  readonly program: FoldProgram
  readonly care: Care | undefined
  readonly changes: FoldChanges
  readonly buffers: RowBuffers
  readonly reader: DerivedReader
  /** Called again and again. */
  readonly writeWhenMuch: () => Promise<void>
}

export async function foldDeferred(init: FoldDeferredInit): Promise<void> {
  const heads = new Heads(init.reader)
  try {
    await foldAll(init, heads)
  } finally {
    await heads.close()
  }
}

async function foldAll(init: FoldDeferredInit, heads: Heads): Promise<void> {
  let current: Deferred | undefined
  for await (const records of init.reader.chunks(boundsOf(TAG.foldRow))) {
    for (const record of records) {
      const aggregate = record.key.subarray(1, record.key.length - PLACE_BYTES)
      if (current === undefined || !equalBytes(current.aggregate, aggregate)) {
        current?.end()
        // A copy: a view would keep the chunk in memory.
        const own = Uint8Array.from(aggregate)
        current = new Deferred(init, own, await heads.of(own))
      }
      if (init.care !== undefined) {
        await init.program.effort?.rest()
        init.care()
      }
      current.add(record)
    }
    await init.writeWhenMuch()
  }
  current?.end()
}

/** An aggregate whose records of rows come in order. */
class Deferred {
  readonly aggregate: Uint8Array
  readonly #init: FoldDeferredInit
  readonly #head: FoldHead | undefined
  /** Rows of the open run, up to the head's. */
  #open: FoldRow[] = []
  #underWay: FoldUnderWay | undefined

  constructor(init: FoldDeferredInit, aggregate: Uint8Array, head: FoldHead | undefined) {
    this.#init = init
    this.aggregate = aggregate
    this.#head = head
  }

  add({ key, value }: DerivedRecord): void {
    const place = placeOf(key)
    if (this.#head !== undefined && compareBytes(place, this.#head.place) <= 0) {
      // The bytes of a whole run are more than those of the row that ends it, which ends it all the more.
      const isRun = endsRun(place, singleRowBytes(value))
      this.#open = isRun ? [] : [...this.#open, ...decodeRows(value).all()]
      return
    }
    this.#underWay ??= this.#begin()
    for (const row of decodeRows(value).all()) this.#underWay.addWritten(row)
  }

  end(): void {
    this.#underWay?.writeOut()
  }

  #begin(): FoldUnderWay {
    const { program, changes, buffers, care } = this.#init
    const head = this.#head
    const written = head && { head, rows: this.#open }
    return new FoldUnderWay({ program, changes, buffers, aggregate: this.aggregate, care, written })
  }
}

/** The heads of aggregates that are asked for in their order. */
class Heads {
  readonly #records: RecordCursor

  constructor(reader: DerivedReader) {
    this.#records = new RecordCursor(reader.chunks(boundsOf(TAG.foldHead)))
  }

  async of(aggregate: Uint8Array): Promise<FoldHead | undefined> {
    for (let record = await this.#records.head(); record !== undefined;) {
      const order = compareBytes(record.key.subarray(1), aggregate)
      if (order >= 0) return order === 0 ? decodeHead(record.value) : undefined
      this.#records.pass()
      record = await this.#records.head()
    }
    return undefined
  }

  close(): Promise<void> {
    return this.#records.close()
  }
}
