/** One thing that fails does not take others with it: closing, forgetting, adopting; and no claim is believed early. */

import { join } from 'node:path'
import { expect, test } from 'vitest'

import {
  decodeDeltaRequest,
  encodeDeltaAnswer,
  encodeDeltaRequest
} from '../../protocols/delta/codec.ts'
import type { DeltaAnswer, DeltaRequest } from '../../protocols/delta/codec.ts'
import { isRejected } from '../../protocols/rejected.ts'
import { toWireHeads, versionDigest } from '../../src/core/version.ts'
import { NodeDatabase } from '../../src/node/database.ts'
import { RELIST_MS } from '../../src/node/limits.ts'
import { createSigner, systemHasher } from '../../src/node/system.ts'
import { lockDirectory } from '../../src/store/directory-lock.ts'
import { ManualClock } from '../fixtures/manual-clock.ts'
import { temporaryDirectory } from '../fixtures/nodes.ts'
import { memoryStores, settled, startScripted } from '../fixtures/scripted-node.ts'
import { responderOf } from '../property/forest.ts'

const KEY = createSigner(new Uint8Array(32).fill(3)).publicKey

function asked(frame: Uint8Array): DeltaRequest {
  const request = decodeDeltaRequest(frame)
  if (isRejected(request)) throw new Error(request.detail)
  return request
}

function digests(...names: readonly string[]): Uint8Array {
  const answer: DeltaAnswer = {
    type: 'compared',
    digests: names.map((database) => ({ database, digest: new Uint8Array(32).fill(1) }))
  }
  return encodeDeltaAnswer(answer)
}

async function madeDatabase(
  node: Awaited<ReturnType<typeof startScripted>>['node'],
  name: string
): Promise<NodeDatabase> {
  const { database } = await node.createDatabase(name)
  if (!(database instanceof NodeDatabase)) throw new Error('a database of the node')
  return database
}

test('a node that fails to close a part of itself is told of, and leaves its directory unlocked', async () => {
  const location = join(await temporaryDirectory(), 'node')
  const broken = new Error('the network would not close')
  for (const closing of [
    () => Promise.reject(broken),
    () => {
      throw broken
    }
  ]) {
    const lock = await lockDirectory(location)
    const { node, transport } = await startScripted({ unlock: () => lock.release() })
    transport.closing = closing
    await expect(node.close()).rejects.toBe(broken)
    await (await lockDirectory(location)).release()
  }
})

test('a store that fails to close does not keep the other databases open', async () => {
  const closed: string[] = []
  const stores = memoryStores(KEY)
  const { node } = await startScripted({
    stores: {
      ...stores,
      open: async (name, create) => {
        const store = await stores.open(name, create)
        const close = async (): Promise<void> => {
          closed.push(name)
          if (name === 'b') throw new Error('b would not close')
        }
        return Object.assign(store, { close })
      }
    }
  })
  for (const name of ['a', 'b', 'c']) await node.createDatabase(name)
  await expect(node.close()).rejects.toThrow('b would not close')
  expect(closed.toSorted()).toEqual(['a', 'b', 'c'])
})

test('a database whose forgetting cannot be noted stays, and can be written', async () => {
  const values = new Map<string, unknown>()
  let full = false
  const { node } = await startScripted({
    nodeStore: {
      get: async (name) => values.get(name),
      put: async (name, value) => {
        if (full) throw new Error('no space')
        values.set(name, value)
      },
      close: async () => undefined
    }
  })
  await node.createDatabase('yard')
  full = true
  await expect(node.forgetDatabase('yard')).rejects.toThrow('no space')
  expect(node.databases()).toEqual(['yard'])
  await node.database('yard').append({ data: 1 })
  full = false
  await node.forgetDatabase('yard')
  expect(node.databases()).toEqual([])
})

test('a list that was written although its write failed is written again as it counts', async () => {
  const values = new Map<string, unknown>()
  const clock = new ManualClock()
  const stores = memoryStores(KEY)
  const opened: string[] = []
  let fails = false
  const { node } = await startScripted({
    clock,
    stores: {
      ...stores,
      open: (name, create) => {
        opened.push(name)
        return stores.open(name, create)
      }
    },
    nodeStore: {
      get: async (name) => values.get(name),
      put: async (name, value) => {
        values.set(name, value)
        if (fails) throw new Error('the disk does not answer')
      },
      close: async () => undefined
    }
  })
  await node.createDatabase('yard')
  fails = true
  await expect(node.forgetDatabase('yard')).rejects.toThrow('does not answer')
  await expect(node.createDatabase('depot')).rejects.toThrow('does not answer')
  expect(values.get('databases')).toEqual({ yard: 'open', depot: 'open' })
  await clock.pass(RELIST_MS)
  fails = false
  await clock.pass(RELIST_MS)
  expect(values.get('databases')).toEqual({ yard: 'open' })
  expect(node.databases()).toEqual(['yard'])
  // The store that was made and could not be listed is not made a second time.
  expect((await node.createDatabase('depot')).created).toBe(true)
  expect(opened).toEqual(['yard', 'depot'])
})

test('a database whose files cannot be deleted is forgotten, and is made anew without them', async () => {
  const stores = memoryStores(KEY)
  let stuck = false
  const removed: string[] = []
  const { node, transport } = await startScripted({
    stores: {
      ...stores,
      remove: async (name) => {
        if (stuck) throw new Error('the files are in use')
        removed.push(name)
      }
    }
  })
  await (await madeDatabase(node, 'yard')).append({ data: 'old' })
  stuck = true
  await expect(node.forgetDatabase('yard')).rejects.toThrow('the files are in use')
  expect(node.databases()).toEqual([])
  transport.script = async () => digests('yard')
  transport.connect('peer')
  await settled()
  expect(node.databases()).toEqual([])
  await expect(node.createDatabase('yard')).rejects.toThrow('the files are in use')
  stuck = false
  expect(removed).toEqual([])
  const { created, database } = await node.createDatabase('yard')
  expect([created, (await database.status()).events, removed]).toEqual([true, 0, ['yard']])
})

test('a database that cannot be adopted does not keep the others from being compared', async () => {
  const stores = memoryStores(KEY)
  const { node, transport } = await startScripted({
    stores: {
      ...stores,
      open: async (name, create) => {
        if (name === 'bad') throw new Error('no file descriptors left')
        return stores.open(name, create)
      }
    }
  })
  const fetched: string[] = []
  transport.script = async (_peer, frame) => {
    const request = asked(frame)
    if (request.type === 'compare') return digests('bad', 'good')
    fetched.push(request.database)
    return encodeDeltaAnswer({ type: 'refused', reason: 'busy' })
  }
  transport.connect('peer')
  await settled()
  expect(fetched).toEqual(['good'])
  expect(node.databases()).toEqual(['good'])
  expect((await node.status()).warnings.join()).toContain('database bad of a peer cannot be opened')
})

test('a peer that asks for a page in the middle of its fetch is not called equal on what it claims', async () => {
  const { node, transport } = await startScripted()
  const yard = await madeDatabase(node, 'yard')
  await yard.append({ data: 1 })
  transport.connect('peer')
  const request = { type: 'page', database: 'yard', bytesMax: 1_000, places: [] } as const
  const claim = encodeDeltaRequest({ ...request, heads: toWireHeads(yard.version()) })
  await transport.handlers.requested('peer', claim)
  await settled()
  expect(node.peers()).toMatchObject([{ equal: [], unequal: ['yard'] }])
  const digest = versionDigest(yard.version(), systemHasher)
  const word = encodeDeltaRequest({ type: 'compare', digests: [{ database: 'yard', digest }] })
  await transport.handlers.requested('peer', word)
  await settled()
  expect(node.peers()).toMatchObject([{ equal: ['yard'], unequal: [] }])
})

test('a peer is not called equal before the last page of it is stored', async () => {
  const other = await madeDatabase((await startScripted()).node, 'yard')
  for (let commit = 0; commit < 3; commit += 1) await other.append({ data: 'x'.repeat(200_000) })
  const { node, transport } = await startScripted()
  const responder = responderOf(other)
  const equalAtPage: number[] = []
  transport.script = async (_peer, frame) => {
    const request = asked(frame)
    if (request.type === 'page') equalAtPage.push(node.peers()[0]?.equal.length ?? 0)
    // A commit at a time.
    const small = request.type === 'page' ? encodeDeltaRequest({ ...request, bytesMax: 1 }) : frame
    return (await responder.answer('self', small)).frame
  }
  transport.connect('peer')
  while (node.peers()[0]?.equal.length !== 1) await settled()
  expect(equalAtPage).toEqual([0, 0, 0])
})
