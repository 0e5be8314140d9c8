/**
 * What a view contains follows from the set of events: whatever order they came in, however often and in how
 * many commits and branches they stand, two nodes have one digest; and another digest for other contents.
 */

import fc from 'fast-check'
import { expect, test } from 'vitest'

import { compareBytes } from '../../src/core/bytes.ts'
import type { Commit, CommitEvent } from '../../src/core/commit.ts'
import { eventKey, formatEventKey } from '../../src/core/event-key.ts'
import type { Json } from '../../src/core/json.ts'
import type { NodeDatabase } from '../../src/node/database.ts'
import type { ViewAnswer } from '../../src/node/views.ts'
import type { NativeView } from '../../src/views/define-view.ts'
import { event } from './arbitraries.ts'
import { databaseOf, forests } from './forest.ts'

const VIEWS: readonly NativeView[] = [
  { name: 'plain', map: ({ key, data }, emit) => emit(data, key) },
  { name: 'reduced', map: ({ data }, emit) => emit('all', data), reduce: '_sum' },
  { name: 'effective', events: 'effective', map: ({ data }, emit) => emit(data) },
  {
    name: 'failing',
    map: ({ data }, emit) => {
      if (data === 1) throw new Error('one')
      emit(data)
      emit(data)
    }
  }
]

/** Few keys and few contents, some of which correct or retract others. */
function correctingEvents(): fc.Arbitrary<CommitEvent> {
  const keys = fc.integer({ min: 0, max: 7 }).map((number) => {
    const key = new Uint8Array(16)
    key.set([1, number], 4)
    return eventKey(key)
  })
  return fc
    .record({
      key: keys,
      data: fc.constantFrom(0, 1, null),
      corrects: fc.option(keys, { nil: undefined })
    })
    .map(({ key, data, corrects }) => {
      const correction = corrects === undefined ? {} : { corrects: formatEventKey(corrects) }
      return event(key, JSON.stringify({ ...correction, data }))
    })
}

const histories = fc.record({
  commits: forests(12, { events: correctingEvents() }),
  /** In which order they come to the second node, how many at a time, and when its views are asked. */
  choices: fc.infiniteStream(fc.nat())
})

interface Answers {
  readonly rows: Json
  readonly digest: string
}

async function answers(database: NodeDatabase): Promise<Record<string, Answers>> {
  const all: Record<string, Answers> = {}
  for (const { name } of VIEWS) {
    const view = await database.views.get(name)
    const { rows, digest, lc }: ViewAnswer = await view.query({})
    const { digest: told } = await view.info()
    expect(told).toBe(digest)
    expect(lc).toBe((await database.status()).lc)
    all[name] = { rows: rows as unknown as Json, digest }
  }
  return all
}

async function define(database: NodeDatabase): Promise<void> {
  for (const view of VIEWS) await database.views.define(view)
}

/** Commits in another order in which they can come, in pages of some. */
function pages(commits: readonly Commit[], choices: Iterator<number>): Commit[][] {
  const next = (): number => choices.next().value as number
  const left = [...commits]
  const come: Commit[][] = []
  while (left.length > 0) {
    const ready = left.filter(({ previous }) =>
      left.every(({ hash }) => compareBytes(hash, previous) !== 0)
    )
    const page = ready.filter(() => next() % 2 === 0)
    const chosen = page.length > 0 ? page : ready.slice(0, 1)
    for (const commit of chosen) left.splice(left.indexOf(commit), 1)
    come.push(chosen)
  }
  return come
}

test('two nodes with one set have equal views, in whatever order and steps it came', async () => {
  await fc.assert(
    fc.asyncProperty(histories, async ({ commits, choices }) => {
      const whole = await databaseOf(commits)
      await define(whole)
      const grown = await databaseOf([], { seed: 2 })
      await define(grown)
      const stream = choices[Symbol.iterator]()
      for (const page of pages(commits, stream)) {
        await grown.merge(page)
        if ((stream.next().value as number) % 3 === 0) await answers(grown)
      }
      expect(grown.digest()).toBe(whole.digest())
      const [once, bySteps] = [await answers(whole), await answers(grown)]
      expect(bySteps).toEqual(once)
      expect(grown.views.contents()).toEqual(whole.views.contents())
      expect(whole.views.contents().map(({ name }) => name)).toEqual(
        VIEWS.map(({ name }) => name).toSorted()
      )
      await Promise.all([whole.close(), grown.close()])
    })
  )
})

test('views with other rows have other digests', async () => {
  const sets = fc.tuple(
    forests(4, { events: correctingEvents() }),
    forests(4, { events: correctingEvents() }).filter(({ length }) => length > 0)
  )
  await fc.assert(
    fc.asyncProperty(sets, async (both) => {
      const [a, b] = await Promise.all(
        both.map(async (commits, seed) => {
          const database = await databaseOf(commits, { seed })
          await define(database)
          const all = await answers(database)
          await database.close()
          return all
        })
      )
      for (const { name } of VIEWS) {
        const isSame = JSON.stringify(a?.[name]?.rows) === JSON.stringify(b?.[name]?.rows)
        if (!isSame) expect(a?.[name]?.digest).not.toBe(b?.[name]?.digest)
      }
    })
  )
})
