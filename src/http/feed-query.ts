/**
 * What a GET of a database's events asks for: the changes feed, some keys, or a range of times.
 * Reads the query and the headers, decides nothing else.
 */

import type { FastifyRequest } from 'fastify'

import type { EventFilter } from '../node/laterbase.ts'
import type { HttpLimits } from './limits.ts'
import { JSON_TYPE, NDJSON_TYPE, negotiate, SSE_TYPE } from './negotiate.ts'
import { HttpProblem } from './problem.ts'
import { invalidParameter, Query } from './query.ts'

export type EventsQuery = FeedQuery | KeysQuery | RangeQuery

export interface FeedQuery {
  readonly mode: 'feed'
  readonly feed: FeedKind
  /** Exclusive. */
  readonly since: string
  readonly filter: EventFilter
  /** Undefined on a live feed: without end. */
  readonly limit: number | undefined
  /** For nothing to happen before the answer ends; undefined: for ever. */
  readonly timeoutMs: number | undefined
  readonly heartbeatMs: number
  readonly includeData: boolean
}

export interface KeysQuery {
  readonly mode: 'keys'
  readonly keys: readonly string[]
  readonly includeData: boolean
}

export interface RangeQuery {
  readonly mode: 'range'
  readonly filter: EventFilter
  readonly limit: number
  readonly includeData: boolean
}

export type FeedKind = 'normal' | 'longpoll' | 'continuous' | 'eventsource'

/** @throws HttpProblem of 400 or 406 */
export function eventsQuery(request: FastifyRequest, limits: HttpLimits): EventsQuery {
  const query = new Query(request.url, PARAMETERS)
  const includeData = query.flag('include_data') ?? true
  const mode = modeOf(query, request)
  if (mode === 'feed') return feedQuery(request, query, limits)
  negotiate(request.headers.accept, [JSON_TYPE])
  if (mode === 'keys') {
    refuseBeside(query, 'keys', [...FILTERS, ...FEED_ONLY, 'limit'])
    return { mode, keys: keysOf(query, limits), includeData }
  }
  refuseBeside(query, 'from and to', FEED_ONLY)
  const limit = query.integer('limit', pageBounds(limits)) ?? limits.pageEventsDefault
  return { mode, filter: filterOf(query), limit, includeData }
}

const FILTERS = ['type', 'subject', 'source', 'from', 'to']
const FEED_ONLY = ['lc', 'feed', 'timeout', 'heartbeat']
const PARAMETERS = [...FEED_ONLY, 'keys', 'limit', 'include_data', ...FILTERS]
const FEEDS = ['normal', 'longpoll', 'continuous', 'eventsource'] as const

/**
 * `lc`, `keys` and `from`/`to` exclude each other, but that `from` and `to` are filters on a feed:
 * so when the client says `feed`, a feed is what it means.
 */
function modeOf(query: Query, request: FastifyRequest): EventsQuery['mode'] {
  const hasRange = query.has('from') || query.has('to')
  if (query.has('feed') || (wantsStream(request) && !query.has('keys'))) return 'feed'
  const modes = [query.has('lc'), query.has('keys'), hasRange]
  if (modes.filter(Boolean).length > 1) {
    throw new HttpProblem('ambiguous-query', 'lc, keys and from/to exclude each other.')
  }
  if (query.has('keys')) return 'keys'
  return hasRange ? 'range' : 'feed'
}

function wantsStream(request: FastifyRequest): boolean {
  const accept = request.headers.accept ?? ''
  return accept.includes(SSE_TYPE) || accept.includes(NDJSON_TYPE)
}

function feedQuery(request: FastifyRequest, query: Query, limits: HttpLimits): FeedQuery {
  refuseBeside(query, 'feed', ['keys'])
  const feed = query.choice('feed', FEEDS) ?? acceptedFeed(request)
  const isLive = feed === 'continuous' || feed === 'eventsource'
  const { heartbeatMsMin, heartbeatMsMax, feedTimeoutMsMax } = limits
  const limit = query.integer('limit', isLive ? LIVE_BOUNDS : pageBounds(limits))
  const timeoutMs = query.integer('timeout', { min: 0, max: feedTimeoutMsMax })
  return {
    mode: 'feed',
    feed,
    since: lastEventId(request) ?? query.moment('lc') ?? '0',
    filter: filterOf(query),
    limit: limit ?? (isLive ? undefined : limits.pageEventsDefault),
    timeoutMs: timeoutMs ?? (isLive ? undefined : limits.longpollMsDefault),
    heartbeatMs:
      query.text('heartbeat') === 'true'
        ? limits.heartbeatMsDefault
        : (query.integer('heartbeat', { min: heartbeatMsMin, max: heartbeatMsMax }) ??
          limits.heartbeatMsDefault),
    includeData: query.flag('include_data') ?? true
  }
}

const LIVE_BOUNDS = { min: 1, max: Number.MAX_SAFE_INTEGER }

function pageBounds(limits: HttpLimits): { readonly min: number; readonly max: number } {
  return { min: 1, max: limits.pageEventsMax }
}

function acceptedFeed(request: FastifyRequest): FeedKind {
  const type = negotiate(request.headers.accept, [JSON_TYPE, NDJSON_TYPE, SSE_TYPE])
  if (type === SSE_TYPE) return 'eventsource'
  return type === NDJSON_TYPE ? 'continuous' : 'normal'
}

/** A browser that reconnects sends it with the address it began with: it is the newer of the two. */
function lastEventId(request: FastifyRequest): string | undefined {
  const id = request.headers['last-event-id']
  return typeof id === 'string' && id !== '' ? id : undefined
}

function filterOf(query: Query): EventFilter {
  const members = [
    ['type', query.text('type')],
    ['subject', query.text('subject')],
    ['source', query.text('source')],
    ['from', query.moment('from')],
    ['to', query.moment('to')]
  ] as const
  return Object.fromEntries(members.filter(([, value]) => value !== undefined))
}

function keysOf(query: Query, limits: HttpLimits): readonly string[] {
  const keys = (query.text('keys') ?? '').split(',').filter((key) => key !== '')
  if (keys.length === 0) throw invalidParameter('keys', 'at least one is expected')
  if (keys.length <= limits.keysMax) return keys
  throw new HttpProblem('too-large', `A query may name ${limits.keysMax} keys; POST to _get.`, {
    facts: { keys_max: limits.keysMax }
  })
}

function refuseBeside(query: Query, mode: string, others: readonly string[]): void {
  const other = others.find((name) => query.has(name))
  if (other === undefined) return
  throw new HttpProblem('ambiguous-query', `${other} does not go with ${mode}.`)
}
