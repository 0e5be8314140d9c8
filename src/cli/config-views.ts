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
  for (const [database, views] of membersOf(`${file}: views`, entry)) {
    const those = membersOf(`${file}: views.${database}`, views).map(([name, view]) => {
      const members = Object.fromEntries(membersOf(`${file}: views.${database}.${name}`, view))
      return { name, members, isNative: Object.values(members).some(isFunction) }
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

function isFunction(member: unknown): boolean {
  return typeof member === 'function'
}

function membersOf(place: string, value: unknown): [name: string, member: unknown][] {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
    return Object.entries(value)
  }
  throw usageFailure(
    `${place}: an object is expected, as in { views: { depot: { stock: { map, reduce } } } }`
  )
}
