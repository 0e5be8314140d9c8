/** How a reader of a view's changes begins and ends. */

import { expect, test } from 'vitest'

import type { NodeDatabase } from '../../src/node/database.ts'
import type { View, ViewChange } from '../../src/node/views.ts'
import type { MapView } from '../../src/views/define-view.ts'
import { databaseOf } from '../property/forest.ts'

const stock: MapView<number> = {
  name: 'stock',
  map: ({ data }, emit) => emit('all', data),
  reduce: '_sum'
}

interface Reading {
  readonly changes: ViewChange<unknown>[]
  /** Resolves with what ended it. */
  readonly ended: Promise<unknown>
}

/** Reads on until the feed ends, from what the view is now. */
async function read(view: View<unknown>): Promise<Reading> {
  const changes: ViewChange<unknown>[] = []
  const feed = view.changes({ since: await view.query({ group: true }) })[Symbol.asyncIterator]()
  const readAll = async (): Promise<unknown> => {
    try {
      for (;;) {
        const { done, value } = await feed.next()
        if (done === true) return 'ended'
        changes.push(value)
      }
    } catch (error) {
      return error
    }
  }
  return { changes, ended: readAll() }
}

/** One commit, and the view with it. */
async function write(database: NodeDatabase, view: View<unknown>, data: number): Promise<void> {
  await database.append({ data })
  await view.refresh()
}

test('a reader begins at an answer, and is told so where the view has gone on from there', async () => {
  const database = await databaseOf([])
  const view = await database.views.define(stock)
  const since = await view.query()
  const { changes, ended } = await read(view)
  await view.refresh()
  await write(database, view, 2)
  const late = view.changes({ since })[Symbol.asyncIterator]()
  await expect(late.next()).rejects.toMatchObject({ code: 'LATERBASE_CHANGES_LOST' })
  await database.close()
  expect(await ended).toBe('ended')
  expect(changes.map(({ old, new: now }) => [old, now])).toEqual([[undefined, 2]])
})

test('a view that becomes another one, or is removed, ends its readers and says why', async () => {
  const database = await databaseOf([])
  const view = await database.views.define(stock)
  const first = await read(view)
  await view.refresh()
  await database.views.define({ ...stock, version: 2 })
  expect(await first.ended).toMatchObject({ code: 'LATERBASE_CHANGES_LOST' })
  const second = await read(view)
  await view.refresh()
  await database.views.remove('stock')
  expect(await second.ended).toMatchObject({ code: 'LATERBASE_VIEW_UNKNOWN' })
  await expect(view.query()).rejects.toMatchObject({ code: 'LATERBASE_VIEW_UNKNOWN' })
  await database.close()
})

test('a view that is defined as it is goes on, and so do its readers', async () => {
  const database = await databaseOf([])
  const view = await database.views.define(stock)
  const { changes, ended } = await read(view)
  await view.refresh()
  await database.views.define(stock)
  await write(database, view, 3)
  await database.close()
  expect([await ended, changes.length]).toEqual(['ended', 1])
})
