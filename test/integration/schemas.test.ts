/** Schemas between real nodes: they replicate, and are enforced by those who trust their authors. */

import { expect, test } from 'vitest'

import { createLaterbase } from '../../src/index.ts'
import type { Laterbase, LaterbaseOptions } from '../../src/index.ts'
import {
  connect,
  startNetwork,
  startNode,
  temporaryDirectory,
  until,
  untilEqual
} from '../fixtures/nodes.ts'

const QTY = { type: 'object', required: ['qty'], properties: { qty: { type: 'integer' } } }
const BAD = { type: 'received', data: { qty: 'many' } } as const

async function pair(
  options: Parameters<typeof startNetwork>[1] = {}
): Promise<[Laterbase, Laterbase]> {
  const [one, other] = await startNetwork(2, options)
  if (one === undefined || other === undefined) throw new Error('two nodes are started')
  await one.createDatabase('yard')
  await connect(one, other)
  await until(() => other.databases().includes('yard'))
  return [one, other]
}

test('a schema that is put on one node is enforced on another that trusts it, until it is removed', async () => {
  const [one, other] = await pair({ trust: 'members' })
  await one.database('yard').schemas.put('received', QTY)
  await untilEqual([one, other], 'yard')
  await expect(other.database('yard').append([BAD])).rejects.toMatchObject({
    code: 'LATERBASE_EVENT_INVALID',
    problems: [{ pointer: '/0/data/qty' }]
  })
  const [known] = await other.database('yard').schemas.list()
  expect(known).toMatchObject({ type: 'received', state: 'enforced', authors: [one.peerId] })
  // Whoever defines it last, everywhere.
  await other.database('yard').schemas.remove('received')
  await untilEqual([one, other], 'yard')
  await one.database('yard').append(BAD)
})

test('a schema of a node that is not trusted is shown, and refuses nothing', async () => {
  const [one, other] = await pair()
  await one.database('yard').schemas.put('received', QTY)
  await untilEqual([one, other], 'yard')
  const { schemas } = other.database('yard')
  await other.database('yard').append(BAD)
  expect(await schemas.list()).toMatchObject([{ state: 'untrusted', authors: [one.peerId] }])
  await expect(one.database('yard').append(BAD)).rejects.toMatchObject({
    code: 'LATERBASE_EVENT_INVALID'
  })
  // What the other wrote comes here all the same, and is labelled.
  await untilEqual([one, other], 'yard')
  const labels: string[][] = []
  for await (const event of one.database('yard').range({ from: '2000-01-01T00:00:00Z' })) {
    labels.push(event.schemaProblems.map(({ pointer }) => pointer))
  }
  expect(labels).toEqual([['/data/qty']])
})

test('schemas are there after a restart, before anything was read', async () => {
  const dir = await temporaryDirectory()
  const first = await startNode({ dir })
  const { database } = await first.createDatabase('yard')
  await database.append(BAD)
  await database.schemas.put('received', QTY)
  await first.close()
  const again = await startNode({ dir })
  await expect(again.database('yard').append(BAD)).rejects.toMatchObject({
    code: 'LATERBASE_EVENT_INVALID'
  })
  await again.close()
  const third = await startNode({ dir })
  const page = await third.database('yard').changesPage()
  expect(page.changes.map(({ event }) => event.schemaProblems.length)).toEqual([1, 0])
})

test('views see old events in the shape that upcasters give them, and reads as they were written', async () => {
  const upcasters = {
    yard: [
      {
        type: 'received',
        to: 'v2',
        data: (old: unknown) => ({ pieces: (old as { readonly qty: number }).qty })
      }
    ]
  }
  const node = await startNode({ upcasters })
  const { database } = await node.createDatabase('yard')
  await database.append([
    { type: 'received', data: { qty: 3 } },
    { type: 'received', schema: 'v2', data: { pieces: 4 } }
  ])
  const view = await database.views.define({
    name: 'pieces',
    map: (event, emit) => emit(event.schema ?? null, (event.data as { pieces: number }).pieces),
    reduce: '_sum'
  })
  const { rows } = await view.query({ group: true })
  expect(rows).toEqual([{ key: 'v2', value: 7 }])
  const { changes } = await database.changesPage()
  expect(changes.map(({ event }) => event.data)).toEqual([{ qty: 3 }, { pieces: 4 }])
})

test('whom a node trusts is a list of peer ids, or all members', async () => {
  const dir = await temporaryDirectory()
  for (const trust of ['all', [1]] as unknown as LaterbaseOptions['trust'][]) {
    const options = { dir, ...(trust !== undefined && { trust }) }
    await expect(createLaterbase(options)).rejects.toMatchObject({
      code: 'LATERBASE_OPTION_INVALID'
    })
  }
})
