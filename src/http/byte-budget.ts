/** Bytes that many requests hold in memory together, and a bound on them. */

import { HttpProblem } from './problem.ts'

export class ByteBudget {
  readonly #bytesMax: number
  readonly #retryAfterSeconds: number
  #heldBytes = 0

  constructor(bytesMax: number, retryAfterSeconds: number) {
    this.#bytesMax = bytesMax
    this.#retryAfterSeconds = retryAfterSeconds
  }

  /** Holds `bytes` until as many are released. @throws HttpProblem `busy`, and holds nothing then */
  hold(bytes: number): void {
    if (this.#heldBytes + bytes > this.#bytesMax) {
      throw new HttpProblem('busy', 'Many large requests are under way.', {
        headers: { 'retry-after': String(this.#retryAfterSeconds) }
      })
    }
    this.#heldBytes += bytes
  }

  release(bytes: number): void {
    this.#heldBytes -= bytes
  }
}
