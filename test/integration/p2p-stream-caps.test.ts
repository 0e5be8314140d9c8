/** Streams and gossip beyond what a node takes of one member, over real libp2p on loopback. */

import { NETWORK_KEY, bareMember, peer, text } from './p2p-harness.ts' // First: polyfill.
import { gossipsub } from '@chainsafe/libp2p-gossipsub'
import { identify } from '@libp2p/identify'
import type { Connection, Libp2p, Stream, StreamMuxer } from '@libp2p/interface'
import { multiaddr } from '@multiformats/multiaddr'
import { expect, onTestFinished, test, vi } from 'vitest'

import { startMemberWith } from '../../scripts/hostile/members.ts'
import { DELTA_PROTOCOL } from '../../protocols/delta/codec.ts'
import { systemClock, systemRng } from '../../src/node/system.ts'
import { privateKeyFromSeed } from '../../src/p2p/keys.ts'
import { createNode } from '../../src/p2p/libp2p-node.ts'
import {
  GOSSIP_BYTES_MAX,
  GOSSIP_STREAMS_MAX,
  INBOUND_STREAMS_MAX,
  STREAM_READ_BYTES_MAX,
  STREAM_WRITE_BYTES_MAX
} from '../../src/p2p/limits.ts'
import { Perimeter } from '../../src/p2p/perimeter.ts'
import { until } from '../fixtures/nodes.ts'
import { makeSmall } from '../fixtures/small-limits.ts'
import type { Peer } from './p2p-harness.ts'

vi.mock('../../src/p2p/limits.ts', async (original) => {
  const { smallable } = await import('../fixtures/small-limits.ts')
  return smallable(await original())
})

const GOSSIP = '/meshsub/1.1.0'
const PROTOCOL = '/test/1.0.0'
const TOPIC_PREFIX = '/laterbase/announce/1.0.0/'

const perimeter = (): Perimeter => new Perimeter(NETWORK_KEY, systemClock, () => undefined)

/** A stream of a member on a node as ours is made, which does with streams what the test says. */
async function streamOn(serve: (stream: Stream) => void): Promise<Stream> {
  const node = await createNode({
    privateKey: privateKeyFromSeed(systemRng.bytes(32)),
    userAgent: 'test',
    listen: ['/ip4/127.0.0.1/tcp/0'],
    perimeter: perimeter(),
    clock: systemClock,
    gater: {},
    announcer: undefined
  })
  onTestFinished(() => node.stop())
  await node.handle(PROTOCOL, serve)
  await node.start()
  const member = await bareMember()
  const [address] = node.getMultiaddrs()
  if (address === undefined) throw new Error('the node listens')
  return await (await member.dial(address)).newStream(PROTOCOL)
}

const open = (streams: readonly Stream[]): Stream[] =>
  streams.filter(({ status }) => status === 'open')

test('a connection has so many streams of the other side, and further ones are reset', async () => {
  await using a = await peer({}, { requested: async () => text('answer') })
  const member = await bareMember()
  const connection = await member.dial(multiaddr(a.address()))
  await a.until(`connected ${member.peerId.toString()}`)
  const { muxer } = connection as unknown as { readonly muxer: StreamMuxer }
  const delta = await connection.newStream(DELTA_PROTOCOL)
  // None of these says what it is for.
  const streams: Stream[] = []
  for (let count = 0; count < 2 * INBOUND_STREAMS_MAX; count += 1) {
    streams.push(await muxer.createStream())
  }
  const answered = new Promise((resolve) => delta.addEventListener('message', resolve))
  delta.send(Uint8Array.of(1, 0x78))
  // It is behind the resets on the connection.
  await answered
  expect(open(streams).length).toBeGreaterThan(INBOUND_STREAMS_MAX / 2)
  expect(open(streams).length).toBeLessThan(INBOUND_STREAMS_MAX)
})

test('a stream to which nobody listens is reset at so many bytes', async () => {
  const served: Stream[] = []
  const stream = await streamOn((each) => void served.push(each))
  const piece = new Uint8Array(65_536)
  let sent = 0
  while (stream.status === 'open' && sent < 4 * STREAM_READ_BYTES_MAX) {
    if (!stream.writableNeedsDrain) {
      stream.send(piece)
      sent += piece.length
    }
    await new Promise(setImmediate)
  }
  await until(() => stream.status === 'reset')
  expect(served).toHaveLength(1)
})

test('a stream whose other side reads nothing is reset at so many unsent bytes', async () => {
  const served: Stream[] = []
  const stream = await streamOn((each) => void served.push(each))
  stream.pause()
  await until(() => served.length === 1)
  const [sender] = served
  if (sender === undefined) throw new Error('a stream')
  // What a first window takes is gone at once.
  for (
    let sent = 0;
    sent < 2 * STREAM_WRITE_BYTES_MAX && sender.status === 'open';
    sent += 65_536
  ) {
    sender.send(new Uint8Array(65_536))
  }
  expect(sender.status).toBe('aborted')
})

/** A member that gossips by hand, connected to a node that follows a database. */
async function gossiper(a: Peer): Promise<{ member: Libp2p; connection: Connection }> {
  a.transport.subscribe('stock')
  const member = await bareMember()
  // The node gossips with whoever says that it can.
  await member.handle(GOSSIP, (stream) => stream.addEventListener('message', () => undefined))
  const connection = await member.dial(multiaddr(a.address()))
  await a.until(`connected ${member.peerId.toString()}`)
  return { member, connection }
}

test('a connection has so many gossip streams of the other side, and further ones are reset', async () => {
  await using a = await peer()
  const { connection } = await gossiper(a)
  const streams: Stream[] = []
  for (let count = 0; count < 3 * GOSSIP_STREAMS_MAX; count += 1) {
    streams.push(await connection.newStream(GOSSIP))
  }
  await until(() => streams.some(({ status }) => status === 'reset'))
  await until(() => open(streams).length <= GOSSIP_STREAMS_MAX)
})

/** `bytes` behind their length, as gossip has it. */
function prefixed(bytes: Uint8Array): Uint8Array {
  const prefix: number[] = []
  let rest = bytes.length
  for (; rest >= 0x80; rest >>>= 7) prefix.push((rest & 0x7f) | 0x80)
  return Uint8Array.from([...prefix, rest, ...bytes])
}

/** A message in which a peer follows a database, or does not any more: protobuf, by hand. */
function subscription(database: string, follows = true): Uint8Array {
  const name = Buffer.from(TOPIC_PREFIX + database)
  const option = Uint8Array.from([0x08, follows ? 1 : 0, 0x12, name.length, ...name])
  return prefixed(Uint8Array.from([0x0a, option.length, ...option]))
}

/** One that carries a message of a peer, likewise. */
function publication(database: string, text: string): Uint8Array {
  const [name, body] = [Buffer.from(TOPIC_PREFIX + database), Buffer.from(text)]
  const message = Uint8Array.from([0x12, body.length, ...body, 0x22, name.length, ...name])
  return prefixed(Uint8Array.from([0x12, message.length, ...message]))
}

test('a gossip message is remembered for so long, and is looked at anew when it comes later', async () => {
  makeSmall({ GOSSIP_SEEN_MS: 1 })
  await using a = await peer()
  const { member, connection } = await gossiper(a)
  const stream = await connection.newStream(GOSSIP)
  const came = (): number => a.count(`announced ${member.peerId.toString()} stock again`)
  await a.untilTrue(() => {
    if (stream.status === 'open') stream.send(publication('stock', 'again'))
    return came() > 1
  }, 'it is looked at again')
})

test('a gossip message above its limit is not gathered, and ends what is heard of its stream', async () => {
  await using a = await peer()
  a.transport.subscribe('other')
  const { member, connection } = await gossiper(a)
  const bad = await connection.newStream(GOSSIP)
  bad.send(prefixed(new Uint8Array(GOSSIP_BYTES_MAX + 1)))
  bad.send(subscription('stock'))
  const good = await connection.newStream(GOSSIP)
  // Rubbish that is not too large is passed over.
  good.send(prefixed(new Uint8Array(GOSSIP_BYTES_MAX)))
  good.send(subscription('other'))
  await a.until(`subscribed ${member.peerId.toString()} other`)
  expect(a.count(`subscribed ${member.peerId.toString()} stock`)).toBe(0)
})

test('a member follows topics of so many bytes, and a further one when it leaves another', async () => {
  makeSmall({ TOPICS_BYTES_MAX: 3_500 })
  await using a = await peer()
  const { member, connection } = await gossiper(a)
  a.transport.subscribe('d')
  const stream = await connection.newStream(GOSSIP)
  for (const name of ['a', 'b', 'c', 'stock']) stream.send(subscription(name))
  stream.send(subscription('a', false))
  stream.send(subscription('d'))
  await a.until(`subscribed ${member.peerId.toString()} d`)
  expect(a.count(`subscribed ${member.peerId.toString()} stock`)).toBe(0)
})

test('gossip for a member that does not read is dropped at so many bytes, and its stream with it', async () => {
  makeSmall({ GOSSIP_UNSENT_BYTES_MAX: 100_000 })
  await using a = await peer()
  a.transport.subscribe('stock')
  const gossip = gossipsub({ globalSignaturePolicy: 'StrictNoSign' })
  const member = await startMemberWith(NETWORK_KEY, { identify: identify(), gossip })
  onTestFinished(() => member.stop())
  const inbound = (): Stream[] =>
    member
      .getConnections()
      .flatMap(({ streams }) => streams)
      .filter(({ direction, protocol }) => direction === 'inbound' && /meshsub/.test(protocol))
  await a.transport.dial(member.getMultiaddrs()[0]?.toString() ?? '')
  await a.untilTrue(() => inbound().length === 1, 'a gossip stream')
  member.services.gossip.subscribe(`${TOPIC_PREFIX}stock`)
  await a.until(`subscribed ${member.peerId.toString()} stock`)
  const [stream] = inbound()
  stream?.pause()
  let count = 0
  await a.untilTrue(() => {
    count += 1
    void a.transport.announce('stock', Buffer.alloc(60_000, count))
    return stream?.status !== 'open'
  }, 'the stream is reset')
})
