/** Waiting that somebody may end, for what goes on anyway; and reading, which then does not go on. */

import type { DerivedReader } from '../store/derived-store.ts'

/** The result of what goes on anyway, or the end of waiting for it. */
export function unlessAborted<T>(result: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = (): void => reject(signal.reason)
    signal.addEventListener('abort', abort, { once: true })
    result.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort))
  })
}

/** A reader of whom nothing more is read once the signal is aborted. It throws `signal.reason` then. */
export function readUnlessAborted(
  reader: DerivedReader,
  signal: AbortSignal | undefined
): DerivedReader {
  if (signal === undefined) return reader
  return {
    get: async (key) => {
      signal.throwIfAborted()
      return reader.get(key)
    },
    scan: async (range) => {
      signal.throwIfAborted()
      return reader.scan(range)
    },
    async *chunks(range) {
      for await (const records of reader.chunks(range)) {
        signal.throwIfAborted()
        yield records
      }
    }
  }
}
