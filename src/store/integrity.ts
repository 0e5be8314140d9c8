/**
 * Goes through all that an open store holds, in pieces, and says what is not as it was written:
 * tables against LevelDB's checksums; every log, dense and chained, from its beginning to its tip;
 * each commit's hash, computed anew from its events as they are read; that each event stands where its
 * commit has it; that there is nothing beside the commits; and, where asked for, every signature.
 *
 * Slow and patient: it yields between pieces and leaves the writer alone. A commit that came while it
 * ran is passed over or seen whole.
 */

import { equalBytes } from '../core/bytes.ts'
import { present } from '../core/assert.ts'
import type { Hasher } from '../core/clock.ts'
import { commitHash } from '../core/commit.ts'
import type { CommitDraft } from '../core/commit.ts'
import { isLaterbaseError } from '../errors.ts'
import { unsealed } from './checksum.ts'
import { intactEvent, isContested } from './event-record.ts'
import type {
  CheckOptions,
  CheckStep,
  EventStore,
  StoredCommit,
  StoredEvent,
  StoredLog
} from './event-store.ts'
import {
  arrivalRecordKey,
  conflictRecordKey,
  encodePlace,
  isAlternate,
  keyOfRecord
} from './key-layout.ts'
import { CHECK_BYTES_MAX, SCAN_BYTES, SCAN_CHUNK } from './limits.ts'
import { isLevelDamage } from './open-level.ts'
import type { Level } from './open-level.ts'
import { KIND, recordName } from './record-name.ts'
import { findStretches, stretchOf, walkLog } from './stretches.ts'
import { firstTableFault } from './table-scan.ts'

export interface CheckInit extends CheckOptions {
  readonly db: Level
  readonly store: EventStore
  readonly location: string
  readonly hasher: Hasher
}

/** What the commits come to, to be compared with what else is stored. */
interface Tally {
  commits: number
  /** Places that are the first of their event: as many as events. */
  firsts: number
  /** Places that are further ones. */
  others: number
  stretches: number
}

export async function* checkStore(init: CheckInit): AsyncGenerator<CheckStep> {
  const table = await firstTableFault(init.location, Infinity)
  if (table !== undefined) yield { type: 'rebuild', detail: table }
  try {
    yield* checkRecords(init)
  } catch (error) {
    // What has to be made anew may be such that it cannot be gone through.
    const isDamaged = isLevelDamage(error) || isLaterbaseError(error, 'LATERBASE_STORE_CORRUPT')
    if (table === undefined || !isDamaged) throw error
  }
}

async function* checkRecords(init: CheckInit): AsyncGenerator<CheckStep> {
  const { store, signal } = init
  const total = store.arrival()
  const tally: Tally = { commits: 0, firsts: 0, others: 0, stretches: 0 }
  for (const log of store.logs()) {
    for await (const piece of pieces(init.db, log)) {
      signal?.throwIfAborted()
      for (const step of await checkPiece(init, log, { ...piece, tally })) {
        tally.stretches += 1
        yield step
      }
      yield { type: 'progress', done: Math.min(tally.commits, total), total }
    }
  }
  if (tally.stretches === 0 && store.arrival() === total) yield* checkRest(init, tally)
}

interface Piece {
  readonly commits: readonly StoredCommit[]
  /** Stretches before, between or after them. */
  readonly gaps: readonly CheckStep[]
}

/** Commits of a log, so many that their events fit in memory. */
async function* pieces(db: Level, log: StoredLog): AsyncGenerator<Piece> {
  let commits: StoredCommit[] = []
  let gaps: CheckStep[] = []
  let bytes = 0
  for await (const step of walkLog(db, log)) {
    if (step.type === 'stretch') {
      const { after, toSeq } = step.stretch
      const detail = `events ${after.seq + 1} to ${toSeq} of log ${log.tip.origin.id} are damaged or gone`
      gaps.push({ type: 'stretch', detail, stretch: step.stretch })
      continue
    }
    commits.push(step.commit)
    bytes += step.commit.bytes
    if (bytes < CHECK_BYTES_MAX && commits.length < SCAN_CHUNK) continue
    yield { commits, gaps }
    commits = []
    gaps = []
    bytes = 0
  }
  yield { commits, gaps }
}

async function checkPiece(
  init: CheckInit,
  log: StoredLog,
  { commits, gaps, tally }: Piece & { readonly tally: Tally }
): Promise<CheckStep[]> {
  const found: CheckStep[] = [...gaps]
  const read = await readEach(init.store, commits)
  const arrivals = await init.db.getMany(commits.map(({ arrival }) => arrivalRecordKey(arrival)))
  for (const [index, commit] of commits.entries()) {
    tally.commits += 1
    const fault =
      arrivalFault(commit, arrivals[index]) ??
      (await commitFault(init, log, { commit, events: read[index], tally }))
    if (fault === undefined) continue
    const detail = `commit ${commit.firstSeq} of log ${log.tip.origin.id}: ${fault}`
    found.push({ type: 'stretch', detail, stretch: stretchOf(log, commit) })
  }
  return found
}

/** The events of each commit, or why they cannot be read: one that is damaged spoils no other. */
async function readEach(
  store: EventStore,
  commits: readonly StoredCommit[]
): Promise<(readonly StoredEvent[] | string)[]> {
  const slice = (commit: StoredCommit) => ({ commit, from: 0, to: commit.keys.length })
  try {
    return await store.readEvents(commits.map(slice))
  } catch (error) {
    if (!isLaterbaseError(error, 'LATERBASE_STORE_CORRUPT')) throw error
    const [only, further] = commits
    if (only === undefined || further === undefined) return [error.message]
    const middle = commits.length >> 1
    const before = await readEach(store, commits.slice(0, middle))
    return [...before, ...(await readEach(store, commits.slice(middle)))]
  }
}

function arrivalFault(commit: StoredCommit, record: Buffer | undefined): string | undefined {
  const key = arrivalRecordKey(commit.arrival)
  const place = record === undefined ? undefined : unsealed(key, record)
  const expected = encodePlace({ log: commit.log, seq: commit.firstSeq })
  return place?.equals(expected) === true ? undefined : 'its record of arrival is damaged or gone'
}

async function commitFault(
  init: CheckInit,
  log: StoredLog,
  read: {
    readonly commit: StoredCommit
    readonly events: readonly StoredEvent[] | string | undefined
    readonly tally: Tally
  }
): Promise<string | undefined> {
  const { commit, events, tally } = read
  if (events === undefined || typeof events === 'string') return events ?? 'its events are gone'
  const { origin } = log.tip
  const { firstSeq, previous, recorded, signature } = commit
  const hash = hashAsRead({ origin, firstSeq, previous, recorded, events }, init.hasher)
  const isRight = hash !== undefined && equalBytes(hash, commit.hash)
  if (!isRight) return 'its events are not those that were hashed'
  for (const [index, event] of events.entries()) {
    const seq = firstSeq + index
    if (event.log === log.number && event.seq === seq) tally.firsts += 1
    else if (await standsAt(init.store, event, { log: log.number, seq })) tally.others += 1
    else return `event ${seq} is not known to stand there`
  }
  const { verifier } = init
  if (verifier === undefined) return undefined
  const isSigned = await verifier.verify(origin.genesis.publicKey, hash, signature)
  return isSigned ? undefined : 'its signature is not that of its log'
}

/** Undefined where a value is not the one whose hash was stored with it. */
function hashAsRead(draft: CommitDraft, hasher: Hasher): Uint8Array | undefined {
  try {
    return commitHash(draft, hasher)
  } catch (error) {
    if (isLaterbaseError(error, 'LATERBASE_STORE_CORRUPT')) return undefined
    throw error
  }
}

async function standsAt(
  store: EventStore,
  event: StoredEvent,
  place: { readonly log: number; readonly seq: number }
): Promise<boolean> {
  if (!event.repeated) return false
  const places = await store.occurrences(event).catch((error: unknown) => {
    if (isLaterbaseError(error, 'LATERBASE_STORE_CORRUPT')) return []
    throw error
  })
  return places.some(({ log, seq }) => log === place.log && seq === place.seq)
}

/** Every record by itself, and that there are as many as the commits come to. */
async function* checkRest(init: CheckInit, tally: Tally): AsyncGenerator<CheckStep> {
  const { db, store, signal, hasher } = init
  const counts = new Map<number, number>()
  let others = 0
  const iterator = db.iterator({ highWaterMarkBytes: SCAN_BYTES })
  try {
    for (;;) {
      signal?.throwIfAborted()
      const entries = await iterator.nextv(SCAN_CHUNK)
      if (entries.length === 0) break
      yield* unlistedConflicts(init, entries)
      for (const [key, record] of entries) {
        const kind = present(key[0], 'no key is empty')
        counts.set(kind, (counts.get(kind) ?? 0) + 1)
        if (kind === KIND.occurrence) others += 1
        if (!isIntact(key, record, hasher)) yield* looseFault(init, key)
      }
    }
  } finally {
    await iterator.close()
  }
  // What was written meanwhile is counted in one and not in the other.
  if (store.arrival() !== tally.commits) return
  const { commits, firsts } = tally
  const comparisons: readonly (readonly [string, number, number])[] = [
    ['events', counts.get(KIND.event) ?? 0, firsts],
    ['counted events', store.eventCount(), firsts],
    ['commits', counts.get(KIND.commit) ?? 0, commits],
    ['arrivals', counts.get(KIND.arrival) ?? 0, commits],
    ['further places', others, tally.others]
  ]
  for (const [name, stored, expected] of comparisons) {
    if (stored === expected) continue
    yield { type: 'rebuild', detail: `${stored} ${name} in place of ${expected}` }
  }
}

/** Keys that say that they have several contents, without the record of which came first. */
async function* unlistedConflicts(
  init: CheckInit,
  entries: readonly (readonly [Buffer, Buffer])[]
): AsyncGenerator<CheckStep> {
  const listKeys = entries
    .filter(([key, record]) => key[0] === KIND.event && !isAlternate(key) && isContested(record))
    .map(([key]) => conflictRecordKey(keyOfRecord(key)))
  if (listKeys.length === 0) return
  const lists = await init.db.getMany(listKeys)
  for (const [index, listKey] of listKeys.entries()) {
    if (lists[index] === undefined) yield* looseFault(init, listKey, 'is gone')
  }
}

/** A record that no commit was seen to need: those that hold its key write it anew, if any do. */
async function* looseFault(
  { db, store }: CheckInit,
  key: Buffer,
  fault = 'does not match its checksum'
): AsyncGenerator<CheckStep> {
  const { name, facts } = recordName(key)
  const detail = `${name} ${fault}`
  const isNamed = Object.keys(facts).length > 0
  const stretches = isNamed ? await findStretches(db, store.logs(), facts) : []
  if (stretches.length === 0) yield { type: 'rebuild', detail }
  for (const stretch of stretches) yield { type: 'stretch', detail, stretch }
}

function isIntact(key: Buffer, record: Buffer, hasher: Hasher): boolean {
  if (key[0] === KIND.event) return intactEvent(key, record, hasher) !== undefined
  // The identity has its check inside, and was read when the store was opened; views are derived.
  if (key[0] === VIEW || (key[0] === KIND.meta && key[1] === IDENTITY)) return true
  return unsealed(key, record) !== undefined
}

const VIEW = 0x05
const IDENTITY = 0x69
