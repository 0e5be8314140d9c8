/**
 * Length-prefixed frames over a libp2p stream: a capped reader, a frame decoder and a sender.
 *
 * A libp2p 3 stream that is iterated, or turned into a duplex, buffers without bound when its
 * consumer is slow, and a pause may be lost; hence a reader of our own on its events, that resets
 * the stream at a cap. What bounds a peer is the protocol: it pulls pages.
 */

import type { Stream } from '@libp2p/interface'
import { Uint8ArrayList } from 'uint8arraylist'
import type { Clock } from '../core/clock.ts'
import { ByteQueue } from './byte-queue.ts'
import { deadline } from './deadline.ts'
import { SEND_BYTES, SEND_STALL_MS_MAX } from './limits.ts'

/** Bytes of the longest length prefix: an unsigned varint below 2^28. */
const PREFIX_BYTES_MAX = 4

/** Bytes of a stream in the pieces in which they came. */
export type Pieces = Iterable<Uint8Array>

/** What a peer sent breaks the framing; the stream must be reset. */
export class FrameError extends Error {
  override readonly name = 'FrameError'
}

export interface StreamReaderOptions {
  /** Bytes that may wait for the consumer; more resets the stream. */
  readonly unreadBytesMax: number
  /** Pieces in which these may come; more resets the stream. */
  readonly unreadPiecesMax?: number
  /** Called for all that comes in, before it is consumed. */
  readonly onBytes?: (length: number) => void
  /** Called with the bytes that came in and that are in no whole frame yet, or wait for their turn. */
  readonly onHeld?: (length: number) => void
}

/**
 * What comes in on a stream, as an async iterable for one consumer. It listens from construction
 * on, ends when the other side closed its half, and throws when the stream was reset.
 */
export class StreamReader implements AsyncIterable<Pieces> {
  readonly #unread = new ByteQueue()
  readonly #onHeld: StreamReaderOptions['onHeld']
  /** What came and was not taken: unread, or gathered by the consumer for a frame. */
  #held = 0
  /** Pieces that came since the consumer took the last ones. */
  #pieces = 0
  #ended = false
  #error: Error | undefined
  #wake: (() => void) | undefined

  constructor(stream: Stream, options: StreamReaderOptions) {
    this.#onHeld = options.onHeld
    stream.addEventListener('message', ({ data }) => {
      if (this.#ended) return
      options.onBytes?.(data.byteLength)
      for (const piece of data instanceof Uint8Array ? [data] : data) this.#unread.append(piece)
      this.#hold(this.#held + data.byteLength)
      if (this.#unread.length > options.unreadBytesMax) {
        stream.abort(new FrameError(`more than ${options.unreadBytesMax} unread bytes`))
      }
      this.#pieces += 1
      if (options.unreadPiecesMax !== undefined && this.#pieces > options.unreadPiecesMax) {
        stream.abort(new FrameError(`more than ${options.unreadPiecesMax} unread pieces`))
      }
      this.#wake?.()
    })
    // Not 'remoteCloseWrite', which comes before the last bytes.
    stream.addEventListener('end', () => this.#end(undefined))
    stream.addEventListener('close', ({ error }) => this.#end(error))
    if (stream.readableEnded || stream.status !== 'open') this.#end(undefined)
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Pieces> {
    try {
      for (;;) {
        if (this.#error !== undefined) throw this.#error
        if (this.#unread.length > 0) {
          this.#pieces = 0
          yield this.#unread.takeAll()
        } else if (this.#ended) {
          return
        } else {
          await new Promise<void>((resolve) => (this.#wake = resolve))
          this.#wake = undefined
        }
      }
    } finally {
      // Nobody reads any more: nothing else is kept.
      this.#ended = true
      this.#drop()
    }
  }

  /** The consumer has made a frame of so many of the bytes. */
  taken(bytes: number): void {
    this.#hold(Math.max(0, this.#held - bytes))
  }

  #end(error: Error | undefined): void {
    if (error !== undefined) {
      this.#error ??= error
      this.#drop()
    }
    this.#ended = true
    this.#wake?.()
  }

  #drop(): void {
    this.#unread.clear()
    this.#hold(0)
  }

  #hold(bytes: number): void {
    if (bytes === this.#held) return
    this.#held = bytes
    this.#onHeld?.(bytes)
  }
}

/**
 * Frames out of bytes. Each frame is a copy of its own.
 *
 * @param source told of what was taken of it, if it wants to know
 * @throws FrameError on a frame above `frameBytesMax`, before it is gathered; on a prefix that is
 *   not in its shortest form; and when the bytes end inside a frame
 */
export async function* decodeFrames(
  source: AsyncIterable<Pieces> & { taken?(bytes: number): void },
  frameBytesMax: number
): AsyncGenerator<Uint8Array> {
  const gathered = new ByteQueue()
  for await (const pieces of source) {
    for (const piece of pieces) gathered.append(piece)
    for (;;) {
      const prefix = readPrefix(gathered)
      if (prefix === undefined) break
      if (prefix.length > frameBytesMax) {
        throw new FrameError(`a frame of ${prefix.length} bytes, ${frameBytesMax} are allowed`)
      }
      if (gathered.length < prefix.bytes + prefix.length) break
      gathered.take(prefix.bytes)
      const frame = gathered.take(prefix.length)
      source.taken?.(prefix.bytes + prefix.length)
      yield frame
    }
  }
  if (gathered.length > 0) throw new FrameError('the stream ended inside a frame')
}

/**
 * Sends one frame in slices, waiting whenever the stream is full.
 *
 * @throws when the stream closes, when `signal` aborts, and when the other side takes nothing for
 *   SEND_STALL_MS_MAX; the stream is then of no further use and must be reset
 */
export async function sendFrame(
  stream: Stream,
  frame: Uint8Array,
  options: { readonly clock: Clock; readonly signal?: AbortSignal }
): Promise<void> {
  const first = frame.subarray(0, SEND_BYTES)
  stream.send(new Uint8ArrayList(encodePrefix(frame.length), first))
  await drained(stream, options)
  for (let from = SEND_BYTES; from < frame.length; from += SEND_BYTES) {
    stream.send(frame.subarray(from, from + SEND_BYTES))
    await drained(stream, options)
  }
}

function encodePrefix(length: number): Uint8Array {
  const bytes: number[] = []
  let rest = length
  while (rest >= 0x80) {
    bytes.push((rest & 0x7f) | 0x80)
    rest >>>= 7
  }
  bytes.push(rest)
  return Uint8Array.from(bytes)
}

function readPrefix(queue: ByteQueue): { length: number; bytes: number } | undefined {
  let length = 0
  for (let index = 0; index < PREFIX_BYTES_MAX; index += 1) {
    const byte = queue.at(index)
    if (byte === undefined) return undefined
    length |= (byte & 0x7f) << (7 * index)
    if ((byte & 0x80) === 0) {
      if (byte === 0 && index > 0) throw new FrameError('a length not in its shortest form')
      return { length, bytes: index + 1 }
    }
  }
  throw new FrameError(`a length of more than ${PREFIX_BYTES_MAX} bytes`)
}

/**
 * Resolves when the stream takes more. `stream.onDrain()` will not do: after its first use it
 * resolves at once (@libp2p/utils 7.4.1 keeps the settled promise).
 */
async function drained(
  stream: Stream,
  options: { readonly clock: Clock; readonly signal?: AbortSignal }
): Promise<void> {
  options.signal?.throwIfAborted()
  while (stream.writableNeedsDrain) {
    const stall = deadline(options.clock, SEND_STALL_MS_MAX, options.signal)
    try {
      await drainEvent(stream, stall.signal)
    } finally {
      stall.clear()
    }
  }
  if (stream.status !== 'open') throw new FrameError(`the stream is ${stream.status}`)
}

function drainEvent(stream: Stream, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const settle = (error?: unknown): void => {
      stream.removeEventListener('drain', onDrain)
      stream.removeEventListener('close', onClose)
      signal.removeEventListener('abort', onAbort)
      if (error === undefined) resolve()
      else reject(error instanceof Error ? error : new FrameError('given up', { cause: error }))
    }
    const onDrain = (): void => settle()
    const onClose = (): void => settle(new FrameError('the stream closed while sending'))
    const onAbort = (): void => settle(signal.reason ?? new FrameError('given up'))
    stream.addEventListener('drain', onDrain)
    stream.addEventListener('close', onClose)
    signal.addEventListener('abort', onAbort)
    if (stream.status !== 'open') onClose()
    else if (signal.aborted) onAbort()
  })
}
