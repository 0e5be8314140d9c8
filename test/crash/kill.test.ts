/**
 * kill -9 of a busy node, over and over: nothing acknowledged is lost, nothing is there twice or was
 * never offered, and readers go on from their cursors. CRASH_CYCLES says how often, CRASH_SEED from
 * which seed on.
 */

import { assert, beforeAll, describe, test } from 'vitest'

import { buildCli } from '../fixtures/build.ts'
import { CYCLES, CYCLE_MS_MAX, runCampaign } from './campaign.ts'
import { buildShim } from './disk-shim.ts'

const shim = await buildShim()

describe.skipIf(shim === undefined)('kill -9', () => {
  beforeAll(async () => {
    await buildCli()
  }, 180_000)

  test(
    'a node that is killed at any call on its disk has lost nothing when it is back',
    async () => {
      const summary = await runCampaign(String(shim), undefined)
      console.log('kill -9:', JSON.stringify(summary))
      assert.isAtLeast(summary.killed, 1)
      assert.isAtLeast(summary.acknowledgements, 1)
    },
    60_000 + CYCLES * CYCLE_MS_MAX
  )
})
