/**
 * yamux that outlives a connection which closes under it. @libp2p/yamux 8.0.3 sends the first frame of
 * a stream in a microtask, and answers of its own while it reads: on a connection that has closed by
 * then, that throws where nobody can catch it, and ends the process. Seen when a box that is short of
 * time drops dials and connections by the dozen.
 */

import { yamux } from '@libp2p/yamux'
import type { StreamMuxerFactory } from '@libp2p/interface'

type YamuxInit = Parameters<typeof yamux>[0]

/** Frames of yamux that carry a sender's bytes: what sends those does hear that they cannot go. */
const DATA_FRAME = 0

interface FrameSender {
  sendFrame(header: { readonly type: number }, data?: unknown): boolean
}

export function guardedYamux(init: YamuxInit): () => StreamMuxerFactory {
  return () => {
    const factory = yamux(init)()
    return {
      protocol: factory.protocol,
      createStreamMuxer: (connection) => {
        const muxer = factory.createStreamMuxer(connection)
        guard(muxer as unknown as FrameSender)
        return muxer
      }
    }
  }
}

/** The closing of the connection itself ends the streams: there is nobody to send to until then. */
function guard(sender: FrameSender): void {
  const send = sender.sendFrame.bind(sender)
  sender.sendFrame = (header, data) => {
    try {
      return send(header, data)
    } catch (error) {
      const isClosed = error instanceof Error && error.name === 'StreamStateError'
      if (header.type === DATA_FRAME || !isClosed) throw error
      return false
    }
  }
}
