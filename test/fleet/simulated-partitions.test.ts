/** Fifty simulated boxes through three partitions and churn: equal within a minute of simulated time. */

import { expect, test } from 'vitest'

import { Box } from '../sim/box.ts'
import { SimNetwork } from '../sim/network.ts'
import { World } from '../sim/world.ts'
import { report, seeds, SIZES } from './sizes.ts'

const DATABASE = 'stock'
const BATCH = 10
const NOW_MS = Date.UTC(2026, 5, 1)
/** From the end of a partition until all are equal, simulated ms. */
const HEAL_MS_MAX = 60_000
const QUIET_MS = 60_000

const FAULTS = { loss: 0.01, duplication: 0.01, gossipLoss: 0.1, delayMsMax: 40 }
const NO_FAULTS = { loss: 0, duplication: 0, gossipLoss: 0, delayMsMax: 20 }

interface Fleet {
  readonly world: World
  readonly network: SimNetwork
  readonly boxes: readonly Box[]
}

function partition({ world, network, boxes }: Fleet, groups: number): void {
  const group = boxes.map(() => world.prng.integer(1, groups))
  for (const [index, box] of boxes.entries()) {
    for (const [other, peer] of boxes.entries()) {
      if (index < other && group[index] !== group[other]) network.cut(box.peerId, peer.peerId)
    }
  }
}

async function write({ world, boxes }: Fleet, events: number): Promise<number> {
  let acknowledged = 0
  for (let written = 0; written < events; written += BATCH) {
    const box = world.prng.pick(boxes)
    const database = box?.node?.databases().includes(DATABASE)
      ? box.node.database(DATABASE)
      : undefined
    const time = new Date(NOW_MS + written).toISOString()
    const batch = Array.from({ length: BATCH }, (_, index) => ({ time, data: written + index }))
    const appending = database?.append(batch).then(() => {
      acknowledged += BATCH
    })
    await world.run(world.nowMs + 20, () => false)
    await appending
  }
  return acknowledged
}

async function churn({ world, boxes }: Fleet, share: number): Promise<void> {
  const leaving = boxes.filter(() => world.chance(share))
  for (const box of leaving) await box.crash()
  await world.run(world.nowMs + 2_000, () => false)
  const back = Promise.all(leaving.map((box) => box.start()))
  await world.run(world.nowMs + 2_000, () => false)
  await back
}

async function msUntilEqual({ world, boxes }: Fleet): Promise<number> {
  const startMs = world.nowMs
  const equal = await world.run(startMs + HEAL_MS_MAX, () => {
    const digests = boxes.map((box) =>
      box.node?.databases().includes(DATABASE) ? box.node.database(DATABASE).digest() : undefined
    )
    return digests[0] !== undefined && digests.every((digest) => digest === digests[0])
  })
  expect(equal, `equal within ${HEAL_MS_MAX} simulated ms`).toBe(true)
  return Math.round(world.nowMs - startMs)
}

async function traffic({
  boxes
}: Fleet): Promise<{ requests: number; fetches: number; bytes: number }> {
  const sum = { requests: 0, fetches: 0, bytes: 0 }
  for (const { node } of boxes) {
    const status = await node?.status()
    sum.requests += status?.traffic.requestsAsked ?? 0
    sum.fetches += status?.traffic.fetches ?? 0
    sum.bytes += status?.traffic.bytesOut ?? 0
  }
  return sum
}

test.skipIf(SIZES.simulatedNodes === 0)(
  'fifty boxes are equal within a minute after each of three partitions, and then only compare',
  async () => {
    const [seed = 1] = seeds(1)
    const world = new World(seed)
    const network = new SimNetwork(world, FAULTS)
    const count = SIZES.simulatedNodes
    const boxes = Array.from(
      { length: count },
      (_, index) => new Box(network, `box-${index}`, NOW_MS)
    )
    const fleet: Fleet = { world, network, boxes }
    const started = Promise.all(boxes.map((box) => box.start()))
    await world.run(world.nowMs + 1_000, () => false)
    await started
    const made = boxes[0]?.node?.createDatabase(DATABASE)
    await world.run(world.nowMs + 1_000, () => false)
    await made
    let events = 0
    const healed: number[] = []
    for (const groups of [2, 3, 5]) {
      partition(fleet, groups)
      events += await write(fleet, SIZES.simulatedEvents / 6)
      await churn(fleet, 0.2)
      events += await write(fleet, SIZES.simulatedEvents / 6)
      network.healAll()
      healed.push(await msUntilEqual(fleet))
    }
    for (const { node } of boxes) {
      expect((await node?.database(DATABASE).status())?.events).toBe(events)
    }
    expect(network.violations).toEqual([])
    // What was lost on the way is asked for again, in vain by now.
    network.faults = NO_FAULTS
    await world.run(world.nowMs + 60_000, () => false)
    const before = await traffic(fleet)
    await world.run(world.nowMs + QUIET_MS, () => false)
    const after = await traffic(fleet)
    const rate = (value: number): number =>
      Math.round((value / count / (QUIET_MS / 1_000)) * 10) / 10
    report('R9 (memory)', {
      nodes: count,
      events,
      'healed simulated ms': healed.join(' '),
      'quiet requests/s a node': rate(after.requests - before.requests),
      'bytes/s a node': rate(after.bytes - before.bytes)
    })
    expect(after.fetches).toBe(before.fetches)
  },
  1_200_000
)
