/** Deadlines by the injected clock, so that a simulation's time rules them too. */

import type { Clock, Millis } from '../core/clock.ts'
import { deadline as startDeadline } from '../p2p/deadline.ts'

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
  const started = startDeadline(deadline.clock, deadline.withinMs, deadline.signal)
  try {
    return await run(started.signal)
  } finally {
    started.clear()
  }
}
