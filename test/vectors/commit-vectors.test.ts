/** The vectors of `protocols/commit`: from genesis to signature, as the core computes them. */

import { describe, expect, test } from 'vitest'

import {
  decodeCommitHeader,
  encodeCommitHeader,
  encodeGenesis
} from '../../protocols/commit/codec.ts'
import type { CommitHeader } from '../../protocols/commit/codec.ts'
import { decodeEvents } from '../../protocols/event/codec.ts'
import { isRejected } from '../../protocols/rejected.ts'
import { present } from '../../src/core/assert.ts'
import { commitHash, logOrigin, sealCommit } from '../../src/core/commit.ts'
import type { CommitDraft } from '../../src/core/commit.ts'
import { eventKey } from '../../src/core/event-key.ts'
import { createSigner, systemHasher, systemVerifier } from '../../src/node/system.ts'
import { hex, plain, readVectors, unhex } from './vector-files.ts'
import type { InvalidVector, NamedVector } from './vector-files.ts'

interface HeaderFields {
  readonly header: string
  readonly log: string
  readonly first_seq: number
  readonly count: number
  readonly previous: string
  readonly recorded: string
  readonly events_hash: string
}

interface LogVector extends NamedVector {
  readonly seed: string
  readonly public_key: string
  readonly database: string
  readonly nonce: string
  readonly preimage: string
  readonly hash: string
  readonly id: string
}

interface CommitVector extends NamedVector, HeaderFields {
  readonly events: string
  readonly hash: string
  readonly signature: string
}

const valid = readVectors('commit', 'valid') as {
  readonly logs: readonly LogVector[]
  readonly commits: readonly CommitVector[]
  readonly headers: readonly (NamedVector & HeaderFields)[]
}
const invalid = readVectors('commit', 'invalid') as { readonly headers: readonly InvalidVector[] }

describe('logs', () => {
  for (const vector of valid.logs) {
    test(`${vector.name}: is named by the hash of its genesis`, () => {
      expect(hex(createSigner(unhex(vector.seed)).publicKey)).toBe(vector.public_key)
      const genesis = genesisOf(vector)
      const origin = logOrigin(genesis, systemHasher)
      expect(hex(encodeGenesis(genesis))).toBe(vector.preimage)
      expect(hex(origin.hash)).toBe(vector.hash)
      expect(origin.id).toBe(vector.id)
    })
  }
})

describe('commits', () => {
  for (const vector of valid.commits) {
    test(`${vector.name}: has its hash and its signature`, async () => {
      const log = logOf(vector.log)
      const draft = draftOf(vector)
      expect(hex(commitHash(draft, systemHasher))).toBe(vector.hash)
      expect(hex(systemHasher.sha256(unhex(vector.header)))).toBe(vector.hash)
      const sealed = sealCommit(draft, createSigner(unhex(log.seed)), systemHasher)
      expect(hex(sealed.signature)).toBe(vector.signature)
      const verdict = systemVerifier.verify(
        unhex(log.public_key),
        unhex(vector.hash),
        unhex(vector.signature)
      )
      expect(await verdict).toBe(true)
    })

    test(`${vector.name}: its header decodes and encodes back`, () => {
      expectHeader({ ...vector, log: logOf(vector.log).id })
    })
  }
})

describe('headers', () => {
  for (const vector of valid.headers) {
    test(`${vector.name}: decodes and encodes back`, () => expectHeader(vector))
  }
  for (const vector of invalid.headers) {
    test(`${vector.name}: ${vector.code}`, () => {
      const decoded = decodeCommitHeader(unhex(vector.hex))
      expect(decoded).toMatchObject({ type: 'rejected', code: vector.code })
    })
  }
})

function expectHeader(vector: HeaderFields): void {
  const decoded = decodeCommitHeader(unhex(vector.header))
  if (isRejected(decoded)) throw new Error(decoded.detail)
  const { log, first_seq, count, previous, recorded, events_hash } = vector
  expect(plain(decoded)).toEqual({ log, first_seq, count, previous, recorded, events_hash })
  expect(hex(encodeCommitHeader(decoded satisfies CommitHeader))).toBe(vector.header)
}

function logOf(name: string): LogVector {
  return present(
    valid.logs.find((log) => log.name === name),
    `a log ${name}`
  )
}

function genesisOf(log: LogVector): Parameters<typeof logOrigin>[0] {
  return { publicKey: unhex(log.public_key), database: log.database, nonce: unhex(log.nonce) }
}

function draftOf(vector: CommitVector): CommitDraft {
  const decoded = decodeEvents(unhex(vector.events), vector.count)
  if (isRejected(decoded)) throw new Error(decoded.detail)
  return {
    origin: logOrigin(genesisOf(logOf(vector.log)), systemHasher),
    firstSeq: vector.first_seq,
    previous: unhex(vector.previous),
    recorded: BigInt(vector.recorded),
    events: decoded.map(({ key, value }) => ({
      key: eventKey(key),
      value,
      hash: systemHasher.sha256(value)
    }))
  }
}
