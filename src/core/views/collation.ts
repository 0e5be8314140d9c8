/**
 * The order of view keys, as bytes and on values: CouchDB's by type, null < false < true < numbers <
 * strings < arrays < objects; arrays element by element and objects member by member, as they stand,
 * the name before the value; what ends first comes first.
 *
 * Strings are ordered by code point, which is the order of their UTF-8 bytes, not by ICU as in
 * CouchDB: two boxes with different ICU versions would disagree. Members stand as JavaScript keeps
 * them: names that are array indices come first, by number.
 *
 * The bytes of a key: a tag of its type, then nothing for null, false and true; for a number, its
 * double, big-endian, with the sign bit flipped, or all bits if it is negative; for a string, its UTF-8
 * (of lone surrogates what UTF-8 would be, three bytes), in which U+0000 and U+0001 stand as 01 01 and
 * 01 02, and END; for an array its elements and END; for an object, name and value in turn, and END.
 *
 * END is below whatever may stand in its place, so that what ends first comes first; and as each
 * encoding says itself where it ends, none is the beginning of another one.
 *
 * Left out: whether a value is JSON, and what makes it so (no getters, no `toJSON`), which is
 * decided before it comes here.
 */

import { assert, present } from '../assert.ts'
import { afterPrefix } from '../bytes.ts'
import type { Json } from '../json.ts'
import { VIEW_KEY_BYTES_MAX, VIEW_KEY_DEPTH_MAX } from '../limits.ts'

/** The encodings of a group of keys, with whatever is appended to them: `to` is not among them. */
export interface ViewKeyRange {
  readonly from: Uint8Array
  readonly to: Uint8Array
}

/**
 * Bytes that sort, unsigned, as the key does among all keys, also with more bytes appended to each.
 *
 * @throws RangeError for a key above VIEW_KEY_BYTES_MAX or VIEW_KEY_DEPTH_MAX, which is its author's fault
 */
export function encodeViewKey(value: Json): Uint8Array {
  return written(writeValue(value, 0, 0))
}

/** The key that begins at `at`, and where its bytes end; -0 comes back as 0, all else as it was. */
export function decodeViewKey(bytes: Uint8Array, at = 0): { value: Json; end: number } {
  const place: Place = { bytes, at }
  const value = readValue(place, 0)
  return { value, end: place.at }
}

/** Negative, zero or positive, in the same order as the bytes, without making them. */
export function compareViewKeys(a: Json, b: Json): number {
  if (typeof a === 'string' && typeof b === 'string') return compareTexts(a, b)
  if (typeof a === 'number' && typeof b === 'number') return a < b ? -1 : a > b ? 1 : 0
  if (isArray(a) && isArray(b)) return compareArrays(a, b)
  if (isObject(a) && isObject(b)) return compareObjects(a, b)
  return tagOf(a) - tagOf(b)
}

/** CouchDB's group_level: the first elements of an array, and any other key as it is. */
export function groupOfLevel(key: Json, level: number): Json {
  assert(Number.isSafeInteger(level) && level >= 0, 'a group level is a natural number')
  return isArray(key) && key.length > level ? key.slice(0, level) : key
}

/**
 * The arrays that begin with these elements, the one that has no others among them.
 *
 * At a group level this is a group of so many elements; one of fewer is a single key.
 */
export function groupRange(prefix: readonly Json[]): ViewKeyRange {
  const from = written(writeElements(prefix, writeTag(ARRAY, 0), 1))
  return { from, to: afterPrefix(from) }
}

type Members = Readonly<Record<string, Json>>

interface Place {
  readonly bytes: Uint8Array
  at: number
}

const END = 0x00
const ESCAPE = 0x01
/** Apart from one another, so that bytes in a dump are told at a glance. */
const NULL = 0x10
const FALSE = 0x20
const TRUE = 0x28
const NUMBER = 0x30
const STRING = 0x40
const ARRAY = 0x50
const OBJECT = 0x60
/** The upper half of a double's sign. */
const SIGN = -0x80000000

/**
 * Where every key is written before it is copied out: a key is done before the next one begins.
 * Its end is looked for between strings and numbers only: a string may have three times as many
 * bytes as characters, of which it may have VIEW_KEY_BYTES_MAX.
 */
const SCRATCH = new Uint8Array(4 * VIEW_KEY_BYTES_MAX + 64)
const SCRATCH_VIEW = new DataView(SCRATCH.buffer)
const NUMBER_VIEW = new DataView(new ArrayBuffer(8))

function written(end: number): Uint8Array {
  if (end > VIEW_KEY_BYTES_MAX) refuseLength()
  return SCRATCH.slice(0, end)
}

/** Writes from `at` on, and says where it ended, as do the functions below. */
function writeValue(value: Json, at: number, depth: number): number {
  if (at > VIEW_KEY_BYTES_MAX) refuseLength()
  if (typeof value === 'string') return writeText(value, at)
  if (typeof value === 'number') return writeNumber(value, at)
  if (value === null) return writeTag(NULL, at)
  if (typeof value === 'boolean') return writeTag(value ? TRUE : FALSE, at)
  assert(typeof value === 'object', 'a view key is JSON')
  if (depth >= VIEW_KEY_DEPTH_MAX) {
    throw new RangeError(`a view key is nested more than ${VIEW_KEY_DEPTH_MAX} deep`)
  }
  const end = isArray(value)
    ? writeElements(value, writeTag(ARRAY, at), depth + 1)
    : writeMembers(value, writeTag(OBJECT, at), depth + 1)
  return writeTag(END, end)
}

function writeElements(elements: readonly Json[], at: number, depth: number): number {
  let end = at
  for (const element of elements) end = writeValue(element, end, depth)
  return end
}

function writeMembers(members: Members, at: number, depth: number): number {
  let end = at
  for (const name of Object.keys(members)) {
    end = writeValue(memberOf(members, name), writeText(name, end), depth)
  }
  return end
}

function writeNumber(value: number, at: number): number {
  assert(Number.isFinite(value), 'a number of JSON is finite')
  SCRATCH[at] = NUMBER
  // A sum with 0 makes 0 of -0, which is equal and has other bits.
  SCRATCH_VIEW.setFloat64(at + 1, value + 0)
  const high = SCRATCH_VIEW.getInt32(at + 1)
  if (high >= 0) {
    SCRATCH_VIEW.setInt32(at + 1, high ^ SIGN)
  } else {
    SCRATCH_VIEW.setInt32(at + 1, ~high)
    SCRATCH_VIEW.setInt32(at + 5, ~SCRATCH_VIEW.getInt32(at + 5))
  }
  return at + 9
}

function writeText(text: string, at: number): number {
  if (text.length > VIEW_KEY_BYTES_MAX) refuseLength()
  SCRATCH[at] = STRING
  let end = at + 1
  for (let index = 0; index < text.length; index += 1) {
    const unit = text.charCodeAt(index)
    if (unit > ESCAPE && unit < 0x80) {
      SCRATCH[end] = unit
      end += 1
    } else {
      const point = text.codePointAt(index) ?? 0
      if (point > 0xffff) index += 1
      end = writeUnlikeAscii(point, end)
    }
  }
  end = writeTag(END, end)
  if (end > VIEW_KEY_BYTES_MAX) refuseLength()
  return end
}

/** A code point above ASCII, or one that END and ESCAPE stand in the place of. */
function writeUnlikeAscii(point: number, at: number): number {
  let end = at
  if (point <= ESCAPE) {
    SCRATCH[end++] = ESCAPE
    SCRATCH[end++] = point + 1
    return end
  }
  if (point < 0x800) {
    SCRATCH[end++] = 0xc0 | (point >> 6)
  } else if (point <= 0xffff) {
    SCRATCH[end++] = 0xe0 | (point >> 12)
    SCRATCH[end++] = 0x80 | ((point >> 6) & 0x3f)
  } else {
    SCRATCH[end++] = 0xf0 | (point >> 18)
    SCRATCH[end++] = 0x80 | ((point >> 12) & 0x3f)
    SCRATCH[end++] = 0x80 | ((point >> 6) & 0x3f)
  }
  SCRATCH[end++] = 0x80 | (point & 0x3f)
  return end
}

function writeTag(tag: number, at: number): number {
  SCRATCH[at] = tag
  return at + 1
}

function refuseLength(): never {
  throw new RangeError(`a view key has more than ${VIEW_KEY_BYTES_MAX} bytes`)
}

function readValue(place: Place, depth: number): Json {
  const tag = take(place)
  if (tag === STRING) return readText(place)
  if (tag === NUMBER) return readNumber(place)
  if (tag === NULL) return null
  if (tag === FALSE) return false
  if (tag === TRUE) return true
  assert(tag === ARRAY || tag === OBJECT, 'a view key begins with a tag')
  assert(depth < VIEW_KEY_DEPTH_MAX, 'a view key is no deeper than it may be')
  return tag === ARRAY ? readElements(place, depth + 1) : readMembers(place, depth + 1)
}

function readElements(place: Place, depth: number): Json {
  const elements: Json[] = []
  while (place.bytes[place.at] !== END) elements.push(readValue(place, depth))
  place.at += 1
  return elements
}

function readMembers(place: Place, depth: number): Json {
  const members: Record<string, Json> = {}
  for (let tag = take(place); tag !== END; tag = take(place)) {
    assert(tag === STRING, 'the name of a member is a string')
    const name = readText(place)
    const value = readValue(place, depth)
    if (name === '__proto__') defineMember(members, name, value)
    else members[name] = value
  }
  return members
}

/** Of a name to which an assignment would not make a member. */
function defineMember(members: Record<string, Json>, name: string, value: Json): void {
  const attributes = { value, enumerable: true, writable: true, configurable: true }
  Object.defineProperty(members, name, attributes)
}

function readNumber(place: Place): number {
  const high = takeInt32(place)
  const low = takeInt32(place)
  const isNegative = high >= 0
  NUMBER_VIEW.setInt32(0, isNegative ? ~high : high ^ SIGN)
  NUMBER_VIEW.setInt32(4, isNegative ? ~low : low)
  return NUMBER_VIEW.getFloat64(0)
}

function readText(place: Place): string {
  let text = ''
  for (;;) {
    // Eight characters at a time cost a third: keys are read for each row, and most are ASCII.
    while (hasEightPlain(place)) text += readEightPlain(place)
    const byte = take(place)
    if (byte === END) return text
    if (byte === ESCAPE) text += String.fromCharCode(take(place) - 1)
    else if (byte < 0x80) text += String.fromCharCode(byte)
    else text += String.fromCodePoint(readPoint(byte, place))
  }
}

function hasEightPlain({ bytes, at }: Place): boolean {
  for (let index = at; index < at + 8; index += 1) {
    const byte = bytes[index] ?? END
    if (byte <= ESCAPE || byte >= 0x80) return false
  }
  return true
}

function readEightPlain(place: Place): string {
  const { bytes, at } = place
  const [a = 0, b = 0, c = 0, d = 0] = [bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]
  const [e = 0, f = 0, g = 0, h = 0] = [bytes[at + 4], bytes[at + 5], bytes[at + 6], bytes[at + 7]]
  place.at = at + 8
  return String.fromCharCode(a, b, c, d, e, f, g, h)
}

function readPoint(first: number, place: Place): number {
  if (first < 0xe0) return ((first & 0x1f) << 6) | takeSix(place)
  if (first < 0xf0) return ((first & 0x0f) << 12) | (takeSix(place) << 6) | takeSix(place)
  return ((first & 0x07) << 18) | (takeSix(place) << 12) | (takeSix(place) << 6) | takeSix(place)
}

function takeSix(place: Place): number {
  return take(place) & 0x3f
}

function takeInt32(place: Place): number {
  return (take(place) << 24) | (take(place) << 16) | (take(place) << 8) | take(place)
}

function take(place: Place): number {
  const byte = place.bytes[place.at]
  assert(byte !== undefined, 'a view key is whole')
  place.at += 1
  return byte
}

function compareTexts(a: string, b: string): number {
  if (a === b) return 0
  for (let index = 0; index < a.length && index < b.length; index += 1) {
    // By code point, not by UTF-16 unit: astral characters are above U+FFFF, their surrogates below.
    const left = a.codePointAt(index) ?? 0
    const right = b.codePointAt(index) ?? 0
    if (left !== right) return left - right
  }
  return a.length - b.length
}

function compareArrays(a: readonly Json[], b: readonly Json[]): number {
  for (let index = 0; index < a.length && index < b.length; index += 1) {
    const order = compareViewKeys(elementOf(a, index), elementOf(b, index))
    if (order !== 0) return order
  }
  return a.length - b.length
}

function compareObjects(a: Members, b: Members): number {
  const names = Object.keys(a)
  const others = Object.keys(b)
  for (let index = 0; index < names.length && index < others.length; index += 1) {
    const name = names[index] ?? ''
    const other = others[index] ?? ''
    const order = compareTexts(name, other)
    if (order !== 0) return order
    const valueOrder = compareViewKeys(memberOf(a, name), memberOf(b, name))
    if (valueOrder !== 0) return valueOrder
  }
  return names.length - others.length
}

function tagOf(value: Json): number {
  if (value === null) return NULL
  if (typeof value === 'boolean') return value ? TRUE : FALSE
  if (typeof value === 'number') return NUMBER
  if (typeof value === 'string') return STRING
  return isArray(value) ? ARRAY : OBJECT
}

function elementOf(elements: readonly Json[], index: number): Json {
  return present(elements[index], 'an array has no holes')
}

function memberOf(members: Members, name: string): Json {
  return present(members[name], 'a member has a value')
}

function isArray(value: Json): value is readonly Json[] {
  return Array.isArray(value)
}

function isObject(value: Json): value is Members {
  return typeof value === 'object' && value !== null && !isArray(value)
}
