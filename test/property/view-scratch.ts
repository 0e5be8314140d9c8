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
import { PLACE_BYTES } from '../../src/store/event-store.ts'
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

/** Of a view of effective events those that count: the specification, over a whole set. */
export function countedOf(
  events: readonly IndexedEvent[],
  kind: ViewProgram['events']
): IndexedEvent[] {
  const sorted = [...events].sort((a, b) => compareBytes(a.place, b.place))
  if (kind === 'recorded') return sorted
  const byTarget = rivalsOf(sorted)
  const passed = passedOver(byTarget)
  return sorted.filter((each) => {
    if (byTarget.has(keyText(each)) || passed.has(each)) return false
    const target = targetOf(each)
    if (target === undefined) return true
    return each.event.data !== null && byTarget.get(target)?.at(-1) === each
  })
}

/**
 * Of corrections that came, the one for which an event is passed over that was not before: what is nearest to where
 * it began, in event order of those that came.
 */
export function passedFor(
  event: IndexedEvent,
  old: ReadonlyMap<string, IndexedEvent>,
  now: ReadonlyMap<string, IndexedEvent>
): IndexedEvent | undefined {
  const [before, after] = [old, now].map((those) => {
    return passedOver(rivalsOf([...those].sort(byPlace).map(([, each]) => each)))
  })
  const namesBefore = new Set([...(before ?? [])].map(placeText))
  const namesAfter = new Set([...(after ?? [])].map(placeText))
  const sorted = [...now].sort(byPlace).map(([, each]) => each)
  const isFresh = (each: IndexedEvent): boolean => !old.has(placeText(each))
  const fresh = sorted.filter(isFresh)
  // Of those that correct one key, in the order in which they came.
  const rivals = rivalsOf([...sorted.filter((each) => !isFresh(each)), ...fresh])
  const causes = new Map<string, IndexedEvent | undefined>()
  const found: IndexedEvent[] = []
  const pass = (each: IndexedEvent, cause: IndexedEvent | undefined): void => {
    const place = placeText(each)
    if (!namesAfter.has(place) || namesBefore.has(place) || causes.has(place)) return
    causes.set(place, cause)
    found.push(each)
  }
  for (const target of fresh.map(targetOf)) {
    const all = rivals.get(target ?? '') ?? []
    const highest = [...all].sort((a, b) => compareBytes(a.place, b.place)).at(-1)
    for (const each of all) {
      if (highest === undefined || keyText(each) === keyText(highest)) continue
      pass(each, isFresh(highest) ? highest : undefined)
    }
  }
  const keysBefore = new Set([...(before ?? [])].map(keyText))
  for (const each of fresh) if (keysBefore.has(targetOf(each) ?? '')) pass(each, undefined)
  for (const each of found) {
    const own = isFresh(each) ? each : undefined
    for (const child of rivals.get(keyText(each)) ?? []) {
      pass(child, causes.get(placeText(each)) ?? own)
    }
  }
  return causes.get(placeText(event))
}

function byPlace([a]: readonly [string, unknown], [b]: readonly [string, unknown]): number {
  return a < b ? -1 : 1
}

function rivalsOf(events: readonly IndexedEvent[]): Map<string, IndexedEvent[]> {
  const rivals = new Map<string, IndexedEvent[]>()
  for (const each of events) {
    const target = targetOf(each)
    if (target !== undefined) rivals.set(target, [...(rivals.get(target) ?? []), each])
  }
  return rivals
}

/** Corrections that lost to one of another key, and what corrects those, until there are no more. */
function passedOver(byTarget: ReadonlyMap<string, readonly IndexedEvent[]>): Set<IndexedEvent> {
  const passed = new Set<IndexedEvent>()
  for (let before = -1; before < passed.size;) {
    before = passed.size
    const lost = new Set([...passed].map(keyText))
    for (const [target, rivals] of byTarget) {
      const highest = rivals.at(-1)
      for (const each of rivals) {
        const isLower = highest !== undefined && keyText(each) !== keyText(highest)
        if (isLower || lost.has(target)) passed.add(each)
      }
    }
  }
  return passed
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
