/**
 * One link per connected peer: its connections, of which one is to stay, and the delta stream.
 *
 * A link is reported as up once a delta stream has opened on it, not when the handshake is over:
 * a dialer that the other side refuses sees a good handshake first and a close some ms later.
 *
 * Two processes may have one identity: a disk was copied, and both boxes run. Each process names
 * itself by a random instance when it identifies itself, so that a second connection to one process
 * is told from a first one to another, which gets a link of its own.
 */

import type { Connection } from '@libp2p/interface'
import type { Clock, Millis } from '../core/clock.ts'
import { LaterbaseError } from '../errors.ts'
import { DELTA_PROTOCOL } from '../../protocols/delta/codec.ts'
import { abortSoon } from './abort-soon.ts'
import { deadline } from './deadline.ts'
import { DeltaClient } from './delta-client.ts'
import { survivor } from './dial-policy.ts'
import type { ConnectionFacts } from './dial-policy.ts'
import {
  CLOSE_MS_MAX,
  CONNECTIONS_TRIED_MAX,
  DIAL_RACE_MS,
  DUPLICATE_MS,
  IDENTIFY_MS_MAX,
  INSTANCES_PER_PEER_MAX,
  STREAM_OPEN_MS_MAX
} from './limits.ts'
import type { Log } from './log.ts'
import { reasonOf } from './log.ts'
import type { StreamBytes } from './stream-bytes.ts'
import type { PeerConnection } from './transport.ts'

export interface LinksInit {
  readonly self: string
  readonly clock: Clock
  readonly log: Log
  /** The link of this name is up. */
  readonly up: (name: string) => void
  /** The last connection of a link has closed; `wasUp` tells whether `up` was called for it. */
  readonly down: (name: string, wasUp: boolean) => void
  /** Asks the other side of a connection who it is; rejects when it does not answer. */
  readonly probe: (connection: Connection) => Promise<unknown>
  /** Frames that come in from any peer and are not whole yet. */
  readonly incoming: StreamBytes
}

interface Opened extends ConnectionFacts {
  readonly connection: Connection
  readonly openedWallMs: Millis
  /** The process at the other end; undefined until it has identified itself. */
  instance: string | undefined
}

interface Link {
  /** The peer id; with `+instance` for a further process of that identity. */
  readonly name: string
  readonly peer: string
  /** The one that is to stay comes first. */
  opened: readonly Opened[]
  readonly client: DeltaClient
  up: boolean
  /** Another process of this identity has come: this one has yet to show that it is still there. */
  doubted: boolean
  readonly settled: Promise<void>
}

export class Links {
  readonly #init: LinksInit
  /** By name. */
  readonly #links = new Map<string, Link>()

  constructor(init: LinksInit) {
    this.#init = init
  }

  size(): number {
    return this.#links.size
  }

  has(peer: string): boolean {
    return this.#of(peer).length > 0
  }

  isUp(peer: string): boolean {
    return this.#of(peer).some(({ up }) => up)
  }

  /** The names of the links to a peer: one, unless two boxes have its identity. */
  names(peer: string): readonly string[] {
    return this.#of(peer).map(({ name }) => name)
  }

  /** The link that a connection belongs to. */
  nameOf(connection: Connection): string | undefined {
    return this.#holding(connection)?.name
  }

  /** Resolves when the links to `peer` are up or gone. */
  async settled(peer: string): Promise<void> {
    await Promise.all(this.#of(peer).map(({ settled }) => settled))
  }

  peers(): readonly PeerConnection[] {
    const peers: PeerConnection[] = []
    for (const link of this.#links.values()) {
      const opened = link.opened[0]
      if (!link.up || opened === undefined) continue
      peers.push({
        peer: link.name,
        address: opened.connection.remoteAddr.toString(),
        direction: opened.direction,
        connectedAtMs: opened.openedWallMs,
        roundTripMs: link.client.roundTripMs()
      })
    }
    return peers
  }

  /** Identities that several processes have, each of which has just shown itself, and where. */
  twins(): readonly { readonly peer: string; readonly addresses: readonly string[] }[] {
    const addresses = new Map<string, string[]>()
    for (const { peer, opened, up, doubted } of this.#links.values()) {
      const address = opened[0]?.connection.remoteAddr.toString()
      if (!up || doubted || address === undefined) continue
      addresses.set(peer, [...(addresses.get(peer) ?? []), address])
    }
    return [...addresses].flatMap(([peer, at]) => (at.length > 1 ? [{ peer, addresses: at }] : []))
  }

  connections(): readonly Connection[] {
    return [...this.#links.values()].flatMap(({ opened }) => opened[0]?.connection ?? [])
  }

  /** The client of a link's delta stream, while the link is up. */
  client(name: string): DeltaClient | undefined {
    const link = this.#links.get(name)
    return link?.up === true ? link.client : undefined
  }

  /** Whether another connection of `direction` would lose against the one that is there. */
  wouldLose(peer: string, direction: 'inbound' | 'outbound'): boolean {
    const links = this.#of(peer)
    const kept = links[0]?.opened[0]
    // Of several processes it may be any: that is known once it has identified itself.
    if (kept === undefined || (links.length > 1 && direction === 'inbound')) return false
    const candidate = { direction, openedMs: this.#init.clock.monotonicMs() }
    if (kept.direction === direction) {
      // A second one of the same direction is a retry by who lost the first, unless it is ours.
      return direction === 'outbound' && candidate.openedMs - kept.openedMs < DIAL_RACE_MS
    }
    return survivor({ self: this.#init.self, peer }, kept, candidate) !== candidate
  }

  add(connection: Connection): void {
    const peer = connection.remotePeer.toString()
    const opened: Opened = {
      connection,
      direction: connection.direction,
      openedMs: this.#init.clock.monotonicMs(),
      openedWallMs: this.#init.clock.nowMs(),
      instance: undefined
    }
    connection.addEventListener('close', () => this.#remove(connection))
    if (connection.status !== 'open') return
    const link = this.#links.get(peer)
    if (link === undefined) this.#create(peer, peer, opened)
    else this.#addDuplicate(link, opened)
  }

  /** The process at the other end has said which it is; '' for one that does not know of this. */
  identified(connection: Connection, instance: string): void {
    const link = this.#holding(connection)
    const opened = link?.opened.find((each) => each.connection === connection)
    if (link === undefined || opened === undefined || opened.instance !== undefined) return
    const others = link.opened.filter((each) => each !== opened && each.instance !== undefined)
    const home = this.#of(link.peer).find(
      (other) => other !== link && other.opened.some((each) => each.instance === instance)
    )
    opened.instance = instance
    if (home !== undefined) this.#move(link, home, opened)
    else if (others.some((other) => other.instance !== instance)) this.#split(link, opened)
    else {
      this.#chooseKept(link)
      if (others.length === 0) this.#doubtOthers(link)
    }
  }

  /** Closes every connection to `peer`; its requests are rejected now. */
  abort(peer: string, reason: Error): void {
    for (const link of this.#of(peer)) this.#abort(link, reason)
  }

  /** Closes every connection, in good order where that goes fast. */
  async closeAll(reason: Error): Promise<void> {
    const opened = [...this.#links.values()].flatMap((link) => {
      link.client.close(reason)
      return link.opened
    })
    await Promise.all(opened.map(({ connection }) => this.#close(connection, reason)))
  }

  #of(peer: string): readonly Link[] {
    return [...this.#links.values()].filter((link) => link.peer === peer)
  }

  #holding(connection: Connection): Link | undefined {
    return this.#of(connection.remotePeer.toString()).find(({ opened }) =>
      opened.some((each) => each.connection === connection)
    )
  }

  #abort(link: Link, reason: Error): void {
    link.client.close(reason)
    for (const { connection } of link.opened) void abortSoon(this.#init.clock, connection, reason)
  }

  #create(name: string, peer: string, opened: Opened): Link {
    const { clock, incoming } = this.#init
    const client = new DeltaClient({
      peer: name,
      clock,
      incoming,
      openStream: async (signal) => {
        const connection = this.#links.get(name)?.opened[0]?.connection
        if (connection === undefined) throw new Error('not connected')
        return await connection.newStream(DELTA_PROTOCOL, { signal })
      },
      silent: () => {
        this.#init.log('warn', 'peer does not answer; connection dropped', { peer: name })
        this.#abort(link, new Error('the peer does not answer'))
      }
    })
    const link: Link = {
      name,
      peer,
      opened: [opened],
      client,
      up: false,
      doubted: false,
      // `client.open` looks the link up, so it must run after the link is in the map.
      settled: Promise.resolve().then(() => this.#bringUp(link))
    }
    this.#links.set(name, link)
    return link
  }

  /** Opens the delta stream on the connection that is to stay, which may change meanwhile. */
  async #bringUp(link: Link): Promise<void> {
    let failure: unknown
    for (let tries = 0; tries < CONNECTIONS_TRIED_MAX; tries += 1) {
      const tried = link.opened[0]?.connection
      const limit = deadline(this.#init.clock, STREAM_OPEN_MS_MAX)
      try {
        await link.client.open(limit.signal)
        if (this.#links.get(link.name) !== link) return
        link.up = true
        this.#init.up(link.name)
        return
      } catch (error) {
        failure = error
      } finally {
        limit.clear()
      }
      if (this.#links.get(link.name) !== link) return
      if (tried === link.opened[0]?.connection && tried?.status === 'open') break
    }
    this.#init.log('info', 'peer refused', { peer: link.name, reason: reasonOf(failure) })
    const reason = new Error('no delta stream')
    for (const { connection } of link.opened) void abortSoon(this.#init.clock, connection, reason)
  }

  /** Whether it is of the same process is known soon, and which one stays then decided. */
  #addDuplicate(link: Link, opened: Opened): void {
    link.opened = [...link.opened, opened]
    this.#init.log('debug', 'second connection', { peer: link.name, opened: opened.direction })
    this.#closeSuperfluousSoon(link)
  }

  #chooseKept(link: Link): void {
    const pair = { self: this.#init.self, peer: link.peer }
    const known = link.opened.filter(({ instance }) => instance !== undefined)
    const byAge = known.sort((a, b) => a.openedMs - b.openedMs)
    const [oldest, ...newer] = byAge
    if (oldest === undefined) return
    const kept = newer.reduce((older, next) => survivor(pair, older, next), oldest)
    if (link.opened[0] === kept) return
    link.opened = [kept, ...link.opened.filter((each) => each !== kept)]
    link.client.retire()
    this.#closeSuperfluousSoon(link)
  }

  /** What is under way on the other connections gets the time to end. */
  #closeSuperfluousSoon(link: Link): void {
    const { clock } = this.#init
    clock.setTimer(DUPLICATE_MS, () => {
      link.client.retire()
      const now = clock.monotonicMs()
      const rest = link.opened.slice(1)
      const unsure = rest.filter(
        ({ instance, openedMs }) => instance === undefined && now - openedMs < IDENTIFY_MS_MAX
      )
      for (const opened of rest) {
        if (unsure.includes(opened)) continue
        void this.#close(opened.connection, new Error('superfluous connection'))
      }
      if (unsure.length > 0) this.#closeSuperfluousSoon(link)
    })
  }

  /** A connection of another process than the link's: its own link. */
  #split(link: Link, opened: Opened): void {
    if (this.#of(link.peer).length >= INSTANCES_PER_PEER_MAX) {
      void this.#close(opened.connection, new Error('too many processes of one identity'))
      return
    }
    this.#take(link, opened)
    const twin = this.#create(`${link.peer}+${opened.instance}`, link.peer, opened)
    this.#doubtOthers(twin)
  }

  /** To the link of the process that it turned out to be of. */
  #move(link: Link, home: Link, opened: Opened): void {
    this.#take(link, opened)
    home.opened = [...home.opened, opened]
    this.#chooseKept(home)
    this.#closeSuperfluousSoon(home)
  }

  #take(link: Link, opened: Opened): void {
    link.opened = link.opened.filter((each) => each !== opened)
    link.client.retire()
    this.#endIfEmpty(link)
  }

  /**
   * Another process of this identity has come: a copy of the disk, or the same box after its power
   * went, of which the old connections are dead. Who answers now is there.
   */
  #doubtOthers(link: Link): void {
    for (const other of this.#of(link.peer)) {
      const connection = other.opened[0]?.connection
      if (other === link || connection === undefined) continue
      other.doubted = true
      this.#init.probe(connection).then(
        () => {
          if (this.#links.get(other.name) !== other || this.#links.get(link.name) !== link) return
          other.doubted = false
          const addresses = this.twins().find(({ peer }) => peer === link.peer)?.addresses ?? []
          this.#init.log('warn', 'two boxes use one identity', { peer: link.peer, addresses })
        },
        () => this.#abort(other, new Error('the box was started anew'))
      )
    }
  }

  #remove(connection: Connection): void {
    const link = this.#holding(connection)
    if (link === undefined) return
    link.opened = link.opened.filter((opened) => opened.connection !== connection)
    this.#endIfEmpty(link)
  }

  #endIfEmpty(link: Link): void {
    if (link.opened.length > 0 || this.#links.get(link.name) !== link) return
    this.#links.delete(link.name)
    link.client.close(new Error('the connection closed'))
    this.#init.down(link.name, link.up)
  }

  async #close(connection: Connection, reason: Error): Promise<void> {
    const limit = deadline(this.#init.clock, CLOSE_MS_MAX)
    try {
      await connection.close({ signal: limit.signal })
    } catch {
      // Aborted below.
    } finally {
      limit.clear()
    }
    await abortSoon(this.#init.clock, connection, reason)
  }
}

/** @throws always: there is no connection to `peer` */
export function notConnected(peer: string): never {
  throw new LaterbaseError('LATERBASE_PEER_UNREACHABLE', `peer ${peer} is not connected`)
}
