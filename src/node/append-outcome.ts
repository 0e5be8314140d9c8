/** What became of an append, in the words of the public interface: results and errors. */

import { present } from '../core/assert.ts'
import type { Clock } from '../core/clock.ts'
import { formatEventKey } from '../core/event-key.ts'
import { LaterbaseError } from '../errors.ts'
import type { AcceptedEnvelope, RefusedEnvelope } from '../schema/envelope.ts'
import { formatTime } from '../schema/time.ts'
import type { AppendOutcome } from '../store/group-commit.ts'
import type { AppendedEvent } from './laterbase.ts'

export interface Ingress {
  readonly clock: Clock
  readonly futureToleranceMs: number
}

/** @throws LATERBASE_EVENT_INVALID with the fact `malformed` for a text that is not JSON */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (cause) {
    const detail = cause instanceof Error ? cause.message : 'not JSON'
    const problems = [{ pointer: '', detail }]
    const facts = { malformed: true }
    throw new LaterbaseError('LATERBASE_EVENT_INVALID', detail, { cause, problems, facts })
  }
}

/** The error for events that break a rule. */
export function invalidEvents(problems: LaterbaseError['problems']): LaterbaseError {
  const [first] = problems
  const message = `${first?.pointer ?? ''}: ${first?.detail ?? ''}`
  return new LaterbaseError('LATERBASE_EVENT_INVALID', message, { problems })
}

/** The error for a request that is refused whole: of the kind of its first fault, with all faults. */
export function refusal(refused: readonly RefusedEnvelope[], ingress: Ingress): LaterbaseError {
  const { code, problem } = present(refused[0], 'a refused event')
  const problems = refused
    .filter((other) => other.code === code)
    .flatMap((other) => [other.problem, ...(other.others ?? [])])
  const message = `${problem.pointer === '' ? 'event' : problem.pointer}: ${problem.detail}`
  if (code !== 'LATERBASE_FUTURE_DATED') return new LaterbaseError(code, message, { problems })
  const facts = {
    skew_ms: Math.ceil(Math.max(...refused.map((other) => other.aheadMs ?? 0))),
    node_time: formatTime(Math.max(0, ingress.clock.nowMs())),
    tolerance_ms: ingress.futureToleranceMs
  }
  return new LaterbaseError(code, message, { problems, facts })
}

/** @throws LATERBASE_KEY_CONFLICT when one of the events contradicts one that is held */
export function refuseConflicts(
  accepted: readonly AcceptedEnvelope[],
  outcomes: readonly AppendOutcome[],
  isArray: boolean
): void {
  if (!outcomes.some(({ type }) => type === 'conflict')) return
  const problems = accepted.flatMap((_, index) => {
    if (outcomes[index]?.type !== 'conflict') return []
    return [{ pointer: isArray ? `/${index}` : '', detail: CONFLICT }]
  })
  throw new LaterbaseError('LATERBASE_KEY_CONFLICT', CONFLICT, { problems })
}

const CONFLICT =
  'an event with this key and other content exists; nothing of the request was written'

/** One for each event that was offered, in that order. @param outcomes one for each that was accepted */
export function appendResults(
  envelopes: readonly (AcceptedEnvelope | RefusedEnvelope)[],
  outcomes: readonly AppendOutcome[],
  isArray: boolean
): AppendedEvent[] {
  let at = 0
  return envelopes.map((envelope, index) => {
    if (envelope.type === 'refused') return rejectedResult(envelope)
    const outcome = present(outcomes[at], 'one outcome an event')
    at += 1
    return appendedResult(envelope, outcome, isArray ? `/${index}` : '')
  })
}

function rejectedResult(envelope: RefusedEnvelope): AppendedEvent {
  return { status: 'rejected', code: envelope.code, problem: envelope.problem }
}

function appendedResult(
  envelope: AcceptedEnvelope,
  outcome: AppendOutcome,
  pointer: string
): AppendedEvent {
  if (outcome.type === 'conflict') {
    const problem = { pointer, detail: 'an event with this key and other content exists' }
    return { status: 'rejected', code: 'LATERBASE_KEY_CONFLICT', problem }
  }
  return {
    key: formatEventKey(envelope.key),
    status: outcome.type,
    hash: Buffer.from(envelope.hash).toString('hex')
  }
}
