/**
 * Members of the network that do not keep to its rules, over real libp2p: with our transport and a script
 * in place of a node, or bare, doing on streams what they like. For tests and for the benchmark.
 */

import { randomBytes } from 'node:crypto'
import { setImmediate } from 'node:timers/promises'
import { createLibp2pTransport } from '../../src/p2p/libp2p-transport.ts' // First: polyfill.
import { identify } from '@libp2p/identify'
import type { Libp2p, ServiceMap, Stream } from '@libp2p/interface'
import { tcp } from '@libp2p/tcp'
import { yamux } from '@libp2p/yamux'
import { createLibp2p } from 'libp2p'
import type { ServiceFactoryMap } from 'libp2p'

import {
  DELTA_PROTOCOL,
  decodeDeltaRequest,
  encodeDeltaAnswer
} from '../../protocols/delta/codec.ts'
import type { DeltaAnswer, DeltaRequest } from '../../protocols/delta/codec.ts'
import { isRejected } from '../../protocols/rejected.ts'
import { lastSeq, logOrigin, sealCommit } from '../../src/core/commit.ts'
import type { Commit } from '../../src/core/commit.ts'
import { eventKey } from '../../src/core/event-key.ts'
import type { EventKey } from '../../src/core/event-key.ts'
import { createSigner, systemClock, systemHasher, systemRng } from '../../src/node/system.ts'
import { Perimeter } from '../../src/p2p/perimeter.ts'
import type { Transport } from '../../src/p2p/transport.ts'

const LISTEN = ['/ip4/127.0.0.1/tcp/0']

/** Answers a request, as a message or a frame; what it leaves undefined is never answered. */
export type RogueScript = (
  request: DeltaRequest,
  frame: Uint8Array
) => DeltaAnswer | Promise<Uint8Array> | undefined

export interface Rogue {
  readonly transport: Transport
  /** Requests that it was asked, by kind. */
  readonly asked: { compare: number; page: number; views: number }
  /** Times that an honest node left. */
  readonly left: string[]
}

/** A member with our transport and a script in place of a node. The caller dials, and closes it. */
export async function startRogue(networkKey: Uint8Array, script: RogueScript): Promise<Rogue> {
  const rogue: Rogue = {
    asked: { compare: 0, page: 0, views: 0 },
    left: [],
    transport: createLibp2pTransport({
      privateKey: systemRng.bytes(32),
      networkKey,
      listen: LISTEN,
      peers: [],
      mdns: false,
      gossip: true,
      addressBook: { load: async () => [], save: async () => undefined },
      clock: systemClock,
      rng: systemRng,
      log: () => undefined
    })
  }
  await rogue.transport.start({
    peerConnected: () => undefined,
    peerDisconnected: (peer) => void rogue.left.push(peer),
    peerSubscribed: () => undefined,
    announced: async () => 'accept',
    requested: async (_peer, frame) => {
      const request = decodeDeltaRequest(frame)
      if (isRejected(request)) throw new Error(request.detail)
      rogue.asked[request.type] += 1
      const answer = script(request, frame)
      if (answer === undefined) return forever()
      return 'type' in answer ? encodeDeltaAnswer(answer) : answer
    }
  })
  return rogue
}

/** What a bare member does with a stream on which it is asked for pages. */
export type Serve = (stream: Stream) => void | Promise<void>

/** A bare libp2p with the network key. The caller dials, and stops it. */
export function startBareMember(networkKey: Uint8Array, serve?: Serve): Promise<Libp2p> {
  return startMemberWith(networkKey, { identify: identify() }, serve)
}

/** The same with such services. */
export async function startMemberWith<T extends ServiceMap>(
  networkKey: Uint8Array,
  services: ServiceFactoryMap<T>,
  serve: Serve = () => undefined
): Promise<Libp2p<T>> {
  const perimeter = new Perimeter(networkKey, systemClock, () => undefined)
  const node = await createLibp2p({
    addresses: { listen: LISTEN },
    transports: [tcp()],
    connectionEncrypters: [perimeter.encrypter()],
    streamMuxers: [yamux()],
    connectionManager: { reconnectRetries: 0 },
    services
  })
  // Whoever does not speak the protocol is dropped before it can misuse it.
  await node.handle(DELTA_PROTOCOL, serve)
  return node
}

export interface Invented {
  readonly database: string
  readonly seed: number
  readonly nonce?: number
  readonly after?: Commit
  readonly data: string | number
  readonly recorded?: bigint
  /** Any, unless given. */
  readonly key?: EventKey
}

/** A signed commit of an event, in the log of any key; first of its log, or after another commit. */
export function inventCommit(of: Invented): Commit {
  const signer = createSigner(new Uint8Array(32).fill(of.seed))
  const nonce = new Uint8Array(16)
  new DataView(nonce.buffer).setUint32(0, of.nonce ?? 0)
  const { publicKey } = signer
  const origin = logOrigin({ publicKey, database: of.database, nonce }, systemHasher)
  const value = Buffer.from(JSON.stringify({ data: of.data }))
  const key = of.key ?? eventKey(Uint8Array.from([0, ...systemRng.bytes(15)]))
  const { after } = of
  const draft = {
    origin,
    firstSeq: after === undefined ? 1 : lastSeq(after) + 1,
    previous: after === undefined ? origin.hash : after.hash,
    recorded: of.recorded ?? (after === undefined ? 1n << 16n : after.recorded + 1n),
    events: [{ key, value, hash: systemHasher.sha256(value) }]
  }
  return sealCommit(draft, signer, systemHasher)
}

/** Does something again and again, beside what else goes on, until it is stopped. */
export function incessantly(act: () => void | Promise<void>): { stop(): Promise<void> } {
  const stopped = new AbortController()
  const run = (async () => {
    while (!stopped.signal.aborted) {
      await act()
      await setImmediate()
    }
  })()
  return {
    stop: () => {
      stopped.abort()
      return run
    }
  }
}

/** Digests that equal nobody's. */
export function strangeDigests(database: string): DeltaAnswer {
  return { type: 'compared', digests: [{ database, digest: randomBytes(32) }] }
}

export function emptyPage(complete: boolean): Extract<DeltaAnswer, { type: 'page' }> {
  return { type: 'page', complete, logs: [], commits: [], heads: [] }
}

function forever(): Promise<never> {
  return new Promise(() => undefined)
}
