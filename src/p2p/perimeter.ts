/**
 * The perimeter: who may connect at all. The network key goes into the prologue of the noise
 * handshake, so that the first encrypted message of a stranger does not verify and it sees no
 * multiplexer, no protocol and no database.
 *
 * Left out: it does not hide a node's public key from an active stranger, does not add to noise's
 * secrecy against somebody who learns the network key later, and cannot revoke one box.
 * `@libp2p/pnet` is not used: it costs twice the CPU per byte and 3.0.27 breaks under bulk streams.
 */

import { createHash } from 'node:crypto'
import { noise } from '@libp2p/noise'
import type { ConnectionEncrypter, MessageStream } from '@libp2p/interface'
import { assert } from '../core/assert.ts'
import { toHex } from '../core/bytes.ts'
import type { Clock, Millis } from '../core/clock.ts'
import { REFUSED_ADDRESSES_MAX, REFUSED_MIN, REFUSED_SHOWN_MS } from './limits.ts'
import type { Log } from './log.ts'
import { reasonOf } from './log.ts'

const NETWORK_KEY_BYTES = 32
const PROLOGUE_DOMAIN = 'laterbase/noise-prologue/1\n'
const SERVICE_DOMAIN = 'laterbase/mdns-service/1\n'

type EncrypterComponents = Parameters<ReturnType<typeof noise>>[0]

export class Perimeter {
  readonly #networkKey: Uint8Array
  readonly #clock: Clock
  readonly #log: Log
  /** By host of the other side. */
  readonly #strangers = new Map<string, Stranger>()

  constructor(networkKey: Uint8Array, clock: Clock, log: Log) {
    assert(networkKey.length === NETWORK_KEY_BYTES, 'a network key has 32 bytes')
    this.#networkKey = networkKey
    this.#clock = clock
    this.#log = log
  }

  /** The mDNS service of this network, so that two networks on one LAN do not dial each other. */
  serviceTag(): string {
    return `_lb-${toHex(derive(SERVICE_DOMAIN, this.#networkKey).subarray(0, 8))}._udp.local`
  }

  /** Noise with the network key as prologue; remembers who failed. */
  encrypter(): (components: EncrypterComponents) => ConnectionEncrypter {
    return (components) => {
      const prologueBytes = derive(PROLOGUE_DOMAIN, this.#networkKey)
      const inner = noise({ prologueBytes })(components)
      return {
        protocol: inner.protocol,
        secureInbound: async (connection, options) => {
          try {
            const secured = await inner.secureInbound(connection, options)
            this.#strangers.delete(hostOf(connection))
            return secured
          } catch (error) {
            // The dialer is first to meet a message that does not verify, and hangs up: here that
            // looks like any other broken connection, such as the loser of two racing dials.
            if (options?.signal?.aborted !== true) this.#refuse(connection, error, false)
            throw error
          }
        },
        secureOutbound: async (connection, options) => {
          try {
            return await inner.secureOutbound(connection, options)
          } catch (error) {
            if (isForeignKey(error)) this.#refuse(connection, error, true)
            throw error
          }
        }
      }
    }
  }

  warnings(): readonly string[] {
    const now = this.#clock.monotonicMs()
    const shown: string[] = []
    for (const [host, stranger] of this.#strangers) {
      if (now - stranger.lastMs > REFUSED_SHOWN_MS) this.#strangers.delete(host)
      else if (isSure(stranger)) shown.push(describe(host, stranger))
    }
    return shown
  }

  #refuse(connection: MessageStream, error: unknown, certain: boolean): void {
    const host = hostOf(connection)
    const known = this.#strangers.get(host)
    const oldest = this.#strangers.keys().next()
    if (known === undefined && this.#strangers.size >= REFUSED_ADDRESSES_MAX && !oldest.done) {
      this.#strangers.delete(oldest.value)
    }
    const stranger = {
      refused: (known?.refused ?? 0) + 1,
      certain: certain || known?.certain === true,
      lastMs: this.#clock.monotonicMs()
    }
    this.#strangers.set(host, stranger)
    this.#log('debug', 'handshake failed', { host, reason: reasonOf(error) })
    // Once per host: a stranger on the LAN must not be able to fill the log.
    const wasSure = known !== undefined && isSure(known)
    if (isSure(stranger) && !wasSure) this.#log('warn', describe(host, stranger), { host })
  }
}

/** A host with which handshakes failed, and from which none succeeded since. */
interface Stranger {
  readonly refused: number
  /** A message did not verify, which only another network key explains. */
  readonly certain: boolean
  readonly lastMs: Millis
}

function isSure({ refused, certain }: Stranger): boolean {
  return certain || refused >= REFUSED_MIN
}

function describe(host: string, { refused }: Stranger): string {
  return `${refused} handshakes with ${host} failed: it has another network key, or none`
}

/** A domain-separated hash of the network key; the key itself goes nowhere. */
function derive(domain: string, networkKey: Uint8Array): Uint8Array {
  return createHash('sha256').update(domain).update(networkKey).digest()
}

function isForeignKey(error: unknown): boolean {
  return error instanceof Error && /handshake stage \d validation fail/.test(error.message)
}

/** The host of the other side; noise is handed the bare connection, which knows its address. */
function hostOf(connection: MessageStream): string {
  const address = 'remoteAddr' in connection ? String(connection.remoteAddr) : ''
  return /^\/(?:ip4|ip6|dns4|dns6|dns)\/([^/]+)/.exec(address)?.[1] ?? 'an unknown address'
}
