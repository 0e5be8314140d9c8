/**
 * Commits: what is hashed, what is signed, how one is made and checked.
 *
 * A commit is the unit of atomicity, durability, authenticity and transfer. Its hash covers the
 * hash of the commit before, so a log is a chain; the signature covers the hash.
 */

import { LOG_ID_BYTES, encodeCommitHeader, encodeGenesis } from '../../protocols/commit/codec.ts'
import type { Genesis } from '../../protocols/commit/codec.ts'
import { assert } from './assert.ts'
import { toHex } from './bytes.ts'
import type { Hasher, Signer } from './clock.ts'
import type { EventKey } from './event-key.ts'
import type { Stamp } from './hybrid-logical-clock.ts'

/** 16 bytes in lower-case hex: a log's name in maps and on screens. */
export type LogId = string & { readonly brand: 'LogId' }

export interface CommitEvent {
  readonly key: EventKey
  /** As bytes, never parsed here. */
  readonly value: Uint8Array
  /** SHA-256 of the value. */
  readonly hash: Uint8Array
}

/** Everything of a commit but what is computed from it. */
export interface CommitDraft {
  readonly origin: LogOrigin
  /** Sequence number of the first event, from 1. */
  readonly firstSeq: number
  /** Hash of the commit before, of the genesis for the first one. */
  readonly previous: Uint8Array
  readonly recorded: Stamp
  readonly events: readonly CommitEvent[]
}

export interface Commit extends CommitDraft {
  readonly hash: Uint8Array
  readonly signature: Uint8Array
}

/** What a log begins with, and what its first commit chains to. */
export interface LogOrigin {
  readonly id: LogId
  readonly idBytes: Uint8Array
  readonly genesis: Genesis
  readonly hash: Uint8Array
}

export function logOrigin(genesis: Genesis, hasher: Hasher): LogOrigin {
  const hash = hasher.sha256(encodeGenesis(genesis))
  const idBytes = hash.slice(0, LOG_ID_BYTES)
  return { id: logId(idBytes), idBytes, genesis, hash }
}

export function logId(bytes: Uint8Array): LogId {
  assert(bytes.length === LOG_ID_BYTES, 'a log id has 16 bytes')
  return toHex(bytes) as LogId
}

/** Hashes and signs a draft. */
export function sealCommit(draft: CommitDraft, signer: Signer, hasher: Hasher): Commit {
  const hash = commitHash(draft, hasher)
  return { ...draft, hash, signature: signer.sign(hash) }
}

/** The hash that a commit of these contents has; what its signature must sign. */
export function commitHash(draft: CommitDraft, hasher: Hasher): Uint8Array {
  assert(draft.events.length > 0, 'a commit has events')
  return hasher.sha256(
    encodeCommitHeader({
      log: draft.origin.idBytes,
      firstSeq: draft.firstSeq,
      count: draft.events.length,
      previous: draft.previous,
      recorded: draft.recorded,
      eventsHash: eventsHash(draft.events, hasher)
    })
  )
}

/** Sequence number of the last event. */
export function lastSeq(commit: Pick<Commit, 'firstSeq' | 'events'>): number {
  return commit.firstSeq + commit.events.length - 1
}

function eventsHash(events: readonly CommitEvent[], hasher: Hasher): Uint8Array {
  const bytes = new Uint8Array(events.length * EVENT_IDENTITY_BYTES)
  let at = 0
  for (const event of events) {
    bytes.set(event.key, at)
    bytes.set(event.hash, at + event.key.length)
    at += EVENT_IDENTITY_BYTES
  }
  return hasher.sha256(bytes)
}

/** A key and a content hash. */
const EVENT_IDENTITY_BYTES = 48
