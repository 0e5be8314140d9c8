/** Reads of a LevelDB store. Every record that is read was compared with its check. */

import { compareBytes, equalBytes } from '../core/bytes.ts'
import { assert, present } from '../core/assert.ts'
import type { Hasher } from '../core/clock.ts'
import { formatEventKey, keyTimeMs } from '../core/event-key.ts'
import type { EventKey } from '../core/event-key.ts'
import type { Stamp } from '../core/hybrid-logical-clock.ts'
import { LaterbaseError } from '../errors.ts'
import { refuse, unseal } from './checksum.ts'
import { packedKey, readEventRecords, readPackedRecords } from './event-record.ts'
import type { ReadRecord } from './event-record.ts'
import { lastSeqOf } from './event-store.ts'
import type {
  CommitSlice,
  KeyRange,
  Occurrence,
  StoredCommit,
  StoredEvent,
  StoredLog
} from './event-store.ts'
import {
  alternateRecordKey,
  commitRecordKey,
  conflictRecordKey,
  contentRecordKey,
  decodeCommitRecord,
  decodeLogRecord,
  eventRecordKey,
  eventRecordRange,
  isAlternate,
  keyOfRecord,
  keyText,
  logRecordKey,
  occurrenceRange,
  occurrenceRecordKey,
  placeOfRecord
} from './key-layout.ts'
import { RANGE_READ_KEYS_MIN, RANGE_READ_WASTE, SCAN_BYTES, SCAN_CHUNK } from './limits.ts'
import { longScan } from './long-scan.ts'
import type { PackedChunk } from './long-scan.ts'
import type { Level } from './open-level.ts'
import { readChunks, readFirst } from './read-chunk.ts'
import type { Entry } from './read-chunk.ts'
import { KIND, recordName } from './record-name.ts'
import { ScanThreads } from './scan-thread.ts'

/** A place in a commit whose key has several contents. */
interface ContestedPlace extends Occurrence {
  /** What answers for the key; the place may hold another. */
  readonly answers: StoredEvent
  readonly put: (held: StoredEvent) => void
}

export class LevelReader {
  readonly #db: Level
  readonly #hasher: Hasher
  readonly #threads: ScanThreads

  /** @param db open for threads */
  constructor(db: Level, hasher: Hasher) {
    this.#db = db
    this.#hasher = hasher
    this.#threads = new ScanThreads(db.location)
  }

  /** To be awaited before the LevelDB is closed. */
  close(): Promise<void> {
    return this.#threads.close()
  }

  async logs(database: string): Promise<StoredLog[]> {
    const range = { gte: Buffer.from([KIND.log]), lt: Buffer.from([KIND.log + 1]) }
    const logs: StoredLog[] = []
    for await (const [key, value] of this.#db.iterator(range)) {
      const context = { number: logs.length, database, hasher: this.#hasher }
      assert(equalBytes(key, logRecordKey(logs.length)), 'log numbers are dense')
      logs.push(decodeLogRecord(unseal(key, value), context))
    }
    return logs
  }

  async getMany(keys: readonly EventKey[]): Promise<(StoredEvent | undefined)[]> {
    if (keys.length === 0) return []
    return this.#getEvents(keys.map(eventRecordKey))
  }

  async getAll(key: EventKey): Promise<StoredEvent[]> {
    const gte = eventRecordKey(key)
    const lte = alternateRecordKey(key, Buffer.alloc(32, 0xff))
    return this.#readIntact(await this.#db.iterator({ gte, lte }).all())
  }

  async *scan(range: KeyRange): AsyncGenerator<StoredEvent[]> {
    const { from, to, reverse = false, chunk = SCAN_CHUNK, ahead = false } = range
    const { gte, lt } = eventRecordRange(from, to)
    if (ahead && !reverse) {
      for await (const read of longScan({ db: this.#db, threads: this.#threads, gte, lt, chunk })) {
        yield 'packed' in read ? this.#readPacked(read) : this.#readIntact(read.records)
      }
      return
    }
    for await (const records of readChunks(this.#db, { gte, lt, reverse }, chunk)) {
      yield this.#readIntact(records)
    }
  }

  async commits(log: number, afterSeq: number, countMax: number): Promise<StoredCommit[]> {
    const [gte, lt] = [commitRecordKey(log, afterSeq + 1), commitRecordKey(log + 1, 0)]
    const options = { gte, lt, limit: countMax, highWaterMarkBytes: SCAN_BYTES }
    const quick = (await this.#db.iterator(options).all()).map(commitOf)
    // Whoever goes on from a commit's end, as nearly everybody does, sees that none is left out.
    if (areDense(quick, afterSeq)) return quick
    // Fewer than were asked for are all: that they are had to be told.
    const isChecked = quick.length < countMax
    const range = { gte, lt, reverse: false }
    const commits = isChecked ? quick : (await readFirst(this.#db, range, countMax)).map(commitOf)
    const cut = await this.#commitAtOrBefore(log, afterSeq)
    const isCut = cut !== undefined && lastSeqOf(cut) > afterSeq
    return isCut ? [cut, ...commits].slice(0, countMax) : commits
  }

  async seqBefore(log: StoredLog, stamp: Stamp): Promise<number> {
    if (log.tip.recorded < stamp) return log.tip.seq
    // Within a log recorded time rises with the sequence number.
    let [known, unknown] = [log.fork?.seq ?? 0, log.tip.seq]
    while (known < unknown) {
      const middle = Math.ceil((known + unknown) / 2)
      const commit = present(await this.#commitAtOrBefore(log.number, middle), 'a dense log')
      if (commit.recorded < stamp) known = lastSeqOf(commit)
      else unknown = commit.firstSeq - 1
    }
    return known
  }

  async readEvents(slices: readonly CommitSlice[]): Promise<StoredEvent[][]> {
    const keys = slices.flatMap(({ commit, from, to }) => commit.keys.slice(from, to))
    const events = await this.#readSpread(keys)
    const contested: ContestedPlace[] = []
    const read: StoredEvent[][] = []
    let at = 0
    for (const { commit, from, to } of slices) {
      const ofSlice = events.slice(at, at + to - from)
      at += to - from
      for (const [index, event] of ofSlice.entries()) {
        if (!event.conflict) continue
        const place = { log: commit.log, seq: commit.firstSeq + from + index }
        contested.push({ ...place, answers: event, put: (held) => (ofSlice[index] = held) })
      }
      read.push(ofSlice)
    }
    if (contested.length > 0) await this.#readContested(contested)
    return read
  }

  async *conflicts(): AsyncGenerator<EventKey> {
    const [gte, lt] = [Buffer.from([KIND.conflict]), Buffer.from([KIND.conflict + 1])]
    const lists = { gte, lt, reverse: false }
    for await (const records of readChunks(this.#db, lists, SCAN_CHUNK)) {
      for (const [key] of records) yield keyOfRecord(key)
    }
  }

  async occurrences(event: StoredEvent): Promise<readonly Occurrence[]> {
    const places = [{ log: event.log, seq: event.seq }]
    if (!event.repeated) return places
    for await (const [recordKey, record] of this.#db.iterator(occurrenceRange(event))) {
      unseal(recordKey, record)
      places.push(placeOfRecord(recordKey))
    }
    if (places.length === 1) missingRecord(occurrenceRecordKey(event, event))
    return places
  }

  /** Contents of keys by their hash, where they are stored and do not answer for their key. */
  async getAlternates(
    asked: readonly { readonly key: EventKey; readonly hash: Uint8Array }[]
  ): Promise<(StoredEvent | undefined)[]> {
    if (asked.length === 0) return []
    return this.#getEvents(asked.map(({ key, hash }) => alternateRecordKey(key, hash)))
  }

  /** The events of keys in any order; neighbours are read by range, the scattered one by one. */
  async #readSpread(keys: readonly EventKey[]): Promise<StoredEvent[]> {
    // One commit can hold a key 10,000 times, and what answers for it can be large.
    const slots = new Map<string, number>()
    const distinct: EventKey[] = []
    const slotOf = keys.map((key) => {
      const text = keyText(key)
      const slot = slots.get(text) ?? distinct.push(key) - 1
      slots.set(text, slot)
      return slot
    })
    const events = await this.#readDistinct(distinct)
    return slotOf.map((slot) => present(events[slot], 'every key was read'))
  }

  async #readDistinct(keys: readonly EventKey[]): Promise<StoredEvent[]> {
    const found: (StoredEvent | undefined)[] = keys.map(() => undefined)
    if (keys.length >= RANGE_READ_KEYS_MIN) {
      for (const cluster of clusters(keys)) await this.#readRange(keys, cluster, found)
    }
    const rest: number[] = []
    for (const [index, event] of found.entries()) if (event === undefined) rest.push(index)
    const restKeys = rest.map((index) => present(keys[index], 'an index of keys'))
    const events = await this.getMany(restKeys)
    for (const [at, index] of rest.entries()) {
      const key = present(restKeys[at], 'an index of keys')
      found[index] = events[at] ?? this.#missing(key)
    }
    return found.map((event) => present(event, 'every key was read'))
  }

  /**
   * Fills in what a scan from the lowest key finds before it has passed over too much.
   *
   * @param order indexes of the keys wanted, in key order
   */
  async #readRange(
    keys: readonly EventKey[],
    order: readonly number[],
    found: (StoredEvent | undefined)[]
  ): Promise<void> {
    const keyAt = (at: number): EventKey => present(keys[order[at] ?? -1], 'an index of keys')
    const gte = eventRecordKey(keyAt(0))
    // Not beyond the last key: other kinds of records follow the events.
    const lte = eventRecordKey(keyAt(order.length - 1))
    const iterator = this.#db.iterator({ gte, lte, highWaterMarkBytes: SCAN_BYTES })
    try {
      let budget = order.length * RANGE_READ_WASTE
      let next = 0
      while (next < order.length && budget > 0) {
        const entries = await iterator.nextv(Math.min(budget, SCAN_CHUNK))
        if (entries.length === 0) return
        budget -= entries.length
        const wanted: ReadRecord[] = []
        const indexes: number[] = []
        for (const entry of entries) {
          const [recordKey] = entry
          if (isAlternate(recordKey)) continue
          const key = keyOfRecord(recordKey)
          for (; next < order.length; next += 1) {
            const difference = compareBytes(keyAt(next), key)
            if (difference > 0) break
            if (difference < 0) continue
            wanted.push(entry)
            indexes.push(present(order[next], 'an index of keys'))
          }
        }
        for (const [at, event] of this.#readIntact(wanted).entries()) {
          found[present(indexes[at], 'an index a record')] = event
        }
      }
    } finally {
      await iterator.close()
    }
  }

  /** Finds what stands at places whose keys have several contents: a lookup each, no search. */
  async #readContested(places: readonly ContestedPlace[]): Promise<void> {
    const hashes = await this.#contentHashes(places)
    const asked: { place: ContestedPlace; key: EventKey; hash: Uint8Array }[] = []
    for (const [index, place] of places.entries()) {
      const { key, hash: lowest } = place.answers
      const hash = hashes[index] ?? this.#missing(key)
      if (!equalBytes(hash, lowest)) asked.push({ place, key, hash })
    }
    for (const [index, event] of (await this.getAlternates(asked)).entries()) {
      const { place, key } = present(asked[index], 'as many answers as questions')
      place.put(event ?? this.#missing(key))
    }
  }

  /** Hashes of what stands at places: told for the place, or else what came first of the key. */
  async #contentHashes(places: readonly ContestedPlace[]): Promise<(Uint8Array | undefined)[]> {
    const told = await this.#getSealed(places.map(contentRecordKey))
    const firsts = new Map<string, Buffer | undefined>()
    for (const [index, { answers }] of places.entries()) {
      if (told[index] !== undefined || firsts.has(keyText(answers.key))) continue
      const [first] = await this.#getSealed([conflictRecordKey(answers.key)])
      firsts.set(keyText(answers.key), first)
    }
    return places.map(({ answers }, index) => told[index] ?? firsts.get(keyText(answers.key)))
  }

  async #commitAtOrBefore(log: number, seq: number): Promise<StoredCommit | undefined> {
    const [gte, lt] = [commitRecordKey(log, 0), commitRecordKey(log, seq + 1)]
    const [quick] = await this.#db.iterator({ gte, lt, reverse: true, limit: 1 }).all()
    const commit = quick && commitOf(quick)
    if (commit !== undefined && lastSeqOf(commit) >= seq) return commit
    // Where it does not hold the place, another one may have been passed over.
    const [last] = await readFirst(this.#db, { gte, lt, reverse: true }, 1)
    return last && commitOf(last)
  }

  async #getSealed(keys: readonly Buffer[]): Promise<(Buffer | undefined)[]> {
    const records = await this.#db.getMany([...keys])
    return records.map((record, index) => {
      if (record === undefined) return undefined
      return unseal(present(keys[index], 'as many answers as questions'), record)
    })
  }

  /** In the order of the keys of their records. */
  async #getEvents(recordKeys: readonly Buffer[]): Promise<(StoredEvent | undefined)[]> {
    const records = await this.#db.getMany([...recordKeys])
    const found: ReadRecord[] = []
    for (const [index, record] of records.entries()) {
      const recordKey = present(recordKeys[index], 'as many answers as questions')
      if (record !== undefined) found.push([recordKey, record])
    }
    const events = this.#readIntact(found).values()
    return records.map((record) => (record === undefined ? undefined : events.next().value))
  }

  #readIntact(records: readonly ReadRecord[]): StoredEvent[] {
    const events = readEventRecords(records, this.#hasher)
    return events.map((event, index) => {
      return event ?? refuse(present(records[index], 'as many events as records')[0])
    })
  }

  #readPacked({ packed, from, to }: PackedChunk): StoredEvent[] {
    const events = readPackedRecords(packed, { from, to, hasher: this.#hasher })
    return events.map((event, index) => event ?? refuse(packedKey(packed, from + index)))
  }

  #missing(key: EventKey): never {
    const text = formatEventKey(key)
    const message = `event ${text} is in a commit but not in the store`
    throw new LaterbaseError('LATERBASE_STORE_CORRUPT', message, { facts: { key: text } })
  }
}

function commitOf([key, record]: Entry): StoredCommit {
  return decodeCommitRecord(key, unseal(key, record))
}

/** Whether each follows the one before, and the first one a place. */
function areDense(commits: readonly StoredCommit[], afterSeq: number): boolean {
  let last = afterSeq
  for (const commit of commits) {
    if (commit.firstSeq !== last + 1) return false
    last = lastSeqOf(commit)
  }
  return commits.length > 0
}

function missingRecord(recordKey: Buffer): never {
  const { name, facts } = recordName(recordKey)
  const message = `${name} is not in the store`
  throw new LaterbaseError('LATERBASE_STORE_CORRUPT', message, { facts })
}

/**
 * Runs of keys that lie close together, as indexes in key order; keys far from any other are left
 * out. Late events are thin along the time axis, the events of the hour are dense: a gap well above
 * the usual one ends a run.
 */
function clusters(keys: readonly EventKey[]): number[][] {
  const order = keys.map((_, index) => index)
  const keyAt = (index: number): EventKey => present(keys[index], 'an index of keys')
  order.sort((a, b) => compareBytes(keyAt(a), keyAt(b)))
  const times = order.map((index) => keyTimeMs(keyAt(index)))
  const gaps = times.slice(1).map((time, at) => time - present(times[at], 'a time before'))
  const usual = gaps.toSorted((a, b) => a - b)[gaps.length >> 1] ?? 0
  const found: number[][] = []
  let run: number[] = []
  for (const [at, index] of order.entries()) {
    const gap = at === 0 ? 0 : present(gaps[at - 1], 'a gap before')
    if (gap > Math.max(usual * CLUSTER_GAPS, CLUSTER_GAP_MS_MIN)) {
      if (run.length >= RANGE_READ_KEYS_MIN) found.push(run)
      run = []
    }
    run.push(index)
  }
  if (run.length >= RANGE_READ_KEYS_MIN) found.push(run)
  return found
}

/** How many times the usual gap between neighbours ends a run of them. */
const CLUSTER_GAPS = 16
/** Live keys often share a millisecond: then the usual gap is 0 and says nothing. */
const CLUSTER_GAP_MS_MIN = 1_000
