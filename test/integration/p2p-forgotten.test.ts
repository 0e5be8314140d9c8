/** What libp2p keeps of peers: a member that makes up identities must not fill memory with them. */

import { test, vi } from 'vitest'

import type * as NodeModule from '../../src/p2p/libp2p-node.ts'
import { until } from '../fixtures/nodes.ts'
import { peer } from './p2p-harness.ts'

const nodes: NodeModule.Node[] = []
/** A short one, so that nobody waits. */
vi.mock('../../src/p2p/limits.ts', async (original) => ({
  ...(await original()),
  PEERS_SWEPT_MS: 50
}))
vi.mock('../../src/p2p/libp2p-node.ts', async (original) => {
  const module = await original<typeof NodeModule>()
  const createNode: typeof module.createNode = async (init) => {
    const node = await module.createNode(init)
    nodes.push(node)
    return node
  }
  return { ...module, createNode }
})

test('of peers that left nothing is kept, and one that comes again is met as before', async () => {
  await using a = await peer()
  const [node] = nodes
  const known = async (): Promise<number> => (await node?.peerStore.all())?.length ?? -1
  for (let identity = 0; identity < 5; identity += 1) {
    await using b = await peer()
    await b.transport.dial(a.address())
    await a.until(`connected ${b.id}`)
    await until(async () => (await known()) > 0)
  }
  await until(async () => (await known()) === 0)
  await using staying = await peer({ peers: [a.address()] })
  await a.until(`connected ${staying.id}`)
  await until(async () => (await known()) === 1)
})
