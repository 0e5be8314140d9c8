/** Definitions of views as resources. They are JSON, and replicate like events. */

import type { FastifyReply, FastifyRequest } from 'fastify'

import type { Views } from '../node/views.ts'
import { parseObject } from './body-query.ts'
import type { HttpContext } from './context.ts'
import { checkPreconditions, isNotModified, strongTag } from './entity-tags.ts'
import { bodyType, JSON_TYPE, unsupported } from './negotiate.ts'
import { HttpProblem } from './problem.ts'
import { expectNoParameters } from './query.ts'
import { databasePath, pathParameter, sendJson } from './route.ts'
import { describeView } from './view-answer.ts'

/** Checked by the node, which says by pointers what is wrong with one. */
type Definition = Parameters<Views['put']>[1]

/** GET /db/{db}/v/{view}/_def */
export async function getDefinition(
  context: HttpContext,
  request: FastifyRequest,
  reply: FastifyReply
): Promise<FastifyReply> {
  expectNoParameters(request.url)
  const name = pathParameter(request, 'view')
  const { views } = context.node.database(pathParameter(request, 'db'))
  const json = await definitionOf(views, name)
  if (json === undefined) throw undefinedView()
  const etag = strongTag(json)
  reply.header('etag', etag).header('cache-control', 'no-cache')
  if (isNotModified(request.headers, etag)) return reply.code(304).send()
  return sendJson(reply, json)
}

/** PUT: 201 for a new one, 200 in place of another or of the same. */
export async function putDefinition(
  { node, bodies }: HttpContext,
  request: FastifyRequest,
  reply: FastifyReply
): Promise<FastifyReply> {
  expectNoParameters(request.url)
  const [database, name] = [pathParameter(request, 'db'), pathParameter(request, 'view')]
  const { views } = node.database(database)
  if (bodyType(request) !== JSON_TYPE) throw unsupported([JSON_TYPE])
  return bodies.withText(request.raw, async (text) => {
    const definition = parseObject(text) as unknown as Definition
    const before = await definitionOf(views, name)
    checkPreconditions(request.headers, before && strongTag(before))
    const info = await views.put(name, definition)
    if (before === undefined) {
      const address = `${databasePath(database)}/v/${encodeURIComponent(name)}/_def`
      reply.code(201).header('location', address)
    }
    const after = await definitionOf(views, name)
    if (after !== undefined) reply.header('etag', strongTag(after))
    return sendJson(reply, JSON.stringify(describeView(info)))
  })
}

export async function deleteDefinition(
  { node }: HttpContext,
  request: FastifyRequest,
  reply: FastifyReply
): Promise<FastifyReply> {
  expectNoParameters(request.url)
  const name = pathParameter(request, 'view')
  const { views } = node.database(pathParameter(request, 'db'))
  const json = await definitionOf(views, name)
  if (json === undefined) throw undefinedView()
  checkPreconditions(request.headers, strongTag(json))
  const known = (await views.list()).find((each) => each.name === name)
  if (known?.origin === 'library') {
    const detail = 'The program of this node has functions of that name: delete it at another node.'
    throw new HttpProblem('view-invalid', detail)
  }
  await views.remove(name)
  return reply.code(204).send()
}

async function definitionOf(views: Views, name: string): Promise<string | undefined> {
  const definition = await views.definition(name)
  return definition && JSON.stringify(definition)
}

function undefinedView(): HttpProblem {
  const detail =
    'No definition of that name counts here: none was written, none of its authors is trusted (--trust), or a ' +
    'program has functions of that name.'
  return new HttpProblem('view-unknown', detail)
}
