/**
 * Kinds of hostile members, each for as long as it runs: what a member of the network can do to honest
 * nodes without forging a signature of theirs. The tests in `test/integration/hostile-*` say what must
 * hold beside each; the benchmark R15 measures what it costs the honest ones.
 */

import { randomBytes } from 'node:crypto'
import {
  emptyPage,
  incessantly,
  inventCommit,
  startBareMember,
  startRogue,
  strangeDigests
} from './members.ts' // First: polyfill.
import type { RogueScript } from './members.ts'
import type { Connection, Stream } from '@libp2p/interface'
import { multiaddr } from '@multiformats/multiaddr'
import type { Libp2p } from 'libp2p'

import { encodeAnnouncement } from '../../protocols/announce/codec.ts'
import {
  DELTA_PROTOCOL,
  encodeDeltaAnswer,
  encodeDeltaRequest
} from '../../protocols/delta/codec.ts'
import type { DeltaAnswer } from '../../protocols/delta/codec.ts'
import { encodeEvents } from '../../protocols/event/codec.ts'
import { FRAME_BYTES_MAX, REQUEST_BYTES_MAX, VERSION_HEADS_MAX } from '../../protocols/limits.ts'
import type { Commit } from '../../src/core/commit.ts'
import { systemClock } from '../../src/node/system.ts'
import { StreamReader, decodeFrames, sendFrame } from '../../src/p2p/frames.ts'
import { DELTA_INBOUND_STREAMS_MAX } from '../../src/p2p/limits.ts'
import type { Transport } from '../../src/p2p/transport.ts'

export interface Victims {
  readonly networkKey: Uint8Array
  readonly addresses: readonly string[]
  readonly database: string
}

/** Begins, and goes on until the process ends. Resolves when it is under way. */
type Hostility = (victims: Victims) => Promise<void>

/** Logs, or branches of one, that a member invents. */
const CROWD = 300
/** Wait between two of the bytes that a member drips, ms. */
const DRIP_MS = 20
const REQUEST_MS_MAX = 5_000

/** By name, which ends the sentence "a member that …". */
export const KINDS: Readonly<Record<string, Hostility>> = {
  'never answers': (victims) => scripted(victims, () => undefined),
  'claims to differ without end': async (victims) => {
    const script = claiming(victims.database, () => emptyPage(true))
    const flood = (transport: Transport): void => {
      const peers = transport.peers().map(({ peer }) => peer)
      incessantly(async () => {
        const digests = [{ database: victims.database, digest: randomBytes(32) }]
        const frame = encodeDeltaRequest({ type: 'compare', digests })
        const asked = peers.map((peer) =>
          transport.request(peer, frame, { signal: AbortSignal.timeout(REQUEST_MS_MAX) })
        )
        await Promise.allSettled(asked)
      })
    }
    await scripted(victims, script, flood)
  },
  'has pages that are never complete': (victims) =>
    scripted(
      victims,
      claiming(victims.database, () => emptyPage(false))
    ),
  'claims as many heads as it may': (victims) =>
    scripted(
      victims,
      claiming(victims.database, () => ({ ...emptyPage(true), heads: inventedHeads() }))
    ),
  'forges a signature': (victims) => {
    const { database } = victims
    const commit = inventCommit({ database, seed: 9, data: 'forged' })
    const page = pageOf([{ ...commit, signature: new Uint8Array(64) }])
    return scripted(
      victims,
      claiming(database, () => page)
    )
  },
  'invents logs': (victims) => {
    const { database } = victims
    const page = pageOf(
      Array.from({ length: CROWD }, (_, nonce) =>
        inventCommit({ database, seed: 9, nonce, data: nonce })
      )
    )
    return scripted(
      victims,
      claiming(database, () => page)
    )
  },
  'announces what does not exist': async (victims) => {
    const { database } = victims
    await scripted(
      victims,
      claiming(database, () => emptyPage(true)),
      (transport) => {
        const announce = (): Promise<void> =>
          transport.announce(database, encodeAnnouncement(inventedAnnouncement()))
        incessantly(announce)
      }
    )
  },
  'drips its answers': async (victims) => {
    const member = await startBareMember(victims.networkKey, (stream) => drip(stream, victims))
    await dialAll(member, victims)
  },
  'asks for everything without end': async (victims) => {
    const member = await startBareMember(victims.networkKey)
    const request = framed(everything(victims.database))
    for (const connection of await dialAll(member, victims)) {
      const stream = await connection.newStream(DELTA_PROTOCOL)
      stream.addEventListener('message', () => undefined)
      incessantly(() => {
        if (stream.status === 'open' && !stream.writableNeedsDrain) stream.send(request)
      })
    }
  },
  'never reads its answers': async (victims) => {
    const member = await startBareMember(victims.networkKey)
    const request = framed(everything(victims.database))
    await onEachStream(await dialAll(member, victims), (stream) => {
      stream.pause()
      for (let count = 0; count < 20; count += 1) stream.send(request)
    })
  },
  'begins large requests and does not end them': async (victims) => {
    const member = await startBareMember(victims.networkKey)
    const begun = new Uint8Array(REQUEST_BYTES_MAX - 1)
    begun.set([0x80, 0x80, 0x40])
    await onEachStream(await dialAll(member, victims), (stream) => void stream.send(begun))
  },
  'opens streams without end': async (victims) => {
    const member = await startBareMember(victims.networkKey)
    const connections = await dialAll(member, victims)
    incessantly(async () => {
      await Promise.allSettled(connections.map((each) => each.newStream(DELTA_PROTOCOL)))
    })
  },
  'connects and leaves without end': async (victims) => {
    const member = await startBareMember(victims.networkKey)
    incessantly(async () => {
      const dials = victims.addresses.map((address) => member.dial(multiaddr(address)))
      for (const dial of await Promise.allSettled(dials)) {
        if (dial.status === 'fulfilled') dial.value.abort(new Error('gone'))
      }
    })
  }
}

async function scripted(
  { networkKey, addresses, database }: Victims,
  script: RogueScript,
  then: (transport: Transport) => void = () => undefined
): Promise<void> {
  const { transport } = await startRogue(networkKey, script)
  transport.subscribe(database)
  for (const address of addresses) await transport.dial(address)
  then(transport)
}

function claiming(database: string, page: () => DeltaAnswer): RogueScript {
  return ({ type }) => (type === 'compare' ? strangeDigests(database) : page())
}

function dialAll(member: Libp2p, { addresses }: Victims): Promise<Connection[]> {
  return Promise.all(addresses.map((address) => member.dial(multiaddr(address))))
}

async function onEachStream(
  connections: readonly Connection[],
  act: (stream: Stream) => void
): Promise<void> {
  for (const connection of connections) {
    for (let count = 0; count < DELTA_INBOUND_STREAMS_MAX; count += 1) {
      act(await connection.newStream(DELTA_PROTOCOL))
    }
  }
}

async function drip(stream: Stream, { database }: Victims): Promise<void> {
  const reader = new StreamReader(stream, { unreadBytesMax: FRAME_BYTES_MAX })
  for await (const request of decodeFrames(reader, REQUEST_BYTES_MAX)) {
    if (request[0] === 1) {
      const frame = encodeDeltaAnswer(strangeDigests(database))
      await sendFrame(stream, frame, { clock: systemClock })
      continue
    }
    // The prefix of a frame of a mebibyte.
    stream.send(Uint8Array.from([0x80, 0x80, 0x40]))
    const one = (): void => {
      if (stream.status !== 'open') return
      stream.send(new Uint8Array(1))
      systemClock.setTimer(DRIP_MS, one)
    }
    one()
  }
}

function everything(database: string): Uint8Array {
  return encodeDeltaRequest({ type: 'page', database, bytesMax: 1_048_576, heads: [], places: [] })
}

/** @param frame below 128 bytes */
function framed(frame: Uint8Array): Uint8Array {
  return Uint8Array.from([frame.length, ...frame])
}

function inventedAnnouncement(): Parameters<typeof encodeAnnouncement>[0] {
  const [log, hash, key] = [randomBytes(16), randomBytes(32), randomBytes(16)]
  return { log, firstSeq: 1, count: 1, hash, keys: [key] }
}

function inventedHeads(): { log: Uint8Array; seq: number; hash: Uint8Array }[] {
  const noise = randomBytes(VERSION_HEADS_MAX * 32)
  return Array.from({ length: VERSION_HEADS_MAX }, (_, index) => {
    const hash = noise.subarray(index * 32, index * 32 + 32)
    return { log: hash.subarray(0, 16), seq: 1_000_000, hash }
  })
}

/** A whole page of first commits of logs. */
function pageOf(commits: readonly Commit[]): DeltaAnswer {
  return {
    type: 'page',
    complete: true,
    logs: commits.map(({ origin: { idBytes, genesis }, previous }) => ({
      log: idBytes,
      firstSeq: 1,
      previous,
      genesis: { publicKey: genesis.publicKey, nonce: genesis.nonce }
    })),
    commits: commits.map(({ events, recorded, signature }, logIndex) => ({
      logIndex,
      count: events.length,
      recorded,
      signature,
      events: encodeEvents(events)
    })),
    heads: commits.map(({ origin, hash }) => ({ log: origin.idBytes, seq: 1, hash }))
  }
}
