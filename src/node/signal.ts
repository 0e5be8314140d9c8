/** A counter that can be waited for: wakes feeds and replication after each batch. */

export interface Signal {
  /** How often it was told. */
  count(): number
  tell(): void
  /**
   * Resolves once the count has passed `count`: read the count, look, then wait, and nothing told
   * in between is missed. Resolves on abort too; the caller looks at its signal.
   */
  after(count: number, signal?: AbortSignal): Promise<void>
}

export function createSignal(): Signal {
  let count = 0
  const waiting = new Set<() => void>()
  return {
    count: () => count,
    tell: () => {
      count += 1
      const woken = [...waiting]
      waiting.clear()
      for (const wake of woken) wake()
    },
    after: (seen, signal) => {
      if (count > seen || signal?.aborted === true) return Promise.resolve()
      return new Promise((resolve) => {
        const wake = (): void => {
          signal?.removeEventListener('abort', wake)
          waiting.delete(wake)
          resolve()
        }
        waiting.add(wake)
        signal?.addEventListener('abort', wake)
      })
    }
  }
}
