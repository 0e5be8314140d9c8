/**
 * The frames of `/laterbase/delta/1.0.0`: comparisons of sets and of views of them, and pages of missing
 * commits. See spec.md.
 */

import {
  HASH_BYTES,
  LOG_ID_BYTES,
  NONCE_BYTES,
  PUBLIC_KEY_BYTES,
  SIGNATURE_BYTES
} from '../commit/codec.ts'
import {
  COMMIT_BYTES_MAX,
  COMMIT_EVENTS_MAX,
  DATABASES_MAX,
  NAME_BYTES_MAX,
  PAGE_COMMITS_MAX,
  VERSION_HEADS_MAX,
  VIEWS_MAX
} from '../limits.ts'
import type { Rejected } from '../rejected.ts'
import { Writer, decode, refuse } from '../wire.ts'
import type { Reader } from '../wire.ts'

export const DELTA_PROTOCOL = '/laterbase/delta/1.0.0'

/** One database's digest: equal exactly when both hold the same set. */
export interface DatabaseDigest {
  readonly database: string
  readonly digest: Uint8Array
}

/** What a view contains of a set: equal for equal definitions over equal sets. */
export interface WireView {
  /** Hash of its definition. */
  readonly definition: Uint8Array
  /** Digest of its contents. */
  readonly contents: Uint8Array
}

/** How far a node has one log, or one branch of it. */
export interface WireHead {
  readonly log: Uint8Array
  /** Sequence number of the last event held, at least 1. */
  readonly seq: number
  /** Hash of the commit that holds it. */
  readonly hash: Uint8Array
}

export type DeltaRequest =
  | { readonly type: 'compare'; readonly digests: readonly DatabaseDigest[] }
  | {
      readonly type: 'page'
      readonly database: string
      /** Answer with about this many bytes of commits; always with one commit if any is missing. */
      readonly bytesMax: number
      readonly heads: readonly WireHead[]
      /** More commits that are held of logs in which the branches part: where they do is looked for. */
      readonly places: readonly WireHead[]
    }
  /** What the views of a set contain, if the responder holds exactly this one. */
  | ({ readonly type: 'views' } & DatabaseDigest)

/**
 * A stretch of a log that a page holds commits of: they follow one another from `firstSeq`. A log of
 * which the page has several branches is listed once for each.
 */
export interface PageLog {
  readonly log: Uint8Array
  readonly firstSeq: number
  readonly previous: Uint8Array
  /** Given when the page begins the log. */
  readonly genesis: { readonly publicKey: Uint8Array; readonly nonce: Uint8Array } | undefined
}

export interface PageCommit {
  /** Index into the page's logs. */
  readonly logIndex: number
  readonly count: number
  readonly recorded: bigint
  readonly signature: Uint8Array
  /** The events region. */
  readonly events: Uint8Array
}

export type DeltaAnswer =
  | { readonly type: 'compared'; readonly digests: readonly DatabaseDigest[] }
  | {
      readonly type: 'page'
      /** Nothing is missing beyond this page, as of the answer. */
      readonly complete: boolean
      readonly logs: readonly PageLog[]
      /** In order of recorded time; the commits of a log in log order. */
      readonly commits: readonly PageCommit[]
      /** The responder's version. */
      readonly heads: readonly WireHead[]
    }
  | { readonly type: 'refused'; readonly reason: RefusalReason }
  /** Of the set that was asked for, views that cover exactly it. */
  | { readonly type: 'views'; readonly views: readonly WireView[] }

export const REFUSAL_REASONS = ['database-unknown', 'request-invalid', 'busy'] as const
export type RefusalReason = (typeof REFUSAL_REASONS)[number]

/** Begins what is hashed to a view's definition; another one for views that are computed otherwise. */
export const VIEW_DOMAIN = 'laterbase/view/1\n'
const CONTENTS_BYTES = 16

const REQUEST = { compare: 1, page: 2, views: 3 } as const
const ANSWER = { compared: 1, page: 2, refused: 3, views: 4 } as const

export function encodeDeltaRequest(request: DeltaRequest): Uint8Array {
  if (request.type === 'compare') {
    return new Writer().byte(REQUEST.compare).list(request.digests, writeDigest).finish()
  }
  if (request.type === 'views') {
    const writer = new Writer().byte(REQUEST.views)
    writeDigest(writer, request)
    return writer.finish()
  }
  return new Writer(128 + 60 * request.heads.length)
    .byte(REQUEST.page)
    .name(request.database)
    .varint(request.bytesMax)
    .list(request.heads, writeHead)
    .list(request.places, writeHead)
    .finish()
}

export function decodeDeltaRequest(frame: Uint8Array): DeltaRequest | Rejected {
  return decode(frame, (reader): DeltaRequest => {
    const kind = reader.byte()
    if (kind === REQUEST.compare) return { type: 'compare', digests: readDigests(reader) }
    if (kind === REQUEST.views) return { type: 'views', ...readDigest(reader) }
    if (kind !== REQUEST.page) refuse('unknown-value', `request kind ${kind}`)
    return {
      type: 'page',
      database: reader.name(NAME_BYTES_MAX),
      bytesMax: reader.varint(),
      heads: readHeads(reader),
      places: readHeads(reader)
    }
  })
}

export function encodeDeltaAnswer(answer: DeltaAnswer): Uint8Array {
  switch (answer.type) {
    case 'compared':
      return new Writer().byte(ANSWER.compared).list(answer.digests, writeDigest).finish()
    case 'refused':
      return new Writer(2)
        .byte(ANSWER.refused)
        .byte(1 + REFUSAL_REASONS.indexOf(answer.reason))
        .finish()
    case 'views':
      return new Writer(8 + 48 * answer.views.length)
        .byte(ANSWER.views)
        .list(answer.views, writeView)
        .finish()
    case 'page': {
      let length = 128 + 60 * answer.heads.length + 120 * answer.logs.length
      for (const commit of answer.commits) length += commit.events.length + 96
      return new Writer(length)
        .byte(ANSWER.page)
        .flag(answer.complete)
        .list(answer.logs, writePageLog)
        .list(answer.commits, writePageCommit)
        .list(answer.heads, writeHead)
        .finish()
    }
  }
}

export function decodeDeltaAnswer(frame: Uint8Array): DeltaAnswer | Rejected {
  return decode(frame, (reader): DeltaAnswer => {
    const kind = reader.byte()
    if (kind === ANSWER.compared) return { type: 'compared', digests: readDigests(reader) }
    if (kind === ANSWER.views) return { type: 'views', views: reader.list(VIEWS_MAX, readView) }
    if (kind === ANSWER.refused) {
      const reason = REFUSAL_REASONS[reader.byte() - 1]
      return { type: 'refused', reason: reason ?? refuse('unknown-value', 'refusal reason') }
    }
    if (kind !== ANSWER.page) refuse('unknown-value', `answer kind ${kind}`)
    const complete = reader.flag()
    const logs = reader.list(VERSION_HEADS_MAX, readPageLog)
    const commits = reader.list(PAGE_COMMITS_MAX, (inner) => readPageCommit(inner, logs.length))
    return { type: 'page', complete, logs, commits, heads: readHeads(reader) }
  })
}

function writeDigest(writer: Writer, digest: DatabaseDigest): void {
  writer.name(digest.database).fixed(digest.digest)
}

function readDigests(reader: Reader): DatabaseDigest[] {
  return reader.list(DATABASES_MAX, readDigest)
}

function readDigest(reader: Reader): DatabaseDigest {
  return { database: reader.name(NAME_BYTES_MAX), digest: reader.fixed(HASH_BYTES) }
}

function writeView(writer: Writer, view: WireView): void {
  writer.fixed(view.definition).fixed(view.contents)
}

function readView(reader: Reader): WireView {
  return { definition: reader.fixed(HASH_BYTES), contents: reader.fixed(CONTENTS_BYTES) }
}

function writeHead(writer: Writer, head: WireHead): void {
  writer.fixed(head.log).varint(head.seq).fixed(head.hash)
}

function readHeads(reader: Reader): WireHead[] {
  return reader.list(VERSION_HEADS_MAX, (inner) => {
    const log = inner.fixed(LOG_ID_BYTES)
    const seq = inner.varint()
    if (seq === 0) refuse('not-allowed', 'the head of an empty log')
    return { log, seq, hash: inner.fixed(HASH_BYTES) }
  })
}

function writePageLog(writer: Writer, log: PageLog): void {
  writer.fixed(log.log).varint(log.firstSeq).fixed(log.previous)
  writer.flag(log.genesis !== undefined)
  if (log.genesis !== undefined) writer.fixed(log.genesis.publicKey).fixed(log.genesis.nonce)
}

function readPageLog(reader: Reader): PageLog {
  const log = reader.fixed(LOG_ID_BYTES)
  const firstSeq = reader.varint()
  if (firstSeq === 0) refuse('not-allowed', 'sequence numbers start at 1')
  const previous = reader.fixed(HASH_BYTES)
  const genesis = reader.flag()
    ? { publicKey: reader.fixed(PUBLIC_KEY_BYTES), nonce: reader.fixed(NONCE_BYTES) }
    : undefined
  if ((genesis === undefined) !== firstSeq > 1) {
    refuse('not-allowed', 'a genesis comes with the first commit of a log, and only with it')
  }
  return { log, firstSeq, previous, genesis }
}

function writePageCommit(writer: Writer, commit: PageCommit): void {
  writer.varint(commit.logIndex).varint(commit.count).u64(commit.recorded)
  writer.fixed(commit.signature).prefixed(commit.events)
}

function readPageCommit(reader: Reader, logCount: number): PageCommit {
  const logIndex = reader.varint()
  if (logIndex >= logCount) refuse('not-allowed', `log index ${logIndex} of ${logCount}`)
  const count = reader.varint(COMMIT_EVENTS_MAX)
  if (count === 0) refuse('not-allowed', 'a commit without events')
  return {
    logIndex,
    count,
    recorded: reader.u64(),
    signature: reader.fixed(SIGNATURE_BYTES),
    events: reader.prefixed(COMMIT_BYTES_MAX)
  }
}
