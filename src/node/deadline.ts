/** Deadlines by the injected clock, so that a simulation's time rules them too. */

import type { Clock, Millis } from '../core/clock.ts'

export interface Deadline {
  readonly clock: Clock
  readonly withinMs: Millis
  /** Ends it earlier. */
  readonly signal: AbortSignal
}

/** Runs a task with a signal that aborts at the deadline or with the outer signal. */
export async function withDeadline<T>(
  deadline: Deadline,
  run: (signal: AbortSignal) => Promise<T>
): Promise<T> {
  const own = new AbortController()
  const stop = (): void => own.abort(deadline.signal.reason)
  const timer = deadline.clock.setTimer(deadline.withinMs, () => {
    own.abort(new Error(`no answer within ${deadline.withinMs} ms`))
  })
  if (deadline.signal.aborted) stop()
  deadline.signal.addEventListener('abort', stop)
  try {
    return await run(own.signal)
  } finally {
    timer.cancel()
    deadline.signal.removeEventListener('abort', stop)
  }
}
