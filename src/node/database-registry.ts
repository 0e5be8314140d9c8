/**
 * The databases of one data directory: which there are, which were forgotten on purpose, and the
 * open stores. The list is kept outside of the stores, so that a lost one is told from a new one.
 */

import { DATABASES_MAX } from '../../protocols/limits.ts'
import type { Clock, Timer } from '../core/clock.ts'
import { LaterbaseError } from '../errors.ts'
import type { DerivedStore } from '../store/derived-store.ts'
import type { EventStore } from '../store/event-store.ts'
import type { NodeStore } from '../store/node-store.ts'
import type { NodeDatabase } from './database.ts'
import type { DatabaseStatus, UnopenedDatabase } from './laterbase.ts'
import { RELIST_MS, STORES_OPENED_AT_ONCE } from './limits.ts'
import type { Log } from './options.ts'
import { UnopenedStores } from './unopened-stores.ts'

const NAME = /^[a-z][a-z0-9_-]{0,62}$/
/** Words that routes and files begin with. */
const RESERVED = new Set(['db'])
/** Name of the list in the node's own store. */
export const DATABASE_LIST = 'databases'

/** Where the stores of a node's databases are. */
export interface StorePlace {
  /** @param create makes the store when it is missing; false for one that is known to exist */
  open(database: string, create: boolean): Promise<EventStore>
  /**
   * The store of a database's views, made when it is missing.
   *
   * @param anew without what was there
   */
  openViews(database: string, anew: boolean): Promise<DerivedStore>
  /** Deletes what there is of a database's store and its views, which are closed. */
  remove(database: string): Promise<void>
  /** A database is open: what its store still lacks of damaged files is taken over. */
  watch?(database: NodeDatabase): void
  /** From now on a store, which is closed next, is taken for damaged. */
  condemn?(database: string, reason: string): Promise<void>
  /** Calls back when a store that is open here has to be opened as at a start. */
  onDamaged?(listener: (database: string) => void): void
  /** What a person should know of the stores. */
  warnings?(databases: readonly DatabaseStatus[]): string[]
  /** After the databases were closed. */
  close(): Promise<void>
}

export interface RegistryInit {
  readonly nodeStore: NodeStore
  readonly stores: StorePlace
  readonly makeDatabase: (name: string, store: EventStore) => NodeDatabase
  /** A database is new here, or open again. */
  readonly opened: (database: NodeDatabase) => void
  readonly closed: (name: string) => void
  readonly clock: Clock
  readonly log: Log
}

type ListedState = 'open' | 'forgotten'

export class LocalDatabases {
  readonly #init: RegistryInit
  readonly #open = new Map<string, NodeDatabase>()
  readonly #unopened: UnopenedStores
  /** Stores that were made and are not listed, because the list could not be written. */
  readonly #unlisted = new Map<string, EventStore>()
  #listed = new Map<string, ListedState>()
  #relisting: Timer | undefined
  #isClosing = false
  /** Changes of the list happen one after the other. */
  #changing: Promise<unknown> = Promise.resolve()

  constructor(init: RegistryInit) {
    this.#init = init
    const { clock, log } = init
    this.#unopened = new UnopenedStores({ open: (name) => this.#openAgain(name), clock, log })
    init.stores.onDamaged?.((name) => void this.reopen(name))
  }

  /** Opens every store that was there before, and notes those that do not open. */
  async openAll(): Promise<void> {
    const listed = (await this.#init.nodeStore.get(DATABASE_LIST)) as
      Record<string, ListedState> | undefined
    this.#listed = new Map(Object.entries(listed ?? {}))
    const names = [...this.#listed].flatMap(([name, state]) => (state === 'open' ? [name] : []))
    const openNext = async (): Promise<void> => {
      for (let name = names.shift(); name !== undefined; name = names.shift()) {
        try {
          this.#add(name, await this.#init.stores.open(name, false))
        } catch (error) {
          this.#unopened.add(name, error)
        }
      }
    }
    await Promise.all(Array.from({ length: STORES_OPENED_AT_ONCE }, openNext))
  }

  all(): readonly NodeDatabase[] {
    return [...this.#open.values()].sort((a, b) => (a.name < b.name ? -1 : 1))
  }

  get(name: string): NodeDatabase | undefined {
    return this.#open.get(name)
  }

  /** Why there is no open database of a name. */
  refusal(name: string): LaterbaseError {
    return this.#unopened.refusal(name) ?? unknownDatabase(name)
  }

  isUnopened(name: string): boolean {
    return this.#unopened.has(name)
  }

  unopened(): readonly UnopenedDatabase[] {
    return this.#unopened.all()
  }

  /**
   * @throws LATERBASE_NAME_INVALID; LATERBASE_TOO_LARGE beyond the number of databases; why it is
   *   not open, where there is one that is not
   */
  create(name: string): Promise<{ database: NodeDatabase; created: boolean }> {
    checkName(name)
    return this.#change(async () => {
      const held = this.#open.get(name)
      if (held !== undefined) return { database: held, created: false }
      const refusal = this.#unopened.refusal(name)
      if (refusal !== undefined) throw refusal
      return { database: await this.#make(name), created: true }
    })
  }

  /** For a name that came from a peer: undefined where this node will not have it. */
  adopt(name: string): Promise<NodeDatabase | undefined> {
    const held = this.#open.get(name)
    if (held !== undefined) return Promise.resolve(held)
    return this.#change(async () => {
      const known = this.#open.get(name)
      if (known !== undefined) return known
      const wanted =
        isDatabaseName(name) && !this.#listed.has(name) && this.#listed.size < DATABASES_MAX
      return wanted ? this.#make(name) : undefined
    })
  }

  /** @throws LATERBASE_DATABASE_UNKNOWN */
  forget(name: string): Promise<void> {
    return this.#change(async () => {
      const database = this.#open.get(name)
      if (database === undefined && !this.#unopened.has(name)) throw unknownDatabase(name)
      // Listed as forgotten first: a crash in between must not bring back an empty database.
      await this.#list(name, 'forgotten')
      this.#unopened.remove(name)
      this.#open.delete(name)
      this.#init.closed(name)
      await database?.close()
      await this.#init.stores.remove(name)
    })
  }

  /**
   * Closes a database and opens it anew, as another `NodeDatabase`. Meanwhile it counts as closed,
   * and not as unknown.
   */
  reopen(name: string): Promise<void> {
    return this.#change(async () => {
      const database = this.#open.get(name)
      if (database === undefined) return
      this.#init.closed(name)
      try {
        await database.close()
        this.#add(name, await this.#init.stores.open(name, false))
      } catch (error) {
        this.#open.delete(name)
        this.#unopened.add(name, error)
      }
    })
  }

  /** What `close` waits for, in words. */
  closing(): string {
    const names = [...new Set([...this.#open.keys(), ...this.#unlisted.keys()])].sort()
    const [first, ...others] = names
    if (first === undefined) return 'the list of databases'
    return `database ${first}${others.length === 0 ? '' : ` and ${others.length} more`}`
  }

  async close(): Promise<void> {
    this.#unopened.close()
    this.#relisting?.cancel()
    this.#isClosing = true
    await this.#changing.catch(() => undefined)
    const open = [...this.#open, ...this.#unlisted]
    const closed = await Promise.allSettled(
      open.map(async ([name, database]) => {
        await database.close()
        this.#open.delete(name)
      })
    )
    this.#open.clear()
    const failed = closed.find((result) => result.status === 'rejected')
    if (failed !== undefined) throw failed.reason
  }

  #openAgain(name: string): Promise<void> {
    return this.#change(async () => {
      if (!this.#unopened.has(name)) return
      const store = await this.#init.stores.open(name, false)
      this.#unopened.remove(name)
      this.#add(name, store)
    })
  }

  async #make(name: string): Promise<NodeDatabase> {
    if (this.#open.size + this.#unopened.all().length >= DATABASES_MAX) {
      const message = `a node has at most ${DATABASES_MAX} databases`
      throw new LaterbaseError('LATERBASE_TOO_LARGE', message)
    }
    // What a crash in the middle of forgetting left behind is not what the user asks for now. A store
    // that nobody has forgotten is never deleted: it may be the list that was lost.
    const isForgotten = this.#listed.get(name) === 'forgotten' && !this.#unlisted.has(name)
    if (isForgotten) await this.#init.stores.remove(name)
    const store = this.#unlisted.get(name) ?? (await this.#init.stores.open(name, true))
    this.#unlisted.set(name, store)
    // Listed before anybody can write to it: what is not listed is not opened after a crash.
    await this.#list(name, 'open')
    this.#unlisted.delete(name)
    return this.#add(name, store)
  }

  #add(name: string, store: EventStore): NodeDatabase {
    const database = this.#init.makeDatabase(name, store)
    this.#open.set(name, database)
    this.#init.opened(database)
    return database
  }

  async #list(name: string, state: ListedState): Promise<void> {
    const listed = new Map(this.#listed).set(name, state)
    try {
      await this.#write(listed)
    } catch (error) {
      this.#listAgain()
      throw error
    }
    this.#listed = listed
  }

  async #write(listed: ReadonlyMap<string, ListedState>): Promise<void> {
    await this.#init.nodeStore.put(DATABASE_LIST, Object.fromEntries(listed))
  }

  /**
   * What was told to have failed may be on the disk all the same: a database as forgotten that goes
   * on taking events. So the list is written as it counts here, as soon as the disk takes it.
   */
  #listAgain(): void {
    if (this.#isClosing) return
    this.#relisting ??= this.#init.clock.setTimer(RELIST_MS, () => {
      this.#relisting = undefined
      void this.#change(() => this.#write(this.#listed)).catch(() => this.#listAgain())
    })
  }

  #change<T>(change: () => Promise<T>): Promise<T> {
    const done = this.#changing.then(change, change)
    this.#changing = done.catch(() => undefined)
    return done
  }
}

export function isDatabaseName(name: string): boolean {
  return NAME.test(name) && !RESERVED.has(name)
}

function checkName(name: string): void {
  if (isDatabaseName(name)) return
  throw new LaterbaseError(
    'LATERBASE_NAME_INVALID',
    `${JSON.stringify(name.slice(0, 80))} is not a name: 1 to 63 of a-z 0-9 _ -, a letter first, not db`
  )
}

function unknownDatabase(name: string): LaterbaseError {
  return new LaterbaseError(
    'LATERBASE_DATABASE_UNKNOWN',
    `no database ${JSON.stringify(name.slice(0, 80))} here: create it first`
  )
}
