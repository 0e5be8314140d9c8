/** What a client offers at one database: one event or several become envelopes, each accepted or refused. */

import type { Clock, Hasher, Rng } from '../core/clock.ts'
import { keyMinter } from '../core/event-key.ts'
import { readEnvelope } from '../schema/envelope.ts'
import type { AcceptedEnvelope, RefusedEnvelope } from '../schema/envelope.ts'
import type { AppendOptions } from './laterbase.ts'

export interface IngressInit {
  readonly name: string
  readonly clock: Clock
  readonly futureToleranceMs: number
  readonly rng: Rng
  readonly hasher: Hasher
}

export function readEnvelopes(
  offered: unknown,
  options: AppendOptions,
  { name, clock, futureToleranceMs, rng, hasher }: IngressInit
): (AcceptedEnvelope | RefusedEnvelope)[] {
  const context = {
    database: name,
    nowMs: clock.nowMs(),
    futureToleranceMs: options.clock === 'trust' ? Infinity : futureToleranceMs,
    minter: keyMinter(rng),
    hasher
  }
  if (!Array.isArray(offered)) return [readEnvelope(offered, '', context)]
  return offered.map((event, index) => readEnvelope(event, `/${index}`, context))
}
