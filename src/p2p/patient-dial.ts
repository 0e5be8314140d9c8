/**
 * Dials a peer that may refuse for a moment: it dialed us at the same time, or still holds the
 * connection of this box's life before. Both end soon; a peer that refuses for good says so again.
 */

import type { Clock } from '../core/clock.ts'
import { deadline } from './deadline.ts'
import { REFUSED_RETRY_MS, REFUSED_TRIES_MAX } from './limits.ts'

/**
 * @param isTaken dials once, and says whether the peer has taken the connection
 * @throws what `isTaken` throws; when the peer has refused the last time; the reason of `signal`
 */
export async function dialPatiently(
  clock: Clock,
  signal: AbortSignal,
  isTaken: () => Promise<boolean>
): Promise<void> {
  for (let tries = 1; !(await isTaken()); tries += 1) {
    if (tries === REFUSED_TRIES_MAX) throw new Error('the peer refused the connection')
    const wait = deadline(clock, tries * REFUSED_RETRY_MS, signal)
    await new Promise<void>((resolve) => {
      if (wait.signal.aborted) resolve()
      wait.signal.addEventListener('abort', () => resolve(), { once: true })
    })
    wait.clear()
    signal.throwIfAborted()
  }
}
