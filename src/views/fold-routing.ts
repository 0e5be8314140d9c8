/** Which aggregate of a fold each event belongs to, what functions get of it there, and what a row keeps. */

import { present } from '../core/assert.ts'
import { SELECTION_BYTES_MAX } from './limits.ts'
import type { Fault, FoldInput, FoldProgram, Outcome, ViewEvent } from './program.ts'
import { Selection } from './selection.ts'
import type { IndexedEvent } from './view-index.ts'

export interface RoutedEvent extends Pick<IndexedEvent, 'place' | 'recorded' | 'bytes'> {
  readonly event: FoldInput
}

export interface Routed {
  /** The key of each one's aggregate; undefined for one that belongs to none. */
  readonly outcomes: readonly (Outcome | undefined)[]
  /** Those that belong to one are as they are kept. */
  readonly events: readonly RoutedEvent[]
}

/** @param given the events as functions see them that have not seen them before; all of them see these */
export function routeEvents(
  program: FoldProgram,
  events: readonly IndexedEvent[],
  given: readonly ViewEvent[]
): Routed {
  const keys = program.keysOf(given)
  if (program.select === undefined) return { outcomes: keys, events }
  const outcomes = [...keys]
  const routed: RoutedEvent[] = [...events]
  const keyed = [...given.entries()].filter(([index]) => {
    const key = keys[index]
    return key !== undefined && 'value' in key
  })
  const selections = program.select(keyed.map(([, event]) => event))
  for (const [at, [index]] of keyed.entries()) {
    const { place, recorded } = present(events[index], 'an event')
    const selected = keptOf(selections[at])
    if (selected !== undefined && 'bytes' in selected)
      routed[index] = { place, recorded, ...selected }
    else outcomes[index] = selected
  }
  return { outcomes, events: routed }
}

/** What is kept of an event of which this was selected. */
function keptOf(
  selected: Outcome | undefined
): Pick<RoutedEvent, 'bytes' | 'event'> | Fault | undefined {
  if (selected === undefined || 'fault' in selected) return selected
  const text = JSON.stringify(selected.value)
  const bytes = Buffer.from(text)
  if (bytes.length <= SELECTION_BYTES_MAX) return { bytes, event: new Selection(text) }
  return { fault: `what is selected has at most ${SELECTION_BYTES_MAX} bytes, as JSON` }
}
