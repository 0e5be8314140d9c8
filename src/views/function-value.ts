/**
 * What functions of views return, as JSON: copied, so that a function that changes it later does not change
 * what is kept; and what is said of a function that failed.
 *
 * As JSON.stringify has it, but that what JSON cannot say is refused instead of left out: functions, symbols,
 * numbers that are not finite, maps, instances of classes. `undefined` is null, and no member at all of an object;
 * an object that is not a plain one is what its `toJSON` says, as of an event or a Date.
 */

import type { Json } from '../core/json.ts'
import { escapePointer } from '../schema/canonical-json.ts'
import { JSON_DEPTH_MAX } from '../schema/limits.ts'
import { FAULT_CHARS_MAX } from './limits.ts'
import type { Fault } from './program.ts'

/** How much more may be copied, in bytes of JSON at the least; a copy takes from it what it has. */
export interface Room {
  bytes: number
}

/**
 * A copy that nobody else has.
 *
 * @throws NotJsonError, and what getters and `toJSON` throw
 */
export function jsonCopy(value: unknown, room: Room): Json {
  return copy(value, room, 0)
}

/** What a value is that is not JSON, and where in it. */
export class NotJsonError extends Error {
  readonly #path: string[] = []

  constructor(message: string) {
    super(message)
    this.name = 'NotJsonError'
  }

  /** It was met in this member. */
  within(name: string): this {
    if (this.#path.length < SHOWN_DEPTH) this.#path.unshift(escapePointer(name))
    return this
  }

  /** In words, with an RFC 6901 pointer unless it is the value itself. */
  get detail(): string {
    return this.#path.length === 0 ? this.message : `${this.message}, at /${this.#path.join('/')}`
  }
}

/**
 * Whether a value and what its JSON text says are the same to every function, and the text has at most so many bytes:
 * nothing in it is undefined, -0 or there twice, no object has anything that JSON does not have. Called for each event of
 * a fold, so it looks once, and makes a text only of what may be too large.
 */
export function isExactJson(value: unknown, bytesMax: number): boolean {
  const look = new ExactLook()
  if (!look.isExact(value, 0)) return false
  return look.bytesMost <= bytesMax || Buffer.byteLength(JSON.stringify(value)) <= bytesMax
}

/** In one line, and not endless. */
export function faultOf(error: unknown): Fault {
  return { fault: oneLine(textOf(error)) }
}

function copy(value: unknown, room: Room, depth: number): Json {
  switch (typeof value) {
    case 'string':
      take(room, value.length + 2)
      return value
    case 'number':
      if (!Number.isFinite(value)) throw new NotJsonError(`${value} is not JSON`)
      take(room, 1)
      // A sum with 0 makes 0 of -0, which JSON does not have.
      return value + 0
    case 'boolean':
      take(room, 4)
      return value
    case 'undefined':
      take(room, 4)
      return null
    case 'object':
      take(room, 2)
      if (value === null) return null
      if (depth >= JSON_DEPTH_MAX) throw new NotJsonError(`nested more than ${JSON_DEPTH_MAX} deep`)
      if (Array.isArray(value)) return copyArray(value, room, depth)
      return isPlain(value) ? copyMembers(value, room, depth) : copyOther(value, room, depth)
    default:
      throw new NotJsonError(`a ${typeof value} is not JSON`)
  }
}

function copyArray(values: readonly unknown[], room: Room, depth: number): Json {
  const elements: Json[] = []
  try {
    for (const value of values) elements.push(copy(value, room, depth + 1))
  } catch (error) {
    throw located(error, String(elements.length))
  }
  return elements
}

function copyMembers(value: object, room: Room, depth: number): Json {
  const members: Record<string, Json> = {}
  let met = ''
  try {
    for (const name of Object.keys(value)) {
      met = name
      const member = (value as Record<string, unknown>)[name]
      if (member === undefined) continue
      take(room, name.length + 3)
      const copied = copy(member, room, depth + 1)
      if (name === '__proto__') defineMember(members, name, copied)
      else members[name] = copied
    }
  } catch (error) {
    throw located(error, met)
  }
  return members
}

/** An assignment to `__proto__` would not make a member. */
function defineMember(members: Record<string, Json>, name: string, value: Json): void {
  const attributes = { value, enumerable: true, writable: true, configurable: true }
  Object.defineProperty(members, name, attributes)
}

function copyOther(value: object, room: Room, depth: number): Json {
  if ('toJSON' in value && typeof value.toJSON === 'function') {
    return copy(value.toJSON(), room, depth + 1)
  }
  // Not `value.constructor`, which may be anything, and missing.
  const name = Object.prototype.toString.call(value).slice('[object '.length, -1)
  const what = name === 'Object' ? 'an instance of a class' : `a ${name}`
  throw new NotJsonError(`${what} is not JSON: give a plain object or a text`)
}

function located(error: unknown, name: string): unknown {
  return error instanceof NotJsonError ? error.within(name) : error
}

function take(room: Room, bytes: number): void {
  room.bytes -= bytes
  if (room.bytes < 0) throw new NotJsonError('larger than it may be')
}

function isPlain(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === Object.prototype || prototype === null
}

class ExactLook {
  /** No text of what was looked at has more. */
  bytesMost = 0
  /** Most states have no object within them. */
  #met: Set<object> | undefined
  #outermost: object | undefined

  isExact(value: unknown, depth: number): boolean {
    switch (typeof value) {
      case 'string':
        this.bytesMost += ESCAPED_BYTES * value.length + 3
        return true
      case 'number':
        this.bytesMost += NUMBER_BYTES
        return Number.isFinite(value) && !Object.is(value, -0)
      case 'boolean':
        this.bytesMost += NUMBER_BYTES
        return true
      case 'object':
        this.bytesMost += NUMBER_BYTES
        if (value === null) return true
        if (depth >= JSON_DEPTH_MAX || !this.#isNew(value)) return false
        return Array.isArray(value)
          ? this.#areElements(value, depth)
          : this.#areMembers(value, depth)
      default:
        return false
    }
  }

  #isNew(value: object): boolean {
    if (this.#outermost === undefined) {
      this.#outermost = value
      return true
    }
    this.#met ??= new Set([this.#outermost])
    if (this.#met.has(value)) return false
    this.#met.add(value)
    return true
  }

  #areElements(values: readonly unknown[], depth: number): boolean {
    if (Object.getPrototypeOf(values) !== Array.prototype) return false
    // With `length`, which is a property of its own: more are members beside the elements.
    const { length } = values
    if (Reflect.ownKeys(values).length !== length + 1) return false
    // By number, for holes are undefined too.
    for (let index = 0; index < length; index += 1) {
      if (!this.isExact(values[index], depth + 1)) return false
    }
    return true
  }

  #areMembers(value: object, depth: number): boolean {
    if (Object.getPrototypeOf(value) !== Object.prototype) return false
    if (Object.getOwnPropertySymbols(value).length > 0) return false
    const names = Object.keys(value)
    if (names.length <= WRITTEN_OUT && !areOfJson(value, names)) return false
    const members = value as Record<string, unknown>
    for (const name of names) {
      this.bytesMost += ESCAPED_BYTES * name.length + 4
      if (!this.isExact(members[name], depth + 1)) return false
    }
    return true
  }
}

/** Of a character, and of a number, a word or brackets with a comma, as JSON. */
const ESCAPED_BYTES = 6
const NUMBER_BYTES = 26

/** Nobody writes out larger ones member by member, and to look for each costs as much as all else. */
const WRITTEN_OUT = 64

/** Whether these are all members, and none of them is a function that looks like a value. */
function areOfJson(value: object, names: readonly string[]): boolean {
  if (Object.getOwnPropertyNames(value).length !== names.length) return false
  for (const name of names) {
    const member = Reflect.getOwnPropertyDescriptor(value, name)
    if (member === undefined || !('value' in member)) return false
  }
  return true
}

function textOf(error: unknown): string {
  if (error instanceof NotJsonError) return error.detail
  try {
    return error instanceof Error ? `${error.name}: ${error.message}` : `threw ${String(error)}`
  } catch {
    // What is thrown may be anything, and have a `toString` that throws too.
    return 'threw something that is not an error'
  }
}

function oneLine(text: string): string {
  // Cut first: a message may have any length.
  const line = text
    .slice(0, FAULT_CHARS_MAX * 2)
    .replace(/[\s\p{Cc}]+/gu, ' ')
    .trim()
  return line.slice(0, FAULT_CHARS_MAX)
}

/** Members that are named of a path: a line for a person. */
const SHOWN_DEPTH = 8
