/** Versions: the join laws, what is missing, the digest, positions. */

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'

import type { LogId } from '../../src/core/commit.ts'
import {
  EMPTY_VERSION,
  covers,
  decodePosition,
  encodePosition,
  formatDigest,
  fromWireHeads,
  joinVersions,
  missingRanges,
  toWireHeads,
  versionDigest
} from '../../src/core/version.ts'
import type { Version } from '../../src/core/version.ts'
import { systemHasher } from '../../src/node/system.ts'
import { logIds, sequenceNumbers, versionText, versions } from './arbitraries.ts'

describe('join', () => {
  test('is commutative', () => {
    fc.assert(
      fc.property(versions(), versions(), (a, b) => {
        expect(versionText(joinVersions(a, b))).toEqual(versionText(joinVersions(b, a)))
      })
    )
  })

  test('is associative', () => {
    fc.assert(
      fc.property(versions(), versions(), versions(), (a, b, c) => {
        const left = joinVersions(joinVersions(a, b), c)
        const right = joinVersions(a, joinVersions(b, c))
        expect(versionText(left)).toEqual(versionText(right))
      })
    )
  })

  test('is idempotent, and the empty version is its neutral element', () => {
    fc.assert(
      fc.property(versions(), (a) => {
        expect(versionText(joinVersions(a, a))).toEqual(versionText(a))
        expect(versionText(joinVersions(a, EMPTY_VERSION))).toEqual(versionText(a))
      })
    )
  })

  test('covers both of its sides, and changes neither', () => {
    fc.assert(
      fc.property(versions(), versions(), (a, b) => {
        const before = [versionText(a), versionText(b)]
        const joined = joinVersions(a, b)
        expect(covers(joined, a)).toBe(true)
        expect(covers(joined, b)).toBe(true)
        expect([versionText(a), versionText(b)]).toEqual(before)
      })
    )
  })
})

describe('what is missing', () => {
  test('with what is held it is the union, and nothing of it is held', () => {
    fc.assert(
      fc.property(smallVersions(), smallVersions(), (mine, theirs) => {
        const held = events(theirs)
        const missing = new Set<string>()
        for (const { log, afterSeq, toSeq } of missingRanges(mine, theirs)) {
          for (let seq = afterSeq + 1; seq <= toSeq; seq += 1) missing.add(`${log} ${seq}`)
        }
        for (const place of missing) expect(held.has(place)).toBe(false)
        expect(new Set([...held, ...missing])).toEqual(new Set([...held, ...events(mine)]))
      })
    )
  })

  test('nothing is missing exactly where the other side covers', () => {
    fc.assert(
      fc.property(versions(), versions(), (mine, theirs) => {
        expect(missingRanges(mine, theirs).length === 0).toBe(covers(theirs, mine))
      })
    )
  })
})

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
        expect(digest(new Map([...a].toReversed()))).toBe(digest(a))
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

  test('a position survives its encoding, empty logs apart', () => {
    fc.assert(
      fc.property(positions(), (position) => {
        const encoded = encodePosition(position)
        const expected = new Map([...position].filter(([, seq]) => seq > 0))
        expect(decodePosition(encoded)).toEqual(expected)
        expect(encodePosition(new Map([...position].toReversed()))).toEqual(encoded)
      })
    )
  })

  test('bytes that are no position give none, and never throw', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 80 }), (bytes) => {
        const position = decodePosition(bytes)
        expect(position === undefined || position instanceof Map).toBe(true)
      })
    )
  })
})

function digest(version: Version): string {
  return Buffer.from(versionDigest(version, systemHasher)).toString('hex')
}

function smallVersions(): fc.Arbitrary<Version> {
  const head = fc.integer({ min: 1, max: 9 }).map((seq) => ({ seq, hash: new Uint8Array(32) }))
  return fc.array(fc.tuple(logIds(), head), { maxLength: 6 }).map((entries) => new Map(entries))
}

function positions(): fc.Arbitrary<ReadonlyMap<LogId, number>> {
  const seqs = fc.oneof(fc.constant(0), sequenceNumbers())
  return fc.array(fc.tuple(logIds(), seqs), { maxLength: 6 }).map((entries) => new Map(entries))
}

/** Every place that a version holds. */
function events(version: Version): Set<string> {
  const places = new Set<string>()
  for (const [log, { seq }] of version) {
    for (let at = 1; at <= seq; at += 1) places.add(`${log} ${at}`)
  }
  return places
}
