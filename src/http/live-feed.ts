/**
 * The changes feed as a stream that goes on: `continuous` (NDJSON) and `eventsource` (SSE).
 *
 * It reads a page, writes it, and waits for the reader before it reads the next: what a slow
 * reader costs is one page. Its cursor is the page's, so a row may be sent again after a broken
 * connection and none is left out: at least once, in commit order.
 */

import type { FastifyReply, FastifyRequest } from 'fastify'

import type { ChangesPage, Database } from '../node/laterbase.ts'
import type { HttpContext } from './context.ts'
import { monotonicMs, pause, within } from './deadline.ts'
import type { FeedQuery } from './feed-query.ts'
import { endOf, LiveStream, startStream } from './live-stream.ts'
import { NDJSON_TYPE, SSE_TYPE } from './negotiate.ts'
import { eventRow } from './rows.ts'

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
    // A feed that begins with nothing sends its cursor in a header: what `now` was, to come back with.
    const cursor = first.changes.length === 0 ? { 'laterbase-lc': first.lastLc } : {}
    startStream(reply, format.contentType, cursor)
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
  readonly #stream: LiveStream
  #rowsSent = 0
  /** The cursor that the reader knows of. */
  #toldLc: string
  #rowSentMs = monotonicMs()

  constructor(feed: FeedRequest, format: FeedFormat, signal: AbortSignal) {
    this.#feed = feed
    this.#query = feed.query
    this.#format = format
    this.#signal = signal
    this.#toldLc = feed.query.since
    this.#stream = new LiveStream(feed.reply, feed.context.limits.stallMsMax)
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
    this.#stream.end(ending)
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
      await this.#stream.write(chunk)
      chunk = ''
    }
    if (chunk !== '') await this.#stream.write(chunk)
    if (page.changes.length > 0) this.#rowSentMs = this.#stream.writtenMs
    this.#rowsSent += page.changes.length
    this.#toldLc = page.changes.at(-1)?.lc ?? this.#toldLc
    if (monotonicMs() >= this.#stream.writtenMs + this.#query.heartbeatMs) await this.#beat(page)
  }

  /** True when there may be more after `page`; false when the client's `timeout` is over. */
  async #waitForMore(page: ChangesPage): Promise<boolean> {
    const { heartbeatMs, timeoutMs = Infinity } = this.#query
    for (;;) {
      const nowMs = monotonicMs()
      const endMs = this.#rowSentMs + timeoutMs
      if (nowMs >= endMs) return false
      const waitMs = Math.min(this.#stream.writtenMs + heartbeatMs, endMs) - nowMs
      const isChanged = await within(Math.max(1, waitMs), this.#signal, (signal) =>
        this.#feed.database.changed(page.lastLc, { signal })
      )
      if (isChanged) return true
      if (monotonicMs() >= this.#stream.writtenMs + heartbeatMs) await this.#beat(page)
    }
  }

  /** Shows that the connection lives, and under a filter how far the feed has come. */
  async #beat(page: ChangesPage): Promise<void> {
    const isFiltered = Object.keys(this.#query.filter).length > 0
    const hasPassedOver = isFiltered && page.lastLc !== this.#toldLc
    await this.#stream.write(hasPassedOver ? this.#format.checkpoint(page) : this.#format.heartbeat)
    this.#toldLc = page.lastLc
  }

  #endingFor(error: unknown, page: ChangesPage): string {
    const { context, request } = this.#feed
    const end = endOf(error, { context, signal: this.#signal, url: request.url })
    if (end.type === 'gone') return ''
    // An orderly end says where to come back.
    return end.type === 'closing' ? this.#format.checkpoint(page) : this.#format.problem(end.json)
  }
}

function readBatch(feed: FeedRequest, since: string, rowsSent: number): Promise<ChangesPage> {
  const { filter, limit } = feed.query
  const { pageBatch } = feed.context.limits
  const room = limit === undefined ? pageBatch : Math.min(pageBatch, limit - rowsSent)
  return feed.database.changesPage({ since, filter, limit: room })
}
