/** A view without code as what an engine runs: its words (`view-definition.ts`) as functions, made once. */

import type { Json } from '../core/json.ts'
import { builtInReducer } from '../core/views/reducers.ts'
import { testOf } from './conditions.ts'
import type { Test } from './conditions.ts'
import { parsePath } from './event-path.ts'
import type { ReadPath } from './event-path.ts'
import { evaluatorOf, pathReader } from './expression.ts'
import type { Evaluate } from './expression.ts'
import { EMITS_MAX, EMITTED_BYTES_MAX } from './limits.ts'
import type { Emitted, MapOutcome, MapProgram, ViewEvent } from './program.ts'
import type { DeclarativeDefinition } from './view-definition.ts'

/** @param definition as it was read: checked */
export function declarativeProgram(definition: DeclarativeDefinition, hash: string): MapProgram {
  const { where = {}, each, key, value, reduce, events = 'recorded' } = definition
  const conditions = Object.entries(where).map(([path, condition]) => {
    const parsed = parsePath(path)
    const isOfEach = 'isOfEach' in parsed && parsed.isOfEach
    return { isOfEach, read: pathReader(path), test: testOf(condition) }
  })
  const rule: Rule = {
    ofEvent: conditions.filter((condition) => !condition.isOfEach),
    ofElement: conditions.filter((condition) => condition.isOfEach),
    each: each === undefined ? undefined : pathReader(each),
    key: key === undefined ? nothing : evaluatorOf(key),
    value: value === undefined ? nothing : evaluatorOf(value)
  }
  return {
    type: 'map',
    hash,
    events,
    map: (given) => given.map((event) => rowsOf(rule, event)),
    reducer: reduce === undefined ? undefined : builtInReducer(reduce)
  }
}

interface Rule {
  readonly ofEvent: readonly TestedPath[]
  readonly ofElement: readonly TestedPath[]
  readonly each: ReadPath | undefined
  readonly key: Evaluate
  readonly value: Evaluate
}

interface TestedPath {
  readonly read: ReadPath
  readonly test: Test
}

function rowsOf(rule: Rule, event: ViewEvent): MapOutcome {
  if (!isMet(rule.ofEvent, event, undefined)) return NO_ROWS
  if (rule.each === undefined) return { rows: [rowOf(rule, event, undefined)] }
  const elements = rule.each(event, undefined)
  if (!Array.isArray(elements)) return NO_ROWS
  return rowsOfElements(rule, event, elements as readonly Json[])
}

function rowsOfElements(rule: Rule, event: ViewEvent, elements: readonly Json[]): MapOutcome {
  const rows: Emitted[] = []
  for (const element of elements) {
    if (!isMet(rule.ofElement, event, element)) continue
    if (rows.length >= EMITS_MAX) return { fault: `makes more than ${EMITS_MAX} rows` }
    rows.push(rowOf(rule, event, element))
  }
  return rows.length > ROWS_UNMEASURED && areTooLarge(rows)
    ? { fault: `makes more than ${EMITTED_BYTES_MAX} bytes of rows` }
    : { rows }
}

/** Each element may take what is around it into its row, such as the whole of `data`. */
function areTooLarge(rows: readonly Emitted[]): boolean {
  let chars = 0
  for (const row of rows) {
    chars += JSON.stringify(row).length
    if (chars > EMITTED_BYTES_MAX) return true
  }
  return false
}

/** Of events of full size so many are within the limit. */
const ROWS_UNMEASURED = 32

function isMet(
  conditions: readonly TestedPath[],
  event: ViewEvent,
  element: Json | undefined
): boolean {
  return conditions.every(({ read, test }) => test(read(event, element)))
}

function rowOf(rule: Rule, event: ViewEvent, element: Json | undefined): Emitted {
  return { key: rule.key(event, element), value: rule.value(event, element) }
}

function nothing(): Json {
  return null
}

const NO_ROWS: MapOutcome = { rows: [] }
