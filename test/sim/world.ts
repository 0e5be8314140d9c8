/**
 * The simulated world's time: a queue of what is to happen, and nothing happens outside of it. Real
 * promises run between two entries, real time never passes. The same seed gives the same run.
 */

import { createPrng } from '../../scripts/simulate/prng.ts'
import type { Prng } from '../../scripts/simulate/prng.ts'
import type { Clock, Rng } from '../../src/core/clock.ts'

interface Entry {
  readonly atMs: number
  readonly order: number
  readonly run: () => void
}

export class World {
  readonly prng: Prng
  nowMs = 0
  #order = 0
  /** A binary heap by time, then by order of entry. */
  readonly #heap: Entry[] = []

  constructor(seed: number) {
    this.prng = createPrng(seed)
  }

  /** Runs `run` after `delayMs` of simulated time. */
  after(delayMs: number, run: () => void): { cancel(): void } {
    let cancelled = false
    this.#push({
      atMs: this.nowMs + Math.max(0, delayMs),
      order: this.#order,
      run: () => {
        if (!cancelled) run()
      }
    })
    this.#order += 1
    return {
      cancel: () => {
        cancelled = true
      }
    }
  }

  sleep(delayMs: number): Promise<void> {
    return new Promise((resolve) => {
      this.after(delayMs, resolve)
    })
  }

  chance(probability: number): boolean {
    return this.prng.fraction() < probability
  }

  /** Runs entries until `until` or until `done` says so; false when time ran out. */
  async run(untilMs: number, done: () => boolean): Promise<boolean> {
    for (;;) {
      await settle()
      if (done()) return true
      const next = this.#heap[0]
      if (next === undefined || next.atMs > untilMs) {
        this.nowMs = untilMs
        return done()
      }
      this.#pop()
      this.nowMs = Math.max(this.nowMs, next.atMs)
      next.run()
    }
  }

  #push(entry: Entry): void {
    this.#heap.push(entry)
    let at = this.#heap.length - 1
    while (at > 0) {
      const parent = (at - 1) >> 1
      if (!this.#isBefore(at, parent)) return
      this.#swap(at, parent)
      at = parent
    }
  }

  #pop(): void {
    const last = this.#heap.pop()
    if (last === undefined || this.#heap.length === 0) return
    this.#heap[0] = last
    let at = 0
    for (;;) {
      let least = at
      for (const child of [at * 2 + 1, at * 2 + 2]) {
        if (child < this.#heap.length && this.#isBefore(child, least)) least = child
      }
      if (least === at) return
      this.#swap(at, least)
      at = least
    }
  }

  #isBefore(a: number, b: number): boolean {
    const [left, right] = [this.#heap[a], this.#heap[b]]
    if (left === undefined || right === undefined) return false
    return left.atMs === right.atMs ? left.order < right.order : left.atMs < right.atMs
  }

  #swap(a: number, b: number): void {
    const [left, right] = [this.#heap[a], this.#heap[b]]
    if (left === undefined || right === undefined) return
    this.#heap[a] = right
    this.#heap[b] = left
  }
}

/** Lets every promise that can go on go on: nothing here waits for real I/O. */
function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}

/** The wall clock of one box: its own idea of now, which a script may set wrong. */
export class BoxClock implements Clock {
  readonly #world: World
  /** Wall time minus simulated time. */
  offsetMs: number
  /** Timers of a box that crashed do not fire. */
  dead = false

  constructor(world: World, offsetMs: number) {
    this.#world = world
    this.offsetMs = offsetMs
  }

  nowMs(): number {
    return this.#world.nowMs + this.offsetMs
  }

  monotonicMs(): number {
    return this.#world.nowMs
  }

  setTimer(delayMs: number, callback: () => void): { cancel(): void } {
    return this.#world.after(delayMs, () => {
      if (!this.dead) callback()
    })
  }
}

export function worldRng(world: World): Rng {
  return {
    bytes: (length) => Uint8Array.from({ length }, () => world.prng.integer(0, 255)),
    fraction: () => world.prng.fraction()
  }
}
