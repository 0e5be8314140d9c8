/**
 * A bare transport as a process of its own, for a host of the LAN: finds others by mDNS, reports
 * what it sees over IPC, one `MemberReport` each, and echoes requests. It ends on SIGTERM.
 *
 * Arguments: the network key and the seed, each as 64 hex digits; then, in place of mDNS, the
 * address to listen on and that of a static peer.
 */

import { systemClock, systemRng } from '../../src/node/system.ts'
import { createLibp2pTransport } from '../../src/p2p/libp2p-transport.ts'

export type MemberReport =
  | { readonly type: 'ready'; readonly peerId: string; readonly addresses: readonly string[] }
  | { readonly type: 'connected' | 'disconnected'; readonly peer: string }
  | { readonly type: 'unanswered'; readonly peer: string; readonly reason: string }
  | { readonly type: 'warnings'; readonly warnings: readonly string[] }

/** As the node does: a small request to every peer, to notice one that is gone. */
const REQUEST_INTERVAL_MS = 1_000
const REQUEST_MS_MAX = 1_500

const [networkKey = '', seed = '', listen, staticPeer] = process.argv.slice(2)

const transport = createLibp2pTransport({
  privateKey: Buffer.from(seed, 'hex'),
  networkKey: Buffer.from(networkKey, 'hex'),
  listen: [listen ?? '/ip4/0.0.0.0/tcp/0'],
  peers: staticPeer === undefined ? [] : [staticPeer],
  mdns: listen === undefined,
  gossip: true,
  addressBook: { load: async () => [], save: async () => undefined },
  clock: systemClock,
  rng: systemRng,
  log: (level, message, fields) => console.error(level, message, JSON.stringify(fields ?? {}))
})

function report(what: MemberReport): void {
  if (process.connected) process.send?.(what)
}

async function requestAll(): Promise<void> {
  await Promise.all(
    transport.peers().map(async ({ peer }) => {
      try {
        await transport.request(peer, Buffer.from('?'), {
          signal: AbortSignal.timeout(REQUEST_MS_MAX)
        })
      } catch (error) {
        report({ type: 'unanswered', peer, reason: String(error) })
      }
    })
  )
}

await transport.start({
  peerConnected: (peer) => report({ type: 'connected', peer }),
  peerDisconnected: (peer) => report({ type: 'disconnected', peer }),
  peerSubscribed: () => undefined,
  requested: async (_peer, frame) => frame,
  announced: async () => 'accept'
})
const timer = setInterval(() => {
  void requestAll()
  report({ type: 'warnings', warnings: transport.warnings() })
}, REQUEST_INTERVAL_MS)

process.once('SIGTERM', () => {
  clearInterval(timer)
  // Nothing may be left that keeps the process: it must end without `process.exit`.
  if (process.connected) process.disconnect()
  void transport.close()
})

report({ type: 'ready', peerId: transport.peerId, addresses: transport.addresses() })
