/**
 * Reading events: one by its key, some by their keys, a range by when they happened. The changes
 * feed is in `changes-feed.ts` and `live-feed.ts`.
 */

import { Readable } from 'node:stream'

import type { FastifyReply, FastifyRequest } from 'fastify'

import type { Database, RecordedEvent } from '../node/laterbase.ts'
import { answerFeed } from './changes-feed.ts'
import type { HttpContext } from './context.ts'
import { isNotModified } from './entity-tags.ts'
import { eventsQuery, type KeysQuery, type RangeQuery } from './feed-query.ts'
import { bodyType, JSON_TYPE, unsupported } from './negotiate.ts'
import { HttpProblem } from './problem.ts'
import { expectNoParameters, Query } from './query.ts'
import { pathParameter, type Route, sendJson, sendPage } from './route.ts'
import { eventRow, eventTag, missingRow } from './rows.ts'
import { ulidAfter } from './ulid-text.ts'
import { writeEvents } from './write-routes.ts'

export const EVENT_ROUTES: readonly Route[] = [
  { path: '/db/:db/e', handlers: { GET: readEvents, POST: writeEvents }, negotiates: true },
  { path: '/db/:db/e/_get', handlers: { POST: readKeysOfBody } },
  { path: '/db/:db/e/:key', handlers: { GET: readEvent } }
]

async function readEvents(
  context: HttpContext,
  request: FastifyRequest,
  reply: FastifyReply
): Promise<FastifyReply> {
  const database = context.node.database(pathParameter(request, 'db'))
  const query = eventsQuery(request, context.limits)
  if (query.mode === 'feed') return answerFeed({ context, database, query, request, reply })
  if (query.mode === 'keys') return answerKeys(context, database, query, reply)
  return answerRange(context, database, query, reply)
}

/** An event never changes, so its hash is a strong validator of the body, which is only the event. */
async function readEvent(
  { node }: HttpContext,
  request: FastifyRequest,
  reply: FastifyReply
): Promise<FastifyReply> {
  expectNoParameters(request.url)
  const database = node.database(pathParameter(request, 'db'))
  const event = await database.get(pathParameter(request, 'key'))
  if (event === undefined) throw new HttpProblem('event-unknown', 'No event here has this key.')
  const etag = eventTag(event)
  reply.header('etag', etag)
  reply.header('cache-control', event.conflict ? 'no-cache' : 'max-age=31536000, immutable')
  reply.header('laterbase-recorded', event.recorded)
  reply.header('laterbase-log', `${event.log}/${event.seq}`)
  if (event.conflict) reply.header('laterbase-conflict', 'true')
  if (isNotModified(request.headers, etag)) return reply.code(304).send()
  return sendJson(reply, event.json)
}

/** `{"keys": […]}`, for more keys than a URL holds. */
async function readKeysOfBody(
  context: HttpContext,
  request: FastifyRequest,
  reply: FastifyReply
): Promise<FastifyReply> {
  const query = new Query(request.url, ['include_data'])
  const includeData = query.flag('include_data') ?? true
  const database = context.node.database(pathParameter(request, 'db'))
  if (bodyType(request) !== JSON_TYPE) throw unsupported([JSON_TYPE])
  return context.bodies.withText(request.raw, (text) => {
    const keys = parseKeys(text, context.limits.keysBodyMax)
    return answerKeys(context, database, { mode: 'keys', keys, includeData }, reply)
  })
}

function parseKeys(text: string, countMax: number): readonly string[] {
  let body: unknown
  try {
    body = JSON.parse(text)
  } catch (error) {
    throw new HttpProblem('malformed-json', 'The body is not JSON.', { cause: error })
  }
  const keys: unknown = typeof body === 'object' && body !== null && 'keys' in body && body.keys
  if (!Array.isArray(keys) || !keys.every((key) => typeof key === 'string')) {
    throw new HttpProblem('argument-invalid', 'The body must be {"keys": […]}, of texts.', {
      errors: [{ pointer: '/keys', detail: 'an array of keys is expected' }]
    })
  }
  if (keys.length <= countMax) return keys
  throw new HttpProblem('too-large', `A request may name ${countMax} keys.`, {
    facts: { keys_max: countMax }
  })
}

/**
 * In the order of the keys. Streamed, because ten thousand large events are more than one answer
 * should hold in memory; the first batch is read before, so that a bad key is a 400.
 */
async function answerKeys(
  context: HttpContext,
  database: Database,
  query: KeysQuery,
  reply: FastifyReply
): Promise<FastifyReply> {
  const { limits } = context
  const { keys, includeData } = query
  const readBatch = async (start: number): Promise<string> => {
    const batch = keys.slice(start, start + limits.keysBatch)
    const events = await database.getMany(batch)
    return batch.map((key, at) => rowOf(key, events[at], includeData)).join(',')
  }
  const first = await readBatch(0)
  if (keys.length <= limits.keysBatch) return sendPage(context, reply, `{"results":[${first}]}`)
  async function* answer(): AsyncGenerator<string> {
    yield `{"results":[${first}`
    for (let start = limits.keysBatch; start < keys.length; start += limits.keysBatch) {
      yield `,${await readBatch(start)}`
    }
    yield ']}'
  }
  return reply.type(JSON_TYPE).send(Readable.from(answer(), { objectMode: false }))
}

function rowOf(key: string, event: RecordedEvent | undefined, includeData: boolean): string {
  return event === undefined ? missingRow(key) : eventRow(event, { includeData, oneLine: false })
}

/**
 * A page of a range, and as `next` the key to go on `from`. A page never ends between two events
 * of one key, which a key could not tell apart.
 */
async function answerRange(
  context: HttpContext,
  database: Database,
  query: RangeQuery,
  reply: FastifyReply
): Promise<FastifyReply> {
  const { limits } = context
  const { from, to } = query.filter
  const rows: string[] = []
  let bytes = 0
  let scanned = 0
  let lastKey = ''
  let next: string | undefined
  for await (const event of database.range({ ...(from && { from }), ...(to && { to }) })) {
    const isFull =
      rows.length >= query.limit || bytes > limits.pageBytesMax || scanned >= limits.rangeScanMax
    if (isFull && event.key !== lastKey) {
      next = ulidAfter(lastKey)
      break
    }
    scanned++
    lastKey = event.key
    if (!passes(event, query.filter)) continue
    const row = eventRow(event, { includeData: query.includeData, oneLine: false })
    bytes += row.length
    rows.push(row)
  }
  const more = next === undefined ? '' : `,"next":"${next}"`
  return sendPage(context, reply, `{"results":[${rows.join(',')}]${more}}`)
}

function passes(event: RecordedEvent, { type, subject, source }: RangeQuery['filter']): boolean {
  return (
    (type === undefined || event.type === type) &&
    (subject === undefined || event.subject === subject) &&
    (source === undefined || event.source === source)
  )
}
