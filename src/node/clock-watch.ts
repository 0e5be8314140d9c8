/**
 * Whose clock is wrong, as far as recorded times can tell: boxes whose last commits are recorded in
 * our future, or this box itself when most others are ahead of it. Judged anew on every look, from
 * what the stores hold: so it is known after a restart too, and over once the clock is set.
 *
 * Left out: a clock that is behind writes what an idle box wrote long ago, so nobody can tell it from
 * outside; the box itself sees that the others are ahead.
 */

import { REMOTE_AHEAD_MS_MAX } from '../core/limits.ts'
import type { Millis } from '../core/clock.ts'
import { formatTime } from '../schema/time.ts'
import type { ClockStatus } from './laterbase.ts'
import { CLOCKS_AHEAD_MAX } from './limits.ts'

/** No box ran this program before: a clock that shows an earlier time was never set. */
const RELEASED_MS: Millis = Date.UTC(2026, 0, 1)

export interface ClockView {
  readonly nowMs: Millis
  readonly self: string
  /** The last recorded time of each log that is held, by the peer id of its writer. */
  readonly recorded: Iterable<readonly [peer: string, recordedMs: Millis]>
  /** What this node's recorded time has come to: above all that it gave, and saw and believed. */
  readonly readMs: Millis
}

export function clockStatus({ nowMs, self, recorded, readMs }: ClockView): ClockStatus {
  const last = new Map<string, Millis>()
  for (const [peer, recordedMs] of recorded) {
    if (recordedMs > (last.get(peer) ?? -1)) last.set(peer, recordedMs)
  }
  const ownMs = last.get(self) ?? 0
  last.delete(self)
  const ahead = [...last].filter(([, recordedMs]) => recordedMs > nowMs + REMOTE_AHEAD_MS_MAX)
  const own = judgeOwn({ nowMs, ownMs, boxes: last.size, ahead: ahead.length })
  return {
    now: formatTime(nowMs),
    recordedAheadMs: readMs === 0 ? 0 : readMs - nowMs,
    own,
    ahead: ahead
      .sort(([, a], [, b]) => b - a)
      .slice(0, CLOCKS_AHEAD_MAX)
      .map(([peer, recordedMs]) => ({
        peer,
        recorded: formatTime(recordedMs),
        aheadMs: recordedMs - nowMs
      }))
  }
}

/** In words for a person. */
export function clockWarnings({ now, own, ahead }: ClockStatus): string[] {
  const newest = ahead[0]?.recorded
  switch (own) {
    case 'unset':
      return [`the clock of this box was never set: it shows ${now}; set it right`]
    case 'set-back':
      return [
        `the clock of this box shows ${now}, which is before what it recorded itself: ` +
          'it is behind now, or was ahead then; see that it is right'
      ]
    case 'behind':
      return [
        `the clock of this box is probably behind: it shows ${now}, and most others have ` +
          `recorded later, up to ${newest}; set it right`
      ]
    case 'unsure':
      return ahead.map(
        ({ peer, recorded }) =>
          `the clocks of this box and of ${peer} differ: it recorded at ${recorded}, and here it ` +
          `is ${now}; set right the one that is wrong`
      )
    case 'right':
      return ahead.map(
        ({ peer, recorded }) =>
          `the clock of ${peer} runs ahead, or did: it recorded at ${recorded}; set it right`
      )
  }
}

function judgeOwn(facts: {
  readonly nowMs: Millis
  readonly ownMs: Millis
  readonly boxes: number
  readonly ahead: number
}): ClockStatus['own'] {
  const { nowMs, ownMs, boxes, ahead } = facts
  if (nowMs < RELEASED_MS) return 'unset'
  if (ownMs > nowMs + REMOTE_AHEAD_MS_MAX) return 'set-back'
  if (ahead >= 2 && ahead * 2 > boxes) return 'behind'
  // One against one: nobody can say.
  return ahead === 1 && boxes === 1 ? 'unsure' : 'right'
}
