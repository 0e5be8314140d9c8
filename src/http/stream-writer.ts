/**
 * A streamed answer with backpressure: what a slow reader costs is bounded in bytes, and one that
 * stops reading is cut off after a while. It loses nothing that matters: feeds resume by cursor.
 */

import type { ServerResponse } from 'node:http'

import { after } from './deadline.ts'

export interface StreamWriterOptions {
  /** Bytes that may wait for the reader; 0 for none beyond the socket's own buffer. */
  readonly bufferBytesMax: number
  /** For a reader that stopped reading to begin again. */
  readonly stallMsMax: number
}

export class StreamWriter {
  readonly #response: ServerResponse
  readonly #options: StreamWriterOptions

  constructor(response: ServerResponse, options: StreamWriterOptions) {
    this.#response = response
    this.#options = options
  }

  /** Bytes written that the reader has not taken yet, but for what the system's buffers hold. */
  get waitingBytes(): number {
    return this.#response.writableLength
  }

  /** Resolves when more may be written. @throws StreamClosed when there is no reader any more */
  async write(text: string): Promise<void> {
    const response = this.#response
    if (response.destroyed || response.writableEnded) throw new StreamClosed()
    if (response.write(text)) return
    if (response.writableLength > this.#options.bufferBytesMax) await this.#drained()
  }

  end(text = ''): void {
    if (!this.#response.destroyed && !this.#response.writableEnded) this.#response.end(text)
  }

  #drained(): Promise<void> {
    const response = this.#response
    return new Promise((resolve, reject) => {
      const settle = (closed: boolean): void => {
        cancel()
        response.off('drain', onDrain).off('close', onClose)
        if (closed) reject(new StreamClosed())
        else resolve()
      }
      const onDrain = (): void => {
        settle(false)
      }
      const onClose = (): void => {
        settle(true)
      }
      const cancel = after(this.#options.stallMsMax, () => {
        response.destroy()
        settle(true)
      })
      response.on('drain', onDrain).on('close', onClose)
      if (response.destroyed) settle(true)
      else if (!response.writableNeedDrain) settle(false)
    })
  }
}

/** The reader is gone, or was cut off. Ends the handler; there is nobody to tell. */
export class StreamClosed extends Error {
  constructor() {
    super('the reader is gone')
    this.name = 'StreamClosed'
  }
}
