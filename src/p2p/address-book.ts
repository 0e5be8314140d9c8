/**
 * The members that this node has been connected to, and where: what it redials after a restart,
 * when nothing can be discovered. libp2p's peer store forgets all of it with the process.
 *
 * Only peers that passed the handshake get in, so it cannot be filled by strangers.
 */

import type { Clock, Timer } from '../core/clock.ts'
import { mergeAddresses } from './dial-policy.ts'
import { BOOK_ADDRESSES_MAX, BOOK_SAVE_MS, MEMBERS_MAX } from './limits.ts'
import type { Log } from './log.ts'
import { reasonOf } from './log.ts'

export interface AddressBookStore {
  /** Multiaddrs, each ending in /p2p/<peer id>. */
  load(): Promise<readonly string[]>
  save(addresses: readonly string[]): Promise<void>
}

export interface AddressBookInit {
  readonly store: AddressBookStore
  readonly clock: Clock
  readonly log: Log
}

export class AddressBook {
  readonly #init: AddressBookInit
  /** Addresses without the peer id; the peer met last comes last. */
  readonly #members = new Map<string, readonly string[]>()
  #saved = ''
  #saving: Promise<void> = Promise.resolve()
  #timer: Timer | undefined

  constructor(init: AddressBookInit) {
    this.#init = init
  }

  /** A book that cannot be read is an empty one: it is a convenience, peers are found otherwise. */
  async load(): Promise<void> {
    let lines: readonly string[] = []
    try {
      lines = await this.#init.store.load()
    } catch (error) {
      this.#init.log('warn', 'address book not read', { reason: reasonOf(error) })
    }
    // Saved with the latest first, so read from the end.
    for (const line of lines.slice(0, BOOK_ADDRESSES_MAX).toReversed()) {
      const match = /^(\/.+)\/p2p\/([1-9A-HJ-NP-Za-km-z]{40,64})$/.exec(line)
      const address = match?.[1]
      const peer = match?.[2]
      if (address !== undefined && peer !== undefined) this.#put(peer, [address])
    }
    this.#saved = this.#lines().join('\n')
  }

  /** Peers and their addresses, the one met last first. */
  members(): readonly (readonly [string, readonly string[]])[] {
    return [...this.#members].toReversed()
  }

  /** `peer` was met at `addresses`, the best first. */
  met(peer: string, addresses: readonly string[]): void {
    this.#put(peer, addresses)
    this.#timer ??= this.#init.clock.setTimer(BOOK_SAVE_MS, () => {
      this.#timer = undefined
      this.#save()
    })
  }

  /** Writes what is unsaved. */
  async close(): Promise<void> {
    this.#timer?.cancel()
    this.#timer = undefined
    this.#save()
    await this.#saving
  }

  #put(peer: string, addresses: readonly string[]): void {
    const merged = mergeAddresses(addresses, this.#members.get(peer) ?? [])
    this.#members.delete(peer)
    this.#members.set(peer, merged)
    const oldest = this.#members.keys().next()
    if (this.#members.size > MEMBERS_MAX && !oldest.done) this.#members.delete(oldest.value)
  }

  #lines(): readonly string[] {
    return this.members()
      .flatMap(([peer, addresses]) => addresses.map((address) => `${address}/p2p/${peer}`))
      .slice(0, BOOK_ADDRESSES_MAX)
  }

  #save(): void {
    const lines = this.#lines()
    const text = lines.join('\n')
    if (text === this.#saved) return
    this.#saved = text
    this.#saving = this.#saving
      .then(() => this.#init.store.save(lines))
      .catch((error: unknown) => {
        this.#init.log('warn', 'address book not saved', { reason: reasonOf(error) })
      })
  }
}
