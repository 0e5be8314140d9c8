/** Rows of views, and their changes, as a person reads them. */

import type { ViewCause } from '../node/views.ts'
import { table, type Terminal } from './terminal.ts'

/** As the node answers them. */
export interface Row {
  readonly id?: string
  readonly key: unknown
  readonly value?: unknown
  /** Why there is no value. */
  readonly fault?: string
  readonly events?: readonly ViewCause[]
  readonly more_events?: boolean
}

export interface Change {
  readonly key: unknown
  readonly old?: unknown
  readonly new?: unknown
  readonly restated: boolean
  readonly causes: readonly ViewCause[]
  readonly lc: string
}

export function rowLines(rows: readonly Row[], terminal: Terminal): readonly string[] {
  const isMap = rows.some(({ id }) => id !== undefined)
  const head = isMap ? ['key', 'value', 'event'] : ['key', 'value']
  const cells = rows.map(({ id = '', key, value, fault }) => [
    plain(key),
    fault === undefined ? cell(value) : `(${fault})`,
    ...(isMap ? [id] : [])
  ])
  const [first = '', ...others] = table([head, ...cells])
  return [
    terminal.style('dim', first),
    ...others.flatMap((line, at) => [line, ...causeLines(rows[at], terminal)])
  ]
}

/** One line, and one for each cause. */
export function changeLines(change: Change, terminal: Terminal): readonly string[] {
  const { key, old, new: now, restated, causes } = change
  const sides = [old, now].map((side) => (side === undefined ? '(none)' : plain(side)))
  const mark = restated ? terminal.style('yellow', 'restated') : 'changed '
  return [
    `${mark}  ${plain(key)}  ${sides.join(' → ')}`,
    ...causeLines({ events: causes }, terminal)
  ]
}

function causeLines(
  row: Pick<Row, 'events' | 'more_events'> | undefined,
  terminal: Terminal
): readonly string[] {
  const { events = [], more_events = false } = row ?? {}
  const lines = events.map(({ key, time, recorded, late_ms, peer }) => {
    return `    ${key}  ${time}  recorded ${recorded}, ${lateness(late_ms)}, by ${peer}`
  })
  if (more_events) lines.push('    and more')
  return lines.map((line) => terminal.style('dim', line))
}

/** A text without quotes where it cannot be taken for anything else. */
function plain(value: unknown): string {
  const isPlain = typeof value === 'string' && /^[\p{L}\p{N}][\p{L}\p{N} ._:/-]*$/u.test(value)
  return isPlain && !isJson(value) ? value : JSON.stringify(value)
}

/** Whole numbers stand to the right, with their thousands. */
function cell(value: unknown): string | number {
  return typeof value === 'number' && Number.isSafeInteger(value) ? value : plain(value)
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}

const UNITS = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['min', 60_000],
  ['s', 1_000]
] as const

/** `7 h 50 min late`: the two largest units. */
function lateness(ms: number): string {
  if (ms < 1_000) return 'at once'
  const parts: string[] = []
  let rest = ms
  for (const [unit, size] of UNITS) {
    const many = Math.floor(rest / size)
    rest -= many * size
    if (many > 0) parts.push(`${many} ${unit}`)
  }
  return `${parts.slice(0, 2).join(' ')} late`
}
