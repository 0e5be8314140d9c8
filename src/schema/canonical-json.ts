/**
 * The one text of a JSON value: RFC 8785 (JSON Canonicalization Scheme), so that an event is the
 * same event whichever client, language or order of members it was written with.
 *
 * One addition: lone surrogates, which RFC 8785 forbids, are data here and stay escaped.
 */

import type { Problem } from '../errors.ts'

/** Nesting that a value may have; deeper is refused, because readers in other languages recurse. */
export const DEPTH_MAX = 512

/**
 * The canonical text, or what is not JSON about the value and where.
 *
 * Members that are `undefined` count as absent, as in JSON.stringify.
 */
export function canonicalJson(value: unknown, pointer = ''): string | Problem {
  const walk: Walk = { sorted: true, problem: undefined }
  check(value, pointer, 0, walk)
  if (walk.problem !== undefined) return walk.problem
  return walk.sorted ? JSON.stringify(value) : write(value as CheckedJson)
}

interface Walk {
  /** The members of every object so far stand in canonical order, so native code may write it. */
  sorted: boolean
  problem: Problem | undefined
}

type CheckedJson =
  null | boolean | number | string | CheckedJson[] | { [name: string]: CheckedJson }

function check(value: unknown, pointer: string, depth: number, walk: Walk): void {
  switch (typeof value) {
    case 'string':
    case 'boolean':
      return
    case 'number':
      if (!Number.isFinite(value)) walk.problem ??= { pointer, detail: `${value} is not JSON` }
      return
    case 'object':
      if (value === null) return
      if (depth >= DEPTH_MAX) {
        walk.problem ??= { pointer, detail: `nested more than ${DEPTH_MAX} deep` }
        return
      }
      if (Array.isArray(value)) checkArray(value, pointer, depth, walk)
      else checkObject(value, pointer, depth, walk)
      return
    default:
      walk.problem ??= { pointer, detail: `a ${typeof value} is not JSON` }
  }
}

function checkArray(values: readonly unknown[], pointer: string, depth: number, walk: Walk): void {
  for (let index = 0; index < values.length; index += 1) {
    check(values[index], `${pointer}/${index}`, depth + 1, walk)
  }
}

function checkObject(value: object, pointer: string, depth: number, walk: Walk): void {
  const prototype: unknown = Object.getPrototypeOf(value)
  if (prototype !== Object.prototype && prototype !== null) {
    const name = value.constructor.name
    walk.problem ??= { pointer, detail: `a ${name} is not JSON: give a plain object or a text` }
    return
  }
  let before: string | undefined
  for (const name of Object.keys(value)) {
    const member = (value as Record<string, unknown>)[name]
    if (member === undefined) continue
    if (before !== undefined && before >= name) walk.sorted = false
    before = name
    check(member, `${pointer}/${escapePointer(name)}`, depth + 1, walk)
  }
}

function write(value: CheckedJson): string {
  if (typeof value !== 'object' || value === null) return JSON.stringify(value)
  if (Array.isArray(value)) return `[${value.map(write).join(',')}]`
  // RFC 8785 orders by UTF-16 code units, which is what JavaScript's comparison does.
  const names = Object.keys(value).sort()
  const members: string[] = []
  for (const name of names) {
    const member = value[name]
    if (member !== undefined) members.push(`${JSON.stringify(name)}:${write(member)}`)
  }
  return `{${members.join(',')}}`
}

/** A member name as a reference token of an RFC 6901 JSON pointer. */
export function escapePointer(name: string): string {
  return name.replaceAll('~', '~0').replaceAll('/', '~1')
}
