/** Answers of a node that go on: their lines, and when to ask again after one was cut. */

import { CommandFailure } from './failure.ts'
import { FEED_BACKOFF_MS_MAX, FEED_BACKOFF_MS_MIN } from './limits.ts'

/** Whole lines, as many as came together. */
export async function* lineGroups(response: Response): AsyncGenerator<readonly string[]> {
  if (response.body === null) return
  const decoder = new TextDecoder()
  let rest = ''
  for await (const chunk of response.body as AsyncIterable<Uint8Array>) {
    const text = rest + decoder.decode(chunk, { stream: true })
    const end = text.lastIndexOf('\n')
    rest = text.slice(end + 1)
    if (end !== -1) yield text.slice(0, end).split('\n')
  }
}

/** A node that restarts is waited for; one that says no is believed. */
export function isPassing(error: unknown): boolean {
  if (error instanceof CommandFailure) {
    return ['node-unreachable', 'closing', 'busy', 'feeds-full', 'feed-cut'].includes(error.code)
  }
  // `terminated`: the connection broke while the answer was read.
  return error instanceof TypeError
}

/** Waits that grow until something comes. */
export class Backoff {
  #ms = FEED_BACKOFF_MS_MIN

  /** The next wait. */
  get ms(): number {
    return this.#ms
  }

  reset(): void {
    this.#ms = FEED_BACKOFF_MS_MIN
  }

  async wait(): Promise<void> {
    await new Promise((resolve) => {
      setTimeout(resolve, this.#ms)
    })
    this.#ms = Math.min(this.#ms * 2, FEED_BACKOFF_MS_MAX)
  }
}
