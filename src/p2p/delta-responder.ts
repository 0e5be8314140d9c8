/**
 * The answering side of `/laterbase/delta/1.0.0`: requests of one inbound stream, one after the
 * other, each answered by the node. What a peer can make us hold is bounded: a few unread requests
 * per stream, and answers for only so many of its requests at once over all its streams.
 */

import type { Connection, Stream } from '@libp2p/interface'
import { pipe } from 'it-pipe'
import { assert } from '../core/assert.ts'
import type { Clock } from '../core/clock.ts'
import { FRAME_BYTES_MAX, REQUEST_BYTES_MAX } from '../../protocols/limits.ts'
import { FrameError, StreamReader, decodeFrames, sendFrame } from './frames.ts'
import {
  ANSWERS_AT_ONCE_MAX,
  ANSWERS_BYTES_MAX,
  REQUESTS_UNREAD_BYTES_MAX,
  REQUESTS_UNREAD_PIECES_MAX
} from './limits.ts'
import type { Log } from './log.ts'
import { reasonOf } from './log.ts'
import { StreamBytes } from './stream-bytes.ts'

export interface DeltaResponderInit {
  readonly clock: Clock
  readonly log: Log
  /** Answers the request of a connection's peer. A rejection resets the stream. */
  readonly answer: (connection: Connection, frame: Uint8Array) => Promise<Uint8Array>
  /** An answer of so many bytes begins to go out, or its last bytes were taken. */
  readonly answering: (connection: Connection, bytes: number) => void
  /** Of frames that come in, on all streams of the node. */
  readonly incoming: StreamBytes
}

export class DeltaResponder {
  readonly #init: DeltaResponderInit
  /** Answers under way, and who waits for a turn; a peer is here only while it has some. */
  readonly #turns = new Map<string, { running: number; readonly waiting: (() => void)[] }>()
  /** The answers that are being sent. */
  readonly #sending = new StreamBytes(ANSWERS_BYTES_MAX, 'answers to others need the memory')

  constructor(init: DeltaResponderInit) {
    this.#init = init
  }

  /** Serves one stream until it ends. Never rejects: whatever is wrong resets the stream. */
  async serve(connection: Connection, stream: Stream): Promise<void> {
    const peer = connection.remotePeer.toString()
    const reader = new StreamReader(stream, {
      unreadBytesMax: REQUESTS_UNREAD_BYTES_MAX,
      unreadPiecesMax: REQUESTS_UNREAD_PIECES_MAX,
      onHeld: (length) => this.#init.incoming.set(stream, length)
    })
    try {
      await pipe(
        reader,
        () => decodeFrames(reader, REQUEST_BYTES_MAX),
        async (requests) => {
          for await (const request of requests) await this.#answer(connection, stream, request)
        }
      )
      await stream.close()
    } catch (error) {
      if (error instanceof FrameError && stream.status === 'open') {
        this.#init.log('warn', 'request stream reset', { peer, reason: reasonOf(error) })
      } else {
        this.#init.log('debug', 'request stream ended', { peer, reason: reasonOf(error) })
      }
      stream.abort(error instanceof Error ? error : new Error(String(error)))
    }
  }

  /** Holds its turn until the answer is sent: the frame is in memory until then. */
  async #answer(connection: Connection, stream: Stream, request: Uint8Array): Promise<void> {
    const peer = connection.remotePeer.toString()
    await this.#takeTurn(peer)
    try {
      if (stream.status !== 'open') throw new FrameError(`the stream is ${stream.status}`)
      const answer = await this.#init.answer(connection, request)
      assert(answer.length <= FRAME_BYTES_MAX, 'an answer fits a frame')
      this.#init.answering(connection, answer.length)
      this.#sending.set(stream, answer.length)
      await sendFrame(stream, answer, { clock: this.#init.clock })
      this.#init.answering(connection, answer.length)
    } finally {
      this.#sending.set(stream, 0)
      this.#leaveTurn(peer)
    }
  }

  async #takeTurn(peer: string): Promise<void> {
    const turns = this.#turns.get(peer) ?? { running: 0, waiting: [] }
    this.#turns.set(peer, turns)
    // Whoever is woken takes over the turn of the one who left, so nobody can slip in between.
    if (turns.running < ANSWERS_AT_ONCE_MAX) turns.running += 1
    else await new Promise<void>((resolve) => turns.waiting.push(resolve))
  }

  #leaveTurn(peer: string): void {
    const turns = this.#turns.get(peer)
    assert(turns !== undefined && turns.running > 0, 'a turn was taken')
    const next = turns.waiting.shift()
    if (next !== undefined) next()
    else turns.running -= 1
    if (turns.running === 0) this.#turns.delete(peer)
  }
}
