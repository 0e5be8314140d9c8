/**
 * Request bodies as text: bounded in bytes and time, strict UTF-8, not parsed. What parses them is
 * the node, so that the numbers in them are seen as they were written.
 *
 * A byte order mark at the start is dropped: RFC 8259 §8.1 lets a reader ignore it, and what
 * writes files on Windows often adds one.
 */

import { isUtf8 } from 'node:buffer'
import type { IncomingMessage } from 'node:http'

import { ByteBudget } from './byte-budget.ts'
import { after } from './deadline.ts'
import type { HttpLimits } from './limits.ts'
import { HttpProblem } from './problem.ts'

/** Reads bodies, and keeps account of what all of them hold together. */
export class BodyReader {
  readonly #limits: HttpLimits
  readonly #budget: ByteBudget

  constructor(limits: HttpLimits) {
    this.#limits = limits
    this.#budget = new ByteBudget(limits.bodiesBytesMax, limits.retryAfterSeconds)
  }

  /**
   * Runs `use` with the body's text; its bytes count as held until that is done.
   *
   * @throws HttpProblem `too-large`, `busy`, `body-timeout`, `malformed-json` for broken UTF-8, and
   *   what `use` throws
   */
  async withText<Result>(
    request: IncomingMessage,
    use: (text: string) => Promise<Result>
  ): Promise<Result> {
    const { bodyBytesMax } = this.#limits
    if (Number(request.headers['content-length'] ?? 0) > bodyBytesMax) throw this.#tooLarge()
    const body = await this.#collect(request)
    try {
      return await use(withoutByteOrderMark(decodeUtf8(body)))
    } finally {
      this.#budget.release(body.length)
    }
  }

  #collect(request: IncomingMessage): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      const chunks: Buffer[] = []
      let bytes = 0
      const settle = (): void => {
        cancel()
        request.off('data', onData).off('end', onEnd).off('close', onClose).off('error', onClose)
      }
      const fail = (problem: unknown): void => {
        settle()
        this.#budget.release(bytes)
        reject(problem)
      }
      const onData = (chunk: Buffer): void => {
        try {
          if (bytes + chunk.length > this.#limits.bodyBytesMax) throw this.#tooLarge()
          this.#budget.hold(chunk.length)
          bytes += chunk.length
          chunks.push(chunk)
        } catch (problem) {
          fail(problem)
        }
      }
      const onEnd = (): void => {
        settle()
        resolve(chunks.length === 1 && chunks[0] !== undefined ? chunks[0] : Buffer.concat(chunks))
      }
      const onClose = (): void => {
        fail(new HttpProblem('malformed-request', 'The body was cut short.'))
      }
      const cancel = after(this.#limits.bodyMsMax, () => {
        fail(new HttpProblem('body-timeout', `A body may take ${this.#limits.bodyMsMax} ms.`))
      })
      request.on('data', onData).on('end', onEnd).on('close', onClose).on('error', onClose)
    })
  }

  #tooLarge(): HttpProblem {
    const { bodyBytesMax } = this.#limits
    return new HttpProblem('too-large', `A body may have ${bodyBytesMax} bytes; stream NDJSON.`, {
      facts: { request_bytes_max: bodyBytesMax }
    })
  }
}

/**
 * Strict: broken UTF-8 is refused, never replaced.
 *
 * @throws HttpProblem `malformed-json`
 */
export function decodeUtf8(bytes: Buffer): string {
  // A fatal TextDecoder says the same and takes several times as long on small bodies.
  if (!isUtf8(bytes)) throw new HttpProblem('malformed-json', 'The body is not UTF-8.')
  return bytes.toString('utf8')
}

export function withoutByteOrderMark(text: string): string {
  return text.startsWith(BYTE_ORDER_MARK) ? text.slice(1) : text
}

const BYTE_ORDER_MARK = '\uFEFF'

/**
 * Reads and drops what is left of a body that was refused, for a while: a client that is still
 * sending reads the answer only afterwards, and closing at once would take it away.
 */
export function discardRest(request: IncomingMessage, limits: HttpLimits): void {
  if (request.complete || request.destroyed) return
  const cancel = after(limits.discardMsMax, () => {
    request.socket.destroy()
  })
  request.once('end', cancel).once('close', cancel)
  request.resume()
}
