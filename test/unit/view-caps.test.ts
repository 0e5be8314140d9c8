/** Caps of views that it takes long to reach: made small here, and gone beyond. */

import { expect, test, vi } from 'vitest'

import { VIEW_FAULTS_SHOWN } from '../../src/node/limits.ts'
import type { NodeDatabase } from '../../src/node/database.ts'
import type { MapView } from '../../src/views/define-view.ts'
import { FAULT_BYTES_MAX } from '../../src/views/limits.ts'
import { makeSmall } from '../fixtures/small-limits.ts'
import { databaseOf } from '../property/forest.ts'

vi.mock('../../src/core/limits.ts', async (original) => {
  const { smallable } = await import('../fixtures/small-limits.ts')
  return smallable(await original())
})
vi.mock('../../src/node/limits.ts', async (original) => {
  const { smallable } = await import('../fixtures/small-limits.ts')
  return smallable(await original())
})
vi.mock('../../src/views/limits.ts', async (original) => {
  const { smallable } = await import('../fixtures/small-limits.ts')
  return smallable(await original())
})

interface Received {
  readonly zone: string
  readonly qty: number
}

const stock: MapView<Received> = {
  name: 'stock',
  map: ({ data }, emit) => emit(data.zone, data.qty),
  reduce: '_sum'
}

async function receive(database: NodeDatabase, zone: string, times: number): Promise<void> {
  await database.append(Array.from({ length: times }, () => ({ data: { zone, qty: 1 } })))
}

test('a row that more events made than are named says so, and names so many', async () => {
  makeSmall({ EXPLAIN_EVENTS_MAX: 3 })
  const database = await databaseOf([])
  await receive(database, 'A', 3)
  await receive(database, 'B', 4)
  const view = await database.views.define(stock)
  const { rows } = await view.query({ group: true, explain: true })
  expect(rows.map(({ events, more_events: more }) => [events?.length, more])).toEqual([
    [3, undefined],
    [3, true]
  ])
})

test('a change of a row names the last of its causes, so many at the most', async () => {
  makeSmall({ CHANGE_CAUSES_MAX: 2 })
  const database = await databaseOf([])
  const view = await database.views.define(stock)
  const changes = view.changes()[Symbol.asyncIterator]()
  const first = changes.next()
  await view.refresh()
  await receive(database, 'A', 5)
  const { value } = await first
  expect([value.key, value.new, value.causes.length]).toEqual(['A', 5, 2])
  await changes.return?.()
})

async function stopReading(): Promise<void> {
  const database = await databaseOf([])
  const view = await database.views.define(stock)
  const changes = view.changes()[Symbol.asyncIterator]()
  const first = changes.next()
  await view.refresh()
  await receive(database, 'A', 1)
  await first
  for (let index = 0; index < 10; index += 1) {
    await receive(database, `B${index}`, 1)
    await view.refresh()
  }
  const rest = async (): Promise<void> => {
    for (;;) await changes.next()
  }
  await expect(rest()).rejects.toMatchObject({ code: 'LATERBASE_CHANGES_LOST' })
  expect((await view.query()).rows).toEqual([{ key: null, value: 11 }])
}

test('a reader of changes that stops reading is told that it is too slow, and the view goes on', async () => {
  makeSmall({ VIEW_CHANGES_MAX: 3 })
  await stopReading()
})

test('a reader of large changes that stops reading is told so by their bytes', async () => {
  makeSmall({ VIEW_CHANGES_BYTES_MAX: 500 })
  await stopReading()
})

test('what only all events can tell is asked of so many events, and refused beyond them with the way out', async () => {
  makeSmall({ VIEW_SCRATCH_EVENTS_MAX: 5 })
  const database = await databaseOf([])
  await receive(database, 'A', 5)
  const { lc } = await database.status()
  const view = await database.views.define(stock)
  expect((await view.query({ known_at: lc })).rows).toEqual([{ key: null, value: 5 }])
  await receive(database, 'A', 1)
  const asked = view.query({ known_at: lc })
  await expect(asked).rejects.toThrow(/Give known_at as a time/)
})

test('faults are counted, and so many of them shown, each cut to its length', async () => {
  const database = await databaseOf([])
  const long = 'x'.repeat(2 * FAULT_BYTES_MAX)
  await receive(database, long, VIEW_FAULTS_SHOWN + 2)
  const failing: MapView<Received> = {
    name: 'failing',
    map: ({ data }) => {
      throw new Error(data.zone)
    }
  }
  const view = await database.views.define(failing)
  await view.refresh()
  const { faults, lastFaults } = await view.info()
  expect([faults, lastFaults.length]).toEqual([VIEW_FAULTS_SHOWN + 2, VIEW_FAULTS_SHOWN])
  expect(Buffer.byteLength(lastFaults[0]?.fault ?? '')).toBeLessThanOrEqual(FAULT_BYTES_MAX)
})

test('a view with more runs than are kept in memory answers from its store', async () => {
  makeSmall({ UPPER_RUNS_MAX: 1 })
  const database = await databaseOf([])
  for (let index = 0; index < 4; index += 1) await receive(database, 'A', 5_000)
  const view = await database.views.define(stock)
  expect((await view.query({ group: true })).rows).toEqual([{ key: 'A', value: 20_000 }])
  await receive(database, 'A', 1)
  expect((await view.query({ group: true })).rows).toEqual([{ key: 'A', value: 20_001 }])
})

test('a view with more rows than are sorted in memory is built of sorted parts', async () => {
  makeSmall({ GATHERED_BYTES_MAX: 0, SORT_BYTES_MAX: 10_000, SORT_RECORD_BYTES: 1_000 })
  const database = await databaseOf([])
  for (const zone of ['B', 'A', 'C', 'A']) await receive(database, zone, 1_000)
  const view = await database.views.define(stock)
  const { rows } = await view.query({ group: true })
  expect(rows.map(({ key, value }) => [key, value])).toEqual([
    ['A', 2_000],
    ['B', 1_000],
    ['C', 1_000]
  ])
})

test('a view with more keys than are held side by side is built all the same', async () => {
  makeSmall({ GATHERED_BYTES_MAX: 3_000 })
  const database = await databaseOf([])
  for (const zone of ['D', 'B', 'A', 'C', 'A', 'D']) await receive(database, zone, 200)
  const view = await database.views.define(stock)
  const { rows } = await view.query({ group: true })
  expect(rows.map(({ value }) => value)).toEqual([400, 200, 200, 400])
})

test('a change to more stretches of runs than are kept is taken all the same', async () => {
  makeSmall({ STRETCHES_MAX: 1, RUN_BITS: 1 })
  const database = await databaseOf([])
  for (const zone of ['A', 'B', 'C']) await receive(database, zone, 100)
  const view = await database.views.define(stock)
  await view.refresh()
  for (const zone of ['C', 'A', 'B']) await receive(database, zone, 10)
  const { rows } = await view.query({ group: true })
  expect(rows.map(({ value }) => value)).toEqual([110, 110, 110])
})
