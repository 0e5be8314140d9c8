/**
 * Talks HTTP to a running node. A problem that the node answers with, or no answer at all, becomes
 * a CommandFailure in words for a person.
 */

import type { Log } from '../node/options.ts'
import { parseNodeUrl } from './addresses.ts'
import { CommandFailure, EXIT } from './failure.ts'

export interface NodeRequest {
  readonly method?: 'GET' | 'PUT' | 'POST' | 'DELETE'
  readonly contentType?: string
  readonly body?: string | Uint8Array
  readonly signal?: AbortSignal
}

export class NodeClient {
  readonly url: string
  readonly #log: Log

  /** @throws CommandFailure for a usage error */
  constructor(url: string, log: Log) {
    this.url = parseNodeUrl(url)
    this.#log = log
  }

  /** The parsed answer. @throws CommandFailure */
  async json<Answer>(path: string, request: NodeRequest = {}): Promise<Answer> {
    const response = await this.open(path, request)
    try {
      return (await response.json()) as Answer
    } catch (error) {
      throw this.#strange(error)
    }
  }

  /** The answer, not read yet; its status is one of success. @throws CommandFailure */
  async open(path: string, request: NodeRequest = {}): Promise<Response> {
    const response = await this.send(path, request)
    if (response.ok) return response
    throw problemFailure(await this.problemOf(response))
  }

  /** The answer of any status, not read yet. @throws CommandFailure when there is none */
  async send(path: string, request: NodeRequest = {}): Promise<Response> {
    const { method = 'GET', contentType, body, signal } = request
    this.#log('debug', 'request', { method, url: this.url + path })
    const init: RequestInit = {
      method,
      headers: contentType === undefined ? {} : { 'content-type': contentType }
    }
    if (body !== undefined) init.body = body
    if (signal !== undefined) init.signal = signal
    try {
      return await fetch(this.url + path, init)
    } catch (error) {
      throw this.#unreachable(error)
    }
  }

  /** What an answer that is no success says. @throws CommandFailure when it is not a node's */
  async problemOf(response: Response): Promise<Problem> {
    try {
      return (await response.json()) as Problem
    } catch (error) {
      throw this.#strange(error)
    }
  }

  #strange(cause: unknown): CommandFailure {
    const message = `${this.url} answers, but not as a Laterbase node does: check --url`
    return new CommandFailure('not-a-node', message, { cause })
  }

  #unreachable(error: unknown): CommandFailure {
    const reason = reasonOf(error)
    const message =
      `no node answers at ${this.url} (${reason}): start one with \`laterbase start\`, ` +
      'or name another with --url'
    return new CommandFailure('node-unreachable', message, { cause: error })
  }
}

/** An RFC 9457 problem of the facade; extra members are facts. */
export interface Problem {
  readonly code?: string
  readonly title?: string
  readonly detail?: string
  readonly line?: number
  readonly errors?: readonly { readonly pointer: string; readonly detail: string }[]
}

export function problemFailure(problem: Problem): CommandFailure {
  const { code = 'not-a-node', errors = [] } = problem
  const exitCode = USAGE_CODES.has(code) ? EXIT.usage : EXIT.failed
  return new CommandFailure(code, `${problemText(problem)}${moreErrors(errors.length)}`, {
    exitCode
  })
}

/** The detail, and the first fault with its place. */
export function problemText({ title, detail, errors = [] }: Problem): string {
  const text = detail ?? title ?? 'the node refused without a word'
  const first = errors[0]
  if (first === undefined || text.includes(first.detail)) return text
  return `${text.replace(/[.:]$/, '')}: ${first.pointer} ${first.detail}`
}

export function databasePath(name: string, rest = ''): string {
  return `/db/${encodeURIComponent(name)}${rest}`
}

export function viewPath(database: string, view: string, rest = ''): string {
  return databasePath(database, `/v/${encodeURIComponent(view)}${rest}`)
}

const USAGE_CODES: ReadonlySet<string> = new Set([
  'ambiguous-query',
  'argument-invalid',
  'cursor-invalid',
  'name-invalid',
  'parameter-invalid'
])

function moreErrors(errors: number): string {
  return errors > 1 ? ` (and ${errors - 1} more)` : ''
}

/** `fetch failed` says nothing; its cause does. */
function reasonOf(error: unknown): string {
  const cause = error instanceof Error ? error.cause : undefined
  if (cause instanceof AggregateError) return reasonOf({ cause: cause.errors[0] as unknown })
  if (cause instanceof Error) return 'code' in cause ? String(cause.code) : cause.message
  return error instanceof Error ? error.message : 'no connection'
}
