/** When to talk to whom: jittered intervals and capped backoff, as pure functions of chance. */

import type { Millis, Rng } from '../clock.ts'

/** A wait around `meanMs`, between half and one and a half of it, so that nodes do not march in step. */
export function jittered(meanMs: Millis, rng: Rng): Millis {
  return meanMs * (0.5 + rng.fraction())
}

/** The wait before try number `failures + 1`: doubling from `firstMs` to `maxMs`, jittered. */
export function backoff(failures: number, firstMs: Millis, maxMs: Millis, rng: Rng): Millis {
  const doubled = firstMs * 2 ** Math.min(failures, DOUBLINGS_MAX)
  return jittered(Math.min(doubled, maxMs), rng)
}

/** Beyond this the cap has long been reached; it keeps the power finite. */
const DOUBLINGS_MAX = 30
