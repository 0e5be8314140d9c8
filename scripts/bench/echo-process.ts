/** The child process of the raw limit of latency: a bare libp2p transport that echoes requests. */

import { randomBytes } from 'node:crypto'

import { systemClock, systemRng } from '../../src/node/system.ts'
import { createLibp2pTransport } from '../../src/p2p/libp2p-transport.ts'
import type { Transport } from '../../src/p2p/transport.ts'
import { serve } from './serve.ts'

/** Bytes of one request and of its answer: about those of one event. */
const PING_BYTES = 256
/** How long one ping-pong may take, ms. */
const PING_MS_MAX = 10_000

let transport: Transport | undefined

const api = {
  open: async ({ networkKey }: { networkKey: string }): Promise<string> => {
    transport = createLibp2pTransport({
      privateKey: randomBytes(32),
      networkKey: Buffer.from(networkKey, 'hex'),
      listen: ['/ip4/127.0.0.1/tcp/0'],
      peers: [],
      mdns: false,
      gossip: false,
      addressBook: { load: async () => [], save: async () => undefined },
      clock: systemClock,
      rng: systemRng,
      log: () => undefined
    })
    await transport.start({
      peerConnected: () => undefined,
      peerDisconnected: () => undefined,
      peerSubscribed: () => undefined,
      requested: async (_peer, frame) => frame,
      announced: async () => 'accept'
    })
    return transport.addresses()[0] ?? ''
  },

  /** Round trips in ms, one after the other. */
  pingPong: async (argument: PingPongArgument): Promise<number[]> => {
    const { address, warmUp, count } = argument
    if (transport === undefined) throw new Error('the transport is not open')
    await transport.dial(address)
    const peer = address.split('/p2p/').at(-1) ?? ''
    const roundTrips: number[] = []
    for (let ping = 0; ping < warmUp + count; ping += 1) {
      const startMs = performance.now()
      const signal = AbortSignal.timeout(PING_MS_MAX)
      await transport.request(peer, randomBytes(PING_BYTES), { signal })
      if (ping >= warmUp) roundTrips.push(performance.now() - startMs)
    }
    return roundTrips
  }
}

export type EchoApi = typeof api

interface PingPongArgument {
  readonly address: string
  readonly warmUp: number
  readonly count: number
}

serve(api, async () => {
  await transport?.close()
})
