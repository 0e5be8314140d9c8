/**
 * The changes feed as single answers: `normal`, one page of what is there; `longpoll`, the same,
 * after waiting for something to be there. Streams are in `live-feed.ts`.
 */

import type { FastifyReply } from 'fastify'

import type { ChangesPage } from '../node/laterbase.ts'
import { pause, within } from './deadline.ts'
import { type FeedRequest, streamFeed } from './live-feed.ts'
import { sendPage } from './route.ts'
import { eventRow } from './rows.ts'
import { isClosing } from './slots.ts'

export async function answerFeed(feed: FeedRequest): Promise<FastifyReply> {
  const { feed: kind, since } = feed.query
  if (kind === 'continuous' || kind === 'eventsource') return streamFeed(feed)
  if (kind === 'longpoll') return answerLongpoll(feed)
  return sendChanges(feed, await readPage(feed, since))
}

/** What an answer of the feed is made of. */
interface Page {
  readonly rows: readonly string[]
  readonly lastLc: string
  readonly lastVersion: string
  readonly pending: number
}

async function answerLongpoll(feed: FeedRequest): Promise<FastifyReply> {
  const { context, query, request, reply } = feed
  const page = await readPage(feed, query.since)
  if (page.rows.length > 0 || request.method === 'HEAD') return sendChanges(feed, page)
  return context.feeds.run(reply.raw, async (signal) => {
    // It is silent by intent: the socket's idle timer would take it for dead.
    request.raw.socket.setTimeout(0)
    return sendChanges(feed, await waitForPage(feed, page, signal))
  })
}

/** The first page after `page` that holds something; the latest one when time or server ends. */
async function waitForPage(feed: FeedRequest, page: Page, signal: AbortSignal): Promise<Page> {
  const { context, database, query } = feed
  let latest = page
  const wait = async (scope: AbortSignal): Promise<void> => {
    while (latest.rows.length === 0) {
      const before = latest.lastLc
      await database.changed(before, { signal: scope })
      latest = await readPage(feed, before)
      if (latest.lastLc === before) await pause(context.limits.spuriousWakeMs, scope)
      scope.throwIfAborted()
    }
  }
  try {
    await within(query.timeoutMs ?? context.limits.longpollMsDefault, signal, wait)
  } catch (error) {
    if (!isClosing(signal)) throw error
    feed.reply.header('connection', 'close')
  }
  return latest
}

/** A page of at most `limit` events, gathered in batches so that large events end it early. */
async function readPage(feed: FeedRequest, since: string): Promise<Page> {
  const { context, database, query } = feed
  const { pageBatch, pageBytesMax, pageEventsDefault } = context.limits
  const { filter, limit = pageEventsDefault } = query
  const rows: string[] = []
  let bytes = 0
  let page: ChangesPage | undefined
  while (page === undefined || (page.pending > 0 && rows.length < limit && bytes < pageBytesMax)) {
    const room = Math.min(pageBatch, limit - rows.length)
    page = await database.changesPage({ since: page?.lastLc ?? since, filter, limit: room })
    for (const { lc, event } of page.changes) {
      const row = eventRow(event, { includeData: query.includeData, oneLine: false }, lc)
      bytes += row.length
      rows.push(row)
    }
    // A page that is cut by a filter may be empty; the next request of the client goes on.
    if (page.changes.length === 0) break
  }
  const { lastLc, lastVersion, pending } = page
  return { rows, lastLc, lastVersion, pending }
}

function sendChanges({ context, reply }: FeedRequest, page: Page): FastifyReply {
  const { rows, lastLc, lastVersion, pending } = page
  const cursors = `"last_lc":${JSON.stringify(lastLc)},"last_version":${JSON.stringify(lastVersion)}`
  return sendPage(context, reply, `{"results":[${rows.join(',')}],${cursors},"pending":${pending}}`)
}
