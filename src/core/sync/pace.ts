/**
 * How slow an answer may come: a rule about progress, not about the whole, since what a link carries in a
 * second differs by four orders of magnitude. Silence ends a request; so does a trickle, or a peer
 * that sends a byte now and then would hold a fetch for ever.
 */

import type { Millis } from '../clock.ts'

export interface Pace {
  /** For the next bytes to come. */
  readonly silentMsMax: Millis
  /** From the first bytes on, before the rate counts. */
  readonly graceMs: Millis
  /** On average since the first bytes. */
  readonly bytesPerSecondMin: number
}

export interface Progress {
  /** When something came last; before that, when it was asked for. */
  readonly heardMs: Millis
  /** When the first bytes came. */
  readonly firstMs: Millis | undefined
  readonly bytes: number
}

export function newProgress(nowMs: Millis): Progress {
  return { heardMs: nowMs, firstMs: undefined, bytes: 0 }
}

/** @param bytes 0 for a sign of life that brought nothing of an answer */
export function afterBytes(progress: Progress, bytes: number, nowMs: Millis): Progress {
  const firstMs = progress.firstMs ?? (bytes > 0 ? nowMs : undefined)
  return { heardMs: nowMs, firstMs, bytes: progress.bytes + bytes }
}

/** When the answer is too slow, unless more comes before. */
export function overdueAtMs({ heardMs, firstMs, bytes }: Progress, pace: Pace): Millis {
  const silentAtMs = heardMs + pace.silentMsMax
  if (firstMs === undefined) return silentAtMs
  const enoughForMs = (bytes / pace.bytesPerSecondMin) * 1_000
  return Math.min(silentAtMs, firstMs + Math.max(pace.graceMs, enoughForMs))
}
