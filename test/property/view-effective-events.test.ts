/**
 * The events that count in a view of what is effective: in whatever order they come, however they are cut into
 * batches, those that the specification says of the whole set.
 */

import fc from 'fast-check'
import { expect, test } from 'vitest'

import { compareBytes } from '../../src/core/bytes.ts'
import { KEY_BYTES, eventKey } from '../../src/core/event-key.ts'
import type { EventKey } from '../../src/core/event-key.ts'
import { systemHasher } from '../../src/node/system.ts'
import { createMemoryDerivedStore } from '../../src/store/memory-derived-store.ts'
import { EventsThatCount } from '../../src/views/effective-events.ts'
import type { ViewProgram } from '../../src/views/program.ts'
import { viewEvent } from '../../src/views/view-event.ts'
import type { DroppedEvent, IndexedEvent } from '../../src/views/view-index.ts'
import type { SourceRange, ViewSource } from '../../src/views/view-source.ts'
import { placeText, planProgram } from './map-plans.ts'
import { SMALL_KEY_TEXTS } from './view-questions.ts'
import { countedOf, keyText, targetOf } from './view-scratch.ts'

const KEYS = SMALL_KEY_TEXTS.slice(0, 7)
const EFFECTIVE: ViewProgram = { ...planProgram(undefined), events: 'effective' }

/** As members may write it: in capitals or not, with an escape where none is needed, or no key at all. */
const corrects = fc
  .tuple(
    fc.constantFrom(...KEYS, ...KEYS.map((key) => key.toLowerCase()), 'none', ''),
    fc.constantFrom('corrects', 'corr\\u0065cts')
  )
  .map(([key, name]) => `"${name}":"${key}",`)
const texts = fc
  .tuple(fc.oneof(fc.constant(''), corrects), fc.constantFrom('1', '2', 'null', '{"corrects":1}'))
  .map(([correction, data]) => `{${correction}"data":${data}}`)
const events = fc
  .tuple(fc.nat(KEYS.length - 1), texts, fc.nat(3))
  .map(([key, text, recorded]) => plainEvent(key, text, recorded))
/** Batches in which an event may come that has come already. */
const arrivals = fc.array(fc.array(events, { minLength: 1, maxLength: 4 }), { maxLength: 10 })

function plainEvent(number: number, text: string, recorded: number): IndexedEvent {
  const key = new Uint8Array(KEY_BYTES)
  key[5] = number >> 2
  key[15] = number & 3
  const bytes = Buffer.from(text)
  const place = Buffer.concat([key, systemHasher.sha256(bytes).subarray(0, 8)])
  const event = viewEvent(eventKey(key), bytes)
  const shown = `${number}@${recorded} ${text}`
  return Object.assign(
    { place, recorded: BigInt(recorded), event, bytes },
    { [fc.toStringMethod]: () => shown }
  )
}

class HeldEvents {
  readonly byPlace = new Map<string, IndexedEvent>()
  readonly source: ViewSource

  constructor() {
    const scan = (range: SourceRange): AsyncIterable<readonly IndexedEvent[]> => this.#scan(range)
    const eventsOf = async (key: EventKey): Promise<readonly IndexedEvent[]> => {
      return this.all().filter(({ place }) => compareBytes(place.subarray(0, KEY_BYTES), key) === 0)
    }
    this.source = { scan, eventsOf } as unknown as ViewSource
  }

  all(): readonly IndexedEvent[] {
    return [...this.byPlace.values()].sort((a, b) => compareBytes(a.place, b.place))
  }

  add(each: IndexedEvent): void {
    this.byPlace.set(placeText(each), each)
  }

  async *#scan({ before }: SourceRange): AsyncGenerator<readonly IndexedEvent[]> {
    const those = this.all().filter(({ place }) => !before || compareBytes(place, before) < 0)
    for (let at = 0; at < those.length; at += 3) yield those.slice(at, at + 3)
  }
}

/** In event order, each once. */
function batchOf(those: readonly IndexedEvent[]): IndexedEvent[] {
  const distinct = new Map(those.map((each) => [placeText(each), each]))
  return [...distinct.values()].sort((a, b) => compareBytes(a.place, b.place))
}

test('are found from batches as they come, in any order, like from all of them', async () => {
  await fc.assert(
    fc.asyncProperty(arrivals, fc.boolean(), async (batches, isAhead) => {
      const held = new HeldEvents()
      // What is read by key may not have come in a batch yet.
      const source = new HeldEvents()
      if (isAhead) for (const each of batches.flat()) source.add(each)
      const store = createMemoryDerivedStore()
      const counting = new EventsThatCount(EFFECTIVE, source.source)
      const counted = new Map<string, IndexedEvent>()
      let corrections = 0
      for (const those of batches) {
        const batch = batchOf(those)
        for (const each of batch) {
          held.add(each)
          source.add(each)
        }
        const { change, records, more } = await counting.among(batch, {
          reader: store,
          corrections
        })
        await store.write(records)
        corrections += more
        const gone = change.drop.filter((each) => counted.has(placeText(each)))
        for (const each of change.drop) counted.delete(placeText(each))
        for (const each of change.put) counted.set(placeText(each), each)
        const names = [...change.put, ...change.drop].map(placeText)
        expect(new Set(names).size).toBe(names.length)
        expect(change.put).toEqual(batchOf(change.put))
        expect(change.drop.map(placeText)).toEqual(batchOf(change.drop).map(placeText))
        expect([...counted.keys()].sort()).toEqual(
          countedOf(held.all(), 'effective').map(placeText)
        )
        expect(corrections).toBe(held.all().filter((each) => targetOf(each) !== undefined).length)
        for (const each of gone) expectReason(each, batch, held.all())
      }
    }),
    { numRuns: 1_000 }
  )
})

/** What counted until now was put out by one of those that came. */
function expectReason(
  gone: DroppedEvent,
  batch: readonly IndexedEvent[],
  held: readonly IndexedEvent[]
): void {
  const { by } = gone
  expect(by && batch.map(placeText)).toContain(by && placeText(by))
  const target = by && targetOf(by)
  const isCorrected = target === gone.event.key
  const isRival = target === targetOf(gone) && by !== undefined
  const isHigher = isRival && compareBytes(by.place, gone.place) > 0
  const line = lineOf(gone, held)
  const isOfLine =
    by !== undefined && (line.has(keyText(by)) || (!isRival && line.has(target ?? '')))
  expect(isCorrected || isHigher || isOfLine).toBe(true)
}

/** The keys that an event corrects, that those correct, and so on. */
function lineOf(event: IndexedEvent, held: readonly IndexedEvent[]): ReadonlySet<string> {
  const line = new Set([targetOf(event) ?? ''])
  // It grows while it is gone through.
  for (const key of line) {
    for (const each of held) if (keyText(each) === key) line.add(targetOf(each) ?? '')
  }
  line.delete('')
  return line
}

test('are found in one go from all of them, of any past too', async () => {
  const past = fc.record({
    before: fc.option(fc.nat(12), { nil: undefined }),
    recordedBy: fc.option(
      fc.nat(3).map((stamp) => BigInt(stamp)),
      { nil: undefined }
    )
  })
  await fc.assert(
    fc.asyncProperty(fc.array(events, { maxLength: 25 }), past, async (those, asked) => {
      const held = new HeldEvents()
      for (const each of those) held.add(each)
      const before = asked.before === undefined ? undefined : new Uint8Array(24)
      if (before !== undefined) before[5] = asked.before ?? 0
      const { recordedBy } = asked
      const counting = new EventsThatCount(EFFECTIVE, held.source)
      const all = await counting.all(undefined, { before, recordedBy })
      const found: IndexedEvent[] = []
      for await (const chunk of all.events()) found.push(...chunk)
      const there = held
        .all()
        .filter(
          ({ place, recorded }) =>
            (before === undefined || compareBytes(place, before) < 0) &&
            (recordedBy === undefined || recorded <= recordedBy)
        )
      expect(found.map(placeText)).toEqual(countedOf(there, 'effective').map(placeText))
      const correcting = there.filter((each) => targetOf(each) !== undefined).length
      expect(all.corrections).toBe(correcting)
      expect(all.records.flat()).toHaveLength(correcting)
    }),
    { numRuns: 500 }
  )
})
