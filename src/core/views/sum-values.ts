/**
 * What `_sum` adds: numbers, arrays of numbers, and objects of these, nested as one likes. Exact, in any
 * order and grouping (exact-sum.ts).
 *
 * As CouchDB: arrays are added element by element, the shorter one as if padded with zeros, and a number
 * is an array of itself beside an array; objects member by member, a missing one adding nothing. CouchDB
 * refuses the whole view where objects meet anything else. Here such a sum, or that member of one, is
 * `null`, "mixed": whatever is added to it, in whatever order, it stays that.
 */

import { assert } from '../assert.ts'
import type { Json } from '../json.ts'
import { addExact, emptyTotal, exactSum, roundExact } from './exact-sum.ts'
import type { ExactSum, ExactTotal } from './exact-sum.ts'

/** Why a value cannot be summed, in words; undefined for one that can. */
export function findUnsummable(value: Json, path = 'the value'): string | undefined {
  if (typeof value === 'number') return Number.isFinite(value) ? undefined : `${path} is ${value}`
  if (isArray(value)) {
    const index = value.findIndex((element) => !Number.isFinite(element))
    return index < 0 ? undefined : `${path}[${index}] is ${kindOf(value[index])}, not a number`
  }
  if (typeof value !== 'object' || value === null) {
    return `${path} is ${kindOf(value)}, not a number, an array of numbers or an object of these`
  }
  for (const [name, member] of Object.entries(value)) {
    const problem = findUnsummable(member, `${path}.${name}`)
    if (problem !== undefined) return problem
  }
  return undefined
}

/**
 * The exact sum of values, of such sums, or of both: a sum has the shape of what was added, with exact
 * sums for its numbers. There is at least one.
 */
export function sumValues(values: Iterable<Json>): Json {
  let sum: Sum | undefined
  for (const value of values) sum = addValue(sum, value)
  assert(sum !== undefined, 'something to sum')
  return sumToJson(sum)
}

/** The sum in doubles; `null` for what is mixed, and for a number beyond the largest double. */
export function roundSum(sum: Json): Json {
  if (typeof sum === 'number' || typeof sum === 'string') return roundedJson(sum)
  if (sum === null || typeof sum === 'boolean') return null
  if (isArray(sum)) return sum.map(roundSum)
  return Object.fromEntries(Object.entries(sum).map(([name, member]) => [name, roundSum(member)]))
}

/** JSON has no infinity: a sum beyond the largest double is `null`. */
export function roundedJson(sum: ExactSum): number | null {
  const value = roundExact(sum)
  return Number.isFinite(value) ? value : null
}

type Sum =
  | { readonly type: 'number'; readonly total: ExactTotal }
  | { readonly type: 'array'; readonly totals: ExactTotal[] }
  | { readonly type: 'object'; readonly members: Map<string, Sum> }
  | { readonly type: 'mixed' }

/** `sum` with a value or a sum added; it is changed in place where its kind stays. */
function addValue(sum: Sum | undefined, value: Json): Sum {
  if (value === null) return MIXED
  if (typeof value === 'number' || typeof value === 'string') return addLeaf(sum, value)
  if (isArray(value)) return addArray(sum, value)
  assert(typeof value !== 'boolean', 'a value was checked before it is summed')
  return addObject(sum, value)
}

function addLeaf(sum: Sum | undefined, value: ExactSum): Sum {
  switch (sum?.type) {
    case 'number':
      addExact(sum.total, value)
      return sum
    case 'array':
      addElement(sum.totals, 0, value)
      return sum
    case undefined: {
      const total = emptyTotal()
      addExact(total, value)
      return { type: 'number', total }
    }
    default:
      return MIXED
  }
}

function addArray(sum: Sum | undefined, values: readonly Json[]): Sum {
  if (sum !== undefined && sum.type !== 'number' && sum.type !== 'array') return MIXED
  const totals = sum === undefined ? [] : sum.type === 'number' ? [sum.total] : sum.totals
  for (const [index, value] of values.entries()) {
    assert(typeof value === 'number' || typeof value === 'string', 'arrays hold numbers')
    addElement(totals, index, value)
  }
  return { type: 'array', totals }
}

function addElement(totals: ExactTotal[], index: number, value: ExactSum): void {
  const total = (totals[index] ??= emptyTotal())
  addExact(total, value)
}

function addObject(sum: Sum | undefined, value: { readonly [name: string]: Json }): Sum {
  if (sum !== undefined && sum.type !== 'object') return MIXED
  const members = sum === undefined ? new Map<string, Sum>() : sum.members
  for (const [name, member] of Object.entries(value)) {
    members.set(name, addValue(members.get(name), member))
  }
  return { type: 'object', members }
}

function sumToJson(sum: Sum): Json {
  switch (sum.type) {
    case 'number':
      return exactSum(sum.total)
    case 'array':
      return sum.totals.map(exactSum)
    case 'object': {
      // Sorted, so that the text does not tell which member came first.
      const names = [...sum.members.keys()].sort()
      return Object.fromEntries(
        names.map((name) => [name, sumToJson(sum.members.get(name) ?? MIXED)])
      )
    }
    case 'mixed':
      return null
  }
}

function isArray(value: Json): value is readonly Json[] {
  return Array.isArray(value)
}

function kindOf(value: Json | undefined): string {
  if (value === null || value === undefined) return 'null'
  if (typeof value === 'number') return String(value)
  if (typeof value === 'object') return isArray(value) ? 'an array' : 'an object'
  return typeof value === 'string' ? 'a string' : 'a boolean'
}

const MIXED: Sum = { type: 'mixed' }
