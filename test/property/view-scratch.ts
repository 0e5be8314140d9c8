/**
 * What a view must answer, from scratch: the events that a cursor covers, by going through the commits of a
 * store; those of them that count; and one pass of the view's functions over these.
 */

import { compareBytes } from '../../src/core/bytes.ts'
import { KEY_BYTES, eventKey, formatEventKey, parseEventKey } from '../../src/core/event-key.ts'
import type { Stamp } from '../../src/core/hybrid-logical-clock.ts'
import { readCursor } from '../../src/node/cursor.ts'
import { passedOf } from '../../src/node/position.ts'
import type { EventStore } from '../../src/store/event-store.ts'
import { createMemoryDerivedStore } from '../../src/store/memory-derived-store.ts'
import { indexOf } from '../../src/views/view-build.ts'
import { viewEvent } from '../../src/views/view-event.ts'
import type { ViewProgram } from '../../src/views/program.ts'
import { PLACE_BYTES } from '../../src/views/view-index.ts'
import type { IndexedEvent } from '../../src/views/view-index.ts'
import { placeText } from './map-plans.ts'

/** By place, with the recorded time of the first of those commits. */
export async function coveredEvents(
  store: EventStore,
  cursor: string
): Promise<Map<string, IndexedEvent>> {
  const { passed } = await readCursor(cursor, store)
  const covered = new Map<string, IndexedEvent>()
  for (const log of store.logs()) {
    const [begin, end] = [log.fork?.seq ?? 0, passedOf(passed, log)]
    for (const commit of await store.commits(log, begin, Number.MAX_SAFE_INTEGER)) {
      const { firstSeq, keys, recorded } = commit
      const from = Math.max(0, begin + 1 - firstSeq)
      const to = Math.min(keys.length, end + 1 - firstSeq)
      if (to <= from) continue
      const [events = []] = await store.readEvents([{ commit, from, to }])
      for (const { key, hash, value } of events) {
        const place = Buffer.concat([key, hash]).subarray(0, PLACE_BYTES)
        const event = { place, event: viewEvent(key, value), bytes: value }
        const held = covered.get(placeText(event))
        const first = held !== undefined && held.recorded < recorded ? held.recorded : recorded
        covered.set(placeText(event), { ...event, recorded: first })
      }
    }
  }
  return covered
}

/** What counts of what had happened, and of what was known. */
export interface Past {
  /** Places before this one. */
  readonly before: Uint8Array | undefined
  readonly recordedBy: Stamp | undefined
  /** Names of places. */
  readonly held: ReadonlySet<string> | undefined
}

export function pastOf(events: readonly IndexedEvent[], past: Past): IndexedEvent[] {
  const { before, recordedBy, held } = past
  return events.filter(
    (event) =>
      (before === undefined || compareBytes(event.place, before) < 0) &&
      (recordedBy === undefined || event.recorded <= recordedBy) &&
      (held === undefined || held.has(placeText(event)))
  )
}

/** Of a view of effective events those that no other corrects: the specification, over a whole set. */
export function countedOf(
  events: readonly IndexedEvent[],
  kind: ViewProgram['events']
): IndexedEvent[] {
  const sorted = [...events].sort((a, b) => compareBytes(a.place, b.place))
  if (kind === 'recorded') return sorted
  const byTarget = new Map<string, IndexedEvent[]>()
  for (const each of sorted) {
    const target = targetOf(each)
    if (target !== undefined) byTarget.set(target, [...(byTarget.get(target) ?? []), each])
  }
  return sorted.filter((each) => {
    if (byTarget.has(keyText(each))) return false
    const target = targetOf(each)
    if (target === undefined) return true
    return each.event.data !== null && byTarget.get(target)?.at(-1) === each
  })
}

/** The key that an event corrects, as text. */
export function targetOf(each: IndexedEvent): string | undefined {
  const { corrects } = each.event
  const key = corrects === undefined ? undefined : parseEventKey(corrects)
  const text = key && formatEventKey(key)
  return text === keyText(each) ? undefined : text
}

export function keyText({ place }: IndexedEvent): string {
  return formatEventKey(eventKey(place.subarray(0, KEY_BYTES)))
}

/** The digest that a view of these events has when it is built at once. */
export async function scratchDigest(
  program: ViewProgram,
  events: readonly IndexedEvent[]
): Promise<string> {
  const memory = createMemoryDerivedStore()
  async function* all(): AsyncGenerator<readonly IndexedEvent[]> {
    if (events.length > 0) yield events
  }
  const state = await indexOf(program).build(all(), (changes) => memory.write(changes), memory)
  return `${program.hash.slice(0, 12)}-${state.digest}`
}
