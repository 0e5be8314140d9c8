/** What `/metrics` says of views. */

import { isLaterbaseError } from '../errors.ts'
import type { Laterbase } from '../node/laterbase.ts'
import type { ViewInfo } from '../node/views.ts'
import { type Family, gauges } from './metric-families.ts'

export async function viewFamilies(node: Laterbase): Promise<readonly Family[]> {
  const views: (readonly [database: string, info: ViewInfo])[] = []
  for (const database of node.databases()) {
    for (const info of await viewsOf(node, database)) views.push([database, info])
  }
  const each = (value: (info: ViewInfo) => number): Family['samples'] =>
    views.map(([database, info]) => ({ value: value(info), labels: { database, view: info.name } }))
  return [
    gauges(
      'laterbase_view_rows',
      'Rows of a map, states of a fold.',
      each(({ rows }) => rows)
    ),
    gauges(
      'laterbase_view_behind_events',
      'Events that a view does not cover yet; it does when it is asked.',
      each(({ behind }) => behind)
    ),
    gauges(
      'laterbase_view_faults',
      'Events that the functions of a view failed for.',
      each(({ faults }) => faults)
    ),
    gauges(
      'laterbase_view_built_ratio',
      'Part of the events that the build has looked at; 1 when none is under way.',
      each(({ progress }) =>
        progress === undefined ? 1 : progress.done / Math.max(1, progress.total)
      )
    ),
    gauges(
      'laterbase_view_failed',
      'Whether a view answers nothing until somebody does something.',
      each(({ state }) => Number(state === 'failed' || state === 'refused'))
    )
  ]
}

/** A database that is being closed has none; all others are still counted. */
async function viewsOf(node: Laterbase, database: string): Promise<readonly ViewInfo[]> {
  try {
    return await node.database(database).views.list()
  } catch (error) {
    if (isLaterbaseError(error)) return []
    throw error
  }
}
