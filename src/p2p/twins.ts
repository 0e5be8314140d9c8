/**
 * Boxes that have one identity, in words for a person: those that are connected here, and those that
 * mDNS hears under our own. A disk was copied, and both boxes run.
 */

import type { Clock, Millis } from '../core/clock.ts'
import { isLoopback } from './dial-policy.ts'
import { TWINS_MAX, TWIN_SHOWN_MS } from './limits.ts'
import type { Log } from './log.ts'

export interface TwinsInit {
  readonly self: string
  readonly clock: Clock
  readonly log: Log
  /** Identities that several connected processes have, with where each of them is. */
  readonly connected: () => readonly {
    readonly peer: string
    readonly addresses: readonly string[]
  }[]
}

export class Twins {
  readonly #init: TwinsInit
  /** Where our own identity was heard, and when last. Anybody can claim it, so it is bounded. */
  readonly #heardMs = new Map<string, Millis>()

  constructor(init: TwinsInit) {
    this.#init = init
  }

  /** mDNS heard our own identity at addresses. `own` are those at which we listen. */
  heardSelf(addresses: readonly string[], own: readonly string[]): void {
    // Everybody has a loopback address, and boxes of one make have the same port on it.
    const beyond = addresses.filter((each) => !isLoopback(each))
    const places = beyond.length > 0 ? beyond : addresses
    const [address] = places
    const isOurs = places.some((each) => own.some((ours) => ours.startsWith(`${each}/p2p/`)))
    if (address === undefined || isOurs) return
    const place = placeOf(address, true)
    const oldest = this.#heardMs.keys().next()
    if (!this.#heardMs.has(place)) {
      this.#init.log('warn', 'another box uses the identity of this one', { address })
      if (this.#heardMs.size >= TWINS_MAX && !oldest.done) this.#heardMs.delete(oldest.value)
    }
    this.#heardMs.set(place, this.#init.clock.monotonicMs())
  }

  warnings(): readonly string[] {
    const { self, clock, connected } = this.#init
    const shown = connected().map(({ peer, addresses }) => {
      const hosts = new Set(addresses.map((address) => placeOf(address, false)))
      const places = addresses.map((address) => placeOf(address, hosts.size < addresses.length))
      return `${count(places.length)} boxes use the identity ${peer}: ${list(places)}. ${REMEDY}`
    })
    for (const [place, heardMs] of this.#heardMs) {
      if (clock.monotonicMs() - heardMs > TWIN_SHOWN_MS) this.#heardMs.delete(place)
    }
    if (this.#heardMs.size > 0) {
      const places = [...this.#heardMs.keys()]
      shown.push(`another box uses the identity of this one, ${self}: ${list(places)}. ${REMEDY}`)
    }
    return shown
  }
}

const REMEDY =
  "One is probably a copy of the other's disk. Stop one of them, run `laterbase renew-identity` " +
  'there, and start it again'

/** The host of a multiaddr, and its port where hosts alone would not tell boxes apart. */
function placeOf(address: string, withPort: boolean): string {
  const match = /^\/[a-z0-9]+\/([^/]+)(?:\/tcp\/(\d+))?/.exec(address)
  const host = match?.[1] ?? address
  return withPort && match?.[2] !== undefined ? `${host}:${match[2]}` : host
}

function count(boxes: number): string {
  return boxes === 2 ? 'Two' : String(boxes)
}

function list(places: readonly string[]): string {
  return places.length < 2
    ? places.join('')
    : `${places.slice(0, -1).join(', ')} and ${places.at(-1)}`
}
