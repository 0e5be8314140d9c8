/**
 * The law of a view's changes: an answer, and all changes from there to a later position, are the answer at that
 * position; and each says whether it is the work of what came late. How many histories is said by `VIEW_RUNS`.
 */

import { isDeepStrictEqual } from 'node:util'

import fc from 'fast-check'
import { expect, test, vi } from 'vitest'

import { present } from '../../src/core/assert.ts'
import type { Commit } from '../../src/core/commit.ts'
import type { Json } from '../../src/core/json.ts'
import { compareViewKeys } from '../../src/core/views/collation.ts'
import { LaterbaseError } from '../../src/errors.ts'
import type { NodeDatabase } from '../../src/node/database.ts'
import type { EventInput } from '../../src/node/laterbase.ts'
import type { View, ViewAnswer, ViewChange } from '../../src/node/views.ts'
import type { DerivedStore } from '../../src/store/derived-store.ts'
import type { ViewProgram } from '../../src/views/program.ts'
import type { IndexedEvent } from '../../src/views/view-index.ts'
import { settled } from '../fixtures/manual-clock.ts'
import { makeSmall } from '../fixtures/small-limits.ts'
import { seededRng } from './arbitraries.ts'
import { DerivedDisk } from './derived-disk.ts'
import { databaseOf, forests, withAncestors } from './forest.ts'
import { modelRows } from './map-model.ts'
import type { ModelRow } from './map-model.ts'
import { placeText } from './map-plans.ts'
import { NO_LIMITS, answerOf, definitionOf, programOf } from './view-answers.ts'
import { DEFINITION_NAMES, kindOf, viewedEvents, viewedInputs } from './view-questions.ts'
import { countedOf, coveredEvents, keyText, passedFor, targetOf } from './view-scratch.ts'

vi.mock(import('../../src/core/limits.ts'), async (load) => {
  const { smallable } = await import('../fixtures/small-limits.ts')
  return smallable(await load())
})
vi.mock(import('../../src/views/limits.ts'), async (load) => {
  const { smallable } = await import('../fixtures/small-limits.ts')
  return smallable(await load())
})

const RUNS = Number(process.env['VIEW_RUNS'] ?? 300)

const forest = forests(16, { events: viewedEvents, step: 40_000n })
const definitions = fc.constantFrom(...DEFINITION_NAMES)
const appended = fc.array(viewedInputs, { minLength: 1, maxLength: 3 })

function viewOf(name: string) {
  return { ...definitionOf(name), name: 'followed' }
}

async function write(database: NodeDatabase, events: readonly EventInput[]): Promise<void> {
  await database.append(events, { onError: 'proceed', clock: 'trust' })
}

/** What has been read so far. */
class Feed {
  readonly changes: ViewChange[] = []
  failure: unknown
  readonly #end = new AbortController()
  readonly #reading: Promise<void>

  constructor(view: View<unknown>, since: ViewAnswer<unknown>) {
    this.#reading = this.#read(view as View, since)
  }

  async end(): Promise<void> {
    this.#end.abort()
    await this.#reading
  }

  async #read(view: View, since: ViewAnswer<unknown>): Promise<void> {
    try {
      const { signal } = this.#end
      for await (const change of view.changes({ since, signal })) this.changes.push(change)
    } catch (error) {
      this.failure = error
    }
  }
}

test('of each commit exactly the rows that it changes are told, why, and whether it was late', async () => {
  makeSmall({ RUN_BITS: 1, EVENTS_AT_ONCE: 1 })
  const step = fc.oneof(
    { weight: 2, arbitrary: fc.nat().map((pick) => ({ merge: pick })) },
    { weight: 1, arbitrary: appended.map((append) => ({ append })) }
  )
  let restated = 0
  await fc.assert(
    fc.asyncProperty(
      forest,
      definitions,
      fc.array(step, { maxLength: 12 }),
      async (all, name, steps) => {
        const database = await databaseOf(all.slice(0, 3))
        const program = programOf(name)
        const view = await database.views.defineAny(viewOf(name))
        const answer = await view.query()
        let { lc } = answer
        const feed = new Feed(view, answer)
        await settled()
        for (const each of steps) {
          const before = lc
          if ('append' in each) await write(database, each.append)
          else await mergeOne(database, all, each.merge)
          await view.refresh()
          await settled()
          lc = (await view.info()).lc ?? ''
          expect(feed.failure).toBeUndefined()
          const told = feed.changes.splice(0)
          const [old, now] = [
            await coveredEvents(database.store, before),
            await coveredEvents(database.store, lc)
          ]
          expect(told.map(shownChange)).toEqual(changesBetween(program, old, now))
          for (const change of told) expect(change.lc).toBe(lc)
          restated += told.filter((change) => change.restated).length
        }
        await feed.end()
        await database.close()
      }
    ),
    { numRuns: RUNS }
  )
  expect(restated).toBeGreaterThan(RUNS / 4)
}, 3_600_000)

/** One that is not held, and follows what is. */
async function mergeOne(
  database: NodeDatabase,
  all: readonly Commit[],
  pick: number
): Promise<void> {
  const count = await heldCommits(database)
  for (let at = 0; at < all.length; at += 1) {
    const commit = present(all[(at + pick) % all.length], 'a commit')
    await database.merge([commit])
    if ((await heldCommits(database)) > count) return
  }
}

async function heldCommits(database: NodeDatabase): Promise<number> {
  return (await database.status()).commits
}

function shownChange({ id, key, old, new: now, restated, causes }: ViewChange): unknown {
  return { id, key, old, new: now, restated, causes: causes.map((cause) => cause.key) }
}

type Covered = ReadonlyMap<string, IndexedEvent>

/** What a step from one set of events to another changes of a view's rows. */
function changesBetween(program: ViewProgram, old: Covered, now: Covered): unknown[] {
  const rowsOf = (covered: Covered): readonly ModelRow[] =>
    keyedRows(program, countedOf([...covered.values()], program.events))
  const [before, after] = [rowsOf(old), rowsOf(now)]
  const changes: unknown[] = []
  for (const key of keysOf([...before, ...after])) {
    const ofKey = (rows: readonly ModelRow[]): ModelRow[] =>
      rows.filter((row) => compareViewKeys(row.key, key) === 0)
    const moved = movedIn(ofKey(before), ofKey(after)).map((each) => {
      const event = present(now.get(each.place), 'an event')
      return { ...each, event, cause: each.isGone ? putOut(event, old, now) : event }
    })
    const causeKeys = (events: readonly IndexedEvent[]): string[] => {
      const distinct = new Map(events.map((event) => [placeText(event), event]))
      return [...distinct].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, event]) => keyText(event))
    }
    if (program.type === 'map' && program.reducer === undefined) {
      for (const { place, event, cause, isLate, isGone } of moved) {
        const rows = ofKey(isGone ? before : after).filter((row) => placeText(row) === place)
        const common = { id: keyText(event), key, restated: isLate, causes: causeKeys([cause]) }
        for (const { value } of rows) {
          const [gone, come] = isGone ? [value, undefined] : [undefined, value]
          changes.push({ ...common, old: gone, new: come })
        }
      }
      continue
    }
    const result = (covered: Covered): Json | undefined => resultOf(program, covered, key)
    const [was, is] = [result(old), result(now)]
    if (isDeepStrictEqual(was, is)) continue
    const causes = causeKeys(moved.map(({ cause }) => cause))
    const restated = moved.some(({ isLate }) => isLate)
    changes.push({ id: undefined, key, old: was, new: is, restated, causes })
  }
  return changes
}

function keysOf(rows: readonly ModelRow[]): Json[] {
  const keys = rows.map(({ key }) => key).sort(compareViewKeys)
  return keys.filter((key, at) => at === 0 || compareViewKeys(key, keys[at - 1] ?? null) !== 0)
}

interface Moved {
  readonly place: string
  readonly isGone: boolean
  readonly isLate: boolean
}

/** Events whose rows of one key came or went, in event order. */
function movedIn(before: readonly ModelRow[], after: readonly ModelRow[]): Moved[] {
  const [held, now] = [before.map(placeText), after.map(placeText)]
  const places = [...new Set([...held, ...now])].sort()
  return places.flatMap((place) => {
    if (held.includes(place) && now.includes(place)) return []
    const isGone = held.includes(place)
    return [{ place, isGone, isLate: isGone || held.some((each) => each > place) }]
  })
}

/** Of what came the event by which another is out. */
function putOut(event: IndexedEvent, old: Covered, now: Covered): IndexedEvent {
  const fresh = [...now].filter(([place]) => !old.has(place)).map(([, each]) => each)
  const last = (target: string | undefined, from = ''): IndexedEvent | undefined =>
    fresh
      .filter((each) => target !== undefined && targetOf(each) === target && placeText(each) > from)
      .sort((a, b) => (placeText(a) < placeText(b) ? -1 : 1))
      .at(-1)
  const nearest = last(keyText(event)) ?? last(targetOf(event), placeText(event))
  return present(nearest ?? passedFor(event, old, now), 'what put it out')
}

/** Rows of a map; of a fold one for each event of an aggregate. */
function keyedRows(program: ViewProgram, events: readonly IndexedEvent[]): readonly ModelRow[] {
  if (program.type === 'map') return modelRows(program, events, NO_LIMITS).rows
  return events.flatMap(({ event, place, recorded }) => {
    const [outcome] = program.keysOf([event])
    if (outcome === undefined || 'fault' in outcome) return []
    const selected = program.select === undefined ? outcome : program.select([event])[0]
    if (selected === undefined || 'fault' in selected) return []
    return [{ key: outcome.value, value: null, place, number: 0, recorded }]
  })
}

function resultOf(program: ViewProgram, covered: Covered, key: Json): Json | undefined {
  const asked = { ranges: [{ key }], descending: false, skip: 0, limit: 1, reduce: 'keys' } as const
  const times = { before: undefined, recordedBy: undefined }
  const events = countedOf([...covered.values()], program.events)
  return answerOf(program, events, { ...asked, ...times }).rows[0]?.value
}

/** Rows by name, how often each: what a reader makes of an answer and of what is told from there on. */
class FollowedRows {
  readonly #isReduced: boolean
  #rows: string[] = []

  constructor(isReduced: boolean) {
    this.#isReduced = isReduced
  }

  async begin(view: View): Promise<ViewAnswer> {
    const answer = await view.query(this.#isReduced ? { group: true } : {})
    // Another definition may have answered than the one that was meant.
    if ((answer.total_rows === undefined) !== this.#isReduced) throw refused()
    this.#rows = answer.rows.map((row) => JSON.stringify([row.id, row.key, row.value]))
    return answer
  }

  apply({ id, key, old, new: now }: ViewChange): void {
    if (old !== undefined) {
      const at = this.#rows.indexOf(JSON.stringify([id, key, old]))
      expect(at, `${JSON.stringify([id, key, old])} is there`).toBeGreaterThanOrEqual(0)
      this.#rows.splice(at, 1)
    }
    if (now !== undefined) this.#rows.push(JSON.stringify([id, key, now]))
  }

  shown(): string[] {
    return [...this.#rows].sort()
  }
}

function refused(): LaterbaseError {
  return new LaterbaseError('LATERBASE_ARGUMENT_INVALID', 'not asked as it should be')
}

/** Asks, follows, and asks anew whenever it is told that it missed something. */
class Follower {
  rows: FollowedRows
  restarts = 0
  failure: unknown
  readonly #database: NodeDatabase
  readonly #end = new AbortController()
  readonly #following: Promise<void>

  constructor(database: NodeDatabase, isReduced: () => boolean) {
    this.#database = database
    this.rows = new FollowedRows(isReduced())
    this.#following = this.#follow(isReduced).catch((error: unknown) => {
      this.failure = error
    })
  }

  async end(): Promise<void> {
    this.#end.abort()
    await this.#following
  }

  async #follow(isReduced: () => boolean): Promise<void> {
    const { signal } = this.#end
    while (!signal.aborted) {
      try {
        const view = await this.#database.views.get('followed')
        const rows = new FollowedRows(isReduced())
        const since = await rows.begin(view)
        this.rows = rows
        for await (const change of view.changes({ since, signal })) rows.apply(change)
      } catch (error) {
        this.restarts += 1
        const code = error instanceof LaterbaseError ? error.code : undefined
        // Asked while it became another one: rows of one definition are not groups of the other.
        if (code !== 'LATERBASE_CHANGES_LOST' && code !== 'LATERBASE_ARGUMENT_INVALID') throw error
        await settled()
      }
    }
  }
}

/** Of several at one time nobody can say which is the last. */
function withOneDefinition<T extends object>(actions: readonly T[]): T[] {
  const first = actions.findIndex((action) => 'define' in action)
  return actions.filter((action, at) => !('define' in action) || at === first)
}

test('an answer and the changes from there are a later answer, for readers at any time, of any definition', async () => {
  makeSmall({ RUN_BITS: 1, EVENTS_AT_ONCE: 2 })
  const action = fc.oneof(
    {
      weight: 4,
      arbitrary: fc.tuple(fc.nat(), fc.integer({ min: 1, max: 4 })).map((merge) => ({ merge }))
    },
    { weight: 2, arbitrary: appended.map((append) => ({ append })) },
    {
      weight: 2,
      arbitrary: fc.constantFrom(true, false, 'lazy' as const).map((query) => ({ query }))
    },
    { weight: 1, arbitrary: fc.constant({ reader: true }) },
    { weight: 1, arbitrary: definitions.map((define) => ({ define })) }
  )
  const seen = { restarts: 0, readers: 0 }
  await fc.assert(
    fc.asyncProperty(
      forest,
      definitions,
      fc.array(fc.array(action, { minLength: 1, maxLength: 3 }), { maxLength: 10 }),
      fc.nat(),
      async (all, first, history, seed) => {
        // A disk that takes its time has more happen between any two of its answers.
        const disk = new DerivedDisk(seededRng(seed))
        const openViews = (anew: boolean): Promise<DerivedStore> => disk.open(anew)
        const database = await databaseOf(all.slice(0, 2), { openViews })
        let name = first
        const define = async (next: string): Promise<void> => {
          name = next
          await database.views.defineAny(viewOf(next))
        }
        const isReduced = (): boolean => kindOf(definitionOf(name)) !== 'rows'
        await define(first)
        await (await database.views.get('followed')).refresh()
        const followers = [new Follower(database, isReduced)]
        const run = async (
          each: typeof action extends fc.Arbitrary<infer T> ? T : never
        ): Promise<void> => {
          if ('merge' in each) {
            const [pick, count] = each.merge
            const from = pick % Math.max(1, all.length)
            await database.merge(withAncestors(all, all.slice(from, from + count)))
          } else if ('append' in each) await write(database, each.append)
          else if ('define' in each) await define(each.define)
          else if ('reader' in each) followers.push(new Follower(database, isReduced))
          else await (await database.views.get('followed')).query({ update: each.query })
        }
        for (const actions of history) await Promise.all(withOneDefinition(actions).map(run))
        const view = await database.views.get('followed')
        while ((await view.info()).state !== 'ready') await settled()
        const final = new FollowedRows(isReduced())
        await final.begin(view)
        for (const follower of followers) {
          const isThere = (): boolean => isDeepStrictEqual(follower.rows.shown(), final.shown())
          for (let tries = 0; tries < 300 && !isThere(); tries += 1) await settled()
          expect(follower.failure).toBeUndefined()
          expect(follower.rows.shown()).toEqual(final.shown())
          await follower.end()
          seen.restarts += follower.restarts
          seen.readers += 1
        }
        await database.close()
      }
    ),
    { numRuns: RUNS }
  )
  expect(seen.readers).toBeGreaterThan(RUNS)
  expect(seen.restarts).toBeGreaterThan(0)
}, 3_600_000)
