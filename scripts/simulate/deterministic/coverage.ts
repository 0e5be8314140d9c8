/**
 * Which events a cursor of a box covers: those of the commits that end at its places, and of all that these
 * follow. From the commits that disks were seen to take, not from what a store says of itself.
 */

import { toHex } from '../../../src/core/bytes.ts'
import { readCursor } from '../../../src/node/cursor.ts'
import { tagsOf } from '../../../src/node/position.ts'
import type { NodeDatabase } from '../../../src/node/database.ts'
import { SetView } from './ledger.ts'
import type { CommitFacts, Ledger } from './ledger.ts'
import type { PlainEvent } from './plain-views.ts'

/** A set of events. */
export interface Covered {
  readonly events: readonly PlainEvent[]
  readonly ids: ReadonlySet<string>
  /** Equal for equal sets of commits. */
  readonly print: string
}

/** Sets kept: the boxes that are equal ask for the same one. */
const KEPT = 8

export class Coverage {
  readonly #ledger: Ledger
  /** By the ends of their logs; the oldest first. */
  readonly #kept = new Map<string, Covered>()

  constructor(ledger: Ledger) {
    this.#ledger = ledger
  }

  /** Undefined for a cursor whose commits no disk has taken. */
  async of(database: NodeDatabase, cursor: string): Promise<Covered | undefined> {
    const { store } = database
    const { passed, tags: known } = await readCursor(cursor, store)
    const tags = await tagsOf(store, passed, known)
    const ends: CommitFacts[] = []
    for (const [number, tag] of tags) {
      const log = store.logs()[number]?.tip.origin.id ?? ''
      const end = this.#ledger.commitAt(log, passed.get(number) ?? 0, tag)
      if (end === undefined) return undefined
      ends.push(end)
    }
    const name = ends
      .map(({ commit }) => toHex(commit.hash))
      .sort()
      .join()
    const held = this.#kept.get(name) ?? this.#gather(ends)
    this.#kept.delete(name)
    this.#kept.set(name, held)
    const oldest = this.#kept.keys().next()
    if (this.#kept.size > KEPT && oldest.done !== true) this.#kept.delete(oldest.value)
    return held
  }

  #gather(ends: readonly CommitFacts[]): Covered {
    const commits = new Set<CommitFacts>()
    for (const end of ends) {
      let next: CommitFacts | undefined = end
      while (next !== undefined && !commits.has(next)) {
        commits.add(next)
        next = this.#ledger.before(next)
      }
    }
    const view = new SetView()
    const events = new Map<string, PlainEvent>()
    for (const facts of commits) {
      view.add(facts)
      const { recorded } = facts.commit
      for (const [index, { key, hash, value }] of facts.commit.events.entries()) {
        const id = facts.ids[index] ?? ''
        const before = events.get(id)
        const isFirst = before === undefined || recorded < before.recorded
        if (isFirst) events.set(id, { id, key, hash, value, recorded })
      }
    }
    return { events: [...events.values()], ids: view.ids, print: view.print() }
  }
}
