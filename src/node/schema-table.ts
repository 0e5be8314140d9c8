/**
 * Which schema the events of a type follow in one database: one of this program, else the definition that counts.
 * A checker is made of a definition when the first event is looked at that follows it.
 */

import { toHex } from '../core/bytes.ts'
import { LaterbaseError } from '../errors.ts'
import type { Problem } from '../errors.ts'
import { loadJsonSchema } from '../schema/json-schema.ts'
import type { JsonSchemaCompiler } from '../schema/json-schema.ts'
import { SchemaInUse } from '../schema/schema-in-use.ts'
import { isStandardSchema, standardValidator } from '../schema/standard-schema.ts'
import type { StandardSchema } from '../schema/standard-schema.ts'
import type { InvalidSchema, Validator } from '../schema/validator.ts'
import { contentOf } from './definition-events.ts'
import type { Definition, Definitions } from './definitions.ts'
import type { JsonSchema } from './schemas.ts'

/** What came of a schema: something to check events with, or what is wrong with it. */
export type MadeSchema = SchemaInUse | InvalidSchema

/** A schema of this program. */
export interface OwnSchema {
  readonly type: string
  readonly version: string | undefined
  /** Undefined for functions. */
  readonly json: JsonSchema | undefined
  readonly made: SchemaInUse
}

type Version = string | undefined

export class SchemaTable {
  readonly #definitions: Definitions
  readonly #own = new Map<string, Map<Version, OwnSchema>>()
  /** By type and version, those definitions that count; undefined until it is looked at again. */
  #counting: Map<string, Map<Version, Definition>> | undefined
  /** By hash of the definition. */
  #made = new Map<string, MadeSchema>()
  #isReady = false
  #changes = 0

  constructor(definitions: Definitions, own: readonly OwnSchema[]) {
    this.#definitions = definitions
    for (const each of own) this.define(each)
    definitions.onChanged(() => {
      this.#isReady = false
      this.#changes += 1
    })
  }

  /** Undefined once all that it takes to look at events is here, which it then stays until there is a change. */
  load(): Promise<void> | undefined {
    return this.#isReady ? undefined : this.#load()
  }

  /** To be loaded before, as for all of these. */
  get isEmpty(): boolean {
    return this.#own.size === 0 && (this.#counting?.size ?? 0) === 0
  }

  /** What events of a type with this `schema` follow; undefined where nothing is said. */
  find(type: string, schema: Version): SchemaInUse | undefined {
    if (this.isEmpty) return undefined
    return (
      this.#find(type, schema) ?? (schema === undefined ? undefined : this.#find(type, undefined))
    )
  }

  /** Whether some events of a type follow a schema. */
  has(type: string): boolean {
    return this.#own.has(type) || this.#counting?.has(type) === true
  }

  own(): readonly OwnSchema[] {
    return [...this.#own.values()].flatMap((versions) => [...versions.values()])
  }

  ownOf(type: string, version: Version): OwnSchema | undefined {
    return this.#own.get(type)?.get(version)
  }

  define(own: OwnSchema): void {
    const { type, version } = own
    const versions = this.#own.get(type) ?? new Map<Version, OwnSchema>()
    this.#own.set(type, versions.set(version, own))
  }

  /** Whether there was one. */
  undefine(type: string, version: Version): boolean {
    const versions = this.#own.get(type)
    const was = versions?.delete(version) ?? false
    if (versions?.size === 0) this.#own.delete(type)
    return was
  }

  /** Of a definition that counts. */
  madeOf({ event }: Definition): MadeSchema {
    const name = toHex(event.hash)
    const held = this.#made.get(name)
    if (held !== undefined) return held
    const validator = compiler?.compile(contentOf(event) ?? null)
    if (validator === undefined) return { problems: [{ pointer: '', detail: 'not looked at yet' }] }
    const made = 'problems' in validator ? validator : new SchemaInUse(validator)
    this.#made.set(name, made)
    return made
  }

  #find(type: string, version: Version): SchemaInUse | undefined {
    const own = this.#own.get(type)?.get(version)
    if (own !== undefined) return own.made
    const definition = this.#counting?.get(type)?.get(version)
    const made = definition && this.madeOf(definition)
    return made instanceof SchemaInUse ? made : undefined
  }

  async #load(): Promise<void> {
    for (;;) {
      const changes = this.#changes
      await this.#definitions.load()
      const counting = this.#definitions.list('laterbase.schema')
      if (counting.length > 0) await loadCompiler()
      if (changes !== this.#changes) continue
      this.#take(counting)
      this.#isReady = true
      return
    }
  }

  #take(counting: readonly Definition[]): void {
    this.#counting = new Map()
    const made = new Map<string, MadeSchema>()
    for (const definition of counting) {
      const { of, hash } = definition.event
      const versions = this.#counting.get(of.name) ?? new Map<Version, Definition>()
      this.#counting.set(of.name, versions.set(of.version, definition))
      const held = this.#made.get(toHex(hash))
      if (held !== undefined) made.set(toHex(hash), held)
    }
    this.#made = made
  }
}

/** One for the program: it knows the drafts, which takes it a tenth of a second. */
let compiler: JsonSchemaCompiler | undefined

async function loadCompiler(): Promise<JsonSchemaCompiler> {
  compiler ??= await loadJsonSchema()
  return compiler
}

export async function compileSchema(schema: JsonSchema): Promise<Validator | InvalidSchema> {
  return (await loadCompiler()).compile(schema)
}

/** @throws LATERBASE_SCHEMA_INVALID */
export async function makeOwnSchema(
  type: string,
  version: Version,
  schema: StandardSchema | JsonSchema
): Promise<OwnSchema> {
  const isStandard = isStandardSchema(schema)
  const validator = isStandard ? standardValidator(schema) : await compileSchema(schema)
  if ('problems' in validator) throw invalidSchema(validator.problems)
  const json = isStandard ? undefined : schema
  return { type, version, json, made: new SchemaInUse(validator) }
}

export function invalidSchema(problems: readonly Problem[]): LaterbaseError {
  const [first] = problems
  const { pointer, detail } = first ?? { pointer: '', detail: 'is none' }
  const message = `${pointer === '' ? 'the schema' : pointer}: ${detail}`
  return new LaterbaseError('LATERBASE_SCHEMA_INVALID', message, { problems })
}
