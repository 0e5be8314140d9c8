/**
 * The simulator is tested: each planted bug must be found within 2,000 seeds, by an invariant that
 * it breaks. `PLANTED_BUG=name npm run sim` looks at one.
 */

import { readFile } from 'node:fs/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'

import { PLANTED_BUGS } from './planted-bugs.ts'
import type { PlantedBug } from './planted-bugs.ts'
import { loadSimulator } from './load-simulator.ts'

const SEEDS_MAX = 2_000
const BUG_MS_MAX = 400_000
const ROOT = new URL('../../', import.meta.url)

/** Broken code breaks where nobody waits for it, too; here that is no news. */
const REJECTION = 'unhandledRejection'
const listeners = process.listeners(REJECTION)
beforeAll(() => {
  process.removeAllListeners(REJECTION).on(REJECTION, () => undefined)
})
afterAll(() => {
  process.removeAllListeners(REJECTION)
  for (const listener of listeners) process.on(REJECTION, listener)
})

test.each(PLANTED_BUGS)('$name can be planted', async (bug: PlantedBug) => {
  const { name, file, find, replace } = bug
  const text = await readFile(new URL(file, ROOT), 'utf8')
  expect(text.split(find).length - 1, `${file} has the text exactly once`).toBe(1)
  expect(replace).not.toBe(find)
  // A bug that does not even parse would be found by the hunt alone, which has not all of them.
  const planted = new URL(`${file}?bug=${name}`, ROOT)
  await expect(import(`${planted.pathname}${planted.search}`)).resolves.toBeDefined()
})

test('there are at least twelve, each with a name of its own', () => {
  const names = new Set(PLANTED_BUGS.map(({ name }) => name))
  expect(names.size).toBe(PLANTED_BUGS.length)
  expect(names.size).toBeGreaterThanOrEqual(12)
})

/** A few with every run of the tests, which stay quick; all of them with PLANTED=all. */
const HUNTED = PLANTED_BUGS.filter(
  (_, index) => process.env['PLANTED'] === 'all' || index % 6 === 0
)

test.each(HUNTED)(
  `the simulator finds $name within ${SEEDS_MAX} seeds`,
  async ({ name, caughtBy, from = 1 }: PlantedBug) => {
    const { simulateSeed, Violation } = await loadSimulator(name)
    const found = await firstFailure(simulateSeed, from)
    if (!(found instanceof Violation)) throw found ?? new Error(`not found in ${SEEDS_MAX} seeds`)
    console.log(`${name}: ${found.message.slice(0, 160)}`)
    expect(caughtBy).toContain(found.finding.invariant)
  },
  BUG_MS_MAX
)

async function firstFailure(
  simulate: (seed: number) => Promise<unknown>,
  from: number
): Promise<unknown> {
  for (let seed = from; seed < from + SEEDS_MAX; seed += 1) {
    try {
      await simulate(seed)
    } catch (error) {
      return error
    }
  }
  return undefined
}
