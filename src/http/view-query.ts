/**
 * What is asked of a view: CouchDB's parameters, and ours. Strict: what contradicts something else is
 * refused by its name, because leaving one of the two out would change the answer silently. Leaves out
 * what only the view itself can say, such as whether it has a reduce.
 */

import type { FastifyRequest } from 'fastify'

import type { Json } from '../node/laterbase.ts'
import type { ViewQuery } from '../node/views.ts'
import { BodyQuery, type Parameters } from './body-query.ts'
import type { HttpLimits } from './limits.ts'
import { JSON_TYPE, negotiate, SSE_TYPE } from './negotiate.ts'
import { HttpProblem } from './problem.ts'
import { invalidParameter, Query } from './query.ts'

export type ViewRequest =
  | {
      readonly feed: 'normal'
      readonly query: ViewQuery
      /** For the view to be built and to cover what it should. */
      readonly timeoutMs: number
    }
  | {
      readonly feed: 'eventsource'
      readonly heartbeatMs: number
      /** For nothing to change before the answer ends; undefined: for ever. */
      readonly timeoutMs: number | undefined
    }

/**
 * @param body of a POST: an object of the same names
 * @throws HttpProblem of 400, 406 or 413
 */
export function viewRequest(
  request: FastifyRequest,
  body: string | undefined,
  limits: HttpLimits
): ViewRequest {
  const url = new Query(request.url, PARAMETERS)
  const query = body === undefined ? url : new BodyQuery(url, body, PARAMETERS)
  const feed = query.choice('feed', FEEDS) ?? acceptedFeed(request)
  const { heartbeatMsMin, heartbeatMsMax, heartbeatMsDefault, feedTimeoutMsMax } = limits
  if (feed === 'eventsource') {
    refuseBeside(query, 'feed', ROWS)
    const bounds = { min: heartbeatMsMin, max: heartbeatMsMax }
    return {
      feed,
      heartbeatMs: query.integer('heartbeat', bounds) ?? heartbeatMsDefault,
      timeoutMs: query.integer('timeout', { min: 0, max: feedTimeoutMsMax })
    }
  }
  const { viewMsMin, viewMsMax, viewMsDefault } = limits
  if (query.has('heartbeat')) throw together('heartbeat', 'an answer that is not a feed')
  const timeoutMs = query.integer('timeout', { min: viewMsMin, max: viewMsMax }) ?? viewMsDefault
  return { feed, query: viewQuery(query, limits), timeoutMs }
}

const FEEDS = ['normal', 'eventsource'] as const
const UPDATES = ['true', 'false', 'lazy'] as const
const RANGE = ['startkey', 'start_key', 'endkey', 'end_key', 'inclusive_end']
const ROWS = [
  'key',
  'keys',
  ...RANGE,
  'descending',
  'limit',
  'skip',
  'reduce',
  'group',
  'group_level',
  'include_events',
  'update',
  'as_of',
  'known_at',
  'min_lc',
  'explain'
]
const PARAMETERS = [...ROWS, 'timeout', 'feed', 'heartbeat']

/** Of each, none of the others may stand beside it. */
const EXCLUSIVE: readonly (readonly [name: string, others: readonly string[]])[] = [
  ['key', ['keys', ...RANGE]],
  ['keys', RANGE],
  ['startkey', ['start_key']],
  ['endkey', ['end_key']],
  ['group', ['group_level']]
]

function acceptedFeed(request: FastifyRequest): (typeof FEEDS)[number] {
  const offered: readonly [string, ...string[]] =
    request.method === 'POST' ? [JSON_TYPE] : [JSON_TYPE, SSE_TYPE]
  return negotiate(request.headers.accept, offered) === SSE_TYPE ? 'eventsource' : 'normal'
}

type Asked = { readonly [Name in keyof ViewQuery]: ViewQuery[Name] | undefined }

function viewQuery(query: Parameters, limits: HttpLimits): ViewQuery {
  for (const [name, others] of EXCLUSIVE) refuseBeside(query, name, others)
  const update = query.choice('update', UPDATES)
  const asked: Asked = {
    key: query.json('key'),
    keys: keysOf(query.json('keys'), limits),
    startkey: query.has('start_key') ? query.json('start_key') : query.json('startkey'),
    endkey: query.has('end_key') ? query.json('end_key') : query.json('endkey'),
    inclusive_end: query.flag('inclusive_end'),
    descending: query.flag('descending'),
    limit: query.integer('limit', { min: 0, max: limits.viewRowsMax }),
    skip: query.integer('skip', { min: 0, max: Number.MAX_SAFE_INTEGER }),
    reduce: query.flag('reduce'),
    group: query.flag('group'),
    group_level: query.integer('group_level', { min: 0, max: Number.MAX_SAFE_INTEGER }),
    include_events: query.flag('include_events'),
    update: update === 'lazy' || update === undefined ? update : update === 'true',
    as_of: query.moment('as_of'),
    known_at: query.moment('known_at'),
    min_lc: query.moment('min_lc'),
    explain: query.flag('explain')
  }
  refuseToWaitAndNotTo(asked)
  const given = Object.entries(asked).filter(([, value]) => value !== undefined)
  return Object.fromEntries(given)
}

/** To wait for something and to answer at once are two things. */
function refuseToWaitAndNotTo({ min_lc: minLc, update }: Asked): void {
  if (minLc === undefined || update === undefined || update === true) return
  throw together('min_lc', `update=${update}`)
}

function keysOf(keys: Json | undefined, limits: HttpLimits): readonly Json[] | undefined {
  if (keys === undefined) return undefined
  if (!Array.isArray(keys)) throw invalidParameter('keys', 'an array is expected')
  if (keys.length <= limits.keysBodyMax) return keys as readonly Json[]
  throw new HttpProblem('too-large', `A request may name ${limits.keysBodyMax} keys.`, {
    facts: { parameter: 'keys', keys_max: limits.keysBodyMax }
  })
}

function refuseBeside(query: Parameters, name: string, others: readonly string[]): void {
  if (name !== 'feed' && !query.has(name)) return
  const other = others.find((each) => query.has(each))
  if (other !== undefined) throw together(other, name)
}

function together(name: string, other: string): HttpProblem {
  return new HttpProblem('ambiguous-query', `${name} does not go with ${other}.`, {
    facts: { parameter: name }
  })
}
