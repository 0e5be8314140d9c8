/**
 * A node is killed, loses power, or meets a failing disk, at a call on the files of its views: while they are built,
 * brought up to date, swapped, removed. When it is back its views are those of its events, what was whole is not
 * built again, and nothing is left of what was not. CRASH_CYCLES says how often.
 */

import { assert, beforeAll, describe, test } from 'vitest'

import { createPrng } from '../../scripts/simulate/prng.ts'
import type { Prng } from '../../scripts/simulate/prng.ts'
import { buildCli } from '../fixtures/build.ts'
import { CYCLES as ALL_CYCLES, CYCLE_MS_MAX } from './campaign.ts'
import { CrashSite } from './crash-site.ts'
import { buildShim } from './disk-shim.ts'
import type { Fault, FaultAction } from './disk-shim.ts'
import type { Call } from './journal.ts'
import { CUT_KINDS } from './power-cut.ts'
import { VIEW_FILES } from './view-load.ts'
import type { StoredViews, Word } from './workload.ts'

const shim = await buildShim()
const FIRST_SEED = Number(process.env['CRASH_SEED'] ?? 1)
/** Of each of three kinds. */
const CYCLES = Math.ceil(ALL_CYCLES / 7)
/** A view whose disk has failed is opened anew after five seconds. */
const TEST_MS_MAX = 60_000 + 2 * CYCLES * CYCLE_MS_MAX
/** What a life does with its views, as `view-load.ts` calls it. */
const STEPS = ['build', 'replace', 'update', 'remove']

interface Kind {
  readonly name: string
  readonly actions: readonly FaultAction[]
  readonly cutsPower?: boolean
  readonly atOnce: number
  /** So that a few cycles of each kind are in different steps. */
  readonly firstStep: number
}

const FAILURES: readonly Kind[] = [
  { name: 'a kill', actions: ['kill'], atOnce: 2, firstStep: 0 },
  { name: 'a power cut', actions: ['kill'], cutsPower: true, atOnce: 2, firstStep: 3 },
  // These wait, most of the time, for what has failed to be opened anew.
  { name: 'an error', actions: ['eio', 'enospc', 'short'], atOnce: 4, firstStep: 1 }
]

/** Calls that a fault can happen to, as the shim counts them. */
const KINDS: Partial<Record<FaultAction, string>> = {
  kill: 'rwgu',
  eio: 'rwgu',
  enospc: 'wg',
  short: 'w'
}

describe.skipIf(shim === undefined)('views after', () => {
  const library = String(shim)
  let model: CrashSite
  let calls: readonly Call[]

  beforeAll(async () => {
    await buildCli()
    model = await CrashSite.open(library)
    await model.live({ load: 'stock' })
    await using whole = await CrashSite.open(library, model)
    await whole.live({ load: 'views' })
    calls = (await whole.journal()).calls.filter(({ path }) => path.includes(VIEW_FILES))
    return async () => model[Symbol.asyncDispose]()
  }, 240_000)

  /** Half of them at the sync of a batch: of a build, the swap to it, an update, a removal. */
  function chooseFault(prng: Prng, action: FaultAction, step: string): Fault {
    const kinds = KINDS[action] ?? ''
    const call = kinds.includes('g') && prng.fraction() < 0.5 ? 'fdatasync' : undefined
    const those = calls.filter(
      ({ kind, name }) => kinds.includes(kind) && (call === undefined || name === call)
    )
    const at = prng.pick(those.flatMap((one, index) => (one.step === step ? [index + 1] : [])))
    assert.isDefined(at, `there are calls to ${step}`)
    return { action, at: at ?? 0, only: VIEW_FILES, ...(call !== undefined && { call }) }
  }

  async function run({ name, actions, cutsPower, atOnce, firstStep }: Kind): Promise<void> {
    const hits: Record<string, number> = {}
    let [cycles, syncs, kept] = [0, 0, 0]
    const tryNext = async (): Promise<void> => {
      while (cycles < CYCLES) {
        const seed = FIRST_SEED + cycles
        cycles += 1
        const prng = createPrng(seed)
        const action = actions[seed % actions.length] ?? 'kill'
        const step = STEPS[(seed + firstStep) % STEPS.length] ?? ''
        const fault = chooseFault(prng, action, step)
        await using site = await CrashSite.open(library, model)
        await site.live({ load: 'views', fault })
        const { fault: met } = await site.journal()
        const hit = met?.step ?? 'nothing'
        hits[hit] = (hits[hit] ?? 0) + 1
        if (met?.name === 'fdatasync') syncs += 1
        const told = `seed ${seed}: ${action} at ${fault.at} (${hit}: ${met?.name} ${met?.path})`
        assert.deepEqual(site.history.refusals, [], told)
        if (cutsPower === true) await site.cutPower(prng.pick(CUT_KINDS) ?? 'torn', prng)
        else await site.keepAll()
        kept += await expectRight(site, told)
        assert.deepEqual((await site.compare()).faults, [], told)
      }
    }
    await Promise.all(Array.from({ length: atOnce }, tryNext))
    console.log(`views after ${name}:`, JSON.stringify({ cycles, hits, syncs, kept }))
    // Threads race: a life may have a few calls fewer than the one that was counted.
    assert.isAtMost(hits['nothing'] ?? 0, Math.floor(CYCLES * 0.2))
  }

  for (const kind of FAILURES) {
    const law = `${kind.name} at any call on their files are right, and nothing is left over`
    test(law, () => run(kind), TEST_MS_MAX)
  }
})

/** In two lives; resolves with the number of builds that were whole, and answered again. */
async function expectRight(site: CrashSite, told: string): Promise<number> {
  const seen: string[] = []
  const stored: StoredViews[] = []
  const hear = (word: Word): 'go on' => {
    if (word.type === 'stored') stored.push(word)
    if (word.type === 'refused') assert.fail(`${told}: ${word.reason}`)
    if (word.type !== 'viewed') return 'go on'
    assert.isTrue(word.isEqual, `${told}: view ${word.view} is what a fresh one is`)
    assert.isAtLeast(word.rows, 3, told)
    seen.push(word.view)
    return 'go on'
  }
  await site.live({ load: 'viewed', hear })
  await site.keepAll()
  assert.deepEqual(seen, ['numbers', 'chains', 'numbers', 'chains'], told)
  const [before, between, after] = stored
  if (before === undefined || between === undefined || after === undefined) assert.fail(told)
  const kept = Object.keys(before.named).filter(
    (name) => before.named[name] === between.named[name]
  )
  if ('chains' in before.named) assert.include(kept, 'chains', `${told}: it was whole`)
  assert.deepEqual(after.named, between.named, `${told}: what is whole is not built again`)
  // What that life replaced or gave up is gone with the next.
  assert.sameMembers([...after.builds], Object.values(after.named), told)
  return kept.length
}
