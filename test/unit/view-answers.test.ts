/** What views answer while their store opens, does not, or fails, and while one takes another's place. */

import { expect, test } from 'vitest'

import { present } from '../../src/core/assert.ts'
import { LaterbaseError } from '../../src/errors.ts'
import { NodeDatabase } from '../../src/node/database.ts'
import { createSigner } from '../../src/node/system.ts'
import type { View, ViewQuery } from '../../src/node/views.ts'
import type { DerivedStore } from '../../src/store/derived-store.ts'
import { createMemoryDerivedStore } from '../../src/store/memory-derived-store.ts'
import type { AnyView, FoldView, MapView } from '../../src/views/define-view.ts'
import { REOPEN_MS } from '../../src/views/limits.ts'
import { ManualClock } from '../fixtures/manual-clock.ts'
import { memoryStores, settled, startScripted } from '../fixtures/scripted-node.ts'

const KEY = createSigner(new Uint8Array(32).fill(3)).publicKey
const ALL: MapView = { name: 'all', map: ({ data }, emit) => emit(data) }
const REPLACED: MapView = { name: 'all', map: ({ data }, emit) => emit(['replaced', data]) }
const STATES: FoldView = {
  name: 'all',
  key: () => 'all',
  initial: () => 0,
  apply: (_, { data }) => data
}
/** Longer than the trial of a view waits. */
const TRIAL_MS = 100

interface Viewed {
  readonly yard: NodeDatabase
  readonly clock: ManualClock
  define(view: AnyView): Promise<View>
}

/**
 * A database with one event, whose views are kept where `openViews` says.
 *
 * @param beforeScan called before its events are read in their order
 */
async function viewedDatabase(
  openViews: () => Promise<DerivedStore>,
  beforeScan: () => void = () => undefined
): Promise<Viewed> {
  const clock = new ManualClock()
  const events = memoryStores(KEY)
  const open: typeof events.open = async (database, create) => {
    const store = await events.open(database, create)
    const scan: typeof store.scan = (range) => {
      beforeScan()
      return store.scan(range)
    }
    return withMethods(store, { scan })
  }
  const stores = { ...events, open, openViews }
  const { node } = await startScripted({ stores, clock })
  const { database: yard } = await node.createDatabase('yard')
  if (!(yard instanceof NodeDatabase)) throw new Error('a database of the node')
  await yard.append({ data: 1 })
  const define = async (view: AnyView): Promise<View> => {
    const defined = yard.views.defineAny(view)
    await settled()
    await clock.pass(TRIAL_MS)
    return defined
  }
  return { yard, clock, define }
}

/** A store some of whose methods are others. */
function withMethods<Store extends object>(store: Store, others: Partial<Store>): Store {
  return new Proxy(store, {
    get: (target, name) => {
      const member: unknown = Reflect.get(others, name) ?? Reflect.get(target, name, target)
      return typeof member === 'function' ? member.bind(target) : member
    }
  })
}

function noSpace(): LaterbaseError {
  return new LaterbaseError('LATERBASE_STORE_FAILED', 'no space left on device')
}

async function keysOf(view: View, update: boolean = true): Promise<unknown[]> {
  return (await view.query({ update })).rows.map(({ key }) => key)
}

test('who asks a view while it is being defined waits for it', async () => {
  const opened: ((store: DerivedStore) => void)[] = []
  const { yard, clock } = await viewedDatabase(() => new Promise((open) => opened.push(open)))
  const defined = yard.views.define(ALL)
  const found = yard.views.get('all')
  await settled()
  present(opened[0], 'an opening')(createMemoryDerivedStore())
  await settled()
  await clock.pass(TRIAL_MS)
  expect(await keysOf(await found)).toEqual([1])
  await defined
  await expect(yard.views.get('another')).rejects.toMatchObject({ code: 'LATERBASE_VIEW_UNKNOWN' })
})

/** Whatever a program of JavaScript may ask with, and the parameter that is named. */
const WRONG: readonly (readonly [query: object, parameter: string])[] = [
  [{ foo: 1 }, 'foo'],
  [{ constructor: 1 }, 'constructor'],
  [{ update: 'maybe' }, 'update'],
  [{ key: NaN }, 'key'],
  [{ key: () => 1 }, 'key'],
  [{ keys: 'x' }, 'keys'],
  [{ keys: [undefined, Symbol('a')] }, 'keys'],
  [{ startkey: new Map() }, 'startkey'],
  [{ group: 'true' }, 'group'],
  [{ descending: 1 }, 'descending'],
  [{ limit: '5' }, 'limit'],
  [{ limit: -1 }, 'limit'],
  [{ as_of: new Date(0) }, 'as_of'],
  [{ min_lc: 5 }, 'min_lc']
]

test('a question that is none names the parameter, and one with what is undefined is as without', async () => {
  const { yard, clock } = await viewedDatabase(async () => createMemoryDerivedStore())
  const defined = yard.views.define(ALL)
  await settled()
  await clock.pass(TRIAL_MS)
  const view = await defined
  for (const [query, parameter] of WRONG) {
    await expect(view.query(query as ViewQuery)).rejects.toMatchObject({
      code: 'LATERBASE_ARGUMENT_INVALID',
      facts: { parameter }
    })
  }
  const without = { key: undefined, limit: undefined, update: undefined } as object as ViewQuery
  expect(await view.query(without)).toEqual(await view.query())
})

test('of two definitions of one name the later one counts, however long each is tried', async () => {
  const { yard, clock } = await viewedDatabase(async () => createMemoryDerivedStore())
  const both = [yard.views.define(STATES), yard.views.define(ALL)]
  await settled()
  for (let round = 0; round < 3; round += 1) await clock.pass(TRIAL_MS)
  await Promise.all(both)
  const [info] = await yard.views.list()
  expect(info?.type).toBe('map')
})

test('a view is defined while the disk does not give the events, and built once it does', async () => {
  let isFailing = false
  const { yard, clock, define } = await viewedDatabase(
    async () => createMemoryDerivedStore(),
    () => {
      if (isFailing) throw noSpace()
    }
  )
  isFailing = true
  const view = await define(ALL)
  await expect(view.query()).rejects.toMatchObject({ code: 'LATERBASE_VIEW_FAILED' })
  expect(await yard.views.list()).toMatchObject([{ name: 'all', state: 'failed' }])
  isFailing = false
  await clock.pass(REOPEN_MS)
  expect(await keysOf(view)).toEqual([1])
})

test('while the store of views does not open, questions fail with the reason, and go on once it does', async () => {
  let isBroken = true
  const { clock, define } = await viewedDatabase(async () => {
    if (isBroken) throw new LaterbaseError('LATERBASE_STORE_FAILED', 'no such device')
    return createMemoryDerivedStore()
  })
  const view = await define(ALL)
  for (const update of [true, false, 'lazy'] as const) {
    await expect(view.query({ update })).rejects.toMatchObject({
      code: 'LATERBASE_VIEW_FAILED',
      message: expect.stringContaining('no such device') as string
    })
  }
  isBroken = false
  await clock.pass(REOPEN_MS)
  expect(await keysOf(view)).toEqual([1])
  expect((await view.info()).state).toBe('ready')
})

test('after a write of views failed, they fail with the reason until their store is open again', async () => {
  let isFull = false
  const { yard, clock, define } = await viewedDatabase(async () => {
    const store = createMemoryDerivedStore()
    const write: DerivedStore['write'] = async (changes) => {
      if (isFull) throw noSpace()
      await store.write(changes)
    }
    return withMethods(store, { write })
  })
  const view = await define(ALL)
  await view.refresh()
  isFull = true
  await yard.append({ data: 2 })
  await expect(view.query()).rejects.toMatchObject({ code: 'LATERBASE_STORE_FAILED' })
  await expect(view.query()).rejects.toMatchObject({
    code: 'LATERBASE_VIEW_FAILED',
    message: expect.stringContaining('no space left') as string
  })
  const other = await define({ ...STATES, name: 'other' })
  await expect(other.query()).rejects.toMatchObject({
    code: 'LATERBASE_VIEW_FAILED',
    message: expect.stringContaining('no space left') as string
  })
  isFull = false
  await clock.pass(REOPEN_MS)
  expect(await keysOf(view)).toEqual([1, 2])
  expect((await other.query()).rows).toHaveLength(1)
})

test('who asks while the write of another question fails is not given less than was held', async () => {
  const store = createMemoryDerivedStore()
  const failures: (() => void)[] = []
  let isFull = false
  const write: DerivedStore['write'] = (changes) =>
    isFull
      ? new Promise((_, reject) => failures.push(() => reject(noSpace())))
      : store.write(changes)
  const { yard, define } = await viewedDatabase(async () => withMethods(store, { write }))
  const view = await define(ALL)
  await view.refresh()
  isFull = true
  await yard.append({ data: 2 })
  const first = expect(view.query()).rejects.toMatchObject({ code: 'LATERBASE_STORE_FAILED' })
  await settled()
  const later = expect(view.query()).rejects.toMatchObject({ code: 'LATERBASE_VIEW_FAILED' })
  await settled()
  present(failures[0], 'a write under way')()
  await first
  await later
})

test('a view that is replaced is not asked for what is being removed of it', async () => {
  const store = createMemoryDerivedStore()
  const removals: (() => void)[] = []
  let isOver = false
  const clear: DerivedStore['clear'] = async (prefix) => {
    await store.clear(prefix)
    if (!isOver) await new Promise<void>((end) => removals.push(end))
  }
  const { define } = await viewedDatabase(async () => withMethods(store, { clear }))
  const view = await define(ALL)
  await view.refresh()
  await define(REPLACED)
  while (removals.length === 0) await settled()
  const keys = [await keysOf(view), await keysOf(view, false)]
  isOver = true
  for (const end of removals) end()
  expect(keys).toEqual([[['replaced', 1]], [['replaced', 1]]])
})

test('who brings up to date a view that is being replaced waits for what comes in its place', async () => {
  let held: Promise<void> | undefined
  const store = createMemoryDerivedStore()
  const write: DerivedStore['write'] = async (changes) => {
    await held
    await store.write(changes)
  }
  const { define } = await viewedDatabase(async () => withMethods(store, { write }))
  const view = await define(ALL)
  await view.refresh()
  let release = (): void => undefined
  held = new Promise((resolve) => (release = resolve))
  const replaced = await define(REPLACED)
  expect(await keysOf(view)).toEqual([1])
  const refreshed = replaced.refresh()
  await settled()
  release()
  await refreshed
  expect(await keysOf(replaced, false)).toEqual([['replaced', 1]])
})

test('who waits for a view that is removed hears that it is not there', async () => {
  const { yard, define } = await viewedDatabase(async () => createMemoryDerivedStore())
  const view = await define(ALL)
  const asked = view.query()
  const removed = yard.views.remove('all')
  await expect(asked).rejects.toMatchObject({ code: 'LATERBASE_VIEW_UNKNOWN' })
  await removed
  await expect(view.query()).rejects.toMatchObject({ code: 'LATERBASE_VIEW_UNKNOWN' })
})

test('what is asked of the past has nothing that came behind what the answer says it covers', async () => {
  const { yard, define } = await viewedDatabase(async () => createMemoryDerivedStore())
  const view = await define({ ...ALL, events: 'effective' })
  const { results } = await yard.append({ data: 2 })
  const [wrong] = results
  if (wrong === undefined || wrong.status === 'rejected') throw new Error('it is stored')
  await yard.append({ data: 3, corrects: wrong.key })
  const { lc } = await view.query()
  await yard.append({ data: 4 })
  const { lc: later } = await yard.status()
  for (const past of [{ as_of: '2100-01-01T00:00:00Z' }, { known_at: later }]) {
    const answer = await view.query({ ...past, update: false })
    expect(answer.lc).toBe(lc)
    expect(answer.rows.map(({ key }) => key)).toEqual([1, 3])
  }
  const whole = await view.query({ known_at: later })
  expect(whole.rows.map(({ key }) => key)).toEqual([1, 3, 4])
})
