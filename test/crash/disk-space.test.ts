/**
 * A disk that is full, and has space again: the node refuses writes meanwhile, takes them again
 * without a restart, and a power cut afterwards takes nothing that it acknowledged, before or after.
 */

import { writeFileSync } from 'node:fs'

import { assert, beforeAll, describe, test } from 'vitest'

import { createPrng } from '../../scripts/simulate/prng.ts'
import { buildCli } from '../fixtures/build.ts'
import { CrashSite } from './crash-site.ts'
import { buildShim } from './disk-shim.ts'

const shim = await buildShim()
/** Refusals after which there is space again. */
const REFUSALS = 5
/** Writes of 100 kB by which the disk is full: those that fill the 16 MiB write buffer, and more. */
const WRITES_MAX = 500
/** Writes that are acknowledged then, before the power is cut. */
const MORE = 20
/** Views that are built once writes are taken again. */
const BUILDS = 3
/** Refusals, one each 50 ms, after which nobody waits any longer: 10 s. */
const PATIENCE = 200

describe.skipIf(shim === undefined)('a full disk', () => {
  const library = String(shim)

  beforeAll(async () => {
    await buildCli()
  }, 180_000)

  test.each([
    { what: 'the log', at: 30, only: 'depot/000003.log' },
    { what: 'the next log', at: 1, only: 'depot/000004.log' },
    { what: 'a table', at: 10, only: '.ldb' }
  ])('that refuses $what takes writes again once it has space', async ({ at, only }) => {
    await using site = await CrashSite.open(library)
    let [before, refused, after] = [0, 0, 0]
    await site.live({
      load: 'stubborn',
      fault: { action: 'full', at, only },
      hear: (word) => {
        if (word.type === 'acknowledged' && refused < REFUSALS) before += 1
        if (word.type === 'acknowledged' && refused >= REFUSALS) after += 1
        if (word.type === 'refused') {
          refused += 1
          // At once, so that none that is refused later counts as having had space.
          if (refused === REFUSALS) writeFileSync(String(site.place.space), '')
        }
        const isOver = after >= MORE || before > WRITES_MAX || refused > REFUSALS + PATIENCE
        return isOver ? 'enough' : 'go on'
      }
    })
    assert.isAtLeast(refused, REFUSALS, 'the disk was full')
    assert.isAtLeast(after, MORE, 'writes are taken again')
    await site.cutPower('all-lost', createPrng(1))
    const { faults } = await site.compare()
    assert.deepEqual(faults, [])
  })

  test('that fills while a thread reads for views takes writes again, and views have them', async () => {
    await using site = await CrashSite.open(library)
    let [refused, after] = [0, 0]
    /** Before the disk was full, and after it had space again. */
    const threads = [0, 0]
    const built: { readonly rows: number; readonly atLeast: number }[] = []
    await site.live({
      load: 'stubborn-viewed',
      fault: { action: 'full', at: 1_200, only: 'depot/000003.log' },
      hear: (word) => {
        if (word.type === 'refused') {
          refused += 1
          if (refused === REFUSALS) writeFileSync(String(site.place.space), '')
        }
        if (word.type === 'acknowledged' && refused >= REFUSALS) after += 1
        if (word.type === 'built') {
          const isAfter = after > 0
          threads[Number(isAfter)] = (threads[Number(isAfter)] ?? 0) + word.threads
          if (isAfter) built.push(word)
        }
        return built.length >= BUILDS || refused > REFUSALS + PATIENCE ? 'enough' : 'go on'
      }
    })
    assert.isAtLeast(refused, REFUSALS, 'the disk was full')
    assert.equal(built.length, BUILDS)
    for (const { rows, atLeast } of built) assert.isAtLeast(rows, atLeast)
    for (const count of threads) assert.isAtLeast(count, 1, 'a thread has read')
    await site.cutPower('all-lost', createPrng(1))
    const { faults } = await site.compare()
    assert.deepEqual(faults, [])
  }, 120_000)
})
