/**
 * Which events a view counts: all, as they were recorded; or, of a view of effective events, those that
 * no other corrects (the rule is in `corrections.ts`). By it an event that comes puts others out and none in: what
 * is out stays out.
 */

import { compareBytes, toHex } from '../core/bytes.ts'
import { KEY_BYTES } from '../core/event-key.ts'
import type { EventKey } from '../core/event-key.ts'
import type { Stamp } from '../core/hybrid-logical-clock.ts'
import type { DerivedChange, DerivedReader } from '../store/derived-store.ts'
import { CorrectionGraph, correctionOf, distinct, keyAt } from './correction-graph.ts'
import type { Correction } from './correction-graph.ts'
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
    const known = new CorrectionGraph()
    const held: Correction[] = []
    for await (const events of recordedIn(source, range)) {
      signal?.throwIfAborted()
      held.push(...events.flatMap((event) => correctionOf(event) ?? []))
    }
    for (const correction of held) known.add(correction)
    await known.passOver(held)
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
    const known = new CorrectionGraph()
    const load = async (key: EventKey): Promise<void> => {
      for (const each of await heldCorrections(reader, key)) known.add(each)
    }
    const corrected = distinct(fresh.map((each) => each.corrected))
    for (const key of distinct([...events.map(({ place }) => keyAt(place)), ...corrected])) {
      await load(key)
    }
    const rivals = corrected.flatMap((key) => known.of(key)).map(({ place }) => keyAt(place))
    const more = fresh.filter((each) => known.add(each))
    const passed = await known.passOver(more, await this.#belowPassed(more, reader), load)
    const ends = passed.map(({ place }) => keyAt(place)).filter((key) => known.of(key).length === 0)
    const gone = new Map<string, IndexedEvent>()
    const here = new Set(events.map(({ place }) => toHex(place)))
    for (const key of distinct([...corrected, ...rivals, ...ends])) {
      for (const event of await this.#source.eventsOf(key)) {
        const name = toHex(event.place)
        if (!here.has(name) && !known.counts(event)) gone.set(name, event)
      }
    }
    const isOut = (event: IndexedEvent): boolean => !known.counts(event)
    const drop = [...gone.values(), ...events.filter(isOut)].map((each): DroppedEvent => {
      const { place, recorded, event, bytes } = each
      return { place, recorded, event, bytes, by: known.putOut(each) }
    })
    return {
      change: {
        put: events.filter((event) => known.counts(event)),
        drop: drop.sort((a, b) => compareBytes(a.place, b.place))
      },
      records: [...new Set([...more, ...passed])].map(recordOf),
      more: more.length
    }
  }

  /** Of corrections that have come, those that correct what was passed over before. */
  async #belowPassed(come: readonly Correction[], reader: DerivedReader): Promise<Correction[]> {
    const below: Correction[] = []
    for (const each of come) {
      for (const event of await this.#source.eventsOf(each.corrected)) {
        const parent = correctionOf(event)
        const record = parent && (await reader.get(recordOf(parent).key))
        if (record !== undefined && isPassedBy(record)) below.push(each)
      }
    }
    return below
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

function freshCorrection(event: IndexedEvent): Correction[] {
  const correction = correctionOf(event)
  return correction === undefined ? [] : [{ ...correction, event }]
}

async function heldCorrections(reader: DerivedReader, corrected: EventKey): Promise<Correction[]> {
  const records = await reader.scan(boundsOf(TAG.correction, corrected))
  return records.map(({ key, value }) => {
    return { corrected, place: key.slice(1 + KEY_BYTES), isPassedOver: isPassedBy(value) }
  })
}

function recordOf({ corrected, place, isPassedOver }: Correction): DerivedChange {
  const value = isPassedOver ? PASSED_OVER : new Uint8Array(0)
  return { key: tagged(TAG.correction, corrected, place), value }
}

const PASSED_OVER = Uint8Array.of(1)

function isPassedBy(value: Uint8Array): boolean {
  return value.length > 0
}
