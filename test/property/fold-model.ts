/** Events of folds, and what a fold over them answers, from scratch: what an index must answer too. */

import fc from 'fast-check'

import { compareBytes, equalBytes, toHex } from '../../src/core/bytes.ts'
import { KEY_BYTES, eventKey } from '../../src/core/event-key.ts'
import type { Json } from '../../src/core/json.ts'
import { decodeViewKey, encodeViewKey } from '../../src/core/views/collation.ts'
import { systemHasher } from '../../src/node/system.ts'
import { canonicalJson } from '../../src/schema/canonical-json.ts'
import type { DerivedReader, DerivedRecord } from '../../src/store/derived-store.ts'
import { eventOf } from '../../src/views/fold-run.ts'
import { PLACE_BYTES } from '../../src/store/event-store.ts'
import type { IndexAnswer, IndexQuery, IndexedEvent } from '../../src/views/view-index.ts'
import type { Fault, FoldInput, FoldProgram } from '../../src/views/program.ts'
import { Selection } from '../../src/views/selection.ts'
import { viewEvent } from '../../src/views/view-event.ts'

/** @param tail of the key, so that events of one time stand in this order */
export function foldEvent(
  timeMs: number,
  tail: number,
  recorded: bigint,
  members: Readonly<Record<string, Json>>
): IndexedEvent {
  const text = canonicalJson(members)
  if (typeof text !== 'string') throw new Error(text.detail)
  const bytes = Buffer.from(text)
  const place = new Uint8Array(PLACE_BYTES)
  new DataView(place.buffer).setUint32(2, timeMs)
  place[KEY_BYTES - 1] = tail
  place.set(systemHasher.sha256(bytes).subarray(0, PLACE_BYTES - KEY_BYTES), KEY_BYTES)
  const event = viewEvent(eventKey(place.slice(0, KEY_BYTES)), bytes)
  return { place, recorded, event, bytes }
}

/** Few aggregates and times, several contents of one key. */
export function foldEvents(subjects: readonly string[]): fc.Arbitrary<IndexedEvent> {
  return fc
    .record({
      timeMs: fc.nat(12),
      tail: fc.nat(1),
      recorded: fc.nat(20),
      subject: fc.constantFrom(...subjects),
      data: fc.nat(11)
    })
    .map(({ timeMs, tail, recorded, subject, data }) => {
      return foldEvent(timeMs, tail, BigInt(recorded), { subject, data })
    })
}

export function indexQueries(): fc.Arbitrary<IndexQuery> {
  const bound = fc.option(
    fc.constantFrom<Json>(null, 7, 'a', 'b', 'bb', ['a'], ['a', 1], {}).map(encodeViewKey),
    { nil: undefined }
  )
  return fc.record({
    ranges: fc.array(fc.record({ from: bound, to: bound }), { minLength: 1, maxLength: 3 }),
    descending: fc.boolean(),
    skip: fc.nat(3),
    limit: fc.oneof(fc.nat(4), fc.constant(100)),
    reduce: fc.constant('rows'),
    before: fc.option(places(), { nil: undefined }),
    recordedBy: fc.option(fc.nat(21).map(BigInt), { nil: undefined }),
    causes: fc.constantFrom(0, 1, 3, 100)
  })
}

/** Everything that is held now. */
export const ALL: IndexQuery = {
  ranges: [{ from: undefined, to: undefined }],
  descending: false,
  skip: 0,
  limit: 1_000,
  reduce: 'rows',
  before: undefined,
  recordedBy: undefined,
  causes: 1_000
}

function places(): fc.Arbitrary<Uint8Array> {
  return fc.tuple(fc.nat(13), fc.nat(2), fc.nat(255)).map(([timeMs, tail, hash]) => {
    const place = new Uint8Array(PLACE_BYTES)
    new DataView(place.buffer).setUint32(2, timeMs)
    place[KEY_BYTES - 1] = tail
    place[KEY_BYTES] = hash
    return place
  })
}

/** From scratch, with nothing kept. */
export function foldAnswer(
  program: FoldProgram,
  events: readonly IndexedEvent[],
  query: IndexQuery
): IndexAnswer {
  const held = events.filter(({ place, recorded }) => {
    const isBefore = query.before === undefined || compareBytes(place, query.before) < 0
    return isBefore && (query.recordedBy === undefined || recorded <= query.recordedBy)
  })
  const aggregates = byAggregate(program, held)
  const keys = query.ranges.flatMap(({ from, to }) => {
    const within = aggregates.filter(({ key }) => {
      return (
        (from === undefined || compareBytes(key, from) >= 0) &&
        (to === undefined || compareBytes(key, to) < 0)
      )
    })
    return query.descending ? within.reverse() : within
  })
  let faults = 0
  const rows = keys.slice(query.skip, query.skip + query.limit).map(({ key, events }) => {
    const failed = new Set<IndexedEvent>()
    const result = program.result(foldText(program, events, (event) => failed.add(event)))
    if ('fault' in result) faults += 1
    const counting = events.filter((event) => !failed.has(event))
    const causes = query.causes === 0 ? [] : counting.slice(0, query.causes + 1)
    return {
      key: decodeViewKey(key).value,
      value: 'fault' in result ? null : result.value,
      place: undefined,
      fault: 'fault' in result ? result.fault : undefined,
      causes: causes.map(({ place }) => place)
    }
  })
  return { rows, totalRows: undefined, offset: undefined, faults }
}

/** What a loop over the events of each aggregate comes to, without those for which it throws; by key. */
export function plainFold(
  program: FoldProgram,
  events: readonly IndexedEvent[],
  fold: {
    readonly select?: (event: never) => unknown
    readonly initial: Json
    readonly apply: (state: never, input: never) => unknown
    readonly final?: (state: never) => unknown
  }
): [Json, Json][] {
  return byAggregate(program, events).map(({ key, events }) => {
    let state = fold.initial
    for (const event of events) {
      const { select = (given: unknown) => given } = fold
      const next = orNothing(() => {
        return fold.apply(structuredClone(state) as never, select(event.event as never) as never)
      })
      if (next !== undefined) state = next as Json
    }
    const { final } = fold
    const value = final === undefined ? state : orNothing(() => final(state as never))
    return [decodeViewKey(key).value, (value ?? null) as Json]
  })
}

function orNothing(make: () => unknown): unknown {
  try {
    return make()
  } catch {
    return undefined
  }
}

/** Where an event belongs, what `apply` gets of it and what a row keeps; or why not, undefined for nothing of it. */
function takenIn(
  program: FoldProgram,
  event: IndexedEvent
): { readonly key: Json; readonly input: FoldInput } | Fault | undefined {
  const given = eventOf(event)
  const [key] = program.keysOf([given])
  if (key === undefined || 'fault' in key) return key
  if (program.select === undefined) {
    return { key: key.value, input: eventOf(event) }
  }
  const [selected] = program.select([given])
  if (selected === undefined || 'fault' in selected) return selected
  const text = JSON.stringify(selected.value)
  return { key: key.value, input: new Selection(text) }
}

/** The events that a function fails for, by place, with what is said of them. */
export function foldFaults(program: FoldProgram, events: readonly IndexedEvent[]): string[] {
  const faults: string[] = []
  for (const event of events) {
    const taken = takenIn(program, event)
    if (taken !== undefined && 'fault' in taken) {
      faults.push(`${toHex(event.place)} ${taken.fault}`)
    }
  }
  for (const { events: own } of byAggregate(program, events)) {
    foldText(program, own, (event, fault) => faults.push(`${toHex(event.place)} ${fault}`))
  }
  return faults.sort()
}

function byAggregate(
  program: FoldProgram,
  events: readonly IndexedEvent[]
): { readonly key: Uint8Array; readonly events: IndexedEvent[] }[] {
  const aggregates: { readonly key: Uint8Array; readonly events: IndexedEvent[] }[] = []
  for (const event of events.toSorted((a, b) => compareBytes(a.place, b.place))) {
    const taken = takenIn(program, event)
    if (taken === undefined || 'fault' in taken) continue
    const key = encodeViewKey(taken.key)
    const found = aggregates.find((aggregate) => equalBytes(aggregate.key, key))
    if (found === undefined) aggregates.push({ key, events: [event] })
    else found.events.push(event)
  }
  return aggregates.sort((a, b) => compareBytes(a.key, b.key))
}

/** Event by event, each time from the text of the state: it does not matter where somebody stops. */
function foldText(
  program: FoldProgram,
  events: readonly IndexedEvent[],
  onFault?: (event: IndexedEvent, fault: string) => void
): string {
  let text = program.initial
  for (const event of events) {
    const taken = takenIn(program, event)
    if (taken === undefined || 'fault' in taken) continue
    const step = program.apply(text, [taken.input])
    for (const { fault } of step.faults) onFault?.(event, fault)
    text = step.state
  }
  return text
}

/** All records of a reader, for a comparison. */
export async function recordsOf(reader: DerivedReader): Promise<string[]> {
  const all = { from: Uint8Array.of(0), to: Uint8Array.of(255) }
  return (await reader.scan(all)).map(recordText)
}

function recordText({ key, value }: DerivedRecord): string {
  return `${toHex(key)} ${Buffer.from(value).toString('latin1')}`
}
