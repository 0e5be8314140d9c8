/**
 * JSON Schema, drafts 7 and 2020-12, by Ajv.
 *
 * As the specification has it: words that it does not know are notes, and so is `format`; data is never
 * changed. Nothing is fetched: a schema is one document. Only the first fault of an event is looked for, with
 * all branches of it, because the number of all faults is up to whoever wrote the schema.
 *
 * A schema may come from another node. Ajv makes code of it, and it is Ajv's promise that nothing of a
 * schema gets into that code unescaped; how long the code takes is the schema's doing, and is watched
 * unless the schema is small and has nothing that can take long.
 */

import type { Ajv, ErrorObject, Options, ValidateFunction } from 'ajv'

import type { Json } from '../core/json.ts'
import type { Problem } from '../errors.ts'
import { canonicalJson, escapePointer } from './canonical-json.ts'
import {
  COMPILE_MS_MAX,
  EVENT_PROBLEMS_MAX,
  SCHEMA_DEPTH_MAX,
  TAME_SCHEMA_CHARACTERS_MAX
} from './limits.ts'
import { runWithin } from './time-box.ts'
import type { InvalidSchema, Validator } from './validator.ts'

export interface JsonSchemaCompiler {
  /** Takes at most COMPILE_MS_MAX, hundreds of milliseconds for a large schema. */
  compile(schema: Json): Validator | InvalidSchema
}

/** Loads Ajv, which a node without schemas need not. */
export async function loadJsonSchema(): Promise<JsonSchemaCompiler> {
  const [{ Ajv: Draft7 }, { Ajv2020: Draft2020 }] = await Promise.all([
    import('ajv'),
    import('ajv/dist/2020.js')
  ])
  const drafts = { '7': new Draft(Draft7), '2020-12': new Draft(Draft2020) }
  return {
    compile: (schema) => {
      const problem = findForbidden(schema)
      if (problem !== undefined) return { problems: [problem] }
      const draft = draftOf(schema)
      return draft === undefined
        ? { problems: [{ pointer: '/$schema', detail: WRONG_DRAFT }] }
        : drafts[draft].compile(schema)
    }
  }
}

class Draft {
  readonly #Ajv: new (options: Options) => Ajv
  /** Knows what a schema of this draft looks like; shared, because to learn it takes 80 ms. */
  #meta: Ajv | undefined

  constructor(constructor: new (options: Options) => Ajv) {
    this.#Ajv = constructor
  }

  compile(schema: Json): Validator | InvalidSchema {
    // Ajv knows the drafts under one of their spellings only.
    const { $schema: _, ...members } = isObject(schema) ? schema : {}
    const document = isObject(schema) ? members : schema
    if (typeof document !== 'boolean' && !isObject(document)) {
      return { problems: [{ pointer: '', detail: 'a schema is an object, true or false' }] }
    }
    const meta = this.#learned()
    // One for each schema, so that two cannot meet in their names.
    const ajv = new this.#Ajv({ ...OPTIONS, validateSchema: false })
    try {
      return runWithin(COMPILE_MS_MAX, () => {
        if (meta.validateSchema(document) !== true)
          return { problems: problemsOf(meta.errors ?? []) }
        const validate = ajv.compile(document)
        // One that refers to itself on the spot finds no end, whatever the data.
        validate({})
        return { check: (data) => check(validate, data), isTame: isTame(schema) }
      })
    } catch (error) {
      return { problems: [explain(error, schema)] }
    }
  }

  /** Not under the eyes of anybody's schema, which might have it cut short. */
  #learned(): Ajv {
    if (this.#meta === undefined) {
      this.#meta = new this.#Ajv(OPTIONS)
      void this.#meta.validateSchema({})
    }
    return this.#meta
  }
}

const OPTIONS: Options = {
  strict: false,
  validateFormats: false,
  ownProperties: true,
  // A part that is referred to from everywhere would be written out everywhere.
  inlineRefs: false,
  logger: false
}

const WRONG_DRAFT =
  'must be http://json-schema.org/draft-07/schema# or https://json-schema.org/draft/2020-12/schema'

/** Without a word about it, the newer one. */
function draftOf(schema: Json): '7' | '2020-12' | undefined {
  const named = isObject(schema) ? schema['$schema'] : undefined
  if (named === undefined) return '2020-12'
  if (typeof named !== 'string') return undefined
  const name = named.replace(/#$/, '').replace(/^https?:/, '')
  if (name === '//json-schema.org/draft-07/schema') return '7'
  return name === '//json-schema.org/draft/2020-12/schema' ? '2020-12' : undefined
}

function check(validate: ValidateFunction, data: unknown): readonly Problem[] {
  try {
    return validate(data) ? NONE : problemsOf(validate.errors ?? [])
  } catch (error) {
    if (!(error instanceof RangeError)) throw error
    return [{ pointer: '', detail: 'nested too deep for its schema' }]
  }
}

const NONE: readonly Problem[] = []

function problemsOf(errors: readonly ErrorObject[]): readonly Problem[] {
  // That a branch was to be taken says nothing besides what the branch says.
  const telling = errors.filter(({ keyword }) => keyword !== 'if')
  const problems = (telling.length === 0 ? errors : telling).map(problemOf)
  const distinct = new Map(problems.map((problem) => [JSON.stringify(problem), problem]))
  return [...distinct.values()].slice(0, EVENT_PROBLEMS_MAX)
}

function problemOf({ keyword, instancePath, params, message }: ErrorObject): Problem {
  const named: unknown = params[MEMBER_OF[keyword] ?? '']
  const pointer =
    typeof named === 'string' ? `${instancePath}/${escapePointer(named)}` : instancePath
  return { pointer, detail: detailOf(keyword, params, message ?? 'does not follow its schema') }
}

/** Where a keyword is about one member, the name of it. */
const MEMBER_OF: Readonly<Record<string, string>> = {
  required: 'missingProperty',
  dependencies: 'missingProperty',
  dependentRequired: 'missingProperty',
  additionalProperties: 'additionalProperty',
  unevaluatedProperties: 'unevaluatedProperty',
  propertyNames: 'propertyName'
}

function detailOf(
  keyword: string,
  params: Readonly<Record<string, unknown>>,
  message: string
): string {
  switch (keyword) {
    case 'required':
      return 'is required'
    case 'additionalProperties':
    case 'unevaluatedProperties':
      return 'is not a property that may be there'
    case 'enum':
      return `must be one of ${shown(params['allowedValues'])}`
    case 'const':
      return `must be ${shown(params['allowedValue'])}`
    default:
      return message
  }
}

function shown(value: unknown): string {
  const text = JSON.stringify(value) ?? ''
  return text.length <= SHOWN_CHARACTERS ? text : `${text.slice(0, SHOWN_CHARACTERS)}…`
}

const SHOWN_CHARACTERS = 200

/** Whether its check takes time by the sizes of schema and data only, and little. */
function isTame(schema: Json): boolean {
  const text = JSON.stringify(schema)
  return text.length <= TAME_SCHEMA_CHARACTERS_MAX && !WILD.test(text)
}

/** Patterns may backtrack, all of an array is compared with all of it, and references multiply. */
const WILD = /"(?:pattern|patternProperties|uniqueItems|\$ref|\$dynamicRef|\$recursiveRef)":/

/** What Ajv would not see, or not survive. */
function findForbidden(schema: Json): Problem | undefined {
  const text = canonicalJson(schema)
  if (typeof text !== 'string') return text
  for (const { value, pointer, depth } of partsOf(schema)) {
    if (depth > SCHEMA_DEPTH_MAX) {
      return { pointer, detail: `nested more than ${SCHEMA_DEPTH_MAX} deep` }
    }
    if (isObject(value) && value['$async'] !== undefined) {
      return { pointer: `${pointer}/$async`, detail: 'a schema answers at once' }
    }
  }
  return undefined
}

function explain(error: unknown, schema: Json): Problem {
  if (error instanceof RangeError) return { pointer: '', detail: NO_END }
  if (error instanceof Error && 'missingRef' in error) {
    const reference = String(error.missingRef).slice(0, SHOWN_CHARACTERS)
    const detail = `${reference} is not in it, and other documents are not fetched`
    return { pointer: '', detail }
  }
  const reason = error instanceof Error ? error.message : String(error)
  return findBadPattern(schema) ?? { pointer: '', detail: reason.slice(0, REASON_CHARACTERS) }
}

const REASON_CHARACTERS = 500
/** What is made of it, or it itself when it is used, takes more calls than there is room for. */
const NO_END =
  'it refers to itself without an end, or one object in it has more than a thousand properties'

function findBadPattern(schema: Json): Problem | undefined {
  for (const { value, pointer } of partsOf(schema)) {
    if (!isObject(value)) continue
    const { pattern, patternProperties } = value
    const patterns: [string, string][] = [
      ...(typeof pattern === 'string' ? [['/pattern', pattern] as [string, string]] : []),
      ...Object.keys(isObject(patternProperties) ? patternProperties : {}).map(
        (name): [string, string] => [`/patternProperties/${escapePointer(name)}`, name]
      )
    ]
    for (const [place, text] of patterns) {
      try {
        void new RegExp(text, 'u')
      } catch (error) {
        return { pointer: pointer + place, detail: String(error).slice(0, REASON_CHARACTERS) }
      }
    }
  }
  return undefined
}

interface Part {
  readonly value: Json
  readonly pointer: string
  readonly depth: number
}

/** Everything in a value, itself first; no deeper than one beyond what is allowed. */
function* partsOf(value: Json): Generator<Part> {
  const waiting: Part[] = [{ value, pointer: '', depth: 0 }]
  for (let part = waiting.pop(); part !== undefined; part = waiting.pop()) {
    yield part
    if (typeof part.value !== 'object' || part.value === null) continue
    if (part.depth > SCHEMA_DEPTH_MAX) continue
    for (const [name, member] of Object.entries(part.value)) {
      const pointer = `${part.pointer}/${escapePointer(name)}`
      waiting.push({ value: member, pointer, depth: part.depth + 1 })
    }
  }
}

function isObject(value: Json | undefined): value is { readonly [name: string]: Json } {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
