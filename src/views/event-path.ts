/** Paths into events, as text and as functions; what they mean is in `view-definition.ts`. */

import type { Json } from '../core/json.ts'
import { PATH_STEPS_MAX } from './limits.ts'
import type { ViewEvent } from './program.ts'

/** The names of members from an event, or from an element, down. */
export interface ParsedPath {
  readonly isOfEach: boolean
  /** Of an event: which. */
  readonly member: keyof ViewEvent
  readonly steps: readonly string[]
}

/** Gives what stands there, or undefined. */
export type ReadPath = (event: ViewEvent, element: Json | undefined) => Json | undefined

/** Or what is wrong with it. */
export function parsePath(text: string): ParsedPath | { readonly detail: string } {
  const names = text.startsWith('/') ? pointerNames(text) : text.split('.')
  if (names === undefined) return { detail: 'is not a JSON pointer: ~ stands before 0 or 1' }
  if (names.includes('') && !text.startsWith('/')) return { detail: 'has an empty name' }
  if (names.length > PATH_STEPS_MAX) return { detail: `has more than ${PATH_STEPS_MAX} names` }
  const [first = '', ...steps] = names
  if (first === 'each') return { isOfEach: true, member: 'data', steps }
  const member = MEMBERS.find((name) => name === first)
  if (member === undefined) {
    return { detail: `begins with a member of an event: ${MEMBERS.join(', ')}, or each` }
  }
  if (steps.length > 0 && member !== 'data') return { detail: `${member} is a text` }
  return { isOfEach: false, member, steps }
}

export function readerOf({ isOfEach, member, steps }: ParsedPath): ReadPath {
  if (isOfEach) return (_event, element) => walk(element, steps)
  if (member !== 'data') return (event) => event[member]
  const [only] = steps
  if (steps.length === 0) return (event) => event.data
  // What most paths are.
  if (steps.length === 1 && only !== undefined) return (event) => stepInto(event.data, only)
  return (event) => walk(event.data, steps)
}

const MEMBERS = [
  'key',
  'time',
  'type',
  'subject',
  'source',
  'id',
  'schema',
  'corrects',
  'data',
  'data_base64',
  'datacontenttype'
] as const satisfies readonly (keyof ViewEvent)[]

function pointerNames(text: string): string[] | undefined {
  if (/~(?![01])/.test(text)) return undefined
  const names = text.slice(1).split('/')
  return names.map((name) => name.replaceAll('~1', '/').replaceAll('~0', '~'))
}

function walk(value: Json | undefined, steps: readonly string[]): Json | undefined {
  let met = value
  for (const step of steps) {
    if (met === undefined) return undefined
    met = stepInto(met, step)
  }
  return met
}

function stepInto(value: Json | undefined, name: string): Json | undefined {
  if (typeof value !== 'object' || value === null) return undefined
  if (isArray(value)) return ARRAY_INDEX.test(name) ? value[Number(name)] : undefined
  return Object.hasOwn(value, name) ? value[name] : undefined
}

/** As JSON pointers have it: no sign, no zeros before. */
const ARRAY_INDEX = /^(?:0|[1-9]\d{0,14})$/

function isArray(value: Json): value is readonly Json[] {
  return Array.isArray(value)
}
