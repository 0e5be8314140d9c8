/**
 * How routes are declared and registered: a path with its handlers by method. From that follow
 * HEAD, OPTIONS, 405 with Allow, and 406, the same for every route.
 */

import type { FastifyInstance, FastifyReply, FastifyRequest, HTTPMethods } from 'fastify'

import type { HttpContext } from './context.ts'
import { JSON_TYPE, negotiate } from './negotiate.ts'
import { HttpProblem } from './problem.ts'

/** Answers by `reply`, at once or as a stream. */
export type Handler = (
  context: HttpContext,
  request: FastifyRequest,
  reply: FastifyReply
) => FastifyReply | Promise<FastifyReply>

export interface Route {
  /** Fastify's syntax; parameters are read by `pathParameter`. */
  readonly path: string
  readonly handlers: Readonly<Partial<Record<'GET' | 'POST' | 'PUT' | 'DELETE', Handler>>>
  /** The handler of GET looks at Accept itself; otherwise GET answers JSON and nothing else. */
  readonly negotiates?: boolean
}

export function addRoute(app: FastifyInstance, context: HttpContext, route: Route): void {
  const { GET } = route.handlers
  const handlers: Readonly<Record<string, Handler>> = {
    ...route.handlers,
    ...(GET === undefined ? {} : { HEAD: GET })
  }
  const allow = [...Object.keys(handlers), 'OPTIONS'].sort().join(', ')
  for (const method of METHODS) {
    const handler = handlers[method] ?? refuse(method, allow)
    const isRead = method === 'GET' || method === 'HEAD'
    app.route({
      method,
      url: route.path,
      handler: async (request, reply) => {
        if (isRead && route.negotiates !== true && GET !== undefined) {
          negotiate(request.headers.accept, [JSON_TYPE])
        }
        return handler(context, request, reply)
      }
    })
  }
}

/** A path parameter, percent-decoded and otherwise as it came. */
export function pathParameter(request: FastifyRequest, name: string): string {
  const value = (request.params as Readonly<Record<string, string | undefined>>)[name]
  return value ?? ''
}

/** The client's own path segment for a database, safe to put into a header. */
export function databasePath(name: string): string {
  return `/db/${encodeURIComponent(name)}`
}

export function sendJson(reply: FastifyReply, json: string): FastifyReply {
  return reply.type(JSON_TYPE).serializer(asIs).send(json)
}

/** For answers that may be large: they count as held until they are sent. */
export function sendPage({ pages }: HttpContext, reply: FastifyReply, json: string): FastifyReply {
  pages.hold(json.length)
  reply.raw.once('close', () => {
    pages.release(json.length)
  })
  return sendJson(reply, json)
}

/** Text that is JSON already; without a serialiser Fastify adds a charset, which JSON has none of. */
export function asIs(json: unknown): string {
  return json as string
}

const METHODS: readonly HTTPMethods[] = [
  'GET',
  'HEAD',
  'POST',
  'PUT',
  'DELETE',
  'PATCH',
  'OPTIONS',
  'TRACE'
]

function refuse(method: string, allow: string): Handler {
  return (_context, _request, reply) => {
    if (method === 'OPTIONS') return reply.code(204).header('allow', allow).send()
    throw new HttpProblem('method-not-allowed', `This resource has ${allow}.`, {
      headers: { allow }
    })
  }
}
