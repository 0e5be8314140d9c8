/**
 * Time as one box knows it: a hardware clock that can be wrong, jump and drift, and the life of one
 * process, which a crash ends and SIGSTOP holds: what was due meanwhile comes all at once.
 */

import type { Clock } from '../../../src/core/clock.ts'
import type { Later, World } from './world.ts'

/** The wall clock of a box; it outlives its processes. */
export class WallClock {
  readonly #world: World
  #setAtMs: number
  #wallMs: number
  #rate = 1

  constructor(world: World, wallMs: number) {
    this.#world = world
    this.#setAtMs = world.nowMs
    this.#wallMs = wallMs
  }

  /** Whole milliseconds, as systems give them, and never before 1970. */
  nowMs(): number {
    const elapsedMs = (this.#world.nowMs - this.#setAtMs) * this.#rate
    return Math.max(0, Math.floor(this.#wallMs + elapsedMs))
  }

  /** @param rate wall milliseconds in one real millisecond */
  set(wallMs: number, rate = 1): void {
    this.#setAtMs = this.#world.nowMs
    this.#wallMs = wallMs
    this.#rate = rate
  }
}

/** One process, from its start to its end. */
export class Life {
  readonly #world: World
  readonly #waiting: (() => void)[] = []
  #dead = false
  #paused = false
  /** Timers that are set and have neither fired nor been cancelled. */
  timers = 0

  constructor(world: World) {
    this.#world = world
  }

  get isDead(): boolean {
    return this.#dead
  }

  get isPaused(): boolean {
    return this.#paused
  }

  /** Does it now; when the process goes on, if it is held; never, if it has ended. */
  do(action: () => void): void {
    if (this.#dead) return
    if (this.#paused) this.#waiting.push(action)
    else action()
  }

  after(delayMs: number, action: () => void): Later {
    return this.#world.after(delayMs, () => this.do(action))
  }

  /** Resolves after a while; never in a process that has ended. */
  sleep(delayMs: number): Promise<void> {
    return new Promise((resolve) => {
      this.after(delayMs, resolve)
    })
  }

  end(): void {
    this.#dead = true
    this.#waiting.length = 0
  }

  /** SIGSTOP. */
  pause(): void {
    this.#paused = true
  }

  /** SIGCONT: what was due meanwhile is due now, in its order. */
  resume(): void {
    this.#paused = false
    for (const action of this.#waiting.splice(0)) this.#world.after(0, () => this.do(action))
  }
}

/** The clock that a process reads, and its timers. */
export function processClock(world: World, wall: WallClock, life: Life): Clock {
  return {
    nowMs: () => wall.nowMs(),
    monotonicMs: () => world.nowMs,
    setTimer: (delayMs, callback) => {
      let isSet = true
      life.timers += 1
      const unset = (): boolean => {
        if (!isSet) return false
        isSet = false
        life.timers -= 1
        return true
      }
      const timer = life.after(delayMs, () => {
        if (unset()) callback()
      })
      return {
        cancel: () => {
          if (unset()) timer.cancel()
        }
      }
    }
  }
}
