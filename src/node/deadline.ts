/** Deadlines by the injected clock, so that a simulation's time rules them too. */

import type { Clock, Millis, Timer } from '../core/clock.ts'
import { afterBytes, newProgress, overdueAtMs } from '../core/sync/pace.ts'
import type { Pace } from '../core/sync/pace.ts'
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

export interface PacedDeadline {
  readonly clock: Clock
  readonly pace: Pace
  /** Ends it earlier. */
  readonly signal: AbortSignal
}

/** Runs a task that tells of its progress, with a signal that aborts once there is too little of it. */
export async function withPace<T>(
  { clock, pace, signal: outer }: PacedDeadline,
  run: (signal: AbortSignal, onProgress: (bytes: number) => void) => Promise<T>
): Promise<T> {
  const controller = new AbortController()
  let progress = newProgress(clock.monotonicMs())
  let timer: Timer
  const look = (): void => {
    const leftMs = overdueAtMs(progress, pace) - clock.monotonicMs()
    // Armed anew when it fires, not with all that comes in.
    if (leftMs > 0) timer = clock.setTimer(leftMs, look)
    else controller.abort(new Error(`too slow: ${progress.bytes} bytes came`))
  }
  const onOuter = (): void => controller.abort(outer.reason)
  if (outer.aborted) onOuter()
  outer.addEventListener('abort', onOuter, { once: true })
  timer = clock.setTimer(overdueAtMs(progress, pace) - clock.monotonicMs(), look)
  try {
    return await run(controller.signal, (bytes) => {
      progress = afterBytes(progress, bytes, clock.monotonicMs())
    })
  } finally {
    timer.cancel()
    outer.removeEventListener('abort', onOuter)
  }
}
