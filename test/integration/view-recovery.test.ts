/** Views of a node whose disk was lost, or put back from a copy: they are those of the others. */

import { cp, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'

import type { Laterbase, NativeView, View } from '../../src/index.ts'
import {
  connect,
  reconnect,
  startNetwork,
  startNode,
  temporaryDirectory,
  until,
  untilEqual
} from '../fixtures/nodes.ts'

const DEPOT = 'depot'

interface Movement {
  readonly pallet: string
  readonly count: number
}

const VIEWS: readonly NativeView<Movement, Record<string, number>, string>[] = [
  {
    name: 'stock',
    map: ({ data }, emit) => emit([data.pallet, data.count % 3], data.count),
    reduce: '_sum'
  },
  {
    name: 'valid',
    events: 'effective',
    map: ({ data, key }, emit) => emit(data.pallet, [data.count, key])
  },
  {
    name: 'chains',
    key: ({ data }) => data.pallet,
    initial: () => ({}),
    apply: (state, { data }) => ({ ...state, [data.count]: Object.keys(state).length }),
    final: (state) => JSON.stringify(state)
  }
]
const QUESTIONS = [
  {},
  { group: true },
  { reduce: false, include_events: true },
  { as_of: '2026-01-04T00:00:00Z' },
  { known_at: '2040-01-01T00:00:00Z', explain: true },
  { key: 'p2', explain: true }
]

async function define(node: Laterbase): Promise<void> {
  for (const view of VIEWS) await node.database(DEPOT).views.define(view)
}

/** Everything that is asked, and what is answered; refused questions too. Cursors are a node's own. */
async function answers(node: Laterbase): Promise<unknown[]> {
  const all: unknown[] = []
  for (const { name } of VIEWS) {
    const view: View = await node.database(DEPOT).views.get(name)
    for (const query of QUESTIONS) {
      const told = await view.query(query).then(
        ({ lc: _own, ...answer }) => answer,
        (error: unknown) => String(error)
      )
      all.push({ name, query, told })
    }
  }
  return all
}

/** Some days back, some of it written on both nodes, and what corrects it. */
async function write(node: Laterbase, seed: number): Promise<void> {
  const database = node.database(DEPOT)
  for (let at = 0; at < 30; at += 1) {
    const time = new Date(Date.UTC(2026, 0, 1 + ((at * 7 + seed) % 9), at % 24)).toISOString()
    const data = { pallet: `p${(at + seed) % 4}`, count: at }
    const { results } = await database.append({ time, data })
    const [written] = results
    if (at % 10 !== 9 || written?.status !== 'created') continue
    await database.append({
      corrects: written.key,
      time,
      data: at % 20 === 9 ? null : { ...data, count: -1 }
    })
  }
  const data = { pallet: 'p2', count: 50 }
  await database.append({ time: '2026-01-05T00:00:00Z', source: 'scanner', id: 'once', data })
}

/** Whatever has come by now: they are what they are when they are built of it at once. */
async function expectFresh(node: Laterbase): Promise<void> {
  const { views } = node.database(DEPOT)
  for (const view of VIEWS) {
    const fresh = await views.define({ ...view, name: `fresh-${view.name}` })
    await until(async () => {
      const [held, anew] = [await (await views.get(view.name)).query(), await fresh.query()]
      if (held.lc !== anew.lc) return false
      expect(held).toEqual(anew)
      return true
    })
    await views.remove(`fresh-${view.name}`)
  }
}

async function pair(): Promise<{ readonly nodes: [Laterbase, Laterbase]; readonly dir: string }> {
  const dir = await temporaryDirectory()
  const [a] = await startNetwork(1, { antiEntropyMs: 200 })
  if (a === undefined) throw new Error('a node')
  const b = await startNode({ dir, invitation: a.invitation(), antiEntropyMs: 200 })
  await a.createDatabase(DEPOT)
  await connect(b, a)
  await untilEqual([a, b], DEPOT)
  for (const [seed, node] of [a, b].entries()) {
    await define(node)
    await write(node, seed)
  }
  await untilEqual([a, b], DEPOT)
  return { nodes: [a, b], dir }
}

test('a node whose directory was lost has, when it is back, the views of the others, to the last word', async () => {
  const { nodes, dir } = await pair()
  const [a, b] = nodes
  expect(await answers(b)).toEqual(await answers(a))
  await b.close()
  await rm(dir, { recursive: true })
  const back = await startNode({ dir, invitation: a.invitation(), antiEntropyMs: 200 })
  await reconnect(back, a)
  await untilEqual([a, back], DEPOT)
  await define(back)
  expect(await answers(back)).toEqual(await answers(a))
  await write(back, 2)
  await untilEqual([a, back], DEPOT)
  expect(await answers(back)).toEqual(await answers(a))
})

test('views that were kept of a store that is gone, or are newer than it, are not taken for those of this one', async () => {
  const { nodes, dir } = await pair()
  const [a, b] = nodes
  const databases = join(dir, 'databases')
  const copy = join(await temporaryDirectory(), 'copy')
  await b.close()
  await cp(join(databases, DEPOT), copy, { recursive: true })
  const later = await startNode({ dir, antiEntropyMs: 200 })
  await reconnect(later, a)
  await define(later)
  await write(later, 3)
  await untilEqual([a, later], DEPOT)
  expect(await answers(later)).toEqual(await answers(a))
  await later.close()
  // The store is older than its views now, and goes on in a log of its own.
  await rm(join(databases, DEPOT), { recursive: true })
  await rename(copy, join(databases, DEPOT))
  const restored = await startNode({ dir, antiEntropyMs: 200 })
  await define(restored)
  await expectFresh(restored)
  await restored.database(DEPOT).append({ data: { pallet: 'p1', count: 1000 } })
  await reconnect(restored, a)
  await untilEqual([a, restored], DEPOT)
  expect(await answers(restored)).toEqual(await answers(a))
})

test('a view that was built before answers at once when its program defines it again, without being refreshed', async () => {
  const dir = await temporaryDirectory()
  const first = await startNode({ dir })
  const { database } = await first.createDatabase(DEPOT)
  await write(first, 1)
  for (const view of VIEWS) await (await database.views.define(view)).refresh()
  const kept = await answers(first)
  await first.close()
  for (const update of [false, 'lazy'] as const) {
    const node = await startNode({ dir })
    const { views } = node.database(DEPOT)
    const defined = VIEWS.map((view) => views.define(view))
    for (const view of defined) {
      expect((await (await view).query({ update })).rows.length).toBeGreaterThan(0)
      expect((await (await view).info()).state).toBe('ready')
    }
    expect((await views.list()).map(({ state }) => state)).toEqual(VIEWS.map(() => 'ready'))
    expect(await answers(node)).toEqual(kept)
    await node.close()
  }
})
