/** Connections beyond what a node takes, over real libp2p on loopback: its limits made small. */

import { bareMember, connect, peer } from './p2p-harness.ts' // First: polyfill.
import { once } from 'node:events'
import { createServer, connect as connectTcp } from 'node:net'
import type { AddressInfo, Socket } from 'node:net'
import type { Connection } from '@libp2p/interface'
import { multiaddr } from '@multiformats/multiaddr'
import { expect, onTestFinished, test, vi } from 'vitest'

import { until } from '../fixtures/nodes.ts'
import { makeSmall } from '../fixtures/small-limits.ts'
import type { Peer } from './p2p-harness.ts'

vi.mock('../../src/p2p/limits.ts', async (original) => {
  const { smallable } = await import('../fixtures/small-limits.ts')
  return smallable(await original())
})

/** So many members that dial at one time; those that were let in. */
async function crowd(to: Peer, count: number): Promise<Connection[]> {
  const members = await Promise.all(Array.from({ length: count }, () => bareMember()))
  const dials = members.map((member) => member.dial(multiaddr(to.address())))
  const settled = await Promise.allSettled(dials)
  return settled.flatMap((dial) => (dial.status === 'fulfilled' ? [dial.value] : []))
}

/** A connection that says nothing. */
async function silent(to: Peer): Promise<{ readonly socket: Socket; closed: boolean }> {
  const [, port] = /\/tcp\/(\d+)/.exec(to.address()) ?? []
  const socket = connectTcp(Number(port), '127.0.0.1')
  onTestFinished(() => void socket.destroy())
  const stranger = { socket, closed: false }
  socket.on('error', () => undefined)
  socket.on('close', () => (stranger.closed = true))
  socket.resume()
  await once(socket, 'connect')
  return stranger
}

async function silentCrowd(to: Peer, count: number): Promise<{ readonly closed: boolean }[]> {
  return Promise.all(Array.from({ length: count }, () => silent(to)))
}

test('of a crowd that connects at one moment no more are let in than may be', async () => {
  makeSmall({ CONNECTIONS_MAX: 3 })
  await using a = await peer()
  const connections = await crowd(a, 8)
  const open = (): Connection[] => connections.filter(({ status }) => status === 'open')
  await until(() => open().length <= 3)
  await a.untilTrue(() => a.transport.peers().length === 3, 'three of them')
  expect(await crowd(a, 2)).toEqual([])
})

test('who is full of others still reaches the peers that a person gave it', async () => {
  makeSmall({ CONNECTIONS_MAX: 3 })
  await using b = await peer()
  await using a = await peer()
  await crowd(a, 3)
  await a.untilTrue(() => a.transport.peers().length === 3, 'three of them')
  await connect(a, b)
  // Whatever closes connections has had its turn when a next one is refused.
  expect(await crowd(a, 1)).toEqual([])
  expect(a.transport.peers()).toHaveLength(4)
  expect(a.count(`disconnected ${b.id}`)).toBe(0)
})

test('of connections that are in their handshake so many wait, and further ones are closed', async () => {
  makeSmall({ INBOUND_PENDING_MAX: 4, HANDSHAKE_MS_MAX: 600_000 })
  await using a = await peer()
  const strangers = await silentCrowd(a, 12)
  await until(() => strangers.filter(({ closed }) => closed).length === 8)
})

test('of connections that one address opens in a second so many are taken', async () => {
  makeSmall({ INBOUND_PER_SECOND_MAX: 4, HANDSHAKE_MS_MAX: 600_000 })
  await using a = await peer()
  const strangers = await silentCrowd(a, 20)
  // The second may change meanwhile.
  await until(() => strangers.filter(({ closed }) => closed).length >= 12)
})

test('a handshake in which nothing comes is given up', async () => {
  makeSmall({ HANDSHAKE_MS_MAX: 50 })
  await using a = await peer()
  const stranger = await silent(a)
  await until(() => stranger.closed)
})

test('an address at which nobody speaks leaves time for the others of a peer', async () => {
  makeSmall({ DIAL_ADDRESS_MS_MAX: 100, DIAL_MS_MAX: 600_000, HANDSHAKE_MS_MAX: 600_000 })
  const server = createServer((socket) => void socket.on('error', () => undefined))
  onTestFinished(() => void server.close())
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  await using b = await peer()
  // What it was at before comes first, and is silent now.
  const addresses = [`/ip4/127.0.0.1/tcp/${port}/p2p/${b.id}`, b.address()]
  await using a = await peer({
    addressBook: { load: async () => addresses, save: async () => undefined }
  })
  const spoken = once(server, 'connection')
  await a.until(`connected ${b.id}`)
  await spoken
})
