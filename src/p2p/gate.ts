/**
 * Who is let in, of those who hold the network key: nobody while offline, no peer that is cut off,
 * no second connection to a peer when the first one is to stay, and nobody while this node is full.
 *
 * libp2p's own limit of connections is not used: of a crowd that comes at one moment it lets all in whose
 * handshakes overlap, and then closes only those that have no stream yet, whoever they are.
 */

import type { ConnectionGater } from '@libp2p/interface'
import { passed } from '../core/clock.ts'
import type { Clock, Millis } from '../core/clock.ts'
import { CONNECTIONS_MAX, CUT_OFFS_MAX, LINGER_MS } from './limits.ts'

export interface GateInit {
  readonly clock: Clock
  /** Connections that are open, both directions. */
  readonly connections: () => readonly unknown[]
  /** Whether a connection that a peer opens to us now would only be closed again. */
  readonly inboundIsSuperfluous: (peer: string) => boolean
  /** Whether a connection that we are opening to a peer would only be closed again. */
  readonly outboundIsSuperfluous: (peer: string) => boolean
}

export class Gate {
  readonly #init: GateInit
  /** When each peer is let in again; insertion order is about that order. */
  readonly #cutOffUntilMs = new Map<string, Millis>()
  #closed = false

  constructor(init: GateInit) {
    this.#init = init
  }

  setClosed(closed: boolean): void {
    this.#closed = closed
  }

  isClosed(): boolean {
    return this.#closed
  }

  /** Returns whether the peer was let in until now. */
  cutOff(peer: string, forMs: Millis): boolean {
    const wasLetIn = !this.isCutOff(peer)
    this.#cutOffUntilMs.delete(peer)
    const oldest = this.#cutOffUntilMs.keys().next()
    if (this.#cutOffUntilMs.size >= CUT_OFFS_MAX && !oldest.done) {
      this.#cutOffUntilMs.delete(oldest.value)
    }
    this.#cutOffUntilMs.set(peer, this.#init.clock.monotonicMs() + forMs)
    return wasLetIn
  }

  isCutOff(peer: string): boolean {
    const untilMs = this.#cutOffUntilMs.get(peer)
    if (untilMs === undefined) return false
    if (untilMs > this.#init.clock.monotonicMs()) return true
    this.#cutOffUntilMs.delete(peer)
    return false
  }

  refuses(peer: string): boolean {
    return this.#closed || this.isCutOff(peer)
  }

  /** Whether there is no room for one more that comes in; what we dial has limits of its own. */
  isFull(coming?: unknown): boolean {
    const others = this.#init.connections().filter((connection) => connection !== coming)
    return others.length >= CONNECTIONS_MAX
  }

  /** The hooks of libp2p. The peer id is proven in the `Encrypted` ones, before any protocol. */
  gater(): ConnectionGater {
    return {
      denyDialPeer: (peer) => this.refuses(peer.toString()),
      denyDialMultiaddr: () => this.#closed,
      denyInboundConnection: () => this.#closed || this.isFull(),
      denyInboundEncryptedConnection: (peer) =>
        this.refuses(peer.toString()) || this.#init.inboundIsSuperfluous(peer.toString()),
      denyOutboundEncryptedConnection: async (peer) => {
        if (this.refuses(peer.toString())) return true
        if (!this.#init.outboundIsSuperfluous(peer.toString())) return false
        // Our last handshake message has to arrive before the reset does: without it the peer
        // sees a failed handshake, and takes us for a stranger.
        await passed(this.#init.clock, LINGER_MS)
        return true
      }
    }
  }
}
