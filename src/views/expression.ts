/** Expressions of keys and values as functions; what they mean is in `view-definition.ts`. */

import { assert } from '../core/assert.ts'
import type { Json } from '../core/json.ts'
import { formatTime, parseTime } from '../schema/time.ts'
import { parsePath, readerOf } from './event-path.ts'
import type { ReadPath } from './event-path.ts'
import type { ViewEvent } from './program.ts'
import type { DateUnit, Expression } from './view-definition.ts'

export type Evaluate = (event: ViewEvent, element: Json | undefined) => Json

/** @param expression as it was read: checked */
export function evaluatorOf(expression: Expression): Evaluate {
  if (typeof expression === 'string') {
    const read = pathReader(expression)
    return (event, element) => read(event, element) ?? null
  }
  if (isArray(expression)) {
    const parts = expression.map(evaluatorOf)
    return (event, element) => parts.map((part) => part(event, element))
  }
  if ('const' in expression) {
    const { const: constant } = expression
    return () => constant
  }
  if ('object' in expression) {
    const members = Object.entries(expression.object).map(([name, part]) => {
      return [name, evaluatorOf(part)] as const
    })
    return (event, element) => {
      return Object.fromEntries(members.map(([name, part]) => [name, part(event, element)]))
    }
  }
  const { date, unit, parts = false, offset = '+00:00' } = expression
  const read = pathReader(date)
  const truncate = truncation(unit, parts, offsetMs(offset) ?? 0)
  return (event, element) => truncate(read(event, element))
}

export function pathReader(text: string): ReadPath {
  const path = parsePath(text)
  assert(!('detail' in path), 'a path was checked')
  return readerOf(path)
}

/** Of `+01:00` and the like, below a day. */
export function offsetMs(text: string): number | undefined {
  const [, sign, hours = '', minutes = ''] = /^([+-])(\d\d):(\d\d)$/.exec(text) ?? []
  if (sign === undefined || Number(hours) > 23 || Number(minutes) > 59) return undefined
  return (sign === '-' ? -1 : 1) * (Number(hours) * 60 + Number(minutes)) * 60_000
}

/** Characters of an RFC 3339 time up to each unit, which are its parts too. */
export const DATE_UNITS: Readonly<Record<DateUnit, number>> = {
  year: 4,
  month: 7,
  day: 10,
  hour: 13,
  minute: 16
}

function truncation(
  unit: DateUnit,
  isParts: boolean,
  shiftMs: number
): (value: Json | undefined) => Json {
  const length = DATE_UNITS[unit]
  return (value) => {
    const timeMs = typeof value === 'string' ? parseTime(value) : undefined
    // Beyond these, years are not written with four digits.
    if (timeMs === undefined || timeMs + shiftMs < YEAR_0_MS) return null
    const text = formatTime(timeMs + shiftMs).slice(0, length)
    return isParts ? text.split(/[-T:]/).map(Number) : text
  }
}

const YEAR_0_MS = new Date(0).setUTCFullYear(0, 0, 1)

function isArray(expression: Expression): expression is readonly Expression[] {
  return Array.isArray(expression)
}
