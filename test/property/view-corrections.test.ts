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
  const isOut = (each: Held): boolean => {
    const corrected = correctionOf(each)
    if (set.some((other) => correctionOf(other) === each.event.key)) return true
    if (corrected === undefined) return false
    const rivals = set.filter((other) => correctionOf(other) === corrected)
    const highest = rivals
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

/** As an engine keeps it: of what comes only the events around it are looked at again. */
class Kept {
  readonly #events = new Map<string, Held>()
  readonly #counting = new Set<string>()

  take(each: Held): void {
    this.#events.set(each.id, each)
    const corrected = correctedKey(each.event)
    for (const other of [each, ...this.#of(corrected), ...this.#correctionsOf(corrected)]) {
      if (this.#counts(other)) this.#counting.add(other.id)
      else this.#counting.delete(other.id)
    }
  }

  counting(): string[] {
    return [...this.#counting].sort()
  }

  #counts({ event, place }: Held): boolean {
    const isCorrected = this.#correctionsOf(parseEventKey(event.key)).length > 0
    const rivals = this.#correctionsOf(correctedKey(event)).map((each) => each.place)
    return isEffective(event, place, { isCorrected, rivals })
  }

  #of(key: Uint8Array | undefined): Held[] {
    if (key === undefined) return []
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
