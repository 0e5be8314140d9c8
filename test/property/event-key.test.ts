/** Keys: text and bytes, order, minting, natural keys. The `ulid` package is the reference. */

import fc from 'fast-check'
import { MAX_ULID, MIN_ULID, decodeTime, encodeTime, isValid, ulidToUUID, uuidToULID } from 'ulid'
import { describe, expect, test } from 'vitest'

import { present } from '../../src/core/assert.ts'
import { compareBytes } from '../../src/core/bytes.ts'
import {
  KEY_TIME_MS_MAX,
  eventKey,
  formatEventKey,
  keyAfter,
  keyMinter,
  keyTimeMs,
  lowestKeyAt,
  naturalKey,
  parseEventKey
} from '../../src/core/event-key.ts'
import type { EventKey } from '../../src/core/event-key.ts'
import { systemHasher, systemRng } from '../../src/node/system.ts'
import { bytes, keys, seededRng } from './arbitraries.ts'

const ALPHABET = '0123456789ABCDEFGHJKMNPQRSTVWXYZ'.split('')
const LOWER_CASE = ALPHABET.map((character) => character.toLowerCase())

describe('the text of a key', () => {
  test('gives the key back', () => {
    fc.assert(
      fc.property(keys(), (key) => {
        expect(parse(formatEventKey(key))).toEqual(key)
      })
    )
  })

  test('is a ULID of the same time for the ulid package', () => {
    fc.assert(
      fc.property(keys(), (key) => {
        const text = formatEventKey(key)
        expect(isValid(text)).toBe(true)
        expect(decodeTime(text)).toBe(keyTimeMs(key))
        expect(text.slice(0, 10)).toBe(encodeTime(keyTimeMs(key)))
      })
    )
  })

  test('has the bytes that the ulid package finds in it', () => {
    fc.assert(
      fc.property(keys(), (key) => {
        const digits = ulidToUUID(formatEventKey(key)).replaceAll('-', '').toLowerCase()
        expect(digits).toBe(Buffer.from(key).toString('hex'))
      })
    )
  })

  test('is read in either case', () => {
    fc.assert(
      fc.property(keys(), fc.infiniteStream(fc.boolean()), (key, lower) => {
        const text = formatEventKey(key)
          .split('')
          .map((character) => (lower.next().value === true ? character.toLowerCase() : character))
          .join('')
        expect(parse(text)).toEqual(key)
      })
    )
  })

  test('sorts as the bytes do', () => {
    fc.assert(
      fc.property(keys(), keys(), (a, b) => {
        const [left, right] = [formatEventKey(a), formatEventKey(b)]
        const order = left === right ? 0 : left < right ? -1 : 1
        expect(Math.sign(compareBytes(a, b))).toBe(order)
      })
    )
  })

  test('has its edges where the ULID specification has them', () => {
    expect(formatEventKey(eventKey(new Uint8Array(16)))).toBe(MIN_ULID)
    expect(formatEventKey(eventKey(new Uint8Array(16).fill(255)))).toBe(MAX_ULID)
    expect(keyTimeMs(parse(MAX_ULID))).toBe(KEY_TIME_MS_MAX)
  })

  test('is refused above 128 bits', () => {
    const rest = fc.string({ unit: fc.constantFrom(...ALPHABET), minLength: 25, maxLength: 25 })
    fc.assert(
      fc.property(fc.constantFrom(...ALPHABET.slice(8)), rest, (first, others) => {
        expect(parseEventKey(first + others)).toBeUndefined()
      })
    )
  })

  test('of 26 characters is a key exactly if it is a ULID', () => {
    const unit = fc.oneof(
      { weight: 40, arbitrary: fc.constantFrom(...ALPHABET, ...LOWER_CASE) },
      { weight: 1, arbitrary: fc.constantFrom('I', 'l', 'O', 'u', ' ', '-', '\u0660', '\u00e9') }
    )
    fc.assert(
      fc.property(fc.string({ unit, minLength: 26, maxLength: 26 }), (text) => {
        const isUlid = /^[0-7][0-9A-HJKMNP-TV-Z]{25}$/i.test(text) && !/[^ -~]/.test(text)
        expect(parseEventKey(text) !== undefined).toBe(isUlid)
      })
    )
  })

  test('that is anything else is no key, and never throws', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 40 }), (text) => {
        const key = parseEventKey(text)
        if (key !== undefined) expect(formatEventKey(key)).toBe(text.toUpperCase())
      })
    )
  })

  test('may be that of a UUIDv7', () => {
    fc.assert(
      fc.property(fc.uuid({ version: 7 }), (uuid) => {
        const key = parse(uuid)
        expect(Buffer.from(key).toString('hex')).toBe(uuid.replaceAll('-', ''))
        expect(formatEventKey(key)).toBe(uuidToULID(uuid))
        expect(parse(uuid.toUpperCase())).toEqual(key)
      })
    )
  })

  test('is not that of a UUID of another version', () => {
    fc.assert(
      fc.property(fc.uuid({ version: [1, 2, 3, 4, 5, 6, 8] }), (uuid) => {
        expect(parseEventKey(uuid)).toBeUndefined()
      })
    )
  })
})

describe('keys in order', () => {
  test('the lowest key of a time is at or below every key of that time', () => {
    fc.assert(
      fc.property(keys(), (key) => {
        const lowest = lowestKeyAt(keyTimeMs(key))
        expect(keyTimeMs(lowest)).toBe(keyTimeMs(key))
        expect(compareBytes(lowest, key)).toBeLessThanOrEqual(0)
      })
    )
  })

  test('the key after one is the next of all 2^128, and there is none after the last', () => {
    fc.assert(
      fc.property(keys(), (key) => {
        const number = toNumber(key)
        const after = keyAfter(key)
        if (number === 2n ** 128n - 1n) expect(after).toBeUndefined()
        else expect(toNumber(present(after, 'not the last'))).toBe(number + 1n)
      })
    )
  })
})

test('the key after one leaves that one as it is, whatever kind of bytes it is', () => {
  const key = eventKey(Buffer.alloc(16))
  expect(toNumber(present(keyAfter(key), 'not the last'))).toBe(1n)
  expect(toNumber(key)).toBe(0n)
})

describe('minting', () => {
  test('keeps the order of a batch within each millisecond, and the time exactly', () => {
    const times = fc.array(fc.constantFrom(0, 1, 1_793_599_800_000, KEY_TIME_MS_MAX), {
      maxLength: 50
    })
    fc.assert(
      fc.property(times, fc.integer(), (batch, seed) => {
        const minter = keyMinter(seededRng(seed))
        const last = new Map<number, EventKey>()
        for (const timeMs of batch) {
          const key = minter.mint(timeMs)
          expect(keyTimeMs(key)).toBe(timeMs)
          const before = last.get(timeMs)
          if (before === undefined) expect((key[6] ?? 255) < 128).toBe(true)
          else expect(toNumber(key)).toBe(toNumber(before) + 1n)
          last.set(timeMs, key)
        }
      })
    )
  })

  test('does not run over into the next millisecond, whatever the random bits are', () => {
    const ones = { bytes: (length: number) => new Uint8Array(length).fill(255), fraction: () => 0 }
    const minter = keyMinter(ones)
    const minted = Array.from({ length: 10_000 }, () => minter.mint(5))
    expect(minted.every((key) => keyTimeMs(key) === 5)).toBe(true)
    expect(new Set(minted.map(formatEventKey)).size).toBe(10_000)
  })

  test('gives two batches of one millisecond different keys', () => {
    const texts = Array.from({ length: 2_000 }, () => formatEventKey(keyMinter(systemRng).mint(5)))
    expect(new Set(texts).size).toBe(texts.length)
  })
})

describe('natural keys', () => {
  const facts = fc.record({
    database: fc.constantFrom('yard', 'depot'),
    source: fc.string({ unit: 'binary' }),
    id: fc.string({ unit: 'binary' }),
    timeMs: fc.integer({ min: 0, max: KEY_TIME_MS_MAX })
  })

  test('are the same wherever and whenever they are made', () => {
    fc.assert(
      fc.property(facts, (fact) => {
        const again = naturalKey({ ...fact }, { sha256: (value) => systemHasher.sha256(value) })
        expect(again).toEqual(naturalKey(fact, systemHasher))
        expect(keyTimeMs(again)).toBe(fact.timeMs)
      })
    )
  })

  test('of two facts differ', () => {
    fc.assert(
      fc.property(facts, facts, (a, b) => {
        const same =
          a.database === b.database &&
          a.source === b.source &&
          a.id === b.id &&
          a.timeMs === b.timeMs
        const [left, right] = [naturalKey(a, systemHasher), naturalKey(b, systemHasher)]
        expect(compareBytes(left, right) === 0).toBe(same)
      })
    )
  })

  test('do not mistake the end of a source for the beginning of an id', () => {
    const fact = { database: 'yard', timeMs: 0 }
    const a = naturalKey({ ...fact, source: 'a","b', id: 'c' }, systemHasher)
    const b = naturalKey({ ...fact, source: 'a', id: 'b","c' }, systemHasher)
    expect(compareBytes(a, b)).not.toBe(0)
  })

  test('are taken from the UTF-8 of JSON, lone surrogates and all', () => {
    fc.assert(
      fc.property(facts, (fact) => {
        const json = Buffer.from(JSON.stringify([fact.database, fact.source, fact.id]))
        const expected = Buffer.from(systemHasher.sha256(json)).subarray(0, 10)
        expect(Buffer.from(naturalKey(fact, systemHasher)).subarray(6).equals(expected)).toBe(true)
      })
    )
  })
})

test('any 16 bytes are a key, and no other number of bytes is', () => {
  fc.assert(
    fc.property(bytes(16), (value) => {
      expect(eventKey(value)).toBe(value)
    })
  )
  expect(() => eventKey(new Uint8Array(15))).toThrow('a key has 16 bytes')
})

function parse(text: string): EventKey {
  return present(parseEventKey(text), `${text} is a key`)
}

function toNumber(key: EventKey): bigint {
  return BigInt(`0x${Buffer.from(key).toString('hex')}`)
}
