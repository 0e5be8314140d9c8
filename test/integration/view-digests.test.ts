/** Real nodes that hold the same set have equal views of it, and warn of a view that has not. */

import { expect, test } from 'vitest'

import type { Laterbase } from '../../src/index.ts'
import type { NativeView } from '../../src/views/define-view.ts'
import { connect, startNetwork, until, untilEqual } from '../fixtures/nodes.ts'

const YARD = 'yard'

/** By weight of a pallet. */
const WEIGHTS: NativeView = {
  name: 'weights',
  map: (event, emit) => {
    const { pallet, kg } = event.data as { pallet: string; kg: number }
    emit(pallet, kg)
  },
  reduce: '_sum'
}

interface Fleet {
  readonly nodes: readonly [Laterbase, Laterbase]
  readonly warned: readonly string[]
}

/** Two nodes that are equal, each with what it has written. */
async function equalPair(): Promise<Fleet> {
  const warned: string[] = []
  const log = (level: string, message: string, fields: unknown = {}): void => {
    if (level === 'warn') warned.push(`${message} ${JSON.stringify(fields)}`)
  }
  const [a, b] = await startNetwork(2, { antiEntropyMs: 200, log })
  if (a === undefined || b === undefined) throw new Error('two nodes')
  await a.createDatabase(YARD)
  await connect(b, a)
  await untilEqual([a, b], YARD)
  for (const [at, node] of [a, b].entries()) await write(node, at)
  await untilEqual([a, b], YARD)
  return { nodes: [a, b], warned }
}

async function write(node: Laterbase, at: number): Promise<void> {
  const time = new Date(Date.UTC(2026, 0, 10 - at)).toISOString()
  await node.database(YARD).append([
    { time, data: { pallet: 'p1', kg: at + 0.1 } },
    { time, source: 'scale', id: 'once', data: { pallet: 'p2', kg: 7 } }
  ])
}

async function warnings(nodes: readonly Laterbase[]): Promise<readonly string[]> {
  const all = await Promise.all(nodes.map((node) => node.status()))
  return all.flatMap((status) => status.warnings)
}

/** Resolves when both have compared this state with each other, and asked each other what they then ask. */
async function comparedAgain(nodes: readonly Laterbase[]): Promise<void> {
  for (let round = 0; round < 3; round += 1) {
    const sent = await requestsAskedBy(nodes)
    await until(async () => {
      const now = await requestsAskedBy(nodes)
      return now.every((count, at) => count > (sent[at] ?? 0) + 1)
    })
  }
}

async function requestsAskedBy(nodes: readonly Laterbase[]): Promise<number[]> {
  const all = await Promise.all(nodes.map((node) => node.status()))
  return all.map(({ traffic }) => traffic.requestsAsked)
}

test('views of functions of events alone are equal on two nodes, and nobody warns', async () => {
  const { nodes, warned } = await equalPair()
  const answers = []
  for (const node of nodes) {
    const view = await node.database(YARD).views.define(WEIGHTS)
    answers.push(await view.query({ group: true }))
  }
  expect(answers[0]?.rows).toEqual(answers[1]?.rows)
  expect(answers[0]?.digest).toBe(answers[1]?.digest)
  await comparedAgain(nodes)
  await write(nodes[0], 5)
  await untilEqual(nodes, YARD)
  for (const node of nodes) await (await node.database(YARD).views.get('weights')).refresh()
  await comparedAgain(nodes)
  expect(await warnings(nodes)).toEqual([])
  expect(warned).toEqual([])
})

test('a view that depends on more than events is named by a node, with the peer that has another', async () => {
  const { nodes, warned } = await equalPair()
  // The text is the same on both; what it takes from around it is not.
  const counting = (around: number): NativeView => ({
    name: 'counting',
    map: (_event, emit) => emit(around)
  })
  for (const [index, node] of nodes.entries()) {
    await node.database(YARD).views.define(WEIGHTS)
    await (await node.database(YARD).views.define(counting(index))).refresh()
  }
  await until(async () => (await warnings(nodes)).length > 0)
  const [warning = ''] = await warnings(nodes)
  expect(warning).toContain('yard: view counting differs')
  expect(nodes.some(({ peerId }) => warning.includes(peerId))).toBe(true)
  expect(warned.join()).toContain('"view":"counting"')
  expect(warned.join()).not.toContain('weights')
  const told = await Promise.all(
    nodes.map(async (node) => {
      const views = node.database(YARD).views
      const [differs, sound] = await Promise.all([views.get('counting'), views.get('weights')])
      expect((await sound.query()).differs).toBeUndefined()
      expect((await sound.info()).differs).toEqual([])
      const { differs: peers = [] } = await differs.query()
      expect((await differs.info()).differs).toEqual(peers)
      return peers
    })
  )
  const [a, b] = nodes.map(({ peerId }) => peerId)
  expect([b, a].filter((peer, at) => told[at]?.[0] === peer).length).toBeGreaterThan(0)

  // Mended, under another version.
  for (const node of nodes) {
    const views = node.database(YARD).views
    await views.define({ name: 'counting', map: (event, emit) => emit(event.key) })
    await (await views.get('counting')).refresh()
  }
  expect(await warnings(nodes)).toEqual([])
  await comparedAgain(nodes)
  expect(await warnings(nodes)).toEqual([])
})
