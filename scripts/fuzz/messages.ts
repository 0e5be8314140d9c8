/** Valid messages of every kind, of any shape: what mutants are made of. */

import { encodeAnnouncement } from '../../protocols/announce/codec.ts'
import { encodeCommitHeader } from '../../protocols/commit/codec.ts'
import {
  REFUSAL_REASONS,
  encodeDeltaAnswer,
  encodeDeltaRequest
} from '../../protocols/delta/codec.ts'
import type { DatabaseDigest, PageLog, WireHead, WireView } from '../../protocols/delta/codec.ts'
import { encodeEvents } from '../../protocols/event/codec.ts'
import { ANNOUNCED_KEYS_MAX } from '../../protocols/limits.ts'
import { Writer } from '../../protocols/wire.ts'
import { emptyTip, tipAfter } from '../../src/core/log.ts'
import { logId, logOrigin, sealCommit } from '../../src/core/commit.ts'
import { eventKey } from '../../src/core/event-key.ts'
import { encodePosition } from '../../src/core/version.ts'
import { createSigner, systemHasher } from '../../src/node/system.ts'
import type { Prng } from '../simulate/prng.ts'

/** Whose logs the pages of real commits are of. */
export const DATABASE = 'yard'

/** How many of each: mostly a few, sometimes as many as the wire allows. */
export type Size = 'small' | 'large'

export function request(prng: Prng, size: Size): Uint8Array {
  const kind = prng.fraction()
  if (kind < 0.3) return encodeDeltaRequest({ type: 'compare', digests: digests(prng, size) })
  if (kind < 0.4) {
    return encodeDeltaRequest({ type: 'views', database: name(prng), digest: bytes(prng, 32) })
  }
  return encodeDeltaRequest({
    type: 'page',
    database: name(prng),
    bytesMax: prng.integer(0, 2 ** 40),
    heads: heads(prng, size),
    places: heads(prng, 'small')
  })
}

export function answer(prng: Prng, size: Size): Uint8Array {
  const kind = prng.fraction()
  if (kind < 0.1) {
    const reason = prng.pick(REFUSAL_REASONS) ?? 'busy'
    return encodeDeltaAnswer({ type: 'refused', reason })
  }
  if (kind < 0.3) return encodeDeltaAnswer({ type: 'compared', digests: digests(prng, size) })
  if (kind < 0.4) return encodeDeltaAnswer({ type: 'views', views: views(prng, size) })
  const logs = list(prng.integer(1, 4), (): PageLog => {
    const begins = prng.fraction() < 0.5
    const genesis = begins ? { publicKey: bytes(prng, 32), nonce: bytes(prng, 16) } : undefined
    const firstSeq = begins ? 1 : prng.integer(2, 2 ** 48)
    return { log: bytes(prng, 16), firstSeq, previous: bytes(prng, 32), genesis }
  })
  const commits = list(size === 'large' ? 4_096 : prng.integer(0, 4), () => ({
    logIndex: prng.integer(0, logs.length - 1),
    count: prng.integer(1, 3),
    recorded: BigInt(prng.integer(0, 2 ** 52)),
    signature: bytes(prng, 64),
    events: region(prng, 'small')
  }))
  const complete = prng.fraction() < 0.5
  return encodeDeltaAnswer({ type: 'page', complete, logs, commits, heads: heads(prng, size) })
}

/** A page of commits that are signed and chained: it passes every check. */
export function signedPage(prng: Prng): Uint8Array {
  const signer = createSigner(bytes(prng, 32))
  const genesis = { publicKey: signer.publicKey, database: DATABASE, nonce: bytes(prng, 16) }
  const origin = logOrigin(genesis, systemHasher)
  let tip = emptyTip(origin)
  const commits = list(prng.integer(1, 3), () => {
    const events = list(prng.integer(1, 3), () => {
      const value = bytes(prng, prng.integer(1, 40))
      return { key: eventKey(bytes(prng, 16)), value, hash: systemHasher.sha256(value) }
    })
    const recorded = tip.recorded + BigInt(prng.integer(1, 9))
    const draft = { origin, firstSeq: tip.seq + 1, previous: tip.hash, recorded, events }
    const commit = sealCommit(draft, signer, systemHasher)
    tip = tipAfter(tip, commit)
    const { signature } = commit
    return { logIndex: 0, count: events.length, recorded, signature, events: encodeEvents(events) }
  })
  const { publicKey, nonce } = genesis
  const entry = { log: origin.idBytes, firstSeq: 1, previous: origin.hash }
  return encodeDeltaAnswer({
    type: 'page',
    complete: true,
    logs: [{ ...entry, genesis: { publicKey, nonce } }],
    commits,
    heads: [{ log: origin.idBytes, seq: tip.seq, hash: tip.hash }]
  })
}

export function announcement(prng: Prng, size: Size): Uint8Array {
  const count = size === 'large' ? ANNOUNCED_KEYS_MAX : prng.integer(1, 5)
  return encodeAnnouncement({
    log: bytes(prng, 16),
    firstSeq: prng.integer(1, 2 ** 40),
    count,
    hash: bytes(prng, 32),
    keys: list(count, () => bytes(prng, 16))
  })
}

export function commitHeader(prng: Prng): Uint8Array {
  return encodeCommitHeader({
    log: bytes(prng, 16),
    firstSeq: prng.integer(1, 2 ** 52),
    count: prng.integer(1, 10_000),
    previous: bytes(prng, 32),
    recorded: BigInt(prng.integer(0, 2 ** 52)),
    eventsHash: bytes(prng, 32)
  })
}

export function region(prng: Prng, size: Size): Uint8Array {
  const count = size === 'large' ? 10_000 : prng.integer(1, 3)
  return encodeEvents(
    list(count, () => ({ key: bytes(prng, 16), value: bytes(prng, prng.integer(1, 40)) }))
  )
}

export function position(prng: Prng, size: Size): Uint8Array {
  return encodePosition(
    heads(prng, size).map(({ log, seq, hash }) => ({
      log: logId(log),
      seq,
      tag: hash.subarray(0, 6)
    }))
  )
}

/** Frames as they stand on a stream, one after the other. */
export function framed(prng: Prng, size: Size): Uint8Array {
  const frames = list(prng.integer(0, 4), () =>
    bytes(prng, size === 'large' ? 60_000 : prng.integer(0, 300))
  )
  return frameAll(frames)
}

export function frameAll(frames: readonly Uint8Array[]): Uint8Array {
  const writer = new Writer()
  for (const frame of frames) writer.prefixed(frame)
  return writer.finish()
}

function digests(prng: Prng, size: Size): DatabaseDigest[] {
  const count = size === 'large' ? 1_024 : prng.integer(0, 4)
  return list(count, () => ({ database: name(prng), digest: bytes(prng, 32) }))
}

function views(prng: Prng, size: Size): WireView[] {
  const count = size === 'large' ? 1_024 : prng.integer(0, 4)
  return list(count, () => ({ definition: bytes(prng, 32), contents: bytes(prng, 16) }))
}

function heads(prng: Prng, size: Size): WireHead[] {
  const count = size === 'large' ? 15_000 : prng.integer(0, 4)
  return list(count, () => ({
    log: bytes(prng, 16),
    seq: prng.integer(1, prng.fraction() < 0.5 ? 200 : 2 ** 48),
    hash: bytes(prng, 32)
  }))
}

function name(prng: Prng): string {
  return Array.from({ length: prng.integer(1, 63) }, () => prng.pick('abcxyz_-09'.split(''))).join(
    ''
  )
}

function bytes(prng: Prng, length: number): Uint8Array {
  return Uint8Array.from({ length }, () => prng.integer(0, 255))
}

function list<T>(count: number, make: () => T): T[] {
  return Array.from({ length: count }, make)
}
