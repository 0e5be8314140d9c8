/**
 * Finding neighbours by mDNS. libp2p's component is run beside libp2p, not inside: its own `peer`
 * event fires on every answer, whereas libp2p tells of a peer once for ever; and what strangers on
 * the LAN claim does not get into the peer store, which has no bound.
 *
 * Limits of the component: IPv4, the default interface, private addresses. mDNS proves nothing:
 * whoever is found is dialed at a bounded rate and proves itself in the handshake.
 */

import type { Clock, Millis, Rng, Timer } from '../core/clock.ts'
import { backoff } from '../core/sync/schedule.ts'
import { isLanAddress, mergeAddresses } from './dial-policy.ts'
import type { MdnsBox } from './libp2p-node.ts'
import {
  MDNS_ALONE_MS,
  MDNS_ASK_MS_MIN,
  MDNS_EAGER_MS,
  MDNS_QUIET_MS,
  MDNS_SILENT_MS
} from './limits.ts'
import type { Log } from './log.ts'
import { reasonOf } from './log.ts'

export interface MdnsInit {
  readonly clock: Clock
  readonly rng: Rng
  readonly log: Log
  readonly serviceTag: string
  readonly found: (peer: string, addresses: readonly string[]) => void
  /** Whether nobody is connected. */
  readonly alone: () => boolean
}

/** What of the component's multicast socket is used; its package has no types for us. */
interface MulticastSocket {
  query(query: object, sent: (error?: Error | null) => void): void
  on(event: 'error' | 'warning', listener: (error: Error) => void): void
  on(event: 'query', listener: (packet: { questions?: { name?: string }[] }) => void): void
}

interface Startable {
  start(): Promise<void>
  stop(): Promise<void>
  readonly mdns?: MulticastSocket
}

export class Mdns {
  readonly #init: MdnsInit
  readonly #component: Startable
  #timer: Timer | undefined
  #running = false
  /** Queries since the last hurry. */
  #asked = 0
  #askedMs: Millis = Number.NEGATIVE_INFINITY
  #startedMs: Millis = 0
  #heard = false
  #fault: string | undefined
  #loggedFault: string | undefined

  constructor(box: MdnsBox, init: MdnsInit) {
    this.#init = init
    // The component's public class is not exported; these members of it are part of its life cycle.
    this.#component = box.component as unknown as Startable
    box.component.addEventListener('peer', ({ detail }) => {
      if (!this.#running) return
      const addresses = detail.multiaddrs.map(String).filter(isLanAddress)
      if (addresses.length > 0) init.found(detail.id.toString(), mergeAddresses(addresses, []))
    })
  }

  async start(): Promise<void> {
    if (this.#running) return
    this.#running = true
    this.#heard = false
    this.#fault = undefined
    this.#startedMs = this.#init.clock.monotonicMs()
    await this.#component.start()
    this.#listen()
    this.hurry()
  }

  /** Idempotent. */
  async stop(): Promise<void> {
    this.#running = false
    this.#timer?.cancel()
    await this.#component.stop()
  }

  /** Asks now, and often for a while: somebody was lost. */
  hurry(): void {
    if (!this.#running) return
    this.#asked = 0
    const sinceMs = this.#init.clock.monotonicMs() - this.#askedMs
    if (sinceMs >= MDNS_ASK_MS_MIN) this.#ask()
    else this.#askIn(MDNS_ASK_MS_MIN - sinceMs)
  }

  warnings(): readonly string[] {
    if (!this.#running) return []
    if (this.#fault !== undefined) return [`neighbours cannot be found by mDNS: ${this.#fault}`]
    const silentMs = this.#init.clock.monotonicMs() - this.#startedMs
    if (this.#heard || silentMs < MDNS_SILENT_MS) return []
    return ['neighbours cannot be found by mDNS: no multicast comes in, not even our own']
  }

  #listen(): void {
    const socket = this.#component.mdns
    const fault = (error: Error): void => this.#setFault(reasonOf(error))
    socket?.on('error', fault)
    // Warnings are also about other people's malformed packets; only our own socket's count.
    socket?.on('warning', (error) => {
      if ('syscall' in error) fault(error)
    })
    socket?.on('query', ({ questions }) => {
      if (questions?.some(({ name }) => name === this.#init.serviceTag) === true) this.#heard = true
    })
  }

  #ask(): void {
    if (!this.#running) return
    this.#asked += 1
    this.#askedMs = this.#init.clock.monotonicMs()
    const question = { questions: [{ name: this.#init.serviceTag, type: 'PTR' }] }
    this.#component.mdns?.query(question, (error) => {
      if (error) this.#setFault(reasonOf(error))
      else this.#fault = undefined
    })
    const mostMs = this.#init.alone() ? MDNS_ALONE_MS : MDNS_QUIET_MS
    this.#askIn(backoff(this.#asked - 1, MDNS_EAGER_MS, mostMs, this.#init.rng))
  }

  #askIn(waitMs: Millis): void {
    this.#timer?.cancel()
    this.#timer = this.#init.clock.setTimer(waitMs, () => this.#ask())
  }

  #setFault(fault: string): void {
    this.#fault = fault
    // A fault may come and go with every query; it is one fault.
    if (this.#loggedFault === fault) return
    this.#loggedFault = fault
    this.#init.log('warn', 'mDNS does not work', { reason: fault })
  }
}
