/** The envelope: what a client offers becomes a key and the one text of its value. */

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'

import { EVENT_BYTES_MAX } from '../../protocols/limits.ts'
import { formatEventKey, keyMinter, keyTimeMs, naturalKey } from '../../src/core/event-key.ts'
import { systemHasher } from '../../src/node/system.ts'
import { canonicalJson } from '../../src/schema/canonical-json.ts'
import { parseStoredValue, readEnvelope } from '../../src/schema/envelope.ts'
import type { AcceptedEnvelope, EnvelopeContext } from '../../src/schema/envelope.ts'
import { MEMBER_CHARACTERS_MAX } from '../../src/schema/limits.ts'
import { formatTime } from '../../src/schema/time.ts'
import { keys, seededRng } from './arbitraries.ts'

const NOW = 1_793_599_800_000
const TOLERANCE_MS = 60_000

const text = fc.string({ minLength: 1, maxLength: 20, unit: 'binary' })
const optional = fc.option(text, { nil: undefined })
const members = fc.record({
  type: optional,
  subject: optional,
  schema: optional,
  datacontenttype: optional,
  data: fc.jsonValue()
})
const times = fc.integer({ min: 0, max: NOW })

describe('the value of an event', () => {
  test('is the canonical JSON of what was offered, key and time apart', () => {
    fc.assert(
      fc.property(members, keys(), times, fc.boolean(), (offered, key, timeMs, keyed) => {
        const place = keyed ? { key: formatEventKey(key) } : { time: formatTime(timeMs) }
        const { value, hash } = accept({ ...offered, ...place }, Infinity)
        expect(Buffer.from(value).toString()).toBe(canonicalJson(offered))
        expect(hash).toEqual(systemHasher.sha256(value))
      })
    )
  })

  test('does not depend on the order in which members were offered', () => {
    fc.assert(
      fc.property(members, (offered) => {
        const reversed = Object.fromEntries(Object.entries(offered).toReversed())
        expect(accept(reversed).value).toEqual(accept(offered).value)
      })
    )
  })

  test('may be at the limit of bytes, and not above', () => {
    const fits = EVENT_BYTES_MAX - '{"data":""}'.length
    expect(accept({ data: 'x'.repeat(fits) }).value.length).toBe(EVENT_BYTES_MAX)
    expect(read({ data: 'x'.repeat(fits + 1) })).toMatchObject({ code: 'LATERBASE_TOO_LARGE' })
    // Bytes, not characters.
    expect(read({ data: '\u20ac'.repeat(fits / 2) })).toMatchObject({ code: 'LATERBASE_TOO_LARGE' })
  })

  test('has texts beside its data that are at the limit of characters, and none above', () => {
    // Characters, not bytes.
    const fits = '\u20ac'.repeat(MEMBER_CHARACTERS_MAX)
    for (const name of ['type', 'subject', 'source', 'schema', 'datacontenttype']) {
      expect(accept({ data: 1, [name]: fits }).type).toBe('accepted')
      expect(read({ data: 1, [name]: `${fits}x` })).toMatchObject({
        code: 'LATERBASE_EVENT_INVALID',
        problem: { pointer: expect.stringMatching(`/${name}$`) }
      })
    }
    expect(accept({ data_base64: 'A'.repeat(4 * MEMBER_CHARACTERS_MAX) }).type).toBe('accepted')
  })
})

describe('the key of an event', () => {
  test('is the one that was offered, and agrees with a time that was', () => {
    fc.assert(
      fc.property(keys(), times, (key, timeMs) => {
        const offered = { data: 1, key: formatEventKey(key) }
        expect(accept(offered, Infinity).key).toEqual(key)
        const both = read({ ...offered, time: formatTime(timeMs) }, Infinity)
        expect(both.type).toBe(keyTimeMs(key) === timeMs ? 'accepted' : 'refused')
      })
    )
  })

  test('has the time that was offered, else now', () => {
    fc.assert(
      fc.property(times, (timeMs) => {
        expect(keyTimeMs(accept({ data: 1, time: formatTime(timeMs) }).key)).toBe(timeMs)
      })
    )
    expect(keyTimeMs(accept({ data: 1 }).key)).toBe(NOW)
    expect([accept({ data: 1 }).fresh, accept({ data: 1, key: MIN }).fresh]).toEqual([true, false])
  })

  test('of a source and an id is the natural one, which needs a time', () => {
    fc.assert(
      fc.property(text, text, times, (source, id, timeMs) => {
        const accepted = accept({ data: 1, source, id, time: formatTime(timeMs) })
        const fact = { database: 'yard', source, id, timeMs }
        expect(accepted.key).toEqual(naturalKey(fact, systemHasher))
        expect(accepted.fresh).toBe(false)
        expect(read({ data: 1, source, id })).toMatchObject({ problem: { pointer: '/3/time' } })
      })
    )
  })

  test('may be ahead of the clock by the tolerance, and not more', () => {
    const at = (aheadMs: number): unknown => read({ data: 1, time: formatTime(NOW + aheadMs) })
    expect(at(TOLERANCE_MS)).toMatchObject({ type: 'accepted' })
    expect(at(TOLERANCE_MS + 1)).toMatchObject({ code: 'LATERBASE_FUTURE_DATED' })
  })
})

describe('a correction', () => {
  test('names the key of what it corrects in one form, whichever it was offered in', () => {
    fc.assert(
      fc.property(keys(), (key) => {
        const corrects = formatEventKey(key)
        const { value } = accept({ data: null, corrects: corrects.toLowerCase() })
        expect(Buffer.from(value).toString()).toBe(`{"corrects":"${corrects}","data":null}`)
      })
    )
    const uuid = { data: 1, corrects: '017f22e2-79b0-7cc3-98c4-dc0c0c07398f' }
    expect(accept(uuid).value).toEqual(accept({ ...uuid, corrects: UUID_AS_ULID }).value)
  })

  test('is of another event than itself', () => {
    const fault = { problem: { pointer: '/3/corrects' } }
    expect(read({ data: 1, key: MIN, corrects: MIN })).toMatchObject(fault)
    const natural = { data: 1, source: 's', id: '1', time: formatTime(NOW) }
    const { key } = accept(natural)
    expect(read({ ...natural, corrects: formatEventKey(key) })).toMatchObject(fault)
    expect(accept({ ...natural, corrects: MIN }).key).toEqual(key)
  })
})

describe('what is no event', () => {
  test('is refused with its place, never with an exception', () => {
    fc.assert(
      fc.property(fc.anything(), (offered) => {
        const outcome = read(offered)
        if (outcome.type === 'refused') expect(outcome.problem.pointer.startsWith('/3')).toBe(true)
      })
    )
    const faults: [unknown, string][] = [
      [null, '/3'],
      [[], '/3'],
      ['text', '/3'],
      [{}, '/3'],
      [{ data: 1, data_base64: 'AA==' }, '/3'],
      [{ data_base64: 'A' }, '/3/data_base64'],
      [{ data: 1, type: '' }, '/3/type'],
      [{ data: 1, type: 7 }, '/3/type'],
      [{ data: 1, type: 'x'.repeat(2_049) }, '/3/type'],
      [{ data: 1, 'my/own': 1 }, '/3/my~1own'],
      [{ data: 1, key: 'x' }, '/3/key'],
      [{ data: 1, corrects: 'x' }, '/3/corrects'],
      [{ data: 1, corrects: 7 }, '/3/corrects'],
      [{ data: 1, time: '1969-12-31T23:59:59Z' }, '/3/time'],
      [{ data: 1, time: 'yesterday' }, '/3/time'],
      [{ data: { a: [1, () => 1] } }, '/3/data/a/1'],
      [JSON.parse('{"data":1,"__proto__":{"x":1}}'), '/3/__proto__']
    ]
    for (const [offered, pointer] of faults) {
      expect(read(offered), JSON.stringify(offered)).toMatchObject({ problem: { pointer } })
    }
  })
})

describe('a stored value', () => {
  const TEXTS = 'corrects data_base64 datacontenttype id schema source subject type'.split(' ')
  const others = ['key', 'time', '__proto__', 'constructor', 'toString', 'then', '0', '']
  const stored = fc
    .dictionary(
      fc.oneof(
        { weight: 8, arbitrary: fc.constantFrom('data', 'data', ...TEXTS) },
        { weight: 1, arbitrary: fc.constantFrom(...others) }
      ),
      fc.oneof({ weight: 4, arbitrary: text }, { weight: 1, arbitrary: fc.jsonValue() })
    )
    .map((written) => `{${Object.entries(written).map(memberText).join()}}`)

  test('has the members that were written, if it has content and none but those of a value', () => {
    fc.assert(
      fc.property(stored, (written) => {
        const entries = Object.entries(JSON.parse(written) as object)
        const isWhole = entries.every(([name, member]) => {
          return name === 'data' || (TEXTS.includes(name) && typeof member === 'string')
        })
        const hasContent = entries.some(([name]) => name === 'data' || name === 'data_base64')
        const read = parseStoredValue(written)
        expect(read && Object.entries(read)).toEqual(isWhole && hasContent ? entries : undefined)
      })
    )
  })

  test('is the same where somebody has put members on the prototype of all objects', () => {
    const polluted: object = Object.prototype
    for (const [name, member] of [
      ['foreign', 'text'],
      ['type', 7],
      ['data', 1],
      ['data_base64', 'AA==']
    ] as const) {
      Object.defineProperty(polluted, name, { value: member, enumerable: true, configurable: true })
      const [whole, empty] = ['{"data":{}}', '{"id":"a"}'].map(parseStoredValue)
      Reflect.deleteProperty(polluted, name)
      expect([whole && Object.keys(whole), empty], name).toEqual([['data'], undefined])
    }
  })

  test('is an object: other JSON, and what is none, is not one', () => {
    for (const written of ['', '{', '[]', '[{"data":1}]', 'null', '1', '"data"', '{}', 'data']) {
      expect(parseStoredValue(written), written).toBeUndefined()
    }
  })
})

function memberText([name, member]: readonly [string, unknown]): string {
  return `${JSON.stringify(name)}:${JSON.stringify(member)}`
}

const MIN = '00000000000000000000000000'
const UUID_AS_ULID = '01FWHE4YDGFK1SHH6W1G60EECF'

function read(offered: unknown, futureToleranceMs = TOLERANCE_MS): ReturnType<typeof readEnvelope> {
  const context: EnvelopeContext = {
    database: 'yard',
    nowMs: NOW,
    futureToleranceMs,
    minter: keyMinter(seededRng(1)),
    hasher: systemHasher
  }
  return readEnvelope(offered, '/3', context)
}

function accept(offered: unknown, futureToleranceMs = TOLERANCE_MS): AcceptedEnvelope {
  const outcome = read(offered, futureToleranceMs)
  if (outcome.type === 'accepted') return outcome
  throw new Error(`${outcome.problem.pointer}: ${outcome.problem.detail}`)
}
