/** Strangers at the perimeter, and members that break the rules of the delta protocol. */

import { NETWORK_KEY, connect, deferred, peer, text, within } from './p2p-harness.ts' // First: polyfill.
import { noise } from '@libp2p/noise'
import { identify } from '@libp2p/identify'
import { tcp } from '@libp2p/tcp'
import { yamux } from '@libp2p/yamux'
import { multiaddr } from '@multiformats/multiaddr'
import { createLibp2p } from 'libp2p'
import type { Libp2p, Stream } from '@libp2p/interface'
import { expect, test } from 'vitest'
import { DELTA_PROTOCOL } from '../../protocols/delta/codec.ts'
import { systemClock } from '../../src/node/system.ts'
import { Perimeter } from '../../src/p2p/perimeter.ts'

/** A bare libp2p: with the network key as somebody who has it, or without as a stranger. */
async function bare(networkKey?: Uint8Array): Promise<Libp2p & AsyncDisposable> {
  const encrypter =
    networkKey === undefined
      ? noise()
      : new Perimeter(networkKey, systemClock, () => undefined).encrypter()
  const node = await createLibp2p({
    addresses: { listen: ['/ip4/127.0.0.1/tcp/0'] },
    transports: [tcp()],
    connectionEncrypters: [encrypter],
    streamMuxers: [yamux()],
    services: { identify: identify() }
  })
  // Whoever does not speak the protocol is dropped before it can misuse it.
  await node.handle(DELTA_PROTOCOL, () => undefined)
  return Object.assign(node, { [Symbol.asyncDispose]: async () => node.stop() })
}

test('somebody without the network key is refused in the handshake and seen in the warnings', async () => {
  await using a = await peer()
  await using stranger = await bare()
  for (let tries = 0; tries < 5; tries += 1) {
    await expect(
      stranger.dial(multiaddr(a.address()), { signal: AbortSignal.timeout(20_000) })
    ).rejects.toMatchObject({ name: 'EncryptionFailedError' })
  }
  expect(stranger.getConnections()).toEqual([])
  await a.untilTrue(() => a.transport.warnings().length > 0, 'a warning')
  expect(a.transport.warnings()[0]).toContain('handshakes with 127.0.0.1 failed')
  expect([a.seen, a.transport.peers()]).toEqual([[], []])
})

test('we do not connect to somebody without the network key either', async () => {
  await using a = await peer()
  await using stranger = await bare()
  const address = stranger.getMultiaddrs()[0]?.toString() ?? ''
  await expect(a.transport.dial(address)).rejects.toMatchObject({
    code: 'LATERBASE_PEER_UNREACHABLE'
  })
  expect(stranger.getConnections()).toEqual([])
  expect(a.transport.warnings()[0]).toContain('another network key')
})

test('nodes of two networks do not connect', async () => {
  await using a = await peer()
  await using other = await peer({ networkKey: new Uint8Array(32).fill(8) })
  await expect(other.transport.dial(a.address())).rejects.toMatchObject({
    code: 'LATERBASE_PEER_UNREACHABLE'
  })
  expect([a.seen, other.seen]).toEqual([[], []])
})

test('a request above its limit resets the stream before it is gathered, and is never answered', async () => {
  await using a = await peer({}, { requested: async () => (a.note('requested'), text('y')) })
  await using member = await bare(NETWORK_KEY)
  const connection = await member.dial(multiaddr(a.address()))
  const stream = await connection.newStream(DELTA_PROTOCOL)
  const closed = new Promise<Error | undefined>((resolve) => {
    stream.addEventListener('close', ({ error }) => resolve(error))
  })
  // The prefix of a frame of 16 MiB and a first byte; nothing else need come.
  stream.send(Uint8Array.from([0x80, 0x80, 0x80, 0x08, 0x00]))
  expect(await closed).toMatchObject({ name: 'StreamResetError' })
  expect(a.count('requested')).toBe(0)
})

test('a member that floods requests has its stream reset while the first is being answered', async () => {
  const stuck = deferred<Uint8Array>()
  await using a = await peer({}, { requested: () => (a.note('requested'), stuck.promise) })
  await using member = await bare(NETWORK_KEY)
  const connection = await member.dial(multiaddr(a.address()))
  const stream = await connection.newStream(DELTA_PROTOCOL)
  // Frames of 64 KiB, sent without waiting for answers.
  const frame = new Uint8Array(65_539)
  frame.set([0x80, 0x80, 0x04])
  let sent = 0
  while (stream.status === 'open' && sent < 64 * 1_048_576) {
    stream.send(frame)
    sent += frame.length
    await new Promise(setImmediate)
  }
  expect(stream.status).not.toBe('open')
  expect(a.count('requested')).toBe(1)
  stuck.resolve(text('late'))
})

test('a member gets no more than eight request streams and two answers at once', async () => {
  const stuck = deferred<Uint8Array>()
  await using a = await peer({}, { requested: () => (a.note('requested'), stuck.promise) })
  await using member = await bare(NETWORK_KEY)
  const connection = await member.dial(multiaddr(a.address()))
  const streams: Stream[] = []
  for (let index = 0; index < 12; index += 1) {
    const stream = await connection.newStream(DELTA_PROTOCOL)
    if (stream.status === 'open') stream.send(Uint8Array.from([1, 0x78]))
    streams.push(stream)
  }
  await a.untilTrue(
    () => streams.filter(({ status }) => status === 'open').length === 8,
    'eight streams'
  )
  await a.until('requested', 2)
  expect(a.count('requested')).toBe(2)
  stuck.resolve(text('y'))
  await a.until('requested', 8)
})

test('a member that does not speak the delta protocol is never reported as a peer', async () => {
  await using a = await peer()
  await using member = await bare(NETWORK_KEY)
  await member.unhandle(DELTA_PROTOCOL)
  await expect(a.transport.dial(member.getMultiaddrs()[0]?.toString() ?? '')).rejects.toMatchObject(
    { code: 'LATERBASE_PEER_UNREACHABLE' }
  )
  expect([a.seen, a.transport.peers()]).toEqual([[], []])
})

test('a peer that answers without being asked loses the stream, and only that', async () => {
  await using a = await peer()
  await using b = await peer()
  await using member = await bare(NETWORK_KEY)
  await member.unhandle(DELTA_PROTOCOL)
  const streams: Stream[] = []
  await member.handle(DELTA_PROTOCOL, (stream) => {
    streams.push(stream)
    stream.send(Uint8Array.from([1, 0x78, 1, 0x78]))
  })
  await connect(a, b)
  await a.transport.dial(member.getMultiaddrs()[0]?.toString() ?? '')
  // One frame may pass for the answer of a request that is under way, never both.
  await a.transport
    .request(member.peerId.toString(), text('x'), within(1_000))
    .catch(() => undefined)
  await a.untilTrue(
    () => streams.length > 0 && streams[0]?.status !== 'open',
    'the stream is closed'
  )
  expect(await a.transport.request(b.id, text('ok'), within(20_000))).toEqual(text('ok'))
})
