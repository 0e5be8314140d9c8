/**
 * Keeps gossip alive. gossipsub opens one stream per peer when it is identified, and never again:
 * a stream that is reset (a full buffer, an oversized message, a closed second connection) leaves
 * the peer without announcements until it reconnects. Identifying the peer anew makes gossipsub
 * open its stream; so does a peer whose first identification timed out.
 */

import type { GossipSub } from '@chainsafe/libp2p-gossipsub'
import type { Connection } from '@libp2p/interface'
import type { Clock, Timer } from '../core/clock.ts'
import { GOSSIP_CHECK_MS } from './limits.ts'
import type { Log } from './log.ts'
import { reasonOf } from './log.ts'

const GOSSIP_PREFIX = '/meshsub/'

export interface GossipWatchInit {
  readonly clock: Clock
  readonly log: Log
  readonly gossip: GossipSub
  readonly identify: (connection: Connection) => Promise<unknown>
  readonly connections: () => readonly Connection[]
}

export class GossipWatch {
  readonly #init: GossipWatchInit
  /** Peers that were identified, and whether they gossip. */
  readonly #gossips = new Map<string, boolean>()
  /** Connections that had no gossip stream at the last check. */
  #without = new Set<Connection>()
  #timer: Timer

  constructor(init: GossipWatchInit) {
    this.#init = init
    this.#timer = init.clock.setTimer(GOSSIP_CHECK_MS, () => this.#check())
  }

  identified(peer: string, protocols: readonly string[]): void {
    const gossips = protocols.some((protocol) => protocol.startsWith(GOSSIP_PREFIX))
    this.#gossips.set(peer, gossips)
  }

  forget(peer: string): void {
    this.#gossips.delete(peer)
  }

  close(): void {
    this.#timer.cancel()
  }

  #check(): void {
    const connections = this.#init.connections()
    // gossipsub has one stream a peer, also where two boxes have that peer's identity.
    const served = new Set(connections.filter(hasGossipStream).map(peerOf))
    const without = connections.filter(
      (connection) =>
        this.#gossips.get(peerOf(connection)) !== false && !served.has(peerOf(connection))
    )
    for (const connection of without) {
      // Twice in a row: a new connection has its stream within the first check.
      if (this.#without.has(connection)) this.#repair(connection)
    }
    this.#without = new Set(without)
    this.#timer = this.#init.clock.setTimer(GOSSIP_CHECK_MS, () => this.#check())
  }

  #repair(connection: Connection): void {
    const peer = connection.remotePeer.toString()
    this.#init.log('info', 'gossip stream missing; opened again', { peer })
    // A stream that was reset while it was being opened stays in gossipsub's map, and in the way.
    outboundStreams(this.#init.gossip).delete(peer)
    this.#init.identify(connection).catch((error: unknown) => {
      this.#init.log('debug', 'peer not identified', { peer, reason: reasonOf(error) })
    })
  }
}

function hasGossipStream({ streams }: Connection): boolean {
  return streams.some(
    ({ direction, protocol }) => direction === 'outbound' && protocol.startsWith(GOSSIP_PREFIX)
  )
}

function peerOf(connection: Connection): string {
  return connection.remotePeer.toString()
}

/** A public member of gossipsub's class, which its package does not export. */
function outboundStreams(gossip: GossipSub): Map<string, unknown> {
  return (gossip as unknown as { streamsOutbound: Map<string, unknown> }).streamsOutbound
}
