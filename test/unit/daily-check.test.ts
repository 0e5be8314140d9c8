/** The checks that a node makes of its stores by itself: when, and of which. */

import { expect, test } from 'vitest'

import { createSigner } from '../../src/node/system.ts'
import { ManualClock } from '../fixtures/manual-clock.ts'
import { memoryStores, settled, startScripted } from '../fixtures/scripted-node.ts'

const DAY_MS = 86_400_000
const KEY = createSigner(new Uint8Array(32).fill(3)).publicKey

test('all that is stored is gone through once a day, each database at a time of its own', async () => {
  const clock = new ManualClock()
  const stores = memoryStores(KEY)
  const checks = new Map<string, number[]>([
    ['stock', []],
    ['yard', []]
  ])
  const { node } = await startScripted({
    clock,
    stores: {
      ...stores,
      open: async (name, create) => {
        const store = await stores.open(name, create)
        const check = store.check.bind(store)
        return Object.assign(store, {
          check: (options: object) => {
            checks.get(name)?.push(clock.monotonicMs())
            return check(options)
          }
        })
      }
    }
  })
  for (const name of checks.keys()) await node.createDatabase(name)
  await clock.pass(DAY_MS)
  await settled()
  expect([...checks.values()].map(({ length }) => length)).toEqual([1, 1])
  await clock.pass(9 * DAY_MS)
  for (const times of checks.values()) {
    expect(times).toHaveLength(10)
    for (const [index, atMs] of times.entries()) {
      expect(atMs - (times[index - 1] ?? atMs - DAY_MS)).toBeGreaterThanOrEqual(DAY_MS)
    }
  }
  const [[first], [second]] = [...checks.values()] as [number[], number[]]
  expect(first).not.toBe(second)
})
