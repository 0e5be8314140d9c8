/** The node: databases, replication and identity behind the public `Laterbase`. */

import { toHex } from '../core/bytes.ts'
import type { Commit } from '../core/commit.ts'
import type { Clock, Hasher, Rng, Signer, Verifier } from '../core/clock.ts'
import { stampMs } from '../core/hybrid-logical-clock.ts'
import { LaterbaseError } from '../errors.ts'
import { peerIdOf } from '../p2p/transport.ts'
import type { Transport } from '../p2p/transport.ts'
import { formatTime } from '../schema/time.ts'
import type { EventStore } from '../store/event-store.ts'
import type { NodeStore } from '../store/node-store.ts'
import { clockStatus, clockWarnings } from './clock-watch.ts'
import { closeInOrder } from './closing.ts'
import { LocalDatabases } from './database-registry.ts'
import type { StorePlace } from './database-registry.ts'
import { NodeDatabase } from './database.ts'
import { Driver } from './driver.ts'
import { Healer } from './healer.ts'
import { createInvitation } from './invitation.ts'
import type {
  ClockStatus,
  Database,
  Laterbase,
  NodeStatus,
  PeerStatus,
  UnopenedDatabase
} from './laterbase.ts'
import { CLOCKS_AHEAD_MAX, FORKS_NAMED_MAX, OWN_LOGS_CLOSED_MAX } from './limits.ts'
import { meterTransport } from './metered-transport.ts'
import type { MeteredTransport } from './metered-transport.ts'
import type { ResolvedOptions } from './options.ts'
import type { ProgramDefinitions } from './program-definitions.ts'
import { createRecordedClock } from './recorded-clock.ts'
import type { RecordedClock } from './recorded-clock.ts'
import { trustOf } from './trust.ts'
import { ViewCompiler } from './view-compiler.ts'
import { unopenedWarnings } from './unopened-stores.ts'
import { VERSION } from './version.ts'

export interface NodeInit {
  readonly options: ResolvedOptions
  readonly defined: ProgramDefinitions
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
  /** Last of all: the data directory is anybody's from then on. Idempotent. */
  readonly unlock: () => Promise<void>
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
  readonly #viewCompiler: ViewCompiler
  readonly #startedAtMs: number
  readonly #traffic: MeteredTransport['traffic']
  /** Peers of which the log has said that their clocks run ahead. */
  readonly #clocksAhead = new Set<string>()
  readonly #ownLogsClosed = new Set<string>()
  #offline = false
  #closed: Promise<void> | undefined

  static async start(init: NodeInit): Promise<LaterbaseNode> {
    const node = new LaterbaseNode(init)
    try {
      await node.#databases.openAll()
      await node.#transport.start(node.#driver.handlers())
      return node
    } catch (error) {
      // Why it did not start is what counts, not what then failed to close.
      await node.close().catch(() => undefined)
      throw error
    }
  }

  private constructor(init: NodeInit) {
    const { options, clock, hasher, nodeStore } = init
    this.#init = init
    this.name = options.name
    this.dir = init.dir
    this.#startedAtMs = clock.nowMs()
    this.#recordedClock = createRecordedClock(clock)
    this.#viewCompiler = new ViewCompiler({ hasher, clock, scripts: options.viewScripts })
    const { transport, traffic } = meterTransport(
      init.makeTransport({
        load: async () => {
          const saved = await nodeStore.get(ADDRESS_BOOK)
          return Array.isArray(saved) ? saved.filter((address) => typeof address === 'string') : []
        },
        save: (addresses) => nodeStore.put(ADDRESS_BOOK, addresses)
      })
    )
    this.#transport = transport
    this.#traffic = traffic
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
      closed: (name) => this.#driver.unfollow(name),
      clock,
      log: options.log
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
        isUnopened: (name) => this.#databases.isUnopened(name),
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
        peer: peerIdOf(peer),
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
    const clock = this.#clockStatus()
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
      unopened: this.unopened(),
      clock,
      traffic: { fetches: this.#driver.fetches(), ...this.#traffic() },
      warnings: [
        ...(this.#init.stores.warnings?.(databases) ?? []),
        ...this.#transport.warnings(),
        ...this.#healer.warnings(),
        ...this.#driver.warnings(),
        ...this.#diskWarnings(),
        ...unopenedWarnings(this.unopened()),
        ...this.#databases.all().flatMap(({ views }) => views.warnings()),
        ...clockWarnings(clock),
        ...this.#ownLogsClosed,
        ...this.#forkWarnings()
      ]
    }
  }

  invitation(): string {
    return createInvitation(this.#init.networkKey)
  }

  databases(): readonly string[] {
    return this.#databases.all().map((database) => database.name)
  }

  unopened(): readonly UnopenedDatabase[] {
    return this.#databases.unopened()
  }

  database(name: string): Database {
    const database = this.#databases.get(name)
    if (database === undefined) throw this.#databases.refusal(name)
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
  #close(): Promise<void> {
    const { stores, nodeStore, unlock, clock, options } = this.#init
    return closeInOrder({
      stages: [
        { what: () => 'the network', close: () => this.#transport.close() },
        { what: () => 'checks of the stores', close: () => this.#healer.close() },
        { what: () => 'replication', close: () => this.#driver.close() },
        { what: () => this.#databases.closing(), close: () => this.#databases.close() },
        { what: () => 'what is taken over of old stores', close: () => stores.close() },
        { what: () => 'the store of the node itself', close: () => nodeStore.close() }
      ],
      unlock,
      clock,
      log: options.log
    })
  }

  #makeDatabase(name: string, store: EventStore): NodeDatabase {
    const { signer, hasher, rng, clock, options, peerIdOf } = this.#init
    if (store.found === 'restored') this.#noteRestored(name)
    const parts = { name, store, signer, hasher, rng, clock }
    return new NodeDatabase({
      ...parts,
      recordedClock: this.#recordedClock,
      futureToleranceMs: options.futureToleranceMs,
      peerId: peerIdOf,
      trusts: trustOf(options.trust, { publicKey: signer.publicKey, peerIdOf }),
      announce: (database, commit) => this.#driver.announce(database, commit),
      sync: (database, signal) => this.#driver.sync(database, signal),
      heal: (database, error) => this.#healer.heal(database, error),
      verify: (database, signatures) => this.#healer.verify(database, signatures),
      verification: (database) => this.#healer.status(database),
      viewDiffers: (database, view) => this.#driver.viewDiffers(database, view),
      clockAhead: (_database, commit) => this.#noteClockAhead(commit),
      ownLogClosed: (database, log) => this.#noteOwnLogClosed(database, log),
      openViews: (anew) => this.#init.stores.openViews(name, anew),
      viewCompiler: this.#viewCompiler,
      ...this.#init.defined(name),
      log: options.log
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
    if (this.#clocksAhead.has(peer) || this.#clocksAhead.size >= CLOCKS_AHEAD_MAX) return
    this.#clocksAhead.add(peer)
    const recorded = formatTime(stampMs(commit.recorded))
    this.#init.options.log('warn', 'a box recorded in the future of this one', { peer, recorded })
  }

  #noteOwnLogClosed(database: string, log: string): void {
    this.#warnOfOwnLog(
      `${database}: another box has written under this box's identity, or this disk was restored ` +
        `from an older copy. Nothing is lost: this box goes on in a new log`,
      { log }
    )
  }

  #noteRestored(database: string): void {
    this.#warnOfOwnLog(
      `${database}: its store was restored from an older copy. What was written since comes back ` +
        `from the other boxes; this box goes on in a new log`,
      {}
    )
  }

  #warnOfOwnLog(message: string, fields: Readonly<Record<string, unknown>>): void {
    this.#init.options.log('warn', message, fields)
    if (this.#ownLogsClosed.size < OWN_LOGS_CLOSED_MAX) this.#ownLogsClosed.add(message)
  }

  #forkWarnings(): string[] {
    const warnings = new Set<string>()
    for (const { name, store } of this.#databases.all()) {
      for (const { fork, tip } of store.logs()) {
        if (fork === undefined || warnings.size >= FORKS_NAMED_MAX) continue
        const peer = this.#init.peerIdOf(tip.origin.genesis.publicKey)
        warnings.add(
          `${name}: two boxes wrote under the identity of ${peer}, after event ${fork.seq} of log ` +
            `${tip.origin.id}. Both branches are kept; nothing is lost`
        )
      }
    }
    return [...warnings]
  }

  /** A full disk is one, however many databases are on it. */
  #diskWarnings(): Set<string> {
    const refusals = this.#databases.all().map(({ store }) => store.refusal())
    const messages = [...refusals, this.#init.nodeStore.refusal?.()].map((each) => each?.message)
    return new Set(messages.filter((message) => message !== undefined))
  }

  #clockStatus(): ClockStatus {
    const { clock, peerIdOf } = this.#init
    // By key first: a box has a log for each of its lives, and to name it costs more than all else.
    const last = new Map<string, { readonly publicKey: Uint8Array; readonly recorded: bigint }>()
    for (const { store } of this.#databases.all()) {
      for (const { tip } of store.logs()) {
        const { publicKey } = tip.origin.genesis
        const name = toHex(publicKey)
        if (tip.recorded > (last.get(name)?.recorded ?? 0n)) {
          last.set(name, { publicKey, recorded: tip.recorded })
        }
      }
    }
    return clockStatus({
      nowMs: clock.nowMs(),
      self: this.peerId,
      recorded: [...last.values()].map(({ publicKey, recorded }) => [
        peerIdOf(publicKey),
        stampMs(recorded)
      ]),
      readMs: stampMs(this.#recordedClock.read())
    })
  }

  #refuseWhenClosed(): void {
    if (this.#closed !== undefined) {
      throw new LaterbaseError('LATERBASE_CLOSED', 'the node is closed')
    }
  }
}
