/** Everything that can be done to a database, done to a real one and to the model, and compared. */

import fc from 'fast-check'
import { expect } from 'vitest'

import { emptyTip } from '../../src/core/log.ts'
import { present } from '../../src/core/assert.ts'
import { sealCommit } from '../../src/core/commit.ts'
import type { Commit } from '../../src/core/commit.ts'
import { eventKey, formatEventKey } from '../../src/core/event-key.ts'
import type { NodeDatabase } from '../../src/node/database.ts'
import type { ChangesPage, EventInput, RecordedEvent } from '../../src/node/laterbase.ts'
import { systemHasher } from '../../src/node/system.ts'
import { event } from './arbitraries.ts'
import { sha256 } from './database-model.ts'
import type { DatabaseModel, EventName } from './database-model.ts'
import { OWNER_SIGNER, databaseOf, fetchInto, withAncestors } from './forest.ts'

/** A database, and how it is closed and opened anew. */
export interface RealDatabase {
  database: NodeDatabase
  /** What others have written, of which the commands merge parts. */
  readonly forest: readonly Commit[]
  reopen(): Promise<void>
}

type Command = fc.AsyncCommand<DatabaseModel, RealDatabase>
type Run = (model: DatabaseModel, real: RealDatabase) => Promise<void>

export function databaseCommands(maxCommands: number): fc.Arbitrary<Iterable<Command>> {
  const offered = fc.oneof(
    { weight: 12, arbitrary: fc.record({ key: someKey, data: content }) },
    { weight: 4, arbitrary: fc.record({ key: someKey, data: content, type: kind }) },
    { weight: 6, arbitrary: fc.record({ data: content, type: kind }) },
    { weight: 4, arbitrary: fc.record({ data: content, time: pastTime }) },
    { weight: 1, arbitrary: fc.constant({ type: 'without data' }) },
    {
      weight: 1,
      arbitrary: fc.record({ data: content, time: fc.constant('9000-01-01T00:00:00Z') })
    }
  )
  const commands = [
    fc.tuple(fc.array(offered, { minLength: 1, maxLength: 4 }), fc.boolean()).map(appendCommand),
    fc.array(someKey, { maxLength: 4 }).map(readCommand),
    fc.tuple(fc.option(someKey), fc.option(someKey), fc.boolean()).map(rangeCommand),
    fc.constant(named('conflicts', conflicts)),
    fc.tuple(fc.nat(), fc.integer({ min: 1, max: 6 }), fc.boolean()).map(followCommand),
    fc.tuple(fc.nat(), kind).map(filterCommand),
    fc.tuple(fc.nat(), fc.integer({ min: 1, max: 5 }), fc.boolean()).map(mergeCommand),
    fc.tuple(fc.integer({ min: 0, max: 9 }), someContent).map(cloneCommand),
    fc.constant(named('reopen', async (_model, real) => real.reopen())),
    fc.constant(named('status', status))
  ]
  return fc.commands(commands, { maxCommands, size: 'max' })
}

function named(name: string, run: Run): Command {
  return { check: () => true, run, toString: () => name }
}

function appendCommand([events, partial]: [EventInput[], boolean]): Command {
  return named(`append ${JSON.stringify(events)} ${partial}`, async (model, { database }) => {
    const expected = model.expect(events, partial)
    const written = database.append(events, partial ? { onError: 'proceed' } : {})
    if (expected.type === 'refused') {
      await expect(written).rejects.toMatchObject({ code: expected.code })
      return
    }
    const { lc, results } = await written
    for (const [index, { status, key, value }] of expected.results.entries()) {
      const result = present(results[index], 'a result for every event')
      expect(result.status).toBe(status)
      if (result.status === 'rejected') continue
      expect(result.hash).toBe(sha256(value))
      if (key !== undefined) expect(result.key).toBe(key)
      if (key === undefined) expect(model.contents.has(result.key)).toBe(false)
      model.hold(result.key, value)
    }
    expect(results).toHaveLength(expected.results.length)
    if (expected.results.some((each) => each.status === 'created')) model.ownCommits += 1
    model.handOut(lc, model.all())
  })
}

function readCommand(keys: string[]): Command {
  return named(`read ${keys.join()}`, async (model, { database }) => {
    const events = await database.getMany(keys)
    expect(events.map(shown)).toEqual(keys.map((key) => lowestOf(model, key)))
    for (const key of keys) expect(shown(await database.get(key))).toEqual(lowestOf(model, key))
  })
}

function rangeCommand([from, to, reverse]: [string | null, string | null, boolean]): Command {
  return named(`range ${from} ${to} ${reverse}`, async (model, { database }) => {
    const bounds = { ...(from !== null && { from }), ...(to !== null && { to }) }
    const events: RecordedEvent[] = []
    for await (const each of database.range({ ...bounds, reverse })) events.push(each)
    const keys = model.keys().filter((key) => (from ?? '') <= key && key < (to ?? 'Z'))
    if (reverse) keys.reverse()
    expect(events.map(shown)).toEqual(keys.map((key) => lowestOf(model, key)))
  })
}

const conflicts: Run = async (model, { database }) => {
  const found: [string, string[]][] = []
  for await (const { key, events } of database.conflicts()) {
    found.push([key, events.map(({ hash }) => hash)])
  }
  const keys = model.keys().filter((key) => model.valuesOf(key).length > 1)
  expect(found).toEqual(keys.map((key) => [key, model.valuesOf(key).map(sha256)]))
}

/** Goes on from a cursor that was handed out at any time, to the end, page by page. */
function followCommand([pick, limit, portable]: [number, number, boolean]): Command {
  return named(`follow ${pick} ${limit} ${portable}`, async (model, { database }) => {
    const from = present(model.handed[pick % model.handed.length], 'one of the cursors')
    const seen = new Set<EventName>(from.seen)
    let since = from.cursor
    for (;;) {
      const page = await database.changesPage({ since, limit })
      expect(page.changes.length).toBeLessThanOrEqual(limit)
      expectRising(page)
      for (const { lc, event: fed } of page.changes) {
        const name = `${fed.key} ${fed.hash}`
        expect(seen.has(name), `${name} is fed once`).toBe(false)
        seen.add(name)
        model.handOut(lc, new Set(seen))
      }
      model.handOut(page.lastLc, new Set(seen))
      model.handOut(page.lastVersion, new Set(seen))
      if (page.pending === 0) break
      const next = portable ? page.lastVersion : page.lastLc
      expect(next, 'a page with more to come moves on').not.toBe(since)
      since = next
    }
    expect(seen).toEqual(model.all())
    // The oldest stay: what was handed out is good for ever.
    if (model.handed.length > CURSORS_KEPT) model.handed.splice(CURSORS_KEPT / 2, pick % 200)
  })
}

function filterCommand([pick, type]: [number, string]): Command {
  return named(`filter ${pick} ${type}`, async (model, { database }) => {
    const from = present(model.handed[pick % model.handed.length], 'one of the cursors')
    const { changes, lastLc } = await database.changesPage({
      since: from.cursor,
      filter: { type },
      limit: 10_000
    })
    const left = [...model.all()].filter((name) => !from.seen.has(name))
    const wanted = left.filter((name) => {
      const [key = '', hash = ''] = name.split(' ')
      return model.contents.get(key)?.get(hash)?.includes(`"type":"${type}"`)
    })
    expect(changes.map((each) => `${each.event.key} ${each.event.hash}`).sort()).toEqual(
      wanted.sort()
    )
    model.handOut(lastLc, model.all())
  })
}

/** Commits of others, as peers bring them: in order, but perhaps without what they follow. */
function mergeCommand([pick, count, whole]: [number, number, boolean]): Command {
  return named(`merge ${pick} ${count} ${whole}`, async (model, { database, forest }) => {
    const from = pick % Math.max(1, forest.length)
    const chosen = forest.slice(from, from + count)
    const commits = whole ? withAncestors(forest, chosen) : chosen
    const expected = model.merge(commits)
    expect(await database.merge(commits)).toBe(expected)
  })
}

/** A copy of this disk writes on in our log, after its last commit or an earlier one. */
function cloneCommand([back, text]: [number, string]): Command {
  return named(`clone ${back} ${text}`, async (model, { database }) => {
    const { store } = database
    const log = store.log(store.ownLog.id)
    const afterSeq = Math.max(0, (log?.tip.seq ?? 0) - back)
    const [held] =
      log === undefined || afterSeq === 0 ? [] : await store.commits(log, afterSeq - 1, 1)
    const tip = emptyTip(store.ownLog)
    const commit = sealCommit(
      {
        origin: store.ownLog,
        firstSeq: held === undefined ? 1 : held.firstSeq + held.keys.length,
        previous: held?.hash ?? tip.hash,
        recorded: (held?.recorded ?? 0n) + 1n,
        events: [event(eventKey(smallKey(back)), text)]
      },
      OWNER_SIGNER,
      systemHasher
    )
    const [next] = log === undefined ? [] : await store.commits(log, commit.firstSeq - 1, 1)
    // The same events in the same millisecond: the copy wrote the very commit that we did.
    if (next !== undefined && Buffer.compare(next.hash, commit.hash) === 0) {
      expect(await database.merge([commit])).toBe(0)
      return
    }
    const before = store.incarnation
    expect(await database.merge([commit])).toBe(1)
    model.commits.add(Buffer.from(commit.hash).toString('hex'))
    model.hold(formatEventKey(eventKey(smallKey(back))), text)
    expect(store.incarnation).not.toBe(before)
    expect(store.ownLog.id).not.toBe(commit.origin.id)
  })
}

const status: Run = async (model, { database }) => {
  const { events, digest, lc, version, logs } = await database.status()
  expect(events).toBe(model.all().size)
  const held = [...model.commits].sort().join() + model.ownCommits
  const known = model.digests.get(held)
  if (known === undefined) expect([...model.digests.values()]).not.toContain(digest)
  else expect(digest).toBe(known)
  model.digests.set(held, digest)
  expect(database.digest()).toBe(digest)
  expect(logs.filter(({ own }) => own).length).toBeLessThanOrEqual(1)
  for (const cursor of [lc, version]) {
    model.handOut(cursor, model.all())
    expect((await database.changesPage({ since: cursor })).pending).toBe(0)
  }
}

/** A node that has nothing fetches everything, and is equal; its feed and its reads are the same. */
export async function expectReplica(model: DatabaseModel, database: NodeDatabase): Promise<void> {
  const replica = await databaseOf([], { seed: 99 })
  await fetchInto(replica, database)
  expect(replica.digest()).toBe(database.digest())
  const { changes } = await replica.changesPage({ limit: 100_000 })
  const fed = changes.map((each) => `${each.event.key} ${each.event.hash}`)
  expect(fed.length).toBe(new Set(fed).size)
  expect(new Set(fed)).toEqual(model.all())
  await readCommand(model.keys()).run(model, { ...NO_REAL, database: replica })
}

const NO_REAL = { forest: [], reopen: async (): Promise<void> => undefined }
/** Cursors of which a reader may come back with any. */
const CURSORS_KEPT = 400

function lowestOf(model: DatabaseModel, key: string): unknown {
  const [lowest, ...others] = model.valuesOf(key)
  if (lowest === undefined) return undefined
  const conflict = others.length > 0
  const time = new Date(Number.parseInt(timeBits(key), 2)).toISOString()
  const mark = conflict ? '"conflict":true,' : ''
  const json = `{"key":"${key}","time":"${time}",${mark}${lowest.slice(1)}`
  return { key, time, hash: sha256(lowest), conflict, json }
}

function shown(found: RecordedEvent | undefined): unknown {
  if (found === undefined) return undefined
  const { key, time, hash, conflict, json } = found
  return { key, time, hash, conflict, json }
}

/** The first ten characters of a ULID are its time: read here without the code under test. */
function timeBits(key: string): string {
  const digit = (character: string): string =>
    '0123456789ABCDEFGHJKMNPQRSTVWXYZ'.indexOf(character).toString(2).padStart(5, '0')
  return Array.from(key.slice(0, 10), digit).join('')
}

function expectRising({ changes }: ChangesPage): void {
  const times = changes.map((each) => each.event.recorded)
  expect(times).toEqual([...times].sort())
}

function smallKey(value: number): Uint8Array {
  const key = new Uint8Array(16)
  key[5] = value >> 2
  key[15] = value & 3
  return key
}

/** Few keys and contents, the same that the commits of others have. */
const someKey = fc.integer({ min: 0, max: 14 }).map((value) => {
  return formatEventKey(eventKey(smallKey(value)))
})
const content = fc.integer({ min: 0, max: 2 })
const someContent = content.map((value) => `{"data":${value}}`)
const kind = fc.constantFrom('in', 'out')
const pastTime = fc.constantFrom('1970-01-01T00:00:00.002Z', '2021-06-01T10:00:00Z')
