/** Definitions as events: which one counts follows from the set of events and from who is trusted. */

import fc from 'fast-check'
import { describe, expect, test, vi } from 'vitest'

import { present } from '../../src/core/assert.ts'
import { compareBytes } from '../../src/core/bytes.ts'
import { sealCommit } from '../../src/core/commit.ts'
import type { Commit, CommitEvent } from '../../src/core/commit.ts'
import { KEY_TIME_MS_MAX, eventKey } from '../../src/core/event-key.ts'
import type { Json } from '../../src/core/json.ts'
import { emptyTip } from '../../src/core/log.ts'
import type { NodeDatabase } from '../../src/node/database.ts'
import {
  contentOf,
  definedMs,
  definitionEvent,
  mayDefine,
  readDefinition
} from '../../src/node/definition-events.ts'
import type { DefinedName } from '../../src/node/definition-events.ts'
import type { DefinitionsInit } from '../../src/node/definitions.ts'
import { systemHasher as hasher } from '../../src/node/system.ts'
import { canonicalJson } from '../../src/schema/canonical-json.ts'
import { createMemoryStore } from '../../src/store/memory-store.ts'
import { makeSmall } from '../fixtures/small-limits.ts'
import { DATABASE, SIGNERS, bytes, event, keys, logOf, seededRng } from './arbitraries.ts'
import { OWNER_SIGNER, databaseOn } from './forest.ts'

vi.mock('../../src/node/limits.ts', async (original) => {
  const { smallable } = await import('../fixtures/small-limits.ts')
  return smallable(await original())
})

const [TRUSTED, STRANGER] = [0, 1]
const trusts: DefinitionsInit['trusts'] = (author) =>
  [TRUSTED, 2].some(
    (signer) => compareBytes(author, present(SIGNERS[signer], 'a signer').publicKey) === 0
  )

const names: fc.Arbitrary<DefinedName> = fc.oneof(
  fc.record({ type: fc.constant('laterbase.view' as const), name: fc.constantFrom('a', 'b') }),
  fc.record(
    {
      type: fc.constant('laterbase.schema' as const),
      name: fc.constantFrom('a', 'b', '["a"'),
      version: fc.constantFrom('v1', 'v2')
    },
    { requiredKeys: ['type', 'name'] }
  )
)
const contents = fc.option(
  fc.jsonValue().map((value) => JSON.parse(JSON.stringify(value)) as Json),
  { nil: undefined }
)
const times = fc.oneof(
  fc.integer({ min: 0, max: 5 }),
  fc.constantFrom(KEY_TIME_MS_MAX, Date.UTC(2026, 0))
)

interface Written {
  readonly of: DefinedName
  readonly content: Json | undefined
  readonly nowMs: number
  readonly signer: number
}

const written: fc.Arbitrary<Written> = fc.record({
  of: names,
  content: contents,
  nowMs: times,
  signer: fc.constantFrom(TRUSTED, STRANGER)
})

function eventOf({ of, content, nowMs }: Written): CommitEvent {
  const made = definitionEvent(of, content, { nowMs, above: undefined, hasher })
  return present(made, 'nothing is held that it has to pass')
}

function commitOf(events: readonly CommitEvent[], signer: number, salt: number): Commit {
  const { publicKey } = present(SIGNERS[signer], 'a signer')
  const tip = emptyTip({ ...logOf(signer) })
  const recorded = BigInt(salt + 1)
  const draft = { origin: tip.origin, firstSeq: 1, previous: tip.hash, recorded, events }
  expect(publicKey).toEqual(tip.origin.genesis.publicKey)
  return sealCommit(draft, present(SIGNERS[signer], 'a signer'), hasher)
}

/** Branches of one log each, so that commits come in any order. */
async function databaseWith(all: readonly Written[]): Promise<NodeDatabase> {
  const database = emptyDatabase()
  await database.definitions.load()
  for (const [index, each] of all.entries()) {
    await database.merge([commitOf([eventOf(each)], each.signer, index)])
  }
  return database
}

function emptyDatabase(): NodeDatabase {
  const rng = seededRng(1)
  const owner = { database: DATABASE, publicKey: OWNER_SIGNER.publicKey }
  return databaseOn(createMemoryStore({ owner, hasher, rng }), { rng, trusts })
}

function shown(database: NodeDatabase): unknown {
  const { definitions } = database
  const types = ['laterbase.view', 'laterbase.schema'] as const
  return types.map((type) => ({
    counting: definitions.list(type).map(({ event: each }) => [each.of, contentOf(each)]),
    ignored: definitions.ignored(type).map(({ event: each }) => [each.of, contentOf(each)])
  }))
}

/** The rule, over the whole set: the newest of each name by those who are trusted. */
function expected(all: readonly Written[]): unknown {
  const order = (a: Written, b: Written): number => {
    const [left, right] = [eventOf(a), eventOf(b)]
    return compareBytes(left.key, right.key) || compareBytes(left.hash, right.hash)
  }
  const newest = (those: readonly Written[], of: DefinedName): Written | undefined =>
    those
      .filter((each) => canonicalJson(each.of) === canonicalJson(of))
      .toSorted(order)
      .at(-1)
  const isTrusted = ({ signer }: Written): boolean => signer === TRUSTED
  const distinct = [
    ...new Map(all.map(({ of }) => [`${of.type} ${nameText(of)}`, of])).entries()
  ].sort(([a], [b]) => (a < b ? -1 : 1))
  return (['laterbase.view', 'laterbase.schema'] as const).map((type) => {
    const ofType = distinct.map(([, of]) => of).filter((of) => of.type === type)
    const counting = ofType.flatMap((of) => newest(all.filter(isTrusted), of) ?? [])
    const ignored = ofType.flatMap((of) => {
      const other = newest(
        all.filter((each) => !isTrusted(each)),
        of
      )
      if (other === undefined) return []
      const ours = newest(all.filter(isTrusted), of)
      return ours === undefined || order(other, ours) > 0 ? [other] : []
    })
    const show = (those: Written[]): unknown[] =>
      those.filter(({ content }) => content !== undefined).map(({ of, content }) => [of, content])
    return { counting: show(counting), ignored: show(ignored) }
  })
}

function nameText({ name, version }: DefinedName): string {
  return JSON.stringify(version === undefined ? [name] : [name, version])
}

describe('a definition', () => {
  test('is read back from its event: its name, what it says, and when it was made', () => {
    fc.assert(
      fc.property(written, (each) => {
        const made = eventOf(each)
        const read = present(readDefinition(made), 'a definition')
        expect(read.of).toEqual(each.of)
        expect(contentOf(read)).toEqual(each.content)
        expect(read.isDeleted).toBe(each.content === undefined)
        expect(definedMs(read)).toBe(each.nowMs)
        expect(mayDefine(made.key)).toBe(true)
      })
    )
  })

  test('is what a node writes, and nothing else with such a key or such a type', () => {
    const key = eventKey(new Uint8Array(16).fill(7, 6))
    const values = [
      '{"data":{"definition":1,"name":"a"},"type":"laterbase.other"}',
      '{"data":{"definition":1,"name":"a"},"subject":"s","type":"laterbase.view"}',
      '{"data":{"deleted":true,"definition":1,"name":"a"},"type":"laterbase.view"}',
      '{"data":{"definition":1,"name":"a", "x":1},"type":"laterbase.view"}',
      '{"data":{"definition":1,"name":"a","x":1},"type":"laterbase.view"}',
      '{"data":{"definition":1,"name":"a","version":"v1"},"type":"laterbase.view"}',
      '{"data":{"definition":1,"name":"a","version":1},"type":"laterbase.schema"}',
      '{"data":{"definition":1,"name":""},"type":"laterbase.view"}',
      '{"data":{"definition":1},"type":"laterbase.view"}',
      '{"data":{"deleted":false,"name":"a"},"type":"laterbase.view"}',
      '{"data":{"name":"a","definition":1},"type":"laterbase.view"}',
      '{"data":{"name":"a"},"type":"laterbase.view"}',
      '{"data":[{}],"x":{},"type":"laterbase.view"}',
      '{"type":"laterbase.view"}',
      '},"type":"laterbase.view"}'
    ]
    for (const value of values) expect(readDefinition(event(key, value)), value).toBeUndefined()
    const good = '{"data":{"definition":1,"name":"a"},"type":"laterbase.view"}'
    expect(readDefinition(event(key, good))?.of).toEqual({ type: 'laterbase.view', name: 'a' })
    expect(readDefinition(event(eventKey(new Uint8Array(16).fill(1)), good))).toBeUndefined()
  })

  test('is never taken for one from other bytes, and no bytes are a fault', () => {
    fc.assert(
      fc.property(keys(), bytes(40), written, fc.nat(), (key, value, each, at) => {
        readDefinition({ key, value, hash: value })
        const made = eventOf(each)
        const changed = Uint8Array.from(made.value)
        changed[at % changed.length] = value[0] ?? 0
        const read = readDefinition({ ...made, value: changed })
        if (read !== undefined)
          expect(canonicalJson(JSON.parse(Buffer.from(changed).toString()))).toBeTypeOf('string')
      })
    )
  })
})

describe('the definition that counts', () => {
  test('is the newest of its name by those who are trusted, in whatever order all of them came', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(written, { maxLength: 8 }), fc.boolean(), async (all, reversed) => {
        const database = await databaseWith(reversed ? all.toReversed() : all)
        expect(shown(database)).toEqual(expected(all))
      })
    )
  })

  test('is the same after another start', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(written, { maxLength: 6 }), async (all) => {
        const database = await databaseWith(all)
        const again = databaseOn(database.store, { trusts })
        await again.definitions.load()
        expect(shown(again)).toEqual(shown(database))
      })
    )
  })

  test('is what was written last, whatever clocks had written before', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(written, { maxLength: 5 }),
        names,
        contents,
        async (all, of, content) => {
          const held = all.filter(
            ({ nowMs, signer }) => nowMs < KEY_TIME_MS_MAX || signer === STRANGER
          )
          const database = await databaseWith(held)
          await database.definitions.put(of, { first: 1 })
          expect(await database.definitions.put(of, content ?? { last: 1 })).toBe(true)
          const { event: counting } = present(database.definitions.get(of), 'what was put')
          expect(contentOf(counting)).toEqual(content ?? { last: 1 })
          // The same again writes nothing.
          const commits = database.store.arrival()
          expect(await database.definitions.put(of, content ?? { last: 1 })).toBe(false)
          expect(database.store.arrival()).toBe(commits)
          await database.definitions.put(of, undefined)
          expect(database.definitions.get(of)).toBeUndefined()
        }
      )
    )
  })

  test('cannot be replaced where a node that is trusted has taken the end of time', async () => {
    const of: DefinedName = { type: 'laterbase.view', name: 'a' }
    const database = await databaseWith([
      { of, content: 1, nowMs: KEY_TIME_MS_MAX, signer: TRUSTED }
    ])
    await expect(database.definitions.put(of, 2)).rejects.toMatchObject({
      code: 'LATERBASE_ARGUMENT_INVALID'
    })
  })
})

describe('definitions of members', () => {
  const schema = (name: string): DefinedName => ({ type: 'laterbase.schema', name })

  test('beyond their number count for the lowest names, in whatever order they came', async () => {
    makeSmall({ DEFINITIONS_MAX: 3 })
    const all = ['d', 'a', 'e', 'c', 'b'].map((name) => {
      return { of: schema(name), content: 1, nowMs: 1, signer: TRUSTED }
    })
    for (const order of [all, all.toReversed()]) {
      const { definitions } = await databaseWith(order)
      const kept = definitions.list('laterbase.schema').map(({ event: each }) => each.of.name)
      expect(kept).toEqual(['a', 'b', 'c'])
      await expect(definitions.put(schema('x'), 1)).rejects.toMatchObject({
        code: 'LATERBASE_TOO_LARGE'
      })
      expect(await definitions.put(schema('a'), 2)).toBe(true)
    }
  })

  test('that are too large are ordinary events, and are not written', async () => {
    const { value } = eventOf({ of: schema('a'), content: 1, nowMs: 1, signer: TRUSTED })
    makeSmall({ DEFINITION_BYTES_MAX: value.length })
    const database = await databaseWith([
      { of: schema('a'), content: 1, nowMs: 1, signer: TRUSTED }
    ])
    expect(database.definitions.list('laterbase.schema')).toHaveLength(1)
    await expect(database.definitions.put(schema('a'), 22)).rejects.toMatchObject({
      code: 'LATERBASE_TOO_LARGE'
    })
    makeSmall({ DEFINITION_BYTES_MAX: value.length - 1 })
    const made = event(eventKey(new Uint8Array(16)), Buffer.from(value).toString())
    expect(readDefinition(made)).toBeUndefined()
  })

  test('are kept without what they came with', async () => {
    const made = eventOf({ of: schema('a'), content: 1, nowMs: 1, signer: TRUSTED })
    const frame = Buffer.alloc(1_048_576)
    frame.set(made.value, 1_000)
    const value = frame.subarray(1_000, 1_000 + made.value.length)
    const database = emptyDatabase()
    await database.definitions.load()
    await database.merge([commitOf([{ ...made, value }], TRUSTED, 1)])
    const kept = database.definitions.list('laterbase.schema').map(({ event: each }) => each)
    expect(kept.map(contentOf)).toEqual([1])
    for (const each of kept) expect(each.value.buffer.byteLength).toBeLessThan(frame.length)
  })

  test('are looked for among so many events of 1970, and no more', async () => {
    const database = emptyDatabase()
    const flood = Array.from({ length: 30 }, (_, index) => {
      return event(eventKey(new Uint8Array(16).fill(0, 0, 15).fill(index, 15)), '{"data":1}')
    })
    await database.merge([commitOf(flood, STRANGER, 1)])
    await database.definitions.put(schema('a'), 1)
    const found = async (max: number): Promise<number> => {
      makeSmall({ DEFINITION_SCAN_MAX: max, DEFINITION_SCAN_CHUNK: 10 })
      const { definitions } = databaseOn(database.store, { trusts })
      await definitions.load()
      return definitions.list('laterbase.schema').length
    }
    expect([await found(30), await found(40)]).toEqual([0, 1])
  })
})

test('an ordinary event cannot say that it is a definition', async () => {
  const database = emptyDatabase()
  const refused = database.append([{ data: 1 }, { data: {}, type: 'laterbase.view' }])
  await expect(refused).rejects.toMatchObject({
    code: 'LATERBASE_EVENT_INVALID',
    problems: [{ pointer: '/1/type' }]
  })
})
