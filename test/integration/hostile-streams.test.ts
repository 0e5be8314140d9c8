/** Members that misuse connections and streams: dripping, flooding, opening, never reading. */

import { incessantly, strangeDigests } from '../../scripts/hostile/members.ts' // First: polyfill.
import { SCALE, YARD, addressOf, bareMember, honestPair } from '../fixtures/hostile.ts'
import type { Connection, Stream } from '@libp2p/interface'
import { multiaddr } from '@multiformats/multiaddr'
import { expect, test, vi } from 'vitest'

import {
  DELTA_PROTOCOL,
  encodeDeltaAnswer,
  encodeDeltaRequest
} from '../../protocols/delta/codec.ts'
import { REQUEST_BYTES_MAX } from '../../protocols/limits.ts'
import type { Laterbase } from '../../src/index.ts'
import { systemClock } from '../../src/node/system.ts'
import { StreamReader, decodeFrames, sendFrame } from '../../src/p2p/frames.ts'
import { DELTA_INBOUND_STREAMS_MAX } from '../../src/p2p/limits.ts'
import { until } from '../fixtures/nodes.ts'

/** Small ones, so that what takes half a minute takes a second. */
vi.mock('../../src/core/limits.ts', async (original) => ({
  ...(await original()),
  REQUEST_PACE: { silentMsMax: 1_000, graceMs: 1_000, bytesPerSecondMin: 4_096 }
}))
vi.mock('../../src/p2p/limits.ts', async (original) => ({
  ...(await original()),
  SEND_STALL_MS_MAX: 1_000
}))

const COMMITS = 10 * SCALE
const ALL = encodeDeltaRequest({
  type: 'page',
  database: YARD,
  bytesMax: 1_048_576,
  heads: [],
  places: []
})
/** The prefix of a frame of a mebibyte. */
const MEBIBYTE = Uint8Array.from([0x80, 0x80, 0x40])

function framed(frame: Uint8Array): Uint8Array {
  expect(frame.length).toBeLessThan(0x80)
  return Uint8Array.from([frame.length, ...frame])
}

test('a member that drips a byte at a time is given up, and delays nobody', async () => {
  const honest = await honestPair()
  let [pages, dripped] = [0, 0]
  const member = await bareMember(honest, async (stream) => {
    const reader = new StreamReader(stream, { unreadBytesMax: REQUEST_BYTES_MAX })
    for await (const request of decodeFrames(reader, REQUEST_BYTES_MAX)) {
      if (request[0] === 1) {
        await sendFrame(stream, encodeDeltaAnswer(strangeDigests(YARD)), { clock: systemClock })
        continue
      }
      pages += 1
      stream.send(MEBIBYTE)
      const drip = (): void => {
        if (stream.status !== 'open') return
        stream.send(new Uint8Array(1))
        dripped += 1
        systemClock.setTimer(20, drip)
      }
      drip()
    }
  })
  for (const node of honest.nodes) await member.dial(multiaddr(addressOf(node)))
  await until(() => pages > 0)
  await honest.converge(COMMITS)
  // Asked again, so the first was given up, though never a moment was silent.
  await until(() => pages > honest.nodes.length)
  expect(dripped).toBeGreaterThan(20)
  await honest.converge(COMMITS)
  honest.checkUnharmed()
})

test('a member that asks for everything again and again, and reads it, delays nobody', async () => {
  const honest = await honestPair()
  const member = await bareMember(honest)
  const streams = await deltaStreams(honest.nodes, (node) =>
    member.dial(multiaddr(addressOf(node)))
  )
  let answers = 0
  for (const stream of streams) stream.addEventListener('message', () => (answers += 1))
  const flood = incessantly(() => {
    for (const stream of streams) if (stream.status === 'open') stream.send(framed(ALL))
  })
  await until(() => answers > 100 * SCALE || streams.every(({ status }) => status !== 'open'))
  await honest.converge(COMMITS)
  await flood.stop()
  honest.checkUnharmed()
})

test('a member that never reads its answers has its streams reset, and delays nobody', async () => {
  const honest = await honestPair()
  const [first] = honest.nodes
  for (let commit = 0; commit < 40; commit += 1) {
    await first?.database(YARD).append({ data: 'x'.repeat(250_000) })
  }
  const member = await bareMember(honest)
  const connections = await Promise.all(
    honest.nodes.map((node) => member.dial(multiaddr(addressOf(node))))
  )
  const streams: Stream[] = []
  for (const connection of connections) {
    for (let count = 0; count < DELTA_INBOUND_STREAMS_MAX; count += 1) {
      const stream = await connection.newStream(DELTA_PROTOCOL)
      stream.pause()
      for (let request = 0; request < 20; request += 1) stream.send(framed(ALL))
      streams.push(stream)
    }
  }
  await honest.converge(COMMITS)
  await until(() => streams.some(({ status }) => status !== 'open'))
  await until(() => streams.every(({ status }) => status !== 'open'))
  honest.checkUnharmed()
})

test('a member that opens streams without end has no more than a few, and delays nobody', async () => {
  const honest = await honestPair()
  const member = await bareMember(honest)
  const connections = await Promise.all(
    honest.nodes.map((node) => member.dial(multiaddr(addressOf(node))))
  )
  let tried = 0
  const opening = incessantly(async () => {
    const tries = connections.map((connection) => connection.newStream(DELTA_PROTOCOL))
    await Promise.allSettled(tries)
    tried += tries.length
  })
  await until(() => tried > 100 * SCALE)
  await honest.converge(COMMITS)
  await opening.stop()
  for (const { streams } of connections) {
    const open = streams.filter(({ protocol, status }) => {
      return protocol === DELTA_PROTOCOL && status === 'open'
    })
    expect(open.length).toBeLessThanOrEqual(2 * DELTA_INBOUND_STREAMS_MAX)
  }
  honest.checkUnharmed()
})

test('a member that connects and leaves without end leaves nothing behind, and delays nobody', async () => {
  const honest = await honestPair()
  const member = await bareMember(honest)
  let times = 0
  const coming = incessantly(async () => {
    const dials = honest.nodes.map((node) => member.dial(multiaddr(addressOf(node))))
    const connections = (await Promise.allSettled(dials)).flatMap((dial) => {
      return dial.status === 'fulfilled' ? [dial.value] : []
    })
    for (const connection of connections) leave(connection, times)
    times += 1
  })
  await until(() => times > 20 * SCALE)
  await honest.converge(COMMITS)
  await coming.stop()
  await member.stop()
  for (const node of honest.nodes) await until(() => node.peers().length === 1)
  honest.checkUnharmed()
})

/** In good order and not, in turns. */
function leave(connection: Connection, times: number): void {
  if (times % 2 === 0) connection.abort(new Error('gone'))
  else connection.close().catch(() => undefined)
}

async function deltaStreams(
  nodes: readonly Laterbase[],
  dial: (node: Laterbase) => Promise<Connection>
): Promise<Stream[]> {
  const streams: Stream[] = []
  for (const node of nodes) streams.push(await (await dial(node)).newStream(DELTA_PROTOCOL))
  return streams
}
