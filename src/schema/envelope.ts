/**
 * The envelope: what a client offers becomes a key and the bytes of a value. Everything about an
 * event that is checked where it enters is checked here; replicated events are never refused.
 */

import { EVENT_BYTES_MAX } from '../../protocols/limits.ts'
import type { Hasher } from '../core/clock.ts'
import { formatEventKey, keyTimeMs, naturalKey, parseEventKey } from '../core/event-key.ts'
import type { EventKey, KeyMinter } from '../core/event-key.ts'
import type { ErrorCode, Problem } from '../errors.ts'
import { canonicalJson, escapePointer } from './canonical-json.ts'
import { MEMBER_CHARACTERS_MAX } from './limits.ts'
import { formatTime, isKeyTime, parseTime } from './time.ts'

/**
 * The members of a stored value, or undefined for bytes that no honest node stores: not JSON, or
 * with members that are not a value's, such as a `key` that would hide the event's own.
 */
export function parseStoredValue(text: string): Readonly<Record<string, unknown>> | undefined {
  let parsed: unknown
  try {
    parsed = JSON.parse(text)
  } catch {
    return undefined
  }
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed)) return undefined
  const members = parsed as Readonly<Record<string, unknown>>
  let hasContent = false
  // Without a list of the names, which would be made for each event of a view: `in` names those of a
  // prototype too, should somebody have put some there.
  for (const name in members) {
    if (!Object.hasOwn(members, name)) continue
    if (name === 'data') hasContent = true
    else if (!VALUE_TEXTS.has(name) || typeof members[name] !== 'string') return undefined
    else if (name === 'data_base64') hasContent = true
  }
  return hasContent ? members : undefined
}

export interface EnvelopeContext {
  readonly database: string
  readonly nowMs: number
  /** How far ahead of `nowMs` an event may be dated; Infinity for a client that says it means it. */
  readonly futureToleranceMs: number
  /** One a request, so that its events keep their order. */
  readonly minter: KeyMinter
  readonly hasher: Hasher
}

export interface AcceptedEnvelope {
  readonly type: 'accepted'
  readonly key: EventKey
  readonly value: Uint8Array
  readonly hash: Uint8Array
  /** The key was minted here and now. */
  readonly fresh: boolean
  /** The event's `type`. */
  readonly eventType: string | undefined
}

export interface RefusedEnvelope {
  readonly type: 'refused'
  readonly code: ErrorCode
  readonly problem: Problem
  /** More of the same kind. */
  readonly others?: readonly Problem[]
  /** Of an event of the future: how far ahead of the node's clock, ms. */
  readonly aheadMs?: number
}

/** @param pointer where the event stands in the request */
export function readEnvelope(
  offered: unknown,
  pointer: string,
  context: EnvelopeContext
): AcceptedEnvelope | RefusedEnvelope {
  if (typeof offered !== 'object' || offered === null || Array.isArray(offered)) {
    return invalid(pointer, 'an event is an object: {"data": …}')
  }
  const envelope = offered as Record<string, unknown>
  const problem = checkMembers(envelope, pointer)
  if (problem !== undefined) return { type: 'refused', code: 'LATERBASE_EVENT_INVALID', problem }
  const key = readKey(envelope, pointer, context)
  if (key.type === 'refused') return key
  const keyed = { ...key, hasher: context.hasher }
  const { corrects: offeredCorrects }: Envelope = envelope
  if (offeredCorrects === undefined) return readValue(envelope, pointer, keyed)
  const corrects = readCorrects(offeredCorrects, pointer, key.key)
  if (typeof corrects !== 'string') return corrects
  return readValue({ ...envelope, corrects }, pointer, keyed)
}

/** What a value is made of, in canonical order; `key` and `time` are in the key. */
const VALUE_MEMBERS = [
  'corrects',
  'data',
  'data_base64',
  'datacontenttype',
  'id',
  'schema',
  'source',
  'subject',
  'type'
] as const
const VALUE_TEXTS = new Set<string>(VALUE_MEMBERS.filter((name) => name !== 'data'))
const TEXT_MEMBERS = new Set<string>(['key', 'time', ...VALUE_TEXTS])

/** How the types of events begin that nodes write themselves: definitions of views and schemas. */
const RESERVED_TYPES = 'laterbase.'

interface Envelope {
  readonly key?: string
  readonly time?: string
  readonly type?: string
  readonly source?: string
  readonly id?: string
  readonly corrects?: string
}

function checkMembers(envelope: Record<string, unknown>, pointer: string): Problem | undefined {
  for (const name of Object.keys(envelope)) {
    const value = envelope[name]
    if (name === 'data' || value === undefined) continue
    const detail = memberFault(name, value)
    if (detail !== undefined) return { pointer: `${pointer}/${escapePointer(name)}`, detail }
  }
  if ((envelope['data'] === undefined) === (envelope['data_base64'] === undefined)) {
    return { pointer, detail: 'an event has either data or data_base64' }
  }
  return undefined
}

function memberFault(name: string, value: unknown): string | undefined {
  if (!TEXT_MEMBERS.has(name)) return 'not a member of an event: put your own fields into data'
  if (typeof value !== 'string') return 'must be a string'
  if (value === '') return 'must not be empty'
  if (name === 'type' && value.startsWith(RESERVED_TYPES)) {
    return `types that begin with ${RESERVED_TYPES} are written by nodes: views and schemas have routes`
  }
  if (name === 'data_base64') return BASE64.test(value) ? undefined : 'must be base64'
  if (value.length <= MEMBER_CHARACTERS_MAX) return undefined
  return `must have at most ${MEMBER_CHARACTERS_MAX} characters`
}

type KeyOutcome = { readonly type: 'key'; readonly key: EventKey; readonly fresh: boolean }

function readKey(
  envelope: Envelope,
  pointer: string,
  context: EnvelopeContext
): KeyOutcome | RefusedEnvelope {
  const timeMs = envelope.time === undefined ? undefined : parseTime(envelope.time)
  if (envelope.time !== undefined && (timeMs === undefined || !isKeyTime(timeMs))) {
    return invalid(
      `${pointer}/time`,
      'must be an RFC 3339 time since 1970, such as 2026-11-02T06:10:00Z'
    )
  }
  const chosen = chooseKey(envelope, timeMs, pointer, context)
  if (chosen.type === 'refused') return chosen
  const aheadMs = keyTimeMs(chosen.key) - context.nowMs
  if (!chosen.fresh || timeMs !== undefined) {
    if (aheadMs > context.futureToleranceMs) return futureDated(pointer, aheadMs, context)
  }
  return chosen
}

function chooseKey(
  envelope: Envelope,
  timeMs: number | undefined,
  pointer: string,
  context: EnvelopeContext
): KeyOutcome | RefusedEnvelope {
  const { source, id } = envelope
  if (envelope.key !== undefined) {
    const key = parseEventKey(envelope.key)
    if (key === undefined) return invalid(`${pointer}/key`, 'must be a ULID or a UUIDv7')
    if (timeMs !== undefined && keyTimeMs(key) !== timeMs) {
      const detail = `key says ${formatTime(keyTimeMs(key))}, time says ${formatTime(timeMs)}`
      return invalid(`${pointer}/time`, detail)
    }
    return { type: 'key', key, fresh: false }
  }
  if (source !== undefined && id !== undefined) {
    if (timeMs === undefined) {
      return invalid(
        `${pointer}/time`,
        'source and id make the key, with the event’s own time: without it a retry would be another event'
      )
    }
    const fact = { database: context.database, source, id, timeMs }
    return { type: 'key', key: naturalKey(fact, context.hasher), fresh: false }
  }
  return {
    type: 'key',
    key: context.minter.mint(timeMs ?? Math.max(0, context.nowMs)),
    fresh: true
  }
}

/** The key of the event that is corrected, in its one form; that one need not be held here. */
function readCorrects(text: string, pointer: string, own: EventKey): string | RefusedEnvelope {
  const key = parseEventKey(text)
  if (key === undefined) return invalid(`${pointer}/corrects`, 'must be a ULID or a UUIDv7')
  const corrects = formatEventKey(key)
  if (corrects !== formatEventKey(own)) return corrects
  return invalid(`${pointer}/corrects`, 'an event cannot correct itself')
}

function readValue(
  envelope: Record<string, unknown>,
  pointer: string,
  keyed: Omit<KeyOutcome, 'type'> & { readonly hasher: Hasher }
): AcceptedEnvelope | RefusedEnvelope {
  let text = ''
  for (const name of VALUE_MEMBERS) {
    const member = envelope[name]
    if (member === undefined) continue
    const written = canonicalJson(member, `${pointer}/${name}`)
    if (typeof written !== 'string') {
      return { type: 'refused', code: 'LATERBASE_EVENT_INVALID', problem: written }
    }
    text += `${text === '' ? '{' : ','}"${name}":${written}`
  }
  const value = Buffer.from(`${text}}`)
  if (value.length > EVENT_BYTES_MAX) {
    const detail = `an event has at most ${EVENT_BYTES_MAX} bytes, this one ${value.length}`
    return { type: 'refused', code: 'LATERBASE_TOO_LARGE', problem: { pointer, detail } }
  }
  const { key, fresh } = keyed
  const { type: eventType }: Envelope = envelope
  return { type: 'accepted', key, fresh, value, hash: keyed.hasher.sha256(value), eventType }
}

function futureDated(pointer: string, aheadMs: number, context: EnvelopeContext): RefusedEnvelope {
  const detail =
    `dated ${Math.ceil(aheadMs / 1000)} s ahead of this node’s clock ` +
    `(${formatTime(Math.max(0, context.nowMs))})`
  const problem = { pointer, detail }
  return { type: 'refused', code: 'LATERBASE_FUTURE_DATED', problem, aheadMs }
}

function invalid(pointer: string, detail: string): RefusedEnvelope {
  return { type: 'refused', code: 'LATERBASE_EVENT_INVALID', problem: { pointer, detail } }
}

const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/
