/**
 * Power cuts of a busy node, over and over: what was not synced is gone, torn, or there in part. The
 * node opens unaided every time and has lost nothing that it acknowledged. CRASH_CYCLES says how
 * often, CRASH_SEED from which seed on, CRASH_NAMES=strict takes POSIX by its letter (see journal.ts).
 */

import { assert, beforeAll, describe, test } from 'vitest'

import { createPrng } from '../../scripts/simulate/prng.ts'
import { openLevel } from '../../src/store/open-level.ts'
import { buildCli } from '../fixtures/build.ts'
import { CYCLES, CYCLE_MS_MAX, runCampaign } from './campaign.ts'
import { CrashSite } from './crash-site.ts'
import { buildShim } from './disk-shim.ts'

const shim = await buildShim()
/** No table is ever finished, so that all that is written is in log files. */
const NO_TABLE = { action: 'hang', at: 1, only: '.ldb' } as const
const promise = process.env['CRASH_NAMES'] === 'strict' ? 'strict' : 'with-file'

describe.skipIf(shim === undefined)('power cuts', () => {
  const library = String(shim)

  beforeAll(async () => {
    await buildCli()
  }, 180_000)

  test(
    'a node opens after every power cut, and has lost nothing that it acknowledged',
    async () => {
      const summary = await runCampaign(library, promise)
      console.log('power cuts:', JSON.stringify(summary))
      assert.isAtLeast(summary.killed, 1)
      assert.isAtLeast(summary.losses, 1)
      assert.isAtLeast(summary.acknowledgements, 1)
    },
    60_000 + CYCLES * CYCLE_MS_MAX
  )

  test('a log file that LevelDB leaves unsynced loses what a later synced one keeps', async () => {
    // The trap that every write of a store is synced for: a bare LevelDB falls into it.
    await using site = await CrashSite.open(library)
    await site.live({ load: 'rotation', fault: NO_TABLE, outlivesHang: true })
    assert.equal(site.history.acknowledgements, 1)
    await site.cutPower('all-lost', createPrng(1))
    const db = await openLevel(site.place.dir, false)
    const found = await db.getMany([Buffer.from('unsynced'), Buffer.from('synced')])
    await db.close()
    assert.deepEqual(found, [undefined, Buffer.from('1')])
  })

  test('a node that writes across the rotation of the log file loses nothing', async () => {
    await using site = await CrashSite.open(library)
    await site.live({ load: 'busy', fault: NO_TABLE, outlivesHang: true })
    assert.isAtLeast(site.history.acknowledgements, 20)
    const { calls } = await site.journal()
    const logs = new Set(calls.map(({ path }) => path).filter((path) => /depot.*\.log$/.test(path)))
    assert.equal(logs.size, 2)
    await site.cutPower('all-lost', createPrng(2))
    assert.deepEqual((await site.compare()).faults, [])
  })

  test('a log whose removal is undone is not replayed over what is newer', async () => {
    await using site = await CrashSite.open(library)
    await site.live({ load: 'busy' })
    const lost = await site.cutPower('all-lost', createPrng(3))
    assert.isTrue(lost.some((loss) => /^undone: removed .*depot.*\.log$/.test(loss)))
    assert.deepEqual((await site.compare()).faults, [])
  })
})
