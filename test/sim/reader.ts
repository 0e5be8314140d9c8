/** A reader of the feed who goes from box to box with nothing but a portable cursor. */

import { decodePosition } from '../../src/core/version.ts'
import type { Database } from '../../src/node/laterbase.ts'

export class Reader {
  /** Key and content of every event delivered. */
  readonly seen = new Set<string>()
  /** What this reader saw broken; kept, because it reads while the run goes on. */
  readonly faults: string[] = []
  #cursor = '0'
  #reading: object | undefined

  /** The box that it may be reading from is gone: what that still answers is not heard. */
  leave(): void {
    this.#reading = undefined
  }

  /** Reads one page and remembers where it was; how many events are left. */
  async read(database: Database, limit: number): Promise<number> {
    if (this.#reading !== undefined) return 1
    const reading = {}
    this.#reading = reading
    try {
      const lags = await this.#isAheadOf(database)
      const page = await database.changesPage({ since: this.#cursor, limit })
      if (this.#reading !== reading) return page.pending
      for (const { event } of page.changes) {
        const identity = `${event.key} ${event.hash}`
        // A box cannot know that an event which it holds in one log also stands in another that
        // the reader has and it has not: then, and only then, an event may come twice.
        const mayRepeat = lags && event.source !== undefined
        if (this.seen.has(identity) && !mayRepeat) this.faults.push(`${identity} came twice`)
        this.seen.add(identity)
      }
      this.#cursor = page.lastVersion
      return page.pending
    } finally {
      if (this.#reading === reading) this.#reading = undefined
    }
  }

  /** Whether the reader has read, elsewhere, what this box has not got yet. */
  async #isAheadOf(database: Database): Promise<boolean> {
    const bytes = Buffer.from(this.#cursor.slice(1), 'base64url')
    const position = this.#cursor === '0' ? undefined : decodePosition(bytes)
    const held = new Map((await database.status()).logs.map((log) => [log.log, log.held]))
    return (position ?? []).some(({ log, seq }) => (held.get(log) ?? 0) < seq)
  }
}
