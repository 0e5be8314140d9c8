/**
 * What a batch of commits does to the set of events, shared by every store: which events are new,
 * which are held already, which contradict one that is held. Pure; the store reads before and
 * writes after.
 */

import { assert, present } from '../core/assert.ts'
import { compareBytes } from '../core/bytes.ts'
import { lastSeq } from '../core/commit.ts'
import type { Commit, CommitEvent, LogId } from '../core/commit.ts'
import { placeCommit, emptyTip, tipAfter } from '../core/log.ts'
import type { EventKey } from '../core/event-key.ts'
import type { Occurrence, StoredLog } from './event-store.ts'
import { hashText } from './key-layout.ts'

/** One content of a key. */
export interface Content {
  readonly hash: Uint8Array
  readonly value: Uint8Array
  readonly recorded: bigint
  /** Where it stands, in order of arrival; the first one is written into its record. */
  readonly places: Occurrence[]
}

/**
 * The contents of one key. One commit can hold 10,000 of them, so nothing here may cost what all of
 * them cost for each of them: they are found by hash, and put in order only when they are asked for.
 */
export interface KeyState {
  readonly key: EventKey
  /** By `hashText`, in order of arrival. */
  readonly contents: Map<string, Content>
  /** The one that answers for the key. */
  lowest: Content | undefined
}

/** Adds an event to what its key holds. */
export function addContent(
  state: KeyState,
  event: CommitEvent,
  at: { readonly recorded: bigint; readonly place: Occurrence }
): { readonly content: Content; readonly isNew: boolean } {
  const text = hashText(event.hash)
  const held = state.contents.get(text)
  if (held !== undefined) {
    held.places.push(at.place)
    return { content: held, isNew: false }
  }
  const { hash, value } = event
  const content = { hash, value, recorded: at.recorded, places: [at.place] }
  state.contents.set(text, content)
  const { lowest } = state
  if (lowest === undefined || compareBytes(hash, lowest.hash) < 0) state.lowest = content
  return { content, isNew: true }
}

/** The logs of a store while a batch is put together. */
export class LogTable {
  readonly #logs = new Map<LogId, StoredLog>()
  readonly #order: StoredLog[] = []

  constructor(logs: readonly StoredLog[]) {
    for (const log of logs) this.#set(log)
  }

  all(): readonly StoredLog[] {
    return this.#order
  }

  get(id: LogId): StoredLog | undefined {
    return this.#logs.get(id)
  }

  /** Extends the commit's log by it, and makes the log when this is its first commit. */
  extend(commit: Commit): StoredLog {
    const before = this.get(commit.origin.id) ?? {
      number: this.#order.length,
      tip: emptyTip(commit.origin)
    }
    assert(placeCommit(commit, before.tip) === 'next', 'a commit follows the tip of its log')
    assert(commit.recorded > before.tip.recorded, 'recorded time rises along a log')
    const after = { number: before.number, tip: tipAfter(before.tip, commit) }
    assert(after.tip.seq === lastSeq(commit), 'sequence numbers are dense')
    this.#set(after)
    return after
  }

  copy(): LogTable {
    return new LogTable(this.#order)
  }

  #set(log: StoredLog): void {
    assert(log.number <= this.#order.length, 'log numbers are dense')
    this.#order[log.number] = log
    this.#logs.set(log.tip.origin.id, log)
  }
}

/** Keys that stand more than once in a batch, as text: they cannot be written blindly. */
export function repeatedKeys(
  commits: readonly Commit[],
  text: (key: EventKey) => string
): Set<string> {
  const repeated = new Set<string>()
  if (commits.length === 1 && isAscending(present(commits[0], 'one commit').events)) return repeated
  const seen = new Set<string>()
  for (const commit of commits) {
    for (const event of commit.events) {
      const key = text(event.key)
      if (seen.has(key)) repeated.add(key)
      seen.add(key)
    }
  }
  return repeated
}

function isAscending(events: readonly CommitEvent[]): boolean {
  for (let index = 1; index < events.length; index += 1) {
    const [before, here] = [events[index - 1], events[index]]
    if (before === undefined || here === undefined) return false
    if (compareBytes(before.key, here.key) >= 0) return false
  }
  return true
}
