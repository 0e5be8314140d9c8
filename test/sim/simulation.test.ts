/**
 * Seeded simulation of whole nodes. `SEED=17 npx vitest run test/sim` replays one seed; `SEEDS=20000`
 * runs that many fresh ones. Seeds that once failed are in `seeds.json` and always run.
 */

import { readFile } from 'node:fs/promises'
import { expect, test } from 'vitest'

import { simulateSeed } from './scenario.ts'

const ONE = process.env['SEED']
const FRESH = Number(process.env['SEEDS'] ?? 300)

test.skipIf(ONE === undefined)('the seed that was asked for', async () => {
  console.log(await simulateSeed(Number(ONE)))
})

test.skipIf(ONE !== undefined)(
  'whatever happens to boxes, links, disks and clocks, all become equal and nothing is lost',
  async () => {
    const start = Number(process.env['FIRST_SEED'] ?? 1)
    for (let seed = start; seed < start + FRESH; seed += 1) await simulateSeed(seed)
  },
  1_200_000
)

test.skipIf(ONE !== undefined)('seeds that once failed hold', async () => {
  const text = await readFile(new URL('seeds.json', import.meta.url), 'utf8')
  for (const seed of JSON.parse(text) as number[]) await simulateSeed(seed)
})

test.skipIf(ONE !== undefined)('one seed gives one trace', async () => {
  for (const seed of [7, 77, 123_456]) {
    const [once, again] = [await simulateSeed(seed), await simulateSeed(seed)]
    expect(again).toEqual(once)
  }
})
