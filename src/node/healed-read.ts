/** Reads that wait for damage that they met to be healed, and then go on where they were. */

import { keyAfter } from '../core/event-key.ts'
import type { EventKey } from '../core/event-key.ts'
import type { KeyRange, StoredEvent } from '../store/event-store.ts'
import { HEALED_READ_ATTEMPTS_MAX } from './limits.ts'

/**
 * @param heal whether what the read threw was healed
 * @throws what the read threw, where it was not
 */
export async function healedRead<T>(
  read: () => Promise<T>,
  heal: (error: unknown) => Promise<boolean>
): Promise<T> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await read()
    } catch (error) {
      if (attempt >= HEALED_READ_ATTEMPTS_MAX || !(await heal(error))) throw error
    }
  }
}

/**
 * Goes on behind the last key that it was through with. Of a key with several contents that is where
 * the one that answers was given: forwards it is the first, backwards the last, and nobody is to
 * miss it. So other contents may come again, which those who scan leave out.
 *
 * @param heal whether what a scan threw was healed
 */
export async function* healedScan(
  range: KeyRange,
  scan: (range: KeyRange) => AsyncIterable<StoredEvent[]>,
  heal: (error: unknown) => Promise<boolean>
): AsyncGenerator<readonly StoredEvent[]> {
  let rest: KeyRange | undefined = range
  let said: string | undefined
  while (rest !== undefined) {
    let last: EventKey | undefined
    try {
      for await (const events of scan(rest)) {
        const through = events.findLast(({ alternate }) => !alternate)
        yield events
        last = through?.key ?? last
      }
      return
    } catch (error) {
      // The same once more: what was healed is not what the scan cannot read.
      if (last === undefined && said === String(error)) throw error
      if (!(await heal(error))) throw error
      said = String(error)
      rest = last === undefined ? rest : beyond(rest, last)
    }
  }
}

/** What of a range lies beyond a key; undefined where nothing can. */
function beyond(range: KeyRange, last: EventKey): KeyRange | undefined {
  if (range.reverse === true) return { ...range, to: last }
  const from = keyAfter(last)
  return from === undefined ? undefined : { ...range, from }
}
