/** The public shape of a database's schemas: what the data of events of a type has to look like. */

import type { Json } from '../core/json.ts'
import type { StandardSchema } from '../schema/standard-schema.ts'
import type { EventInput } from './laterbase.ts'

export type { StandardSchema } from '../schema/standard-schema.ts'

/** JSON Schema, draft 7 or 2020-12: an object, or true or false. */
export type JsonSchema = boolean | { readonly [keyword: string]: Json }

/** What the data of events is that follow a schema: as it is written, not what the schema would make of it. */
export type DataOf<Schema> =
  Schema extends StandardSchema<infer Input> ? (unknown extends Input ? Json : Input) : Json

export interface SchemaOptions {
  /**
   * For events whose `schema` is this text. Without one the schema is for all events of the type that have
   * none of their own.
   */
  readonly version?: string
}

/** Events of a type, made with the types of its schema. */
export interface EventType<Data> {
  readonly type: string
  /** For `append`, with any of the other members of an event. */
  event(data: Data, members?: Omit<EventInput, 'data' | 'type' | 'schema'>): EventInput
}

export interface SchemaInfo {
  readonly type: string
  readonly version: string | undefined
  /** `library`: of this program; `definition`: replicated. */
  readonly origin: 'library' | 'definition'
  /** SHA-256 of its canonical JSON, 64 hex digits; undefined for one that is functions of this program. */
  readonly hash: string | undefined
  /**
   * `enforced`: events that do not follow are refused here; `untrusted`: its author is not trusted here;
   * `invalid`: it is no schema; `set-aside`: it took too long, and events pass it; `replaced`: the program has its own.
   */
  readonly state: 'enforced' | 'untrusted' | 'invalid' | 'set-aside' | 'replaced'
  /** In words, where it is not enforced. */
  readonly reason: string | undefined
  /** Of a definition: RFC 3339. */
  readonly defined: string | undefined
  /** Of a definition: peer ids. */
  readonly authors: readonly string[]
}

export interface SchemaEntry extends SchemaInfo {
  /** Undefined for one that is functions of this program. */
  readonly schema: JsonSchema | undefined
}

/**
 * Enforced where an event enters: `append` refuses what does not follow, with pointers. What replicates is never
 * refused; `RecordedEvent.schemaProblems` says what is wrong with it. A correction that takes an event back
 * (`data` is null) follows every schema.
 */
export interface Schemas {
  /** By type and version; those that others have written and this node does not use, too. */
  list(): Promise<readonly SchemaInfo[]>
  get(type: string, options?: SchemaOptions): Promise<SchemaEntry | undefined>
  /**
   * Adds or replaces a schema on this node: JSON Schema, or any Standard Schema (Zod, Valibot, ArkType) that
   * answers at once. It is there until the node closes, and stands before a definition of the type.
   *
   * @throws LATERBASE_SCHEMA_INVALID with `problems`
   */
  define<Schema extends StandardSchema | JsonSchema>(
    type: string,
    schema: Schema,
    options?: SchemaOptions
  ): Promise<EventType<DataOf<Schema>>>
  /**
   * Writes a JSON Schema as a definition, which replicates like an event, and is enforced by every node that
   * trusts its author.
   *
   * @throws LATERBASE_SCHEMA_INVALID with `problems`; LATERBASE_TOO_LARGE
   */
  put(
    type: string,
    schema: JsonSchema,
    options?: SchemaOptions
  ): Promise<{ readonly schema: SchemaInfo; readonly created: boolean }>
  /** The same from JSON text, whose numbers are seen as they were written. */
  putJson(
    type: string,
    text: string,
    options?: SchemaOptions
  ): Promise<{ readonly schema: SchemaInfo; readonly created: boolean }>
  /** Of `define`: here; of `put`: everywhere. @throws LATERBASE_SCHEMA_UNKNOWN */
  remove(type: string, options?: SchemaOptions): Promise<void>
  /** Of `put` only. @throws LATERBASE_SCHEMA_UNKNOWN */
  removeDefinition(type: string, options?: SchemaOptions): Promise<void>
}
