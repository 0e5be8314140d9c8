/** Deadlines on an injected clock, as abort signals that leave nothing behind. */

import type { Clock, Millis } from '../core/clock.ts'

export interface Deadline {
  readonly signal: AbortSignal
  /** Must be called when the work is over: frees the timer and the listener on the parent. */
  clear(): void
}

/** Aborts after `afterMs`, or when `parent` does. */
export function deadline(clock: Clock, afterMs: Millis, parent?: AbortSignal): Deadline {
  const controller = new AbortController()
  const timer = clock.setTimer(afterMs, () => {
    controller.abort(new Error(`no result within ${afterMs} ms`))
  })
  const onParent = (): void => controller.abort(parent?.reason)
  if (parent?.aborted === true) onParent()
  parent?.addEventListener('abort', onParent, { once: true })
  return {
    signal: controller.signal,
    clear: () => {
      timer.cancel()
      parent?.removeEventListener('abort', onParent)
    }
  }
}
