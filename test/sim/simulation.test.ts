/**
 * Seeded simulation of whole nodes. `SEED=17 npm run sim` replays one seed, `SETTINGS` as JSON makes
 * it like another; `SEEDS=20000 FIRST_SEED=1 SIM_SECONDS=1200` says how many fresh ones and how long.
 * Seeds that once failed are in `seeds.json` and always run.
 */

import { execFileSync } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { expect, test } from 'vitest'

import { formatLine } from '../../scripts/simulate/deterministic/run.ts'
import type { Settings } from '../../scripts/simulate/deterministic/settings.ts'
import type { SimReport } from '../../scripts/simulate/deterministic/simulate.ts'
import { loadSimulator } from './load-simulator.ts'

const ONE = process.env['SEED']
const SETTINGS = JSON.parse(process.env['SETTINGS'] ?? '{}') as Partial<Settings>
const FRESH = Number(process.env['SEEDS'] ?? 150)
const FIRST = Number(process.env['FIRST_SEED'] ?? 1)
const SECONDS_MAX = Number(process.env['SIM_SECONDS'] ?? 1_200)
/** Real time spent on making a failure smaller, ms; 0 for none. */
const SHRINK_MS = Number(process.env['SHRINK_MS'] ?? 20_000)
const { Violation, describeViolation, shrink, simulateSeed } = await loadSimulator(
  process.env['PLANTED_BUG']
)
/** Every so many seeds, one is run twice. */
const TWICE_EVERY = 100

test.skipIf(ONE === undefined)('the seed that was asked for', async () => {
  const tell = (line: Parameters<typeof formatLine>[0]): void => {
    process.stdout.write(`${formatLine(line)}\n`)
  }
  console.log(await simulateSeed(Number(ONE), { settings: SETTINGS, tell }))
})

test.skipIf(ONE !== undefined)(
  'whatever happens to boxes, links, disks and clocks, all become equal and nothing is lost',
  async () => {
    const startMs = performance.now()
    let ran = 0
    while (ran < FRESH && performance.now() - startMs < SECONDS_MAX * 1_000) {
      const seed = FIRST + ran
      const report = await simulate(seed)
      if (seed % TWICE_EVERY === 0) expect(await simulate(seed)).toEqual(report)
      ran += 1
    }
    const seconds = (performance.now() - startMs) / 1_000
    console.log(`${ran} seeds from ${FIRST} on in ${seconds.toFixed(1)} s`)
    expect(ran).toBeGreaterThan(0)
  },
  (SECONDS_MAX + 120) * 1_000
)

test.skipIf(ONE !== undefined)('seeds that once failed hold', async () => {
  const text = await readFile(new URL('seeds.json', import.meta.url), 'utf8')
  for (const seed of JSON.parse(text) as number[]) await simulate(seed)
})

async function simulate(seed: number): Promise<SimReport> {
  try {
    return await simulateSeed(seed, { settings: SETTINGS })
  } catch (error) {
    if (!(error instanceof Violation)) throw error
    const budget = { withinMs: SHRINK_MS, nowMs: () => performance.now() }
    const smallest = await shrink(seed, error, budget)
    throw new Error(describeViolation(smallest, { commit: commitName(), seed }), { cause: error })
  }
}

function commitName(): string {
  try {
    return execFileSync('git', ['rev-parse', 'HEAD'], { encoding: 'utf8' }).trim()
  } catch {
    return 'unknown'
  }
}
