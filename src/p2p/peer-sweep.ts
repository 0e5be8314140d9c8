/**
 * libp2p keeps a record of every peer that it met or dialed, for good. What we remember of members is
 * in the address book, which has a bound; an identity costs nothing to make up. So records of peers
 * that are not connected are deleted, now and then.
 */

import type { Clock, Timer } from '../core/clock.ts'
import type { Node } from './libp2p-node.ts'
import { PEERS_SWEPT_MS } from './limits.ts'

/** From the start of the node until its end. */
export function sweepPeers(node: Node, clock: Clock): void {
  /** Not connected at the last look. */
  let gone = new Set<string>()
  let timer: Timer | undefined
  const sweep = async (): Promise<void> => {
    const peers = (await node.peerStore.all()).map(({ id }) => id)
    const away = peers.filter((peer) => node.getConnections(peer).length === 0)
    // Twice in a row: whoever is told of a peer's leaving is told by its record.
    for (const peer of away) if (gone.has(peer.toString())) await node.peerStore.delete(peer)
    gone = new Set(away.map((peer) => peer.toString()))
    // It may have ended meanwhile.
    if (node.status === 'started') sweepLater()
  }
  const sweepLater = (): void => {
    // The records are in memory: there is nothing that could fail.
    timer = clock.setTimer(PEERS_SWEPT_MS, () => void sweep())
  }
  node.addEventListener('start', sweepLater)
  node.addEventListener('stop', () => timer?.cancel())
}
