/**
 * One link per connected peer: its connections, of which one is to stay, and the delta stream.
 *
 * A link is reported as up once a delta stream has opened on it, not when the handshake is over:
 * a dialer that the other side refuses sees a good handshake first and a close some ms later.
 */

import type { Connection } from '@libp2p/interface'
import type { Clock, Millis } from '../core/clock.ts'
import { LaterbaseError } from '../errors.ts'
import { DELTA_PROTOCOL } from '../../protocols/delta/codec.ts'
import { deadline } from './deadline.ts'
import { DeltaClient } from './delta-client.ts'
import { dialsFirst, survivor } from './dial-policy.ts'
import type { ConnectionFacts } from './dial-policy.ts'
import {
  CLOSE_MS_MAX,
  CONNECTIONS_TRIED_MAX,
  DIAL_RACE_MS,
  DUPLICATE_MS,
  STREAM_OPEN_MS_MAX
} from './limits.ts'
import type { Log } from './log.ts'
import { reasonOf } from './log.ts'
import type { PeerConnection } from './transport.ts'

export interface LinksInit {
  readonly self: string
  readonly clock: Clock
  readonly log: Log
  /** The first connection to a peer is up. */
  readonly up: (peer: string) => void
  /** The last connection to a peer has closed; `wasUp` tells whether `up` was called for it. */
  readonly down: (peer: string, wasUp: boolean) => void
}

interface Opened extends ConnectionFacts {
  readonly connection: Connection
  readonly openedWallMs: Millis
}

interface Link {
  readonly peer: string
  /** The one that is to stay comes first. */
  opened: readonly Opened[]
  readonly client: DeltaClient
  up: boolean
  readonly settled: Promise<void>
}

export class Links {
  readonly #init: LinksInit
  readonly #links = new Map<string, Link>()

  constructor(init: LinksInit) {
    this.#init = init
  }

  size(): number {
    return this.#links.size
  }

  has(peer: string): boolean {
    return this.#links.has(peer)
  }

  isUp(peer: string): boolean {
    return this.#links.get(peer)?.up === true
  }

  /** Resolves when the link to `peer` is up or gone. */
  async settled(peer: string): Promise<void> {
    await this.#links.get(peer)?.settled
  }

  peers(): readonly PeerConnection[] {
    const peers: PeerConnection[] = []
    for (const link of this.#links.values()) {
      const opened = link.opened[0]
      if (!link.up || opened === undefined) continue
      peers.push({
        peer: link.peer,
        address: opened.connection.remoteAddr.toString(),
        direction: opened.direction,
        connectedAtMs: opened.openedWallMs,
        roundTripMs: link.client.roundTripMs()
      })
    }
    return peers
  }

  connections(): readonly Connection[] {
    return [...this.#links.values()].flatMap(({ opened }) => opened[0]?.connection ?? [])
  }

  /** The client of a peer's delta stream, while the link is up. */
  client(peer: string): DeltaClient | undefined {
    const link = this.#links.get(peer)
    return link?.up === true ? link.client : undefined
  }

  /** Whether another connection of `direction` would lose against the one that is there. */
  wouldLose(peer: string, direction: 'inbound' | 'outbound'): boolean {
    const kept = this.#links.get(peer)?.opened[0]
    if (kept === undefined) return false
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
      openedWallMs: this.#init.clock.nowMs()
    }
    connection.addEventListener('close', () => this.#remove(peer, connection))
    if (connection.status !== 'open') return
    const link = this.#links.get(peer)
    if (link === undefined) this.#create(peer, opened)
    else this.#addDuplicate(link, opened)
  }

  /** Closes every connection to `peer`; its requests are rejected now. */
  abort(peer: string, reason: Error): void {
    const link = this.#links.get(peer)
    if (link === undefined) return
    link.client.close(reason)
    for (const { connection } of link.opened) void abortSoon(this.#init.clock, connection, reason)
  }

  /** Closes every connection, in good order where that goes fast. */
  async closeAll(reason: Error): Promise<void> {
    const opened = [...this.#links.values()].flatMap((link) => {
      link.client.close(reason)
      return link.opened
    })
    await Promise.all(opened.map(({ connection }) => this.#close(connection, reason)))
  }

  #create(peer: string, opened: Opened): void {
    const client = new DeltaClient({
      peer,
      clock: this.#init.clock,
      openStream: async (signal) => {
        const connection = this.#links.get(peer)?.opened[0]?.connection
        if (connection === undefined) throw new Error('not connected')
        return await connection.newStream(DELTA_PROTOCOL, { signal })
      },
      silent: () => {
        this.#init.log('warn', 'peer does not answer; connection dropped', { peer })
        this.abort(peer, new Error('the peer does not answer'))
      }
    })
    const link: Link = {
      peer,
      opened: [opened],
      client,
      up: false,
      // `client.open` looks the link up, so it must run after the link is in the map.
      settled: Promise.resolve().then(() => this.#bringUp(link))
    }
    this.#links.set(peer, link)
  }

  /** Opens the delta stream on the connection that is to stay, which may change meanwhile. */
  async #bringUp(link: Link): Promise<void> {
    let failure: unknown
    for (let tries = 0; tries < CONNECTIONS_TRIED_MAX; tries += 1) {
      const tried = link.opened[0]?.connection
      const limit = deadline(this.#init.clock, STREAM_OPEN_MS_MAX)
      try {
        await link.client.open(limit.signal)
        if (this.#links.get(link.peer) !== link) return
        link.up = true
        this.#init.up(link.peer)
        return
      } catch (error) {
        failure = error
      } finally {
        limit.clear()
      }
      if (this.#links.get(link.peer) !== link) return
      if (tried === link.opened[0]?.connection && tried?.status === 'open') break
    }
    this.#init.log('info', 'peer refused', { peer: link.peer, reason: reasonOf(failure) })
    const reason = new Error('no delta stream')
    for (const { connection } of link.opened) void abortSoon(this.#init.clock, connection, reason)
  }

  #addDuplicate(link: Link, opened: Opened): void {
    const pair = { self: this.#init.self, peer: link.peer }
    const kept = link.opened[0]
    const stays = kept === undefined ? opened : survivor(pair, kept, opened)
    const rest = link.opened.filter((other) => other !== stays)
    link.opened = stays === opened ? [opened, ...rest] : [stays, ...rest, opened]
    if (stays === opened) link.client.retire()
    this.#init.log('debug', 'second connection', {
      peer: link.peer,
      first: dialsFirst(pair),
      kept: stays.direction
    })
    // What is under way on the other one gets the time to end.
    this.#init.clock.setTimer(DUPLICATE_MS, () => {
      link.client.retire()
      for (const { connection } of link.opened.slice(1)) {
        void this.#close(connection, new Error('superfluous connection'))
      }
    })
  }

  #remove(peer: string, connection: Connection): void {
    const link = this.#links.get(peer)
    if (link === undefined) return
    link.opened = link.opened.filter((opened) => opened.connection !== connection)
    if (link.opened.length > 0) return
    this.#links.delete(peer)
    link.client.close(new Error('the connection closed'))
    this.#init.down(peer, link.up)
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

/**
 * Aborts a connection that is not closed, in a task of its own. yamux sends the first frame of a new
 * stream in a microtask; on a connection aborted since, that throws where nobody can catch it, and
 * ends the process (@libp2p/yamux 8.0.3).
 */
export async function abortSoon(
  clock: Clock,
  connection: Connection,
  reason: Error
): Promise<void> {
  if (connection.status === 'closed' || connection.status === 'aborted') return
  await new Promise<void>((resolve) => clock.setTimer(0, resolve))
  connection.abort(reason)
}

/** @throws always: there is no connection to `peer` */
export function notConnected(peer: string): never {
  throw new LaterbaseError('LATERBASE_PEER_UNREACHABLE', `peer ${peer} is not connected`)
}
