/**
 * Writes that the disk does not answer. A system call that never comes back cannot be taken back, and
 * what it was to write may be on the disk or get there yet. So after a while those who wait are told
 * that it failed, nothing more is tried, and when the disk does answer all goes on.
 *
 * Leaves out reads: each waits by itself, and whoever asked gives it up.
 */

import type { Clock } from '../core/clock.ts'
import { LaterbaseError } from '../errors.ts'
import { WRITE_MS_MAX } from './limits.ts'

export interface WriteWatchInit {
  /** Names the store for people. */
  readonly name: string
  /** What a person should know of what waits for the disk, in whole sentences. */
  readonly meanwhile: string
  readonly clock: Pick<Clock, 'monotonicMs' | 'setTimer'>
  /** A write is not answered, and those who wait for it are told so next. */
  readonly unanswered: (error: LaterbaseError) => void
  /** One that was given up came to its end, whichever; the last of them, if there are several. */
  readonly answered: () => void
}

export class WriteWatch {
  readonly #init: WriteWatchInit
  /** When writes began that are not answered, in their order. */
  readonly #givenUp = new Set<{ readonly beganMs: number }>()

  constructor(init: WriteWatchInit) {
    this.#init = init
  }

  /**
   * The result of a write, or LATERBASE_STORE_FAILED when the disk does not answer in time.
   *
   * @param write is told by `isGivenUp` that what it has not begun yet must not be begun
   */
  async run(write: (isGivenUp: () => boolean) => Promise<void>): Promise<void> {
    const { clock, unanswered, answered } = this.#init
    const entry = { beganMs: clock.monotonicMs() }
    const result = write(() => this.#givenUp.has(entry))
    await new Promise<void>((resolve, reject) => {
      const timer = clock.setTimer(WRITE_MS_MAX, () => {
        this.#givenUp.add(entry)
        const error = this.#error(entry.beganMs)
        unanswered(error)
        reject(error)
      })
      const end = (): void => {
        timer.cancel()
        if (this.#givenUp.delete(entry) && this.#givenUp.size === 0) answered()
      }
      void result.finally(end).then(resolve, reject)
    })
  }

  /** Why nothing is written now; undefined when the disk answers. */
  refusal(): LaterbaseError | undefined {
    const [oldest] = this.#givenUp
    return oldest === undefined ? undefined : this.#error(oldest.beganMs)
  }

  #error(beganMs: number): LaterbaseError {
    const { name, meanwhile, clock } = this.#init
    const unansweredMs = clock.monotonicMs() - beganMs
    const message =
      `${name}: the disk has not answered a write for ${Math.floor(unansweredMs / 1_000)} s. ` +
      `${meanwhile} Look at the disk and its connection; a restart loses nothing that was acknowledged.`
    const facts = { unanswered_ms: unansweredMs }
    return new LaterbaseError('LATERBASE_STORE_FAILED', message, { facts })
  }
}
