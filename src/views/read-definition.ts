/**
 * Reads definitions of views that came as JSON: strictly, because a word that is not known would be a view other
 * than the one that was meant, for ever and on every node. Left out: texts of functions, which are compiled
 * (`compile-definition.ts`).
 */

import type { Json } from '../core/json.ts'
import { builtInReducer } from '../core/views/reducers.ts'
import type { Problem } from '../errors.ts'
import { canonicalJson, escapePointer } from '../schema/canonical-json.ts'
import { OPERATORS } from './conditions.ts'
import type { Operator } from './conditions.ts'
import { parsePath } from './event-path.ts'
import { DATE_UNITS, offsetMs } from './expression.ts'
import {
  CONDITIONS_MAX,
  DEFINITION_BYTES_MAX,
  EXPRESSION_DEPTH_MAX,
  EXPRESSION_PARTS_MAX
} from './limits.ts'
import type { ViewDefinition } from './view-definition.ts'

/** The definition, or everything that is wrong with it; pointers are into `value`. */
export function readViewDefinition(
  value: unknown
): ViewDefinition | { readonly problems: readonly Problem[] } {
  const text = canonicalJson(value)
  if (typeof text !== 'string') return { problems: [text] }
  const bytes = Buffer.byteLength(text)
  if (bytes > DEFINITION_BYTES_MAX) {
    const detail = `a definition has at most ${DEFINITION_BYTES_MAX} bytes, this one ${bytes}`
    return { problems: [{ pointer: '', detail }] }
  }
  // A copy, so that nobody changes what was checked; without members that are undefined.
  const given = JSON.parse(text) as Json
  const reading = new Reading()
  reading.definition(given)
  if (reading.problems.length > 0) return { problems: reading.problems }
  return given as unknown as ViewDefinition
}

/** Of `reduce` in a script: it is the name of one, and not its text. */
export function isReducerName(reduce: Json | undefined): reduce is string {
  return typeof reduce === 'string' && /^_\w*$/.test(reduce)
}

type Members = Readonly<Record<string, Json>>

/** What is wrong, as it is met. */
class Reading {
  readonly problems: Problem[] = []
  #hasEach = false
  #parts = 0

  definition(value: Json): void {
    const isScript = isObject(value) && value['language'] !== undefined
    if (!isScript && isTextWithoutLanguage(value)) {
      this.#refuse('/language', 'is missing: map and fold are texts, with "language": "javascript"')
      return
    }
    const given = this.#object(value, '', isScript ? SCRIPT_MEMBERS : DECLARATIVE_MEMBERS)
    if (given === undefined) return
    const { events } = given
    if (events !== undefined && events !== 'recorded' && events !== 'effective') {
      this.#refuse('/events', 'must be recorded or effective')
    }
    if (isScript) this.#script(given)
    else this.#declarative(given)
  }

  #declarative({ where, each, key, value, reduce }: Members): void {
    this.#hasEach = each !== undefined
    if (key === undefined && value === undefined && each === undefined) {
      this.#refuse('', 'has none of key, value and each; nor language, with map or fold')
    }
    if (where !== undefined) this.#where(where)
    if (each !== undefined) this.#each(each)
    if (key !== undefined) this.#expression(key, '/key', 0)
    if (value !== undefined) this.#expression(value, '/value', 0)
    if (reduce === undefined) return
    if (typeof reduce !== 'string' || builtInReducer(reduce) === undefined) {
      this.#refuse('/reduce', `must be a built-in reducer: ${REDUCERS}`)
    }
  }

  #where(value: Json): void {
    const where = this.#object(value, '/where')
    if (where === undefined) return
    if (Object.keys(where).length > CONDITIONS_MAX) {
      this.#refuse('/where', `has more than ${CONDITIONS_MAX} members`)
    }
    for (const [path, condition] of Object.entries(where)) {
      const pointer = `/where/${escapePointer(path)}`
      this.#path(path, pointer)
      if (isObject(condition)) this.#operators(condition, pointer)
    }
  }

  #operators(value: Members, pointer: string): void {
    const names = Object.keys(value)
    if (names.length === 0) this.#refuse(pointer, 'has no operator')
    this.#object(value, pointer, OPERATORS)
    for (const operator of OPERATORS) {
      const operand = value[operator]
      const detail = operand === undefined ? undefined : operandFault(operator, operand)
      if (detail !== undefined) this.#refuse(`${pointer}/${operator}`, detail)
    }
  }

  #each(value: Json): void {
    if (typeof value !== 'string') {
      this.#refuse('/each', PATH_WANTED)
      return
    }
    const path = parsePath(value)
    if ('detail' in path) this.#refuse('/each', `the path ${path.detail}`)
    else if (path.isOfEach) this.#refuse('/each', 'must be a path of the event')
  }

  #expression(value: Json, pointer: string, depth: number): void {
    this.#parts += 1
    if (this.#parts === EXPRESSION_PARTS_MAX + 1) {
      this.#refuse(pointer, `key and value have more than ${EXPRESSION_PARTS_MAX} parts`)
    }
    if (this.#parts > EXPRESSION_PARTS_MAX) return
    if (depth > EXPRESSION_DEPTH_MAX) {
      this.#refuse(pointer, `is nested more than ${EXPRESSION_DEPTH_MAX} deep`)
    } else if (typeof value === 'string') {
      this.#path(value, pointer)
    } else if (isArray(value)) {
      for (const [index, part] of value.entries()) {
        this.#expression(part, `${pointer}/${index}`, depth + 1)
      }
    } else {
      this.#operation(value, pointer, depth)
    }
  }

  #operation(value: Json, pointer: string, depth: number): void {
    if (!isObject(value)) {
      this.#refuse(pointer, 'must be a path, an array, or an object with const, object or date')
    } else if (value['const'] !== undefined) {
      this.#object(value, pointer, ['const'])
    } else if (value['object'] !== undefined) {
      this.#object(value, pointer, ['object'])
      const members = this.#object(value['object'], `${pointer}/object`) ?? {}
      for (const [name, part] of Object.entries(members)) {
        this.#expression(part, `${pointer}/object/${escapePointer(name)}`, depth + 1)
      }
    } else if (value['date'] !== undefined) {
      this.#date(value, pointer)
    } else {
      this.#refuse(pointer, 'has none of const, object and date')
    }
  }

  #date(given: Members, pointer: string): void {
    this.#object(given, pointer, ['date', 'unit', 'parts', 'offset'])
    const { date, unit, parts, offset } = given
    this.#path(date, `${pointer}/date`)
    if (typeof unit !== 'string' || !Object.hasOwn(DATE_UNITS, unit)) {
      this.#refuse(`${pointer}/unit`, `must be one of ${Object.keys(DATE_UNITS).join(', ')}`)
    }
    if (parts !== undefined && typeof parts !== 'boolean') {
      this.#refuse(`${pointer}/parts`, 'must be true or false')
    }
    if (offset !== undefined && (typeof offset !== 'string' || offsetMs(offset) === undefined)) {
      this.#refuse(`${pointer}/offset`, 'must be hours and minutes, such as +01:00')
    }
  }

  #path(value: Json | undefined, pointer: string): void {
    if (typeof value !== 'string') {
      this.#refuse(pointer, PATH_WANTED)
      return
    }
    const path = parsePath(value)
    if ('detail' in path) this.#refuse(pointer, `the path ${path.detail}`)
    else if (path.isOfEach && !this.#hasEach) this.#refuse(pointer, 'there is no each')
  }

  #script({ language, map, reduce, fold }: Members): void {
    if (language !== 'javascript') this.#refuse('/language', 'must be javascript')
    if ((map === undefined) === (fold === undefined)) this.#refuse('', 'has either map or fold')
    if (map !== undefined) this.#text(map, '/map')
    if (reduce !== undefined) {
      this.#text(reduce, '/reduce')
      if (fold !== undefined) this.#refuse('/reduce', 'is of a map: a fold has none')
      if (isReducerName(reduce) && builtInReducer(reduce) === undefined) {
        this.#refuse('/reduce', `must be a function or a built-in reducer: ${REDUCERS}`)
      }
    }
    if (fold !== undefined) this.#fold(fold)
  }

  #fold(value: Json): void {
    const fold = this.#object(value, '/fold', FOLD_MEMBERS)
    if (fold === undefined) return
    const initial = this.#oneOf(fold, 'initial', 'initialState')
    const apply = this.#oneOf(fold, 'apply', 'evolve')
    if (fold[initial] === undefined) this.#refuse(`/fold/${initial}`, 'must be JSON')
    this.#text(fold[apply], `/fold/${apply}`)
    for (const name of ['key', 'select', 'final']) {
      if (fold[name] !== undefined) this.#text(fold[name], `/fold/${name}`)
    }
  }

  /** Which of two words of a fold for the same is there; the first where none is. */
  #oneOf(fold: Members, name: string, other: string): string {
    if (fold[other] === undefined) return name
    if (fold[name] !== undefined) {
      this.#refuse(`/fold/${other}`, `is another word for ${name}: give one of them`)
    }
    return other
  }

  #text(value: Json | undefined, pointer: string): void {
    if (typeof value !== 'string') this.#refuse(pointer, 'must be the text of a function')
  }

  #object(value: Json, pointer: string, names?: readonly string[]): Members | undefined {
    if (!isObject(value)) {
      this.#refuse(pointer, 'must be an object')
      return undefined
    }
    for (const name of Object.keys(value)) {
      if (names?.includes(name) === false) {
        const detail = `is not known here: ${names.join(', ')} are`
        this.#refuse(`${pointer}/${escapePointer(name)}`, detail)
      }
    }
    return value
  }

  #refuse(pointer: string, detail: string): void {
    this.problems.push({ pointer, detail })
  }
}

function isTextWithoutLanguage(value: Json): boolean {
  if (!isObject(value) || (value['map'] ?? value['fold']) === undefined) return false
  return (value['key'] ?? value['value'] ?? value['each']) === undefined
}

const SCRIPT_MEMBERS = ['language', 'map', 'reduce', 'fold', 'events']
const FOLD_MEMBERS = ['key', 'select', 'initial', 'apply', 'initialState', 'evolve', 'final']
const DECLARATIVE_MEMBERS = ['where', 'each', 'key', 'value', 'reduce', 'events']
const REDUCERS = '_sum, _count, _stats, _min, _max, _first, _last or _approx_count_distinct'
const PATH_WANTED = 'must be a path, such as data.sscc'

function operandFault(operator: Operator, operand: Json): string | undefined {
  switch (operator) {
    case 'in':
      return isArray(operand) ? undefined : 'must be an array'
    case 'exists':
      return typeof operand === 'boolean' ? undefined : 'must be true or false'
    case 'prefix':
      return typeof operand === 'string' ? undefined : 'must be a text'
    default:
      return undefined
  }
}

function isArray(value: Json): value is readonly Json[] {
  return Array.isArray(value)
}

function isObject(value: Json): value is Members {
  return typeof value === 'object' && value !== null && !isArray(value)
}
