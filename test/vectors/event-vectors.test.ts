/** The vectors of `protocols/event` against the codec, the keys and the canonical values. */

import { decodeTime, encodeTime } from 'ulid'
import { describe, expect, test } from 'vitest'

import { decodeEvents, encodeEvents } from '../../protocols/event/codec.ts'
import { isRejected } from '../../protocols/rejected.ts'
import { formatEventKey, keyTimeMs, naturalKey, parseEventKey } from '../../src/core/event-key.ts'
import { present } from '../../src/core/assert.ts'
import { systemHasher } from '../../src/node/system.ts'
import { canonicalJson } from '../../src/schema/canonical-json.ts'
import { findInexactNumber } from '../../src/schema/exact-numbers.ts'
import { hex, readVectors, unhex } from './vector-files.ts'
import type { HexVector, InvalidVector, NamedVector } from './vector-files.ts'

interface Valid {
  readonly regions: readonly (HexVector & {
    readonly count: number
    readonly events: readonly {
      readonly key: string
      readonly value: string
      readonly value_sha256: string
    }[]
  })[]
  readonly keys: readonly (HexVector & {
    readonly text: string
    readonly canonical: string
    readonly time_ms: number
  })[]
  readonly natural_keys: readonly {
    readonly database: string
    readonly source: string
    readonly id: string
    readonly time_ms: number
    readonly key: string
  }[]
  readonly canonical_values: readonly (NamedVector & {
    readonly input: string
    readonly canonical: string
    readonly utf8: string
    readonly sha256: string
  })[]
}

interface Invalid {
  readonly regions: readonly (InvalidVector & { readonly count: number })[]
  readonly keys: readonly (NamedVector & { readonly text: string })[]
  readonly values: readonly (NamedVector & { readonly input: string; readonly pointer: string })[]
}

const valid = readVectors('event', 'valid') as Valid
const invalid = readVectors('event', 'invalid') as Invalid

describe('valid events regions', () => {
  for (const vector of valid.regions) {
    test(`${vector.name}: decodes to its events and encodes back`, () => {
      const decoded = decodeEvents(unhex(vector.hex), vector.count)
      if (isRejected(decoded)) throw new Error(decoded.detail)
      const events = decoded.map(({ key, value }) => ({
        key: hex(key),
        value: hex(value),
        value_sha256: hex(systemHasher.sha256(value))
      }))
      expect(events).toEqual(vector.events)
      expect(hex(encodeEvents(decoded))).toBe(vector.hex)
    })
  }
})

describe('invalid events regions', () => {
  for (const vector of invalid.regions) {
    test(`${vector.name}: ${vector.code}`, () => {
      const decoded = decodeEvents(unhex(vector.hex), vector.count)
      expect(decoded).toMatchObject({ type: 'rejected', code: vector.code })
    })
  }
})

describe('key texts', () => {
  for (const vector of valid.keys) {
    test(`${vector.name}: means its bytes, and is shown in canonical form`, () => {
      const key = present(parseEventKey(vector.text), 'a valid key')
      expect(hex(key)).toBe(vector.hex)
      expect(formatEventKey(key)).toBe(vector.canonical)
      expect(keyTimeMs(key)).toBe(vector.time_ms)
      expect(decodeTime(vector.canonical)).toBe(vector.time_ms)
      expect(encodeTime(vector.time_ms)).toBe(vector.canonical.slice(0, 10))
    })
  }
  for (const vector of invalid.keys) {
    test(`${vector.name}: is no key`, () => {
      expect(parseEventKey(vector.text)).toBeUndefined()
    })
  }
})

describe('natural keys', () => {
  for (const vector of valid.natural_keys) {
    test(`${JSON.stringify([vector.source, vector.id])} at ${vector.time_ms} in ${vector.database}`, () => {
      const { database, source, id, time_ms: timeMs } = vector
      expect(hex(naturalKey({ database, source, id, timeMs }, systemHasher))).toBe(vector.key)
    })
  }
})

describe('canonical values', () => {
  for (const vector of valid.canonical_values) {
    test(`${vector.name}: has one text and one hash`, () => {
      const text = canonicalJson(JSON.parse(vector.input))
      expect(text).toBe(vector.canonical)
      expect(Buffer.from(vector.canonical).toString('hex')).toBe(vector.utf8)
      expect(hex(systemHasher.sha256(unhex(vector.utf8)))).toBe(vector.sha256)
      expect(findInexactNumber(vector.input)).toBeUndefined()
    })
  }
  for (const vector of invalid.values) {
    test(`${vector.name}: is refused with its place`, () => {
      expect(findInexactNumber(vector.input)?.pointer).toBe(vector.pointer)
    })
  }
})
