/** What a program defines for its databases by its options: views, schemas, upcasters. */

import type { Hasher } from '../core/clock.ts'
import { LaterbaseError } from '../errors.ts'
import { Upcasters } from '../schema/upcast.ts'
import type { AnyView } from '../views/define-view.ts'
import type { ViewDefinition } from '../views/view-definition.ts'
import type { ResolvedOptions } from './options.ts'
import { makeOwnSchema } from './schema-table.ts'
import type { OwnSchema } from './schema-table.ts'

export interface DefinedByProgram {
  readonly views: readonly AnyView[]
  readonly viewDefinitions: Readonly<Record<string, ViewDefinition>>
  readonly schemas: readonly OwnSchema[]
  readonly upcasters: Upcasters
}

export type ProgramDefinitions = (database: string) => DefinedByProgram

type Options = Pick<ResolvedOptions, 'views' | 'viewDefinitions' | 'schemas' | 'upcasters'>

/** @throws LATERBASE_OPTION_INVALID for a schema that is none, and for upcasters that do not go together */
export async function programDefinitions(
  { views, viewDefinitions, schemas, upcasters }: Options,
  hasher: Hasher
): Promise<ProgramDefinitions> {
  const ownSchemas = new Map<string, readonly OwnSchema[]>()
  for (const [database, byType] of Object.entries(schemas)) {
    const made: OwnSchema[] = []
    for (const [type, schema] of Object.entries(byType)) {
      try {
        made.push(await makeOwnSchema(type, undefined, schema))
      } catch (cause) {
        const reason = cause instanceof Error ? cause.message : String(cause)
        const message = `schemas.${database}.${type}: ${reason}`
        throw new LaterbaseError('LATERBASE_OPTION_INVALID', message, { cause })
      }
    }
    ownSchemas.set(database, made)
  }
  const ownUpcasters = new Map(
    Object.entries(upcasters).map(([database, list]) => [database, new Upcasters(list, hasher)])
  )
  const none = new Upcasters([], hasher)
  return (database) => ({
    views: valueOf(views, database) ?? [],
    viewDefinitions: valueOf(viewDefinitions, database) ?? {},
    schemas: ownSchemas.get(database) ?? [],
    upcasters: ownUpcasters.get(database) ?? none
  })
}

/** A database may be called `constructor`. */
function valueOf<Value>(
  values: Readonly<Record<string, Value>>,
  database: string
): Value | undefined {
  return Object.hasOwn(values, database) ? values[database] : undefined
}
