/**
 * Cursors of the changes feed. Behind both forms is a position: how far the reader has each log.
 *
 * The short form (`s…`) names logs by their number in this store, and carries a check over its
 * places and the commits there: a store that was wiped, restored or copied, and numbers logs otherwise
 * or has other commits there, refuses it. The portable one (`v…`) names logs by id, with a few bytes of a
 * hash that tell the branches of a forked log apart, and is good on any node. Both stay good for
 * ever, because logs only grow.
 */

import { Writer, decode } from '../../protocols/wire.ts'
import type { Reader } from '../../protocols/wire.ts'
import { isRejected } from '../../protocols/rejected.ts'
import type { Rejected } from '../../protocols/rejected.ts'
import { VERSION_HEADS_MAX } from '../../protocols/limits.ts'
import { present } from '../core/assert.ts'
import { stampAt } from '../core/hybrid-logical-clock.ts'
import { TAG_BYTES, decodePosition, encodePosition } from '../core/version.ts'
import type { Place } from '../core/version.ts'
import { LaterbaseError } from '../errors.ts'
import { parseTime } from '../schema/time.ts'
import type { EventStore, StoredLog } from '../store/event-store.ts'
import { headPosition, passedOf, readerAt, settle, tagsOf } from './position.ts'
import type { Position, ReaderPosition, Tags } from './position.ts'

/**
 * The position that a text means: `0`, `now`, an RFC 3339 time of recording, or a cursor.
 *
 * @throws LATERBASE_CURSOR_INVALID, LATERBASE_CURSOR_FOREIGN
 */
export async function readCursor(text: string, store: EventStore): Promise<ReaderPosition> {
  if (text === '0') return readerAt(new Map())
  if (text === 'now') return readerAt(headPosition(store))
  const timeMs = parseTime(text)
  if (timeMs !== undefined) return readerAt(await positionAt(timeMs, store))
  const bytes = BASE64URL.test(text) ? Buffer.from(text.slice(1), 'base64url') : undefined
  if (bytes !== undefined && text.startsWith(SHORT)) return readShort(bytes, store)
  const places =
    bytes !== undefined && text.startsWith(PORTABLE) ? decodePosition(bytes) : undefined
  if (places !== undefined) return settle(store, { ...readerAt(new Map()), beyond: places })
  throw new LaterbaseError(
    'LATERBASE_CURSOR_INVALID',
    'not a cursor: give 0, now, an RFC 3339 time, or what a feed handed out'
  )
}

/** What a short cursor says that it has passed, whether it is of this store or not; else undefined. */
export function claimedPosition(text: string, store: EventStore): Position | undefined {
  if (!BASE64URL.test(text) || !text.startsWith(SHORT)) return undefined
  const told = decodeShort(Buffer.from(text.slice(1), 'base64url'))
  if (isRejected(told)) return undefined
  const logs = store.logs()
  return [...told.passed.keys()].every((number) => number in logs) ? told.passed : undefined
}

/**
 * The short form; where a reader has places beyond this store, only the portable one can say so.
 *
 * @param tags of the commits that hold the last events passed
 */
export function shortCursor(passed: Position, tags: Tags, store: EventStore): string {
  return writeShort(store.logs(), (log) => ({
    seq: passedOf(passed, log),
    tag: tags.get(log.number)
  }))
}

/** Short, of everything that a store holds. Made with each commit that is acknowledged. */
export function headCursor(store: EventStore): string {
  return writeShort(store.logs(), ({ tip }) => ({ seq: tip.seq, tag: tip.hash }))
}

/** Portable, of everything that a store holds. */
export function headVersion(store: EventStore): string {
  const places: Place[] = []
  for (const { tip, fork } of store.logs()) {
    const { origin, seq, hash } = tip
    if (seq === (fork?.seq ?? 0)) continue
    places.push({ log: origin.id, seq, tag: hash.subarray(0, TAG_BYTES) })
  }
  return portableCursor(places)
}

function writeShort(
  logs: readonly StoredLog[],
  placeIn: (log: StoredLog) => { readonly seq: number; readonly tag: Uint8Array | undefined }
): string {
  const writer = new Writer(CHECK_BYTES + 12 * logs.length)
  writer.fixed(new Uint8Array(CHECK_BYTES))
  let [check, before] = [0, -1]
  for (const log of logs) {
    const { seq, tag } = placeIn(log)
    if (seq === (log.fork?.seq ?? 0)) continue
    writer.varint(log.number - before - 1).varint(seq)
    check ^= checkOf(present(tag, 'the tag of a place is known'), seq)
    before = log.number
  }
  const bytes = writer.finish()
  new DataView(bytes.buffer, bytes.byteOffset).setInt32(0, check)
  return SHORT + toBase64url(bytes)
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

/** @throws LATERBASE_CURSOR_INVALID, LATERBASE_CURSOR_FOREIGN */
async function readShort(bytes: Uint8Array, store: EventStore): Promise<ReaderPosition> {
  const told = decodeShort(bytes)
  if (isRejected(told)) {
    throw new LaterbaseError('LATERBASE_CURSOR_INVALID', `a damaged cursor: ${told.detail}`)
  }
  const { check, passed } = told
  const logs = store.logs()
  for (const [number, seq] of passed) {
    const log = logs[number]
    if (log === undefined || seq <= (log.fork?.seq ?? 0) || seq > log.tip.seq) throw foreign()
  }
  const tags = await tagsOf(store, passed)
  let found = 0
  for (const [number, tag] of tags) found ^= checkOf(tag, passed.get(number) ?? 0)
  if (found !== readCheck(check)) throw foreign()
  return { passed, tags, beyond: [] }
}

function decodeShort(bytes: Uint8Array): ShortCursor | Rejected {
  return decode(bytes, (reader) => ({
    check: reader.fixed(CHECK_BYTES),
    passed: new Map(readEntries(reader))
  }))
}

interface ShortCursor {
  readonly check: Uint8Array
  readonly passed: Position
}

/**
 * Of a place in a log what goes into a cursor's check. The check is the exclusive or of all: whatever
 * their order is, and however a store numbers its logs, the same places have the same.
 *
 * @param tag of the commit, which may reach further than the place
 */
function checkOf(tag: Uint8Array, seq: number): number {
  let mixed = Math.imul(readCheck(tag) ^ Math.imul(seq, 0x9e3779b1), 0x85ebca6b)
  mixed = Math.imul(mixed ^ (mixed >>> 15), 0xc2b2ae35)
  return mixed ^ (mixed >>> 13)
}

function readCheck([a = 0, b = 0, c = 0, d = 0]: Uint8Array): number {
  return (a << 24) | (b << 16) | (c << 8) | d
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
    'this cursor has passed what this store does not hold: it is of another node, or the disk is ' +
      'another or an older one. Go on from the last_version that came with it, or start again from 0'
  )
}

function toBase64url(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('base64url')
}

const SHORT = 's'
const PORTABLE = 'v'
const BASE64URL = /^[sv][A-Za-z0-9_-]*$/
/** A cursor of another copy passes for one of this in one of four thousand million cases. */
const CHECK_BYTES = 4
