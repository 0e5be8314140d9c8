/** Announcements over real gossipsub on loopback: relay only after a verdict, repair, limits. */

import { NETWORK_KEY, connect, deferred, peer, text } from './p2p-harness.ts' // First: polyfill.
import { gossipsub } from '@chainsafe/libp2p-gossipsub'
import { identify } from '@libp2p/identify'
import type { Libp2p, Stream } from '@libp2p/interface'
import { tcp } from '@libp2p/tcp'
import { yamux } from '@libp2p/yamux'
import { createLibp2p } from 'libp2p'
import { expect, test } from 'vitest'
import { DELTA_PROTOCOL } from '../../protocols/delta/codec.ts'
import { systemClock } from '../../src/node/system.ts'
import type { Peer } from './p2p-harness.ts'
import { Perimeter } from '../../src/p2p/perimeter.ts'
import type { AnnouncementVerdict } from '../../src/p2p/transport.ts'

test('in a line A-B-C an announcement reaches C only after B accepted it, and as from B', async () => {
  const verdict = deferred<AnnouncementVerdict>()
  await using a = await peer()
  await using b = await peer(
    {},
    {
      announced: (from, _database, message) => {
        if (isProbe(message)) return Promise.resolve('accept')
        b.note(`judging ${from}`)
        return verdict.promise
      }
    }
  )
  await using c = await peer()
  for (const { transport } of [a, b, c]) transport.subscribe('stock')
  await connect(a, b)
  await connect(b, c)
  await untilHeard(a, c)
  await a.transport.announce('stock', text('news'))
  await b.until(`judging ${a.id}`)
  // A hundred turns of the loop are ample for a message that was already on its way.
  for (let turn = 0; turn < 100; turn += 1) await new Promise(setImmediate)
  expect(c.count(`announced ${b.id} stock news`)).toBe(0)
  verdict.resolve('accept')
  await c.until(`announced ${b.id} stock news`)
})

test('an announcement that B rejects or ignores does not reach C', async () => {
  await using a = await peer()
  await using b = await peer(
    {},
    {
      announced: async (_from, _database, message) => {
        const words = Buffer.from(message).toString()
        if (isProbe(message)) return 'accept'
        return words === 'good' ? 'accept' : words === 'bad' ? 'reject' : 'ignore'
      }
    }
  )
  await using c = await peer()
  for (const { transport } of [a, b, c]) transport.subscribe('stock')
  await connect(a, b)
  await connect(b, c)
  await untilHeard(a, c)
  for (const words of ['bad', 'dull', 'good']) await a.transport.announce('stock', text(words))
  await c.until(`announced ${b.id} stock good`)
  for (const words of ['bad', 'dull']) expect(c.count(`announced ${b.id} stock ${words}`)).toBe(0)
})

test('a verdict that never comes does not hold up other announcements', async () => {
  await using a = await peer()
  await using b = await peer(
    {},
    {
      announced: (_from, database) => {
        b.note(`judging ${database}`)
        return database === 'slow' ? new Promise(() => undefined) : Promise.resolve('accept')
      }
    }
  )
  for (const { transport } of [a, b]) {
    transport.subscribe('slow')
    transport.subscribe('stock')
  }
  await connect(a, b)
  await a.until(`subscribed ${b.id} slow`)
  for (let index = 0; index < 50; index += 1) {
    await a.transport.announce('slow', text(`${index}`))
  }
  await a.transport.announce('stock', text('news'))
  await b.until('judging stock')
})

test('only databases that both follow are told of, and unsubscribing ends the announcements', async () => {
  await using a = await peer()
  await using b = await peer()
  a.transport.subscribe('stock')
  b.transport.subscribe('stock')
  b.transport.subscribe('other')
  await connect(a, b)
  await a.until(`subscribed ${b.id} stock`)
  await b.until(`subscribed ${a.id} stock`)
  expect(a.count(`subscribed ${b.id} other`)).toBe(0)
  // Following it later tells of those who did so before.
  a.transport.subscribe('other')
  await a.until(`subscribed ${b.id} other`)
  await b.until(`subscribed ${a.id} other`)
  await a.transport.announce('stock', text('one'))
  await b.until(`announced ${a.id} stock one`)
  b.transport.unsubscribe('stock')
  await a.transport.announce('stock', text('two'))
  await a.transport.announce('other', text('three'))
  await b.until(`announced ${a.id} other three`)
  expect(b.count(`announced ${a.id} stock two`)).toBe(0)
})

test('a node without gossip connects, announces into the void, and hears nothing', async () => {
  await using a = await peer({ gossip: false })
  await using b = await peer()
  a.transport.subscribe('stock')
  b.transport.subscribe('stock')
  await connect(a, b)
  await a.transport.announce('stock', text('lost'))
  await b.transport.announce('stock', text('lost as well'))
  expect([...a.seen, ...b.seen].filter((line) => line.includes('stock'))).toEqual([])
})

test('a gossip stream that was reset is opened again', async () => {
  await using a = await peer()
  a.transport.subscribe('stock')
  await using member = await bareGossiper()
  await a.transport.dial(member.getMultiaddrs()[0]?.toString() ?? '')
  const gossipStreams = (): Stream[] =>
    member
      .getConnections()
      .flatMap(({ streams }) => streams)
      .filter(({ direction, protocol }) => direction === 'inbound' && /meshsub/.test(protocol))
  await a.untilTrue(() => gossipStreams().length === 1, 'a gossip stream')
  const [first] = gossipStreams()
  first?.abort(new Error('test'))
  await a.untilTrue(() => gossipStreams().some((stream) => stream !== first), 'another one')
  expect(a.count(`disconnected ${member.peerId.toString()}`)).toBe(0)
})

/**
 * Announces probes at one end until one is heard at the other. gossipsub forwards along a mesh that
 * it forms in its next heartbeat: what comes before that is lost, which anti-entropy makes up for.
 */
async function untilHeard(from: Peer, to: Peer): Promise<void> {
  let probes = 0
  const heard = (): boolean => to.seen.some((line) => line.includes(PROBE))
  await to.untilTrue(() => {
    probes += 1
    void from.transport.announce('stock', text(`${PROBE} ${probes}`))
    return heard()
  }, 'a probe')
}

const PROBE = 'is anybody there'

function isProbe(message: Uint8Array): boolean {
  return Buffer.from(message).toString().startsWith(PROBE)
}

/** A member of the network that is a bare libp2p, so that its streams can be got at. */
async function bareGossiper(): Promise<Libp2p & AsyncDisposable> {
  const node = await createLibp2p({
    addresses: { listen: ['/ip4/127.0.0.1/tcp/0'] },
    transports: [tcp()],
    connectionEncrypters: [new Perimeter(NETWORK_KEY, systemClock, () => undefined).encrypter()],
    streamMuxers: [yamux()],
    services: { identify: identify(), gossip: gossipsub({ globalSignaturePolicy: 'StrictNoSign' }) }
  })
  await node.handle(DELTA_PROTOCOL, () => undefined)
  return Object.assign(node, { [Symbol.asyncDispose]: async () => node.stop() })
}
