/**
 * The one text of a JSON value: RFC 8785 (JSON Canonicalization Scheme), so that an event is the
 * same event whichever client, language or order of members it was written with.
 *
 * One addition: lone surrogates, which RFC 8785 forbids, are data here and stay escaped.
 *
 * Every event that enters a node passes here, so the text is put together in one walk, and what is
 * wrong with a value, and where, is looked for only when something is.
 */

import type { Problem } from '../errors.ts'
import { JSON_DEPTH_MAX } from './limits.ts'

/**
 * The canonical text, or what is not JSON about the value and where.
 *
 * Members that are `undefined` count as absent, as in JSON.stringify.
 */
export function canonicalJson(value: unknown, pointer = ''): string | Problem {
  const text = write(value, 0)
  return text ?? findProblem(value, pointer, 0) ?? { pointer, detail: 'not JSON' }
}

/** A member name as a reference token of an RFC 6901 JSON pointer. */
export function escapePointer(name: string): string {
  return name.replaceAll('~', '~0').replaceAll('/', '~1')
}

/** The canonical text, or undefined for a value that is not JSON somewhere. */
function write(value: unknown, depth: number): string | undefined {
  switch (typeof value) {
    case 'string':
      return quote(value)
    case 'number':
      // JavaScript writes numbers as RFC 8785 wants them; -0 becomes 0 in both.
      return Number.isFinite(value) ? String(value) : undefined
    case 'boolean':
      return value ? 'true' : 'false'
    case 'object':
      if (value === null) return 'null'
      if (depth >= JSON_DEPTH_MAX) return undefined
      return Array.isArray(value) ? writeArray(value, depth) : writeObject(value, depth)
    default:
      return undefined
  }
}

function writeArray(values: readonly unknown[], depth: number): string | undefined {
  let text = '['
  for (let index = 0; index < values.length; index += 1) {
    const part = write(values[index], depth + 1)
    if (part === undefined) return undefined
    text += index === 0 ? part : `,${part}`
  }
  return `${text}]`
}

function writeObject(value: object, depth: number): string | undefined {
  if (!isPlain(value)) return undefined
  const names = Object.keys(value)
  // RFC 8785 orders by UTF-16 code units, which is what JavaScript's comparison does.
  if (!isSorted(names)) names.sort()
  let text = '{'
  for (const name of names) {
    const member = (value as Record<string, unknown>)[name]
    if (member === undefined) continue
    const part = write(member, depth + 1)
    if (part === undefined) return undefined
    text += text.length === 1 ? `${quote(name)}:${part}` : `,${quote(name)}:${part}`
  }
  return `${text}}`
}

function isSorted(names: readonly string[]): boolean {
  for (let index = 1; index < names.length; index += 1) {
    if ((names[index - 1] ?? '') >= (names[index] ?? '')) return false
  }
  return true
}

/** Short texts without anything to escape are most of all texts, and need no call into native code. */
function quote(text: string): string {
  return text.length <= PLAIN_LENGTH_MAX && PLAIN.test(text) ? `"${text}"` : JSON.stringify(text)
}

const PLAIN_LENGTH_MAX = 64
const PLAIN = /^[ !#-[\]-~]*$/

function isPlain(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === Object.prototype || prototype === null
}

/** The first fault of a value, in the order of its members. */
function findProblem(value: unknown, pointer: string, depth: number): Problem | undefined {
  if (typeof value === 'number') {
    return Number.isFinite(value) ? undefined : { pointer, detail: `${value} is not JSON` }
  }
  if (typeof value === 'string' || typeof value === 'boolean' || value === null) return undefined
  if (typeof value !== 'object') return { pointer, detail: `a ${typeof value} is not JSON` }
  if (depth >= JSON_DEPTH_MAX) return { pointer, detail: `nested more than ${JSON_DEPTH_MAX} deep` }
  if (!Array.isArray(value) && !isPlain(value)) {
    // Not `value.constructor`, which may be anything, and missing.
    const name = Object.prototype.toString.call(value).slice('[object '.length, -1)
    return { pointer, detail: `a ${name} is not JSON: give a plain object or a text` }
  }
  // Not Object.entries of an array, which passes over its holes.
  const members: [string, unknown][] = Array.isArray(value)
    ? Array.from(value, (member: unknown, index) => [String(index), member])
    : Object.entries(value).filter(([, member]) => member !== undefined)
  for (const [name, member] of members) {
    const problem = findProblem(member, `${pointer}/${escapePointer(name)}`, depth + 1)
    if (problem !== undefined) return problem
  }
  return undefined
}
