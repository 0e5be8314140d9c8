/**
 * Finding and keeping peers: which peers are known, where, and when each is dialed next. Members
 * and static peers are redialed for ever; libp2p itself would give up after a minute.
 *
 * Left out: how a dial is made and what a connection is; see `libp2p-transport.ts` and `links.ts`.
 */

import type { Clock, Millis, Rng, Timer } from '../core/clock.ts'
import { firstDialDelay, mergeAddresses, redialDelay } from './dial-policy.ts'
import {
  CONNECTIONS_DIALED_MAX,
  DIALS_AT_ONCE_MAX,
  DIAL_MS_MAX,
  DIAL_YOUNG_MS,
  FOUND_MAX,
  DIALS_OF_FOUND_MAX,
  FOUND_REDIAL_MS,
  MEMBERS_MAX,
  REDIAL_MS
} from './limits.ts'
import { deadline } from './deadline.ts'
import type { Log } from './log.ts'
import { reasonOf } from './log.ts'

export interface MembershipInit {
  readonly self: string
  readonly clock: Clock
  readonly rng: Rng
  readonly log: Log
  /** Multiaddrs given by a person, with or without a peer id. */
  readonly staticPeers: readonly string[]
  readonly isConnected: (peer: string) => boolean
  readonly connectedCount: () => number
  readonly refuses: (peer: string) => boolean
  /** Dials the addresses of one peer until one works; resolves with the peer's id. */
  readonly dial: (addresses: readonly string[], signal: AbortSignal) => Promise<string>
}

/**
 * Somebody to be connected to. Its key is the peer id; or the address that a person gave without
 * one, as whoever listens there is meant: the box behind it may be replaced.
 */
interface Contact {
  /** Who was met last. The dial of an address without peer id takes anybody. */
  peer: string | undefined
  /** Without peer id; the latest first. */
  addresses: readonly string[]
  /** What a person gave: dialed first, and never forgotten. */
  readonly fixed: string | undefined
  /** It was connected once, or is static: never forgotten but for lack of room. */
  member: boolean
  failures: number
  failure: string | undefined
  lastDialMs: Millis
  /** Undefined while it is not to be dialed. */
  nextDialMs: Millis | undefined
  dialing: { readonly sinceMs: Millis; readonly stop: AbortController } | undefined
}

export class Membership {
  readonly #init: MembershipInit
  readonly #contacts = new Map<string, Contact>()
  #found = 0
  #dials = 0
  #timer: Timer | undefined
  #paused = true

  constructor(init: MembershipInit) {
    this.#init = init
    for (const address of init.staticPeers) {
      const peer = peerOf(address)
      if (peer !== init.self) this.#contacts.set(peer ?? address, fixedContact(address, peer))
    }
  }

  /** A member of the address book. */
  remember(peer: string, addresses: readonly string[]): void {
    if (peer === this.#init.self) return
    const contact = this.#contacts.get(peer) ?? this.#add(peer, true)
    if (contact !== undefined) contact.addresses = mergeAddresses(contact.addresses, addresses)
  }

  /** Begins to dial, or goes on: everybody soon. Safe when running. */
  resume(): void {
    if (!this.#paused) return
    this.#paused = false
    for (const contact of this.#contacts.values()) {
      contact.failures = 0
      // No grace: the others do not know that we are back.
      const delayMs = this.#init.rng.fraction() * REDIAL_MS
      if (!this.#isConnected(contact)) this.#dialIn(contact, delayMs)
    }
    this.#schedule()
  }

  /** Stops dialing; dials under way are given up. Idempotent. */
  pause(): void {
    this.#paused = true
    this.#timer?.cancel()
    for (const { dialing } of this.#contacts.values()) dialing?.stop.abort(new Error('offline'))
  }

  /** mDNS heard `peer` at `addresses`: a claim, and if true a sign that it can be reached now. */
  found(peer: string, addresses: readonly string[]): void {
    if (peer === this.#init.self || this.#paused || this.#init.refuses(peer)) return
    const contact = this.#contacts.get(peer) ?? this.#add(peer, false)
    if (contact === undefined) return
    const moved = !addresses.every((address) => contact.addresses.includes(address))
    contact.addresses = mergeAddresses(addresses, contact.addresses)
    if (this.#isConnected(contact) || contact.dialing !== undefined) return
    if (moved) contact.failures = 0
    const sinceMs = this.#init.clock.monotonicMs() - contact.lastDialMs
    const pauseMs = (moved ? REDIAL_MS : FOUND_REDIAL_MS) - sinceMs
    const delayMs = contact.failures === 0 ? this.#firstDelay(contact) : 0
    this.#dialIn(contact, Math.max(delayMs, pauseMs), 'sooner')
    this.#schedule()
  }

  /** `peer` proved to be a member; `addresses` are where it said, or was seen, to listen. */
  met(peer: string, addresses: readonly string[]): void {
    const contact = this.#contacts.get(peer) ?? this.#add(peer, true)
    if (contact === undefined) return
    if (!contact.member) this.#found -= 1
    contact.member = true
    contact.nextDialMs = undefined
    contact.addresses = mergeAddresses(addresses, contact.addresses)
  }

  /** The link to `peer` is up. Not before: who refuses us after the handshake is to be left alone. */
  connected(peer: string): void {
    for (const contact of this.#contacts.values()) {
      if (contact.peer !== peer) continue
      contact.failures = 0
      contact.failure = undefined
    }
  }

  /** The last connection to `peer` has closed. */
  disconnected(peer: string, wasUp: boolean): void {
    for (const contact of this.#contacts.values()) {
      // Who is cut off was postponed already.
      if (contact.peer !== peer || this.#paused || this.#init.refuses(peer)) continue
      if (wasUp) this.#dialIn(contact, this.#firstDelay(contact))
      else this.#failed(contact, 'the connection was refused')
    }
    this.#schedule()
  }

  /** Not to be dialed for a while. */
  postpone(peer: string, forMs: Millis): void {
    for (const contact of this.#contacts.values()) {
      if (contact.peer !== peer) continue
      this.#dialIn(contact, forMs)
      contact.dialing?.stop.abort(new Error('cut off'))
    }
    this.#schedule()
  }

  /** Whether a dial of ours to `peer` has just begun, so that the peer's own is superfluous. */
  isDialingAnew(peer: string): boolean {
    const since = this.#contacts.get(peer)?.dialing?.sinceMs
    return since !== undefined && this.#init.clock.monotonicMs() - since < DIAL_YOUNG_MS
  }

  /** About static peers that cannot be reached. */
  warnings(): readonly string[] {
    if (this.#paused) return []
    return [...this.#contacts.values()].flatMap(({ fixed, peer, failures, failure }) => {
      const unreached = failures > 0 && (peer === undefined || !this.#init.isConnected(peer))
      return fixed === undefined || !unreached
        ? []
        : [`static peer ${fixed} cannot be reached: ${failure ?? 'unknown'}`]
    })
  }

  /** Undefined when there is no room: claims of strangers must not fill memory. */
  #add(peer: string, member: boolean): Contact | undefined {
    if (!member && this.#found >= FOUND_MAX && !this.#forgetWorst()) return undefined
    if (member) this.#forgetOldMember()
    else this.#found += 1
    const contact = { ...fixedContact('', peer), addresses: [], fixed: undefined, member }
    this.#contacts.set(peer, contact)
    return contact
  }

  /** Makes room by forgetting the stranger that was dialed in vain most often, if there is one. */
  #forgetWorst(): boolean {
    let worst: readonly [string, Contact] | undefined
    for (const entry of this.#contacts) {
      const [, { member, failures, dialing }] = entry
      if (member || failures === 0 || dialing !== undefined) continue
      if (worst === undefined || failures > worst[1].failures) worst = entry
    }
    if (worst === undefined) return false
    this.#contacts.delete(worst[0])
    this.#found -= 1
    return true
  }

  /** The book has the same bound: a member could make up identities without end. */
  #forgetOldMember(): void {
    if (this.#contacts.size - this.#found < MEMBERS_MAX) return
    for (const [key, contact] of this.#contacts) {
      const kept = !contact.member || contact.fixed !== undefined || contact.dialing !== undefined
      if (kept || this.#isConnected(contact)) continue
      this.#contacts.delete(key)
      return
    }
  }

  #firstDelay(contact: Contact): Millis {
    // A static peer need not know of us, so there is nobody to leave the dialing to.
    if (contact.peer === undefined || contact.fixed !== undefined) {
      return this.#init.rng.fraction() * REDIAL_MS
    }
    return firstDialDelay({ self: this.#init.self, peer: contact.peer }, this.#init.rng)
  }

  #isConnected(contact: Contact): boolean {
    return contact.peer !== undefined && this.#init.isConnected(contact.peer)
  }

  #dialIn(contact: Contact, delayMs: Millis, when: 'then' | 'sooner' = 'then'): void {
    const atMs = this.#init.clock.monotonicMs() + delayMs
    const sooner = when === 'sooner' && contact.nextDialMs !== undefined
    contact.nextDialMs = sooner ? Math.min(atMs, contact.nextDialMs ?? atMs) : atMs
  }

  /** Arms one timer for whoever is due first. */
  #schedule(): void {
    this.#timer?.cancel()
    if (this.#paused) return
    let firstMs = Number.POSITIVE_INFINITY
    for (const { nextDialMs, dialing } of this.#contacts.values()) {
      if (dialing === undefined && nextDialMs !== undefined) firstMs = Math.min(firstMs, nextDialMs)
    }
    // A dial that ends arms the timer again.
    if (!Number.isFinite(firstMs) || this.#dials >= DIALS_AT_ONCE_MAX) return
    const waitMs = Math.max(0, firstMs - this.#init.clock.monotonicMs())
    this.#timer = this.#init.clock.setTimer(waitMs, () => this.#dialDue())
  }

  #dialDue(): void {
    const now = this.#init.clock.monotonicMs()
    for (const [key, contact] of this.#contacts) {
      if (this.#dials >= DIALS_AT_ONCE_MAX) break
      const due = contact.nextDialMs !== undefined && contact.nextDialMs <= now
      if (!due || contact.dialing !== undefined) continue
      contact.nextDialMs = undefined
      if (this.#isConnected(contact) || contact.addresses.length === 0) continue
      if (this.#hasRoomFor(contact)) void this.#dial(key, contact)
      else this.#dialIn(contact, redialDelay(contact.failures, this.#init.rng))
    }
    this.#schedule()
  }

  #hasRoomFor({ fixed, member }: Contact): boolean {
    if (fixed !== undefined) return true
    if (this.#init.connectedCount() >= CONNECTIONS_DIALED_MAX) return false
    return member || this.#dials < DIALS_OF_FOUND_MAX
  }

  /** Never rejects. */
  async #dial(key: string, contact: Contact): Promise<void> {
    const stop = new AbortController()
    const limit = deadline(this.#init.clock, DIAL_MS_MAX, stop.signal)
    contact.dialing = { sinceMs: this.#init.clock.monotonicMs(), stop }
    contact.lastDialMs = contact.dialing.sinceMs
    this.#dials += 1
    try {
      const addresses = contact.addresses.map((address) =>
        contact.peer === undefined || key === contact.fixed
          ? address
          : `${address}/p2p/${contact.peer}`
      )
      this.#learnPeer(key, contact, await this.#init.dial(addresses, limit.signal))
    } catch (error) {
      if (!stop.signal.aborted && !this.#isConnected(contact)) {
        this.#failed(contact, reasonOf(error))
        // A person may well list every node of the site, this one included.
        if (/dial self/i.test(reasonOf(error))) this.#contacts.delete(key)
      }
    } finally {
      limit.clear()
      this.#dials -= 1
      contact.dialing = undefined
      this.#schedule()
    }
  }

  #learnPeer(key: string, contact: Contact, peer: string): void {
    if (peer === this.#init.self) this.#contacts.delete(key)
    else contact.peer = peer
  }

  #failed(contact: Contact, failure: string): void {
    contact.failures += 1
    contact.failure = failure
    this.#dialIn(contact, redialDelay(contact.failures - 1, this.#init.rng))
    const level = contact.fixed !== undefined && contact.failures === 1 ? 'warn' : 'debug'
    this.#init.log(level, 'dial failed', {
      peer: contact.peer ?? contact.fixed,
      failures: contact.failures,
      reason: failure
    })
  }
}

function fixedContact(address: string, peer: string | undefined): Contact {
  return {
    peer,
    addresses: [address.replace(/\/p2p\/[^/]+$/, '')],
    fixed: address,
    member: true,
    failures: 0,
    failure: undefined,
    lastDialMs: Number.NEGATIVE_INFINITY,
    nextDialMs: undefined,
    dialing: undefined
  }
}

/** The peer id that a multiaddr ends in. */
function peerOf(address: string): string | undefined {
  return /\/p2p\/([^/]+)$/.exec(address)?.[1]
}
