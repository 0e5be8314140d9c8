/**
 * Errors as RFC 9457 problems: the list of HTTP codes, and which error of the node becomes which.
 * Leaves out how they are sent, which is `server.ts`.
 *
 * Codes are API. Details are for people; those of a 5xx are fixed texts, because the message of a
 * failed operation may name paths of this machine.
 */

import { type ErrorCode, isLaterbaseError, type LaterbaseError, type Problem } from '../errors.ts'
import { INSTANCE_CHARS_MAX } from './limits.ts'

/** Code, status and title of every problem that this facade answers with. */
export const PROBLEMS = {
  'argument-invalid': [400, 'An argument cannot be read'],
  'ambiguous-query': [400, 'The query asks for two things at once'],
  'confirm-required': [400, 'Say that you mean it'],
  'cursor-invalid': [400, 'The cursor cannot be read'],
  'malformed-json': [400, 'The body is not JSON'],
  'malformed-request': [400, 'The request is not HTTP'],
  'name-invalid': [400, 'The name breaks the naming rule'],
  'parameter-invalid': [400, 'A parameter cannot be read'],
  'parameter-unknown': [400, 'There is no such parameter'],
  'cross-origin': [403, 'Pages of other origins may not write'],
  'scripts-disabled': [403, 'This node runs no scripts'],
  'database-unknown': [404, 'There is no such database here'],
  'event-unknown': [404, 'There is no such event here'],
  'view-unknown': [404, 'There is no such view here'],
  'schema-unknown': [404, 'There is no such schema here'],
  'route-unknown': [404, 'There is nothing at this address'],
  'method-not-allowed': [405, 'The resource does not have this method'],
  'not-acceptable': [406, 'No representation fits the Accept header'],
  'body-timeout': [408, 'The request came too slowly'],
  'db-exists': [409, 'The database exists'],
  'key-conflict': [409, 'The key exists with other content'],
  'view-behind': [409, 'The view does not cover that yet'],
  'view-refused': [409, 'The definition of the view is not run here'],
  'changes-lost': [410, 'Changes of the view are gone'],
  'log-replaced': [410, 'The cursor is of another store'],
  'precondition-failed': [412, 'It is not as it was expected'],
  'too-large': [413, 'Larger than the limit'],
  'url-too-long': [414, 'The address is too long'],
  'media-type-unsupported': [415, 'The media type of the body is not supported'],
  'expectation-failed': [417, 'The expectation cannot be met'],
  'host-unknown': [421, 'This server does not answer under that name'],
  'event-invalid': [422, 'An event breaks a rule'],
  'future-dated': [422, 'An event is dated in the future'],
  'view-invalid': [422, 'The definition of a view breaks a rule'],
  'schema-invalid': [422, 'The schema breaks a rule'],
  'headers-too-large': [431, 'The headers are too large'],
  internal: [500, 'An error of this server'],
  'store-corrupt': [500, 'Stored bytes are damaged'],
  busy: [503, 'Too much at once'],
  closing: [503, 'The node is closing'],
  'feeds-full': [503, 'Too many feeds at once'],
  'peer-unreachable': [503, 'A peer did not answer'],
  'store-failed': [503, 'The store cannot be used now'],
  'sync-timeout': [503, 'Anti-entropy is still running'],
  'view-building': [503, 'The view is being built'],
  'view-failed': [503, 'The view cannot be built or read now'],
  'disk-full': [507, 'The disk is full']
} as const satisfies Record<string, readonly [status: number, title: string]>

export type ProblemCode = keyof typeof PROBLEMS

const CODE_OF_ERROR: Record<ErrorCode, ProblemCode> = {
  LATERBASE_EVENT_INVALID: 'event-invalid',
  LATERBASE_TOO_LARGE: 'too-large',
  LATERBASE_KEY_CONFLICT: 'key-conflict',
  LATERBASE_FUTURE_DATED: 'future-dated',
  LATERBASE_NAME_INVALID: 'name-invalid',
  LATERBASE_DATABASE_UNKNOWN: 'database-unknown',
  LATERBASE_ARGUMENT_INVALID: 'argument-invalid',
  LATERBASE_CURSOR_INVALID: 'cursor-invalid',
  LATERBASE_CURSOR_FOREIGN: 'log-replaced',
  LATERBASE_STORE_LOCKED: 'store-failed',
  LATERBASE_STORE_LOST: 'store-failed',
  LATERBASE_STORE_CORRUPT: 'store-corrupt',
  LATERBASE_STORE_FAILED: 'store-failed',
  LATERBASE_DISK_FULL: 'disk-full',
  LATERBASE_STORE_FORMAT: 'store-failed',
  LATERBASE_IDENTITY_INVALID: 'internal',
  LATERBASE_INVITATION_INVALID: 'internal',
  LATERBASE_OPTION_INVALID: 'internal',
  LATERBASE_VIEW_INVALID: 'view-invalid',
  LATERBASE_VIEW_UNKNOWN: 'view-unknown',
  LATERBASE_VIEW_BUILDING: 'view-building',
  LATERBASE_VIEW_FAILED: 'view-failed',
  LATERBASE_SCHEMA_INVALID: 'schema-invalid',
  LATERBASE_SCHEMA_UNKNOWN: 'schema-unknown',
  LATERBASE_CHANGES_LOST: 'changes-lost',
  LATERBASE_PEER_UNREACHABLE: 'peer-unreachable',
  LATERBASE_CLOSED: 'closing'
}

/** Facts that tell apart what has one code in the library. */
const CODE_OF_FACT: readonly (readonly [name: string, value: unknown, code: ProblemCode])[] = [
  ['malformed', true, 'malformed-json'],
  ['refused', true, 'view-refused'],
  ['scripts', 'disabled', 'scripts-disabled']
]

/** Members of a problem beside those of RFC 9457. */
export type Facts = Readonly<Record<string, Fact | Readonly<Record<string, Fact>>>>

type Fact = string | number | boolean

export interface HttpProblemOptions {
  readonly facts?: Facts
  readonly errors?: readonly Problem[]
  readonly headers?: Readonly<Record<string, string>>
  readonly cause?: unknown
}

/** An answer other than success. `detail` is shown to the client. */
export class HttpProblem extends Error {
  readonly code: ProblemCode
  readonly status: number
  readonly facts: Facts
  readonly errors: readonly Problem[]
  readonly headers: Readonly<Record<string, string>>

  constructor(code: ProblemCode, detail: string, options: HttpProblemOptions = {}) {
    super(detail, options.cause === undefined ? undefined : { cause: options.cause })
    this.name = 'HttpProblem'
    this.code = code
    this.status = PROBLEMS[code][0]
    this.facts = options.facts ?? {}
    this.errors = options.errors ?? []
    this.headers = options.headers ?? {}
  }
}

/** What went wrong as a problem. Anything unforeseen becomes `internal`, with the error as cause. */
export function toProblem(error: unknown): HttpProblem {
  if (error instanceof HttpProblem) return error
  if (isLaterbaseError(error)) return ofLaterbaseError(error)
  return ofFastifyError(error) ?? new HttpProblem('internal', INTERNAL_DETAIL, { cause: error })
}

/** The HTTP code of a node's error code, as `results` of a write name it. */
export function problemCodeOf(code: string): ProblemCode {
  return Object.hasOwn(CODE_OF_ERROR, code) ? CODE_OF_ERROR[code as ErrorCode] : 'event-invalid'
}

/** The problem's members; `instance` is the path that was asked for, `extra` comes first. */
export function problemMembers(problem: HttpProblem, instance?: string): Record<string, unknown> {
  const [status, title] = PROBLEMS[problem.code]
  return {
    ...problem.facts,
    type: `urn:laterbase:problem:${problem.code}`,
    title,
    status,
    detail: problem.message,
    ...(instance === undefined ? {} : { instance: instanceOf(instance) }),
    code: problem.code,
    ...(problem.errors.length === 0 ? {} : { errors: problem.errors })
  }
}

export function problemJson(problem: HttpProblem, instance?: string): string {
  return JSON.stringify(problemMembers(problem, instance))
}

const INTERNAL_DETAIL = 'It was written to the log of this server.'

/** The path without the query, which may be long and holds nothing that helps. */
function instanceOf(url: string): string {
  const end = url.indexOf('?')
  return (end === -1 ? url : url.slice(0, end)).slice(0, INSTANCE_CHARS_MAX)
}

function ofLaterbaseError(error: LaterbaseError): HttpProblem {
  const told = CODE_OF_FACT.find(([name, value]) => error.facts[name] === value)
  const code = told?.[2] ?? CODE_OF_ERROR[error.code]
  const facts = Object.fromEntries(
    Object.entries(error.facts).filter(([name]) => name !== told?.[0])
  )
  const status = PROBLEMS[code][0]
  if (status >= 500) {
    const detail = FIXED_DETAILS[code] ?? INTERNAL_DETAIL
    return new HttpProblem(code, detail, { facts, cause: error })
  }
  return new HttpProblem(code, error.message, { facts, errors: error.problems, cause: error })
}

const FIXED_DETAILS: Partial<Record<ProblemCode, string>> = {
  'store-corrupt': 'It is healed when a peer is connected; other nodes still serve the event.',
  'store-failed':
    'The store of this node cannot be read or written now; /_status says why. A write may be there ' +
    'all the same: send it again with the same `key`, or with `source` and `id`, and it is one event.',
  'disk-full': 'New events are refused until there is room; reads go on, and nothing is lost.',
  'view-failed': 'It is tried again; other views and the events are not concerned.',
  'view-building': 'Ask again when it is built; events are written and read meanwhile.',
  'peer-unreachable': 'The connection to a peer broke.',
  closing: 'Ask again when the node is back.'
}

/** Fastify's own refusals, by status: its texts name internals, so ours are given. */
function ofFastifyError(error: unknown): HttpProblem | undefined {
  if (!(error instanceof Error) || !('statusCode' in error)) return undefined
  switch (error.statusCode) {
    case 400:
      return new HttpProblem('malformed-request', 'The request cannot be read.', { cause: error })
    case 404:
      return new HttpProblem('route-unknown', 'There is no such route.', { cause: error })
    case 413:
      return new HttpProblem('too-large', 'The body is too large.', { cause: error })
    case 414:
      return new HttpProblem('url-too-long', 'A part of the path is too long.', { cause: error })
    case 415:
      return new HttpProblem('media-type-unsupported', 'The Content-Type cannot be read.', {
        cause: error
      })
    default:
      return undefined
  }
}
