/**
 * The node itself: alive, ready, peers, status. The invitation is a secret and is not here: it is
 * given out by the command line, to whoever may read the data directory.
 */

import type { FastifyReply, FastifyRequest } from 'fastify'

import type { HttpContext } from './context.ts'
import { expectNoParameters } from './query.ts'
import { type Route, sendJson } from './route.ts'

export const NODE_ROUTES: readonly Route[] = [
  { path: '/_up', handlers: { GET: getUp } },
  { path: '/_ready', handlers: { GET: getReady } },
  { path: '/_peers', handlers: { GET: getPeers } },
  { path: '/_status', handlers: { GET: getStatus } }
]

/** The process answers; nothing of the store is touched. */
function getUp({ node }: HttpContext, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  expectNoParameters(request.url)
  return sendJson(reply, JSON.stringify({ status: 'up', peer: node.peerId }))
}

/** Every database answers, but for those that `unopened` names. */
async function getReady(
  { node }: HttpContext,
  request: FastifyRequest,
  reply: FastifyReply
): Promise<FastifyReply> {
  expectNoParameters(request.url)
  const { databases, unopened, offline, warnings } = await node.status()
  return sendJson(
    reply,
    JSON.stringify({
      status: 'ready',
      databases: databases.length,
      ...(unopened.length > 0 && { unopened: unopened.map(({ name }) => name) }),
      offline,
      warnings
    })
  )
}

function getPeers(
  { node }: HttpContext,
  request: FastifyRequest,
  reply: FastifyReply
): FastifyReply {
  expectNoParameters(request.url)
  return sendJson(
    reply,
    JSON.stringify({ peer: node.peerId, addresses: node.addresses(), peers: node.peers() })
  )
}

async function getStatus(
  { node }: HttpContext,
  request: FastifyRequest,
  reply: FastifyReply
): Promise<FastifyReply> {
  expectNoParameters(request.url)
  return sendJson(reply, JSON.stringify(await node.status()))
}
