/**
 * Writing an NDJSON stream of any length: commits of bounded size, one after the other, each
 * acknowledged by a line of the answer as soon as it is on disk.
 *
 * Lines of the answer: `{"lc","lines":[first,last],"results"}` for a commit, and at the end either
 * `{"done":true,…}` or `{"error":problem}`; without one of these the answer was cut. A refused line
 * undoes nothing that was acknowledged. While nothing has been, a refusal is an ordinary problem
 * answer with its own status. For a client that does not read while it sends, `results` names the
 * refused lines only, beside the counts `created` and `duplicates`: else both would wait for ever.
 */

import type { FastifyReply, FastifyRequest } from 'fastify'

import type { Problem } from '../errors.ts'
import type { AppendOptions, AppendResult, Database } from '../node/laterbase.ts'
import type { HttpContext } from './context.ts'
import { type Line, LineGroups } from './line-groups.ts'
import { NDJSON_TYPE } from './negotiate.ts'
import { HttpProblem, problemMembers, toProblem } from './problem.ts'
import { StreamClosed, StreamWriter } from './stream-writer.ts'
import { rejected, type WriteResult, writeResults } from './write-results.ts'

export interface NdjsonWrite {
  readonly context: HttpContext
  readonly database: Database
  readonly options: AppendOptions
  readonly request: FastifyRequest
  readonly reply: FastifyReply
}

export async function writeNdjson(write: NdjsonWrite): Promise<FastifyReply> {
  const { context, request, reply } = write
  return context.streams.run(reply.raw, async (signal) => {
    // The stream has an idle time of its own, which is answered and not just cut.
    request.raw.socket.setTimeout(0)
    const groups = new LineGroups(request.raw, context.limits, signal)
    const answer = new StreamAnswer(write)
    try {
      for (let group = await groups.next(); group !== undefined; group = await groups.next()) {
        await writeGroup(write, group, answer)
      }
      answer.done()
    } catch (error) {
      answer.failed(error)
    }
    return reply
  })
}

const STATUSES = ['created', 'duplicate', 'rejected'] as const

/** What was written so far, and the answer that says so. */
class StreamAnswer {
  readonly #write: NdjsonWrite
  readonly #writer: StreamWriter
  readonly #counts = { created: 0, duplicate: 0, rejected: 0 }
  #started = false
  /** Number of the last line that was dealt with. */
  #lines = 0

  constructor(write: NdjsonWrite) {
    const { answerBytesMax, stallMsMax } = write.context.limits
    this.#write = write
    this.#writer = new StreamWriter(write.reply.raw, { bufferBytesMax: answerBytesMax, stallMsMax })
  }

  async acknowledge(
    lc: string | undefined,
    lines: readonly [first: number, last: number],
    results: readonly WriteResult[]
  ): Promise<void> {
    const counts = { created: 0, duplicate: 0, rejected: 0 }
    for (const { status } of results) counts[status]++
    for (const status of STATUSES) this.#counts[status] += counts[status]
    this.#lines = lines[1]
    this.#start()
    const isBehind = this.#writer.waitingBytes > this.#write.context.limits.briefAnswerBytes
    const answer = isBehind
      ? {
          lc,
          lines,
          created: counts.created,
          duplicates: counts.duplicate,
          results: results.filter(({ status }) => status === 'rejected')
        }
      : { lc, lines, results }
    await this.#writer.write(`${JSON.stringify(answer)}\n`)
  }

  done(): void {
    this.#start()
    this.#writer.end(`${JSON.stringify({ done: true, ...this.#progress() })}\n`)
  }

  /** @throws HttpProblem, or StreamClosed, while no line of the answer was sent */
  failed(error: unknown): void {
    const { context, reply, request } = this.#write
    const isGone = error instanceof StreamClosed || reply.raw.destroyed
    if (isGone && this.#started) return
    if (isGone) throw new StreamClosed()
    const problem = toProblem(error)
    const facts = { ...problem.facts, ...this.#progress() }
    const { code, message, errors, headers, cause } = problem
    const full = new HttpProblem(code, message, { facts, errors, headers, cause })
    if (!this.#started) throw full
    if (full.status >= 500 && code !== 'disk-full') {
      context.log('error', 'a stream failed', { error: String(cause) })
    }
    const members = problemMembers(full, request.url)
    this.#writer.end(`${JSON.stringify({ error: members })}\n`)
  }

  #progress(): Readonly<Record<string, number>> {
    const { created, duplicate } = this.#counts
    return {
      lines_done: this.#lines,
      created,
      duplicates: duplicate,
      rejected: this.#counts.rejected
    }
  }

  #start(): void {
    if (this.#started) return
    this.#started = true
    const { reply } = this.#write
    reply.hijack()
    reply.raw.writeHead(200, { ...headersOf(reply), 'content-type': NDJSON_TYPE })
  }
}

async function writeGroup(
  { database, options }: NdjsonWrite,
  group: readonly Line[],
  answer: StreamAnswer
): Promise<void> {
  const fault = group.find((line) => line.fault !== undefined)?.fault
  const good = group.filter((line) => line.fault === undefined)
  const first = good[0]
  const last = good.at(-1)
  if (first !== undefined && last !== undefined) {
    const appended = await appendLines(database, good, options)
    const results = writeResults(appended, (problem) => byLine(problem, good))
    await answer.acknowledge(appended.lc, [first.number, last.number], results)
  }
  if (fault === undefined) return
  if (options.onError !== 'proceed') throw fault
  const { number } = group.at(-1) ?? { number: 0 }
  await answer.acknowledge(undefined, [number, number], [rejected(fault)])
}

async function appendLines(
  database: Database,
  lines: readonly Line[],
  options: AppendOptions
): Promise<AppendResult> {
  try {
    return await database.appendJson(`[${lines.map((line) => line.text).join(',\n')}]`, options)
  } catch (error) {
    throw byLine(toProblem(error), lines)
  }
}

/** Pointers into our array become a line's number and a pointer into that line. */
function byLine(problem: HttpProblem, lines: readonly Line[]): HttpProblem {
  const { code, message, facts, headers } = problem
  const located = problem.errors.map((error) => ({ line: lineOf(error, lines), error }))
  const errors = located.map(({ error, line }) => ({
    pointer: line === undefined ? error.pointer : error.pointer.replace(/^\/\d+/, ''),
    detail: error.detail,
    ...(line === undefined ? {} : { line })
  }))
  const line = located.find((each) => each.line !== undefined)?.line
  const where = line === undefined ? {} : { line }
  return new HttpProblem(code, line === undefined ? message : `Line ${line}: ${message}`, {
    facts: { ...facts, ...where },
    errors,
    headers,
    cause: problem.cause
  })
}

function lineOf(error: Problem, lines: readonly Line[]): number | undefined {
  const index = /^\/(\d+)/.exec(error.pointer)?.[1]
  return index === undefined ? undefined : lines[Number(index)]?.number
}

function headersOf(reply: FastifyReply): Record<string, string> {
  const headers: Record<string, string> = {}
  for (const [name, value] of Object.entries(reply.getHeaders())) {
    if (value !== undefined) headers[name] = String(value)
  }
  return headers
}
