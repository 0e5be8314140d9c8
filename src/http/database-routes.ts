/** Databases as resources: make, list, describe, forget; and what is known about their state. */

import type { FastifyReply, FastifyRequest } from 'fastify'

import { COMMIT_EVENTS_MAX, EVENT_BYTES_MAX } from '../../protocols/limits.ts'
import type { DatabaseStatus, LogStatus } from '../node/laterbase.ts'
import type { HttpContext } from './context.ts'
import { within } from './deadline.ts'
import { bodyType, JSON_TYPE, unsupported } from './negotiate.ts'
import { HttpProblem, problemCodeOf } from './problem.ts'
import { expectNoParameters, Query } from './query.ts'
import { databasePath, pathParameter, type Route, sendJson, sendPage } from './route.ts'
import { eventRow } from './rows.ts'

export const DATABASE_ROUTES: readonly Route[] = [
  { path: '/db', handlers: { GET: listDatabases } },
  {
    path: '/db/:db',
    handlers: {
      GET: describeDatabase,
      PUT: createDatabase,
      POST: createDatabase,
      DELETE: forgetDatabase
    }
  },
  { path: '/db/:db/_digest', handlers: { GET: getDigest } },
  { path: '/db/:db/_lag', handlers: { GET: getLag } },
  { path: '/db/:db/_conflicts', handlers: { GET: getConflicts } },
  { path: '/db/:db/_sync', handlers: { POST: syncDatabase } },
  { path: '/db/:db/_verify', handlers: { GET: getVerification, POST: verifyDatabase } }
]

function listDatabases(
  { node }: HttpContext,
  request: FastifyRequest,
  reply: FastifyReply
): FastifyReply {
  expectNoParameters(request.url)
  // Reasons and ways out are in the status: they may name paths of this machine.
  const unopened = node.unopened().map(({ name, code }) => ({ name, code: problemCodeOf(code) }))
  const databases = node.databases()
  return sendJson(reply, JSON.stringify({ databases, ...(unopened.length > 0 && { unopened }) }))
}

async function createDatabase(
  context: HttpContext,
  request: FastifyRequest,
  reply: FastifyReply
): Promise<FastifyReply> {
  expectNoParameters(request.url)
  refuseOtherThanJson(request)
  const name = pathParameter(request, 'db')
  const { database, created } = await context.node.createDatabase(name)
  if (!created && request.method === 'POST') {
    throw new HttpProblem('db-exists', 'PUT takes it as it is.')
  }
  if (created) reply.code(201).header('location', databasePath(name))
  return sendJson(reply, describe(context, await database.status()))
}

async function describeDatabase(
  context: HttpContext,
  request: FastifyRequest,
  reply: FastifyReply
): Promise<FastifyReply> {
  expectNoParameters(request.url)
  const database = context.node.database(pathParameter(request, 'db'))
  return sendJson(reply, describe(context, await database.status()))
}

async function forgetDatabase(
  { node }: HttpContext,
  request: FastifyRequest,
  reply: FastifyReply
): Promise<FastifyReply> {
  const query = new Query(request.url, ['confirm'])
  const name = pathParameter(request, 'db')
  const isUnopened = node.unopened().some((each) => each.name === name)
  if (!isUnopened) node.database(name)
  if (query.text('confirm') !== name) {
    throw new HttpProblem('confirm-required', `Add ?confirm=${name} to forget this copy.`)
  }
  await node.forgetDatabase(name)
  return reply.code(204).send()
}

async function getDigest(
  { node }: HttpContext,
  request: FastifyRequest,
  reply: FastifyReply
): Promise<FastifyReply> {
  expectNoParameters(request.url)
  const database = node.database(pathParameter(request, 'db'))
  const { name, digest, events, lc, version } = await database.status()
  return sendJson(reply, JSON.stringify({ name, digest, events, lc, version }))
}

async function getLag(
  { node }: HttpContext,
  request: FastifyRequest,
  reply: FastifyReply
): Promise<FastifyReply> {
  expectNoParameters(request.url)
  const database = node.database(pathParameter(request, 'db'))
  const { name, logs } = await database.status()
  const missing = logs.reduce((sum, log) => sum + Math.max(0, log.known - log.held), 0)
  return sendJson(reply, JSON.stringify({ name, missing, logs: logs.map(describeLog) }))
}

function getVerification(
  { node }: HttpContext,
  request: FastifyRequest,
  reply: FastifyReply
): FastifyReply {
  expectNoParameters(request.url)
  const database = node.database(pathParameter(request, 'db'))
  return sendJson(reply, JSON.stringify(database.verification()))
}

/** Begins a check, or joins the one that runs; GET says how far it is. */
function verifyDatabase(
  { node, log }: HttpContext,
  request: FastifyRequest,
  reply: FastifyReply
): FastifyReply {
  refuseOtherThanJson(request)
  const query = new Query(request.url, ['signatures'])
  const signatures = query.flag('signatures') ?? false
  const database = node.database(pathParameter(request, 'db'))
  database.verify({ signatures }).catch((error: unknown) => {
    log('error', 'a check failed', { database: database.name, error: String(error) })
  })
  return sendJson(reply.code(202), JSON.stringify(database.verification()))
}

async function getConflicts(
  context: HttpContext,
  request: FastifyRequest,
  reply: FastifyReply
): Promise<FastifyReply> {
  const { node, limits } = context
  const query = new Query(request.url, ['limit'])
  const limit = query.integer('limit', { min: 1, max: limits.conflictsMax }) ?? limits.conflictsMax
  const database = node.database(pathParameter(request, 'db'))
  const rows: string[] = []
  let bytes = 0
  let more = false
  for await (const { key, events } of database.conflicts()) {
    more = rows.length >= limit || bytes > limits.pageBytesMax
    if (more) break
    const versions = events.map((event) => eventRow(event, { includeData: true, oneLine: false }))
    const row = `{"key":"${key}","events":[${versions.join(',')}]}`
    bytes += row.length
    rows.push(row)
  }
  return sendPage(context, reply, `{"conflicts":[${rows.join(',')}],"more":${more}}`)
}

async function syncDatabase(
  { node, limits, feeds }: HttpContext,
  request: FastifyRequest,
  reply: FastifyReply
): Promise<FastifyReply> {
  expectNoParameters(request.url)
  refuseOtherThanJson(request)
  const database = node.database(pathParameter(request, 'db'))
  const done = await feeds.run(reply.raw, (signal) =>
    within(limits.syncMsMax, signal, (scope) => database.sync({ signal: scope }))
  )
  if (!done) {
    throw new HttpProblem('sync-timeout', `It goes on after ${limits.syncMsMax} ms.`, {
      headers: { 'retry-after': String(limits.retryAfterSeconds) }
    })
  }
  const peers = node.peers()
  return sendJson(
    reply,
    JSON.stringify({
      digest: database.digest(),
      equal: peers.filter((each) => each.equal.includes(database.name)).map((each) => each.peer),
      unequal: peers.filter((each) => each.unequal.includes(database.name)).map((each) => each.peer)
    })
  )
}

/** These take no body, but a form post from a web page must not pass for one. */
function refuseOtherThanJson(request: FastifyRequest): void {
  const type = bodyType(request)
  if (type !== '' && type !== JSON_TYPE) throw unsupported([JSON_TYPE])
}

function describe({ limits }: HttpContext, status: DatabaseStatus): string {
  const { name, events, lc, version, digest, diskBytes } = status
  return JSON.stringify({
    name,
    events,
    lc,
    version,
    digest,
    disk_bytes: diskBytes,
    limits: {
      event_bytes_max: EVENT_BYTES_MAX,
      request_events_max: COMMIT_EVENTS_MAX,
      request_bytes_max: limits.bodyBytesMax,
      line_bytes_max: limits.lineBytesMax,
      page_events_max: limits.pageEventsMax,
      keys_max: limits.keysBodyMax
    }
  })
}

function describeLog(log: LogStatus): Readonly<Record<string, unknown>> {
  return {
    log: log.log,
    peer: log.peer,
    own: log.own,
    known: log.known,
    held: log.held,
    missing: log.known > log.held ? [[log.held + 1, log.known]] : [],
    last_recorded: log.lastRecorded,
    forked: log.forked,
    forked_after: log.forkedAfter
  }
}
