/**
 * The only timers of the facade. They bound what sockets do, nothing that is stored depends on
 * them, so they are not injected as the node's clock is.
 */

/** Calls `callback` once after `ms`; returns how to cancel it. Does not keep a process alive. */
export function after(ms: number, callback: () => void): () => void {
  const timer = setTimeout(callback, ms)
  timer.unref()
  return () => {
    clearTimeout(timer)
  }
}

/** Milliseconds that never go back, for intervals. */
export function monotonicMs(): number {
  return performance.now()
}

/** Resolves after `ms`, or when `signal` aborts, whichever is first. */
export function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      cancel()
      signal.removeEventListener('abort', done)
      resolve()
    }
    const cancel = after(ms, done)
    signal.addEventListener('abort', done, { once: true })
    if (signal.aborted) done()
  })
}

const ELAPSED = new Error('the time is over')

/**
 * Runs `operation` with a signal that aborts after `ms` or with `signal`.
 *
 * Every wait makes its own controller and takes its listener off again: a feed that is idle for
 * weeks must not gather one reaction per heartbeat.
 *
 * @returns false when `ms` elapsed first
 * @throws what `operation` throws; `signal.reason` on abort
 */
export async function within(
  ms: number,
  signal: AbortSignal,
  operation: (signal: AbortSignal) => Promise<unknown>
): Promise<boolean> {
  signal.throwIfAborted()
  const scope = new AbortController()
  const forward = (): void => {
    scope.abort(signal.reason)
  }
  signal.addEventListener('abort', forward, { once: true })
  const cancel = after(ms, () => {
    scope.abort(ELAPSED)
  })
  try {
    await operation(scope.signal)
    return true
  } catch (error) {
    if (scope.signal.reason === ELAPSED) return false
    throw error
  } finally {
    cancel()
    signal.removeEventListener('abort', forward)
  }
}
