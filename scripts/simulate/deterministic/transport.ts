/** The transport of an honest box on the simulated network. */

import { createHash } from 'node:crypto'

import { decodeAnnouncement } from '../../../protocols/announce/codec.ts'
import { decodeDeltaRequest, encodeDeltaRequest } from '../../../protocols/delta/codec.ts'
import type { DeltaRequest } from '../../../protocols/delta/codec.ts'
import { isRejected } from '../../../protocols/rejected.ts'
import { logId } from '../../../src/core/commit.ts'
import type { LogId } from '../../../src/core/commit.ts'
import { LaterbaseError } from '../../../src/errors.ts'
import { DEADLINES_MISSED_MAX } from '../../../src/p2p/limits.ts'
import type {
  AnnouncementVerdict,
  PeerConnection,
  RequestOptions,
  Transport,
  TransportHandlers
} from '../../../src/p2p/transport.ts'
import type { Life } from './clocks.ts'
import type { Endpoint, SimNetwork } from './network.ts'

/**
 * Requests to one peer that may be under way. Comparisons: a box that was held sees their deadlines late,
 * and asks again before that. Pages of one database: one is being asked ahead.
 */
const IN_FLIGHT_MAX: Readonly<Record<DeltaRequest['type'], number>> = {
  compare: 4,
  page: 2,
  views: 1
}

export interface TransportInit {
  readonly address: string
  readonly peerId: string
  readonly life: Life
  /** How far the disk of this box has a log. */
  readonly heldSeq: (database: string, log: LogId) => number
}

interface Link {
  readonly peerId: string
  /** Of boxes with one identity each has its own, as a node names them. */
  readonly name: string
  readonly connectedAtMs: number
  silences: number
}

interface Pending {
  readonly address: string
  readonly kind: DeltaRequest['type']
  readonly name: string
  readonly fail: () => void
}

export class SimTransport implements Transport, Endpoint {
  readonly isHonest = true
  readonly #network: SimNetwork
  readonly #init: TransportInit
  /** By address. */
  readonly #links = new Map<string, Link>()
  readonly #subscribed = new Set<string>()
  readonly #seen = new Set<string>()
  readonly #pending = new Set<Pending>()
  #handlers: TransportHandlers | undefined

  constructor(network: SimNetwork, init: TransportInit) {
    this.#network = network
    this.#init = init
  }

  get address(): string {
    return this.#init.address
  }

  get peerId(): string {
    return this.#init.peerId
  }

  addresses(): readonly string[] {
    return [`/memory/${this.address}`]
  }

  peers(): readonly PeerConnection[] {
    return [...this.#links].map(([address, { name, connectedAtMs }]) => {
      const rest = { direction: 'outbound' as const, roundTripMs: undefined }
      return { peer: name, address: `/memory/${address}`, connectedAtMs, ...rest }
    })
  }

  warnings(): readonly string[] {
    return []
  }

  async start(handlers: TransportHandlers): Promise<void> {
    if (this.#init.life.isDead) return
    this.#handlers = handlers
    this.#network.attach(this)
  }

  async close(): Promise<void> {
    this.leave(false)
  }

  /** @param silently as when the power goes */
  leave(silently: boolean): void {
    this.#network.detach(this, silently)
    this.#handlers = undefined
  }

  request(
    peer: string,
    frame: Uint8Array,
    { signal, onProgress }: RequestOptions
  ): Promise<Uint8Array> {
    return new Promise((resolve, reject) => {
      const [address, link] = [...this.#links].find(([, { name }]) => name === peer) ?? []
      const to = address === undefined ? undefined : this.#network.at(address)
      if (signal.aborted || address === undefined || link === undefined) {
        reject(unreachable(peer))
        return
      }
      const asked = this.#asked(frame)
      const end = (): boolean => this.#pending.delete(pending)
      const pending = {
        address,
        kind: asked.kind,
        name: `${address} ${asked.name}`,
        fail: () => {
          if (end()) reject(unreachable(peer))
        }
      }
      this.#take(pending, to?.isHonest === true)
      signal.addEventListener('abort', () => {
        if (!this.#pending.has(pending)) return
        pending.fail()
        this.#silence(address, link)
      })
      // A box that went without a word: the link is there, and nothing answers.
      if (to === undefined) return
      const settle = (answer: Uint8Array): void => {
        link.silences = 0
        if (end()) resolve(answer)
      }
      this.#network.exchange({ from: this, to }, asked.frame, {
        resolve: settle,
        fail: pending.fail,
        onProgress: (bytes) => {
          if (this.#pending.has(pending)) onProgress?.(bytes)
        }
      })
    })
  }

  subscribe(database: string): void {
    this.#subscribed.add(database)
    for (const other of this.#network.others(this)) {
      if (this.gossipsTo(other)) this.#tellFollowed(other, database)
    }
  }

  unsubscribe(database: string): void {
    this.#subscribed.delete(database)
  }

  async announce(database: string, message: Uint8Array): Promise<void> {
    if (this.#init.life.isDead) return
    const announcement = decodeAnnouncement(message)
    if (isRejected(announcement)) {
      this.#network.ledger.violate('announcement', `${this.address}: ${announcement.detail}`)
      return
    }
    const last = announcement.firstSeq + announcement.count - 1
    const log = logId(announcement.log)
    if (this.#init.heldSeq(database, log) < last) {
      const detail = `${this.address} announces ${log} to ${last}, which is not on its disk`
      this.#network.ledger.violate('announcement', detail)
    }
    this.#flood(database, message, undefined)
  }

  async dial(): Promise<void> {
    // Every box dials every other by itself here.
  }

  cutOff(peer: string, forMs: number, reason: string): void {
    for (const [address, link] of this.#links) {
      if (link.name !== peer) continue
      const other = this.#network.at(address)
      if (other === undefined) {
        this.linkDown(address)
      } else if (other.isHonest) {
        const detail = `${this.address} cut off ${address}: ${reason}`
        this.#network.ledger.violate('honest-cut-off', detail)
      } else {
        this.#network.refuse(this, other, forMs)
      }
    }
  }

  async goOffline(): Promise<void> {
    this.#network.detach(this, false)
    for (const address of this.#links.keys()) this.linkDown(address)
  }

  async goOnline(): Promise<void> {
    if (this.#handlers !== undefined) this.#network.attach(this)
  }

  deliver(action: () => void): void {
    this.#init.life.do(action)
  }

  hasLink(address: string): boolean {
    return this.#links.has(address)
  }

  linkUp(other: Endpoint): void {
    const { peerId, address } = other
    if (this.#handlers === undefined || this.#links.has(address)) return
    const name = this.#names(peerId).includes(peerId) ? `${peerId}+${address}` : peerId
    const connectedAtMs = this.#network.world.nowMs
    this.#links.set(address, { peerId, name, connectedAtMs, silences: 0 })
    this.#handlers.peerConnected(name)
  }

  linkDown(address: string): void {
    const link = this.#links.get(address)
    if (link === undefined) return
    const wasServed = this.#addressOf(link.peerId) === address
    this.#links.delete(address)
    for (const pending of this.#pending) if (pending.address === address) pending.fail()
    this.#handlers?.peerDisconnected(link.name)
    if (wasServed) this.#openGossip(link.peerId)
  }

  gossipsTo({ peerId, address }: Endpoint): boolean {
    const served = this.#addressOf(peerId)
    return served === undefined || served === address
  }

  followed(): Iterable<string> {
    return this.#subscribed
  }

  follows(peer: string, database: string): void {
    for (const name of this.#names(peer)) this.#handlers?.peerSubscribed(name, database)
  }

  async answer(from: Endpoint, frame: Uint8Array): Promise<Uint8Array | undefined> {
    const name = this.#links.get(from.address)?.name
    return name === undefined ? undefined : this.#handlers?.requested(name, frame)
  }

  hear(from: Endpoint, database: string, message: Uint8Array): void {
    if (!this.#links.has(from.address)) return
    if (!this.#subscribed.has(database) || this.#handlers === undefined) return
    const id = createHash('sha1').update(message).digest('hex')
    if (this.#seen.has(id)) return
    this.#seen.add(id)
    void this.#judge(from.peerId, database, message).then((verdict) => {
      if (verdict === 'reject' && from.isHonest) {
        const detail = `${this.address} rejects an announcement of ${from.address}`
        this.#network.ledger.violate('honest-cut-off', detail)
      }
      if (verdict === 'accept') this.#flood(database, message, from.address)
    })
  }

  /** Any box of that identity may hold what is announced, as with a node's own transport. */
  async #judge(
    peerId: string,
    database: string,
    message: Uint8Array
  ): Promise<AnnouncementVerdict> {
    const handlers = this.#handlers
    if (handlers === undefined) return 'ignore'
    const verdicts = await Promise.all(
      this.#names(peerId).map((name) => handlers.announced(name, database, message))
    )
    return verdicts.includes('accept') ? 'accept' : (verdicts[0] ?? 'ignore')
  }

  /** To the next box of an identity, as a node finds one that has no gossip stream. */
  #openGossip(peerId: string): void {
    const address = this.#addressOf(peerId)
    const other = address === undefined ? undefined : this.#network.at(address)
    if (other === undefined) return
    for (const database of this.#subscribed) this.#tellFollowed(other, database)
  }

  #tellFollowed(other: Endpoint, database: string): void {
    this.#network.send(this, other, () => {
      if (other.hasLink(this.address)) other.follows(this.peerId, database)
    })
  }

  /** Of the box of an identity that was linked first, which is the one that gossip reaches. */
  #addressOf(peerId: string): string | undefined {
    for (const [address, link] of this.#links) if (link.peerId === peerId) return address
    return undefined
  }

  #names(peerId: string): readonly string[] {
    const links = [...this.#links.values()].filter((link) => link.peerId === peerId)
    return links.map(({ name }) => name)
  }

  /** What a request asks, and the frame that asks it: for small pages, where the run wants those. */
  #asked(frame: Uint8Array): { kind: DeltaRequest['type']; name: string; frame: Uint8Array } {
    const request = decodeDeltaRequest(frame)
    if (isRejected(request)) {
      this.#network.ledger.violate('unexpected-failure', `${this.address}: ${request.detail}`)
      return { kind: 'compare', name: 'unreadable', frame }
    }
    const { type } = request
    if (type !== 'page') return { kind: type, name: type, frame }
    const { pageBytes } = this.#network
    const asked =
      pageBytes === undefined ? frame : encodeDeltaRequest({ ...request, bytesMax: pageBytes })
    return { kind: 'page', name: request.database, frame: asked }
  }

  #take(pending: Pending, isCounted: boolean): void {
    const { requests, ledger } = this.#network
    if (isCounted) requests[pending.kind] += 1
    this.#pending.add(pending)
    let alike = 0
    for (const other of this.#pending) if (other.name === pending.name) alike += 1
    if (alike > IN_FLIGHT_MAX[pending.kind]) {
      ledger.violate('bounded', `${this.address} asks ${pending.name} ${alike} times at once`)
    }
  }

  #silence(address: string, link: Link): void {
    link.silences += 1
    if (link.silences < DEADLINES_MISSED_MAX || this.#links.get(address) !== link) return
    this.#network.lose(this, address)
  }

  #flood(database: string, message: Uint8Array, from: string | undefined): void {
    const { world, faults } = this.#network
    this.#network.sent.update(message)
    for (const other of this.#network.others(this)) {
      if (other.address === from || !this.gossipsTo(other)) continue
      if (world.chance(faults.gossipLoss)) continue
      const times = world.chance(faults.duplication) ? 2 : 1
      for (let time = 1; time <= times; time += 1) {
        this.#network.send(this, other, () => other.hear(this, database, message))
      }
    }
  }
}

function unreachable(peer: string): LaterbaseError {
  return new LaterbaseError('LATERBASE_PEER_UNREACHABLE', `${peer} did not answer`)
}
