/**
 * Every call of a short life of a node on its disk fails once: with an error, for lack of space, by
 * half of a write, by never coming back. Whichever it is, nothing is acknowledged that a restart after
 * a power cut does not have. CRASH_FAULTS_EACH says that every n-th call is tried; 1 is all of them.
 */

import { assert, beforeAll, describe, test } from 'vitest'

import { createPrng } from '../../scripts/simulate/prng.ts'
import { buildCli } from '../fixtures/build.ts'
import { CrashSite } from './crash-site.ts'
import { buildShim } from './disk-shim.ts'
import type { FaultAction } from './disk-shim.ts'
import { CUT_KINDS } from './power-cut.ts'
import type { Call } from './journal.ts'

const shim = await buildShim()
/** Which part of the cases is tried: each n-th, from the one that the seed says. */
const EACH = Number(process.env['CRASH_FAULTS_EACH'] ?? 120)
const OFFSET = Number(process.env['CRASH_SEED'] ?? 1)

/** Calls that a fault can happen to, as the shim counts them. */
const KINDS: Readonly<Record<Exclude<FaultAction, 'full' | 'kill'>, string>> = {
  eio: 'rwgu',
  enospc: 'wg',
  short: 'w',
  hang: 'rwgu'
}

describe.skipIf(shim === undefined)('a call on the disk fails', () => {
  const library = String(shim)

  beforeAll(async () => {
    await buildCli()
  }, 180_000)

  test('in the first life of a node', async () => {
    await using model = await CrashSite.open(library)
    await model.live({ load: 'short' })
    const { calls } = await model.journal()
    await failEach(library, calls, undefined)
  }, 1_200_000)

  test('in the life of a node that has events', async () => {
    await using model = await CrashSite.open(library)
    await model.live({ load: 'short' })
    await using next = await CrashSite.open(library, model)
    await next.live({ load: 'short' })
    const { calls } = await next.journal()
    await failEach(library, calls, model)
  }, 1_200_000)

  test.each([
    { call: 'opening', log: 'node/000003.log', at: 1 },
    { call: 'reading', log: 'node/000003.log', at: 2 },
    { call: 'opening', log: 'databases/depot/000003.log', at: 1 },
    { call: 'reading', log: 'databases/depot/000003.log', at: 2 }
  ])('$call $log at a start: LevelDB passes over it, the node does not', async ({ log, at }) => {
    await using model = await CrashSite.open(library)
    await model.live({ load: 'short' })
    await using site = await CrashSite.open(library, model)
    await site.live({ load: 'short', fault: { action: 'eio', at, only: log } })
    assert.equal((await site.journal()).fault?.path, log)
    assert.equal(site.history.acknowledgements, 6)
    await site.keepAll()
    assert.deepEqual(await site.compare().then(({ faults }) => faults), [])
  })
})

async function failEach(
  library: string,
  calls: readonly Call[],
  model: CrashSite | undefined
): Promise<void> {
  const cases = Object.entries(KINDS).flatMap(([action, kinds]) => {
    const count = calls.filter(({ kind }) => kinds.includes(kind)).length
    assert.isAtLeast(count, 10)
    return Array.from({ length: count }, (_each, at) => ({
      action: action as FaultAction,
      at: at + 1
    }))
  })
  const chosen = cases.filter((_case, at) => (at + OFFSET) % EACH === 0)
  const faults: string[] = []
  const count = chosen.length
  let hit = 0
  const tryNext = async (): Promise<void> => {
    for (let fault = chosen.shift(); fault !== undefined; fault = chosen.shift()) {
      await using site = await CrashSite.open(library, model)
      await site.live({ load: 'short', fault })
      const journal = await site.journal()
      if (journal.fault !== undefined) hit += 1
      const prng = createPrng(fault.at)
      const lost = await site.cutPower(prng.pick(CUT_KINDS) ?? 'torn', prng)
      const found = await site.compare()
      const at = `${fault.action} at ${fault.at} (${journal.fault?.name} ${journal.fault?.path})`
      for (const each of found.faults) faults.push(`${at}: ${each}; ${lost.join('; ')}`)
    }
  }
  await Promise.all([tryNext(), tryNext()])
  console.log('I/O errors:', JSON.stringify({ cases: count, hit }))
  assert.deepEqual(faults, [])
  // Threads race: in some lives there are a few calls fewer than in the one that was counted. Of a
  // handful of cases one may be such a one.
  assert.isAtLeast(hit, Math.floor(count * 0.8))
}
