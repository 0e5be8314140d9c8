/**
 * Definitions of views and schemas as events: a reserved kind, written by a node itself, that replicates like
 * all others.
 *
 * The value is canonical JSON, `{"data":{"definition":…,"name":"stock"},"type":"laterbase.view"}`, or
 * `"deleted":true` in place of a definition; a schema may have a `version` besides. The key begins with six
 * bytes of zero, so that a scan of one millisecond of 1970 finds all of them; then the milliseconds at which it
 * was defined, and the beginning of the value's hash. The highest (key, hash) of a name counts. Anything else
 * with such a key is an ordinary event that is dated there.
 */

import { compareBytes } from '../core/bytes.ts'
import type { Hasher } from '../core/clock.ts'
import { KEY_BYTES, KEY_TIME_MS_MAX, eventKey, keyTimeMs, lowestKeyAt } from '../core/event-key.ts'
import type { EventKey } from '../core/event-key.ts'
import type { Json } from '../core/json.ts'
import { LaterbaseError } from '../errors.ts'
import { canonicalJson } from '../schema/canonical-json.ts'
import { MEMBER_CHARACTERS_MAX } from '../schema/limits.ts'
import type { KeyRange } from '../store/event-store.ts'
import { DEFINITION_BYTES_MAX } from './limits.ts'

export type DefinitionType = 'laterbase.view' | 'laterbase.schema'

/** What is defined. */
export interface DefinedName {
  readonly type: DefinitionType
  /** Of a view its name; of a schema the type of the events that follow it. */
  readonly name: string
  /** Of a schema: the `schema` of the events that follow it; none for those without one of their own. */
  readonly version?: string | undefined
}

export interface DefinitionEvent {
  readonly of: DefinedName
  readonly key: EventKey
  /** SHA-256 of the value. */
  readonly hash: Uint8Array
  readonly value: Uint8Array
  readonly isDeleted: boolean
}

/** All keys that definitions can have. */
export const DEFINITION_KEYS: KeyRange = { from: lowestKeyAt(0), to: lowestKeyAt(1) }

/** Cheap, because every commit that is stored is asked: no other event has such a key but by chance. */
export function mayDefine(key: EventKey): boolean {
  return key[0] === 0 && keyTimeMs(key) === 0
}

/**
 * The event for a definition.
 *
 * @param content undefined takes the definition of the name away
 * @param above the highest key of the name that is held, which this one has to pass, whoever's clock wrote it
 * @returns undefined where there is no key above that one
 * @throws LATERBASE_TOO_LARGE
 */
export function definitionEvent(
  of: DefinedName,
  content: Json | undefined,
  { nowMs, above, hasher }: DefinitionMoment
): DefinitionEvent | undefined {
  const { type, name, version } = of
  const told = content === undefined ? { deleted: true } : { definition: content }
  const text = canonicalJson({ data: { ...told, name, version }, type })
  if (typeof text !== 'string') {
    const message = `${text.pointer}: ${text.detail}`
    throw new LaterbaseError('LATERBASE_ARGUMENT_INVALID', message, { problems: [text] })
  }
  const value = Buffer.from(text)
  if (value.length > DEFINITION_BYTES_MAX) {
    const message = `a definition has at most ${DEFINITION_BYTES_MAX} bytes, this one ${value.length}`
    throw new LaterbaseError('LATERBASE_TOO_LARGE', message, {
      facts: { definition_bytes_max: DEFINITION_BYTES_MAX }
    })
  }
  const hash = hasher.sha256(value)
  const key = keyAbove(above, nowMs, hash)
  return key && { of, key, hash, value, isDeleted: content === undefined }
}

export interface DefinitionMoment {
  readonly nowMs: number
  readonly above: EventKey | undefined
  readonly hasher: Hasher
}

/** What an event defines, whoever wrote it; undefined for an ordinary event. */
export function readDefinition(event: {
  readonly key: EventKey
  readonly value: Uint8Array
  readonly hash: Uint8Array
}): DefinitionEvent | undefined {
  const { key, value } = event
  if (!mayDefine(key) || value.length > DEFINITION_BYTES_MAX) return undefined
  const bytes = Buffer.from(value.buffer, value.byteOffset, value.length)
  // In canonical JSON the type comes last: what does not end so needs no look into it.
  const type = TYPES.find((candidate) =>
    bytes.subarray(-ENDS[candidate].length).equals(ENDS[candidate])
  )
  const told = type === undefined ? undefined : parseData(bytes.toString(), type)
  if (type === undefined || told === undefined) return undefined
  const { name, version } = told
  const of = version === undefined ? { type, name } : { type, name, version }
  // Asked for last: each event that is read comes by here, and few have a hash made yet.
  return { of, key, hash: event.hash, value, isDeleted: !('definition' in told) }
}

/** What was defined; undefined for a definition that was taken away. */
export function contentOf(definition: DefinitionEvent): Json | undefined {
  const text = Buffer.from(definition.value).toString()
  return parseData(text, definition.of.type)?.definition
}

/** When it was defined, by the clock of its author, or a little later than another's that ran ahead. */
export function definedMs({ key }: DefinitionEvent): number {
  return Buffer.from(key).readUIntBE(MS_AT, 6)
}

/** Above 0 where `a` counts rather than `b`. */
export function compareDefinitions(a: DefinitionEvent, b: DefinitionEvent): number {
  return compareBytes(a.key, b.key) || compareBytes(a.hash, b.hash)
}

const TYPES: readonly DefinitionType[] = ['laterbase.view', 'laterbase.schema']
const ENDS: Readonly<Record<DefinitionType, Buffer>> = {
  'laterbase.view': Buffer.from('},"type":"laterbase.view"}'),
  'laterbase.schema': Buffer.from('},"type":"laterbase.schema"}')
}

interface DefinitionData {
  readonly name: string
  readonly version?: string
  readonly definition?: Json
}

function parseData(text: string, type: DefinitionType): DefinitionData | undefined {
  let members: { readonly data: Record<string, Json> }
  try {
    members = JSON.parse(text) as typeof members
    // What is not in its one form, or nested too deep, was written by no node of ours.
    if (canonicalJson(members) !== text) return undefined
  } catch {
    return undefined
  }
  const { data, ...others } = members
  if (Object.keys(others).join() !== 'type' || typeof data !== 'object' || data === null) {
    return undefined
  }
  const { name, version, definition, deleted, ...unknown } = data
  const isTold = (definition === undefined) !== (deleted === undefined)
  const isKnown = Object.keys(unknown).length === 0 && (deleted ?? true) === true
  if (!isName(name) || !isTold || !isKnown) return undefined
  if (version === undefined) return definition === undefined ? { name } : { name, definition }
  if (type !== 'laterbase.schema' || !isName(version)) return undefined
  return definition === undefined ? { name, version } : { name, version, definition }
}

function isName(name: unknown): name is string {
  return typeof name === 'string' && name !== '' && name.length <= MEMBER_CHARACTERS_MAX
}

function keyAbove(
  above: EventKey | undefined,
  nowMs: number,
  hash: Uint8Array
): EventKey | undefined {
  const key = keyOf(Math.min(Math.max(0, Math.floor(nowMs)), KEY_TIME_MS_MAX), hash)
  if (above === undefined || compareBytes(key, above) > 0) return key
  const nextMs = Buffer.from(above).readUIntBE(MS_AT, 6) + 1
  return nextMs > KEY_TIME_MS_MAX ? undefined : keyOf(nextMs, hash)
}

function keyOf(timeMs: number, hash: Uint8Array): EventKey {
  const key = Buffer.alloc(KEY_BYTES)
  key.writeUIntBE(timeMs, MS_AT, 6)
  key.set(hash.subarray(0, KEY_BYTES - HASH_AT), HASH_AT)
  return eventKey(key)
}

const MS_AT = 6
const HASH_AT = 12
