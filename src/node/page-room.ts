/**
 * Room in memory for pages that have arrived and are not stored yet, over all fetches: each holds at the most
 * two, but their number, of peers times databases, makes that gigabytes.
 *
 * Room is given back by every fetch when its page is stored, or when it fails, and none waits for room
 * before it stores what it holds: so whoever waits goes on in the end.
 */

import { assert } from '../core/assert.ts'
import { LaterbaseError } from '../errors.ts'
import { FETCHED_BYTES_MAX, FETCHED_BYTES_WAIT } from './limits.ts'
import { createSignal } from './signal.ts'

export class PageRoom {
  #bytes = 0
  /** There is room again. */
  readonly #freed = createSignal()

  /**
   * Resolves when a further page may be asked for; rejects when the signal aborts. Pages that are on their
   * way take no room: a peer that never answers must not keep the others from being asked.
   */
  async free(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted()
    while (this.#bytes > FETCHED_BYTES_WAIT) {
      await this.#freed.after(this.#freed.count(), signal)
      signal.throwIfAborted()
    }
  }

  /**
   * A page has come.
   *
   * @returns gives its room back; to be called once
   * @throws LATERBASE_PEER_UNREACHABLE where many were on their way at one time, and together are too
   *   much: this one is asked for again later
   */
  take(bytes: number): () => void {
    if (this.#bytes > 0 && this.#bytes + bytes > FETCHED_BYTES_MAX) {
      const text = 'the page came with too many others, and is asked for again'
      throw new LaterbaseError('LATERBASE_PEER_UNREACHABLE', text)
    }
    this.#bytes += bytes
    let isGiven = false
    return () => {
      assert(!isGiven, 'room is given back once')
      isGiven = true
      this.#bytes -= bytes
      if (this.#bytes <= FETCHED_BYTES_WAIT) this.#freed.tell()
    }
  }
}
