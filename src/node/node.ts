/** The node: databases, replication and identity behind the public `Laterbase`. */

import type { Commit } from '../core/commit.ts'
import type { Clock, Hasher, Rng, Signer, Verifier } from '../core/clock.ts'
import { stampMs } from '../core/hybrid-logical-clock.ts'
import { LaterbaseError } from '../errors.ts'
import type { Transport } from '../p2p/transport.ts'
import { formatTime } from '../schema/time.ts'
import type { EventStore } from '../store/event-store.ts'
import type { NodeStore } from '../store/node-store.ts'
import { LocalDatabases, unknownDatabase } from './database-registry.ts'
import type { StorePlace } from './database-registry.ts'
import { NodeDatabase } from './database.ts'
import { Driver } from './driver.ts'
import { Healer } from './healer.ts'
import { createInvitation } from './invitation.ts'
import type { Database, Laterbase, NodeStatus, PeerStatus } from './laterbase.ts'
import type { ResolvedOptions } from './options.ts'
import { createRecordedClock } from './recorded-clock.ts'
import type { RecordedClock } from './recorded-clock.ts'
import { VERSION } from './version.ts'

export interface NodeInit {
  readonly options: ResolvedOptions
  readonly dir: string
  readonly networkKey: Uint8Array
  readonly nodeStore: NodeStore
  readonly signer: Signer
  readonly clock: Clock
  readonly rng: Rng
  readonly hasher: Hasher
  readonly verifier: Verifier
  readonly peerIdOf: (publicKey: Uint8Array) => string
  readonly stores: StorePlace
  readonly makeTransport: (addressBook: AddressBookStore) => Transport
}

interface AddressBookStore {
  load(): Promise<readonly string[]>
  save(addresses: readonly string[]): Promise<void>
}

const ADDRESS_BOOK = 'addresses'

export class LaterbaseNode implements Laterbase {
  readonly name: string
  readonly peerId: string
  readonly dir: string
  readonly #init: NodeInit
  readonly #transport: Transport
  readonly #driver: Driver
  readonly #databases: LocalDatabases
  readonly #healer: Healer
  readonly #recordedClock: RecordedClock
  readonly #startedAtMs: number
  /** Logs whose writers' clocks run ahead, by peer id, with their last stamp. */
  readonly #clocksAhead = new Map<string, number>()
  #offline = false
  #closed: Promise<void> | undefined

  static async start(init: NodeInit): Promise<LaterbaseNode> {
    const node = new LaterbaseNode(init)
    try {
      await node.#databases.openAll()
      await node.#transport.start(node.#driver.handlers())
      return node
    } catch (error) {
      await node.close()
      throw error
    }
  }

  private constructor(init: NodeInit) {
    const { options, clock, nodeStore } = init
    this.#init = init
    this.name = options.name
    this.dir = init.dir
    this.#startedAtMs = clock.nowMs()
    this.#recordedClock = createRecordedClock(clock)
    this.#transport = init.makeTransport({
      load: async () => {
        const saved = await nodeStore.get(ADDRESS_BOOK)
        return Array.isArray(saved) ? saved.filter((address) => typeof address === 'string') : []
      },
      save: (addresses) => nodeStore.put(ADDRESS_BOOK, addresses)
    })
    this.peerId = this.#transport.peerId
    this.#databases = new LocalDatabases({
      nodeStore,
      stores: init.stores,
      makeDatabase: (name, store) => this.#makeDatabase(name, store),
      opened: (database) => {
        this.#driver.follow(database)
        this.#healer.follow(database)
        init.stores.watch?.(database)
      },
      closed: (name) => {
        this.#driver.unfollow(name)
      }
    })
    this.#healer = new Healer({
      transport: this.#transport,
      clock,
      hasher: init.hasher,
      verifier: init.verifier,
      log: options.log,
      databases: () => this.#databases.all(),
      verifyMs: options.verifyMs,
      rebuild: (name, reason) => this.#rebuild(name, reason)
    })
    this.#driver = new Driver({
      transport: this.#transport,
      databases: {
        all: () => this.#databases.all(),
        get: (name) => this.#databases.get(name),
        adopt: (name) => this.#databases.adopt(name)
      },
      clock,
      rng: init.rng,
      hasher: init.hasher,
      verifier: init.verifier,
      antiEntropyMs: options.antiEntropyMs,
      gossip: options.gossip,
      log: options.log,
      damaged: () => this.#healer.suspect()
    })
  }

  addresses(): readonly string[] {
    return this.#transport.addresses()
  }

  peers(): readonly PeerStatus[] {
    return this.#transport.peers().map((connection) => {
      const { peer } = connection
      const isEqual = (name: string): boolean => {
        const database = this.#databases.get(name)
        return database !== undefined && this.#driver.isEqual(peer, database)
      }
      const names = this.databases()
      return {
        peer,
        address: connection.address,
        direction: connection.direction,
        connectedAt: formatTime(connection.connectedAtMs),
        roundTripMs: connection.roundTripMs,
        equal: names.filter(isEqual),
        unequal: names.filter((name) => !isEqual(name))
      }
    })
  }

  async status(): Promise<NodeStatus> {
    const databases = await Promise.all(this.#databases.all().map((database) => database.status()))
    return {
      name: this.name,
      peerId: this.peerId,
      version: VERSION,
      dir: this.dir,
      addresses: this.addresses(),
      startedAt: formatTime(this.#startedAtMs),
      offline: this.#offline,
      peers: this.peers(),
      databases,
      warnings: [
        ...(this.#init.stores.warnings?.(databases) ?? []),
        ...this.#transport.warnings(),
        ...this.#healer.warnings(),
        ...this.#driver.warnings(),
        ...this.#clockWarnings()
      ]
    }
  }

  invitation(): string {
    return createInvitation(this.#init.networkKey)
  }

  databases(): readonly string[] {
    return this.#databases.all().map((database) => database.name)
  }

  database(name: string): Database {
    const database = this.#databases.get(name)
    if (database === undefined) throw unknownDatabase(name)
    return database
  }

  async createDatabase(name: string): Promise<{ database: Database; created: boolean }> {
    this.#refuseWhenClosed()
    return this.#databases.create(name)
  }

  async forgetDatabase(name: string): Promise<void> {
    this.#refuseWhenClosed()
    await this.#databases.forget(name)
    this.#healer.unfollow(name)
  }

  async connect(multiaddr: string, options: { readonly signal?: AbortSignal } = {}): Promise<void> {
    this.#refuseWhenClosed()
    await this.#transport.dial(multiaddr, options)
  }

  async goOffline(): Promise<void> {
    this.#offline = true
    await this.#transport.goOffline()
  }

  async goOnline(): Promise<void> {
    this.#offline = false
    await this.#transport.goOnline()
  }

  close(): Promise<void> {
    this.#closed ??= this.#close()
    return this.#closed
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  /** From the outside in: nothing new comes, what is under way ends, then the stores. */
  async #close(): Promise<void> {
    const stages = [
      () => this.#transport.close(),
      () => this.#healer.close(),
      () => this.#driver.close(),
      () => this.#databases.close(),
      async () => this.#init.stores.close?.(),
      () => this.#init.nodeStore.close()
    ]
    // A stage that fails must not leave the directory locked behind it.
    const failures: unknown[] = []
    for (const stage of stages) await stage().catch((error: unknown) => failures.push(error))
    if (failures.length > 0) throw failures[0]
  }

  #makeDatabase(name: string, store: EventStore): NodeDatabase {
    const { signer, hasher, rng, clock, options, peerIdOf } = this.#init
    return new NodeDatabase({
      name,
      store,
      signer,
      hasher,
      rng,
      clock,
      recordedClock: this.#recordedClock,
      futureToleranceMs: options.futureToleranceMs,
      peerId: peerIdOf,
      announce: (database, commit) => this.#driver.announce(database, commit),
      sync: (database, signal) => this.#driver.sync(database, signal),
      heal: (database, error) => this.#healer.heal(database, error),
      verify: (database, signatures) => this.#healer.verify(database, signatures),
      verification: (database) => this.#healer.status(database),
      clockAhead: (_database, commit) => this.#noteClockAhead(commit)
    })
  }

  /** What cannot be healed in place; the database is closed for as long as it takes. */
  async #rebuild(name: string, reason: string): Promise<void> {
    const { stores } = this.#init
    if (stores.condemn === undefined) return
    await stores.condemn(name, reason)
    await this.#databases.reopen(name)
  }

  #noteClockAhead(commit: Commit): void {
    const peer = this.#init.peerIdOf(commit.origin.genesis.publicKey)
    const recordedMs = stampMs(commit.recorded)
    if (!this.#clocksAhead.has(peer)) {
      const recorded = formatTime(recordedMs)
      this.#init.options.log('warn', 'a box has a clock that runs ahead', { peer, recorded })
    }
    if (this.#clocksAhead.size < CLOCKS_AHEAD_MAX) this.#clocksAhead.set(peer, recordedMs)
  }

  #clockWarnings(): string[] {
    return [...this.#clocksAhead].map(
      ([peer, recordedMs]) =>
        `the clock of ${peer} runs ahead: it recorded at ${formatTime(recordedMs)}; set it right`
    )
  }

  #refuseWhenClosed(): void {
    if (this.#closed !== undefined) {
      throw new LaterbaseError('LATERBASE_CLOSED', 'the node is closed')
    }
  }
}

/** Boxes whose clocks are named in the status: remote input, so bounded. */
const CLOCKS_AHEAD_MAX = 64
