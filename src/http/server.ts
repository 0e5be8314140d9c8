/**
 * The HTTP facade of a node: makes the server, guards its door, sends its problems, closes it.
 * What is served is in the `*-routes.ts` files; what is promised is in README.md.
 *
 * Bodies are not parsed by Fastify: it would parse JSON twice, and a stream not at all.
 */

import type { ServerResponse } from 'node:http'
import type { Socket } from 'node:net'

import fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify'

import type { Laterbase } from '../node/laterbase.ts'
import type { Log } from '../node/options.ts'
import { BodyReader, discardRest } from './body.ts'
import { ByteBudget } from './byte-budget.ts'
import type { HttpContext } from './context.ts'
import { DATABASE_ROUTES } from './database-routes.ts'
import { after } from './deadline.ts'
import { checkHost, checkOrigin, type HostRule, hostRule } from './hosts.ts'
import { HTTP_LIMITS, type HttpLimits, REQUEST_CHECK_MS } from './limits.ts'
import { METRICS_ROUTE } from './metrics.ts'
import { NODE_ROUTES } from './node-routes.ts'
import { HttpProblem, problemJson, toProblem } from './problem.ts'
import { EVENT_ROUTES } from './read-routes.ts'
import { addRoute, asIs } from './route.ts'
import { Slots } from './slots.ts'
import { StreamClosed } from './stream-writer.ts'
import { SCHEMA_ROUTES } from './schema-routes.ts'
import { VIEW_ROUTES } from './view-routes.ts'

export interface HttpServerOptions {
  /** Address to listen on; default 127.0.0.1. Anything wider than loopback is open to the network. */
  readonly host?: string
  /** 0 picks a free one. */
  readonly port: number
  /** Further names that clients may call this server by, in their Host header. */
  readonly hosts?: readonly string[]
  readonly log?: Log
  readonly limits?: Partial<HttpLimits>
}

export interface HttpServer extends AsyncDisposable {
  /** Where it listens, without a slash at the end. */
  readonly url: string
  /** Idempotent. Feeds end at once, answers under way get half a second. Leaves the node open. */
  close(): Promise<void>
}

/** Serves `node` until closed; the node stays its maker's to close, after the server. */
export async function createHttpServer(
  node: Laterbase,
  options: HttpServerOptions
): Promise<HttpServer> {
  const { host = '127.0.0.1', port, hosts = [], log = (): void => undefined } = options
  const limits = { ...HTTP_LIMITS, ...options.limits }
  const { retryAfterSeconds } = limits
  const context: HttpContext = {
    node,
    limits,
    log,
    bodies: new BodyReader(limits),
    pages: new ByteBudget(limits.pagesBytesMax, retryAfterSeconds),
    feeds: new Slots(limits.feedsMax, { code: 'feeds-full', retryAfterSeconds }),
    views: new Slots(limits.viewsAskedMax, { code: 'busy', retryAfterSeconds }),
    streams: new Slots(limits.streamsMax, { code: 'busy', retryAfterSeconds })
  }
  const app = createApp(context)
  const door = { rule: hostRule(host, hosts), isClosing: false }
  guard(app, context, door)
  for (const route of ROUTES) addRoute(app, context, route)
  await app.listen({ host, port })

  let closed: Promise<void> | undefined
  const shutDown = async (): Promise<void> => {
    door.isClosing = true
    context.feeds.end()
    context.views.end()
    context.streams.end()
    const cancel = after(limits.closeGraceMs, () => {
      app.server.closeAllConnections()
    })
    await app.close()
    cancel()
  }
  const close = (): Promise<void> => (closed ??= shutDown())
  return { url: urlOf(app), close, [Symbol.asyncDispose]: close }
}

const ROUTES = [
  ...NODE_ROUTES,
  METRICS_ROUTE,
  ...DATABASE_ROUTES,
  ...EVENT_ROUTES,
  ...SCHEMA_ROUTES,
  ...VIEW_ROUTES
]

function createApp(context: HttpContext): FastifyInstance {
  const { limits } = context
  const answers = new Answers()
  const app = fastify({
    http: {
      headersTimeout: limits.headersMsMax,
      maxHeaderSize: limits.headerBytesMax,
      connectionsCheckingInterval: Math.min(limits.headersMsMax, REQUEST_CHECK_MS),
      // Missing ones are refused by `checkHost`, with a problem.
      requireHostHeader: false
    },
    // Node has one for all requests, and a stream has any length: bodies and streams have their own.
    requestTimeout: 0,
    connectionTimeout: limits.connectionIdleMsMax,
    keepAliveTimeout: limits.keepAliveMsMax,
    bodyLimit: limits.bodyBytesMax,
    forceCloseConnections: 'idle',
    return503OnClosing: false,
    exposeHeadRoutes: false,
    trustProxy: false,
    logger: false,
    routerOptions: { maxParamLength: limits.urlBytesMax },
    frameworkErrors: (error, request, reply) => {
      sendProblem(context, error, request, reply)
    },
    clientErrorHandler: (error, socket) => {
      answerClientError(error, socket, answers.isUnderWay(socket))
    }
  })
  app.server.on('request', (request, response) => {
    answers.add(request.socket, response)
  })
  app.server.maxConnections = limits.connectionsMax
  app.server.on('checkExpectation', (_request, response) => {
    const problem = new HttpProblem('expectation-failed', 'Only 100-continue is known.')
    response.writeHead(problem.status, { 'content-type': PROBLEM_TYPE, connection: 'close' })
    response.end(problemJson(problem))
  })
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('*', (_request, _payload, done) => {
    done(null)
  })
  return app
}

/** What every request passes before its route, and after. */
function guard(
  app: FastifyInstance,
  context: HttpContext,
  door: { readonly rule: HostRule; readonly isClosing: boolean }
): void {
  app.addHook('onRequest', (request, reply, done) => {
    reply.headers(COMMON_HEADERS)
    try {
      admit(request, context, door)
      done()
    } catch (error) {
      done(error as Error)
    }
  })
  app.addHook('onResponse', (request, reply, done) => {
    discardRest(request.raw, context.limits)
    const { method, url } = request
    const ms = Math.round(reply.elapsedTime)
    context.log('debug', 'http', { method, url, status: reply.statusCode, ms })
    done()
  })
  app.setNotFoundHandler((request, reply) => {
    const problem = new HttpProblem('route-unknown', 'The contract is in the documentation.')
    sendProblem(context, problem, request, reply)
  })
  app.setErrorHandler((error, request, reply) => {
    sendProblem(context, error, request, reply)
  })
}

function admit(
  request: FastifyRequest,
  { limits }: HttpContext,
  door: { readonly rule: HostRule; readonly isClosing: boolean }
): void {
  checkHost(door.rule, request.headers)
  if (!SAFE_METHODS.has(request.method)) checkOrigin(request.headers)
  if (request.url.length > limits.urlBytesMax) {
    throw new HttpProblem('url-too-long', `An address may have ${limits.urlBytesMax} bytes.`)
  }
  if (door.isClosing) {
    throw new HttpProblem('closing', 'The server is closing.', {
      headers: { connection: 'close', 'retry-after': String(limits.retryAfterSeconds) }
    })
  }
}

function sendProblem(
  context: HttpContext,
  error: unknown,
  request: FastifyRequest,
  reply: FastifyReply
): void {
  if (error instanceof StreamClosed || reply.raw.destroyed) {
    // There is nobody to answer.
    reply.hijack()
    reply.raw.destroy()
    return
  }
  const problem = toProblem(error)
  // Of a full disk the node has written one line: one more for each refused write fills it further.
  if (problem.status >= 500 && problem.code !== 'disk-full') {
    const { method, url } = request
    const { cause } = problem
    const stack = cause instanceof Error ? cause.stack : undefined
    context.log(problem.code === 'internal' ? 'error' : 'warn', problem.code, {
      method,
      url,
      stack
    })
  }
  void reply
    .code(problem.status)
    .headers(retryable(problem, context.limits))
    .type(PROBLEM_TYPE)
    .serializer(asIs)
    .send(problemJson(problem, request.url))
}

/** Every 503 and 507 says when to come back. */
function retryable(problem: HttpProblem, limits: HttpLimits): Readonly<Record<string, string>> {
  if (problem.status !== 503 && problem.status !== 507) return problem.headers
  const { retryAfterSeconds, retryAfterFullSeconds } = limits
  const seconds = problem.status === 507 ? retryAfterFullSeconds : retryAfterSeconds
  return { 'retry-after': String(seconds), ...problem.headers }
}

/** Which answers of a connection are not at their end; more than one where requests are pipelined. */
class Answers {
  readonly #open = new WeakMap<Socket, Set<ServerResponse>>()

  add(socket: Socket, response: ServerResponse): void {
    const open = this.#open.get(socket) ?? new Set()
    this.#open.set(socket, open.add(response))
    response.once('close', () => open.delete(response))
  }

  /** Whether what is written to the socket next would be read as a part of an answer. */
  isUnderWay(socket: Socket): boolean {
    const open = [...(this.#open.get(socket) ?? [])]
    return open.some((response) => response.headersSent && !response.writableEnded)
  }
}

/**
 * What came was no HTTP request, so there is no request to answer through. In the middle of an answer,
 * such as that to a stream of events whose next chunk is broken, only an end without a last chunk says
 * that something is wrong.
 */
function answerClientError(
  error: NodeJS.ErrnoException,
  socket: Socket,
  isUnderWay: boolean
): void {
  if (error.code === 'ECONNRESET' || !socket.writable || isUnderWay) {
    socket.destroy()
    return
  }
  const problem = ofClientError(error.code)
  const body = problemJson(problem)
  const head = [
    `HTTP/1.1 ${problem.status} ${STATUS_TEXTS[problem.status] ?? 'Bad Request'}`,
    `content-type: ${PROBLEM_TYPE}`,
    `content-length: ${Buffer.byteLength(body)}`,
    'connection: close'
  ]
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`)
}

function ofClientError(code: string | undefined): HttpProblem {
  if (code === 'HPE_HEADER_OVERFLOW') {
    return new HttpProblem('headers-too-large', 'The headers are too large.')
  }
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT') {
    return new HttpProblem('body-timeout', 'The request came too slowly.')
  }
  return new HttpProblem('malformed-request', 'What came is not an HTTP request.')
}

const PROBLEM_TYPE = 'application/problem+json'
const SAFE_METHODS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS'])
const STATUS_TEXTS: Readonly<Record<number, string>> = {
  408: 'Request Timeout',
  431: 'Request Header Fields Too Large'
}

/** Answers change, but for an event; a browser must not take JSON for a script. */
const COMMON_HEADERS = {
  'cache-control': 'no-store',
  'x-content-type-options': 'nosniff'
} as const

function urlOf(app: FastifyInstance): string {
  const address = app.server.address()
  if (address === null || typeof address === 'string') return ''
  const wildcards: Readonly<Record<string, string>> = { '0.0.0.0': '127.0.0.1', '::': '::1' }
  const host = wildcards[address.address] ?? address.address
  return `http://${host.includes(':') ? `[${host}]` : host}:${address.port}`
}
