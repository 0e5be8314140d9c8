/**
 * A simulated network: links that come and go, requests that are late, lost or asked twice,
 * announcements that flood from box to box, late, lost or doubled.
 */

import { createHash } from 'node:crypto'

import { LaterbaseError } from '../../src/errors.ts'
import type {
  AnnouncementVerdict,
  PeerConnection,
  RequestOptions,
  Transport,
  TransportHandlers
} from '../../src/p2p/transport.ts'
import type { World } from './world.ts'

export interface NetworkFaults {
  /** Share of requests or answers that never arrive. */
  readonly loss: number
  /** Share of requests that are answered twice, the first answer thrown away. */
  readonly duplication: number
  /** Share of announcements that never arrive on a link. */
  readonly gossipLoss: number
  readonly delayMsMax: number
  /** What a link carries of an answer. */
  readonly bytesPerSecond: number
}

/** How often an answer on its way tells of its progress. */
const PIECE_MS = 1_000

export class SimNetwork {
  readonly world: World
  faults: NetworkFaults
  /** What no honest network does, as it was seen: the run fails with it. */
  readonly violations: string[] = []
  readonly #boxes = new Map<string, SimTransport>()
  /** Pairs that cannot reach each other, by `linkName`. */
  readonly #cut = new Set<string>()

  constructor(world: World, faults: NetworkFaults) {
    this.world = world
    this.faults = faults
  }

  attach(transport: SimTransport): void {
    this.#boxes.set(transport.peerId, transport)
    for (const other of this.#boxes.keys()) this.#connectSoon(transport.peerId, other)
  }

  detach(peer: string): void {
    const gone = this.#boxes.get(peer)
    this.#boxes.delete(peer)
    for (const other of this.#boxes.values()) {
      if (gone !== undefined) this.#disconnect(gone, other)
    }
  }

  cut(a: string, b: string): void {
    this.#cut.add(linkName(a, b))
    const [left, right] = [this.#boxes.get(a), this.#boxes.get(b)]
    if (left !== undefined && right !== undefined) this.#disconnect(left, right)
  }

  heal(a: string, b: string): void {
    this.#cut.delete(linkName(a, b))
    this.#connectSoon(a, b)
  }

  healAll(): void {
    for (const name of this.#cut) {
      const [a = '', b = ''] = name.split(' ')
      this.heal(a, b)
    }
  }

  /** The box at the other end, if it can be reached now. */
  reach(from: string, to: string): SimTransport | undefined {
    if (this.#cut.has(linkName(from, to))) return undefined
    const [a, b] = [this.#boxes.get(from), this.#boxes.get(to)]
    return a !== undefined && b !== undefined && a.isConnected(to) ? b : undefined
  }

  delayMs(): number {
    return 1 + this.world.prng.fraction() * this.faults.delayMsMax
  }

  #connectSoon(a: string, b: string): void {
    if (a === b) return
    this.world.after(this.delayMs(), () => {
      const [left, right] = [this.#boxes.get(a), this.#boxes.get(b)]
      if (left === undefined || right === undefined) return
      if (this.#cut.has(linkName(a, b)) || left.isConnected(b)) return
      left.connected(right)
      right.connected(left)
    })
  }

  #disconnect(a: SimTransport, b: SimTransport): void {
    a.disconnected(b.peerId)
    b.disconnected(a.peerId)
  }
}

export class SimTransport implements Transport {
  readonly peerId: string
  readonly #network: SimNetwork
  readonly #links = new Map<string, number>()
  readonly #subscribed = new Set<string>()
  readonly #seen = new Set<string>()
  #handlers: TransportHandlers | undefined

  constructor(network: SimNetwork, peerId: string) {
    this.#network = network
    this.peerId = peerId
  }

  addresses(): readonly string[] {
    return [`/memory/${this.peerId}`]
  }

  peers(): readonly PeerConnection[] {
    return [...this.#links].map(([peer, connectedAtMs]) => {
      const link = { direction: 'outbound' as const, roundTripMs: undefined }
      return { peer, address: `/memory/${peer}`, connectedAtMs, ...link }
    })
  }

  warnings(): readonly string[] {
    return []
  }

  async start(handlers: TransportHandlers): Promise<void> {
    this.#handlers = handlers
    this.#network.attach(this)
  }

  async close(): Promise<void> {
    this.#network.detach(this.peerId)
    this.#handlers = undefined
  }

  isConnected(peer: string): boolean {
    return this.#links.has(peer)
  }

  connected(other: SimTransport): void {
    this.#links.set(other.peerId, this.#network.world.nowMs)
    this.#handlers?.peerConnected(other.peerId)
    for (const database of other.#subscribed) {
      this.#handlers?.peerSubscribed(other.peerId, database)
    }
  }

  disconnected(peer: string): void {
    if (this.#links.delete(peer)) this.#handlers?.peerDisconnected(peer)
  }

  request(
    peer: string,
    frame: Uint8Array,
    { signal, onProgress = () => undefined }: RequestOptions
  ): Promise<Uint8Array> {
    return new Promise((resolve, reject) => {
      const fail = (): void => reject(unreachable(peer))
      if (signal.aborted) {
        fail()
        return
      }
      signal.addEventListener('abort', fail)
      const { world, faults } = this.#network
      // A lost frame is silence; the deadline of the asker ends it.
      if (world.chance(faults.loss)) return
      const times = world.chance(faults.duplication) ? 2 : 1
      for (let time = 1; time <= times; time += 1) {
        world.after(this.#network.delayMs(), () => {
          void this.#deliver(peer, frame.slice(), { resolve, fail, onProgress })
        })
      }
    })
  }

  subscribe(database: string): void {
    this.#subscribed.add(database)
    for (const peer of this.#links.keys()) {
      const other = this.#network.reach(this.peerId, peer)
      other?.peerSubscribed(this.peerId, database)
    }
  }

  unsubscribe(database: string): void {
    this.#subscribed.delete(database)
  }

  async announce(database: string, message: Uint8Array): Promise<void> {
    this.#flood(database, message, undefined)
  }

  async dial(): Promise<void> {
    // Every box dials every other by itself here.
  }

  cutOff(peer: string, _forMs: number, reason: string): void {
    this.#network.violations.push(`${this.peerId} cut off the honest ${peer}: ${reason}`)
  }

  async goOffline(): Promise<void> {
    this.#network.detach(this.peerId)
  }

  async goOnline(): Promise<void> {
    this.#network.attach(this)
  }

  async #deliver(peer: string, frame: Uint8Array, asked: Asked): Promise<void> {
    const { fail } = asked
    const other = this.#network.reach(this.peerId, peer)
    try {
      const answer = await other?.answer(this.peerId, frame)
      if (answer === undefined) {
        fail()
        return
      }
      const { world, faults } = this.#network
      if (world.chance(faults.loss)) return
      world.after(this.#network.delayMs(), () => this.#carry(peer, answer.slice(), asked, 0))
    } catch {
      fail()
    }
  }

  /** An answer comes in piece by piece; a link that is lost meanwhile loses it. */
  #carry(peer: string, answer: Uint8Array, asked: Asked, carried: number): void {
    const { world, faults } = this.#network
    if (this.#network.reach(this.peerId, peer) === undefined) {
      asked.fail()
      return
    }
    const left = answer.length - carried
    const piece = Math.min(left, (faults.bytesPerSecond * PIECE_MS) / 1_000)
    if (faults.bytesPerSecond === Infinity) {
      asked.resolve(answer)
      return
    }
    world.after((piece / faults.bytesPerSecond) * 1_000, () => {
      asked.onProgress(piece)
      if (piece === left) asked.resolve(answer)
      else this.#carry(peer, answer, asked, carried + piece)
    })
  }

  #flood(database: string, message: Uint8Array, from: string | undefined): void {
    const { world, faults } = this.#network
    for (const peer of this.#links.keys()) {
      if (peer === from || world.chance(faults.gossipLoss)) continue
      const times = world.chance(faults.duplication) ? 2 : 1
      for (let time = 1; time <= times; time += 1) {
        world.after(this.#network.delayMs(), () => {
          void this.#network.reach(this.peerId, peer)?.hear(this.peerId, database, message)
        })
      }
    }
  }

  peerSubscribed(peer: string, database: string): void {
    this.#handlers?.peerSubscribed(peer, database)
  }

  async answer(peer: string, frame: Uint8Array): Promise<Uint8Array | undefined> {
    return this.#handlers?.requested(peer, frame)
  }

  async hear(from: string, database: string, message: Uint8Array): Promise<void> {
    if (!this.#subscribed.has(database) || this.#handlers === undefined) return
    const id = createHash('sha256').update(message).digest('hex')
    if (this.#seen.has(id)) return
    this.#seen.add(id)
    const verdict: AnnouncementVerdict = await this.#handlers.announced(from, database, message)
    if (verdict === 'reject') this.#network.violations.push(`${this.peerId} rejected ${from}`)
    if (verdict === 'accept') this.#flood(database, message, from)
  }
}

interface Asked {
  readonly resolve: (answer: Uint8Array) => void
  readonly fail: () => void
  readonly onProgress: (bytes: number) => void
}

function unreachable(peer: string): LaterbaseError {
  return new LaterbaseError('LATERBASE_PEER_UNREACHABLE', `${peer} did not answer`)
}

function linkName(a: string, b: string): string {
  return a < b ? `${a} ${b}` : `${b} ${a}`
}
