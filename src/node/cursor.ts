/**
 * Cursors of the changes feed. Behind both forms is a position: how far the reader has each log.
 *
 * The short form (`s…`) names logs by their number in this store and carries the store's
 * incarnation; the portable one (`v…`) names them by id and is good on any node. Both stay good for
 * ever, because logs only grow.
 */

import { Writer, decode } from '../../protocols/wire.ts'
import type { Reader } from '../../protocols/wire.ts'
import { isRejected } from '../../protocols/rejected.ts'
import { VERSION_HEADS_MAX } from '../../protocols/limits.ts'
import type { LogId } from '../core/commit.ts'
import { stampAt } from '../core/hybrid-logical-clock.ts'
import { decodePosition, encodePosition } from '../core/version.ts'
import type { Position } from '../core/version.ts'
import { LaterbaseError } from '../errors.ts'
import { parseTime } from '../schema/time.ts'
import type { EventStore } from '../store/event-store.ts'

/** Everything that the store holds. */
export function headPosition(store: EventStore): Map<LogId, number> {
  return new Map(store.logs().map(({ tip }) => [tip.origin.id, tip.seq]))
}

/**
 * The position that a text means: `0`, `now`, an RFC 3339 time of recording, or a cursor.
 *
 * @throws LATERBASE_CURSOR_INVALID, LATERBASE_CURSOR_FOREIGN
 */
export async function readCursor(text: string, store: EventStore): Promise<Map<LogId, number>> {
  if (text === '0') return new Map()
  if (text === 'now') return headPosition(store)
  const timeMs = parseTime(text)
  if (timeMs !== undefined) return positionAt(timeMs, store)
  const bytes = BASE64URL.test(text) ? Buffer.from(text.slice(1), 'base64url') : undefined
  if (bytes !== undefined && text.startsWith(SHORT)) return readShort(bytes, store)
  const portable =
    bytes !== undefined && text.startsWith(PORTABLE) ? decodePosition(bytes) : undefined
  if (portable !== undefined) return new Map(portable)
  throw new LaterbaseError(
    'LATERBASE_CURSOR_INVALID',
    'not a cursor: give 0, now, an RFC 3339 time, or what a feed handed out'
  )
}

/** Where a position has logs that this store does not know, only the portable form can say so. */
export function shortCursor(position: Position, store: EventStore): string {
  const logs = store.logs()
  const writer = new Writer(8 + 12 * logs.length)
  writer.fixed(Buffer.from(store.incarnation, 'hex').subarray(0, INCARNATION_BYTES))
  let known = 0
  let before = -1
  for (const { number, tip } of logs) {
    const seq = position.get(tip.origin.id) ?? 0
    if (seq === 0) continue
    known += 1
    writer.varint(number - before - 1).varint(seq)
    before = number
  }
  if (known < position.size && hasUnknownLog(position, store)) return portableCursor(position)
  return SHORT + toBase64url(writer.finish())
}

export function portableCursor(position: Position): string {
  return PORTABLE + toBase64url(encodePosition(position))
}

async function positionAt(timeMs: number, store: EventStore): Promise<Map<LogId, number>> {
  const stamp = stampAt(timeMs)
  const position = new Map<LogId, number>()
  for (const log of store.logs()) {
    position.set(log.tip.origin.id, await store.seqBefore(log, stamp))
  }
  return position
}

function readShort(bytes: Uint8Array, store: EventStore): Map<LogId, number> {
  const own = Buffer.from(store.incarnation, 'hex').subarray(0, INCARNATION_BYTES)
  if (Buffer.compare(bytes.subarray(0, INCARNATION_BYTES), own) !== 0) throw foreign()
  const entries = decode(bytes.subarray(INCARNATION_BYTES), (reader) => readEntries(reader))
  if (isRejected(entries)) {
    throw new LaterbaseError('LATERBASE_CURSOR_INVALID', `a damaged cursor: ${entries.detail}`)
  }
  const logs = store.logs()
  const position = new Map<LogId, number>()
  for (const [number, seq] of entries) {
    const log = logs[number]
    if (log === undefined || seq > log.tip.seq) throw foreign()
    position.set(log.tip.origin.id, seq)
  }
  return position
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

function hasUnknownLog(position: Position, store: EventStore): boolean {
  for (const [log, seq] of position) if (seq > 0 && store.log(log) === undefined) return true
  return false
}

function toBase64url(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('base64url')
}

const SHORT = 's'
const PORTABLE = 'v'
const BASE64URL = /^[sv][A-Za-z0-9_-]*$/
const INCARNATION_BYTES = 4
