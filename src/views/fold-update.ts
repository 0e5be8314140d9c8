/** Brings a fold up to date with events that come and go. */

import { present } from '../core/assert.ts'
import { compareBytes, toHex } from '../core/bytes.ts'
import { decodeViewKey } from '../core/views/collation.ts'
import type { DerivedReader } from '../store/derived-store.ts'
import { Groups, aggregateBytes } from './fold-aggregates.ts'
import type { Group } from './fold-aggregates.ts'
import { callPaced, paced } from './effort.ts'
import { FoldChanges } from './fold-changes.ts'
import { extend } from './fold-extend.ts'
import type { FoldAggregate } from './fold-extend.ts'
import { routeEvents } from './fold-routing.ts'
import type { Routed, RoutedEvent } from './fold-routing.ts'
import { decodeHead, headKey } from './fold-records.ts'
import type { FoldHead } from './fold-records.ts'
import { AGGREGATES_AT_ONCE } from './limits.ts'
import { replay } from './fold-replay.ts'
import type { Replayed, RowChange } from './fold-replay.ts'
import { eventOf } from './fold-run.ts'
import type { FoldProgram, Outcome } from './program.ts'
import { TAG, tagged } from './records.ts'
import type {
  DroppedEvent,
  IndexChange,
  IndexState,
  IndexUpdate,
  IndexedEvent,
  TouchedKey,
  UpdateOptions
} from './view-index.ts'

/** A fold, the state that is known of it, and where its records are read. */
export interface FoldView {
  readonly program: FoldProgram
  readonly reader: DerivedReader
  readonly state: IndexState
}

export async function updateFold(
  { program, reader, state }: FoldView,
  change: IndexChange,
  { touched: isTouchedWanted = false, care }: UpdateOptions = {}
): Promise<IndexUpdate> {
  const changes = new FoldChanges(state)
  const groups = await grouped({ program, reader, changes, care }, change)
  const touched: TouchedKey[] = []
  for await (const { group, before } of withHeads(reader, groups)) {
    const { aggregate } = group
    const init = { program, reader, changes, care, aggregate, head: before }
    const replayed = await updated(init, group.events)
    const { head } = replayed
    if (head !== before) changes.setHead(aggregate, before, head)
    if (isTouchedWanted && head?.text !== before?.text) {
      touched.push(touch(group, replayed, before))
    }
  }
  return { state: changes.state, changes: changes.take(), touched }
}

interface HeadedGroup {
  readonly group: Group<Change>
  readonly before: FoldHead | undefined
}

/** Some at a time: a read waits for the disk, or for another thread. */
async function* withHeads(
  reader: DerivedReader,
  groups: readonly Group<Change>[]
): AsyncGenerator<HeadedGroup> {
  for (let at = 0; at < groups.length; at += AGGREGATES_AT_ONCE) {
    const some = groups.slice(at, at + AGGREGATES_AT_ONCE)
    const heads = await Promise.all(some.map(({ aggregate }) => reader.get(headKey(aggregate))))
    for (const [index, group] of some.entries()) {
      const head = heads[index]
      yield { group, before: head && decodeHead(head) }
    }
  }
}

interface Change {
  readonly event: DroppedEvent
  /** The event as it is kept. */
  readonly routed: RoutedEvent
  readonly isDrop: boolean
}

type Scope = Pick<FoldAggregate, 'program' | 'reader' | 'changes' | 'care'>

/** What comes and goes by aggregate, in event order. What belongs to none because its key's function fails is noted. */
async function grouped(scope: Scope, { put, drop }: IndexChange): Promise<Group<Change>[]> {
  const all = [
    ...put.map((event) => ({ event, isDrop: false })),
    ...drop.map((event) => ({ event, isDrop: true }))
  ].sort((a, b) => compareBytes(a.event.place, b.event.place))
  const outcomes: (Outcome | undefined)[] = []
  const routed: RoutedEvent[] = []
  for await (const some of paced(scope.program, all, scope.care)) {
    const events = some.map(({ event }) => event)
    const route = (): Routed => routeEvents(scope.program, events, events.map(eventOf))
    const routing = callPaced(scope.program, events.length, route)
    outcomes.push(...routing.outcomes)
    routed.push(...routing.events)
  }
  const groups = new Groups<Change>()
  for (const [index, { event, isDrop }] of all.entries()) {
    const outcome = outcomes[index]
    const aggregate = outcome === undefined ? undefined : aggregateBytes(outcome)
    if (aggregate === undefined) continue
    const change = { event, routed: present(routed[index], 'an event'), isDrop }
    if (aggregate instanceof Uint8Array) groups.add(aggregate, change)
    else await noteKeyFault(scope, change, aggregate.fault)
  }
  return groups.inOrder()
}

async function noteKeyFault(
  { reader, changes }: Scope,
  { event, isDrop }: Change,
  fault: string
): Promise<void> {
  const isNoted = (await reader.get(tagged(TAG.fault, event.place))) !== undefined
  if (!isDrop) changes.noteFault(event.place, fault, !isNoted)
  else if (isNoted) changes.forgetFault(event.place)
}

async function updated(init: FoldAggregate, all: readonly Change[]): Promise<Replayed> {
  const { head } = init
  // What goes from behind the last row was not there.
  const isThere = ({ event, isDrop }: Change): boolean => !isDrop || isUpTo(event, head)
  const rows = all.filter(isThere).map(rowChange)
  const [first] = rows
  if (first === undefined) return { head, added: [], gone: [] }
  if (!isUpTo(first, head)) {
    return { head: await extend(init, rows), added: rows.map(({ place }) => place), gone: [] }
  }
  return replay(init, rows)
}

function isUpTo({ place }: Pick<RowChange, 'place'>, head: FoldHead | undefined): boolean {
  return head !== undefined && compareBytes(place, head.place) <= 0
}

function rowChange({ routed, isDrop }: Change): RowChange & { readonly hasFailed: false } {
  const { place, recorded, bytes } = routed
  return { place, recorded, bytes, isDrop, hasFailed: false }
}

function touch(
  { aggregate, events }: Group<Change>,
  { added, gone }: Replayed,
  before: FoldHead | undefined
): TouchedKey {
  const places = new Set([...added, ...gone].map(toHex))
  const causes = new Map<string, IndexedEvent>()
  for (const { event, isDrop } of events) {
    if (!places.has(toHex(event.place))) continue
    const cause = isDrop ? (event.by ?? event) : event
    causes.set(toHex(cause.place), cause)
  }
  return {
    key: decodeViewKey(aggregate).value,
    keyBytes: aggregate,
    causes: [...causes.values()].sort((a, b) => compareBytes(a.place, b.place)),
    late: gone.length > 0 || added.some((place) => isUpTo({ place }, before))
  }
}
