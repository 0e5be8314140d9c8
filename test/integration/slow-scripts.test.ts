/** Texts whose functions take too long for many events: counted for each of them, and the view answers for all others. */

import assert from 'node:assert/strict'

import { test } from 'vitest'

import type { Database, EventInput } from '../../src/index.ts'
import { startNetwork } from '../fixtures/nodes.ts'

async function scriptDatabase(): Promise<Database> {
  const [node] = await startNetwork(1, { viewScripts: true })
  if (node === undefined) throw new Error('a node')
  return (await node.createDatabase('depot')).database
}

/** Of which `bad` keep a function from its end. */
function handledEvents(count: number, bad: number): EventInput[] {
  return Array.from({ length: count }, (_, index) => {
    const qty = index % Math.floor(count / bad) === 0 ? -1 - index : index
    return { time: new Date(index * 1_000).toISOString(), data: { zone: 'A1', qty } }
  })
}

test('a function that takes too long for many events is counted for each of them', async () => {
  const database = await scriptDatabase()
  await database.append(handledEvents(200, 40))
  const map = '(event, emit) => { while (event.data.qty < 0); emit(event.data.zone) }'
  await database.views.put('stock', { language: 'javascript', map, reduce: '_count' })
  const view = await database.views.get('stock')
  const built = await view.query({ group: true })
  assert.deepEqual([built.rows, built.faults], [[{ key: 'A1', value: 160 }], 40])
  await database.append(handledEvents(80, 40).map((event) => ({ ...event, subject: 'later' })))
  const later = await view.query({ group: true })
  assert.deepEqual([later.rows, later.faults], [[{ key: 'A1', value: 200 }], 80])
  const { state, lastFaults } = await view.info()
  assert.equal(state, 'ready')
  assert.match(lastFaults[0]?.fault ?? '', /takes too long/)
}, 300_000)

test('a fold of such functions is the same wherever it stopped, and however it is asked', async () => {
  const fold = {
    key: '(event) => event.data.zone',
    initial: { n: 0 },
    apply: '(state, event) => { while (event.data.qty < 0); return { n: state.n + 1 } }',
    final: '(state) => { while (state.n > 5 && state.n < 20); return state.n }'
  }
  const events = handledEvents(60, 12)
  const answers: unknown[] = []
  for (const order of [events, events.toReversed()]) {
    const database = await scriptDatabase()
    await database.views.put('stock', { language: 'javascript', fold })
    const view = await database.views.get('stock')
    for (let at = 0; at < order.length; at += 15) {
      await database.append(order.slice(at, at + 15))
      // `final` comes to no end for what it is in between, however often it is asked.
      const times = at === 0 ? 40 : 0
      for (let asked = 0; asked < times; asked += 1) {
        const [row] = (await view.query()).rows
        assert.match(row?.fault ?? '', /takes too long/)
      }
    }
    const { rows, digest, faults } = await view.query()
    assert.deepEqual(rows, [{ key: 'A1', value: 48 }])
    answers.push([rows, digest, faults])
  }
  assert.deepEqual(answers[0], answers[1])
}, 300_000)

test('what is asked of the past of such functions is as it was, also while they are called for what is new', async () => {
  const fold = {
    key: '(event) => event.data.zone',
    initial: { n: 0 },
    apply: '(state, event) => { while (event.data.qty < 0); return { n: state.n + 1 } }'
  }
  const map = '(event, emit) => { while (event.data.qty < 0); emit(event.data.zone) }'
  const database = await scriptDatabase()
  const { lc } = await database.append(handledEvents(80, 40))
  for (const [name, definition] of Object.entries({
    map: { map, reduce: '_count' },
    fold: { fold }
  })) {
    await database.views.put(name, { language: 'javascript', ...definition })
    const view = await database.views.get(name)
    const { rows } = await view.query({ group: name === 'map' })
    const before = await view.query({ group: name === 'map', known_at: new Date().toISOString() })
    assert.deepEqual(before.rows, rows)
    await database.append(handledEvents(40, 40).map((event) => ({ ...event, subject: name })))
    const refreshed = view.refresh()
    const asked = await view.query({ group: name === 'map', known_at: lc, update: false })
    assert.deepEqual(asked.rows, rows)
    await refreshed
    assert.equal((await view.info()).state, 'ready')
  }
}, 300_000)

test('a reduce that takes too long for many runs at one time is given up, and answers nothing until it is another one', async () => {
  const database = await scriptDatabase()
  await database.append(handledEvents(4_000, 1))
  const map = '(event, emit) => emit(event.data.qty, 1)'
  const sum = { language: 'javascript', map, reduce: '_sum' } as const
  await database.views.put('stock', sum)
  const view = await database.views.get('stock')
  const before = await view.query()
  await database.views.put('stock', { ...sum, reduce: '() => { for (;;); }' })
  const refused = {
    code: 'LATERBASE_VIEW_FAILED',
    message: /take too long/,
    facts: { refused: true }
  }
  await assert.rejects(view.refresh(), refused)
  for (const update of [true, false]) await assert.rejects(view.query({ update }), refused)
  assert.equal((await view.info()).state, 'refused')
  await database.views.put('stock', sum)
  await view.refresh()
  assert.deepEqual((await view.query()).rows, before.rows)
}, 300_000)

test('a text that takes much for each event is tried, and counts', async () => {
  const database = await scriptDatabase()
  await database.append(Array.from({ length: 100 }, (_, i) => ({ data: { i } })))
  const map = '(event, emit) => { for (let i = 0; i < 300; i += 1) emit([event.data.i, i], 1) }'
  await database.views.put('lines', { language: 'javascript', map, reduce: '_count' })
  const { rows, faults } = await (await database.views.get('lines')).query()
  assert.deepEqual([rows[0]?.value, faults], [30_000, 0])
}, 300_000)
