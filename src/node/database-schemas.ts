/** The schemas of one database as clients see them: of this program, and definitions that replicate. */

import { assert } from '../core/assert.ts'
import { equalBytes, toHex } from '../core/bytes.ts'
import { LaterbaseError } from '../errors.ts'
import { canonicalJson } from '../schema/canonical-json.ts'
import type { AcceptedEnvelope } from '../schema/envelope.ts'
import { findInexactNumber } from '../schema/exact-numbers.ts'
import { MEMBER_CHARACTERS_MAX } from '../schema/limits.ts'
import type { StandardSchema } from '../schema/standard-schema.ts'
import { formatTime } from '../schema/time.ts'
import { contentOf, definedMs } from './definition-events.ts'
import type { DefinedName } from './definition-events.ts'
import type { Definition, Definitions } from './definitions.ts'
import type { DatabaseInit } from './database-init.ts'
import { checkEnvelopes, problemsOfEvent } from './event-checks.ts'
import type { Entrance, Envelope } from './event-checks.ts'
import type { EventInput } from './laterbase.ts'
import type { Labels } from './recorded-event.ts'
import { SchemaTable, compileSchema, invalidSchema, makeOwnSchema } from './schema-table.ts'
import type { OwnSchema } from './schema-table.ts'
import type {
  DataOf,
  EventType,
  JsonSchema,
  SchemaEntry,
  SchemaInfo,
  SchemaOptions,
  Schemas
} from './schemas.ts'

type SchemasInit = Pick<DatabaseInit, 'clock' | 'hasher' | 'peerId' | 'schemas' | 'store'>
type Reading = Entrance['reading']

export class DatabaseSchemas implements Schemas {
  readonly #init: SchemasInit
  readonly #definitions: Definitions
  readonly #table: SchemaTable
  readonly #reading: Reading
  readonly #labels: Labels

  /** @param reading waits until damage is healed, and ends when the database does */
  constructor(init: SchemasInit, definitions: Definitions, reading: Reading) {
    this.#init = init
    this.#definitions = definitions
    this.#table = new SchemaTable(definitions, init.schemas)
    this.#reading = reading
    this.#labels = (members) => problemsOfEvent(this.#table, members)
  }

  /** Undefined once it is known which schemas there are. */
  load(): Promise<void> | undefined {
    return this.#table.load()
  }

  /** Events that enter: those that do not follow their schemas are refused. */
  checked(envelopes: readonly Envelope[], isArray: boolean): Promise<readonly Envelope[]> {
    const { clock } = this.#init
    const isHeld = (envelope: AcceptedEnvelope): Promise<boolean> => this.#isHeld(envelope)
    const reading = this.#reading
    return checkEnvelopes(this.#table, envelopes, { clock, reading, isArray, isHeld })
  }

  async #isHeld({ key, value }: AcceptedEnvelope): Promise<boolean> {
    // What cannot be read is not waited for: who sends it again, later, is told.
    const held = await this.#init.store.getAll(key).catch(() => [])
    return held.some((event) => equalBytes(event.value, value))
  }

  /** For events that are held; nothing where no schema is defined. */
  labels(): Labels | undefined {
    return this.#table.isEmpty ? undefined : this.#labels
  }

  async list(): Promise<readonly SchemaInfo[]> {
    return (await this.#entries()).map(infoOf)
  }

  async get(type: string, { version }: SchemaOptions = {}): Promise<SchemaEntry | undefined> {
    const entries = (await this.#entries()).filter((each) => {
      return each.type === type && each.version === version
    })
    return entries.find(({ state }) => state !== 'replaced') ?? entries[0]
  }

  async define<Schema extends StandardSchema | JsonSchema>(
    type: string,
    schema: Schema,
    { version }: SchemaOptions = {}
  ): Promise<EventType<DataOf<Schema>>> {
    checkNames(type, version)
    this.#table.define(await makeOwnSchema(type, version, schema))
    const named = version === undefined ? { type } : { type, schema: version }
    return {
      type,
      // What `append` takes is JSON; of data of another type it says what is wrong with it.
      event: (data, members = {}): EventInput => ({ ...members, ...named, data })
    }
  }

  async put(
    type: string,
    schema: JsonSchema,
    { version }: SchemaOptions = {}
  ): Promise<{ readonly schema: SchemaInfo; readonly created: boolean }> {
    checkNames(type, version)
    const validator = await compileSchema(schema)
    if ('problems' in validator) throw invalidSchema(validator.problems)
    const created = await this.#definitions.put(nameOf(type, version), schema)
    const entries = await this.#entries()
    const isIt = (each: SchemaInfo): boolean => {
      return each.type === type && each.version === version && each.origin === 'definition'
    }
    return { schema: infoOf(entries.find(isIt) ?? this.#unknown(type)), created }
  }

  async putJson(
    type: string,
    text: string,
    options: SchemaOptions = {}
  ): Promise<{ readonly schema: SchemaInfo; readonly created: boolean }> {
    let schema: JsonSchema
    try {
      schema = JSON.parse(text) as JsonSchema
    } catch (cause) {
      const detail = cause instanceof Error ? cause.message : 'not JSON'
      const problems = [{ pointer: '', detail }]
      const facts = { malformed: true }
      throw new LaterbaseError('LATERBASE_SCHEMA_INVALID', detail, { cause, problems, facts })
    }
    const inexact = findInexactNumber(text)
    if (inexact !== undefined) throw invalidSchema([inexact])
    return this.put(type, schema, options)
  }

  async remove(type: string, { version }: SchemaOptions = {}): Promise<void> {
    if (this.#table.undefine(type, version)) return
    await this.removeDefinition(type, version === undefined ? {} : { version })
  }

  async removeDefinition(type: string, { version }: SchemaOptions = {}): Promise<void> {
    await this.#loaded()
    const removed = await this.#definitions.put(nameOf(type, version), undefined)
    if (!removed) this.#unknown(type)
  }

  /** In the order of their names, those of this program before definitions. */
  async #entries(): Promise<readonly SchemaEntry[]> {
    await this.#loaded()
    const definitions = this.#definitions
    const entries = [
      ...this.#table.own().map((own) => this.#ownEntry(own)),
      ...definitions.list('laterbase.schema').map((each) => this.#entry(each)),
      ...definitions.ignored('laterbase.schema').map((each) => this.#ignoredEntry(each))
    ]
    return entries.sort((a, b) => {
      const [left, right] = [a, b].map(({ type, version }) => JSON.stringify([type, version ?? '']))
      return left === right ? 0 : (left ?? '') < (right ?? '') ? -1 : 1
    })
  }

  #ownEntry({ type, version, json, made }: OwnSchema): SchemaEntry {
    const state = made.isSetAside ? 'set-aside' : 'enforced'
    const hash = json === undefined ? undefined : this.#hashOf(json)
    const reason = made.isSetAside ? TOO_SLOW : undefined
    const none = { defined: undefined, authors: [] }
    return { type, version, origin: 'library', hash, state, reason, ...none, schema: json }
  }

  #entry(definition: Definition): SchemaEntry {
    const { name, version } = definition.event.of
    if (this.#table.ownOf(name, version) !== undefined) {
      return this.#definedEntry(definition, 'replaced', 'this program has one of its own')
    }
    const made = this.#table.madeOf(definition)
    if ('problems' in made) {
      const [{ pointer, detail } = { pointer: '', detail: '' }] = made.problems
      return this.#definedEntry(definition, 'invalid', `${pointer}: ${detail}`)
    }
    return made.isSetAside
      ? this.#definedEntry(definition, 'set-aside', TOO_SLOW)
      : this.#definedEntry(definition, 'enforced', undefined)
  }

  #ignoredEntry(definition: Definition): SchemaEntry {
    return this.#definedEntry(definition, 'untrusted', 'none of its authors is trusted here')
  }

  #definedEntry(
    { event, authors }: Definition,
    state: SchemaInfo['state'],
    reason: string | undefined
  ): SchemaEntry {
    const schema = contentOf(event) as JsonSchema
    return {
      type: event.of.name,
      version: event.of.version,
      origin: 'definition',
      hash: this.#hashOf(schema),
      state,
      reason,
      defined: formatTime(definedMs(event)),
      authors: authors.map(this.#init.peerId),
      schema
    }
  }

  async #loaded(): Promise<void> {
    await this.#reading(async () => this.#table.load())
  }

  #hashOf(schema: JsonSchema): string {
    const text = canonicalJson(schema)
    assert(typeof text === 'string', 'a schema that is held is JSON')
    return toHex(this.#init.hasher.sha256(Buffer.from(text)))
  }

  #unknown(type: string): never {
    const shown = JSON.stringify(type.slice(0, SHOWN_CHARACTERS))
    throw new LaterbaseError('LATERBASE_SCHEMA_UNKNOWN', `no schema of ${shown}`)
  }
}

function infoOf({ schema: _schema, ...info }: SchemaEntry): SchemaInfo {
  return info
}

const SHOWN_CHARACTERS = 80
const TOO_SLOW = 'it took too long again and again; define it anew'

function nameOf(type: string, version: string | undefined): DefinedName {
  return { type: 'laterbase.schema', name: type, version }
}

/** @throws LATERBASE_NAME_INVALID */
function checkNames(type: string, version: string | undefined): void {
  for (const [what, name] of [
    ['type', type],
    ['version', version ?? 'none']
  ] as const) {
    const isTaken = what === 'type' && name.startsWith('laterbase.')
    if (name !== '' && name.length <= MEMBER_CHARACTERS_MAX && !isTaken) continue
    const message =
      `the ${what} of a schema is that of events: 1 to ${MEMBER_CHARACTERS_MAX} characters` +
      (isTaken ? ', and not one of the node’s own' : '')
    throw new LaterbaseError('LATERBASE_NAME_INVALID', message)
  }
}
