/**
 * Views: what they are asked, in full and in the short form of the address, and what is known of them.
 * Their definitions are in `view-definitions.ts`, their feeds in `view-feed.ts`.
 */

import type { FastifyReply, FastifyRequest } from 'fastify'

import { isLaterbaseError } from '../errors.ts'
import type { View, ViewAnswer, ViewGetOptions, ViewQuery } from '../node/views.ts'
import type { HttpContext } from './context.ts'
import { within } from './deadline.ts'
import { isNotModified } from './entity-tags.ts'
import { bodyType, JSON_TYPE, unsupported } from './negotiate.ts'
import { HttpProblem } from './problem.ts'
import { expectNoParameters } from './query.ts'
import { databasePath, pathParameter, type Route, sendJson, sendPage } from './route.ts'
import { answerText, describeView } from './view-answer.ts'
import { deleteDefinition, getDefinition, putDefinition } from './view-definitions.ts'
import { streamView } from './view-feed.ts'
import { type ViewRequest, viewRequest } from './view-query.ts'

/** What no other address begins with: neither `db` nor anything with an underscore before it. */
const NAME = '^[a-z][a-z0-9_-]{0,62}$'
const DATABASE_NAME = `^(?!db$)${NAME.slice(1)}`

export const VIEW_ROUTES: readonly Route[] = [
  { path: '/db/:db/v', handlers: { GET: listViews } },
  { path: '/db/:db/v/:view', handlers: { GET: readView, POST: readView }, negotiates: true },
  {
    path: '/db/:db/v/:view/_def',
    handlers: { GET: getDefinition, PUT: putDefinition, DELETE: deleteDefinition }
  },
  { path: '/db/:db/v/:view/_info', handlers: { GET: getInfo } },
  {
    path: `/:db(${DATABASE_NAME})/:view(${NAME})`,
    handlers: { GET: readView, POST: readView },
    negotiates: true
  }
]

async function listViews(
  context: HttpContext,
  request: FastifyRequest,
  reply: FastifyReply
): Promise<FastifyReply> {
  expectNoParameters(request.url)
  const { views } = context.node.database(pathParameter(request, 'db'))
  const known = await views.list()
  return sendPage(context, reply, JSON.stringify({ views: known.map(describeView) }))
}

async function getInfo(
  context: HttpContext,
  request: FastifyRequest,
  reply: FastifyReply
): Promise<FastifyReply> {
  expectNoParameters(request.url)
  const { views } = context.node.database(pathParameter(request, 'db'))
  const name = pathParameter(request, 'view')
  // One that is refused has no view to be asked, and is known all the same.
  const known = await views.list()
  const info = known.find((each) => each.name === name) ?? (await (await views.get(name)).info())
  return sendJson(reply, JSON.stringify(describeView(info)))
}

async function readView(
  context: HttpContext,
  request: FastifyRequest,
  reply: FastifyReply
): Promise<FastifyReply> {
  const place = { context, request, reply }
  if (request.method !== 'POST') {
    const asked = viewRequest(request, undefined, context.limits)
    if (asked.feed !== 'eventsource') return answerView(place, asked)
    return streamView({ ...asked, ...place, view: await viewOf(context, request) })
  }
  if (bodyType(request) !== JSON_TYPE) throw unsupported([JSON_TYPE])
  return context.bodies.withText(request.raw, (body) => {
    const asked = viewRequest(request, body, context.limits)
    if (asked.feed === 'normal') return answerView(place, asked)
    throw new HttpProblem('ambiguous-query', 'feed=eventsource is for GET.', {
      facts: { parameter: 'feed' }
    })
  })
}

function viewOf(
  { node }: HttpContext,
  request: FastifyRequest,
  options?: ViewGetOptions
): Promise<View> {
  const { views } = node.database(pathParameter(request, 'db'))
  return views.get(pathParameter(request, 'view'), options)
}

interface Place {
  readonly context: HttpContext
  readonly request: FastifyRequest
  readonly reply: FastifyReply
}

type Question = Extract<ViewRequest, { readonly feed: 'normal' }>

async function answerView(place: Place, asked: Question): Promise<FastifyReply> {
  const { context, request, reply } = place
  const answer = await context.views.run(reply.raw, (signal) => ask(place, asked, signal))
  const { json, etag } = answerText(answer, context.limits)
  reply.header('laterbase-lc', answer.lc)
  if (request.method === 'POST') return sendPage(context, reply, json)
  reply.header('etag', etag).header('cache-control', 'no-cache')
  reply.header('content-location', addressOf(request))
  if (isNotModified(request.headers, etag)) return reply.code(304).send()
  return sendPage(context, reply, json)
}

/** Of what is answered here, with the question: the short form is another name of the same. */
function addressOf(request: FastifyRequest): string {
  const start = request.url.indexOf('?')
  const query = start === -1 ? '' : request.url.slice(start)
  const view = encodeURIComponent(pathParameter(request, 'view'))
  return `${databasePath(pathParameter(request, 'db'))}/v/${view}${query}`
}

/** @throws HttpProblem `view-building`, `view-behind`, `busy`, when it takes too long */
async function ask(
  { context, request }: Place,
  { query, timeoutMs }: Question,
  signal: AbortSignal
): Promise<ViewAnswer> {
  // One more than may be sent, so that an answer that is cut is never taken for the whole.
  const limit = query.limit ?? context.limits.viewRowsMax + 1
  let view: View | undefined
  let answer: ViewAnswer | undefined
  try {
    await within(timeoutMs, signal, async (scope) => {
      view = await viewOf(context, request, { min_lc: query.min_lc, signal: scope })
      answer = await view.query({ ...query, limit }, { signal: scope })
    })
  } catch (error) {
    if (!isLaterbaseError(error, 'LATERBASE_VIEW_BUILDING')) throw error
  }
  if (answer !== undefined) return answer
  throw await lateness(view, query)
}

/** Why there was no answer in time. */
async function lateness(view: View | undefined, query: ViewQuery): Promise<HttpProblem> {
  if (view === undefined) {
    const detail = 'No view of this name was known here in time; allow more with timeout.'
    return new HttpProblem(query.min_lc === undefined ? 'view-building' : 'view-behind', detail)
  }
  const { lc, progress, behind } = await view.info()
  if (lc === undefined) {
    const facts = progress === undefined ? {} : { progress }
    return new HttpProblem('view-building', 'Ask again when it is built.', { facts })
  }
  const facts = { lc, behind }
  if (query.min_lc !== undefined) {
    return new HttpProblem('view-behind', 'What min_lc names did not come in time.', { facts })
  }
  return behind > 0
    ? new HttpProblem('view-building', 'It is catching up; update=false asks what is there.', {
        facts
      })
    : new HttpProblem('busy', 'The answer took too long; allow more time with timeout.')
}
