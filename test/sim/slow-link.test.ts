/** Links that are slow, and no worse: what one commit may hold passes them, in simulated time. */

import { expect, test } from 'vitest'

import { REQUEST_PACE } from '../../src/core/limits.ts'
import { COMMIT_BYTES_MAX } from '../../protocols/limits.ts'
import { Box } from '../../scripts/simulate/deterministic/box.ts'
import { Ledger } from '../../scripts/simulate/deterministic/ledger.ts'
import { SimNetwork } from '../../scripts/simulate/deterministic/network.ts'
import { World } from '../../scripts/simulate/deterministic/world.ts'

const EVENT_BYTES = 250_000

test('a commit of full size passes a link of 64 kbit/s in one go', async () => {
  const world = new World(1)
  const bytesPerSecond = 8_000
  const faults = { loss: 0, duplication: 0, gossipLoss: 1, delayMsMax: 20, slow: 0, bytesPerSecond }
  const network = new SimNetwork(world, new Ledger(), faults)
  const boxes = ['a', 'b'].map(
    (name) => new Box(network, { name, identity: name, wallMs: 0, antiEntropyMs: 5_000 })
  )
  const started = Promise.all(boxes.map((box) => box.start()))
  await world.run(1_000, () => false)
  await started
  const [from, to] = boxes.map((box) => box.node)
  if (from === undefined || to === undefined) throw new Error('both are up')
  const made = from.createDatabase('yard')
  await world.run(2_000, () => false)
  const { database } = await made
  const count = Math.floor(COMMIT_BYTES_MAX / (EVENT_BYTES + 100))
  const data = 'x'.repeat(EVENT_BYTES)
  const written = database.append(
    Array.from({ length: count }, (_, n) => ({ data, time: new Date(n).toISOString() }))
  )
  await world.run(3_000, () => false)
  await written
  const takesMs = ((count * EVENT_BYTES) / bytesPerSecond) * 1_000
  const digest = database.digest()
  const isEqual = (): boolean =>
    to.databases().includes('yard') && to.database('yard').digest() === digest
  // Time for one transfer and a bit, not for two.
  expect(await world.run(3_000 + takesMs * 1.2, isEqual)).toBe(true)
  expect(bytesPerSecond).toBeGreaterThan(REQUEST_PACE.bytesPerSecondMin)
})
