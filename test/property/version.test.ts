/** Versions: the join laws, what is missing, the digest, positions. */

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'

import {
  TAG_BYTES,
  decodePosition,
  encodePosition,
  formatDigest,
  fromWireHeads,
  toWireHeads,
  versionDigest,
  versionOf
} from '../../src/core/version.ts'
import type { Place, Version } from '../../src/core/version.ts'
import { systemHasher } from '../../src/node/system.ts'
import { bytes, logIds, sequenceNumbers, versionText, versions } from './arbitraries.ts'

describe('the digest', () => {
  test('is equal exactly when the versions are', () => {
    fc.assert(
      fc.property(versions(), versions(), (a, b) => {
        const equal = versionText(a).join() === versionText(b).join()
        expect(digest(a) === digest(b)).toBe(equal)
      })
    )
  })

  test('does not depend on the order in which logs came', () => {
    fc.assert(
      fc.property(versions(), (a) => {
        expect(digest(versionOf(a.toReversed()))).toBe(digest(a))
      })
    )
  })

  test('has a short form of ten characters that never read as others', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 32, maxLength: 32 }), (bytes) => {
        expect(formatDigest(bytes)).toMatch(
          /^[0-9A-HJKMNP-TV-Z]{4}-[0-9A-HJKMNP-TV-Z]{4}-[0-9A-HJKMNP-TV-Z]{2}$/
        )
      })
    )
  })
})

describe('forms of a version', () => {
  test('heads on the wire are sorted, and give the version back', () => {
    fc.assert(
      fc.property(versions(), (a) => {
        const wire = toWireHeads(a)
        const logs = wire.map(({ log }) => Buffer.from(log).toString('hex'))
        expect(logs).toEqual(logs.toSorted())
        expect(versionText(fromWireHeads(wire))).toEqual(versionText(a))
      })
    )
  })

  test('a position survives its encoding', () => {
    fc.assert(
      fc.property(fc.array(places(), { maxLength: 6 }), (position) => {
        const encoded = encodePosition(position)
        const decoded = decodePosition(encoded)
        expect(decoded).toHaveLength(position.length)
        for (const place of position) expect(decoded).toContainEqual(place)
        expect(encodePosition(position.toReversed())).toEqual(encoded)
      })
    )
  })

  test('bytes that are no position give none, and never throw', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 80 }), (bytes) => {
        const position = decodePosition(bytes)
        expect(position === undefined || Array.isArray(position)).toBe(true)
      })
    )
  })
})

function digest(version: Version): string {
  return Buffer.from(versionDigest(version, systemHasher)).toString('hex')
}

function places(): fc.Arbitrary<Place> {
  return fc.record({ log: logIds(), seq: sequenceNumbers(), tag: bytes(TAG_BYTES) })
}
