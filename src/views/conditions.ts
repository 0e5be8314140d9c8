/** Conditions of `where` as functions; what they mean is in `view-definition.ts`. */

import { assertNever } from '../core/assert.ts'
import type { Json } from '../core/json.ts'
import { compareViewKeys } from '../core/views/collation.ts'
import { canonicalJson } from '../schema/canonical-json.ts'
import type { Condition } from './view-definition.ts'

/** Whether a path's value, or undefined for none, is what it must be. */
export type Test = (value: Json | undefined) => boolean

export const OPERATORS = ['eq', 'ne', 'gt', 'gte', 'lt', 'lte', 'in', 'exists', 'prefix'] as const

export type Operator = (typeof OPERATORS)[number]

/** @param condition as it was read: checked */
export function testOf(condition: Condition): Test {
  if (typeof condition !== 'object' || condition === null || isArray(condition)) {
    return equalTo(condition)
  }
  const given: Readonly<Partial<Record<Operator, Json>>> = condition
  const tests: Test[] = []
  for (const operator of OPERATORS) {
    const operand = given[operator]
    if (operand !== undefined) tests.push(operatorTest(operator, operand))
  }
  const [only] = tests
  if (only !== undefined && tests.length === 1) return only
  return (value) => tests.every((test) => test(value))
}

function operatorTest(operator: Operator, operand: Json): Test {
  switch (operator) {
    case 'eq':
      return equalTo(operand)
    case 'ne': {
      const isEqual = equalTo(operand)
      return (value) => !isEqual(value)
    }
    case 'gt':
      return ordered(operand, (order) => order > 0)
    case 'gte':
      return ordered(operand, (order) => order >= 0)
    case 'lt':
      return ordered(operand, (order) => order < 0)
    case 'lte':
      return ordered(operand, (order) => order <= 0)
    case 'in': {
      const texts = new Set((isArray(operand) ? operand : []).map(textOf))
      return (value) => value !== undefined && texts.has(textOf(value) ?? '')
    }
    case 'exists':
      return (value) => (value !== undefined) === operand
    case 'prefix':
      return (value) =>
        typeof value === 'string' && typeof operand === 'string' && value.startsWith(operand)
    default:
      return assertNever(operator)
  }
}

function equalTo(operand: Json): Test {
  // Of these `===` says it, -0 and 0 included.
  if (typeof operand !== 'object' || operand === null) return (value) => value === operand
  const text = textOf(operand)
  return (value) => typeof value === 'object' && value !== null && textOf(value) === text
}

function ordered(operand: Json, holds: (order: number) => boolean): Test {
  const type = typeOf(operand)
  return (value) => {
    return value !== undefined && typeOf(value) === type && holds(compareViewKeys(value, operand))
  }
}

function typeOf(value: Json): string {
  if (value === null) return 'null'
  return isArray(value) ? 'array' : typeof value
}

/**
 * Equal for equal JSON, and only then. None for what is nested deeper than an event may be, which a modified
 * member may have signed: it is equal to nothing that a definition can say.
 */
function textOf(value: Json): string | undefined {
  const text = canonicalJson(value)
  return typeof text === 'string' ? text : undefined
}

function isArray(value: Json): value is readonly Json[] {
  return Array.isArray(value)
}
