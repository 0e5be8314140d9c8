/**
 * Upcasters: functions of a program that turn the data of old events into the shape that is written now, so that
 * the functions of views see one shape. What is stored, and what reads and feeds give, stays as it was written.
 */

import type { Hasher } from '../core/clock.ts'
import { toHex } from '../core/bytes.ts'
import type { Json } from '../core/json.ts'
import { LaterbaseError } from '../errors.ts'

export interface Upcaster {
  /** Of the events that it takes. */
  readonly type: string
  /** The `schema` of those events; without one it takes those that name none. */
  readonly from?: string
  /** The `schema` that they have afterwards; another upcaster may go on from there. */
  readonly to: string
  /** Pure: what it answers follows from the data alone. */
  readonly data: (data: Json) => Json
}

/** What of an event an upcaster may change. */
export interface Upcastable {
  readonly type: string | undefined
  readonly schema: string | undefined
  readonly data: Json | undefined
}

export interface Upcast {
  readonly schema: string
  readonly data: Json
}

export class Upcasters {
  /** SHA-256 over all of them, their functions as text; undefined where there is none. */
  readonly hash: string | undefined
  readonly #byType = new Map<string, Map<string | undefined, Upcaster>>()

  /** @throws LATERBASE_OPTION_INVALID for two of one kind, and for those that go in a circle */
  constructor(upcasters: readonly Upcaster[], hasher: Hasher) {
    for (const upcaster of upcasters) this.#add(upcaster)
    for (const upcaster of upcasters) this.#checkEnd(upcaster)
    // Functions count as equal when their texts are, as those of views do.
    const texts = upcasters.map(({ type, from, to, data }) => {
      return JSON.stringify([type, from ?? null, to, String(data)])
    })
    this.hash =
      texts.length === 0 ? undefined : toHex(hasher.sha256(Buffer.from(texts.sort().join('\n'))))
  }

  /**
   * The newest shape of an event's data; undefined where it is that already.
   *
   * @throws what an upcaster throws
   */
  upcast({ type, schema, data }: Upcastable): Upcast | undefined {
    const versions = type === undefined ? undefined : this.#byType.get(type)
    if (versions === undefined || data === undefined) return undefined
    let newest: Upcast | undefined
    for (let step = versions.get(schema); step !== undefined; step = versions.get(step.to)) {
      const answered: Json | undefined = step.data(newest === undefined ? data : newest.data)
      if (answered === undefined) throw new Error(`${nameOf(step)} answers nothing`)
      newest = { schema: step.to, data: answered }
    }
    return newest
  }

  #add(upcaster: Upcaster): void {
    const { type, from, to, data } = upcaster
    const isNamed = [type, to, from ?? 'none'].every(
      (name) => typeof name === 'string' && name !== ''
    )
    if (!isNamed || typeof data !== 'function') {
      throw wrong('an upcaster is { type, from, to, data }, of which data is a function')
    }
    const versions = this.#byType.get(type) ?? new Map<string | undefined, Upcaster>()
    if (versions.has(from)) throw wrong(`there are two upcasters of ${nameOf(upcaster)}`)
    this.#byType.set(type, versions.set(from, upcaster))
  }

  #checkEnd(first: Upcaster): void {
    const versions = this.#byType.get(first.type)
    let next: Upcaster | undefined = first
    for (let steps = versions?.size ?? 0; next !== undefined; steps -= 1) {
      if (steps === 0) throw wrong(`upcasters of ${nameOf(first)} come to no end`)
      next = versions?.get(next.to)
    }
  }
}

function nameOf({ type, from }: Upcaster): string {
  return from === undefined ? type : `${type}, schema ${from}`
}

function wrong(message: string): LaterbaseError {
  return new LaterbaseError('LATERBASE_OPTION_INVALID', `upcasters: ${message}`)
}
