/**
 * The entries `schemas` and `upcasters` of a configuration file, by database: what data of events has to look
 * like on this node, and what turns data of old events into that. What is in them is for the node to check.
 */

import type { LaterbaseOptions } from '../node/options.ts'
import { usageFailure } from './failure.ts'

type Schemas = NonNullable<LaterbaseOptions['schemas']>
type Upcasters = NonNullable<LaterbaseOptions['upcasters']>

/**
 * @param file named in what is wrong
 * @throws CommandFailure for a usage error
 */
export function configuredSchemas(file: string, entry: unknown): Schemas {
  const example = '{ schemas: { depot: { "pallet.received": { type: "object" } } } }'
  const byDatabase = membersOf(`${file}: schemas`, entry, example)
  return Object.fromEntries(
    byDatabase.map(([database, schemas]): [string, Schemas[string]] => {
      const byType = membersOf(`${file}: schemas.${database}`, schemas, example)
      return [database, Object.fromEntries(byType) as Schemas[string]]
    })
  )
}

/** @throws CommandFailure for a usage error */
export function configuredUpcasters(file: string, entry: unknown): Upcasters {
  const example = '{ upcasters: { depot: [{ type, from: "v1", to: "v2", data: (old) => … }] } }'
  const byDatabase = membersOf(`${file}: upcasters`, entry, example)
  for (const [database, list] of byDatabase) {
    if (!Array.isArray(list)) {
      throw usageFailure(`${file}: upcasters.${database}: a list is expected, as in ${example}`)
    }
  }
  return Object.fromEntries(byDatabase) as Upcasters
}

function membersOf(
  place: string,
  value: unknown,
  example: string
): [name: string, member: unknown][] {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
    return Object.entries(value)
  }
  throw usageFailure(`${place}: an object is expected, as in ${example}`)
}
