/**
 * Writing events: JSON and CloudEvents in one request, one commit. NDJSON streams are in
 * `ndjson-write.ts`. The body goes to the node as text; nothing here parses an event's data.
 */

import type { FastifyReply, FastifyRequest } from 'fastify'

import type { AppendedEvent, AppendOptions, Database } from '../node/laterbase.ts'
import { fromCloudEvent, fromCloudEvents } from './cloud-events.ts'
import type { HttpContext } from './context.ts'
import {
  bodyType,
  CLOUD_EVENT_TYPE,
  CLOUD_EVENTS_TYPE,
  JSON_TYPE,
  NDJSON_TYPE,
  unsupported
} from './negotiate.ts'
import { writeNdjson } from './ndjson-write.ts'
import { Query } from './query.ts'
import { databasePath, pathParameter, sendJson } from './route.ts'
import { eventTag } from './rows.ts'
import { writeResults, writeStatus } from './write-results.ts'

/** POST /db/{db}/e */
export async function writeEvents(
  context: HttpContext,
  request: FastifyRequest,
  reply: FastifyReply
): Promise<FastifyReply> {
  const query = new Query(request.url, ['on_error', 'clock'])
  const onError = query.choice('on_error', ['proceed'])
  const clock = query.choice('clock', ['trust'])
  // A client that leaves does not undo its write: it may have been acknowledged to it already.
  const options: AppendOptions = { ...(onError && { onError }), ...(clock && { clock }) }
  const database = context.node.database(pathParameter(request, 'db'))
  const type = bodyType(request)
  if (type === NDJSON_TYPE) return writeNdjson({ context, database, options, request, reply })
  const translate = TRANSLATIONS.get(type)
  if (translate === undefined) throw unsupported([...TRANSLATIONS.keys(), NDJSON_TYPE])
  return context.bodies.withText(request.raw, (text) =>
    writeText(database, translate(text), options, reply)
  )
}

/** From the body's media type to the text that the node takes. */
const TRANSLATIONS: ReadonlyMap<string, (text: string) => string> = new Map([
  [JSON_TYPE, (text: string) => text],
  [CLOUD_EVENT_TYPE, fromCloudEvent],
  [CLOUD_EVENTS_TYPE, fromCloudEvents]
])

async function writeText(
  database: Database,
  text: string,
  options: AppendOptions,
  reply: FastifyReply
): Promise<FastifyReply> {
  const appended = await database.appendJson(text, options)
  const only = appended.results[0]
  if (appended.results.length === 1 && only?.status !== 'rejected' && only !== undefined) {
    if (isObject(text)) await addResourceHeaders(database, only, reply)
  }
  reply.code(writeStatus(appended.results))
  return sendJson(reply, JSON.stringify({ lc: appended.lc, results: writeResults(appended) }))
}

type WrittenEvent = Exclude<AppendedEvent, { readonly status: 'rejected' }>

/** Where the one event that was written is, and which it is. */
async function addResourceHeaders(
  database: Database,
  written: WrittenEvent,
  reply: FastifyReply
): Promise<void> {
  const { key, status, hash } = written
  reply.header('location', `${databasePath(database.name)}/e/${key}`)
  // A duplicate may be one of several contents of its key; what is new here is the only one.
  const event = status === 'created' ? { hash, conflict: false } : await database.get(key)
  if (event !== undefined) reply.header('etag', eventTag(event))
}

function isObject(json: string): boolean {
  return json.trimStart().startsWith('{')
}
