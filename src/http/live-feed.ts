/**
 * The changes feed as a stream that goes on: `continuous` (NDJSON) and `eventsource` (SSE).
 *
 * It reads a page, writes it, and waits for the reader before it reads the next: what a slow
 * reader costs is one page. Its cursor is the page's, so a row may be sent again after a broken
 * connection and none is left out: at least once, in commit order.
 */

import type { FastifyReply, FastifyRequest } from 'fastify'

import { isLaterbaseError } from '../errors.ts'
import type { ChangesPage, Database } from '../node/laterbase.ts'
import type { HttpContext } from './context.ts'
import { monotonicMs, pause, within } from './deadline.ts'
import type { FeedQuery } from './feed-query.ts'
import { NDJSON_TYPE, SSE_TYPE } from './negotiate.ts'
import { problemJson, toProblem } from './problem.ts'
import { eventRow } from './rows.ts'
import { StreamClosed, StreamWriter } from './stream-writer.ts'

export interface FeedRequest {
  readonly context: HttpContext
  readonly database: Database
  readonly query: FeedQuery
  readonly request: FastifyRequest
  readonly reply: FastifyReply
}

export async function streamFeed(feed: FeedRequest): Promise<FastifyReply> {
  const { context, request, reply } = feed
  return context.feeds.run(reply.raw, async (signal) => {
    // A bad cursor is an ordinary problem answer: nothing is sent before this has been read.
    const first = await readBatch(feed, feed.query.since, 0)
    const format = feed.query.feed === 'continuous' ? CONTINUOUS : EVENT_SOURCE
    start(reply, format, first)
    if (request.method === 'HEAD') reply.raw.end()
    else await new LiveFeed(feed, format, signal).run(first)
    return reply
  })
}

/** How the parts of a feed look on the wire. */
interface FeedFormat {
  readonly contentType: string
  row(json: string, lc: string): string
  /** Moves the reader's cursor over what a filter passed over. */
  checkpoint(page: ChangesPage): string
  /** Something that every reader ignores, so that the connection is seen to live. */
  readonly heartbeat: string
  problem(json: string): string
}

const CONTINUOUS: FeedFormat = {
  contentType: NDJSON_TYPE,
  row: (json) => `${json}\n`,
  checkpoint: ({ lastLc, lastVersion, pending }) =>
    `${JSON.stringify({ last_lc: lastLc, last_version: lastVersion, pending })}\n`,
  heartbeat: '\n',
  problem: (json) => `{"error":${json}}\n`
}

const EVENT_SOURCE: FeedFormat = {
  contentType: SSE_TYPE,
  row: (json, lc) => `id: ${lc}\ndata: ${json}\n\n`,
  // A block without data makes no event in a browser, and still sets what it resumes from.
  checkpoint: ({ lastLc }) => `: checkpoint\nid: ${lastLc}\n\n`,
  heartbeat: ': heartbeat\n\n',
  problem: (json) => `event: problem\ndata: ${json}\n\n`
}

class LiveFeed {
  readonly #feed: FeedRequest
  readonly #query: FeedQuery
  readonly #format: FeedFormat
  readonly #signal: AbortSignal
  readonly #writer: StreamWriter
  #rowsSent = 0
  /** The cursor that the reader knows of. */
  #toldLc: string
  #rowSentMs = monotonicMs()
  #writtenMs = monotonicMs()

  constructor(feed: FeedRequest, format: FeedFormat, signal: AbortSignal) {
    const { stallMsMax } = feed.context.limits
    this.#feed = feed
    this.#query = feed.query
    this.#format = format
    this.#signal = signal
    this.#toldLc = feed.query.since
    this.#writer = new StreamWriter(feed.reply.raw, { bufferBytesMax: 0, stallMsMax })
  }

  /** Ends the answer, whatever happens. */
  async run(first: ChangesPage): Promise<void> {
    let page = first
    let ending = ''
    try {
      await this.#writePage(page)
      while (!this.#isFull() && (page.pending > 0 || (await this.#waitForMore(page)))) {
        const before = page
        page = await readBatch(this.#feed, before.lastLc, this.#rowsSent)
        await this.#writePage(page)
        const isStuck = page.lastLc === before.lastLc && page.changes.length === 0
        if (isStuck) await pause(this.#feed.context.limits.spuriousWakeMs, this.#signal)
        this.#signal.throwIfAborted()
      }
      ending = this.#format.checkpoint(page)
    } catch (error) {
      ending = this.#endingFor(error, page)
    }
    this.#writer.end(ending)
  }

  #isFull(): boolean {
    return this.#query.limit !== undefined && this.#rowsSent >= this.#query.limit
  }

  async #writePage(page: ChangesPage): Promise<void> {
    const { feedChunkBytes } = this.#feed.context.limits
    const options = { includeData: this.#query.includeData, oneLine: true }
    let chunk = ''
    for (const { lc, event } of page.changes) {
      chunk += this.#format.row(eventRow(event, options, lc), lc)
      if (chunk.length < feedChunkBytes) continue
      await this.#write(chunk)
      chunk = ''
    }
    if (chunk !== '') await this.#write(chunk)
    if (page.changes.length > 0) this.#rowSentMs = this.#writtenMs
    this.#rowsSent += page.changes.length
    this.#toldLc = page.changes.at(-1)?.lc ?? this.#toldLc
    if (monotonicMs() >= this.#writtenMs + this.#query.heartbeatMs) await this.#beat(page)
  }

  /** True when there may be more after `page`; false when the client's `timeout` is over. */
  async #waitForMore(page: ChangesPage): Promise<boolean> {
    const { heartbeatMs, timeoutMs = Infinity } = this.#query
    for (;;) {
      const nowMs = monotonicMs()
      const endMs = this.#rowSentMs + timeoutMs
      if (nowMs >= endMs) return false
      const waitMs = Math.min(this.#writtenMs + heartbeatMs, endMs) - nowMs
      const isChanged = await within(Math.max(1, waitMs), this.#signal, (signal) =>
        this.#feed.database.changed(page.lastLc, { signal })
      )
      if (isChanged) return true
      if (monotonicMs() >= this.#writtenMs + heartbeatMs) await this.#beat(page)
    }
  }

  /** Shows that the connection lives, and under a filter how far the feed has come. */
  async #beat(page: ChangesPage): Promise<void> {
    const isFiltered = Object.keys(this.#query.filter).length > 0
    const hasPassedOver = isFiltered && page.lastLc !== this.#toldLc
    await this.#write(hasPassedOver ? this.#format.checkpoint(page) : this.#format.heartbeat)
    this.#toldLc = page.lastLc
  }

  async #write(text: string): Promise<void> {
    await this.#writer.write(text)
    this.#writtenMs = monotonicMs()
  }

  #endingFor(error: unknown, page: ChangesPage): string {
    if (error instanceof StreamClosed) return ''
    // The node or the server closes: an orderly end, with the cursor to come back with.
    if (this.#signal.aborted || isLaterbaseError(error, 'LATERBASE_CLOSED')) {
      return this.#format.checkpoint(page)
    }
    const { log } = this.#feed.context
    const problem = toProblem(error)
    if (problem.status >= 500) log('error', 'a feed failed', { error: String(problem.cause) })
    return this.#format.problem(problemJson(problem, this.#feed.request.url))
  }
}

function readBatch(feed: FeedRequest, since: string, rowsSent: number): Promise<ChangesPage> {
  const { filter, limit } = feed.query
  const { pageBatch } = feed.context.limits
  const room = limit === undefined ? pageBatch : Math.min(pageBatch, limit - rowsSent)
  return feed.database.changesPage({ since, filter, limit: room })
}

/** A feed that begins with nothing sends its cursor in a header: what `now` was, to come back with. */
function start(reply: FastifyReply, format: FeedFormat, first: ChangesPage): void {
  reply.hijack()
  const { raw } = reply
  raw.socket?.setTimeout(0)
  for (const [name, value] of Object.entries(reply.getHeaders())) {
    if (value !== undefined) raw.setHeader(name, value)
  }
  raw.setHeader('content-type', format.contentType)
  if (first.changes.length === 0) raw.setHeader('laterbase-lc', first.lastLc)
  // It ends for a reason that concerns the connection: client or server go away.
  raw.setHeader('connection', 'close')
  // A proxy that gathers a stream into larger pieces would hold live rows back.
  raw.setHeader('x-accel-buffering', 'no')
  raw.writeHead(200)
  raw.flushHeaders()
}
