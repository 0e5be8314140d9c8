/** A transport that counts what passes: requests, announcements, and their bytes. */

import type { Transport, TransportHandlers } from '../p2p/transport.ts'
import type { TrafficStatus } from './laterbase.ts'

export interface MeteredTransport {
  readonly transport: Transport
  /** Since the start. Bytes are those of frames and announcements, without what carries them. */
  readonly traffic: () => Omit<TrafficStatus, 'fetches'>
}

export function meterTransport(inner: Transport): MeteredTransport {
  const counts = {
    requestsAsked: 0,
    requestsFailed: 0,
    requestsAnswered: 0,
    announcementsSent: 0,
    announcementsHeard: 0,
    bytesIn: 0,
    bytesOut: 0
  }
  const request: Transport['request'] = async (peer, frame, options) => {
    counts.requestsAsked += 1
    counts.bytesOut += frame.length
    try {
      const answer = await inner.request(peer, frame, options)
      counts.bytesIn += answer.length
      return answer
    } catch (error) {
      counts.requestsFailed += 1
      throw error
    }
  }
  const metered = (handlers: TransportHandlers): TransportHandlers => ({
    ...handlers,
    requested: async (peer, frame) => {
      counts.bytesIn += frame.length
      const answer = await handlers.requested(peer, frame)
      counts.requestsAnswered += 1
      counts.bytesOut += answer.length
      return answer
    },
    announced: async (peer, database, message) => {
      counts.announcementsHeard += 1
      counts.bytesIn += message.length
      return handlers.announced(peer, database, message)
    }
  })
  const transport: Transport = {
    peerId: inner.peerId,
    addresses: () => inner.addresses(),
    peers: () => inner.peers(),
    warnings: () => inner.warnings(),
    start: (handlers) => inner.start(metered(handlers)),
    close: () => inner.close(),
    request,
    subscribe: (database) => inner.subscribe(database),
    unsubscribe: (database) => inner.unsubscribe(database),
    announce: (database, message) => {
      counts.announcementsSent += 1
      counts.bytesOut += message.length
      return inner.announce(database, message)
    },
    dial: (multiaddr, options) => inner.dial(multiaddr, options),
    cutOff: (peer, forMs, reason) => inner.cutOff(peer, forMs, reason),
    goOffline: () => inner.goOffline(),
    goOnline: () => inner.goOnline()
  }
  return { transport, traffic: () => ({ ...counts }) }
}
