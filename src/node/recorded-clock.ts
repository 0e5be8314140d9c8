/** The node's hybrid logical clock: one for all of its databases, never back, across restarts too. */

import { isAhead, nextStamp, observeStamp } from '../core/hybrid-logical-clock.ts'
import type { Stamp } from '../core/hybrid-logical-clock.ts'
import type { Clock } from '../core/clock.ts'

export interface RecordedClock {
  /** A stamp above every one given or observed. */
  next(): Stamp
  /** Takes a peer's stamp into account; `ahead` when it is too far ahead to be believed. */
  observe(recorded: Stamp): { readonly ahead: boolean }
  /** Sees to it that no stamp up to `ceiling` is given: what a store remembers from before. */
  raise(ceiling: Stamp): void
  read(): Stamp
}

export function createRecordedClock(clock: Clock): RecordedClock {
  let last: Stamp = 0n
  return {
    next: () => {
      last = nextStamp(last, clock.nowMs())
      return last
    },
    observe: (recorded) => {
      last = observeStamp(last, recorded, clock.nowMs())
      return { ahead: isAhead(recorded, clock.nowMs()) }
    },
    raise: (ceiling) => {
      if (ceiling > last) last = ceiling
    },
    read: () => last
  }
}
