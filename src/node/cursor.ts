/**
 * Cursors of the changes feed. Behind both forms is a position: how far the reader has each log.
 *
 * The short form (`s…`) names logs by their number in this store and carries the store's
 * incarnation; the portable one (`v…`) names them by id, with a few bytes of a hash that tell the
 * branches of a forked log apart, and is good on any node. Both stay good for ever, because logs
 * only grow.
 */

import { Writer, decode } from '../../protocols/wire.ts'
import type { Reader } from '../../protocols/wire.ts'
import { isRejected } from '../../protocols/rejected.ts'
import { VERSION_HEADS_MAX } from '../../protocols/limits.ts'
import { stampAt } from '../core/hybrid-logical-clock.ts'
import { decodePosition, encodePosition } from '../core/version.ts'
import type { Place } from '../core/version.ts'
import { LaterbaseError } from '../errors.ts'
import { parseTime } from '../schema/time.ts'
import type { EventStore } from '../store/event-store.ts'
import { headPosition, passedOf, settle } from './position.ts'
import type { Position, ReaderPosition } from './position.ts'

/**
 * The position that a text means: `0`, `now`, an RFC 3339 time of recording, or a cursor.
 *
 * @throws LATERBASE_CURSOR_INVALID, LATERBASE_CURSOR_FOREIGN
 */
export async function readCursor(text: string, store: EventStore): Promise<ReaderPosition> {
  if (text === '0') return { passed: new Map(), beyond: [] }
  if (text === 'now') return { passed: headPosition(store), beyond: [] }
  const timeMs = parseTime(text)
  if (timeMs !== undefined) return { passed: await positionAt(timeMs, store), beyond: [] }
  const bytes = BASE64URL.test(text) ? Buffer.from(text.slice(1), 'base64url') : undefined
  if (bytes !== undefined && text.startsWith(SHORT)) {
    return { passed: readShort(bytes, store), beyond: [] }
  }
  const places =
    bytes !== undefined && text.startsWith(PORTABLE) ? decodePosition(bytes) : undefined
  if (places !== undefined) return settle(store, { passed: new Map(), beyond: places })
  throw new LaterbaseError(
    'LATERBASE_CURSOR_INVALID',
    'not a cursor: give 0, now, an RFC 3339 time, or what a feed handed out'
  )
}

/** The short form; where a reader has places beyond this store, only the portable one can say so. */
export function shortCursor(passed: Position, store: EventStore): string {
  const logs = store.logs()
  const writer = new Writer(8 + 12 * logs.length)
  writer.fixed(Buffer.from(store.incarnation, 'hex').subarray(0, INCARNATION_BYTES))
  let before = -1
  for (const log of logs) {
    const seq = passedOf(passed, log)
    if (seq === (log.fork?.seq ?? 0)) continue
    writer.varint(log.number - before - 1).varint(seq)
    before = log.number
  }
  return SHORT + toBase64url(writer.finish())
}

export function portableCursor(places: readonly Place[]): string {
  return PORTABLE + toBase64url(encodePosition(places))
}

async function positionAt(timeMs: number, store: EventStore): Promise<Map<number, number>> {
  const stamp = stampAt(timeMs)
  const position = new Map<number, number>()
  for (const log of store.logs()) position.set(log.number, await store.seqBefore(log, stamp))
  return position
}

function readShort(bytes: Uint8Array, store: EventStore): Map<number, number> {
  const own = Buffer.from(store.incarnation, 'hex').subarray(0, INCARNATION_BYTES)
  if (Buffer.compare(bytes.subarray(0, INCARNATION_BYTES), own) !== 0) throw foreign()
  const entries = decode(bytes.subarray(INCARNATION_BYTES), (reader) => readEntries(reader))
  if (isRejected(entries)) {
    throw new LaterbaseError('LATERBASE_CURSOR_INVALID', `a damaged cursor: ${entries.detail}`)
  }
  const logs = store.logs()
  for (const [number, seq] of entries) {
    const log = logs[number]
    if (log === undefined || seq > log.tip.seq) throw foreign()
  }
  return new Map(entries)
}

function readEntries(reader: Reader): [number, number][] {
  const entries: [number, number][] = []
  let before = -1
  while (reader.remaining() > 0 && entries.length < VERSION_HEADS_MAX) {
    const number = before + 1 + reader.varint(VERSION_HEADS_MAX)
    entries.push([number, reader.varint()])
    before = number
  }
  return entries
}

function foreign(): LaterbaseError {
  return new LaterbaseError(
    'LATERBASE_CURSOR_FOREIGN',
    'this cursor is of another store, or of one that was replaced: go on from the last_version ' +
      'that came with it, or start again from 0'
  )
}

function toBase64url(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('base64url')
}

const SHORT = 's'
const PORTABLE = 'v'
const BASE64URL = /^[sv][A-Za-z0-9_-]*$/
const INCARNATION_BYTES = 4
