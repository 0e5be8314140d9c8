/**
 * The store in memory: the twin of the one on disk, for tests, simulation and throw-away nodes.
 * Kept plain on purpose: it is the model that the conformance suite compares the other with.
 */

import { assert, present } from '../core/assert.ts'
import { compareBytes, equalBytes, toHex } from '../core/bytes.ts'
import type { Hasher, Rng } from '../core/clock.ts'
import { logOrigin } from '../core/commit.ts'
import type { Commit, LogId, LogOrigin } from '../core/commit.ts'
import type { EventKey } from '../core/event-key.ts'
import { regionBytes } from '../../protocols/event/codec.ts'
import type { Stamp } from '../core/hybrid-logical-clock.ts'
import { HASH_HEAD_BYTES, lastSeqOf } from './event-store.ts'
import type {
  CheckStep,
  CommitSlice,
  EventStore,
  KeyRange,
  Occurrence,
  StoreBatch,
  StoredCommit,
  StoredEvent,
  StoredLog,
  StoreOwner,
  Stretch
} from './event-store.ts'
import { hashText } from './key-layout.ts'
import { SCAN_CHUNK } from './limits.ts'
import { LogDraft, LogTable, addContent } from './merge-batch.ts'
import type { Content, KeyState } from './merge-batch.ts'

export interface MemoryStoreOptions {
  readonly owner: StoreOwner
  readonly hasher: Hasher
  readonly rng: Rng
}

export function createMemoryStore(options: MemoryStoreOptions): EventStore {
  return new MemoryStore(options)
}

class MemoryStore implements EventStore {
  readonly #owner: StoreOwner
  readonly #hasher: Hasher
  readonly found = 'new'
  incarnation: string
  ownLog: LogOrigin
  readonly #logs = new LogTable([])
  readonly #commits: StoredCommit[] = []
  readonly #states = new Map<string, KeyState>()
  /** What stands at each place: by log number, then by sequence number. */
  readonly #places: Content[][] = []
  /** Keys in order, made anew when asked for after a write. */
  #sorted: KeyState[] | undefined
  #clockCeiling: Stamp = 0n
  #eventCount = 0
  #closed = false

  constructor({ owner, hasher, rng }: MemoryStoreOptions) {
    this.#owner = owner
    this.#hasher = hasher
    this.incarnation = toHex(rng.bytes(8))
    this.ownLog = logOrigin({ ...owner, nonce: rng.bytes(16) }, hasher)
  }

  logs(): readonly StoredLog[] {
    return this.#logs.all()
  }

  log(id: LogId): StoredLog | undefined {
    return this.#logs.get(id)
  }

  branches(id: LogId): readonly StoredLog[] {
    return this.#logs.branches(id)
  }

  eventCount(): number {
    return this.#eventCount
  }

  arrival(): number {
    return this.#commits.length
  }

  clockCeiling(): Stamp {
    return this.#clockCeiling
  }

  highestKey(): EventKey | undefined {
    return this.#inOrder().at(-1)?.key
  }

  async write(batch: StoreBatch): Promise<void> {
    assert(!this.#closed, 'the store is open')
    const logs = new LogDraft(this.#logs)
    const numbers = batch.commits.map((commit) => {
      return logs.extend(commit, batch.forks?.get(commit)).number
    })
    this.#logs.apply(logs)
    for (const [index, commit] of batch.commits.entries()) {
      const log = present(numbers[index], 'a log that was extended')
      const { firstSeq, recorded, previous, hash, signature } = commit
      const keys = commit.events.map((event) => event.key)
      const bytes = regionBytes(commit.events)
      const arrival = this.#commits.length + 1
      this.#commits.push({
        log,
        firstSeq,
        arrival,
        recorded,
        previous,
        hash,
        signature,
        bytes,
        keys
      })
      for (const [index, event] of commit.events.entries()) {
        const state = this.#states.get(toHex(event.key)) ?? emptyState(event.key)
        this.#states.set(toHex(event.key), state)
        const seq = firstSeq + index
        const { content, isNew } = addContent(state, event, { recorded, place: { log, seq } })
        if (isNew) this.#eventCount += 1
        const places = (this.#places[log] ??= [])
        places[seq] = content
      }
    }
    this.#clockCeiling = batch.clockCeiling
    this.#sorted = undefined
    if (batch.renewal === undefined) return
    const { incarnation, nonce } = batch.renewal
    this.incarnation = incarnation
    this.ownLog = logOrigin({ ...this.#owner, nonce }, this.#hasher)
  }

  refusal(): undefined {
    return undefined
  }

  onReopened(): void {
    // Memory does not fail.
  }

  async getMany(keys: readonly EventKey[]): Promise<(StoredEvent | undefined)[]> {
    return keys.map((key) => {
      const state = this.#states.get(toHex(key))
      return state?.lowest === undefined ? undefined : eventOf(state, state.lowest)
    })
  }

  async getAll(key: EventKey): Promise<StoredEvent[]> {
    const state = this.#states.get(toHex(key))
    return state === undefined ? [] : eventsOf(state)
  }

  async *scan(range: KeyRange): AsyncGenerator<StoredEvent[]> {
    const { from, to } = range
    const events = this.#inOrder()
      .filter(({ key }) => from === undefined || compareBytes(key, from) >= 0)
      .filter(({ key }) => to === undefined || compareBytes(key, to) < 0)
      .flatMap(eventsOf)
    if (range.reverse === true) events.reverse()
    const chunk = range.chunk ?? SCAN_CHUNK
    for (let at = 0; at < events.length; at += chunk) yield events.slice(at, at + chunk)
  }

  async commits(log: StoredLog, afterSeq: number, countMax: number): Promise<StoredCommit[]> {
    return this.#commits
      .filter((commit) => commit.log === log.number)
      .filter((commit) => lastSeqOf(commit) > afterSeq)
      .slice(0, countMax)
  }

  async seqBefore(log: StoredLog, stamp: Stamp): Promise<number> {
    const last = this.#commits.findLast(
      (commit) => commit.log === log.number && commit.recorded < stamp
    )
    return last === undefined ? (log.fork?.seq ?? 0) : lastSeqOf(last)
  }

  async readEvents(slices: readonly CommitSlice[]): Promise<StoredEvent[][]> {
    return slices.map(({ commit, from, to }) =>
      commit.keys.slice(from, to).map((key, index) => {
        const seq = commit.firstSeq + from + index
        const state = present(this.#states.get(toHex(key)), 'an event of a commit is stored')
        return eventOf(state, present(this.#places[commit.log]?.[seq], 'a content at each place'))
      })
    )
  }

  async *conflicts(): AsyncGenerator<EventKey> {
    for (const { key, contents } of this.#inOrder()) if (contents.size > 1) yield key
  }

  async occurrences(event: StoredEvent): Promise<readonly Occurrence[]> {
    const state = present(this.#states.get(toHex(event.key)), 'a stored event')
    const { places } = present(state.contents.get(hashText(event.hash)), 'a stored content')
    const [first, ...further] = places
    const sorted = further.sort((a, b) => a.log - b.log || a.seq - b.seq)
    return [present(first, 'a content stands somewhere'), ...sorted]
  }

  /** Memory is not what is watched for damage here. */
  async damagedAt(): Promise<readonly Stretch[]> {
    return []
  }

  async heal(log: StoredLog, commits: readonly Commit[]): Promise<void> {
    for (const { firstSeq, hash } of commits) {
      const held = this.#commits.find(
        (each) => each.log === log.number && each.firstSeq === firstSeq
      )
      assert(held !== undefined && equalBytes(held.hash, hash), 'a commit that is held')
    }
  }

  async *check(): AsyncGenerator<CheckStep> {
    const total = this.#commits.length
    yield { type: 'progress', done: total, total }
  }

  async diskBytes(): Promise<number> {
    return 0
  }

  async close(): Promise<void> {
    this.#closed = true
  }

  #inOrder(): KeyState[] {
    this.#sorted ??= [...this.#states.values()].sort((a, b) => compareBytes(a.key, b.key))
    return this.#sorted
  }
}

function emptyState(key: EventKey): KeyState {
  return { key, contents: new Map(), lowest: undefined }
}

function eventsOf(state: KeyState): StoredEvent[] {
  const contents = [...state.contents.values()].sort((a, b) => compareBytes(a.hash, b.hash))
  return contents.map((content) => eventOf(state, content))
}

function eventOf(state: KeyState, content: Content): StoredEvent {
  const first = present(content.places[0], 'a content stands somewhere')
  return {
    key: state.key,
    value: content.value,
    text: () => textOf(content.value),
    hash: content.hash,
    get place() {
      return Buffer.concat([state.key, content.hash.subarray(0, HASH_HEAD_BYTES)])
    },
    ...first,
    recorded: content.recorded,
    conflict: state.contents.size > 1,
    repeated: content.places.length > 1,
    alternate: content !== state.lowest
  }
}

function textOf({ buffer, byteOffset, length }: Uint8Array): string {
  return Buffer.from(buffer, byteOffset, length).toString()
}
