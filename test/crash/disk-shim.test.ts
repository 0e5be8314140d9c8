/**
 * The shim sees what the crash suites build on: without this, a suite that loses nothing might be
 * one that takes nothing away.
 */

import { assert, beforeAll, describe, test } from 'vitest'

import { createPrng } from '../../scripts/simulate/prng.ts'
import { buildCli } from '../fixtures/build.ts'
import { CrashSite } from './crash-site.ts'
import { buildShim } from './disk-shim.ts'

const shim = await buildShim()

describe.skipIf(shim === undefined)('the shim', () => {
  const library = String(shim)

  beforeAll(async () => {
    await buildCli()
  }, 180_000)

  test('sees what LevelDB and Node.js write, sync, rename and remove', async () => {
    await using site = await CrashSite.open(library)
    await site.live({ load: 'short' })
    const { calls, durable } = await site.journal()
    const names = calls.map(({ name, path }) => `${name} ${path}`)
    for (const expected of [
      'open databases/depot/000003.log',
      'write databases/depot/000003.log',
      'fdatasync databases/depot/000003.log',
      'fdatasync databases/depot/MANIFEST-000002',
      'fsync databases/depot',
      'rename databases/depot/000002.dbtmp',
      'unlink databases/depot/MANIFEST-000001',
      'read databases/depot/CURRENT',
      'mkdir databases/depot',
      'write stores.json.new',
      'fsync stores.json.new',
      'rename stores.json.new',
      'fsync .'
    ]) {
      assert.include(names, expected)
    }
    const sizes = [...durable.values()]
    assert.isTrue(sizes.some((size) => size > 1_000))
    assert.equal(site.history.acknowledgements, 6)
  })

  test('feels a node that does not sync: a power cut takes what it acknowledged', async () => {
    await using site = await CrashSite.open(library)
    await site.live({ load: 'short', withoutSync: true })
    assert.equal(site.history.acknowledgements, 6)
    await site.cutPower('all-lost', createPrng(1))
    const { faults } = await site.compare()
    assert.isTrue(faults.some((fault) => fault.startsWith('lost although acknowledged')))
  })

  test('a process killed without a power cut loses nothing that it did not sync', async () => {
    await using site = await CrashSite.open(library)
    await site.live({ load: 'short', withoutSync: true })
    await site.keepAll()
    const { faults, events } = await site.compare()
    assert.deepEqual(faults, [])
    assert.equal(events, 10)
  })
})
