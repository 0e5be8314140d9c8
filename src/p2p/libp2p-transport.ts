/**
 * The production `Transport`: wires the libp2p node, links, announcements, finding and keeping of
 * peers. Protocol logic is elsewhere; here is only who tells whom.
 */

import { createNode } from './libp2p-node.ts' // First: it brings the polyfill for libp2p.
import type { Node } from './libp2p-node.ts'
import type { Connection } from '@libp2p/interface'
import { multiaddr } from '@multiformats/multiaddr'
import type { Clock, Millis, Rng } from '../core/clock.ts'
import { assert, present } from '../core/assert.ts'
import { LaterbaseError } from '../errors.ts'
import { DELTA_PROTOCOL } from '../../protocols/delta/codec.ts'
import { abortSoon } from './abort-soon.ts'
import { AddressBook } from './address-book.ts'
import type { AddressBookStore } from './address-book.ts'
import { Announcer } from './announce.ts'
import { deadline } from './deadline.ts'
import { DeltaResponder } from './delta-responder.ts'
import { checkMultiaddr, reachable } from './addresses.ts'
import { dialsFirst } from './dial-policy.ts'
import { Gate } from './gate.ts'
import { GossipWatch } from './gossip-watch.ts'
import { instanceOf, userAgent } from './instance.ts'
import { keysFromSeed, privateKeyFromSeed } from './keys.ts'
import {
  DELTA_INBOUND_STREAMS_MAX,
  DIAL_MS_MAX,
  IDENTIFY_MS_MAX,
  INCOMING_BYTES_MAX
} from './limits.ts'
import { Links, notConnected } from './links.ts'
import type { Log } from './log.ts'
import { reasonOf } from './log.ts'
import { Mdns } from './mdns.ts'
import { Membership } from './membership.ts'
import { Perimeter } from './perimeter.ts'
import { StreamBytes } from './stream-bytes.ts'
import { peerIdOf } from './transport.ts'
import type { PeerConnection, RequestOptions, Transport, TransportHandlers } from './transport.ts'
import { dialPatiently } from './patient-dial.ts'
import { Twins } from './twins.ts'

export interface Libp2pTransportInit {
  /** The raw 32-byte Ed25519 seed; the peer id follows from it. */
  readonly privateKey: Uint8Array
  /** 32 random bytes that all nodes of the network share. */
  readonly networkKey: Uint8Array
  readonly listen: readonly string[]
  /** Multiaddrs of peers to keep a connection to. */
  readonly peers: readonly string[]
  readonly mdns: boolean
  readonly gossip: boolean
  readonly addressBook: AddressBookStore
  readonly clock: Clock
  readonly rng: Rng
  readonly log: Log
}

export function createLibp2pTransport(init: Libp2pTransportInit): Transport {
  return new Libp2pTransport(init)
}

class Libp2pTransport implements Transport {
  readonly peerId: string
  readonly #init: Libp2pTransportInit
  readonly #perimeter: Perimeter
  readonly #gate: Gate
  readonly #links: Links
  readonly #book: AddressBook
  readonly #membership: Membership
  readonly #announcer: Announcer | undefined
  readonly #twins: Twins
  readonly #stop = new AbortController()
  readonly #incoming = new StreamBytes(INCOMING_BYTES_MAX, 'frames of others need the memory')
  #handlers: TransportHandlers | undefined
  #node: Node | undefined
  #mdns: Mdns | undefined
  #gossipWatch: GossipWatch | undefined
  #closing: Promise<void> | undefined

  constructor(init: Libp2pTransportInit) {
    this.#init = init
    const { clock, rng, log } = init
    for (const address of [...init.listen, ...init.peers]) checkMultiaddr(address)
    this.peerId = keysFromSeed(init.privateKey).peerId
    this.#perimeter = new Perimeter(init.networkKey, clock, log)
    this.#gate = new Gate({
      clock,
      connections: () => this.#node?.getConnections() ?? [],
      inboundIsSuperfluous: (peer) => this.#inboundIsSuperfluous(peer),
      outboundIsSuperfluous: (peer) => this.#links.wouldLose(peer, 'outbound')
    })
    this.#links = new Links({
      self: this.peerId,
      clock,
      log,
      up: (name) => this.#up(name),
      down: (name, wasUp) => this.#down(name, wasUp),
      probe: (connection) => this.#probe(connection),
      incoming: this.#incoming
    })
    const self = this.peerId
    this.#twins = new Twins({ self, clock, log, connected: () => this.#links.twins() })
    this.#book = new AddressBook({ store: init.addressBook, clock, log })
    this.#membership = new Membership({
      self: this.peerId,
      clock,
      rng,
      log,
      staticPeers: init.peers,
      isConnected: (peer) => this.#links.has(peer),
      connectedCount: () => this.#links.size(),
      refuses: (peer) => this.#gate.refuses(peer),
      dial: (addresses, signal) => this.#dial(addresses, signal)
    })
    this.#announcer = init.gossip ? this.#createAnnouncer() : undefined
  }

  addresses(): readonly string[] {
    return this.#node?.getMultiaddrs().map(String) ?? []
  }

  peers(): readonly PeerConnection[] {
    return this.#links.peers()
  }

  warnings(): readonly string[] {
    return [
      ...(this.#mdns?.warnings() ?? []),
      ...this.#perimeter.warnings(),
      ...this.#twins.warnings(),
      ...this.#membership.warnings()
    ]
  }

  async start(handlers: TransportHandlers): Promise<void> {
    assert(this.#handlers === undefined, 'a transport starts once')
    if (this.#closing !== undefined) throw closed()
    this.#handlers = handlers
    await this.#book.load()
    for (const [peer, addresses] of this.#book.members()) this.#membership.remember(peer, addresses)
    const node = await this.#createNode()
    this.#node = node
    this.#listen(node)
    try {
      await this.#serve(node, handlers)
      await node.start()
      if (this.#closing !== undefined) throw closed()
      this.#attach(node)
      if (this.#gate.isClosed()) return
      this.#membership.resume()
      await this.#mdns?.start()
    } catch (error) {
      await this.close()
      // `close` may have come while the node was starting, and have stopped nothing.
      await node.stop()
      throw error
    }
  }

  /** libp2p leaves two timers behind that do nothing, once, within a second. */
  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async request(name: string, frame: Uint8Array, options: RequestOptions): Promise<Uint8Array> {
    return await (this.#links.client(name) ?? notConnected(name)).request(frame, options)
  }

  subscribe(database: string): void {
    this.#announcer?.subscribe(database)
  }

  unsubscribe(database: string): void {
    this.#announcer?.unsubscribe(database)
  }

  async announce(database: string, message: Uint8Array): Promise<void> {
    if (this.#closing === undefined) await this.#announcer?.announce(database, message)
  }

  async dial(address: string, options: { signal?: AbortSignal } = {}): Promise<void> {
    const limit = deadline(this.#init.clock, DIAL_MS_MAX, options.signal)
    try {
      await dialPatiently(this.#init.clock, limit.signal, async () => {
        const peer = await this.#dial([address], limit.signal)
        await this.#links.settled(peer)
        return this.#links.isUp(peer)
      })
    } catch (cause) {
      const message = `${address} cannot be reached: ${reasonOf(cause)}`
      throw new LaterbaseError('LATERBASE_PEER_UNREACHABLE', message, { cause })
    } finally {
      limit.clear()
    }
  }

  cutOff(name: string, forMs: Millis, reason: string): void {
    const peer = peerIdOf(name)
    // Once per cut: a peer with several requests under way is caught several times.
    if (this.#gate.cutOff(peer, forMs))
      this.#init.log('warn', 'peer cut off', { peer, forMs, reason })
    this.#membership.postpone(peer, forMs)
    this.#links.abort(peer, new Error(`cut off: ${reason}`))
  }

  async goOffline(): Promise<void> {
    this.#gate.setClosed(true)
    this.#membership.pause()
    await this.#mdns?.stop()
    await this.#links.closeAll(new Error('offline'))
  }

  async goOnline(): Promise<void> {
    if (this.#closing !== undefined) throw closed()
    if (!this.#gate.isClosed()) return
    this.#gate.setClosed(false)
    if (this.#node?.status !== 'started') return
    this.#membership.resume()
    await this.#mdns?.start()
  }

  #createAnnouncer(): Announcer {
    const { clock, log } = this.#init
    return new Announcer({
      clock,
      log,
      names: (peer) => this.#links.names(peer),
      announced: (name, database, message) => this.#use().announced(name, database, message),
      subscribed: (name, database) => this.#use().peerSubscribed(name, database)
    })
  }

  #createNode(): Promise<Node> {
    return createNode({
      clock: this.#init.clock,
      privateKey: privateKeyFromSeed(this.#init.privateKey),
      userAgent: userAgent(this.#init.rng),
      listen: this.#init.listen,
      perimeter: this.#perimeter,
      gater: this.#gate.gater(),
      announcer: this.#announcer
    })
  }

  /** Before the node starts, so that no connection is missed. */
  #listen(node: Node): void {
    const { signal } = this.#stop
    node.addEventListener('connection:open', ({ detail }) => this.#opened(detail), { signal })
    node.addEventListener(
      'peer:identify',
      ({ detail }) => {
        const seen = detail.connection.remoteAddr.toString()
        const listening = detail.listenAddrs.map(String)
        this.#links.identified(detail.connection, instanceOf(detail.agentVersion))
        this.#met(detail.peerId.toString(), reachable(listening, seen))
        this.#gossipWatch?.identified(detail.peerId.toString(), detail.protocols)
      },
      { signal }
    )
  }

  async #serve(node: Node, handlers: TransportHandlers): Promise<void> {
    const { clock, log } = this.#init
    const responder = new DeltaResponder({
      clock,
      log,
      incoming: this.#incoming,
      answer: (connection, frame) => handlers.requested(this.#nameOf(connection), frame),
      answering: (connection, bytes) =>
        this.#links.client(this.#nameOf(connection))?.answering(bytes)
    })
    await node.handle(
      DELTA_PROTOCOL,
      (stream, connection) => {
        void responder.serve(connection, stream)
      },
      { maxInboundStreams: DELTA_INBOUND_STREAMS_MAX }
    )
  }

  #attach(node: Node): void {
    const { clock, rng, log } = this.#init
    const { gossip, mdns } = node.services
    if (gossip !== undefined) {
      present(this.#announcer, 'gossip has an announcer').attach(gossip, this.#stop.signal)
      this.#gossipWatch = new GossipWatch({
        clock,
        log,
        gossip,
        identify: (connection) => node.services.identify.identify(connection),
        connections: () => this.#links.connections()
      })
    }
    if (!this.#init.mdns) return
    this.#mdns = new Mdns(mdns, {
      clock,
      rng,
      log,
      serviceTag: this.#perimeter.serviceTag(),
      found: (peer, addresses) => {
        if (peer === this.peerId) this.#twins.heardSelf(addresses, this.addresses())
        else this.#membership.found(peer, addresses)
      },
      alone: () => this.#links.size() === 0
    })
  }

  #opened(connection: Connection): void {
    const peer = connection.remotePeer.toString()
    // The gate may have shut while the handshake was under way, or others have come in meanwhile.
    const isTooMany = connection.direction === 'inbound' && this.#gate.isFull(connection)
    if (this.#closing !== undefined || this.#gate.refuses(peer) || isTooMany) {
      void abortSoon(this.#init.clock, connection, new Error('refused'))
      return
    }
    this.#links.add(connection)
    const { direction, remoteAddr } = connection
    this.#met(peer, direction === 'outbound' ? [remoteAddr.toString()] : [])
  }

  /** `peer` is a member, as the handshake proved, and listens at `addresses`. */
  #met(peer: string, addresses: readonly string[]): void {
    if (!this.#links.has(peer)) return
    const bare = addresses.map((address) => address.replace(/\/p2p\/[^/]+$/, ''))
    this.#membership.met(peer, bare)
    if (bare.length > 0) this.#book.met(peer, bare)
  }

  #up(name: string): void {
    this.#membership.connected(peerIdOf(name))
    this.#init.log('info', 'peer connected', { peer: name })
    this.#use().peerConnected(name)
  }

  #down(name: string, wasUp: boolean): void {
    const peer = peerIdOf(name)
    const isGone = !this.#links.has(peer)
    if (isGone) this.#gossipWatch?.forget(peer)
    if (isGone && this.#closing === undefined) {
      this.#membership.disconnected(peer, wasUp)
      this.#mdns?.hurry()
    }
    if (!wasUp) return
    this.#init.log('info', 'peer disconnected', { peer: name })
    this.#use().peerDisconnected(name)
  }

  async #probe(connection: Connection): Promise<void> {
    const { identify } = present(this.#node, 'a connection has a node').services
    const limit = deadline(this.#init.clock, IDENTIFY_MS_MAX)
    try {
      await identify.identify(connection, { signal: limit.signal })
    } finally {
      limit.clear()
    }
  }

  #nameOf(connection: Connection): string {
    return this.#links.nameOf(connection) ?? connection.remotePeer.toString()
  }

  #inboundIsSuperfluous(peer: string): boolean {
    const weDial = dialsFirst({ self: this.peerId, peer }) && this.#membership.isDialingAnew(peer)
    return weDial || this.#links.wouldLose(peer, 'inbound')
  }

  /** Resolves with the peer id of who was reached. */
  async #dial(addresses: readonly string[], signal: AbortSignal): Promise<string> {
    const node = this.#node
    if (node === undefined || this.#closing !== undefined) throw closed()
    if (this.#gate.isClosed()) throw new Error('this node is offline')
    const connection = await node.dial(
      addresses.map((address) => multiaddr(address)),
      { signal }
    )
    return connection.remotePeer.toString()
  }

  async #close(): Promise<void> {
    this.#gate.setClosed(true)
    this.#membership.pause()
    this.#gossipWatch?.close()
    await this.#mdns?.stop()
    await this.#links.closeAll(closed())
    await this.#node?.stop()
    this.#stop.abort()
    await this.#book.close()
  }

  #use(): TransportHandlers {
    return present(this.#handlers, 'the transport was started')
  }
}

function closed(): LaterbaseError {
  return new LaterbaseError('LATERBASE_CLOSED', 'the transport is closed')
}
