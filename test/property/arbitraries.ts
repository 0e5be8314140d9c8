/** Random keys, stamps, versions, logs and commits for the properties; seeded, and shrinking. */

import fc from 'fast-check'

import { present } from '../../src/core/assert.ts'
import { logId, logOrigin, sealCommit } from '../../src/core/commit.ts'
import type { Commit, CommitEvent, LogId, LogOrigin } from '../../src/core/commit.ts'
import type { Rng, Signer } from '../../src/core/clock.ts'
import { eventKey } from '../../src/core/event-key.ts'
import type { EventKey } from '../../src/core/event-key.ts'
import { emptyTip, tipAfter } from '../../src/core/log.ts'
import type { LogTip } from '../../src/core/log.ts'
import { versionOf } from '../../src/core/version.ts'
import type { Head, Version } from '../../src/core/version.ts'
import { createSigner, systemHasher } from '../../src/node/system.ts'

export const DATABASE = 'yard'

export function bytes(length: number): fc.Arbitrary<Uint8Array> {
  return fc.uint8Array({ minLength: length, maxLength: length })
}

export function keys(): fc.Arbitrary<EventKey> {
  return fc.oneof(bytes(16), fc.constantFrom(LOWEST, HIGHEST)).map((key) => eventKey(key.slice()))
}

/** Any 64-bit stamp, its edges more often than chance would have them. */
export function stamps(): fc.Arbitrary<bigint> {
  return fc.oneof(
    fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
    fc.constantFrom(0n, 1n, 65_535n, 65_536n, 2n ** 64n - 1n)
  )
}

export function sequenceNumbers(): fc.Arbitrary<number> {
  return fc.oneof(
    fc.integer({ min: 1, max: 300 }),
    fc.constantFrom(Number.MAX_SAFE_INTEGER, 127, 128, 16_383, 16_384)
  )
}

/** Log ids out of a handful, so that two versions meet in some of them. */
export function logIds(): fc.Arbitrary<LogId> {
  return fc
    .integer({ min: 0, max: 7 })
    .map((value) => logId(new Uint8Array(16).fill(value * 32, 0, 8).fill(value, 8)))
}

/** Heads whose hash may differ at equal sequence numbers, as those of a log with two branches. */
function heads(): fc.Arbitrary<Head> {
  return fc.record({
    log: logIds(),
    seq: fc.oneof({ weight: 3, arbitrary: fc.integer({ min: 1, max: 5 }) }, sequenceNumbers()),
    hash: fc.integer({ min: 0, max: 2 }).map((value) => new Uint8Array(32).fill(value))
  })
}

export function versions(): fc.Arbitrary<Version> {
  const selector = (head: Head): string => versionText([head]).join()
  return fc.uniqueArray(heads(), { maxLength: 8, selector }).map(versionOf)
}

/** Comparable: a version as sorted text. */
export function versionText(version: Version): string[] {
  return version.map(({ log, seq, hash }) => `${log} ${seq} ${hash.join()}`).sort()
}

/** Deterministic bytes: the same seed gives the same run. */
export function seededRng(seed: number): Rng {
  let state = seed
  const next = (): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state
  }
  return {
    bytes: (length) => Uint8Array.from({ length }, () => next() >>> 24),
    fraction: () => next() / 2 ** 32
  }
}

export const SIGNERS: readonly Signer[] = [1, 2, 3].map((value) =>
  createSigner(new Uint8Array(32).fill(value))
)

/** The log of one of the signers. */
export function logOf(signer: number): LogOrigin {
  const { publicKey } = present(SIGNERS[signer], 'a signer')
  const nonce = new Uint8Array(16).fill(signer)
  return logOrigin({ publicKey, database: DATABASE, nonce }, systemHasher)
}

export function event(key: EventKey, text: string): CommitEvent {
  const value = Buffer.from(text)
  return { key, value, hash: systemHasher.sha256(value) }
}

/** Few keys and few contents, so that events repeat and contradict one another. */
export function clashingEvents(): fc.Arbitrary<CommitEvent> {
  return fc
    .tuple(fc.integer({ min: 0, max: 12 }), fc.integer({ min: 0, max: 2 }))
    .map(([key, content]) => event(eventKey(smallKey(key)), `{"data":${content}}`))
}

export interface CommitPlan {
  readonly signer: number
  readonly events: readonly CommitEvent[]
  /** How much later than the commit before in the same log. */
  readonly laterBy: number
}

export function commitPlans(): fc.Arbitrary<CommitPlan[]> {
  return fc.array(
    fc.record({
      signer: fc.integer({ min: 0, max: SIGNERS.length - 1 }),
      events: fc.array(clashingEvents(), { minLength: 1, maxLength: 6 }),
      laterBy: fc.integer({ min: 1, max: 3 })
    }),
    { maxLength: 8 }
  )
}

/** Sealed commits, each following the one before in its log, in an order in which they can arrive. */
export function makeCommits(plans: readonly CommitPlan[]): Commit[] {
  const tips = new Map<number, LogTip>()
  return plans.map(({ signer, events, laterBy }) => {
    const tip = tips.get(signer) ?? emptyTip(logOf(signer))
    const draft = {
      origin: tip.origin,
      firstSeq: tip.seq + 1,
      previous: tip.hash,
      recorded: tip.recorded + BigInt(laterBy),
      events
    }
    const commit = sealCommit(draft, present(SIGNERS[signer], 'a signer'), systemHasher)
    tips.set(signer, tipAfter(tip, commit))
    return commit
  })
}

function smallKey(value: number): Uint8Array {
  const key = new Uint8Array(16)
  key[5] = value >> 2
  key[15] = value & 3
  return key
}

const LOWEST = new Uint8Array(16)
const HIGHEST = new Uint8Array(16).fill(255)
