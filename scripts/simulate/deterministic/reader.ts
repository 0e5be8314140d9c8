/**
 * Readers of the feed. One stays with its box and its disk, page by page or live, and checks all that
 * a feed promises; another wanders from box to box with nothing but a portable cursor.
 */

import { decodePosition } from '../../../src/core/version.ts'
import { isLaterbaseError } from '../../../src/errors.ts'
import type { NodeDatabase } from '../../../src/node/database.ts'
import type { Change, ChangesPage, Database } from '../../../src/node/laterbase.ts'
import type { Ledger } from './ledger.ts'

/**
 * Reads one box. Its cursor outlives the box's processes and its disks: another disk goes on from it, or
 * refuses it, and then the reader begins anew.
 */
export class BoxReader {
  readonly #ledger: Ledger
  readonly #name: string
  /** Of the box that it reads. */
  readonly #seen = new Set<string>()
  /** How far it has read each log. */
  readonly #logs = new Map<string, number>()
  #cursor = '0'
  #mayBeRefused = false
  /** How many pages it has asked for. */
  #asked = 0
  #following: NodeDatabase | undefined

  constructor(ledger: Ledger, name: string) {
    this.#ledger = ledger
    this.#name = name
  }

  /** The box has another disk than the one that gave the cursor. */
  diskChanged(): void {
    this.#mayBeRefused = true
  }

  /** The reader of a copy of the box, as far as this one is. */
  copy(name: string): BoxReader {
    const reader = new BoxReader(this.#ledger, name)
    for (const id of this.#seen) reader.#seen.add(id)
    for (const [log, seq] of this.#logs) reader.#logs.set(log, seq)
    reader.#cursor = this.#cursor
    reader.#mayBeRefused = true
    return reader
  }

  /** Reads one page. Whoever asks again before it has come does not wait for it any more. */
  async read(database: NodeDatabase, limit: number): Promise<number> {
    this.#asked += 1
    const asked = this.#asked
    const page = await this.#page(database, limit, () => asked === this.#asked)
    if (page === undefined || asked !== this.#asked) return 1
    let before = ''
    for (const change of page.changes) {
      const { recorded } = change.event
      if (recorded < before) this.#violate(`${recorded} comes after ${before} in one page`)
      before = recorded
      this.#take(change)
    }
    if (page.pending > 0 && page.lastLc === this.#cursor) this.#violate('stands still')
    this.#cursor = page.lastLc
    if (page.pending === 0) this.checkComplete(database)
    return page.pending
  }

  /** Undefined where the cursor was refused, and the reader begins anew. */
  async #page(
    database: NodeDatabase,
    limit: number,
    isWaiting: () => boolean
  ): Promise<ChangesPage | undefined> {
    try {
      return await database.changesPage({ since: this.#cursor, limit })
    } catch (error) {
      if (!isWaiting() || this.#beginsAnew(error)) return undefined
      throw error
    }
  }

  /** A disk that lacks what the cursor has passed refuses it. */
  #beginsAnew(error: unknown): boolean {
    if (!this.#mayBeRefused) return false
    if (!isLaterbaseError(error, 'LATERBASE_CURSOR_FOREIGN')) return false
    this.#cursor = '0'
    this.#seen.clear()
    this.#logs.clear()
    return true
  }

  /** Follows the live feed of a process from where it was, until the process ends. */
  follow(database: NodeDatabase): void {
    if (this.#following === database) return
    this.#following = database
    void this.#follow(database).catch((error: unknown) => {
      if (this.#beginsAnew(error)) {
        this.#following = undefined
        this.follow(database)
        return
      }
      this.#violate(`the live feed ends with ${String(error)}`)
    })
  }

  /** At the head of the feed it has given everything. */
  checkComplete(database: NodeDatabase): void {
    const events = database.store.eventCount()
    if (this.#seen.size !== events) {
      this.#violate(`has given ${this.#seen.size} of ${events} events`)
    }
  }

  async #follow(database: NodeDatabase): Promise<void> {
    for await (const change of database.changes({ since: this.#cursor })) {
      if (this.#following !== database) return
      this.#take(change)
      this.#cursor = change.lc
    }
  }

  #take({ event }: Change): void {
    const id = `${event.key} ${event.hash}`
    if (this.#seen.has(id)) this.#violate(`gives ${id} twice`)
    this.#seen.add(id)
    const before = this.#logs.get(event.log) ?? 0
    // The branches of a forked log go each their own way.
    const isBack = event.seq <= before && !this.#ledger.mayFork(event.log)
    if (isBack) this.#violate(`gives ${event.log} ${event.seq} after ${before}`)
    this.#logs.set(event.log, event.seq)
  }

  #violate(detail: string): void {
    this.#ledger.violate('feed', `the feed of ${this.#name} ${detail}`)
  }
}

/** Goes from box to box with a portable cursor. */
export class WanderingReader {
  readonly #ledger: Ledger
  readonly #seen = new Set<string>()
  #cursor = '0'
  /** How many pages it has asked for. */
  #asked = 0

  constructor(ledger: Ledger) {
    this.#ledger = ledger
  }

  /**
   * Reads one page and remembers where it was; how many events are left. A box that has not answered
   * when the next is asked is not waited for any more.
   */
  async read(database: Database, limit: number): Promise<number> {
    this.#asked += 1
    const asked = this.#asked
    const lags = await this.#isAheadOf(database)
    const page = await database.changesPage({ since: this.#cursor, limit })
    if (asked !== this.#asked) return 1
    for (const { event } of page.changes) {
      const id = `${event.key} ${event.hash}`
      // A box cannot know that an event which it holds in one log also stands in another that
      // the reader has and it has not: then, and only then, an event may come twice.
      const standsTwice = event.source !== undefined && (lags || this.#ledger.anyCopied)
      const mayRepeat = standsTwice || this.#ledger.mayFork(event.log)
      if (this.#seen.has(id) && !mayRepeat) this.#violate(`met ${id} twice`)
      this.#seen.add(id)
    }
    if (page.pending > 0 && page.lastVersion === this.#cursor) this.#violate('stands still')
    this.#cursor = page.lastVersion
    return page.pending
  }

  /** It has met all that this database gives. */
  async check(database: Database): Promise<void> {
    // Of a log of which it read a branch that went with the last disk that had it, it counts as further
    // than any box is: while this box knows no other branch, it may miss what that holds below the place,
    // as the README says.
    const { logs } = await database.status()
    const forked = new Set(logs.filter((log) => log.forked || log.own).map(({ log }) => log))
    const ahead = await this.#logsAheadOf(database)
    const mayMiss = (log: string): boolean => !forked.has(log) && this.#ledger.mayFork(log)
    const lost = new Set([...ahead].filter(mayMiss))
    for (const { event } of (await database.changesPage({ limit: 1_000_000 })).changes) {
      const id = `${event.key} ${event.hash}`
      if (!this.#seen.has(id) && !lost.has(event.log)) this.#violate(`never met ${id}`)
    }
  }

  /** Whether it has read, elsewhere, what this box has not got yet. */
  async #isAheadOf(database: Database): Promise<boolean> {
    return (await this.#logsAheadOf(database)).size > 0
  }

  async #logsAheadOf(database: Database): Promise<Set<string>> {
    const bytes = Buffer.from(this.#cursor.slice(1), 'base64url')
    const position = this.#cursor === '0' ? undefined : decodePosition(bytes)
    const held = new Map<string, number>()
    for (const { log, held: seq } of (await database.status()).logs) {
      held.set(log, Math.max(seq, held.get(log) ?? 0))
    }
    const ahead = (position ?? []).filter(({ log, seq }) => (held.get(log) ?? 0) < seq)
    return new Set(ahead.map(({ log }) => log))
  }

  #violate(detail: string): void {
    this.#ledger.violate('feed', `a reader that goes from box to box ${detail}`)
  }
}
