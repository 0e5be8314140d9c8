/** Which events count where what is effective is asked for: a law of the set, not of the way to it. */

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'

import { eventKey, formatEventKey, parseEventKey } from '../../src/core/event-key.ts'
import { systemHasher } from '../../src/node/system.ts'
import { correctedKey, isEffective, isRetraction } from '../../src/views/corrections.ts'
import type { ViewEvent } from '../../src/views/program.ts'
import { viewEvent } from '../../src/views/view-event.ts'

interface Held {
  readonly event: ViewEvent
  readonly place: Buffer
  /** Key and hash, comparable as text. */
  readonly id: string
}

const KEYS = Array.from({ length: 6 }, (_, index) =>
  formatEventKey(eventKey(new Uint8Array(16).fill(index + 1)))
)

const texts = fc.constantFrom(...KEYS, ...KEYS.map((key) => key.toLowerCase()), 'none', '', KEYS[0])
const members = fc.record(
  { corrects: texts, data: fc.constantFrom(1, 2, 3, null), subject: fc.constantFrom('a', 'b') },
  { requiredKeys: ['data'] }
)

/** Events as they came, in any order, some of them twice, several contents of one key among them. */
const arrivals = fc.array(fc.tuple(fc.constantFrom(...KEYS), members).map(held), { maxLength: 14 })

function held([key, value]: [string, object]): Held {
  const bytes = Buffer.from(JSON.stringify(value))
  const keyBytes = parseEventKey(key) ?? eventKey(new Uint8Array(16))
  const place = Buffer.concat([keyBytes, systemHasher.sha256(bytes)])
  return { event: viewEvent(keyBytes, bytes), place, id: place.toString('hex') }
}

/** The specification, word by word, over a whole set. */
function effectiveOf(set: readonly Held[]): string[] {
  const correctionOf = ({ event }: Held): string | undefined => {
    const named = KEYS.find((key) => key === event.corrects?.toUpperCase())
    return named === event.key ? undefined : named
  }
  const rivalsOf = (key: string): Held[] => set.filter((other) => correctionOf(other) === key)
  const passedOver = new Set<Held>()
  for (let before = -1; before < passedOver.size;) {
    before = passedOver.size
    for (const each of set) {
      const corrected = correctionOf(each)
      if (corrected === undefined) continue
      const isLower = rivalsOf(corrected).some(({ event }) => event.key > each.event.key)
      const isOfOne = [...passedOver].some(({ event }) => event.key === corrected)
      if (isLower || isOfOne) passedOver.add(each)
    }
  }
  const isOut = (each: Held): boolean => {
    const corrected = correctionOf(each)
    if (rivalsOf(each.event.key).length > 0 || passedOver.has(each)) return true
    if (corrected === undefined) return false
    const highest = rivalsOf(corrected)
      .map(({ id }) => id)
      .sort()
      .at(-1)
    return each.event.data === null || each.id !== highest
  }
  return set
    .filter((each) => !isOut(each))
    .map(({ id }) => id)
    .sort()
}

/** Each decided from what is around it. */
class Kept {
  readonly #events = new Map<string, Held>()

  take(each: Held): void {
    this.#events.set(each.id, each)
  }

  counting(): string[] {
    const those = [...this.#events.values()].filter((each) => this.#counts(each))
    return those.map(({ id }) => id).sort()
  }

  #counts(each: Held): boolean {
    const { event, place } = each
    const isCorrected = this.#correctionsOf(parseEventKey(event.key)).length > 0
    const rivals = this.#correctionsOf(correctedKey(event)).map((rival) => rival.place)
    const isPassedOver = this.#isPassedOver(each, new Set())
    return isEffective(event, place, { isCorrected, rivals, isPassedOver })
  }

  /** Up along what it corrects, to one that lost. */
  #isPassedOver(each: Held, seen: Set<Held>): boolean {
    const corrected = correctedKey(each.event)
    if (corrected === undefined || seen.has(each)) return false
    seen.add(each)
    const rivals = this.#correctionsOf(corrected)
    if (rivals.some(({ event }) => event.key > each.event.key)) return true
    return this.#of(corrected).some((parent) => this.#isPassedOver(parent, seen))
  }

  #of(key: Uint8Array): Held[] {
    return [...this.#events.values()].filter(({ place }) => place.subarray(0, 16).equals(key))
  }

  #correctionsOf(key: Uint8Array | undefined): Held[] {
    if (key === undefined) return []
    return [...this.#events.values()].filter(({ event }) => {
      const corrected = correctedKey(event)
      return corrected !== undefined && Buffer.from(corrected).equals(key)
    })
  }
}

function keptOf(events: readonly Held[]): string[] {
  const kept = new Kept()
  for (const each of events) kept.take(each)
  return kept.counting()
}

describe('the events that count', () => {
  test('are those that the specification says, in whatever order they came and however often', () => {
    fc.assert(
      fc.property(arrivals, (events) => {
        const kept = new Kept()
        const set = new Map<string, Held>()
        for (const each of events) {
          kept.take(each)
          set.set(each.id, each)
          expect(kept.counting()).toEqual(effectiveOf([...set.values()]))
        }
      }),
      { numRuns: 500 }
    )
  })

  test('are one at the most of an event, all that correct it, and all that correct those', () => {
    fc.assert(
      fc.property(arrivals, fc.constantFrom(...KEYS), (events, root) => {
        // One content of each key, so that each corrects one other.
        const set = [...new Map(events.map((each) => [each.event.key, each])).values()]
        const line = new Set([root])
        for (const key of line) {
          for (const { event } of set) {
            const corrected = correctedKey(event)
            if (corrected && formatEventKey(corrected) === key) line.add(event.key)
          }
        }
        const counting = new Set(keptOf(set))
        const left = set.filter(({ id, event }) => counting.has(id) && line.has(event.key))
        expect(left.length).toBeLessThanOrEqual(1)
      }),
      { numRuns: 500 }
    )
  })

  test('of several that correct one event are none, or the highest', () => {
    fc.assert(
      fc.property(arrivals, fc.constantFrom(...KEYS), (events, key) => {
        const set = [...new Map(events.map((each) => [each.id, each])).values()]
        const counting = new Set(keptOf(set))
        const rivals = set.filter(({ event }) => {
          const corrected = correctedKey(event)
          return corrected !== undefined && formatEventKey(corrected) === key
        })
        const left = rivals.filter(({ id }) => counting.has(id))
        expect(left.length).toBeLessThanOrEqual(1)
        if (rivals.length > 0)
          expect(set.some((e) => e.event.key === key && counting.has(e.id))).toBe(false)
      })
    )
  })
})

describe('a correction', () => {
  const [a, b, c] = [KEYS[0] ?? '', KEYS[1] ?? '', KEYS[2] ?? '']
  const count = (...events: [string, object][]): string[] =>
    keptOf(events.map(held)).map((id) => {
      return formatEventKey(eventKey(Buffer.from(id, 'hex').subarray(0, 16)))
    })

  test('stands in place of what it corrects, of a chain the last one, of a circle none', () => {
    expect(count([a, { data: 1 }], [b, { corrects: a, data: 2 }])).toEqual([b])
    expect(
      count([a, { data: 1 }], [b, { corrects: a, data: 2 }], [c, { corrects: b, data: 3 }])
    ).toEqual([c])
    expect(count([a, { corrects: b, data: 1 }], [b, { corrects: a, data: 2 }])).toEqual([])
  })

  test('of one that lost counts for nothing, whenever it comes: there is one in place of an event', () => {
    const two: [string, object][] = [
      [a, { data: 1 }],
      [b, { corrects: a, data: 2 }],
      [c, { corrects: a, data: 3 }]
    ]
    expect(count(...two)).toEqual([c])
    const [d, e] = [KEYS[3] ?? '', KEYS[4] ?? '']
    const late: [string, object] = [d, { corrects: b, data: 4 }]
    expect(count(...two, late)).toEqual([c])
    expect(count(late, ...two)).toEqual([c])
    expect(count(...two, late, [e, { corrects: d, data: 5 }])).toEqual([c])
    expect(count(...two, late, [e, { corrects: c, data: 5 }])).toEqual([e])
  })

  test('without data takes an event back, until it is corrected itself', () => {
    const taken: [string, object][] = [
      [a, { data: 1 }],
      [b, { corrects: a, data: null }]
    ]
    expect(count(...taken)).toEqual([])
    expect(count(...taken, [c, { corrects: b, data: 1 }])).toEqual([c])
    const { event } = held([b, { corrects: a, data: null }])
    expect(isRetraction(event)).toBe(true)
    // Null is what happened, where nothing is corrected.
    expect(isRetraction(held([b, { data: null }]).event)).toBe(false)
    expect(isRetraction(held([b, { corrects: b, data: null }]).event)).toBe(false)
    expect(isRetraction(held([b, { corrects: a, data_base64: '' }]).event)).toBe(false)
  })

  test('counts before what it corrects is there', () => {
    expect(count([b, { corrects: a, data: 2 }])).toEqual([b])
  })
})
