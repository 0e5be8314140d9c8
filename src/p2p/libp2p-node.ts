/**
 * The libp2p node: tcp, noise with the network key, yamux, identify, gossipsub; every limit set,
 * since libp2p's own are not safe. What runs on top of it is wired in `libp2p-transport.ts`.
 *
 * Left out on purpose: peer discovery (mDNS is run beside libp2p, see `mdns.ts`), reconnecting
 * (libp2p gives up after a minute) and the connection monitor (a late ping aborts a busy
 * connection): `membership.ts` and `delta-client.ts` have our own.
 */

import 'core-js/actual/promise/with-resolvers.js' // Node 20; must come before anything of libp2p.
import { createHash } from 'node:crypto'
import { gossipsub } from '@chainsafe/libp2p-gossipsub'
import type { GossipSub } from '@chainsafe/libp2p-gossipsub'
import { identify } from '@libp2p/identify'
import type { Identify } from '@libp2p/identify'
import type { ConnectionGater, Libp2p, PrivateKey } from '@libp2p/interface'
import { mdns } from '@libp2p/mdns'
import type { MulticastDNSComponents } from '@libp2p/mdns'
import { tcp } from '@libp2p/tcp'
import { createLibp2p } from 'libp2p'
import type { Clock } from '../core/clock.ts'
import { DATABASES_MAX } from '../../protocols/limits.ts'
import type { Announcer } from './announce.ts'
import {
  CLOSE_MS_MAX,
  CONNECTIONS_MAX,
  DIALS_AT_ONCE_MAX,
  DIAL_ADDRESS_MS_MAX,
  DIAL_MS_MAX,
  GOSSIP_BYTES_MAX,
  GOSSIP_SEEN_MS,
  GOSSIP_STREAMS_MAX,
  GOSSIP_UNSENT_BYTES_MAX,
  HANDSHAKE_MS_MAX,
  IDENTIFY_MS_MAX,
  INBOUND_PENDING_MAX,
  INBOUND_PER_SECOND_MAX,
  INBOUND_STREAMS_MAX,
  MDNS_QUIET_MS,
  OUTBOUND_STREAMS_MAX,
  SCORE_KEPT_MS,
  STREAM_OPEN_MS_MAX,
  STREAM_READ_BYTES_MAX,
  STREAM_WINDOW_BYTES_MAX,
  STREAM_WRITE_BYTES_MAX,
  TOPICS_BYTES_MAX
} from './limits.ts'
import { guardedYamux } from './muxer.ts'
import { sweepPeers } from './peer-sweep.ts'
import type { Perimeter } from './perimeter.ts'

export interface NodeInit {
  readonly clock: Clock
  readonly privateKey: PrivateKey
  /** Of this process; see `instance.ts`. */
  readonly userAgent: string
  readonly listen: readonly string[]
  readonly perimeter: Perimeter
  readonly gater: ConnectionGater
  /** Undefined: no gossip at all. */
  readonly announcer: Announcer | undefined
}

/** A box around the mDNS component, which hides it from libp2p's own discovery and life cycle. */
export interface MdnsBox {
  readonly component: ReturnType<ReturnType<typeof mdns>>
}

export type Services = { identify: Identify; mdns: MdnsBox; gossip?: GossipSub }
export type Node = Libp2p<Services>

/** Not started yet. */
export async function createNode(init: NodeInit): Promise<Node> {
  const { announcer } = init
  const services = {
    identify: identify({ timeout: IDENTIFY_MS_MAX }),
    mdns: (components: MulticastDNSComponents): MdnsBox => ({
      component: mdns({ serviceTag: init.perimeter.serviceTag(), interval: MDNS_QUIET_MS })(
        components
      )
    })
  }
  const node = await createLibp2p<Services>({
    start: false,
    privateKey: init.privateKey,
    nodeInfo: { name: 'laterbase', version: '1', userAgent: init.userAgent },
    addresses: { listen: [...init.listen] },
    transports: [tcp({ maxConnections: CONNECTIONS_MAX + INBOUND_PENDING_MAX })],
    connectionEncrypters: [init.perimeter.encrypter()],
    streamMuxers: [
      guardedYamux({
        maxInboundStreams: INBOUND_STREAMS_MAX,
        maxOutboundStreams: OUTBOUND_STREAMS_MAX,
        streamOptions: {
          maxStreamWindowSize: STREAM_WINDOW_BYTES_MAX,
          maxReadBufferLength: STREAM_READ_BYTES_MAX,
          maxWriteBufferLength: STREAM_WRITE_BYTES_MAX
        }
      })
    ],
    connectionGater: init.gater,
    connectionMonitor: { enabled: false },
    connectionManager: {
      // The gate counts them.
      maxConnections: Number.MAX_SAFE_INTEGER,
      maxParallelDials: DIALS_AT_ONCE_MAX * 2,
      dialTimeout: DIAL_MS_MAX,
      addressDialTimeout: DIAL_ADDRESS_MS_MAX,
      connectionCloseTimeout: CLOSE_MS_MAX,
      inboundUpgradeTimeout: HANDSHAKE_MS_MAX,
      inboundConnectionThreshold: INBOUND_PER_SECOND_MAX,
      maxIncomingPendingConnections: INBOUND_PENDING_MAX,
      inboundStreamProtocolNegotiationTimeout: STREAM_OPEN_MS_MAX,
      outboundStreamProtocolNegotiationTimeout: STREAM_OPEN_MS_MAX,
      reconnectRetries: 0
    },
    services: announcer === undefined ? services : { ...services, gossip: gossip(announcer) }
  })
  sweepPeers(node, init.clock)
  return node
}

/**
 * Announcements are not signed by gossipsub: that takes four fifths of its time, and what counts is
 * the signed commits that are then fetched. Every node of a network must have the same policy.
 */
function gossip(announcer: Announcer): ReturnType<typeof gossipsub> {
  return gossipsub({
    globalSignaturePolicy: 'StrictNoSign',
    msgIdFn: (message) => createHash('sha256').update(message.data).digest(),
    allowPublishToZeroTopicPeers: true,
    ignoreDuplicatePublishError: true,
    fallbackToFloodsub: false,
    floodPublish: false,
    emitSelf: false,
    doPX: false,
    seenTTL: GOSSIP_SEEN_MS,
    maxInboundStreams: GOSSIP_STREAMS_MAX,
    maxOutboundStreams: GOSSIP_STREAMS_MAX,
    maxInboundDataLength: GOSSIP_BYTES_MAX,
    maxOutboundBufferSize: GOSSIP_UNSENT_BYTES_MAX,
    maxTopicBytesPerPeer: TOPICS_BYTES_MAX,
    decodeRpcLimits: {
      maxSubscriptions: DATABASES_MAX,
      maxMessages: 256,
      maxIhaveMessageIDs: 5_000,
      maxIwantMessageIDs: 5_000,
      maxIdontwantMessageIDs: 512,
      maxControlMessages: DATABASES_MAX,
      maxPeerInfos: 16
    },
    dataTransform: announcer.transform(),
    scoreParams: {
      // A site is often one address (NAT, one host): colocation says nothing about a peer.
      IPColocationFactorWeight: 0,
      // No scores by topic: databases come and go, and a quiet one must not punish the silent.
      topics: {},
      retainScore: SCORE_KEPT_MS,
      appSpecificScore: (peer) => announcer.score(peer),
      appSpecificWeight: 1,
      // Broken promises: some are normal on a link that drops; many are not.
      behaviourPenaltyThreshold: 6
    }
  })
}
