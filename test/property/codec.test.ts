/** The codecs: what is encoded decodes, what decodes encodes back, and nothing makes them throw. */

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'

import { decodeAnnouncement, encodeAnnouncement } from '../../protocols/announce/codec.ts'
import type { Announcement } from '../../protocols/announce/codec.ts'
import {
  COMMIT_DOMAIN,
  decodeCommitHeader,
  encodeCommitHeader
} from '../../protocols/commit/codec.ts'
import type { CommitHeader } from '../../protocols/commit/codec.ts'
import {
  REFUSAL_REASONS,
  decodeDeltaAnswer,
  decodeDeltaRequest,
  encodeDeltaAnswer,
  encodeDeltaRequest
} from '../../protocols/delta/codec.ts'
import type { DeltaAnswer, DeltaRequest } from '../../protocols/delta/codec.ts'
import { decodeEvents, encodeEvents, regionBytes } from '../../protocols/event/codec.ts'
import { COMMIT_EVENTS_MAX } from '../../protocols/limits.ts'
import { isRejected } from '../../protocols/rejected.ts'
import type { Rejected } from '../../protocols/rejected.ts'
import { Reader, Writer, decode, varintLength } from '../../protocols/wire.ts'
import { bytes, sequenceNumbers, stamps } from './arbitraries.ts'

interface Codec<T> {
  readonly name: string
  readonly values: fc.Arbitrary<T>
  readonly encode: (value: T) => Uint8Array
  readonly decode: (bytes: Uint8Array) => T | Rejected
  /** How messages begin, so that random bytes get past the first field. */
  readonly openings: readonly Uint8Array[]
}

const names = fc.stringMatching(/^[a-z][a-z0-9_-]{0,62}$/)
const digests = fc.array(fc.record({ database: names, digest: bytes(32) }), { maxLength: 4 })
const heads = fc.array(fc.record({ log: bytes(16), seq: sequenceNumbers(), hash: bytes(32) }), {
  maxLength: 4
})
const counts = fc.integer({ min: 1, max: COMMIT_EVENTS_MAX })

const requests: Codec<DeltaRequest> = {
  name: 'a request',
  values: fc.oneof(
    fc.record({ type: fc.constant('compare' as const), digests }),
    fc.record({
      type: fc.constant('page' as const),
      database: names,
      bytesMax: fc.maxSafeNat(),
      heads,
      places: heads
    }),
    fc.record({ type: fc.constant('views' as const), database: names, digest: bytes(32) })
  ),
  encode: encodeDeltaRequest,
  decode: decodeDeltaRequest,
  openings: [Uint8Array.of(1), Uint8Array.of(2), Uint8Array.of(3)]
}

const pageLogs = fc.array(
  fc.oneof(
    fc.record({
      log: bytes(16),
      firstSeq: fc.constant(1),
      previous: bytes(32),
      genesis: fc.record({ publicKey: bytes(32), nonce: bytes(16) })
    }),
    fc.record({
      log: bytes(16),
      firstSeq: sequenceNumbers().filter((seq) => seq > 1),
      previous: bytes(32),
      genesis: fc.constant(undefined)
    })
  ),
  { maxLength: 3 }
)
const pages = pageLogs.chain((logs) =>
  fc.record({
    type: fc.constant('page' as const),
    complete: fc.boolean(),
    logs: fc.constant(logs),
    commits: fc.array(
      fc.record({
        logIndex: fc.integer({ min: 0, max: Math.max(0, logs.length - 1) }),
        count: counts,
        recorded: stamps(),
        signature: bytes(64),
        events: fc.uint8Array({ maxLength: 200 })
      }),
      { maxLength: logs.length === 0 ? 0 : 4 }
    ),
    heads
  })
)

const answers: Codec<DeltaAnswer> = {
  name: 'an answer',
  values: fc.oneof(
    fc.record({ type: fc.constant('compared' as const), digests }),
    fc.record({
      type: fc.constant('refused' as const),
      reason: fc.constantFrom(...REFUSAL_REASONS)
    }),
    fc.record({
      type: fc.constant('views' as const),
      views: fc.array(fc.record({ definition: bytes(32), contents: bytes(16) }), { maxLength: 4 })
    }),
    pages
  ),
  encode: encodeDeltaAnswer,
  decode: decodeDeltaAnswer,
  openings: [Uint8Array.of(1), Uint8Array.of(2, 0, 1), Uint8Array.of(3), Uint8Array.of(4)]
}

const headers: Codec<CommitHeader> = {
  name: 'a commit header',
  values: fc.record({
    log: bytes(16),
    firstSeq: sequenceNumbers(),
    count: counts,
    previous: bytes(32),
    recorded: stamps(),
    eventsHash: bytes(32)
  }),
  encode: encodeCommitHeader,
  decode: decodeCommitHeader,
  openings: [Buffer.from(`${COMMIT_DOMAIN}\u0001`, 'latin1')]
}

const announcements: Codec<Announcement> = {
  name: 'an announcement',
  values: fc
    .record({ log: bytes(16), firstSeq: sequenceNumbers(), hash: bytes(32) })
    .chain((head) =>
      fc
        .array(bytes(16), { minLength: 1, maxLength: 5 })
        .map((keys) => ({ ...head, count: keys.length, keys }))
    ),
  encode: encodeAnnouncement,
  decode: decodeAnnouncement,
  openings: [Uint8Array.of(1)]
}

describeCodec(requests)
describeCodec(answers)
describeCodec(headers)
describeCodec(announcements)

describe('an events region', () => {
  const events = fc.array(
    fc.record({ key: bytes(16), value: fc.uint8Array({ minLength: 1, maxLength: 300 }) }),
    { maxLength: 5 }
  )

  test('decodes to what was encoded, and has the length that is said beforehand', () => {
    fc.assert(
      fc.property(events, (value) => {
        const region = encodeEvents(value)
        expect(decodeEvents(region, value.length)).toEqual(value)
        expect(region.length).toBe(regionBytes(value))
      })
    )
  })

  test('of random bytes never throws, and encodes back to the same bytes if it is taken', () => {
    const region = fc.array(fc.oneof(bytes(16), fc.uint8Array({ maxLength: 4 })), { maxLength: 6 })
    fc.assert(
      fc.property(region, fc.integer({ min: 0, max: 4 }), (chunks, count) => {
        const wire = Buffer.concat(chunks)
        const decoded = decodeEvents(wire, count)
        if (!isRejected(decoded)) expect(Buffer.from(encodeEvents(decoded))).toEqual(wire)
      })
    )
  })
})

describe('a varint', () => {
  test('gives the number back, in as many bytes as said', () => {
    fc.assert(
      fc.property(fc.oneof(fc.maxSafeNat(), fc.nat(70_000)), (value) => {
        const wire = new Writer().varint(value).finish()
        expect(wire.length).toBe(varintLength(value))
        expect(decode(wire, (reader) => reader.varint())).toBe(value)
      })
    )
  })

  test('has one form: of all bytes only those that it is written in are read', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1, maxLength: 10 }), (wire) => {
        const value = decode(wire, (reader) => reader.varint())
        if (isRejected(value)) return
        expect(value).toBeLessThanOrEqual(Number.MAX_SAFE_INTEGER)
        expect(new Writer().varint(value).finish()).toEqual(wire)
      })
    )
  })
})

test('a reader gives views of the frame, not copies', () => {
  const frame = Uint8Array.from([1, 2, 3, 4])
  const view = new Reader(frame).fixed(3)
  expect(view.buffer).toBe(frame.buffer)
})

test('a writer grows by itself', () => {
  const wire = new Writer(1).fixed(new Uint8Array(1_000)).u64(7n).name('abc').finish()
  expect(wire.length).toBe(1_012)
})

function describeCodec<T>(codec: Codec<T>): void {
  describe(codec.name, () => {
    test('decodes to what was encoded', () => {
      fc.assert(
        fc.property(codec.values, (value) => {
          expect(codec.decode(codec.encode(value))).toEqual(value)
        })
      )
    })

    test('of random bytes never throws, and encodes back to the same bytes if it is taken', () => {
      const opening = fc.constantFrom(new Uint8Array(), ...codec.openings)
      fc.assert(
        fc.property(opening, fc.uint8Array({ maxLength: 300 }), (start, rest) => {
          expectCanonical(codec, Buffer.concat([start, rest]))
        }),
        { numRuns: 500 }
      )
    })

    test('with one byte changed is refused, or encodes back to the same bytes', () => {
      fc.assert(
        fc.property(codec.values, fc.nat(), fc.integer({ min: 1, max: 255 }), (value, at, by) => {
          const wire = Buffer.from(codec.encode(value))
          const index = at % wire.length
          wire[index] = (wire[index] ?? 0) ^ by
          expectCanonical(codec, wire)
        }),
        { numRuns: 500 }
      )
    })

    test('is refused when it is cut anywhere', () => {
      fc.assert(
        fc.property(codec.values, (value) => {
          const wire = codec.encode(value)
          for (let length = 0; length < wire.length; length += 1) {
            expect(codec.decode(wire.subarray(0, length))).toMatchObject({ code: 'truncated' })
          }
        }),
        { numRuns: 20 }
      )
    })

    test('is refused with anything behind it', () => {
      fc.assert(
        fc.property(codec.values, fc.uint8Array({ minLength: 1, maxLength: 9 }), (value, more) => {
          const wire = Buffer.concat([codec.encode(value), more])
          expect(codec.decode(wire)).toMatchObject({ code: 'trailing-bytes' })
        })
      )
    })
  })
}

function expectCanonical<T>(codec: Codec<T>, wire: Buffer): void {
  const decoded = codec.decode(wire)
  if (!isRejected(decoded)) expect(Buffer.from(codec.encode(decoded))).toEqual(wire)
}
