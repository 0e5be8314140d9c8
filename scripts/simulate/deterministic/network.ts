/**
 * A simulated network: messages that are late, lost, doubled and never in order; links that are cut,
 * cut in one direction, or clogged and then let everything through at once; connections of which one
 * end does not know that the other has gone. Boxes are told apart by address, for two of them can
 * have one identity.
 */

import { createHash } from 'node:crypto'

import { peerIdOf } from '../../../src/p2p/transport.ts'
import type { Ledger } from './ledger.ts'
import type { World } from './world.ts'

/** What comes of a request. */
interface Outcome {
  readonly resolve: (answer: Uint8Array) => void
  readonly fail: () => void
  /** Bytes of the answer have come. */
  readonly onProgress?: ((bytes: number) => void) | undefined
}

export interface NetworkFaults {
  /** Share of requests or answers that never arrive. */
  readonly loss: number
  /** Share of requests that are answered twice, and of announcements that come twice. */
  readonly duplication: number
  /** Share of announcements that never arrive on a link. */
  readonly gossipLoss: number
  readonly delayMsMax: number
  /** Share of answers that take as long as a slow link may take. */
  readonly slow: number
  /** How fast answers come; undefined: at once. */
  readonly bytesPerSecond?: number
}

/** Answers of a slow link take up to this, which is below the deadline of a request. */
const SLOW_MS_MAX = 25_000
/** How long it takes until somebody dials again, ms. */
const REDIAL_MS_MAX = 2_000

interface Asked {
  readonly from: Endpoint
  readonly to: Endpoint
  readonly connection: number | undefined
}

/** Whoever is on the network. */
export interface Endpoint {
  readonly address: string
  readonly peerId: string
  readonly isHonest: boolean
  /** Does it now, or when the process goes on. */
  deliver(action: () => void): void
  hasLink(address: string): boolean
  linkUp(other: Endpoint): void
  linkDown(address: string): void
  /** Whether gossip goes to it: to one box of an identity, as gossipsub has one stream a peer. */
  gossipsTo(other: Endpoint): boolean
  followed(): Iterable<string>
  follows(peer: string, database: string): void
  /** Undefined resets the stream. */
  answer(from: Endpoint, frame: Uint8Array): Promise<Uint8Array | undefined>
  hear(from: Endpoint, database: string, message: Uint8Array): void
}

export class SimNetwork {
  readonly world: World
  readonly ledger: Ledger
  faults: NetworkFaults
  /** Bytes that pages are asked for, so that few events make many pages; undefined: as asked. */
  pageBytes: number | undefined
  /** Requests between honest boxes so far. */
  readonly requests = { compare: 0, page: 0, views: 0 }
  /** Of all that was ever sent, byte for byte. */
  readonly sent = createHash('sha256')
  readonly #endpoints = new Map<string, Endpoint>()
  /** Directions in which nothing comes through, by `directionName`. */
  readonly #blocked = new Set<string>()
  /** Directions that hold everything for a while. */
  readonly #clogged = new Map<string, (() => void)[]>()
  /** By `directionName`, which connection an end last took the link to the other for. */
  readonly #connections = new Map<string, number>()
  #connectionCount = 0
  /** Pairs of which one has refused the other, and until when. */
  readonly #refused = new Map<string, number>()

  constructor(world: World, ledger: Ledger, faults: NetworkFaults) {
    this.world = world
    this.ledger = ledger
    this.faults = faults
  }

  attach(endpoint: Endpoint): void {
    this.#endpoints.set(endpoint.address, endpoint)
    for (const other of this.#endpoints.keys()) this.#connectSoon(endpoint.address, other)
  }

  /** @param silently as when the power goes: nobody is told */
  detach(endpoint: Endpoint, silently: boolean): void {
    if (this.#endpoints.get(endpoint.address) !== endpoint) return
    if (!silently) {
      for (const other of this.#endpoints.values()) {
        this.send(endpoint, other, () => other.linkDown(endpoint.address))
      }
    }
    this.#endpoints.delete(endpoint.address)
  }

  /** Whether a peer's name is that of a member that lies. */
  isLiar(name: unknown): boolean {
    const peerId = typeof name === 'string' ? peerIdOf(name) : undefined
    return [...this.#endpoints.values()].some((end) => end.peerId === peerId && !end.isHonest)
  }

  others(of: Endpoint): readonly Endpoint[] {
    return [...this.#endpoints.values()].filter(
      (other) => other !== of && of.hasLink(other.address)
    )
  }

  at(address: string): Endpoint | undefined {
    return this.#endpoints.get(address)
  }

  /** Nothing comes through any more; both ends notice at once. */
  cut(a: string, b: string): void {
    this.block(a, b)
    this.block(b, a)
    const [left, right] = [this.#endpoints.get(a), this.#endpoints.get(b)]
    left?.deliver(() => left.linkDown(b))
    right?.deliver(() => right.linkDown(a))
  }

  /** Nothing comes through in one direction any more, and nobody is told. */
  block(from: string, to: string): void {
    this.#blocked.add(directionName(from, to))
  }

  heal(a: string, b: string): void {
    this.#blocked.delete(directionName(a, b))
    this.#blocked.delete(directionName(b, a))
    this.#connectSoon(a, b)
  }

  healAll(): void {
    for (const name of this.#blocked) {
      const [a = '', b = ''] = name.split('>')
      this.heal(a, b)
    }
    for (const name of this.#clogged.keys()) this.#unclog(name)
  }

  /** Holds everything in one direction for a while, then lets it all through. */
  clog(from: string, to: string, forMs: number): void {
    const name = directionName(from, to)
    if (this.#clogged.has(name)) return
    this.#clogged.set(name, [])
    this.world.after(forMs, () => this.#unclog(name))
  }

  /** Takes an action to the other end, late, if there is a way. */
  send(from: Endpoint, to: Endpoint, action: () => void, extraMs = 0): void {
    if (this.#endpoints.get(from.address) !== from) return
    const name = directionName(from.address, to.address)
    const arrive = (): void => {
      if (this.#blocked.has(name) || this.#endpoints.get(to.address) !== to) return
      to.deliver(action)
    }
    const held = this.#clogged.get(name)
    if (held === undefined) this.world.after(this.#delayMs() + extraMs, arrive)
    else held.push(arrive)
  }

  /** A request and its answer. When nothing comes, nothing comes: deadlines are the asker's. */
  exchange(
    ends: { readonly from: Endpoint; readonly to: Endpoint },
    frame: Uint8Array,
    outcome: Outcome
  ): void {
    const { world, faults } = this
    const { from, to } = ends
    this.sent.update(frame)
    if (world.chance(faults.loss)) return
    const times = world.chance(faults.duplication) ? 2 : 1
    const connection = this.#connections.get(directionName(from.address, to.address))
    const asked = { ...ends, connection }
    for (let time = 1; time <= times; time += 1) {
      this.send(from, to, () => {
        void this.#answer(asked, frame.slice(), outcome)
      })
    }
  }

  /** One end holds the connection that it has for dead. */
  lose(from: Endpoint, address: string): void {
    this.#lose(from, address, this.#connections.get(directionName(from.address, address)))
  }

  /** What is said of a connection that was replaced meanwhile harms the new one at neither end. */
  #lose(from: Endpoint, address: string, connection: number | undefined): void {
    if (this.#connections.get(directionName(from.address, address)) !== connection) return
    from.linkDown(address)
    const other = this.#endpoints.get(address)
    if (other === undefined) return
    const back = directionName(address, from.address)
    this.send(from, other, () => {
      if (this.#connections.get(back) === connection) other.linkDown(from.address)
    })
    this.#connectSoon(from.address, address, REDIAL_MS_MAX)
  }

  /** One end refuses the other for a while. */
  refuse(from: Endpoint, to: Endpoint, forMs: number): void {
    this.#refused.set(pairName(from.address, to.address), this.world.nowMs + forMs)
    from.linkDown(to.address)
    to.deliver(() => to.linkDown(from.address))
    this.world.after(forMs, () => this.#connectSoon(from.address, to.address))
  }

  async #answer(
    { from, to, connection }: Asked,
    frame: Uint8Array,
    { resolve, fail, onProgress }: Outcome
  ): Promise<void> {
    if (!to.hasLink(from.address)) {
      // The other end knows nothing of this connection, and says so.
      this.send(to, from, () => {
        fail()
        this.#lose(from, to.address, connection)
      })
      return
    }
    const answer = await answerOf(to, from, frame)
    if (answer === undefined) {
      this.send(to, from, fail)
      return
    }
    const { world, faults } = this
    this.sent.update(answer)
    if (world.chance(faults.loss)) return
    const extraMs = world.chance(faults.slow) ? world.prng.fraction() * SLOW_MS_MAX : 0
    const seconds = answer.length / (faults.bytesPerSecond ?? Infinity)
    for (let at = 1; at < seconds; at += 1) {
      world.after(at * 1_000, () => onProgress?.(faults.bytesPerSecond ?? 0))
    }
    this.send(to, from, () => resolve(answer.slice()), extraMs + seconds * 1_000)
  }

  #delayMs(): number {
    return 1 + this.world.prng.fraction() * this.faults.delayMsMax
  }

  #unclog(name: string): void {
    const held = this.#clogged.get(name) ?? []
    this.#clogged.delete(name)
    for (const arrive of held) this.world.after(0, arrive)
  }

  #connectSoon(a: string, b: string, withinMs = this.faults.delayMsMax): void {
    if (a === b) return
    this.world.after(1 + this.world.prng.fraction() * withinMs, () => this.#connect(a, b))
  }

  #connect(a: string, b: string): void {
    const [left, right] = [this.#endpoints.get(a), this.#endpoints.get(b)]
    if (left === undefined || right === undefined || left.peerId === right.peerId) return
    if (this.#blocked.has(directionName(a, b)) || this.#blocked.has(directionName(b, a))) return
    if ((this.#refused.get(pairName(a, b)) ?? 0) > this.world.nowMs) return
    if (left.hasLink(b) && right.hasLink(a)) return
    this.#connectionCount += 1
    this.#linkUp(left, right, this.#connectionCount)
    this.#linkUp(right, left, this.#connectionCount)
  }

  /** An end that had not noticed that the old connection is gone may never notice. */
  #linkUp(end: Endpoint, other: Endpoint, connection: number): void {
    const isStale = end.hasLink(other.address)
    const notices = isStale && this.world.chance(0.5)
    end.deliver(() => {
      if (notices) end.linkDown(other.address)
      const name = directionName(end.address, other.address)
      if (!end.hasLink(other.address)) this.#connections.set(name, connection)
      end.linkUp(other)
      if (!other.gossipsTo(end)) return
      for (const database of other.followed()) end.follows(other.peerId, database)
    })
  }
}

async function answerOf(
  to: Endpoint,
  from: Endpoint,
  frame: Uint8Array
): Promise<Uint8Array | undefined> {
  try {
    return await to.answer(from, frame)
  } catch {
    return undefined
  }
}

function directionName(from: string, to: string): string {
  return `${from}>${to}`
}

function pairName(a: string, b: string): string {
  return a < b ? `${a} ${b}` : `${b} ${a}`
}
