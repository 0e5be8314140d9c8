/** What an update of a fold writes, and what is then known of it; put together aggregate by aggregate. */

import type { DerivedChange } from '../store/derived-store.ts'
import { encodeHead, headKey } from './fold-records.ts'
import type { FoldHead } from './fold-records.ts'
import { TAG, faultBytes, tagged } from './records.ts'
import type { IndexState } from './view-index.ts'
import { ViewDigest } from './view-digest.ts'

export class FoldChanges {
  #records: DerivedChange[] = []
  #bytes = 0
  readonly #digest: ViewDigest
  #rows: number
  #faults: number

  constructor(state: IndexState) {
    this.#digest = new ViewDigest(state.digest)
    this.#rows = state.rows
    this.#faults = state.faults
  }

  /** Of what is to be written, about. */
  get bytes(): number {
    return this.#bytes
  }

  /** What is to be written, in this order. */
  take(): DerivedChange[] {
    const records = this.#records
    this.#records = []
    this.#bytes = 0
    return records
  }

  put(key: Uint8Array, value: Uint8Array): void {
    this.#records.push({ key, value })
    this.#bytes += key.length + value.length
  }

  remove(key: Uint8Array): void {
    this.#records.push({ key, value: undefined })
    this.#bytes += key.length
  }

  /** @param isNew none was noted of this event */
  noteFault(place: Uint8Array, fault: string, isNew: boolean): void {
    this.put(tagged(TAG.fault, place), faultBytes(fault))
    if (isNew) this.#faults += 1
  }

  /** One that was noted. */
  forgetFault(place: Uint8Array): void {
    this.remove(tagged(TAG.fault, place))
    this.#faults -= 1
  }

  /** Undefined: there was none, there is none any more. */
  setHead(aggregate: Uint8Array, before: FoldHead | undefined, head: FoldHead | undefined): void {
    if (before !== undefined) this.#digest.toggle(digested(aggregate, before))
    if (head !== undefined) this.#digest.toggle(digested(aggregate, head))
    this.#rows += (head === undefined ? 0 : 1) - (before === undefined ? 0 : 1)
    const key = headKey(aggregate)
    if (head === undefined) this.remove(key)
    else this.put(key, encodeHead(head))
  }

  get state(): IndexState {
    return {
      height: 0,
      rows: this.#rows,
      faults: this.#faults,
      digest: this.#digest.toString()
    }
  }
}

function digested(aggregate: Uint8Array, { text }: FoldHead): Uint8Array {
  return Buffer.concat([aggregate, Buffer.from(text)])
}
