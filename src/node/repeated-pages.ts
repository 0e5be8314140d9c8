/**
 * What peers are sent again and again: a page costs us reading, hashing and sending, and a request for it
 * twenty bytes. Who asks for what it was just sent has its answers delayed, once that has been a lot.
 *
 * Honest peers repeat themselves too, after a fetch that failed, in two fetches at one time, or to heal a
 * damaged stretch: some pages, or very small ones, and what is new to a peer is never delayed.
 */

import type { Clock, Millis } from '../core/clock.ts'
import {
  REPEATED_ASK_BYTES,
  REPEATED_BYTES_MAX,
  REPEATED_BYTES_PER_SECOND,
  REPEATED_PEERS_MAX,
  REPEATED_WAIT_MS_MAX
} from './limits.ts'
import type { Position } from './position.ts'

/** What one peer was sent of one database. */
interface Sent {
  /** Events up to the end of the last page: more than in any page that went before it in one fetch. */
  readonly end: number
  /** Of all pages. Only so much can ever be new to the peer. */
  readonly furthest: number
  /** Bytes that were sent again, less what time has taken off. */
  readonly repeated: number
  readonly atMs: Millis
}

export interface SentPage {
  readonly from: Position
  readonly to: Position
  readonly bytes: number
}

export class RepeatedPages {
  readonly #clock: Clock
  /** By peer and database; the one of longest ago first. Kept when a peer leaves: it may come again. */
  readonly #sent = new Map<string, Sent>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** How long the answer to a request from a position has to wait, ms. */
  delayMs(name: string, from: Position): Millis {
    const sent = this.#sent.get(name)
    if (sent === undefined || eventsOf(from) >= sent.end) return 0
    const over = this.#repeatedNow(sent) - REPEATED_BYTES_MAX
    const delayMs = Math.ceil((over * 1_000) / REPEATED_BYTES_PER_SECOND)
    return Math.min(Math.max(0, delayMs), REPEATED_WAIT_MS_MAX)
  }

  /**
   * Notes an answer. In a chain of pages of which none is a repeat each begins where the one before ended,
   * or later, so all together are at most one copy of the database.
   *
   * @param name of the peer and the database
   */
  note(name: string, { from, to, bytes }: SentPage): void {
    const before = this.#sent.get(name)
    const end = eventsOf(to)
    const isRepeat = before !== undefined && eventsOf(from) < before.end
    let repeated = before === undefined ? 0 : this.#repeatedNow(before)
    if (isRepeat) repeated += bytes + REPEATED_ASK_BYTES
    // Two fetches at one time bring each page twice, and get further with it.
    else if (end > (before?.furthest ?? 0)) repeated -= bytes + REPEATED_ASK_BYTES
    // What is beyond the longest wait is not held against the peer: it is to be quick again soon.
    const most = REPEATED_BYTES_MAX + (2 * REPEATED_WAIT_MS_MAX * REPEATED_BYTES_PER_SECOND) / 1_000
    this.#sent.delete(name)
    const oldest = this.#sent.keys().next()
    if (this.#sent.size >= REPEATED_PEERS_MAX && !oldest.done) this.#sent.delete(oldest.value)
    this.#sent.set(name, {
      end,
      furthest: Math.max(end, before?.furthest ?? 0),
      repeated: Math.min(Math.max(0, repeated), most),
      atMs: this.#clock.monotonicMs()
    })
  }

  #repeatedNow({ repeated, atMs }: Sent): number {
    const seconds = (this.#clock.monotonicMs() - atMs) / 1_000
    return Math.max(0, repeated - seconds * REPEATED_BYTES_PER_SECOND)
  }
}

/** Events up to a position: never fewer where one position is at least another one in each log. */
function eventsOf(position: Position): number {
  let events = 0
  for (const seq of position.values()) events += seq
  return events
}
