/**
 * What the node needs of a network, and nothing of libp2p. The production implementation is
 * `libp2p-transport.ts`; a simulator plugs in its own.
 *
 * Peers are named by their libp2p peer id text. A transport connects only members of the network
 * (same network key); everything it reports is about such peers.
 *
 * Where two boxes have one identity, because a disk was copied, each is a peer of its own: the name
 * of the second is the peer id followed by `+` and a word of its process.
 */

export interface Transport {
  readonly peerId: string
  /** Dialable multiaddrs of this node, each ending in /p2p/<peer id>. Empty before `start`. */
  addresses(): readonly string[]
  /** Peers with an open connection now. */
  peers(): readonly PeerConnection[]
  /** Things that keep this node from finding others, in words for a person; empty when well. */
  warnings(): readonly string[]

  start(handlers: TransportHandlers): Promise<void>
  /** Idempotent. Resolves when sockets and timers are gone. */
  close(): Promise<void>

  /**
   * One request over the peer's delta stream, one answer.
   *
   * Requests to one peer are sent in the order of the calls; each answer belongs to its request.
   *
   * @throws LATERBASE_PEER_UNREACHABLE when not connected, on a broken stream, an oversized answer
   *   or when `signal` aborts
   */
  request(peer: string, frame: Uint8Array, options: RequestOptions): Promise<Uint8Array>

  /** Follow the announcements of a database. Idempotent. */
  subscribe(database: string): void
  unsubscribe(database: string): void
  /** Best effort; resolves when handed to the network, also when nobody listens. */
  announce(database: string, message: Uint8Array): Promise<void>

  /** Dials a multiaddr given by a person; rejects with LATERBASE_PEER_UNREACHABLE. */
  dial(multiaddr: string, options?: { signal?: AbortSignal }): Promise<void>
  /** Closes all connections to a peer's identity, refuses it for `forMs`: it sent something invalid. */
  cutOff(peer: string, forMs: number, reason: string): void
  /** Leaves the network (closes every connection, refuses new ones) until `goOnline`. */
  goOffline(): Promise<void>
  goOnline(): Promise<void>
}

export interface RequestOptions {
  readonly signal: AbortSignal
  /**
   * Told of bytes as they come in from the peer while the request waits: of its own answer, or of one
   * before it. With 0 where the peer is seen to live otherwise.
   */
  readonly onProgress?: (bytes: number) => void
}

export interface PeerConnection {
  /** Its name. */
  readonly peer: string
  /** Remote multiaddr of the connection. */
  readonly address: string
  readonly direction: 'inbound' | 'outbound'
  /** Wall time, ms. */
  readonly connectedAtMs: number
  readonly roundTripMs: number | undefined
}

export interface TransportHandlers {
  /** A first connection to this peer was opened. Peers are by name. */
  peerConnected(peer: string): void
  /** The last connection to this peer has closed. */
  peerDisconnected(peer: string): void
  /** The peer began to follow a database's announcements: gossip sent before was not delivered. */
  peerSubscribed(peer: string, database: string): void
  /** Answers a peer's request. A rejection resets the stream. */
  requested(peer: string, frame: Uint8Array): Promise<Uint8Array>
  /**
   * An announcement came in by `peer` (its propagation source, not its author). It is forwarded to
   * other peers only when this resolves to `accept`, so that whoever hears of a commit from us can
   * also fetch it from us; `reject` marks the peer as faulty.
   */
  announced(peer: string, database: string, message: Uint8Array): Promise<AnnouncementVerdict>
}

/** The peer id of a peer's name. */
export function peerIdOf(name: string): string {
  return name.replace(/\+.*$/, '')
}

/** Those of these peers of whom another has the identity too. */
export function sharingIdentity(names: Iterable<string>): string[] {
  const byId = new Map<string, string[]>()
  for (const name of names) {
    const id = peerIdOf(name)
    byId.set(id, [...(byId.get(id) ?? []), name])
  }
  return [...byId.values()].flatMap((sharing) => (sharing.length > 1 ? sharing : []))
}

export type AnnouncementVerdict = 'accept' | 'ignore' | 'reject'
