/** Finding and keeping peers over real libp2p on loopback: redials, cuts, offline, address book. */

import { expect, test } from 'vitest'
import { systemRng } from '../../src/node/system.ts'
import { Peer, connect, peer, text, within } from './p2p-harness.ts'

test('a static peer that starts later is found, and a warning says so until then', async () => {
  await using first = await peer()
  const address = first.address()
  const seed = systemRng.bytes(32)
  await first.transport.close()
  await using a = await peer({ peers: [address] })
  await a.untilTrue(() => a.transport.warnings().length === 1, 'a warning')
  expect(a.transport.warnings()[0]).toContain(address)
  // Another box takes over the port: whoever listens at a static address without an id is meant.
  await using b = await peer({ peers: [a.address().replace(/\/p2p\/.*/, '')], privateKey: seed })
  await a.until(`connected ${b.id}`)
  expect(b.transport.warnings()).toEqual([])
})

test('a box that takes over a static address without an id is met under its own', async () => {
  const before = await peer()
  const address = before.address().replace(/\/p2p\/.*/, '')
  await using a = await peer({ peers: [address] })
  await a.until(`connected ${before.id}`)
  await before.transport.close()
  await a.until(`disconnected ${before.id}`)
  await using after = await peer({ listen: [address] })
  await a.until(`connected ${after.id}`)
  expect(after.id).not.toBe(before.id)
  expect(a.transport.warnings()).toEqual([])
})

test('two nodes that dial each other at once end up with one connection', async () => {
  for (let round = 0; round < 5; round += 1) {
    await using a = await peer()
    await using b = await peer()
    await Promise.allSettled([a.transport.dial(b.address()), b.transport.dial(a.address())])
    await a.until(`connected ${b.id}`)
    await b.until(`connected ${a.id}`)
    await a.untilTrue(
      () => a.transport.peers()[0]?.direction !== b.transport.peers()[0]?.direction,
      'both keep the same connection'
    )
    expect(await a.transport.request(b.id, text('x'), within(5_000))).toEqual(text('x'))
    expect(await b.transport.request(a.id, text('y'), within(5_000))).toEqual(text('y'))
  }
})

test('a peer that is cut off is gone, is refused, is named once in the log, and comes back', async () => {
  await using a = await peer()
  await using b = await peer()
  await connect(a, b)
  b.transport.cutOff(a.id, 2_000, 'sent nonsense')
  b.transport.cutOff(a.id, 2_000, 'sent nonsense')
  await b.until(`disconnected ${a.id}`)
  await a.until(`disconnected ${b.id}`)
  await expect(b.transport.dial(a.address())).rejects.toMatchObject({
    code: 'LATERBASE_PEER_UNREACHABLE'
  })
  const warnings = b.lines.filter(({ level }) => level === 'warn')
  expect(warnings).toEqual([
    {
      level: 'warn',
      message: 'peer cut off',
      fields: { peer: a.id, forMs: 2_000, reason: 'sent nonsense' }
    }
  ])
  await a.until(`connected ${b.id}`, 2)
  await b.until(`connected ${a.id}`, 2)
  expect([a.count(`connected ${b.id}`), b.count(`connected ${a.id}`)]).toEqual([2, 2])
})

test('a peer that refuses a dial is dialed again for a moment, and then said to refuse', async () => {
  await using a = await peer()
  await using b = await peer()
  b.transport.cutOff(a.id, 1_000, 'for a moment')
  await a.transport.dial(b.address())
  expect(a.transport.peers()).toHaveLength(1)
  b.transport.cutOff(a.id, 60_000, 'for longer')
  await a.until(`disconnected ${b.id}`)
  await expect(a.transport.dial(b.address())).rejects.toMatchObject({
    code: 'LATERBASE_PEER_UNREACHABLE',
    message: expect.stringContaining('refused the connection') as string
  })
})

test('a node that goes offline has no peers and takes none, and heals when it is back', async () => {
  await using a = await peer()
  await using b = await peer()
  await connect(a, b)
  await a.transport.goOffline()
  await a.until(`disconnected ${b.id}`)
  await b.until(`disconnected ${a.id}`)
  expect(a.transport.peers()).toEqual([])
  await expect(b.transport.dial(a.address())).rejects.toMatchObject({
    code: 'LATERBASE_PEER_UNREACHABLE'
  })
  await expect(a.transport.dial(b.address())).rejects.toThrow('offline')
  await a.transport.goOnline()
  await a.until(`connected ${b.id}`, 2)
  await b.until(`connected ${a.id}`, 2)
  expect(await a.transport.request(b.id, text('x'), within(5_000))).toEqual(text('x'))
})

test('a peer that restarts on another port and dials in is connected again, and so is gossip', async () => {
  const seed = systemRng.bytes(32)
  await using a = await peer()
  const before = await peer({ privateKey: seed })
  a.transport.subscribe('stock')
  await connect(before, a)
  await before.transport.close()
  await a.until(`disconnected ${before.id}`)
  await using after = await peer({ privateKey: seed, peers: [a.address()] })
  after.transport.subscribe('stock')
  expect(after.id).toBe(before.id)
  await a.until(`connected ${after.id}`, 2)
  await a.until(`subscribed ${after.id} stock`)
  await after.until(`subscribed ${a.id} stock`)
  await after.transport.announce('stock', text('back'))
  await a.until(`announced ${after.id} stock back`)
})

test('the address book brings back who was met, on either side of a dial', async () => {
  const seed = systemRng.bytes(32)
  await using a = await peer()
  const b = await peer({ privateKey: seed })
  // b is dialed, so it knows of a only what a says of itself.
  await connect(a, b)
  await b.untilTrue(() => b.book.length > 0, 'a saved book')
  await b.transport.close()
  const saved = b.book.at(-1) ?? []
  expect(saved).toContain(a.address())
  await using again = await peer({
    privateKey: seed,
    addressBook: { load: async () => saved, save: async () => undefined }
  })
  await again.until(`connected ${a.id}`)
})

test('a book that cannot be read, or is nonsense, keeps nobody from starting', async () => {
  await using a = await peer({
    addressBook: {
      load: async () => ['', 'x', '/p2p/x', `/ip4/1/tcp/y/p2p/${'1'.repeat(50)}`],
      save: async () => undefined
    }
  })
  await using b = await peer({
    addressBook: {
      load: async () => {
        throw new Error('unreadable')
      },
      save: async () => undefined
    }
  })
  await connect(a, b)
  expect(b.lines).toContainEqual({
    level: 'warn',
    message: 'address book not read',
    fields: { reason: 'unreadable' }
  })
})

test('a node that lists itself as a static peer stops dialing itself', async () => {
  await using other = await peer()
  const port = /tcp\/(\d+)/.exec(other.address())?.[1] ?? ''
  await other.transport.close()
  await using a = await peer({
    listen: [`/ip4/127.0.0.1/tcp/${port}`],
    peers: [`/ip4/127.0.0.1/tcp/${port}`]
  })
  await a.untilTrue(
    () => a.lines.some(({ message }) => message === 'dial failed'),
    'it has tried once'
  )
  expect(a.transport.warnings()).toEqual([])
})

test('closing is idempotent, also before and during the start, and nothing runs after it', async () => {
  const never = new Peer({})
  await never.transport.close()
  await expect(never.start()).rejects.toMatchObject({ code: 'LATERBASE_CLOSED' })
  const during = new Peer({})
  const starting = during.start()
  await during.transport.close()
  await expect(starting).rejects.toMatchObject({ code: 'LATERBASE_CLOSED' })
  const a = await peer()
  await Promise.all([a.transport.close(), a.transport.close()])
  await expect(a.transport.dial('/ip4/127.0.0.1/tcp/1')).rejects.toMatchObject({
    code: 'LATERBASE_PEER_UNREACHABLE'
  })
})
