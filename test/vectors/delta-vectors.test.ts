/** The vectors of `protocols/delta` against the codec, the digest, and the check of pages. */

import { describe, expect, test } from 'vitest'

import {
  decodeDeltaAnswer,
  decodeDeltaRequest,
  encodeDeltaAnswer,
  encodeDeltaRequest
} from '../../protocols/delta/codec.ts'
import { isRejected } from '../../protocols/rejected.ts'
import type { Rejected } from '../../protocols/rejected.ts'
import type { Commit } from '../../src/core/commit.ts'
import { verifySignatures } from '../../src/core/log.ts'
import { formatDigest, fromWireHeads, versionDigest } from '../../src/core/version.ts'
import { createInvitation, parseInvitation } from '../../src/node/invitation.ts'
import { systemClock, systemHasher, systemVerifier } from '../../src/node/system.ts'
import { definitionOf } from '../../src/node/view-comparison.ts'
import { Perimeter } from '../../src/p2p/perimeter.ts'
import { KnownLogs, checkAgainst } from '../../src/store/known-logs.ts'
import { databaseOf } from '../property/forest.ts'
import { hex, plain, readVectors, unhex } from './vector-files.ts'
import type { HexVector, InvalidVector, NamedVector } from './vector-files.ts'

interface PageVector extends HexVector {
  readonly database: string
  readonly before: readonly string[]
}

interface Valid {
  readonly digests: readonly (NamedVector & {
    readonly heads: readonly { readonly log: string; readonly seq: number; readonly hash: string }[]
    readonly preimage: string
    readonly digest: string
    readonly short: string
  })[]
  readonly requests: readonly HexVector[]
  readonly answers: readonly HexVector[]
  readonly pages: readonly (PageVector & {
    readonly new: readonly {
      readonly log: string
      readonly first_seq: number
      readonly hash: string
    }[]
  })[]
  readonly definitions: readonly (NamedVector & {
    readonly functions: string
    readonly definition: string
  })[]
  readonly perimeters: readonly PerimeterVector[]
}

interface PerimeterVector extends NamedVector {
  readonly network_key: string
  readonly mdns_service: string
  readonly invitation: string
}

interface Invalid {
  readonly requests: readonly InvalidVector[]
  readonly answers: readonly InvalidVector[]
  readonly pages: readonly (PageVector & InvalidVector)[]
}

const valid = readVectors('delta', 'valid') as Valid
const invalid = readVectors('delta', 'invalid') as Invalid

describe('digests', () => {
  for (const vector of valid.digests) {
    test(`${vector.name}: has its digest, long and short`, () => {
      const heads = vector.heads.map(({ log, seq, hash }) => ({
        log: unhex(log),
        seq,
        hash: unhex(hash)
      }))
      const digest = versionDigest(fromWireHeads(heads), systemHasher)
      expect(hex(digest)).toBe(vector.digest)
      expect(hex(systemHasher.sha256(unhex(vector.preimage)))).toBe(vector.digest)
      expect(formatDigest(digest)).toBe(vector.short)
    })
  }
})

describe('requests', () => {
  for (const vector of valid.requests) {
    test(`${vector.name}: decodes to its fields and encodes back`, () => {
      const decoded = decodeDeltaRequest(unhex(vector.hex))
      if (isRejected(decoded)) throw new Error(decoded.detail)
      expect({ name: vector.name, hex: vector.hex, ...(plain(decoded) as object) }).toEqual(vector)
      expect(hex(encodeDeltaRequest(decoded))).toBe(vector.hex)
    })
  }
  for (const vector of invalid.requests) {
    test(`${vector.name}: ${vector.code}`, () => {
      const decoded = decodeDeltaRequest(unhex(vector.hex))
      expect(decoded).toMatchObject({ type: 'rejected', code: vector.code })
    })
  }
})

describe('answers', () => {
  for (const vector of valid.answers) {
    test(`${vector.name}: decodes to its fields and encodes back`, () => {
      const decoded = decodeDeltaAnswer(unhex(vector.hex))
      if (isRejected(decoded)) throw new Error(decoded.detail)
      expect({ name: vector.name, hex: vector.hex, ...(plain(decoded) as object) }).toEqual(vector)
      expect(hex(encodeDeltaAnswer(decoded))).toBe(vector.hex)
    })
  }
  for (const vector of invalid.answers) {
    test(`${vector.name}: ${vector.code}`, () => {
      const decoded = decodeDeltaAnswer(unhex(vector.hex))
      expect(decoded).toMatchObject({ type: 'rejected', code: vector.code })
    })
  }
})

describe('pages', () => {
  for (const vector of valid.pages) {
    test(`${vector.name}: gives the receiver what is new to it`, async () => {
      const receiver = await receiverAfter(vector)
      const taken = await receiver.take(vector.hex)
      if (isRejected(taken)) throw new Error(taken.detail)
      const news = taken.map(({ origin, firstSeq, hash }) => ({
        log: origin.id,
        first_seq: firstSeq,
        hash: hex(hash)
      }))
      expect(news).toEqual(vector.new)
    })
  }
  for (const vector of invalid.pages) {
    test(`${vector.name}: ${vector.code}`, async () => {
      const receiver = await receiverAfter(vector)
      const taken = await receiver.take(vector.hex)
      expect(taken).toMatchObject({ type: 'rejected', code: vector.code })
    })
  }
})

describe('definitions of views', () => {
  for (const vector of valid.definitions) {
    test(`${vector.name}: have their name among nodes`, () => {
      expect(hex(definitionOf(vector.functions, systemHasher))).toBe(vector.definition)
    })
  }
})

describe('perimeters', () => {
  for (const vector of valid.perimeters) {
    test(`${vector.name}: names its mDNS service and its invitation`, () => {
      const networkKey = unhex(vector.network_key)
      const perimeter = new Perimeter(networkKey, systemClock, () => undefined)
      expect(perimeter.serviceTag()).toBe(vector.mdns_service)
      expect(createInvitation(networkKey)).toBe(vector.invitation)
      expect(hex(parseInvitation(vector.invitation))).toBe(vector.network_key)
    })
  }
})

interface Receiver {
  take(frame: string): Promise<readonly Commit[] | Rejected>
}

async function receiverAfter(vector: PageVector): Promise<Receiver> {
  const receiver = await createReceiver(vector.database)
  for (const earlier of vector.before) {
    const taken = await receiver.take(earlier)
    if (isRejected(taken)) throw new Error(taken.detail)
  }
  return receiver
}

/** What a node does with a page: decode, check, verify, store. */
async function createReceiver(database: string): Promise<Receiver> {
  const node = await databaseOf([], { name: database })
  return {
    take: async (frame) => {
      const answer = decodeDeltaAnswer(unhex(frame))
      if (isRejected(answer)) return answer
      if (answer.type !== 'page') throw new Error('not a page')
      const context = { database, hasher: systemHasher }
      const checked = await checkAgainst(new KnownLogs(node.store), answer, context)
      if (isRejected(checked)) return checked
      const bad = await verifySignatures(checked.news, systemVerifier)
      if (bad !== undefined) return bad
      await node.merge(checked.news)
      return checked.news
    }
  }
}
