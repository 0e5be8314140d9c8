/**
 * Real transports over loopback for the tests of this folder: every test makes its own, on ports
 * that the system picks, and `await using` takes them down. The clock and chance are the real ones.
 */

import { setTimeout as systemTimeout } from 'node:timers'
import { systemClock, systemRng } from '../../src/node/system.ts'
import { createLibp2pTransport } from '../../src/p2p/libp2p-transport.ts'
import type { Libp2pTransportInit } from '../../src/p2p/libp2p-transport.ts'
import type { Libp2p } from '@libp2p/interface'
import { onTestFinished } from 'vitest'

import { startBareMember } from '../../scripts/hostile/members.ts'
import type { Transport, TransportHandlers } from '../../src/p2p/transport.ts'

export interface LogLine {
  readonly level: string
  readonly message: string
  readonly fields: Readonly<Record<string, unknown>>
}

/** What happened to a node, in order, and a way to wait for it. */
export class Peer implements AsyncDisposable {
  readonly transport: Transport
  readonly seen: string[] = []
  readonly lines: LogLine[] = []
  readonly book: string[][] = []
  readonly #handlers: Partial<TransportHandlers>
  readonly #waiters = new Set<() => void>()

  constructor(init: Partial<Libp2pTransportInit>, handlers: Partial<TransportHandlers> = {}) {
    this.#handlers = handlers
    this.transport = createLibp2pTransport({
      privateKey: systemRng.bytes(32),
      networkKey: NETWORK_KEY,
      listen: ['/ip4/127.0.0.1/tcp/0'],
      peers: [],
      mdns: false,
      gossip: true,
      addressBook: {
        load: async () => [],
        save: async (addresses) => void this.book.push([...addresses])
      },
      clock: systemClock,
      rng: systemRng,
      log: (level, message, fields = {}) => void this.lines.push({ level, message, fields }),
      ...init
    })
  }

  get id(): string {
    return this.transport.peerId
  }

  async start(): Promise<this> {
    await this.transport.start({
      peerConnected: (peer) => this.#saw(`connected ${peer}`),
      peerDisconnected: (peer) => this.#saw(`disconnected ${peer}`),
      peerSubscribed: (peer, database) => this.#saw(`subscribed ${peer} ${database}`),
      requested: async (_peer, frame) => frame,
      announced: async (peer, database, message) => {
        this.#saw(`announced ${peer} ${database} ${Buffer.from(message).toString()}`)
        return 'accept'
      },
      ...this.#handlers
    })
    return this
  }

  note(what: string): void {
    this.#saw(what)
  }

  /** The address that others on this machine can dial. */
  address(): string {
    const address = this.transport.addresses()[0]
    if (address === undefined) throw new Error('the transport listens nowhere')
    return address
  }

  count(what: string): number {
    return this.seen.filter((line) => line === what).length
  }

  /** Resolves once `what` was seen `times` in all. */
  async until(what: string, times = 1, withinMs = 20_000): Promise<void> {
    await this.untilTrue(() => this.count(what) >= times, `${times} × ${what}`, withinMs)
  }

  /** Resolves once `holds` does; looked at on every event, and now and then for what has none. */
  async untilTrue(holds: () => boolean, what: string, withinMs = 20_000): Promise<void> {
    const endMs = performance.now() + withinMs
    while (!holds()) {
      if (performance.now() > endMs) {
        const lines = this.lines.map((line) => JSON.stringify(line)).join('\n')
        throw new Error(`waited in vain for ${what}; saw\n${this.seen.join('\n')}\n${lines}`)
      }
      await new Promise<void>((resolve) => {
        const timer = systemTimeout(done, 50)
        const waiters = this.#waiters
        function done(): void {
          clearTimeout(timer)
          waiters.delete(done)
          resolve()
        }
        waiters.add(done)
      })
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.transport.close()
  }

  #saw(what: string): void {
    this.seen.push(what)
    for (const waiter of this.#waiters) waiter()
  }
}

/** One network key for all tests but those about another one. */
export const NETWORK_KEY = new Uint8Array(32).fill(7)

export function peer(
  init: Partial<Libp2pTransportInit> = {},
  handlers: Partial<TransportHandlers> = {}
): Promise<Peer> {
  return new Peer(init, handlers).start()
}

/** A member that is a bare libp2p; stopped with the test. */
export async function bareMember(): Promise<Libp2p> {
  const node = await startBareMember(NETWORK_KEY)
  onTestFinished(() => node.stop())
  return node
}

/** Dials and waits for both sides. */
export async function connect(from: Peer, to: Peer): Promise<void> {
  await from.transport.dial(to.address())
  await Promise.all([from.until(`connected ${to.id}`), to.until(`connected ${from.id}`)])
}

export function text(words: string): Uint8Array {
  return new Uint8Array(Buffer.from(words))
}

/** A promise that the test settles. */
export function deferred<T>(): { promise: Promise<T>; resolve: (value: T) => void } {
  let resolve: (value: T) => void = () => undefined
  const promise = new Promise<T>((settle) => (resolve = settle))
  return { promise, resolve }
}

/** A signal that aborts after `ms`. */
export function within(ms: number): { signal: AbortSignal } {
  return { signal: AbortSignal.timeout(ms) }
}
