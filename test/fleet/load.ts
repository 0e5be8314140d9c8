/** Writers and readers that go on while boxes fall and come back, and what they were told. */

import { setTimeout as pause } from 'node:timers/promises'

import type { Prng } from '../../scripts/simulate/prng.ts'
import type { Box } from './box.ts'

/** Mean wait between two commits of a writer, ms: a box with several scanners. */
const WRITE_MS = 15
/** Far above what so few events take; without it the processes of a load that stands still would stay. */
const MORE_MS_MAX = 60_000

export class Load {
  /** Keys that were acknowledged, and by which box. */
  readonly acknowledged = new Map<string, string>()
  readonly #database: string
  readonly #prng: Prng
  readonly #writers: Promise<void>[] = []
  #stopped = false
  #offered = 0

  constructor(database: string, prng: Prng) {
    this.#database = database
    this.#prng = prng
  }

  /** A writer at a box, for as long as the load goes on. A box that is down is waited for. */
  add(box: Box): void {
    this.#writers.push(this.#write(box))
  }

  /** Resolves once so many more events were acknowledged. */
  async more(count: number): Promise<void> {
    const until = this.acknowledged.size + count
    const endMs = performance.now() + MORE_MS_MAX
    while (this.acknowledged.size < until) {
      if (this.#stopped) throw new Error('the load was stopped')
      if (performance.now() > endMs) {
        throw new Error(`${this.acknowledged.size} of ${until} events were acknowledged`)
      }
      await pause(WRITE_MS)
    }
  }

  async stop(): Promise<void> {
    this.#stopped = true
    await Promise.all(this.#writers)
  }

  async #write(box: Box): Promise<void> {
    while (!this.#stopped) {
      await pause(this.#prng.fraction() * 2 * WRITE_MS)
      if (!box.isUp) continue
      const events = Array.from({ length: this.#prng.integer(1, 4) }, () => this.#invent(box))
      try {
        const results = await box.append(this.#database, events)
        for (const { key } of results) this.acknowledged.set(key, box.init.name)
      } catch {
        // Killed, stopped, or the database has not come to it yet: nothing was acknowledged.
      }
    }
  }

  #invent(box: Box): object {
    this.#offered += 1
    const data = { box: box.init.name, n: this.#offered }
    if (this.#prng.fraction() < 0.5) return { data }
    const daysAgo = this.#prng.integer(0, 30)
    return { data, time: new Date(Date.now() - daysAgo * 86_400_000).toISOString() }
  }
}

/** Follows the feed of one box by its short cursor, and by the portable one where that is refused. */
export class FeedReader {
  /** `key text` of every event. */
  readonly seen = new Set<string>()
  resets = 0
  readonly #box: Box
  readonly #database: string
  #lc = '0'
  #version = '0'

  constructor(box: Box, database: string) {
    this.#box = box
    this.#database = database
  }

  /** Reads to the end; nothing where the box is down or does not have the database yet. */
  async read(): Promise<void> {
    while (this.#box.isUp) {
      const page = await this.#box.feedPage(this.#database, this.#lc).catch(() => undefined)
      if (page === undefined) return
      if (page === 'replaced') {
        this.resets += 1
        this.#lc = this.#version
        continue
      }
      for (const { key, text } of page.events) this.seen.add(`${key} ${text}`)
      this.#lc = page.lc
      this.#version = page.version
      if (page.pending === 0) return
    }
  }
}
