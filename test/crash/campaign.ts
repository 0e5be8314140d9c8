/**
 * Cycles of a busy node that dies and is started again, by a seed. When it dies is a call on its disk:
 * any, or one of those that start, rotate, flush and merge.
 *
 * Threads race, so a seed gives the same faults and not the same history; a failure prints both.
 */

import { assert } from 'vitest'

import { createPrng } from '../../scripts/simulate/prng.ts'
import type { Prng } from '../../scripts/simulate/prng.ts'
import { CrashSite } from './crash-site.ts'
import type { Fault } from './disk-shim.ts'
import type { NamePromise } from './journal.ts'
import { CUT_KINDS } from './power-cut.ts'

/** Cycles that are part of every run of the tests; a campaign asks for more by CRASH_CYCLES. */
const CYCLES_DEFAULT = 2
/** Each cycle takes some seconds, ms. */
export const CYCLE_MS_MAX = 30_000

export const CYCLES = Number(process.env['CRASH_CYCLES'] ?? CYCLES_DEFAULT)
const FIRST_SEED = Number(process.env['CRASH_SEED'] ?? 1)
/** Starts of one directory, before another begins with an empty one. */
const CYCLES_PER_SITE = 4

export interface CampaignSummary {
  readonly cycles: number
  /** Lives that ended at the call that was meant, not when there was nothing more to do. */
  readonly killed: number
  readonly acknowledgements: number
  readonly events: number
  readonly readyMsMax: number
  /** What power cuts took away. */
  readonly losses: number
}

/** @param power whether the power is cut too, by which promise of names; undefined: it stays on */
export async function runCampaign(
  library: string,
  power: NamePromise | undefined
): Promise<CampaignSummary> {
  let summary = { cycles: 0, killed: 0, acknowledgements: 0, events: 0, readyMsMax: 0, losses: 0 }
  for (let seed = FIRST_SEED; summary.cycles < CYCLES; seed += 1) {
    await using site = await CrashSite.open(library)
    const prng = createPrng(seed)
    let events = 0
    for (let turn = 0; turn < CYCLES_PER_SITE; turn += 1) {
      const cycle = await runCycle(site, prng, power)
      const told = `seed ${seed}, cycle ${turn + 1}: ${cycle.story.join('; ')}`
      assert.deepEqual(cycle.faults.slice(0, FAULTS_SHOWN), [], told)
      events = cycle.events
      summary = {
        ...summary,
        cycles: summary.cycles + 1,
        killed: summary.killed + cycle.killed,
        readyMsMax: Math.max(summary.readyMsMax, Math.round(cycle.readyMs)),
        losses: summary.losses + cycle.losses
      }
    }
    summary.events += events
    summary.acknowledgements += site.history.acknowledgements
  }
  return summary
}

interface Cycle {
  readonly faults: readonly string[]
  /** What happened, in words. */
  readonly story: readonly string[]
  readonly events: number
  readonly readyMs: number
  readonly killed: number
  readonly losses: number
}

async function runCycle(
  site: CrashSite,
  prng: Prng,
  power: NamePromise | undefined
): Promise<Cycle> {
  const story: string[] = []
  let [killed, losses] = [0, 0]
  // Now and then it dies again on its way up, before anybody has looked.
  for (let lives = prng.fraction() < RELAPSES ? 2 : 1; lives > 0; lives -= 1) {
    const fault =
      lives === 1 ? chooseKill(prng) : { action: 'kill' as const, at: within(prng, 250) }
    await site.live({ load: 'busy', fault })
    const journal = await site.journal()
    if (journal.fault !== undefined) killed += 1
    const { at, only = '' } = fault
    story.push(`kill at ${at} ${only} = ${journal.fault?.name ?? 'the end'} ${journal.fault?.path}`)
    if (power === undefined) await site.keepAll()
    else {
      const lost = await site.cutPower(prng.pick(CUT_KINDS) ?? 'torn', prng, power)
      losses += lost.length
      story.push(...lost)
    }
  }
  const { events, readyMs, faults } = await site.compare()
  const refused = site.history.refusals.map((reason) => `refused for no reason: ${reason}`)
  return { faults: [...refused, ...faults], story, events, readyMs, killed, losses }
}

/** Calls of a busy life: about 150 to start, 2,400 on the log, 40,000 on tables, 10 on manifests. */
function chooseKill(prng: Prng): Fault {
  const action = 'kill'
  const chance = prng.fraction()
  if (chance < 0.15) return { action, at: within(prng, 250) }
  if (chance < 0.4) return { action, at: within(prng, 40_000) }
  if (chance < 0.65) return { action, at: within(prng, 8_000), only: '.ldb' }
  if (chance < 0.8) return { action, at: prng.integer(1, 2_400), only: '.log' }
  if (chance < 0.95) return { action, at: prng.integer(1, 12), only: 'MANIFEST' }
  return { action, at: prng.integer(1, 12), only: prng.pick(['.dbtmp', 'CURRENT']) ?? '' }
}

/** As many small ones as large ones. */
function within(prng: Prng, max: number): number {
  return Math.ceil(max ** prng.fraction())
}

const RELAPSES = 0.3
/** Thousands of events may be lost by one fault. */
const FAULTS_SHOWN = 20
