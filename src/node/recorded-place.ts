/**
 * Stored events as clients see them, with the place and the recorded time that are theirs: an event
 * that was written on several boxes stands in several commits.
 */

import { present } from '../core/assert.ts'
import type { Stamp } from '../core/hybrid-logical-clock.ts'
import type { EventStore, Occurrence, StoredEvent } from '../store/event-store.ts'
import type { FeedRow } from './feed.ts'
import type { RecordedEvent } from './laterbase.ts'
import { recordedEvent } from './recorded-event.ts'
import type { Labels } from './recorded-event.ts'

/** With the place of the commit that brought it here: right where the place is not looked at. */
export function recordedHere(
  store: EventStore,
  event: StoredEvent,
  labels?: Labels
): RecordedEvent {
  const { id } = present(store.logs()[event.log], 'a known log').tip.origin
  return recordedEvent(event, { log: id, at: event, isOwn: id === store.ownLog.id, labels })
}

/** With the place at which a feed met it. */
export function recordedAt(
  store: EventStore,
  row: Omit<FeedRow, 'lc'>,
  labels?: Labels
): RecordedEvent {
  const { event, log } = row
  return recordedEvent(event, { log, at: row, isOwn: log === store.ownLog.id, labels })
}

/**
 * With the place of the commit that was recorded first, whichever came here first: so every node
 * gives the same answer.
 */
export async function recordedFirst(
  store: EventStore,
  event: StoredEvent,
  labels?: Labels
): Promise<RecordedEvent> {
  return recordedAt(store, await firstPlace(store, event), labels)
}

/**
 * When the first commit that holds an event was recorded, on whichever node.
 *
 * @param isMeant of the places that are looked at, of which there is one; default all
 */
export async function firstRecorded(
  store: EventStore,
  event: StoredEvent,
  isMeant?: (place: Occurrence) => boolean
): Promise<Stamp> {
  return (await firstPlace(store, event, isMeant)).recorded
}

async function firstPlace(
  store: EventStore,
  event: StoredEvent,
  isMeant: (place: Occurrence) => boolean = () => true
): Promise<Omit<FeedRow, 'lc'>> {
  if (!event.repeated) {
    const { id } = present(store.logs()[event.log], 'a known log').tip.origin
    return { event, log: id, seq: event.seq, recorded: event.recorded }
  }
  let first: Omit<FeedRow, 'lc'> | undefined
  for (const place of (await store.occurrences(event)).filter(isMeant)) {
    const log = present(store.logs()[place.log], 'a known log')
    const [commit] = await store.commits(log, place.seq - 1, 1)
    const { recorded } = present(commit, 'an occurrence is in a commit')
    const row = { event, log: log.tip.origin.id, seq: place.seq, recorded }
    if (first === undefined || isEarlier(row, first)) first = row
  }
  return present(first, 'a stored event stands somewhere')
}

function isEarlier(a: Omit<FeedRow, 'lc'>, b: Omit<FeedRow, 'lc'>): boolean {
  return a.recorded === b.recorded ? a.log < b.log : a.recorded < b.recorded
}
