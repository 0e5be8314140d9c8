/** Which aggregate an event belongs to, by the bytes of its key. */

import { compareBytes } from '../core/bytes.ts'
import { encodeViewKey } from '../core/views/collation.ts'
import { faultOf } from './function-value.ts'
import type { Fault, Outcome } from './program.ts'
import { nameOfBytes } from './key-names.ts'

/** The bytes of a key, or what is wrong with it: it is too long, or nested too deep. */
export function aggregateBytes(outcome: Outcome): Uint8Array | Fault {
  if ('fault' in outcome) return outcome
  try {
    return encodeViewKey(outcome.value)
  } catch (error) {
    if (error instanceof RangeError) return faultOf(error)
    throw error
  }
}

export interface Group<E> {
  readonly aggregate: Uint8Array
  /** In the order in which they were given. */
  readonly events: E[]
}

/** In the order of their keys. */
export class Groups<E> {
  readonly #groups = new Map<string, Group<E>>()

  add(aggregate: Uint8Array, event: E): void {
    const name = nameOfBytes(aggregate)
    const group = this.#groups.get(name)
    if (group === undefined) this.#groups.set(name, { aggregate, events: [event] })
    else group.events.push(event)
  }

  inOrder(): Group<E>[] {
    return [...this.#groups.values()].sort((a, b) => compareBytes(a.aggregate, b.aggregate))
  }
}
