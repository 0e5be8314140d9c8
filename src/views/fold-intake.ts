/** What a fold takes in of events: the aggregate that each belongs to, what functions get of it, and what a row keeps. */

import type { FoldInput, FoldProgram, Outcome, ViewEvent } from './program.ts'
import { Selection } from './selection.ts'
import type { IndexedEvent } from './view-index.ts'

export interface TakenEvent extends Pick<IndexedEvent, 'place' | 'recorded' | 'bytes'> {
  readonly event: FoldInput
}

export interface Intake {
  /** The key of each one's aggregate; undefined for one that belongs to none. */
  readonly outcomes: readonly (Outcome | undefined)[]
  /** Those that belong to one are as they are kept. */
  readonly events: readonly TakenEvent[]
}

/** @param given the events as functions see them that have not seen them before */
export function takeIn(
  program: FoldProgram,
  events: readonly IndexedEvent[],
  given: readonly ViewEvent[]
): Intake {
  const keys = program.keysOf(given)
  if (program.select === undefined) return { outcomes: keys, events }
  const isKeyed = keys.map((key) => key !== undefined && 'value' in key)
  const selections = program.select(given.filter((_, index) => isKeyed[index]))[Symbol.iterator]()
  const outcomes: (Outcome | undefined)[] = []
  const taken = events.map((event, index): TakenEvent => {
    const key = keys[index]
    const selected: Outcome | undefined = isKeyed[index] ? selections.next().value : undefined
    if (selected === undefined || 'fault' in selected) {
      outcomes.push(isKeyed[index] ? selected : key)
      return event
    }
    outcomes.push(key)
    const { place, recorded } = event
    const text = JSON.stringify(selected.value)
    return { place, recorded, bytes: Buffer.from(text), event: new Selection(text) }
  })
  return { outcomes, events: taken }
}
