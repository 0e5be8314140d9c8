/**
 * Corrections, and which of them are passed over (protocols/event/spec.md, section 5): as far as they are known.
 *
 * A correction that is passed over stays so, whatever comes: of those that correct one key the highest only gets
 * higher, and of a key of which one is passed over there will always be one. So each is looked at once when it
 * comes, and what follows from it once when it is passed over.
 */

import { compareBytes, toHex } from '../core/bytes.ts'
import { KEY_BYTES, eventKey } from '../core/event-key.ts'
import type { EventKey } from '../core/event-key.ts'
import { correctedKey, isEffective } from './corrections.ts'
import type { IndexedEvent } from './view-index.ts'

export interface Correction {
  readonly corrected: EventKey
  readonly place: Uint8Array
  /** Of one that has just come. */
  event?: IndexedEvent | undefined
  isPassedOver: boolean
  /** Of what has just come, the event that it is passed over for. */
  cause?: IndexedEvent | undefined
}

/** What corrects one key. */
interface Rivals {
  readonly all: Correction[]
  highest: Correction
}

export class CorrectionGraph {
  readonly #rivals = new Map<string, Rivals>()
  readonly #byPlace = new Map<string, Correction>()

  /** Of one that is known already, what has just come is taken. Resolves to whether it was not. */
  add(correction: Correction): boolean {
    const name = toHex(correction.place)
    const known = this.#byPlace.get(name)
    if (known !== undefined) {
      known.event ??= correction.event
      return false
    }
    this.#byPlace.set(name, correction)
    const key = toHex(correction.corrected)
    const rivals = this.#rivals.get(key)
    if (rivals === undefined) {
      this.#rivals.set(key, { all: [correction], highest: correction })
      return true
    }
    rivals.all.push(correction)
    if (compareBytes(correction.place, rivals.highest.place) > 0) rivals.highest = correction
    return true
  }

  /** Those that correct a key. */
  of(key: EventKey): readonly Correction[] {
    return this.#rivals.get(toHex(key))?.all ?? []
  }

  isPassedOver(event: IndexedEvent): boolean {
    return this.#byPlace.get(toHex(event.place))?.isPassedOver ?? false
  }

  counts(event: IndexedEvent): boolean {
    const isCorrected = this.#rivals.has(toHex(keyAt(event.place)))
    const correction = correctionOf(event)
    if (correction === undefined) return !isCorrected
    const highest = this.#highest(correction)
    const rivals = highest === undefined ? [] : [highest.place]
    const isPassedOver = this.isPassedOver(event)
    return isEffective(event.event, event.place, { isCorrected, rivals, isPassedOver })
  }

  /** Of what has just come, the event that another is out for. */
  putOut(event: IndexedEvent): IndexedEvent | undefined {
    const correcting = this.#rivals.get(toHex(keyAt(event.place)))?.highest.event
    if (correcting !== undefined) return correcting
    const correction = correctionOf(event)
    const highest = correction && this.#highest(correction)
    const isOut = highest !== undefined && compareBytes(highest.place, event.place) > 0
    const rival = isOut ? highest.event : undefined
    return rival ?? this.#byPlace.get(toHex(event.place))?.cause
  }

  /**
   * Passes over what has to be since these came, and what corrects that, and so on.
   *
   * @param below of these, those that correct what is passed over already
   * @param load makes known what corrects a key
   * @returns those that were not passed over before
   */
  async passOver(
    come: readonly Correction[],
    below: readonly Correction[] = [],
    load?: (key: EventKey) => Promise<void>
  ): Promise<readonly Correction[]> {
    const found: Correction[] = []
    const fresh = new Set(come)
    const pass = (correction: Correction, cause: IndexedEvent | undefined): void => {
      if (correction.isPassedOver) return
      correction.isPassedOver = true
      correction.cause = cause
      found.push(correction)
    }
    for (const key of distinct(come.map(({ corrected }) => corrected))) {
      const rivals = this.#rivals.get(toHex(key))
      for (const each of rivals?.all ?? []) {
        if (rivals === undefined || !hasLowerKey(each, rivals.highest)) continue
        pass(each, fresh.has(rivals.highest) ? rivals.highest.event : undefined)
      }
    }
    for (const each of below) pass(each, undefined)
    // It grows while it is gone through.
    for (const { place, cause, event } of found) {
      const key = keyAt(place)
      await load?.(key)
      for (const each of this.of(key)) pass(each, cause ?? event)
    }
    return found
  }

  #highest({ corrected }: Correction): Correction | undefined {
    return this.#rivals.get(toHex(corrected))?.highest
  }
}

/** An event that corrects another, if it does. */
export function correctionOf(event: IndexedEvent): Correction | undefined {
  const corrected = mayCorrect(event.bytes) ? correctedKey(event.event) : undefined
  return corrected && { corrected, place: event.place, isPassedOver: false }
}

export function keyAt(place: Uint8Array): EventKey {
  return eventKey(place.subarray(0, KEY_BYTES))
}

export function distinct(keys: readonly EventKey[]): readonly EventKey[] {
  return [...new Map(keys.map((key) => [toHex(key), key])).values()]
}

/** Spares most events to be parsed: without the name of the member, or an escape that may hide it. */
function mayCorrect({ buffer, byteOffset, length }: Uint8Array): boolean {
  const bytes = Buffer.from(buffer, byteOffset, length)
  return bytes.includes('"corrects"') || bytes.includes('\\u')
}

function hasLowerKey(one: Correction, other: Correction): boolean {
  return compareBytes(keyAt(one.place), keyAt(other.place)) < 0
}
