/** Schemas as resources: those that replicate are put and deleted here; those of a program are shown. */

import type { FastifyReply, FastifyRequest } from 'fastify'

import type { SchemaInfo, Schemas } from '../node/schemas.ts'
import type { HttpContext } from './context.ts'
import { checkPreconditions, isNotModified } from './entity-tags.ts'
import { bodyType, JSON_TYPE, unsupported } from './negotiate.ts'
import { HttpProblem } from './problem.ts'
import { expectNoParameters, Query } from './query.ts'
import { databasePath, pathParameter, type Route, sendJson, sendPage } from './route.ts'

export const SCHEMA_ROUTES: readonly Route[] = [
  { path: '/db/:db/schema', handlers: { GET: listSchemas } },
  {
    path: '/db/:db/schema/:type',
    handlers: { GET: getSchema, PUT: putSchema, DELETE: deleteSchema }
  }
]

async function listSchemas(
  context: HttpContext,
  request: FastifyRequest,
  reply: FastifyReply
): Promise<FastifyReply> {
  expectNoParameters(request.url)
  const { schemas } = context.node.database(pathParameter(request, 'db'))
  return sendPage(context, reply, JSON.stringify({ schemas: await schemas.list() }))
}

/** The schema itself. One that is functions of a program has no text. */
async function getSchema(
  context: HttpContext,
  request: FastifyRequest,
  reply: FastifyReply
): Promise<FastifyReply> {
  const { schemas, type, options } = named(context, request)
  const { schema, hash } = (await schemas.get(type, options)) ?? unknown()
  if (schema === undefined || hash === undefined) {
    throw new HttpProblem('schema-unknown', 'It is functions of the program, and has no text.')
  }
  const etag = tagOf(hash)
  reply.header('etag', etag).header('cache-control', 'no-cache')
  if (isNotModified(request.headers, etag)) return reply.code(304).send()
  return sendPage(context, reply, JSON.stringify(schema))
}

/** PUT: 201 for a new one, 200 in place of another or of the same. */
async function putSchema(
  context: HttpContext,
  request: FastifyRequest,
  reply: FastifyReply
): Promise<FastifyReply> {
  const { schemas, type, options } = named(context, request)
  if (bodyType(request) !== JSON_TYPE) throw unsupported([JSON_TYPE])
  return context.bodies.withText(request.raw, async (text) => {
    const before = await definedOf(schemas, type, options)
    checkPreconditions(request.headers, before?.hash && tagOf(before.hash))
    const { schema } = await schemas.putJson(type, text, options)
    if (schema.hash !== undefined) reply.header('etag', tagOf(schema.hash))
    if (before === undefined) reply.code(201).header('location', addressOf(request, schema))
    return sendJson(reply, JSON.stringify(schema))
  })
}

async function deleteSchema(
  context: HttpContext,
  request: FastifyRequest,
  reply: FastifyReply
): Promise<FastifyReply> {
  const { schemas, type, options } = named(context, request)
  const { hash } = (await definedOf(schemas, type, options)) ?? unknown()
  checkPreconditions(request.headers, hash && tagOf(hash))
  await schemas.removeDefinition(type, options)
  return reply.code(204).send()
}

interface Named {
  readonly schemas: Schemas
  readonly type: string
  readonly options: { readonly version?: string }
}

function named({ node }: HttpContext, request: FastifyRequest): Named {
  const query = new Query(request.url, ['version'])
  const version = query.text('version')
  const { schemas } = node.database(pathParameter(request, 'db'))
  const type = pathParameter(request, 'type')
  return { schemas, type, options: version === undefined ? {} : { version } }
}

/** The definition that counts here, whether the program has a schema of its own or not. */
async function definedOf(
  schemas: Schemas,
  type: string,
  { version }: Named['options']
): Promise<SchemaInfo | undefined> {
  const known = await schemas.list()
  return known.find((each) => {
    const isIt = each.type === type && each.version === version
    return isIt && each.origin === 'definition' && each.state !== 'untrusted'
  })
}

function tagOf(hash: string): string {
  return `"${hash}"`
}

function addressOf(request: FastifyRequest, { type, version }: SchemaInfo): string {
  const path = `${databasePath(pathParameter(request, 'db'))}/schema/${encodeURIComponent(type)}`
  return version === undefined ? path : `${path}?version=${encodeURIComponent(version)}`
}

function unknown(): never {
  throw new HttpProblem('schema-unknown', 'No schema of that type and version was written.')
}
