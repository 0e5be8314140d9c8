/**
 * Places for requests that last: feeds, and NDJSON streams. Their number is bounded, and each has a
 * signal that aborts when its client goes (with StreamClosed) or the server closes (with a problem).
 */

import type { ServerResponse } from 'node:http'

import { HttpProblem, type ProblemCode } from './problem.ts'
import { StreamClosed } from './stream-writer.ts'

export class Slots {
  readonly #countMax: number
  readonly #full: { readonly code: ProblemCode; readonly retryAfterSeconds: number }
  readonly #open = new Set<AbortController>()
  #ended = false

  constructor(
    countMax: number,
    full: { readonly code: ProblemCode; readonly retryAfterSeconds: number }
  ) {
    this.#countMax = countMax
    this.#full = full
  }

  /**
   * Runs `use` in a place of its own.
   *
   * @throws HttpProblem when all places are taken, and what `use` throws
   */
  async run<Result>(
    response: ServerResponse,
    use: (signal: AbortSignal) => Promise<Result>
  ): Promise<Result> {
    if (this.#ended) throw closing()
    if (this.#open.size >= this.#countMax) throw this.#refusal()
    const controller = new AbortController()
    const onClose = (): void => {
      controller.abort(new StreamClosed())
    }
    this.#open.add(controller)
    response.once('close', onClose)
    // A response without a socket has closed already and says so no more.
    if (response.destroyed) onClose()
    try {
      return await use(controller.signal)
    } finally {
      this.#open.delete(controller)
      response.off('close', onClose)
    }
  }

  /** Ends all, and takes no more. */
  end(): void {
    this.#ended = true
    for (const controller of this.#open) controller.abort(closing())
  }

  #refusal(): HttpProblem {
    return new HttpProblem(this.#full.code, `At most ${this.#countMax} at one time.`, {
      headers: { 'retry-after': String(this.#full.retryAfterSeconds) }
    })
  }
}

/** Whether a slot's signal aborted because the server closes. */
export function isClosing(signal: AbortSignal): boolean {
  return signal.aborted && signal.reason instanceof HttpProblem
}

function closing(): HttpProblem {
  return new HttpProblem('closing', 'The server is closing; go on later from where you are.')
}
