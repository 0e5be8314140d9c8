/** Schemas of a database: what is refused where it enters, and what is labelled, by whichever schema. */

import { describe, expect, test } from 'vitest'

import { present } from '../../src/core/assert.ts'
import { sealCommit } from '../../src/core/commit.ts'
import { KEY_TIME_MS_MAX } from '../../src/core/event-key.ts'
import type { Json } from '../../src/core/json.ts'
import { emptyTip } from '../../src/core/log.ts'
import type { NodeDatabase } from '../../src/node/database.ts'
import { definitionEvent } from '../../src/node/definition-events.ts'
import type { EventInput } from '../../src/node/laterbase.ts'
import type { DataOf, JsonSchema, SchemaInfo, StandardSchema } from '../../src/node/schemas.ts'
import { systemHasher as hasher } from '../../src/node/system.ts'
import type { StoredEvent } from '../../src/store/event-store.ts'
import { createMemoryStore } from '../../src/store/memory-store.ts'
import { DATABASE, SIGNERS, logOf, seededRng } from '../property/arbitraries.ts'
import { OWNER_SIGNER, databaseOn } from '../property/forest.ts'

const QTY = { type: 'object', required: ['qty'], properties: { qty: { type: 'integer' } } }
const RECEIVED = 'pallet.received'

function openDatabase(trusts?: (author: Uint8Array) => boolean): NodeDatabase {
  const rng = seededRng(1)
  const owner = { database: DATABASE, publicKey: OWNER_SIGNER.publicKey }
  const store = createMemoryStore({ owner, hasher, rng })
  return databaseOn(store, { rng, ...(trusts && { trusts }) })
}

/** A commit of another node. */
async function takeFrom(
  database: NodeDatabase,
  signer: number,
  events: readonly {
    readonly key: Uint8Array
    readonly value: Uint8Array
    readonly hash: Uint8Array
  }[]
): Promise<void> {
  const tip = database.store.log(logOf(signer).id)?.tip ?? emptyTip(logOf(signer))
  const draft = {
    origin: tip.origin,
    firstSeq: tip.seq + 1,
    previous: tip.hash,
    recorded: tip.recorded + 1n,
    events: events as Parameters<typeof sealCommit>[0]['events']
  }
  await database.merge([sealCommit(draft, present(SIGNERS[signer], 'a signer'), hasher)])
}

function schemaEvent(name: string, schema: Json | undefined, nowMs = 1_000) {
  const of = { type: 'laterbase.schema', name } as const
  return present(definitionEvent(of, schema, { nowMs, above: undefined, hasher }), 'an event')
}

async function refusalOf(append: Promise<unknown>): Promise<unknown> {
  const error: unknown = await append.catch((reason: unknown) => reason)
  return (error as { problems?: unknown }).problems
}

function statesOf(schemas: readonly SchemaInfo[]): unknown[] {
  return schemas.map(({ type, version, origin, state }) => [type, version, origin, state])
}

async function labelsOf(database: NodeDatabase): Promise<unknown[]> {
  const labels: unknown[] = []
  for await (const event of database.range({ from: '1970-01-01T00:00:01Z' })) {
    labels.push(event.schemaProblems)
  }
  return labels
}

describe('an event of a type that has a schema', () => {
  test('is refused where it does not follow, with its place in the request, and nothing is written', async () => {
    const database = openDatabase()
    await database.schemas.put(RECEIVED, QTY)
    const good = { type: RECEIVED, data: { qty: 1 } }
    const bad = { type: RECEIVED, data: { qty: 'x' } }
    expect(
      await refusalOf(database.append([good, { data: 'any' }, bad, { ...bad, data: {} }]))
    ).toEqual([
      { pointer: '/2/data/qty', detail: 'must be integer' },
      { pointer: '/3/data/qty', detail: 'is required' }
    ])
    expect(await refusalOf(database.append(bad))).toEqual([
      { pointer: '/data/qty', detail: 'must be integer' }
    ])
    expect(await refusalOf(database.appendJson(JSON.stringify([bad])))).toMatchObject([
      { pointer: '/0/data/qty' }
    ])
    const { results } = await database.append([bad, good], { onError: 'proceed' })
    expect(results.map(({ status }) => status)).toEqual(['rejected', 'created'])
    expect(database.store.eventCount()).toBe(2)
    expect(await labelsOf(database)).toEqual([[]])
  })

  test('is looked at as it is stored', async () => {
    const database = openDatabase()
    await database.schemas.put(RECEIVED, { ...QTY, additionalProperties: false })
    const data = { qty: 1, more: undefined } as unknown as Json
    await database.append({ type: RECEIVED, data })
    expect(await labelsOf(database)).toEqual([[]])
  })

  test('has data, unless it takes another event back', async () => {
    const database = openDatabase()
    await database.schemas.put(RECEIVED, QTY)
    expect(await refusalOf(database.append({ type: RECEIVED, data_base64: 'AAAA' }))).toMatchObject(
      [{ pointer: '/data_base64' }]
    )
    expect(await refusalOf(database.append({ type: RECEIVED, data: null }))).toHaveLength(1)
    const corrects = '01HZZZZZZZZZZZZZZZZZZZZZZZ'
    await database.append({ type: RECEIVED, data: null, corrects })
    expect(await refusalOf(database.append({ type: RECEIVED, data: {}, corrects }))).toHaveLength(1)
  })

  test('follows the schema of its version, else the one of the type', async () => {
    const database = openDatabase()
    const { schemas } = database
    await schemas.put(RECEIVED, { type: 'number' }, { version: 'v1' })
    const event = (data: Json, schema?: string): EventInput => {
      return { type: RECEIVED, data, ...(schema !== undefined && { schema }) }
    }
    // There is none for events without a version yet.
    await database.append([event('any'), event(1, 'v1'), event('any', 'v2')])
    await schemas.put(RECEIVED, { type: 'string' })
    await database.append([event('text'), event(1, 'v1'), event('text', 'v2')])
    for (const bad of [event(1), event('text', 'v1'), event(1, 'v2')]) {
      expect(await refusalOf(database.append(bad))).toHaveLength(1)
    }
    expect(statesOf(await schemas.list())).toEqual([
      [RECEIVED, undefined, 'definition', 'enforced'],
      [RECEIVED, 'v1', 'definition', 'enforced']
    ])
  })

  test('of another database of this program needs not follow', async () => {
    const database = openDatabase()
    await database.append({ type: RECEIVED, data: {} })
    expect(database.schemas.labels()).toBeUndefined()
  })
})

describe('a schema', () => {
  test('is replaced and removed at any time, and events that were there stay', async () => {
    const database = openDatabase()
    const { schemas } = database
    await database.append({ type: RECEIVED, data: {} })
    const put = await schemas.put(RECEIVED, QTY)
    expect(put).toMatchObject({ created: true, schema: { state: 'enforced', authors: [OWNER] } })
    expect(await schemas.put(RECEIVED, QTY)).toEqual({ ...put, created: false })
    expect(await labelsOf(database)).toEqual([[{ pointer: '/data/qty', detail: 'is required' }]])
    await schemas.put(RECEIVED, true)
    expect(await labelsOf(database)).toEqual([[]])
    await schemas.put(RECEIVED, QTY)
    await schemas.remove(RECEIVED)
    await database.append({ type: RECEIVED, data: {} })
    expect([await schemas.list(), await schemas.get(RECEIVED)]).toEqual([[], undefined])
    await expect(schemas.remove(RECEIVED)).rejects.toMatchObject({
      code: 'LATERBASE_SCHEMA_UNKNOWN'
    })
  })

  test('that is none is refused with its place, and one of what nodes write themselves too', async () => {
    const { schemas } = openDatabase()
    const bad = schemas.put(RECEIVED, { properties: { qty: { type: 'figure' } } })
    await expect(bad).rejects.toMatchObject({
      code: 'LATERBASE_SCHEMA_INVALID',
      problems: expect.arrayContaining([
        expect.objectContaining({ pointer: '/properties/qty/type' })
      ])
    })
    await expect(schemas.putJson(RECEIVED, '{"const":9007199254740993}')).rejects.toMatchObject({
      code: 'LATERBASE_SCHEMA_INVALID',
      problems: [{ pointer: '/const' }]
    })
    await expect(schemas.putJson(RECEIVED, '{')).rejects.toMatchObject({
      facts: { malformed: true }
    })
    for (const type of ['', 'laterbase.view', 'x'.repeat(2_049)]) {
      await expect(schemas.put(type, true)).rejects.toMatchObject({
        code: 'LATERBASE_NAME_INVALID'
      })
    }
    const large = { title: 'x'.repeat(140_000) }
    await expect(schemas.put(RECEIVED, large)).rejects.toMatchObject({
      code: 'LATERBASE_TOO_LARGE'
    })
  })

  test('of the program stands before a definition, and is gone with it', async () => {
    const { schemas, append } = bound(openDatabase())
    await schemas.put(RECEIVED, QTY)
    await schemas.define(RECEIVED, { type: 'string' })
    await append({ type: RECEIVED, data: 'text' })
    expect(statesOf(await schemas.list())).toEqual([
      [RECEIVED, undefined, 'library', 'enforced'],
      [RECEIVED, undefined, 'definition', 'replaced']
    ])
    expect((await schemas.get(RECEIVED))?.schema).toEqual({ type: 'string' })
    await schemas.remove(RECEIVED)
    expect(await refusalOf(append({ type: RECEIVED, data: 'text' }))).toHaveLength(1)
  })
})

describe('a Standard Schema', () => {
  /** As Zod and others make one. */
  function positive(): StandardSchema<{ readonly qty: number }> {
    return {
      '~standard': {
        version: 1,
        vendor: 'test',
        validate: (value) => {
          const { qty } = value as { qty?: unknown }
          return typeof qty === 'number' && qty > 0
            ? { value: { qty: 99 } }
            : { issues: [{ message: 'above 0', path: ['qty', { key: 0 }, 'a/b'] }] }
        }
      }
    }
  }

  test('says of events what is wrong, and changes nothing of them', async () => {
    const { schemas, append, database } = bound(openDatabase())
    const received = await schemas.define(RECEIVED, positive(), { version: 'v1' })
    const written: DataOf<ReturnType<typeof positive>> = { qty: 3 }
    await append(received.event(written, { subject: 's' }))
    expect(await refusalOf(append([received.event({ qty: 0 })]))).toEqual([
      { pointer: '/0/data/qty/0/a~1b', detail: 'above 0' }
    ])
    const events: string[] = []
    for await (const event of database.range()) events.push(event.json)
    expect(events).toHaveLength(1)
    expect(JSON.parse(events[0] ?? '')).toMatchObject({
      data: { qty: 3 },
      schema: 'v1',
      subject: 's',
      type: RECEIVED
    })
    expect(await schemas.get(RECEIVED, { version: 'v1' })).toMatchObject({
      schema: undefined,
      hash: undefined
    })
  })

  test('that answers later, or throws, refuses', async () => {
    const { schemas, append } = bound(openDatabase())
    const answering = (validate: () => never | Promise<never>): StandardSchema => {
      return { '~standard': { version: 1, vendor: 'test', validate } }
    }
    await schemas.define(
      'later',
      answering(() => Promise.reject(new Error('later')))
    )
    await schemas.define(
      'throws',
      answering(() => {
        throw new Error('at once')
      })
    )
    expect(await refusalOf(append({ type: 'later', data: 1 }))).toMatchObject([
      { pointer: '/data', detail: expect.stringContaining('promise') }
    ])
    expect(await refusalOf(append({ type: 'throws', data: 1 }))).toMatchObject([
      { pointer: '/data', detail: expect.stringContaining('at once') }
    ])
  })
})

describe('a schema of another node', () => {
  const trustsFirst = (author: Uint8Array): boolean =>
    [0, 2].some(
      (signer) => SIGNERS[signer]?.publicKey.every((byte, at) => byte === author[at]) === true
    )

  test('is enforced where its author is trusted, and shown where not', async () => {
    const { append, database, schemas } = bound(openDatabase(trustsFirst))
    await takeFrom(database, 0, [schemaEvent('trusted', QTY)])
    await takeFrom(database, 1, [schemaEvent('strange', QTY)])
    expect(await refusalOf(append({ type: 'trusted', data: {} }))).toHaveLength(1)
    await append({ type: 'strange', data: {} })
    expect(statesOf(await schemas.list())).toEqual([
      ['strange', undefined, 'definition', 'untrusted'],
      ['trusted', undefined, 'definition', 'enforced']
    ])
    // While it is newer than ours, theirs is shown beside it, and ours counts.
    await schemas.put('strange', { type: 'string' })
    expect(statesOf(await schemas.list())[0]).toEqual([
      'strange',
      undefined,
      'definition',
      'enforced'
    ])
    await takeFrom(database, 1, [schemaEvent('strange', true, KEY_TIME_MS_MAX)])
    expect(statesOf(await schemas.list()).slice(0, 2)).toEqual([
      ['strange', undefined, 'definition', 'enforced'],
      ['strange', undefined, 'definition', 'untrusted']
    ])
    expect(await refusalOf(append({ type: 'strange', data: {} }))).toHaveLength(1)
  })

  test('labels what replicates, and refuses none of it', async () => {
    const { database } = bound(openDatabase())
    await database.schemas.put(RECEIVED, QTY)
    const other = openDatabase()
    for (const data of [{ qty: 1 }, { qty: 'x' }]) await other.append({ type: RECEIVED, data })
    const events: StoredEvent[] = []
    for await (const chunk of other.store.scan({})) events.push(...chunk)
    await takeFrom(database, 1, events)
    expect(await labelsOf(database)).toEqual([
      [],
      [{ pointer: '/data/qty', detail: 'must be integer' }]
    ])
    const page = await database.changesPage()
    const faults = page.changes.map(({ event }) => event.schemaProblems.length)
    expect(faults.toSorted((a, b) => a - b)).toEqual([0, 0, 1])
  })

  test('that is none, or never ends, keeps nobody from writing', async () => {
    const { append, schemas, database } = bound(openDatabase(trustsFirst))
    const wrong: JsonSchema = { type: 'figure' }
    await takeFrom(database, 0, [
      schemaEvent('wrong', wrong),
      schemaEvent('far', { $ref: 'https://example.com/schema' }),
      schemaEvent('text', 'no schema')
    ])
    for (const type of ['wrong', 'far', 'text']) await append({ type, data: {} })
    expect(statesOf(await schemas.list()).map((state) => (state as string[])[3])).toEqual([
      'invalid',
      'invalid',
      'invalid'
    ])
  })

  test('of which two contents have one key is on every node the same', async () => {
    const [one, other] = [schemaEvent(RECEIVED, { type: 'string' }), schemaEvent(RECEIVED, QTY)]
    // The same key, as no honest node makes it.
    const twin = { ...other, key: one.key }
    const hashes: unknown[] = []
    for (const order of [
      [one, twin],
      [twin, one]
    ]) {
      const { database, schemas } = bound(openDatabase())
      for (const event of order) await takeFrom(database, 0, [event])
      hashes.push((await schemas.get(RECEIVED))?.hash)
    }
    expect(hashes[0]).toBe(hashes[1])
  })
})

const OWNER = Buffer.from(OWNER_SIGNER.publicKey).toString('hex')

function bound(database: NodeDatabase): {
  readonly database: NodeDatabase
  readonly schemas: NodeDatabase['schemas']
  readonly append: (events: EventInput | readonly EventInput[]) => Promise<unknown>
} {
  return { database, schemas: database.schemas, append: (events) => database.append(events) }
}
