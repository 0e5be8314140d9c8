/** Members whose answers are silence, lies or rubbish: honest nodes become equal beside them. */

import { randomBytes } from 'node:crypto'
import { expect, test } from 'vitest'

import { encodeAnnouncement } from '../../protocols/announce/codec.ts'
import { encodeDeltaRequest } from '../../protocols/delta/codec.ts'
import type { DeltaAnswer } from '../../protocols/delta/codec.ts'
import { VERSION_HEADS_MAX, VIEWS_MAX } from '../../protocols/limits.ts'
import { emptyPage, incessantly, strangeDigests } from '../../scripts/hostile/members.ts'
import { NodeDatabase } from '../../src/node/database.ts'
import { systemHasher } from '../../src/node/system.ts'
import { definitionOf } from '../../src/node/view-comparison.ts'
import {
  SCALE,
  YARD,
  honestPair,
  inventedCommit,
  rogueBeside,
  serving
} from '../fixtures/hostile.ts'
import { until } from '../fixtures/nodes.ts'

const COMMITS = 10 * SCALE

test('a member that never answers delays nobody', async () => {
  const honest = await honestPair()
  await rogueBeside(honest, () => undefined)
  await honest.converge(COMMITS)
  honest.checkUnharmed()
})

test('a member whose digests always differ, and that has nothing, is not asked without end', async () => {
  const honest = await honestPair()
  const rogue = await rogueBeside(honest, ({ type }) =>
    type === 'compare' ? strangeDigests(YARD) : emptyPage(true)
  )
  const peers = rogue.transport.peers().map(({ peer }) => peer)
  const claims = incessantly(async () => {
    const frame = encodeDeltaRequest({
      type: 'compare',
      digests: [{ database: YARD, digest: randomBytes(32) }]
    })
    const signal = AbortSignal.timeout(5_000)
    await Promise.allSettled(peers.map((peer) => rogue.transport.request(peer, frame, { signal })))
    claimed += 1
  })
  let claimed = 0
  await until(() => claimed > 200 * SCALE)
  await honest.converge(COMMITS)
  await claims.stop()
  expect(rogue.asked.page).toBeLessThan(claimed / 2)
  honest.checkUnharmed()
})

test('a member whose pages are never complete is not asked for the next one without end', async () => {
  const honest = await honestPair()
  const rogue = await rogueBeside(honest, ({ type }) =>
    type === 'compare' ? strangeDigests(YARD) : emptyPage(false)
  )
  await until(() => rogue.asked.page > 0)
  await honest.converge(COMMITS)
  expect(rogue.asked.page).toBeLessThan(200)
  honest.checkUnharmed()
})

test('a member that claims as many heads as a version may have is believed none of them', async () => {
  const honest = await honestPair()
  const rogue = await rogueBeside(honest, ({ type }) => {
    if (type === 'compare') return strangeDigests(YARD)
    const noise = randomBytes(VERSION_HEADS_MAX * 32)
    const heads = Array.from({ length: VERSION_HEADS_MAX }, (_, index) => {
      const hash = noise.subarray(index * 32, index * 32 + 32)
      return { log: hash.subarray(0, 16), seq: 1_000_000, hash }
    })
    return { ...emptyPage(true), heads }
  })
  await until(() => rogue.asked.page > 1)
  await honest.converge(COMMITS)
  honest.checkUnharmed()
})

test('a member that serves a commit with a wrong signature is cut off by all, and said so', async () => {
  const honest = await honestPair()
  const forged = { ...inventedCommit({ seed: 9, data: 'forged' }), signature: new Uint8Array(64) }
  const rogue = await rogueBeside(honest, await serving([forged]))
  await until(() => rogue.left.length === honest.nodes.length)
  await honest.converge(COMMITS)
  expect(honest.lines.filter(({ message }) => message === 'peer cut off')).toHaveLength(2)
  for (const node of honest.nodes) {
    expect(node.peers().map(({ peer }) => peer)).not.toContain(rogue.transport.peerId)
    for await (const { data } of node.database(YARD).range()) expect(data).not.toBe('forged')
  }
  honest.checkUnharmed()
})

test('a member that claims other contents of views is named, and harms nobody', async () => {
  const honest = await honestPair()
  const definition = await currentView(honest)
  const rogue = await rogueBeside(honest, ({ type }) => {
    if (type === 'compare') return equalDigests(honest)
    if (type === 'page') return emptyPage(true)
    return { type: 'views', views: [{ definition, contents: randomBytes(16) }] }
  })
  await until(async () => {
    const all = await Promise.all(honest.nodes.map((node) => node.status()))
    return all.every(({ warnings }) => warnings.join().includes(rogue.transport.peerId))
  })
  // Twice for each state of a view, and no more.
  await honest.converge(COMMITS)
  expect(rogue.asked.views).toBe(2 * honest.nodes.length)
  honest.checkUnharmed()
})

test('a member whose answer about views is too long is cut off by all', async () => {
  const honest = await honestPair()
  const definition = await currentView(honest)
  const views = Array.from({ length: VIEWS_MAX + 1 }, () => {
    return { definition, contents: randomBytes(16) }
  })
  const rogue = await rogueBeside(honest, ({ type }) => {
    if (type === 'compare') return equalDigests(honest)
    return type === 'page' ? emptyPage(true) : { type: 'views', views }
  })
  await until(() => rogue.left.length === honest.nodes.length)
  for (const node of honest.nodes) {
    expect((await node.status()).warnings.join()).not.toContain('view')
  }
  honest.checkUnharmed()
})

test('a member that announces commits that do not exist is asked for a few of them only', async () => {
  const honest = await honestPair()
  const rogue = await rogueBeside(honest, ({ type }) =>
    type === 'compare' ? strangeDigests(YARD) : emptyPage(true)
  )
  let announced = 0
  const flood = incessantly(async () => {
    const message = encodeAnnouncement({
      log: randomBytes(16),
      firstSeq: 1,
      count: 1,
      hash: randomBytes(32),
      keys: [randomBytes(16)]
    })
    await rogue.transport.announce(YARD, message)
    announced += 1
  })
  await until(() => announced > 1_000 * SCALE)
  await honest.converge(COMMITS)
  await flood.stop()
  expect(rogue.asked.page).toBeLessThan(announced / 10)
  for (const node of honest.nodes) {
    const { logs } = await node.database(YARD).status()
    expect(logs.filter(({ held }) => held > 0)).toHaveLength(2)
    expect(logs.length).toBeLessThanOrEqual(2 + VERSION_HEADS_MAX)
  }
  honest.checkUnharmed()
})

/** A view on both that covers all they hold; what names it among nodes. */
async function currentView({ nodes }: Awaited<ReturnType<typeof honestPair>>): Promise<Uint8Array> {
  let hash = ''
  for (const node of nodes) {
    const view = await node.database(YARD).views.define({ name: 'all', map: () => undefined })
    await view.refresh()
    hash = (await view.info()).hash
  }
  return definitionOf(hash, systemHasher)
}

/** What one of them, who are equal, has. */
function equalDigests({ nodes }: Awaited<ReturnType<typeof honestPair>>): DeltaAnswer {
  const database = nodes[0]?.database(YARD)
  if (!(database instanceof NodeDatabase)) throw new Error('a database of a node')
  return { type: 'compared', digests: [{ database: YARD, digest: database.digestBytes() }] }
}
