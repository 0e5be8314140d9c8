/** Members that sign what they like, without end: limits fill, and honest commits still pass. */

import { expect, test, vi } from 'vitest'

import type { Commit } from '../../src/core/commit.ts'
import {
  SCALE,
  YARD,
  honestPair,
  inventedCommit,
  rogueBeside,
  serving
} from '../fixtures/hostile.ts'
import { until } from '../fixtures/nodes.ts'

/** Small ones, so that a crowd is soon too large. */
const { LOGS_MAX, BRANCHES_MAX } = vi.hoisted(() => ({ LOGS_MAX: 60, BRANCHES_MAX: 8 }))
vi.mock('../../src/core/limits.ts', async (original) => ({ ...(await original()), LOGS_MAX }))
vi.mock('../../src/node/limits.ts', async (original) => ({ ...(await original()), BRANCHES_MAX }))

test('of a crowd of logs no more are taken than a database may have, and the honest ones go on', async () => {
  const honest = await honestPair()
  const crowd = Array.from({ length: 300 * SCALE }, (_, nonce) =>
    inventedCommit({ seed: 9, nonce, data: nonce })
  )
  await rogueBeside(honest, await serving(crowd))
  for (const node of honest.nodes) {
    await until(async () => (await node.status()).warnings.join().includes('takes no new ones'))
  }
  await honest.passOn(20)
  for (const node of honest.nodes) {
    const { logs } = await node.database(YARD).status()
    expect(logs.filter(({ held }) => held > 0)).toHaveLength(LOGS_MAX)
  }
  honest.checkUnharmed()
})

test('of a crowd of branches of one log no more are taken than are kept of it', async () => {
  const honest = await honestPair()
  const first = inventedCommit({ seed: 9, data: 'first' })
  const crowd: Commit[] = [first]
  for (let branch = 0; branch < 60 * SCALE; branch += 1) {
    const begin = inventedCommit({ seed: 9, after: first, data: branch })
    crowd.push(begin, inventedCommit({ seed: 9, after: begin, data: `on ${branch}` }))
  }
  await rogueBeside(honest, await serving(crowd))
  const branchesOf = async (node: (typeof honest.nodes)[number]): Promise<number> => {
    const { logs } = await node.database(YARD).status()
    return logs.filter(({ log, held }) => log === first.origin.id && held > 0).length
  }
  for (const node of honest.nodes)
    await until(async () => (await branchesOf(node)) === BRANCHES_MAX)
  await honest.passOn(20)
  for (const node of honest.nodes) expect(await branchesOf(node)).toBe(BRANCHES_MAX)
  honest.checkUnharmed()
})
