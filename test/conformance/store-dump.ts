/** Everything that a store answers, in a form that can be compared with that of another. */

import { toHex } from '../../src/core/bytes.ts'
import { eventKey, keyAfter } from '../../src/core/event-key.ts'
import type { EventKey } from '../../src/core/event-key.ts'
import type { Commit } from '../../src/core/commit.ts'
import type {
  CommitSlice,
  EventStore,
  ForkPoint,
  KeyRange,
  StoreBatch,
  StoredEvent
} from '../../src/store/event-store.ts'
import { KnownLogs } from '../../src/store/known-logs.ts'

/** Asks every read method, at every place of the store and around it. */
export async function dump(store: EventStore): Promise<unknown> {
  const commits = await allCommits(store)
  const keys = distinctKeys(commits.flatMap((commit) => commit.keys))
  const asked = [...keys, ...keys.flatMap((key) => keyAfter(key) ?? []), LOWEST, HIGHEST]
  return {
    logs: store.logs().map(({ number, tip, fork }) => {
      const { origin, seq, hash, recorded } = tip
      const branches = store.branches(origin.id).map((branch) => branch.number)
      return { number, log: origin.id, seq, hash: toHex(hash), recorded, fork, branches }
    }),
    counts: [store.eventCount(), store.arrival(), store.clockCeiling()],
    highestKey: shownKey(store.highestKey()),
    getMany: (await store.getMany(asked)).map(shownEvent),
    getAll: await Promise.all(asked.map(async (key) => (await store.getAll(key)).map(shownEvent))),
    scans: await dumpScans(store, keys),
    commits: await dumpCommits(store),
    seqBefore: await dumpSeqBefore(store),
    readEvents: await dumpReads(store, commits),
    conflicts: (await collect(store.conflicts())).map(toHex),
    occurrences: await dumpOccurrences(store)
  }
}

/** A batch of these commits, with the places at which they fork logs. */
export async function batchOf(
  store: EventStore,
  commits: readonly Commit[],
  clockCeiling: bigint
): Promise<StoreBatch> {
  const known = new KnownLogs(store)
  const forks = new Map<Commit, ForkPoint>()
  for (const commit of commits) {
    const placement = await known.place(commit)
    known.add(commit, placement)
    if (placement.type === 'branch') forks.set(commit, placement.fork)
  }
  return { commits, clockCeiling, forks }
}

export async function collect<T>(source: AsyncIterable<T>): Promise<T[]> {
  const values: T[] = []
  for await (const value of source) values.push(value)
  return values
}

/** What comes until there is no more, or an error. */
export async function readUntilError(
  source: AsyncIterable<readonly StoredEvent[]>
): Promise<{ readonly events: StoredEvent[]; readonly error: unknown }> {
  const events: StoredEvent[] = []
  try {
    for await (const some of source) events.push(...some)
  } catch (error) {
    return { events, error }
  }
  return { events, error: undefined }
}

export async function scanAll(store: EventStore, range: KeyRange = {}): Promise<StoredEvent[]> {
  return (await collect(store.scan(range))).flat()
}

export async function allCommits(store: EventStore): Promise<CommitSlice['commit'][]> {
  const perLog = store.logs().map((log) => store.commits(log, 0, 1_000))
  return (await Promise.all(perLog)).flat()
}

export function shownEvent(event: StoredEvent | undefined): unknown {
  if (event === undefined) return undefined
  // By name: not every store has them as members of their own.
  const { key, value, hash, place, log, seq, recorded, conflict, repeated, alternate } = event
  const at = { log, seq, recorded, conflict, repeated, alternate }
  const values = { value: Buffer.from(value).toString(), text: event.text() }
  return { key: toHex(key), ...values, hash: toHex(hash), place: toHex(place), ...at }
}

async function dumpScans(store: EventStore, keys: readonly EventKey[]): Promise<unknown> {
  const middle = keys[Math.floor(keys.length / 2)]
  const ranges: KeyRange[] = [
    {},
    { reverse: true },
    { chunk: 1 },
    { from: middle },
    { to: middle },
    { from: middle, to: middle },
    { from: middle, reverse: true, chunk: 2 },
    { to: middle, reverse: true, chunk: 2 },
    { from: HIGHEST, to: LOWEST }
  ]
  return Promise.all(
    ranges.map(async (range) =>
      (await collect(store.scan(range))).map((each) => each.map(shownEvent))
    )
  )
}

async function dumpCommits(store: EventStore): Promise<unknown> {
  const answers: unknown[] = []
  for (const log of store.logs()) {
    for (let afterSeq = 0; afterSeq <= log.tip.seq + 1; afterSeq += 1) {
      for (const countMax of [1, 2, 1_000]) {
        answers.push((await store.commits(log, afterSeq, countMax)).map(shownCommit))
      }
    }
  }
  return answers
}

async function dumpSeqBefore(store: EventStore): Promise<unknown> {
  const answers: unknown[] = []
  for (const log of store.logs()) {
    for (let stamp = 0n; stamp <= log.tip.recorded + 1n; stamp += 1n) {
      answers.push(await store.seqBefore(log, stamp))
    }
  }
  return answers
}

async function dumpReads(
  store: EventStore,
  commits: readonly CommitSlice['commit'][]
): Promise<unknown> {
  const whole = commits.map((commit) => ({ commit, from: 0, to: commit.keys.length }))
  const parts = commits.map((commit) => ({
    commit,
    from: Math.floor(commit.keys.length / 2),
    to: Math.max(Math.floor(commit.keys.length / 2), commit.keys.length - 1)
  }))
  const reads = [whole, parts, whole.toReversed(), []]
  return Promise.all(
    reads.map(async (slices) =>
      (await store.readEvents(slices)).map((each) => each.map(shownEvent))
    )
  )
}

async function dumpOccurrences(store: EventStore): Promise<unknown> {
  const events = await scanAll(store)
  return Promise.all(events.map((event) => store.occurrences(event)))
}

function shownCommit(commit: CommitSlice['commit']): unknown {
  const { previous, hash, signature, keys, ...rest } = commit
  const shown = { previous: toHex(previous), hash: toHex(hash), signature: toHex(signature) }
  return { ...rest, ...shown, keys: keys.map(toHex) }
}

function shownKey(key: EventKey | undefined): string | undefined {
  return key === undefined ? undefined : toHex(key)
}

function distinctKeys(keys: readonly EventKey[]): EventKey[] {
  return [...new Map(keys.map((key) => [toHex(key), key])).entries()]
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([, key]) => key)
}

const LOWEST = eventKey(new Uint8Array(16))
const HIGHEST = eventKey(new Uint8Array(16).fill(255))
