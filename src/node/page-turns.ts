/**
 * Turns at making pages of answers, over all peers: each page holds its events twice while it is made, and
 * what is held ready or being sent is only bounded once it is there.
 *
 * Left out: how much one peer may ask for at a time, which the transport bounds.
 */

import { assert } from '../core/assert.ts'
import type { Clock, Timer } from '../core/clock.ts'
import { PAGES_MADE_MAX, PAGES_WAITING_MAX, PAGE_WAIT_MS_MAX } from './limits.ts'

/** Ends the turn. */
type Leave = () => void

interface Waiting {
  readonly peer: string
  readonly begin: (leave: Leave | undefined) => void
  readonly timer: Timer
}

export class PageTurns {
  readonly #clock: Clock
  /** Turns that a peer has, where it has any. */
  readonly #taken = new Map<string, number>()
  #takenAll = 0
  /** Who came first comes first. */
  readonly #waiting = new Set<Waiting>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /**
   * A turn, to be left when the page is made; undefined where too many wait, where it does not come in
   * time (pages that hang on a disk keep theirs), or where the peer has gone meanwhile.
   */
  take(peer: string): Promise<Leave | undefined> {
    if (this.#takenAll < PAGES_MADE_MAX) return Promise.resolve(this.#enter(peer))
    if (this.#waiting.size >= PAGES_WAITING_MAX) return Promise.resolve(undefined)
    return new Promise((begin) => {
      const timer = this.#clock.setTimer(PAGE_WAIT_MS_MAX, () => this.#giveUp(waiting))
      const waiting = { peer, begin, timer }
      this.#waiting.add(waiting)
    })
  }

  /** The peer has gone: what it waits for is not wanted. */
  forget(peer: string): void {
    for (const waiting of this.#waiting) if (waiting.peer === peer) this.#giveUp(waiting)
  }

  #enter(peer: string): Leave {
    this.#takenAll += 1
    this.#taken.set(peer, (this.#taken.get(peer) ?? 0) + 1)
    let isLeft = false
    return () => {
      assert(!isLeft, 'a turn is left once')
      isLeft = true
      this.#takenAll -= 1
      const left = (this.#taken.get(peer) ?? 0) - 1
      if (left === 0) this.#taken.delete(peer)
      else this.#taken.set(peer, left)
      this.#next()
    }
  }

  /** A peer that has few turns goes before one that has many, whoever came first. */
  #next(): void {
    let next: Waiting | undefined
    for (const waiting of this.#waiting) {
      if (next === undefined || this.#turnsOf(waiting) < this.#turnsOf(next)) next = waiting
    }
    if (next === undefined) return
    this.#waiting.delete(next)
    next.timer.cancel()
    next.begin(this.#enter(next.peer))
  }

  #turnsOf({ peer }: Waiting): number {
    return this.#taken.get(peer) ?? 0
  }

  #giveUp(waiting: Waiting): void {
    this.#waiting.delete(waiting)
    waiting.timer.cancel()
    waiting.begin(undefined)
  }
}
