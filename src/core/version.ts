/**
 * Versions: how far a node has each log. A version vector (Parker et al. 1983) whose entries also
 * carry the hash of the head, so that equal versions mean equal sets. A log that was forked has a
 * head for each of its branches.
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
  readonly log: LogId
  /** Sequence number of the last event held, at least 1. */
  readonly seq: number
  /** Hash of the commit that holds it. */
  readonly hash: Uint8Array
}

/** Sorted by log, sequence number, hash. A log without commits has no head, a forked one several. */
export type Version = readonly Head[]

export function versionOf(heads: Iterable<Head>): Version {
  return [...heads].sort(compareHeads)
}

/** 32 bytes: equal exactly when the versions are. */
export function versionDigest(version: Version, hasher: Hasher): Uint8Array {
  const writer = new Writer(32 + 56 * version.length)
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

export function toWireHeads(version: Version): WireHead[] {
  return version.map(({ log, seq, hash }) => ({ log: logIdBytes(log), seq, hash }))
}

export function fromWireHeads(heads: readonly WireHead[]): Version {
  return versionOf(heads.map(({ log, seq, hash }) => ({ log: logId(log), seq, hash })))
}

/** The heads of each log. */
export function headsByLog(version: Version): Map<LogId, Head[]> {
  const byLog = new Map<LogId, Head[]>()
  for (const head of version) {
    const heads = byLog.get(head.log)
    if (heads === undefined) byLog.set(head.log, [head])
    else heads.push(head)
  }
  return byLog
}

/** How far somebody has read a log, in a form that every node understands. */
export interface Place {
  readonly log: LogId
  /** The last event read. */
  readonly seq: number
  /** The first `TAG_BYTES` of the hash of the commit that holds it: which branch is meant. */
  readonly tag: Uint8Array
}

/** Bytes of a hash that tell the branches of a log apart; few, because cursors carry them. */
export const TAG_BYTES = 6

/** Compact bytes of a reader's position, for cursors: one place a log, or a branch of it. */
export function encodePosition(places: readonly Place[]): Uint8Array {
  const sorted = [...places].sort(comparePlaces)
  return new Writer(30 * sorted.length + 8)
    .list(sorted, (writer, { log, seq, tag }) => {
      writer.fixed(logIdBytes(log)).varint(seq).fixed(tag)
    })
    .finish()
}

export function decodePosition(bytes: Uint8Array): readonly Place[] | undefined {
  const places = decode(bytes, (reader: Reader) =>
    reader.list(VERSION_HEADS_MAX, (inner) => ({
      log: logId(inner.fixed(LOG_ID_BYTES)),
      seq: inner.varint(),
      tag: inner.fixed(TAG_BYTES)
    }))
  )
  return isRejected(places) ? undefined : places
}

function logIdBytes(log: LogId): Uint8Array {
  return present(fromHex(log), 'a log id is hex')
}

function compareHeads(a: Head, b: Head): number {
  if (a.log !== b.log) return a.log < b.log ? -1 : 1
  return a.seq === b.seq ? compareBytes(a.hash, b.hash) : a.seq - b.seq
}

function comparePlaces(a: Place, b: Place): number {
  if (a.log !== b.log) return a.log < b.log ? -1 : 1
  return a.seq === b.seq ? compareBytes(a.tag, b.tag) : a.seq - b.seq
}

const DIGEST_DOMAIN = 'laterbase/digest/1'
const DIGEST_CHARACTERS = 10
const ALPHABET = '0123456789ABCDEFGHJKMNPQRSTVWXYZ'
