/** The signed part of a commit, and the identity of its log. See spec.md. */

import { COMMIT_EVENTS_MAX } from '../limits.ts'
import type { Rejected } from '../rejected.ts'
import { Writer, decode, refuse } from '../wire.ts'
import type { Reader } from '../wire.ts'

export const LOG_ID_BYTES = 16
export const HASH_BYTES = 32
export const PUBLIC_KEY_BYTES = 32
export const SIGNATURE_BYTES = 64
export const NONCE_BYTES = 16
export const COMMIT_FORMAT = 1

/** What the hashes begin with, so that no hash of one kind is ever one of another. */
export const COMMIT_DOMAIN = 'laterbase/commit/1\n'
export const GENESIS_DOMAIN = 'laterbase/log/1\n'

/** What makes a log: who writes it, of which database, and a nonce for each incarnation. */
export interface Genesis {
  /** Raw Ed25519 public key. */
  readonly publicKey: Uint8Array
  readonly database: string
  readonly nonce: Uint8Array
}

export interface CommitHeader {
  readonly log: Uint8Array
  /** Sequence number of the first event, from 1. */
  readonly firstSeq: number
  /** Events in the commit, at least 1. */
  readonly count: number
  /** Hash of the commit before, of the genesis for the first one. */
  readonly previous: Uint8Array
  /** Hybrid logical clock: 48 bits of milliseconds, 16 of counter. */
  readonly recorded: bigint
  /** SHA-256 over (key, SHA-256 of value) of every event, in order. */
  readonly eventsHash: Uint8Array
}

/** The bytes whose SHA-256 names a log: its first 16 bytes are the id, all 32 start the chain. */
export function encodeGenesis(genesis: Genesis): Uint8Array {
  return new Writer(160)
    .fixed(ascii(GENESIS_DOMAIN))
    .fixed(genesis.publicKey)
    .name(genesis.database)
    .fixed(genesis.nonce)
    .finish()
}

/** The bytes whose SHA-256 is the commit's hash, which is what the signature signs. */
export function encodeCommitHeader(header: CommitHeader): Uint8Array {
  return new Writer(160)
    .fixed(COMMIT_DOMAIN_BYTES)
    .byte(COMMIT_FORMAT)
    .fixed(header.log)
    .varint(header.firstSeq)
    .varint(header.count)
    .fixed(header.previous)
    .u64(header.recorded)
    .fixed(header.eventsHash)
    .finish()
}

export function decodeCommitHeader(bytes: Uint8Array): CommitHeader | Rejected {
  return decode(bytes, (reader) => {
    const domain = reader.fixed(COMMIT_DOMAIN_BYTES.length)
    if (!domain.every((byte, index) => byte === COMMIT_DOMAIN_BYTES[index])) {
      refuse('unknown-value', 'not a commit header')
    }
    return readHeader(reader)
  })
}

function readHeader(reader: Reader): CommitHeader {
  const format = reader.byte()
  if (format !== COMMIT_FORMAT) refuse('unknown-value', `commit format ${format}`)
  const log = reader.fixed(LOG_ID_BYTES)
  const firstSeq = reader.varint()
  if (firstSeq === 0) refuse('not-allowed', 'sequence numbers start at 1')
  const count = reader.varint(COMMIT_EVENTS_MAX)
  if (count === 0) refuse('not-allowed', 'a commit without events')
  return {
    log,
    firstSeq,
    count,
    previous: reader.fixed(HASH_BYTES),
    recorded: reader.u64(),
    eventsHash: reader.fixed(HASH_BYTES)
  }
}

function ascii(text: string): Uint8Array {
  return Uint8Array.from(text, (character) => character.charCodeAt(0))
}

const COMMIT_DOMAIN_BYTES = ascii(COMMIT_DOMAIN)
