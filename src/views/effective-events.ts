/**
 * Which events a view counts: all, as they were recorded; or, of a view of effective events, those that
 * no other corrects (the rule is in `corrections.ts`). By it an event that comes puts others out and none in: what
 * is out stays out.
 */

import { compareBytes, equalBytes, toHex } from '../core/bytes.ts'
import { KEY_BYTES, eventKey } from '../core/event-key.ts'
import type { EventKey } from '../core/event-key.ts'
import type { Stamp } from '../core/hybrid-logical-clock.ts'
import type { DerivedChange, DerivedReader } from '../store/derived-store.ts'
import { correctedKey, isEffective } from './corrections.ts'
import { BUILD_BATCH } from './limits.ts'
import type { ViewProgram } from './program.ts'
import { TAG, boundsOf, tagged } from './records.ts'
import type { DroppedEvent, IndexChange, IndexedEvent } from './view-index.ts'
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
    const fresh = this.#isEffective ? events.flatMap(freshCorrection) : []
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
    const drop = [...gone.values(), ...events.filter(isOut)].map((event): DroppedEvent => {
      return { ...event, by: known.putOut(event) }
    })
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
  /** Of one that has just come. */
  readonly event?: IndexedEvent
}

/** An event that corrects another, if it does. */
function correctionOf(event: IndexedEvent): Correction | undefined {
  const corrected = mayCorrect(event.bytes) ? correctedKey(event.event) : undefined
  return corrected && { corrected, place: event.place }
}

function freshCorrection(event: IndexedEvent): Correction[] {
  const correction = correctionOf(event)
  return correction === undefined ? [] : [{ ...correction, event }]
}

/** Spares most events to be parsed: without the name of the member, or an escape that may hide it. */
function mayCorrect({ buffer, byteOffset, length }: Uint8Array): boolean {
  const bytes = Buffer.from(buffer, byteOffset, length)
  return bytes.includes('"corrects"') || bytes.includes('\\u')
}

class Corrections {
  /** By corrected key, the last event that corrects it. */
  readonly #last = new Map<string, Correction>()

  constructor(corrections: readonly Correction[]) {
    for (const correction of corrections) {
      const name = toHex(correction.corrected)
      const last = this.#last.get(name)
      const isLater = last === undefined || compareBytes(correction.place, last.place) > 0
      // What has just come may be there already, as a place alone.
      const isSame = last !== undefined && equalBytes(correction.place, last.place)
      if (isLater || isSame) this.#last.set(name, correction)
    }
  }

  counts(event: IndexedEvent): boolean {
    const isCorrected = this.#last.has(toHex(keyAt(event.place)))
    const correction = correctionOf(event)
    if (correction === undefined) return !isCorrected
    const last = this.#last.get(toHex(correction.corrected))
    const rivals = last === undefined ? [] : [last.place]
    return isEffective(event.event, event.place, { isCorrected, rivals })
  }

  /** Of what has just come, the event that another is out for. */
  putOut(event: IndexedEvent): IndexedEvent | undefined {
    const correcting = this.#last.get(toHex(keyAt(event.place)))?.event
    if (correcting !== undefined) return correcting
    const correction = correctionOf(event)
    const last = correction && this.#last.get(toHex(correction.corrected))
    return last !== undefined && compareBytes(last.place, event.place) > 0 ? last.event : undefined
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
