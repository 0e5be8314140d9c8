/**
 * Recorded time: hybrid logical clock stamps of 48 bits of milliseconds and 16 bits of counter
 * (Kulkarni et al. 2014), one per commit. Stamps of a node strictly rise, whatever its wall clock
 * does; a commit gets a higher stamp than any commit that the node had seen before.
 */

import { assert } from './assert.ts'
import type { Millis } from './clock.ts'
import { REMOTE_AHEAD_MS_MAX } from './limits.ts'

/** milliseconds × 2^16 + counter. */
export type Stamp = bigint

const COUNTER_BITS = 16n
/** The highest stamp that has a successor. */
const STAMP_MAX = 2n ** 64n - 1n

/** The next stamp after `last` at wall time `nowMs`. A full counter runs into the next millisecond. */
export function nextStamp(last: Stamp, nowMs: Millis): Stamp {
  const wall = BigInt(Math.max(0, Math.floor(nowMs))) << COUNTER_BITS
  const next = wall > last ? wall : last + 1n
  assert(next <= STAMP_MAX, 'recorded time fits 64 bits')
  return next
}

/** The clock's reading after it saw a remote stamp at wall time `nowMs`. */
export function observeStamp(last: Stamp, remote: Stamp, nowMs: Millis): Stamp {
  if (isAhead(remote, nowMs)) return last
  return remote > last ? remote : last
}

/** Whether a remote stamp is too far ahead of our wall clock to be believed. */
export function isAhead(remote: Stamp, nowMs: Millis): boolean {
  return stampMs(remote) > nowMs + REMOTE_AHEAD_MS_MAX
}

export function stampMs(stamp: Stamp): Millis {
  return Number(stamp >> COUNTER_BITS)
}

/** The lowest stamp of a millisecond. */
export function stampAt(timeMs: Millis): Stamp {
  return BigInt(Math.max(0, Math.floor(timeMs))) << COUNTER_BITS
}
