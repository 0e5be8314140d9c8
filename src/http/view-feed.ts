/**
 * The rows of a view as they change, as a stream of events (SSE): `change`, or `restatement` where an
 * event that came late was the cause.
 *
 * It begins with `start` and a cursor. A reader asks the view anew from there (`min_lc`), also after a
 * broken connection, and takes of the changes those whose cursor its answer does not cover: changes of
 * rows are not kept, as the rows themselves can always be asked for.
 */

import type { FastifyReply, FastifyRequest } from 'fastify'

import type { View, ViewChange } from '../node/views.ts'
import type { HttpContext } from './context.ts'
import { after } from './deadline.ts'
import { endOf, LiveStream, startStream } from './live-stream.ts'
import { SSE_TYPE } from './negotiate.ts'

export interface ViewFeedRequest {
  readonly context: HttpContext
  readonly view: View
  readonly heartbeatMs: number
  readonly timeoutMs: number | undefined
  readonly request: FastifyRequest
  readonly reply: FastifyReply
}

export async function streamView(feed: ViewFeedRequest): Promise<FastifyReply> {
  const { context, request, reply, view } = feed
  return context.feeds.run(reply.raw, async (signal) => {
    // What is not there, or cannot be read, is an ordinary problem answer.
    await view.info()
    startStream(reply, SSE_TYPE)
    if (request.method === 'HEAD') reply.raw.end()
    else await run(feed, signal)
    return reply
  })
}

/** Ends the answer, whatever happens. */
async function run(feed: ViewFeedRequest, signal: AbortSignal): Promise<void> {
  const { context, request, reply, heartbeatMs, timeoutMs } = feed
  const stream = new LiveStream(reply, context.limits.stallMsMax)
  const scope = new AbortController()
  const stop = (): void => {
    scope.abort(signal.reason)
  }
  signal.addEventListener('abort', stop, { once: true })
  if (signal.aborted) stop()
  const stopBeating = stream.keepAlive(': heartbeat\n\n', heartbeatMs)
  const idle = new IdleEnd(timeoutMs, () => {
    scope.abort(new Error('nothing changed in time'))
  })
  let ending = ': end\n\n'
  try {
    await writeChanges(feed, stream, idle, scope.signal)
  } catch (error) {
    const end = endOf(error, { context, signal: scope.signal, url: request.url })
    if (end.type === 'problem') ending = `event: problem\ndata: ${end.json}\n\n`
  }
  idle.cancel()
  stopBeating()
  signal.removeEventListener('abort', stop)
  scope.abort(new Error('the stream has ended'))
  stream.end(ending)
}

async function writeChanges(
  { view }: ViewFeedRequest,
  stream: LiveStream,
  idle: IdleEnd,
  signal: AbortSignal
): Promise<void> {
  const changes = view.changes({ signal })[Symbol.asyncIterator]()
  // Asked for before the cursor is, so that between the two no change is missed.
  let next = changes.next()
  next.catch(() => undefined)
  try {
    await view.refresh({ signal })
    const { lc, digest } = await view.info()
    await stream.write(`id: ${lc}\nevent: start\ndata: ${JSON.stringify({ lc, digest })}\n\n`)
    for (let result = await next; result.done !== true; result = await next) {
      idle.restart()
      await stream.write(changeText(result.value))
      next = changes.next()
    }
  } finally {
    // Not waited for: it may stand behind a change that comes, or the end of the signal, only later.
    changes.return?.().catch(() => undefined)
  }
}

function changeText(change: ViewChange): string {
  const { id, key, old, new: now, restated, causes, lc } = change
  const json = JSON.stringify({ id, key, old, new: now, restated, causes, lc })
  return `id: ${lc}\nevent: ${restated ? 'restatement' : 'change'}\ndata: ${json}\n\n`
}

/** Ends what it is told to when it was not restarted for a time. */
class IdleEnd {
  readonly #ms: number | undefined
  readonly #end: () => void
  #cancel: () => void = () => undefined

  constructor(ms: number | undefined, end: () => void) {
    this.#ms = ms
    this.#end = end
    this.restart()
  }

  restart(): void {
    this.cancel()
    if (this.#ms !== undefined) this.#cancel = after(this.#ms, this.#end)
  }

  cancel(): void {
    this.#cancel()
  }
}
