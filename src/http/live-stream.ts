/**
 * An answer that goes on: how it begins, what is known of its last sign of life, and how it ends.
 * What it says is its maker's: the changes feed's in `live-feed.ts`, a view's in `view-feed.ts`.
 */

import type { FastifyReply } from 'fastify'

import { isLaterbaseError } from '../errors.ts'
import type { HttpContext } from './context.ts'
import { after, monotonicMs } from './deadline.ts'
import { problemJson, toProblem } from './problem.ts'
import { StreamClosed, StreamWriter } from './stream-writer.ts'

export class LiveStream {
  readonly #writer: StreamWriter
  #writtenMs = monotonicMs()

  constructor(reply: FastifyReply, stallMsMax: number) {
    this.#writer = new StreamWriter(reply.raw, { bufferBytesMax: 0, stallMsMax })
  }

  /** When something was written last, of the monotonic clock. */
  get writtenMs(): number {
    return this.#writtenMs
  }

  /** Resolves when more may be written. @throws StreamClosed when there is no reader any more */
  async write(text: string): Promise<void> {
    await this.#writer.write(text)
    this.#writtenMs = monotonicMs()
  }

  /** Writes `sign` whenever nothing was written for `ms`; returns how to stop that. */
  keepAlive(sign: string, ms: number): () => void {
    const beat = (): void => {
      const restMs = this.#writtenMs + ms - monotonicMs()
      // Who has not taken yet what was written needs no further sign of life.
      const isDue = restMs <= 0 && this.#writer.waitingBytes === 0
      if (isDue) this.write(sign).catch(() => undefined)
      cancel = after(restMs > 0 ? restMs : ms, beat)
    }
    let cancel = after(ms, beat)
    return () => {
      cancel()
    }
  }

  end(text: string): void {
    this.#writer.end(text)
  }
}

/** Sends the headers. */
export function startStream(
  reply: FastifyReply,
  contentType: string,
  headers: Readonly<Record<string, string>> = {}
): void {
  reply.hijack()
  const { raw } = reply
  raw.socket?.setTimeout(0)
  for (const [name, value] of Object.entries({ ...reply.getHeaders(), ...headers })) {
    if (value !== undefined) raw.setHeader(name, value)
  }
  raw.setHeader('content-type', contentType)
  // It ends for a reason that concerns the connection: client or server go away.
  raw.setHeader('connection', 'close')
  // A proxy that gathers a stream into larger pieces would hold live rows back.
  raw.setHeader('x-accel-buffering', 'no')
  raw.writeHead(200)
  raw.flushHeaders()
}

/** Nobody is there; an orderly end, because node or server close; or a problem, as JSON. */
export type StreamEnd =
  | { readonly type: 'gone' }
  | { readonly type: 'closing' }
  | { readonly type: 'problem'; readonly json: string }

/** What the reader is to be told of `error`, which ended a stream. */
export function endOf(
  error: unknown,
  place: { readonly context: HttpContext; readonly signal: AbortSignal; readonly url: string }
): StreamEnd {
  if (error instanceof StreamClosed) return { type: 'gone' }
  if (place.signal.aborted || isLaterbaseError(error, 'LATERBASE_CLOSED')) {
    return { type: 'closing' }
  }
  const problem = toProblem(error)
  if (problem.status >= 500) {
    place.context.log('error', 'a feed failed', { error: String(problem.cause) })
  }
  return { type: 'problem', json: problemJson(problem, place.url) }
}
