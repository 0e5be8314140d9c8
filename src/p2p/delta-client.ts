/**
 * The asking side of `/laterbase/delta/1.0.0` towards one peer: one outbound stream, kept open and
 * reused; requests in the order of the calls, a few of them in flight; answers in that order.
 *
 * Giving up a request leaves the stream to those behind it: the answer is dropped when it comes. The
 * stream is reset when nobody waits on it, or when the answer that nobody waits for does not come. A
 * request is a question without side effects (delta spec), so what else was in flight on a stream
 * that was reset is asked again on the next one, once.
 */

import type { Stream } from '@libp2p/interface'
import { assert } from '../core/assert.ts'
import type { Clock, Millis, Timer } from '../core/clock.ts'
import { LaterbaseError } from '../errors.ts'
import { FRAME_BYTES_MAX, REQUEST_BYTES_MAX } from '../../protocols/limits.ts'
import { deadline } from './deadline.ts'
import { FrameError, StreamReader, decodeFrames, sendFrame } from './frames.ts'
import {
  ANSWERS_UNREAD_BYTES_MAX,
  DEADLINES_MISSED_MAX,
  REQUESTS_IN_FLIGHT_MAX,
  REQUESTS_QUEUED_MAX,
  ROUND_TRIPS_KEPT,
  LINK_BYTES_PER_SECOND_MIN,
  STREAM_OPEN_MS_MAX,
  STREAM_SILENT_MS_MAX
} from './limits.ts'
import { reasonOf } from './log.ts'
import type { StreamBytes } from './stream-bytes.ts'
import type { RequestOptions } from './transport.ts'

export interface DeltaClientInit {
  readonly peer: string
  readonly clock: Clock
  /** Opens a stream on the connection to the peer that is best now. */
  readonly openStream: (signal: AbortSignal) => Promise<Stream>
  /**
   * Several requests in a row were given up and nothing was heard meanwhile. The client is closed by
   * then, so that it opens no stream on a connection that is about to be aborted.
   */
  readonly silent: () => void
  /** Of frames that come in, on all streams of the node. */
  readonly incoming: StreamBytes
}

interface Pending {
  readonly frame: Uint8Array
  readonly signal: AbortSignal
  readonly onProgress: (bytes: number) => void
  readonly resolve: (answer: Uint8Array) => void
  readonly reject: (error: Error) => void
  readonly askedMs: Millis
  /** When it went out with nothing before it in flight, so that its time is a round trip. */
  sentAloneMs: Millis | undefined
  asked: number
  settled: boolean
}

interface Session {
  readonly stream: Stream
  /** In the order of their answers; what is settled was given up, and its answer is dropped. */
  readonly inFlight: Pending[]
  /** When bytes came last, or a request went out with nothing before it: silence begins there. */
  aliveMs: Millis
  /** Runs while the next answer is one that nobody waits for. */
  watch: Timer | undefined
  /** No more requests: it ends with the last answer. */
  retired: boolean
}

export class DeltaClient {
  readonly #init: DeltaClientInit
  readonly #queue: Pending[] = []
  #session: Session | undefined
  #pumping = false
  #closed: Error | undefined
  #occupiedUntilMs: Millis = Number.NEGATIVE_INFINITY
  #missed = 0
  #missedMs: Millis = Number.NEGATIVE_INFINITY
  #roundTripsMs: readonly Millis[] = []

  constructor(init: DeltaClientInit) {
    this.#init = init
  }

  /** The shortest of the last round trips, which is the one with the least work in it. */
  roundTripMs(): Millis | undefined {
    return this.#roundTripsMs.length === 0 ? undefined : Math.min(...this.#roundTripsMs)
  }

  /** Opens the stream ahead of the first request: proof that the peer wants us. */
  async open(signal: AbortSignal): Promise<void> {
    if (this.#session === undefined) await this.#openSession(signal)
  }

  /** @throws LATERBASE_PEER_UNREACHABLE, LATERBASE_TOO_LARGE */
  request(frame: Uint8Array, options: RequestOptions): Promise<Uint8Array> {
    const { signal, onProgress } = options
    if (frame.length > REQUEST_BYTES_MAX) {
      throw new LaterbaseError('LATERBASE_TOO_LARGE', 'a request to a peer is too large', {
        facts: { bytes: frame.length, bytesMax: REQUEST_BYTES_MAX }
      })
    }
    if (this.#closed !== undefined) throw this.#unreachable('the connection closed', this.#closed)
    if (signal.aborted) throw this.#unreachable('given up', signal.reason)
    const underWay = this.#session?.inFlight.length ?? 0
    if (this.#queue.length + underWay >= REQUESTS_QUEUED_MAX) {
      throw this.#unreachable(`${REQUESTS_QUEUED_MAX} requests wait already`)
    }
    return new Promise((resolve, reject) => {
      const onAbort = (): void => this.#giveUp(pending)
      const settled = (): void => {
        pending.settled = true
        signal.removeEventListener('abort', onAbort)
      }
      const pending: Pending = {
        frame,
        signal,
        onProgress: (bytes) => onProgress?.(bytes),
        resolve: (answer) => (settled(), resolve(answer)),
        reject: (error) => (settled(), reject(error)),
        askedMs: this.#init.clock.monotonicMs(),
        sentAloneMs: undefined,
        asked: 0,
        settled: false
      }
      signal.addEventListener('abort', onAbort)
      this.#queue.push(pending)
      this.#pump()
    })
  }

  /**
   * An answer of ours to the peer goes out: on a slow link our requests wait behind it, also after
   * the system took its last byte, so that the peer's silence tells nothing until it is through.
   */
  answering(bytes: number): void {
    const takesMs = (bytes / LINK_BYTES_PER_SECOND_MIN) * 1_000
    const untilMs = this.#init.clock.monotonicMs() + takesMs
    this.#occupiedUntilMs = Math.max(this.#occupiedUntilMs, untilMs)
    this.#tellProgress(0)
  }

  /** Leaves the current stream once nothing is in flight on it; `openStream` then picks anew. */
  retire(): void {
    const session = this.#session
    if (session === undefined) return
    session.retired = true
    if (session.inFlight.length > 0) return
    this.#leave(session)
    session.stream.close().catch((error: unknown) => session.stream.abort(asError(error)))
  }

  /** Every request that waits is rejected. Idempotent. */
  close(reason: Error): void {
    if (this.#closed !== undefined) return
    this.#closed = reason
    const session = this.#session
    if (session !== undefined) this.#leave(session)
    const waiting = [...(session?.inFlight.splice(0) ?? []), ...this.#queue.splice(0)]
    session?.stream.abort(reason)
    for (const pending of waiting) {
      if (!pending.settled) pending.reject(this.#unreachable(reason.message, reason))
    }
  }

  #pump(): void {
    if (this.#pumping) return
    this.#pumping = true
    this.#sendQueued()
      .catch((error: unknown) => this.#failQueued(error))
      .finally(() => {
        this.#pumping = false
        if (this.#queue.length > 0 && this.#hasRoom()) this.#pump()
      })
  }

  async #sendQueued(): Promise<void> {
    while (this.#queue.length > 0 && this.#hasRoom()) {
      const session = this.#session ?? (await this.#openSession())
      const pending = this.#queue.shift()
      if (pending === undefined) return
      if (session !== this.#session) {
        this.#queue.unshift(pending)
        continue
      }
      pending.asked += 1
      if (session.inFlight.length === 0) {
        session.aliveMs = this.#init.clock.monotonicMs()
        pending.sentAloneMs = session.aliveMs
      }
      session.inFlight.push(pending)
      try {
        await sendFrame(session.stream, pending.frame, { clock: this.#init.clock })
      } catch (error) {
        this.#endSession(session, asError(error))
      }
    }
  }

  #hasRoom(): boolean {
    return (
      this.#closed === undefined &&
      (this.#session === undefined ||
        (!this.#session.retired && this.#session.inFlight.length < REQUESTS_IN_FLIGHT_MAX))
    )
  }

  async #openSession(signal?: AbortSignal): Promise<Session> {
    const limit = deadline(this.#init.clock, STREAM_OPEN_MS_MAX, signal)
    const askedMs = this.#init.clock.monotonicMs()
    let stream
    try {
      stream = await this.#init.openStream(limit.signal)
    } catch (error) {
      if (limit.signal.aborted && signal?.aborted !== true) this.#countMissed(askedMs)
      throw error
    } finally {
      limit.clear()
    }
    if (this.#closed !== undefined) {
      stream.abort(this.#closed)
      throw this.#closed
    }
    const aliveMs = this.#init.clock.monotonicMs()
    const session: Session = { stream, inFlight: [], aliveMs, watch: undefined, retired: false }
    this.#session = session
    this.#readAnswers(session).then(
      () => this.#endSession(session, new FrameError('the peer closed the stream')),
      (error: unknown) => this.#endSession(session, asError(error))
    )
    return session
  }

  async #readAnswers(session: Session): Promise<void> {
    const reader = new StreamReader(session.stream, {
      unreadBytesMax: ANSWERS_UNREAD_BYTES_MAX,
      onBytes: (length) => this.#heard(session, length),
      onHeld: (length) => this.#init.incoming.set(session.stream, length)
    })
    for await (const answer of decodeFrames(reader, FRAME_BYTES_MAX)) {
      const pending = session.inFlight.shift()
      if (pending === undefined) throw new FrameError('an answer to no request')
      if (pending.sentAloneMs !== undefined) this.#roundTrip(pending.sentAloneMs)
      if (!pending.settled) pending.resolve(answer)
      this.#watch(session)
      if (session.retired) this.retire()
      this.#pump()
    }
  }

  /** Ends a stream for good; what was in flight on it is lost, and told so. */
  #endSession(session: Session, reason: Error): void {
    this.#leave(session)
    session.stream.abort(reason)
    for (const pending of session.inFlight.splice(0)) {
      if (!pending.settled) pending.reject(this.#unreachable('the stream broke', reason))
    }
    if (this.#queue.length > 0) this.#pump()
  }

  #giveUp(pending: Pending): void {
    if (pending.settled) return
    const queued = this.#queue.indexOf(pending)
    if (queued >= 0) this.#queue.splice(queued, 1)
    pending.reject(this.#unreachable('given up', pending.signal.reason))
    const session = this.#session
    if (session?.inFlight.includes(pending) !== true) return
    if (session.inFlight.every(({ settled }) => settled)) this.#reset(session, pending)
    else this.#watch(session)
  }

  /**
   * Resets the stream once the next answer is one that nobody waits for and nothing comes. While
   * somebody does wait for it, its own deadline judges: a page may take long to be gathered.
   */
  #watch(session: Session): void {
    session.watch?.cancel()
    session.watch = undefined
    const next = session.inFlight[0]
    if (next?.settled !== true) return
    const leftMs = STREAM_SILENT_MS_MAX - this.#silentMs(session)
    if (leftMs <= 0) this.#reset(session, next)
    else session.watch = this.#init.clock.setTimer(leftMs, () => this.#watch(session))
  }

  #reset(session: Session, givenUp: Pending): void {
    const others = session.inFlight.splice(0).filter(({ settled }) => !settled)
    this.#leave(session)
    session.stream.abort(new FrameError('a request was given up'))
    // Before anything is asked again: this may be the end of the connection.
    if (this.#silentMs(session) >= STREAM_SILENT_MS_MAX) this.#countMissed(givenUp.askedMs)
    this.#askAgain(others)
  }

  #leave(session: Session): void {
    if (this.#session === session) this.#session = undefined
    session.watch?.cancel()
    session.watch = undefined
  }

  #askAgain(others: readonly Pending[]): void {
    for (const other of others.toReversed()) {
      if (this.#closed === undefined && other.asked === 1) this.#queue.unshift(other)
      else other.reject(this.#unreachable('the stream was reset', this.#closed))
    }
    if (this.#queue.length > 0) this.#pump()
  }

  /** Requests that overlap count once: one slow moment of the peer is not several. */
  #countMissed(askedMs: Millis): void {
    const now = this.#init.clock.monotonicMs()
    if (now < this.#occupiedUntilMs) return
    if (this.#missed > 0 && askedMs < this.#missedMs) return
    this.#missed += 1
    this.#missedMs = now
    if (this.#missed >= DEADLINES_MISSED_MAX) {
      this.close(new Error('the peer does not answer'))
      this.#init.silent()
    }
  }

  #failQueued(error: unknown): void {
    for (const pending of this.#queue.splice(0)) {
      pending.reject(this.#unreachable('no stream could be opened', error))
    }
  }

  #silentMs({ aliveMs }: Session): Millis {
    return this.#init.clock.monotonicMs() - aliveMs
  }

  #heard(session: Session, bytes: number): void {
    session.aliveMs = this.#init.clock.monotonicMs()
    this.#missed = 0
    this.#tellProgress(bytes)
  }

  /** Whoever waits behind a large answer on a slow link waits for the link, not for the peer. */
  #tellProgress(bytes: number): void {
    for (const { settled, onProgress } of [...(this.#session?.inFlight ?? []), ...this.#queue]) {
      if (!settled) onProgress(bytes)
    }
  }

  #roundTrip(sentMs: Millis): void {
    const tookMs = this.#init.clock.monotonicMs() - sentMs
    assert(tookMs >= 0, 'monotonic time does not go back')
    this.#roundTripsMs = [tookMs, ...this.#roundTripsMs].slice(0, ROUND_TRIPS_KEPT)
  }

  #unreachable(what: string, cause?: unknown): LaterbaseError {
    const because = cause === undefined ? '' : `: ${reasonOf(cause)}`
    const message = `peer ${this.#init.peer}: ${what}${because}`
    return new LaterbaseError('LATERBASE_PEER_UNREACHABLE', message, { cause })
  }
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error))
}
