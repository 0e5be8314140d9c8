/**
 * The simulated world's time: a queue of what is to happen, and nothing happens outside of it. Real
 * promises run between two entries, real time never passes. The same seed gives the same run.
 */

import { createPrng } from '../prng.ts'
import type { Prng } from '../prng.ts'
import type { Rng } from '../../../src/core/clock.ts'

interface Entry {
  readonly atMs: number
  readonly order: number
  /** Undefined once it was cancelled. */
  run: (() => void) | undefined
}

/** What was put off, and may be called off. */
export interface Later {
  cancel(): void
}

export class World {
  readonly prng: Prng
  nowMs = 0
  /** How many entries have run. */
  entries = 0
  /** Equal for equal entries at equal times in equal order. */
  print = 0
  #order = 0
  /** A binary heap by time, then by order of entry. */
  readonly #heap: Entry[] = []

  constructor(seed: number) {
    this.prng = createPrng(seed)
  }

  /** Runs `run` after `delayMs` of simulated time. */
  after(delayMs: number, run: () => void): Later {
    const entry: Entry = { atMs: this.nowMs + Math.max(0, delayMs), order: this.#order, run }
    this.#order += 1
    this.#push(entry)
    return {
      cancel: () => {
        entry.run = undefined
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
    await settle()
    for (;;) {
      if (done()) return true
      const next = this.#heap[0]
      if (next === undefined || next.atMs > untilMs) {
        this.nowMs = untilMs
        return done()
      }
      this.#pop()
      if (next.run === undefined) continue
      this.nowMs = Math.max(this.nowMs, next.atMs)
      this.entries += 1
      this.print = Math.imul(this.print ^ next.order, FNV_PRIME) ^ Math.round(this.nowMs * 1_000)
      next.run()
      await settle()
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

const FNV_PRIME = 0x0100_0193

/** Lets every promise that can go on go on: nothing here waits for real I/O. */
function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}

/** Chance for a node: the world's, so that a seed decides its keys and jitter too. */
export function worldRng(world: World): Rng {
  return {
    bytes: (length) => {
      const bytes = new Uint8Array(length)
      for (let at = 0; at < length; at += 1) bytes[at] = world.prng.integer(0, 255)
      return bytes
    },
    fraction: () => world.prng.fraction()
  }
}
