/**
 * Which events a view counts: all, as they were recorded; or, of a view of effective events, those that
 * no other corrects.
 *
 * An event that is corrected is out, whatever becomes of its correction; of several that correct one event
 * the last in event order counts; a correction whose `data` is null retracts, and counts for nothing itself.
 * So an event that comes puts others out and none in: what is out stays out.
 */

import { compareBytes, toHex } from '../core/bytes.ts'
import { KEY_BYTES, eventKey, parseEventKey } from '../core/event-key.ts'
import type { EventKey } from '../core/event-key.ts'
import type { Stamp } from '../core/hybrid-logical-clock.ts'
import type { DerivedChange, DerivedReader } from '../store/derived-store.ts'
import { BUILD_BATCH } from './limits.ts'
import type { ViewProgram } from './program.ts'
import { TAG, boundsOf, tagged } from './records.ts'
import type { IndexChange, IndexedEvent } from './view-index.ts'
import type { SourceRange, ViewSource } from './view-source.ts'

export interface CountedRange extends SourceRange {
  /** Events recorded by then only. */
  readonly recordedBy?: Stamp | undefined
}

/** What a whole build is made of. */
export interface CountedEvents {
  readonly corrections: number
  /** To be written with it, in batches. */
  readonly records: readonly (readonly DerivedChange[])[]
  events(): AsyncIterable<readonly IndexedEvent[]>
}

export interface CountedChange {
  readonly change: IndexChange
  readonly records: readonly DerivedChange[]
  /** Corrections that had not been met before. */
  readonly more: number
}

export class EventsThatCount {
  readonly #isEffective: boolean
  readonly #source: ViewSource

  constructor(program: ViewProgram, source: ViewSource) {
    this.#isEffective = program.events === 'effective'
    this.#source = source
  }

  /** Of a view of effective events, after one walk over all of them to find what is corrected. */
  async all(signal?: AbortSignal, range: CountedRange = {}): Promise<CountedEvents> {
    const source = this.#source
    if (!this.#isEffective) {
      return { corrections: 0, records: [], events: () => recordedIn(source, range) }
    }
    const held: Correction[] = []
    for await (const events of recordedIn(source, range)) {
      signal?.throwIfAborted()
      held.push(...events.flatMap((event) => correctionOf(event) ?? []))
    }
    const known = new Corrections(held)
    const batches = Math.ceil(held.length / BUILD_BATCH)
    const records = Array.from({ length: batches }, (_, index) =>
      held.slice(index * BUILD_BATCH, (index + 1) * BUILD_BATCH).map(recordOf)
    )
    async function* events(): AsyncGenerator<readonly IndexedEvent[]> {
      for await (const chunk of recordedIn(source, range)) {
        yield chunk.filter((event) => known.counts(event))
      }
    }
    return { corrections: held.length, records, events }
  }

  /**
   * What comes and goes with these events.
   *
   * @param before the build's records, and how many corrections it has met
   */
  async among(
    events: readonly IndexedEvent[],
    { reader, corrections }: { readonly reader: DerivedReader; readonly corrections: number }
  ): Promise<CountedChange> {
    const fresh = this.#isEffective ? events.flatMap((event) => correctionOf(event) ?? []) : []
    const isCorrected = this.#isEffective && (corrections > 0 || fresh.length > 0)
    if (!isCorrected) return { change: { put: events, drop: [] }, records: [], more: 0 }
    const held = await heldCorrections(reader, [
      ...events.map(({ place }) => keyAt(place)),
      ...fresh.map(({ corrected }) => corrected)
    ])
    const known = new Corrections([...held, ...fresh])
    const gone = new Map<string, IndexedEvent>()
    const here = new Set(events.map(({ place }) => toHex(place)))
    for (const key of keysTouched(fresh, held)) {
      for (const event of await this.#source.eventsOf(key)) {
        const name = toHex(event.place)
        if (!here.has(name) && !known.counts(event)) gone.set(name, event)
      }
    }
    const isOut = (event: IndexedEvent): boolean => !known.counts(event)
    const drop = [...gone.values(), ...events.filter(isOut)]
    const names = new Set(held.map(nameOf))
    const more = fresh.filter((each) => !names.has(nameOf(each)))
    return {
      change: {
        put: events.filter((event) => known.counts(event)),
        drop: drop.sort((a, b) => compareBytes(a.place, b.place))
      },
      records: more.map(recordOf),
      more: more.length
    }
  }
}

/** Everything of a range, of those recorded by then. */
async function* recordedIn(
  source: ViewSource,
  { recordedBy, ...range }: CountedRange
): AsyncGenerator<readonly IndexedEvent[]> {
  for await (const events of source.scan(range)) {
    if (recordedBy === undefined) yield events
    else yield events.filter(({ recorded }) => recorded <= recordedBy)
  }
}

interface Correction {
  readonly corrected: EventKey
  readonly place: Uint8Array
}

/** An event that corrects another, if it does: one cannot correct itself. */
function correctionOf(event: IndexedEvent): Correction | undefined {
  const text = mayCorrect(event.bytes) ? event.event.corrects : undefined
  const corrected = text === undefined ? undefined : parseEventKey(text)
  if (corrected === undefined || compareBytes(corrected, keyAt(event.place)) === 0) return undefined
  return { corrected, place: event.place }
}

/** Spares most events to be parsed. */
function mayCorrect({ buffer, byteOffset, length }: Uint8Array): boolean {
  return Buffer.from(buffer, byteOffset, length).includes('"corrects"')
}

class Corrections {
  /** By corrected key, the place of the last event that corrects it. */
  readonly #last = new Map<string, Uint8Array>()

  constructor(corrections: readonly Correction[]) {
    for (const { corrected, place } of corrections) {
      const name = toHex(corrected)
      const last = this.#last.get(name)
      if (last === undefined || compareBytes(place, last) > 0) this.#last.set(name, place)
    }
  }

  counts(event: IndexedEvent): boolean {
    if (this.#last.has(toHex(keyAt(event.place)))) return false
    const correction = correctionOf(event)
    if (correction === undefined) return true
    if (event.event.data === null) return false
    const last = this.#last.get(toHex(correction.corrected))
    return last === undefined || compareBytes(event.place, last) >= 0
  }
}

/** Keys whose events may be out now: what is corrected, and what had corrected it before. */
function keysTouched(fresh: readonly Correction[], held: readonly Correction[]): EventKey[] {
  const corrected = new Set(fresh.map((each) => toHex(each.corrected)))
  const rivals = held.filter((each) => corrected.has(toHex(each.corrected)))
  const keys = [...fresh.map((each) => each.corrected), ...rivals.map(({ place }) => keyAt(place))]
  return [...new Map(keys.map((key) => [toHex(key), key])).values()]
}

async function heldCorrections(
  reader: DerivedReader,
  keys: readonly EventKey[]
): Promise<Correction[]> {
  const corrections: Correction[] = []
  for (const key of new Map(keys.map((each) => [toHex(each), each])).values()) {
    for (const record of await reader.scan(boundsOf(TAG.correction, key))) {
      corrections.push({ corrected: key, place: record.key.slice(1 + KEY_BYTES) })
    }
  }
  return corrections
}

function recordOf({ corrected, place }: Correction): DerivedChange {
  return { key: tagged(TAG.correction, corrected, place), value: new Uint8Array(0) }
}

function nameOf({ corrected, place }: Correction): string {
  return `${toHex(corrected)} ${toHex(place)}`
}

function keyAt(place: Uint8Array): EventKey {
  return eventKey(place.subarray(0, KEY_BYTES))
}
