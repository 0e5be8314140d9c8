/**
 * yamux with what @libp2p/yamux 8.0.3 lacks.
 *
 * It outlives a connection which closes under it. yamux sends the first frame of a stream in a microtask,
 * and answers of its own while it reads: on a connection that has closed by then, that throws where
 * nobody can catch it, and ends the process. Seen when a box that is short of time drops dials and
 * connections by the dozen.
 *
 * And it holds no more of a connection than it must. yamux gathers a frame of the length that its header
 * claims, up to 4 GiB, before it looks at the window that the frame breaks, in as many pieces as the other
 * side cares to send; and it answers pings and refuses streams without end to a side that reads nothing.
 *
 * And it answers little with little. yamux opens the window of a stream again after each frame, however
 * small: a frame of its own, encrypted and written by itself, that costs more than what it answers.
 */

import { yamux } from '@libp2p/yamux'
import type { StreamMuxerFactory } from '@libp2p/interface'
import {
  CONNECTION_UNSENT_BYTES_MAX,
  FRAME_PIECES_MAX,
  STREAM_WINDOW_BYTES_MAX,
  WINDOW_UPDATE_BYTES
} from './limits.ts'

type YamuxInit = Parameters<typeof yamux>[0]

/** Frames of yamux that carry a sender's bytes: what sends those does hear that they cannot go. */
const DATA_FRAME = 0

/** Bytes of a frame's header. */
const HEADER_BYTES = 12

/** What a muxer of yamux has besides its interface. */
interface YamuxParts {
  readonly decoder: { readonly buffer: { readonly byteLength: number } }
  /** The encrypted connection. */
  readonly maConn: { readonly writeBufferLength: number; abort(error: Error): void }
  /** What it throws ends the connection. */
  onData(bytes: { readonly byteLength: number }): void
  sendFrame(header: { readonly type: number }, data?: unknown): boolean
  _newStream(...of: readonly unknown[]): StreamParts
}

/** What a stream of yamux has besides its interface. */
interface StreamParts {
  readonly state: number
  readonly recvWindow: number
  /** What is left of the window. */
  readonly recvWindowCapacity: number
  sendWindowUpdate(): void
}

/** Streams of which the next update of the window carries that they are open. */
const OPENING: readonly number[] = [0, 2]

export function guardedYamux(init: YamuxInit): () => StreamMuxerFactory {
  return () => {
    const factory = yamux(init)()
    return {
      protocol: factory.protocol,
      createStreamMuxer: (connection) => {
        const muxer = factory.createStreamMuxer(connection)
        const parts = muxer as unknown as YamuxParts
        guardSending(parts)
        guardReading(parts)
        updateWindowsSeldom(parts)
        return muxer
      }
    }
  }
}

/** The closing of the connection itself ends the streams: there is nobody to send to until then. */
function guardSending(muxer: YamuxParts): void {
  const { maConn } = muxer
  const send = muxer.sendFrame.bind(muxer)
  muxer.sendFrame = (header, data) => {
    try {
      const isRoom = send(header, data)
      // Streams wait while there is no room; what grows beyond are answers to a side that does not read.
      if (!isRoom && maConn.writeBufferLength > CONNECTION_UNSENT_BYTES_MAX) {
        maConn.abort(new Error('the other side does not read'))
      }
      return isRoom
    } catch (error) {
      const isClosed = error instanceof Error && error.name === 'StreamStateError'
      if (header.type === DATA_FRAME || !isClosed) throw error
      return false
    }
  }
}

/** Between two calls the decoder holds the beginning of one frame. */
function guardReading(muxer: YamuxParts): void {
  const { decoder } = muxer
  const read = muxer.onData.bind(muxer)
  let pieces = 0
  muxer.onData = (bytes) => {
    const withoutFrame = decoder.buffer.byteLength + bytes.byteLength
    read(bytes)
    const begun = decoder.buffer.byteLength
    pieces = begun === withoutFrame ? pieces + 1 : 0
    if (begun > STREAM_WINDOW_BYTES_MAX + HEADER_BYTES) throw new Error('a frame above the window')
    if (pieces > FRAME_PIECES_MAX) throw new Error('a frame in too many pieces')
  }
}

/** The sender has most of the window left meanwhile, so it never waits for what is not sent. */
function updateWindowsSeldom(muxer: YamuxParts): void {
  const newStream = muxer._newStream.bind(muxer)
  muxer._newStream = (...of) => {
    const stream = newStream(...of)
    const update = stream.sendWindowUpdate.bind(stream)
    stream.sendWindowUpdate = () => {
      const taken = stream.recvWindow - stream.recvWindowCapacity
      if (taken >= WINDOW_UPDATE_BYTES || OPENING.includes(stream.state)) update()
    }
    return stream
  }
}
