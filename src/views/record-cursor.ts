/** Records that come in chunks, one after the other, of which the next one can be looked at. */

import type { DerivedRecord } from '../store/derived-store.ts'

export class RecordCursor {
  readonly #chunks: AsyncIterator<readonly DerivedRecord[]>
  #chunk: readonly DerivedRecord[] = []
  #at = 0
  #isOver = false

  constructor(chunks: AsyncIterable<readonly DerivedRecord[]>) {
    this.#chunks = chunks[Symbol.asyncIterator]()
  }

  /** The next record; undefined behind the last one. */
  async head(): Promise<DerivedRecord | undefined> {
    while (this.#at === this.#chunk.length && !this.#isOver) {
      const { done, value } = await this.#chunks.next()
      this.#isOver = done === true
      this.#chunk = done === true ? [] : value
      this.#at = 0
    }
    return this.#chunk[this.#at]
  }

  /** Goes on behind it. */
  pass(): void {
    this.#at += 1
  }

  /** Nothing more is read. */
  async close(): Promise<void> {
    this.#isOver = true
    await this.#chunks.return?.()
  }
}
