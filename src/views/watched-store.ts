/** A derived store of which somebody is told when it fails, whoever met the failure. */

import type {
  DerivedReader,
  DerivedRecord,
  DerivedSnapshot,
  DerivedStore
} from '../store/derived-store.ts'

export function watchedStore(store: DerivedStore, failed: (error: unknown) => void): DerivedStore {
  const told = async <T>(operation: Promise<T>): Promise<T> => {
    try {
      return await operation
    } catch (error) {
      failed(error)
      throw error
    }
  }
  const reading = (reader: DerivedReader): DerivedReader => ({
    get: (key) => told(reader.get(key)),
    scan: (range) => told(reader.scan(range)),
    async *chunks(range): AsyncGenerator<readonly DerivedRecord[]> {
      const chunks = reader.chunks(range)[Symbol.asyncIterator]()
      try {
        for (;;) {
          const { done, value } = await told(chunks.next())
          if (done === true) return
          yield value
        }
      } finally {
        await chunks.return?.()
      }
    }
  })
  return {
    ...reading(store),
    snapshot: (): DerivedSnapshot => {
      const snapshot = store.snapshot()
      return { ...reading(snapshot), release: () => snapshot.release() }
    },
    write: (changes) => told(store.write(changes)),
    clear: (prefix) => told(store.clear(prefix)),
    diskBytes: (prefix) => store.diskBytes(prefix),
    close: () => store.close()
  }
}
