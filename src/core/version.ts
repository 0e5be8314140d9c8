/**
 * Versions: for each log, how far a node has it. A version vector (Parker et al. 1983) whose
 * entries also carry the hash of the head, so that equal versions mean equal sets.
 */

import { Writer, decode } from '../../protocols/wire.ts'
import type { Reader } from '../../protocols/wire.ts'
import { LOG_ID_BYTES } from '../../protocols/commit/codec.ts'
import type { WireHead } from '../../protocols/delta/codec.ts'
import { VERSION_HEADS_MAX } from '../../protocols/limits.ts'
import { isRejected } from '../../protocols/rejected.ts'
import { compareBytes, fromHex } from './bytes.ts'
import { present } from './assert.ts'
import { logId } from './commit.ts'
import type { LogId } from './commit.ts'
import type { Hasher } from './clock.ts'

export interface Head {
  /** Sequence number of the last event held, at least 1. */
  readonly seq: number
  /** Hash of the commit that holds it. */
  readonly hash: Uint8Array
}

/** Heads by log; a log without commits has no entry. */
export type Version = ReadonlyMap<LogId, Head>

export const EMPTY_VERSION: Version = new Map()

/** The version of the union of both sets. Commutative, associative, idempotent. */
export function joinVersions(a: Version, b: Version): Version {
  const joined = new Map(a)
  for (const [log, head] of b) raise(joined, log, head)
  return joined
}

/** Whether everything in `b` is in `a`. */
export function covers(a: Version, b: Version): boolean {
  for (const [log, head] of b) {
    if ((a.get(log)?.seq ?? 0) < head.seq) return false
  }
  return true
}

/** A stretch of one log: events `afterSeq + 1` to `toSeq`. */
export interface MissingRange {
  readonly log: LogId
  readonly afterSeq: number
  readonly toSeq: number
}

/** What the holder of `mine` has and the holder of `theirs` lacks. */
export function missingRanges(mine: Version, theirs: Version): MissingRange[] {
  const ranges: MissingRange[] = []
  for (const [log, head] of mine) {
    const afterSeq = theirs.get(log)?.seq ?? 0
    if (afterSeq < head.seq) ranges.push({ log, afterSeq, toSeq: head.seq })
  }
  return ranges
}

/** 32 bytes: equal exactly when the versions are. */
export function versionDigest(version: Version, hasher: Hasher): Uint8Array {
  const writer = new Writer(32 + 56 * version.size)
  writer.name(DIGEST_DOMAIN)
  for (const head of toWireHeads(version)) writer.fixed(head.log).varint(head.seq).fixed(head.hash)
  return hasher.sha256(writer.finish())
}

/** Ten characters of Crockford's alphabet (50 bits), grouped to be read over the phone. */
export function formatDigest(digest: Uint8Array): string {
  let text = ''
  let bits = 0
  let bitCount = 0
  for (const byte of digest.subarray(0, 7)) {
    bits = (bits << 8) | byte
    bitCount += 8
    while (bitCount >= 5 && text.length < DIGEST_CHARACTERS) {
      bitCount -= 5
      text += ALPHABET[(bits >> bitCount) & 31]
    }
    bits &= (1 << bitCount) - 1
  }
  return `${text.slice(0, 4)}-${text.slice(4, 8)}-${text.slice(8)}`
}

/** Sorted by log id, as every encoding of a version is. */
export function toWireHeads(version: Version): WireHead[] {
  return [...version]
    .map(([log, head]) => ({ log: logIdBytes(log), seq: head.seq, hash: head.hash }))
    .sort((a, b) => compareBytes(a.log, b.log))
}

/** Where a log is listed twice, as for a log with two branches, the further head counts. */
export function fromWireHeads(heads: readonly WireHead[]): Version {
  const version = new Map<LogId, Head>()
  for (const { log, seq, hash } of heads) raise(version, logId(log), { seq, hash })
  return version
}

/** A place in a database's history: events of each log up to a sequence number. */
export type Position = ReadonlyMap<LogId, number>

/** Compact bytes of a position, for cursors. */
export function encodePosition(position: Position): Uint8Array {
  const entries = [...position].filter(([, seq]) => seq > 0).sort(([a], [b]) => (a < b ? -1 : 1))
  return new Writer(24 * entries.length + 8)
    .list(entries, (writer, [log, seq]) => writer.fixed(logIdBytes(log)).varint(seq))
    .finish()
}

export function decodePosition(bytes: Uint8Array): Position | undefined {
  const entries = decode(bytes, (reader: Reader) =>
    reader.list(VERSION_HEADS_MAX, (inner): [LogId, number] => [
      logId(inner.fixed(LOG_ID_BYTES)),
      inner.varint()
    ])
  )
  return isRejected(entries) ? undefined : new Map(entries)
}

export function logIdBytes(log: LogId): Uint8Array {
  return present(fromHex(log), 'a log id is hex')
}

function raise(version: Map<LogId, Head>, log: LogId, head: Head): void {
  const other = version.get(log)
  if (other === undefined || compareHeads(head, other) > 0) version.set(log, head)
}

function compareHeads(a: Head, b: Head): number {
  return a.seq === b.seq ? compareBytes(a.hash, b.hash) : a.seq - b.seq
}

const DIGEST_DOMAIN = 'laterbase/digest/1'
const DIGEST_CHARACTERS = 10
const ALPHABET = '0123456789ABCDEFGHJKMNPQRSTVWXYZ'
