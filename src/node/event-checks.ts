/**
 * Events against the schemas of their types: those that enter, which are refused where they do not follow, and
 * those that are held, which are labelled.
 */

import { setImmediate } from 'node:timers/promises'

import type { Clock } from '../core/clock.ts'
import type { Problem } from '../errors.ts'
import type { AcceptedEnvelope, RefusedEnvelope } from '../schema/envelope.ts'
import { checkEach } from '../schema/schema-in-use.ts'
import type { CheckJob } from '../schema/schema-in-use.ts'
import type { SchemaTable } from './schema-table.ts'

export type Envelope = AcceptedEnvelope | RefusedEnvelope
type Members = Readonly<Record<string, unknown>>

/** What is wrong with an event that is held, by pointers into it. @param members of its value */
export function problemsOfEvent(table: SchemaTable, members: Members): readonly Problem[] {
  const job = jobOf(table, members)
  if (job === undefined) return NONE
  if ('pointer' in job) return [job]
  return inData(job.schema.problemsOf(job.data), '')
}

export interface Entrance {
  readonly clock: Clock
  /** Waits until damage is healed, and ends when the database does. */
  readonly reading: <T>(read: () => Promise<T>) => Promise<T>
  /** The events were offered as an array, so that pointers begin with their places in it. */
  readonly isArray: boolean
  /** Whether exactly this is held. */
  readonly isHeld: (envelope: AcceptedEnvelope) => Promise<boolean>
}

/**
 * Those that do not follow their schemas as refused; the others as they were. What is held does not enter: sent again,
 * it is the duplicate that it is, whatever its schema is by now.
 */
export async function checkEnvelopes(
  table: SchemaTable,
  envelopes: readonly Envelope[],
  { clock, reading, isArray, isHeld }: Entrance
): Promise<readonly Envelope[]> {
  const isTyped = envelopes.some((each) => each.type === 'accepted' && each.eventType !== undefined)
  if (!isTyped) return envelopes
  if (table.load() !== undefined) await reading(async () => table.load())
  if (table.isEmpty) return envelopes
  const refused = new Map<number, readonly Problem[]>()
  const jobs: CheckJob[] = []
  const places: number[] = []
  for (const [index, envelope] of envelopes.entries()) {
    if (envelope.type === 'refused' || envelope.eventType === undefined) continue
    const job = jobOf(table, membersOf(table, envelope.eventType, envelope.value))
    if (job === undefined) continue
    if ('pointer' in job) refused.set(index, [job])
    else {
      jobs.push(job)
      places.push(index)
    }
  }
  const turns = { monotonicMs: () => clock.monotonicMs(), pause: () => setImmediate() }
  for (const [at, problems] of (await checkEach(jobs, turns)).entries()) {
    if (problems.length > 0) refused.set(places[at] ?? 0, inData(problems, ''))
  }
  for (const index of refused.keys()) {
    const envelope = envelopes[index]
    if (envelope?.type === 'accepted' && (await isHeld(envelope))) refused.delete(index)
  }
  if (refused.size === 0) return envelopes
  return envelopes.map((envelope, index) => {
    const problems = refused.get(index)
    return problems === undefined ? envelope : refusedEnvelope(problems, isArray ? `/${index}` : '')
  })
}

const NONE: readonly Problem[] = []

/**
 * Data and its schema; a problem where there is no data. Undefined where there is nothing to follow: a
 * correction without data takes an event back, and says nothing else.
 */
function jobOf(table: SchemaTable, members: Members): CheckJob | Problem | undefined {
  const { type, schema: version, data, corrects } = members
  if (typeof type !== 'string') return undefined
  const schema = table.find(type, typeof version === 'string' ? version : undefined)
  if (schema === undefined || (data === null && corrects !== undefined)) return undefined
  if (data !== undefined) return { schema, data }
  return { pointer: '/data_base64', detail: 'events of this type follow a schema, and have data' }
}

/** As they are stored: what is looked at is what others will look at. */
function membersOf(table: SchemaTable, eventType: string, value: Uint8Array): Members {
  if (!table.has(eventType)) return {}
  const { buffer, byteOffset, length } = value
  return JSON.parse(Buffer.from(buffer, byteOffset, length).toString()) as Members
}

function inData(problems: readonly Problem[], pointer: string): readonly Problem[] {
  return problems.map((problem) => ({ ...problem, pointer: `${pointer}/data${problem.pointer}` }))
}

function refusedEnvelope(problems: readonly Problem[], pointer: string): RefusedEnvelope {
  const [problem = { pointer: '', detail: '' }, ...others] = problems.map((each) => ({
    ...each,
    pointer: pointer + each.pointer
  }))
  return { type: 'refused', code: 'LATERBASE_EVENT_INVALID', problem, others }
}
