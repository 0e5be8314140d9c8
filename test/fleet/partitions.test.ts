/**
 * Many nodes through partitions and churn over TCP, and through links that stall and break without
 * any gossip: all become equal within a bound, and are quiet then.
 */

import { setTimeout as pause } from 'node:timers/promises'
import { expect, test } from 'vitest'

import { LinkRouter, NO_FAULTS } from '../../scripts/fleet/link-router.ts'
import { createPrng } from '../../scripts/simulate/prng.ts'
import type { Prng } from '../../scripts/simulate/prng.ts'
import { scratch } from '../fixtures/cli.ts'
import { Crew } from './crew.ts'
import type { Traffic } from './crew.ts'
import { report, seeds, SIZES } from './sizes.ts'

const DATABASE = 'stock'
/** Events in one commit: a pallet's worth of scans. */
const BATCH = 10
/** From the end of a partition until all are equal, ms. */
const HEAL_MS_MAX = 120_000
/** How long it is looked whether all are quiet, ms. */
const QUIET_MS = 10_000
/** How often it is looked: what was compared or announced just before all were equal is still fetched for. */
const QUIET_LOOKS_MAX = 4

async function write(crew: Crew, prng: Prng, events: number): Promise<number> {
  let written = 0
  while (written < events) {
    const node = prng.pick(crew.nodes())
    if (node === undefined || !node.databases().includes(DATABASE)) {
      await pause(5)
      continue
    }
    const batch = Array.from({ length: BATCH }, (_, index) => ({
      data: { sscc: String(prng.integer(0, 1e9)), at: node.name, n: written + index }
    }))
    await node.database(DATABASE).append(batch)
    written += BATCH
  }
  return written
}

async function msUntilEqual(crew: Crew): Promise<number> {
  const startMs = performance.now()
  for (;;) {
    const digests = crew
      .nodes()
      .map((node) =>
        node.databases().includes(DATABASE) ? node.database(DATABASE).digest() : undefined
      )
    const tookMs = performance.now() - startMs
    if (digests[0] !== undefined && new Set(digests).size === 1) return tookMs
    if (tookMs > HEAL_MS_MAX) {
      const counts = await Promise.all(
        crew.nodes().map(async (node) => (await node.status()).databases[0]?.events ?? 0)
      )
      throw new Error(`not equal after ${HEAL_MS_MAX} ms: ${counts.join(' ')}`)
    }
    await pause(50)
  }
}

async function expectAll(crew: Crew, events: number): Promise<void> {
  for (const node of crew.nodes()) {
    expect((await node.database(DATABASE).status()).events).toBe(events)
    const warnings = (await node.status()).warnings.filter(
      (text) => !text.startsWith('static peer')
    )
    expect(warnings).toEqual([])
  }
}

async function churn(crew: Crew, prng: Prng, share: number): Promise<void> {
  const leaving = crew.names().filter(() => prng.fraction() < share)
  for (const name of leaving) await crew.stop(name)
  for (const name of leaving) await crew.restart(name)
}

interface Quiet {
  readonly before: Traffic
  readonly after: Traffic
  readonly looks: number
}

/** The first of some times in which nothing is announced or fetched; the last one where there is none. */
async function quietTraffic(crew: Crew): Promise<Quiet> {
  for (let looks = 1; ; looks += 1) {
    const before = await crew.traffic()
    await pause(QUIET_MS)
    const after = await crew.traffic()
    const { announcements, fetches } = after
    const isQuiet = announcements === before.announcements && fetches === before.fetches
    if (isQuiet || looks === QUIET_LOOKS_MAX) return { before, after, looks }
  }
}

test.skipIf(SIZES.partitionNodes === 0)(
  'many nodes are equal within a bound after partitions and churn over TCP, and then quiet',
  async () => {
    const [seed = 1] = seeds(1)
    const prng = createPrng(seed)
    await using dir = await scratch()
    await using router = await LinkRouter.start(seed)
    const { partitionNodes: count, partitionEvents } = SIZES
    await using crew = await Crew.start({ count, dir: dir.path, router, prng })
    await crew.nodes()[0]?.createDatabase(DATABASE)
    await msUntilEqual(crew)
    let events = 0
    const healed: number[] = []
    for (const groups of [2, 3, 5]) {
      crew.partition(groups)
      events += await write(crew, prng, partitionEvents / 6)
      await churn(crew, prng, 0.2)
      events += await write(crew, prng, partitionEvents / 6)
      router.healAll()
      healed.push(Math.round(await msUntilEqual(crew)))
    }
    await expectAll(crew, events)
    const { before, after, looks } = await quietTraffic(crew)
    const perSecond = (value: number): number =>
      Math.round((value / count / (QUIET_MS / 1_000)) * 10) / 10
    const requests = perSecond(after.requests - before.requests)
    const bytes = perSecond(after.bytes - before.bytes)
    report('R9 (TCP)', {
      nodes: count,
      events,
      'healed ms': healed.join(' '),
      'quiet after looks': looks,
      'quiet requests/s a node': requests,
      'bytes/s a node': bytes
    })
    expect(after.announcements).toBe(before.announcements)
    expect(after.fetches).toBe(before.fetches)
  },
  900_000
)

test('without gossip, over links that stall and break, nodes become equal all the same', async () => {
  const [seed = 1] = seeds(1)
  const prng = createPrng(seed)
  await using dir = await scratch()
  await using router = await LinkRouter.start(seed)
  const count = SIZES.partitionNodes === 0 ? 4 : 8
  const options = { gossip: false, antiEntropyMs: 1_000 }
  await using crew = await Crew.start({ count, dir: dir.path, router, prng, options })
  await crew.nodes()[0]?.createDatabase(DATABASE)
  await msUntilEqual(crew)
  router.faults = { delayMsMax: 20, stallShare: 0.05, stallMsMax: 400, breakShare: 0.003 }
  const events = await write(crew, prng, count * 50)
  const withFaultsMs = Math.round(await msUntilEqual(crew))
  await expectAll(crew, events)
  router.faults = NO_FAULTS
  expect((await crew.traffic()).announcements).toBe(0)
  report('R11', { nodes: count, events, 'equal ms, faults on': withFaultsMs })
}, 240_000)
