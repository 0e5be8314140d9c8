/**
 * The entry `views` of a configuration file: by database and name, functions of a module, or definitions as
 * they are put over HTTP. What is in a view is for the node to check.
 */

import type { LaterbaseOptions } from '../node/options.ts'
import { usageFailure } from './failure.ts'

export type ConfiguredViews = Required<Pick<LaterbaseOptions, 'views' | 'viewDefinitions'>>
type NativeView = ConfiguredViews['views'][string][number]
type Definitions = ConfiguredViews['viewDefinitions'][string]

/**
 * @param file named in what is wrong
 * @throws CommandFailure for a usage error
 */
export function configuredViews(file: string, entry: unknown): ConfiguredViews {
  const native = new Map<string, NativeView[]>()
  const definitions = new Map<string, Definitions>()
  for (const [database, views] of namedIn(`${file}: views`, entry)) {
    const those = namedIn(`${file}: views.${database}`, views).map(([name, view]) => {
      const place = `${file}: views.${database}.${name}`
      const members = Object.fromEntries(membersOf(place, view))
      const isNative = Object.values(members).some(isFunction)
      if (isNative) expectFunctions(place, members)
      return { name, members, isNative }
    })
    const ofFunctions = those.filter(({ isNative }) => isNative)
    const others = those.filter(({ isNative }) => !isNative)
    native.set(
      database,
      ofFunctions.map(({ name, members }) => ({ ...members, name }) as unknown as NativeView)
    )
    definitions.set(
      database,
      Object.fromEntries(others.map(({ name, members }) => [name, members]))
    )
  }
  return {
    views: Object.fromEntries(native),
    viewDefinitions: Object.fromEntries(definitions)
  }
}

/** What is in them is for the node to check, once it has the database; what is missing is said at once. */
function expectFunctions(place: string, members: Readonly<Record<string, unknown>>): void {
  const has = (names: readonly string[]): boolean => names.some((name) => isFunction(members[name]))
  if (has(['map']) || (has(['initial', 'initialState']) && has(['apply', 'evolve']))) return
  throw usageFailure(`${place}: a view of functions has map, or initial and apply`)
}

function isFunction(member: unknown): boolean {
  return typeof member === 'function'
}

function namedIn(place: string, value: unknown): [name: string, member: unknown][] {
  const members = membersOf(place, value)
  const wrong = members.find(([name]) => !NAME.test(name))
  if (wrong === undefined) return members
  throw usageFailure(`${place}: '${wrong[0]}' is no name: 1 to 63 of a-z 0-9 _ -, a letter first`)
}

const NAME = /^[a-z][a-z0-9_-]{0,62}$/

function membersOf(place: string, value: unknown): [name: string, member: unknown][] {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
    return Object.entries(value)
  }
  throw usageFailure(
    `${place}: an object is expected, as in { views: { depot: { stock: { map, reduce } } } }`
  )
}
