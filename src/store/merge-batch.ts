/**
 * What a batch of commits does to the set of events, shared by every store: which events are new,
 * which are held already, which contradict one that is held. Pure; the store reads before and
 * writes after.
 */

import { assert, present } from '../core/assert.ts'
import { compareBytes } from '../core/bytes.ts'
import { lastSeq } from '../core/commit.ts'
import type { Commit, CommitEvent, LogId } from '../core/commit.ts'
import { emptyTip, follows, tipAfter } from '../core/log.ts'
import type { EventKey } from '../core/event-key.ts'
import type { ForkPoint, Occurrence, StoredLog } from './event-store.ts'
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
  readonly #branches = new Map<LogId, StoredLog[]>()
  readonly #order: StoredLog[] = []

  constructor(logs: readonly StoredLog[]) {
    for (const log of logs) this.#set(log)
  }

  all(): readonly StoredLog[] {
    return this.#order
  }

  get(id: LogId): StoredLog | undefined {
    return this.#branches.get(id)?.[0]
  }

  branches(id: LogId): readonly StoredLog[] {
    return this.#branches.get(id) ?? []
  }

  /** Extends the branch that the commit follows; makes the log, or the branch, that it begins. */
  extend(commit: Commit, fork?: ForkPoint): StoredLog {
    const before = fork === undefined ? this.#followed(commit) : this.#branchOff(commit, fork)
    assert(follows(commit, before.tip), 'a commit follows the tip of its log')
    assert(commit.recorded > before.tip.recorded, 'recorded time rises along a log')
    const after = { ...before, tip: tipAfter(before.tip, commit) }
    assert(after.tip.seq === lastSeq(commit), 'sequence numbers are dense')
    this.#set(after)
    return after
  }

  copy(): LogTable {
    return new LogTable(this.#order)
  }

  #followed(commit: Commit): StoredLog {
    const branches = this.branches(commit.origin.id)
    const held = branches.find(({ tip }) => follows(commit, tip)) ?? branches[0]
    return held ?? { number: this.#order.length, tip: emptyTip(commit.origin), fork: undefined }
  }

  #branchOff({ origin, previous }: Commit, fork: ForkPoint): StoredLog {
    const parent = present(this.#order[fork.parent], 'a branch leaves a stored log')
    assert(parent.tip.origin.id === origin.id, 'a branch leaves its own log')
    assert(fork.seq < parent.tip.seq, 'a branch leaves a log before its tip')
    const tip = { ...emptyTip(origin), seq: fork.seq, hash: previous }
    return { number: this.#order.length, tip, fork }
  }

  #set(log: StoredLog): void {
    assert(log.number <= this.#order.length, 'log numbers are dense')
    const { id } = log.tip.origin
    const branches = this.#branches.get(id) ?? []
    const index = branches.findIndex(({ number }) => number === log.number)
    branches[index < 0 ? branches.length : index] = log
    this.#branches.set(id, branches)
    this.#order[log.number] = log
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
