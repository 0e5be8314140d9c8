/**
 * Reads what is left of a damaged store, log by log, from a repaired copy of its files; the files
 * themselves stay as they were found.
 *
 * LevelDB's repair finds all tables and log files, whatever CURRENT and MANIFEST say, but believes
 * what is in them. So nothing of it is believed here: a commit counts when its hash, computed from
 * its events as they are read, is the one that it was stored under and follows the commit before.
 * Signatures are the caller's to check.
 */

import { rm } from 'node:fs/promises'

import { equalBytes } from '../core/bytes.ts'
import { present } from '../core/assert.ts'
import type { Hasher } from '../core/clock.ts'
import { commitHash, logOrigin } from '../core/commit.ts'
import type { Commit, CommitEvent, LogOrigin } from '../core/commit.ts'
import type { EventKey } from '../core/event-key.ts'
import type { Stamp } from '../core/hybrid-logical-clock.ts'
import { tipAfter } from '../core/log.ts'
import type { LogTip } from '../core/log.ts'
import { unsealed } from './checksum.ts'
import { intactEvent, valueOfRecord } from './event-record.ts'
import { lastSeqOf } from './event-store.ts'
import type { StoredCommit, StoreOwner } from './event-store.ts'
import {
  COUNTERS_KEY,
  IDENTITY_KEY,
  alternateRecordKey,
  commitRecordKey,
  conflictRecordKey,
  contentRecordKey,
  decodeCommitRecord,
  decodeCounters,
  decodeIdentity,
  decodeLogRecord,
  eventRecordKey
} from './key-layout.ts'
import { SALVAGE_BYTES, SALVAGE_COMBINATIONS_MAX, SALVAGE_COMMITS } from './limits.ts'
import type { Level } from './open-level.ts'
import { KIND } from './record-name.ts'
import { openRepaired } from './repaired-level.ts'

export interface SalvageOptions {
  /** Where the damaged store's files are; only read. */
  readonly files: string
  /** Where the copy is made, of links as far as there are; gone when closed. */
  readonly copy: string
  readonly owner: StoreOwner
  readonly hasher: Hasher
}

export interface Salvage {
  /** Logs that can be named, with how far they went where that can be read. */
  readonly logs: readonly SalvagedLog[]
  /** The highest stamp that the clock had shown, where that can be read. */
  readonly clockCeiling: Stamp
  /**
   * Whole commits of a stored log that follow a tip, as far as the chain reaches without a hole, in
   * pieces; none where they follow something else. Their signatures are not checked.
   */
  after(log: SalvagedLog, tip: LogTip): AsyncIterable<readonly Commit[]>
  close(): Promise<void>
}

/** A stored log of the damaged store: a log, or a branch of one that was forked. */
export interface SalvagedLog {
  readonly number: number
  readonly origin: LogOrigin
  /** Its first and its last commit of which there is a record; nobody has looked at their events. */
  readonly first: SalvagedCommit
  readonly last: SalvagedCommit
}

export type SalvagedCommit = Pick<StoredCommit, 'firstSeq' | 'previous' | 'hash'> & {
  readonly lastSeq: number
}

/** Rejects when not even LevelDB's repair makes anything of the files. */
export async function openSalvage(options: SalvageOptions): Promise<Salvage> {
  const { files, copy, owner, hasher } = options
  const db = await openRepaired(files, copy)
  return SalvagedStore.read({ db, copy, owner, hasher })
}

interface SalvageInit {
  readonly db: Level
  readonly copy: string
  readonly owner: StoreOwner
  readonly hasher: Hasher
}

class SalvagedStore implements Salvage {
  readonly #init: SalvageInit
  #logs: readonly SalvagedLog[] = []
  #clockCeiling: Stamp = 0n

  static async read(init: SalvageInit): Promise<Salvage> {
    const store = new SalvagedStore(init)
    try {
      store.#logs = await store.#readLogs()
      store.#clockCeiling = await store.#readCeiling()
      return store
    } catch (error) {
      await init.db.close()
      throw error
    }
  }

  private constructor(init: SalvageInit) {
    this.#init = init
  }

  get logs(): readonly SalvagedLog[] {
    return this.#logs
  }

  get clockCeiling(): Stamp {
    return this.#clockCeiling
  }

  async *after({ number }: SalvagedLog, tip: LogTip): AsyncGenerator<readonly Commit[]> {
    let here = tip
    for (;;) {
      const { commits, isEnd } = await this.#readChain(number, here)
      const last = commits.at(-1)
      if (last === undefined) return
      yield commits
      if (isEnd) return
      here = tipAfter(here, last)
    }
  }

  async close(): Promise<void> {
    await this.#init.db.close()
    await rm(this.#init.copy, { recursive: true, force: true })
  }

  /** The next commits behind a tip, up to the first hole. */
  async #readChain(
    number: number,
    tip: LogTip
  ): Promise<{ readonly commits: Commit[]; readonly isEnd: boolean }> {
    const gte = commitRecordKey(number, tip.seq + 1)
    const lt = commitRecordKey(number + 1, 0)
    const records = await this.#init.db.iterator({ gte, lt, limit: SALVAGE_COMMITS }).all()
    const chain: StoredCommit[] = []
    let [seq, hash, recorded, bytes] = [tip.seq, tip.hash, tip.recorded, 0]
    for (const [key, record] of records) {
      if (bytes > SALVAGE_BYTES) break
      const stored = readCommit(key, record)
      if (stored?.firstSeq !== seq + 1 || !equalBytes(stored.previous, hash)) break
      if (stored.recorded <= recorded) break
      chain.push(stored)
      seq += stored.keys.length
      hash = stored.hash
      recorded = stored.recorded
      bytes += stored.bytes
    }
    const commits = await this.#readWhole(chain, tip.origin)
    const isEnd = commits.length < chain.length || chain.length === 0
    return { commits, isEnd }
  }

  /** The commits with their events, up to the first whose events are not all as they were. */
  async #readWhole(chain: readonly StoredCommit[], origin: LogOrigin): Promise<Commit[]> {
    const contents = await this.#contents(chain.flatMap(({ keys }) => keys))
    const commits: Commit[] = []
    let at = 0
    for (const stored of chain) {
      const { firstSeq, previous, recorded, hash, signature, keys } = stored
      const ofCommit = contents.slice(at, at + keys.length)
      at += keys.length
      const draft = { origin, firstSeq, previous, recorded }
      await this.#choose(stored, ofCommit)
      let events: readonly CommitEvent[] | undefined
      for (const candidate of candidates(ofCommit)) {
        const found = commitHash({ ...draft, events: candidate }, this.#init.hasher)
        if (equalBytes(found, hash)) events = candidate
        if (events !== undefined) break
      }
      if (events === undefined) return commits
      commits.push({ ...draft, events, hash, signature })
    }
    return commits
  }

  /** By key, in order: every content of it that can be read. What is right the commit's hash tells. */
  async #contents(keys: readonly EventKey[]): Promise<CommitEvent[][]> {
    const { db, hasher } = this.#init
    const recordKeys = keys.map(eventRecordKey)
    const records = await db.getMany(recordKeys)
    const found: CommitEvent[][] = []
    for (const [index, key] of keys.entries()) {
      const recordKey = present(recordKeys[index], 'a record key each')
      const record = records[index]
      const event = record && intactEvent(recordKey, record, hasher)
      if (event !== undefined) {
        const others = event.conflict ? await this.#alternates(key) : []
        found.push([event, ...others])
      } else {
        const damaged = record === undefined ? [] : [eventOf(key, record, hasher)]
        found.push([...damaged, ...(await this.#alternates(key))])
      }
    }
    return found
  }

  /** Of several contents, the one that stands at the place, where a record that can be read says so. */
  async #choose(commit: StoredCommit, contents: CommitEvent[][]): Promise<void> {
    const { db } = this.#init
    for (const [index, each] of contents.entries()) {
      if (each.length < 2) continue
      const place = { log: commit.log, seq: commit.firstSeq + index }
      const key = present(commit.keys[index], 'a key each')
      for (const recordKey of [contentRecordKey(place), conflictRecordKey(key)]) {
        const record = await db.get(recordKey)
        const hash = record === undefined ? undefined : unsealed(recordKey, record)
        const told = each.find((event) => hash !== undefined && equalBytes(event.hash, hash))
        if (told === undefined) continue
        contents[index] = [told]
        break
      }
    }
  }

  async #alternates(key: EventKey): Promise<CommitEvent[]> {
    const { db, hasher } = this.#init
    const gte = alternateRecordKey(key, Buffer.alloc(1))
    const lte = alternateRecordKey(key, Buffer.alloc(32, 0xff))
    const records = await db.iterator({ gte, lte }).all()
    return records.map(([, record]) => eventOf(key, record, hasher))
  }

  /** Logs by their records; and those whose record is gone but whose first commit names them. */
  async #readLogs(): Promise<SalvagedLog[]> {
    const { db, owner, hasher } = this.#init
    const origins = new Map<number, LogOrigin>()
    const range = { gte: Buffer.from([KIND.log]), lt: Buffer.from([KIND.log + 1]) }
    for await (const [key, record] of db.iterator(range)) {
      const bytes = unsealed(key, record)
      if (bytes === undefined || key.length !== 5) continue
      const context = { number: key.readUInt32BE(1), database: owner.database, hasher }
      origins.set(context.number, decodeLogRecord(bytes, context).tip.origin)
    }
    const own = await this.#ownOrigin()
    const logs: SalvagedLog[] = []
    for (const [number, ends] of await this.#readEnds()) {
      const origin = origins.get(number) ?? (await this.#namedBy(ends.first, logs, own))
      if (origin !== undefined) logs.push({ number, origin, ...ends })
    }
    return logs
  }

  /** By log number, rising, the first and the last commit of which there is a record. */
  async #readEnds(): Promise<Map<number, Pick<SalvagedLog, 'first' | 'last'>>> {
    const ends = new Map<number, Pick<SalvagedLog, 'first' | 'last'>>()
    const range = { gte: Buffer.from([KIND.commit]), lt: Buffer.from([KIND.commit + 1]) }
    for await (const [key, record] of this.#init.db.iterator(range)) {
      const commit = readCommit(key, record)
      if (commit === undefined) continue
      const { firstSeq, previous, hash } = commit
      const last = { firstSeq, previous, hash, lastSeq: lastSeqOf(commit) }
      ends.set(commit.log, { first: ends.get(commit.log)?.first ?? last, last })
    }
    return ends
  }

  /** The log of a commit: it begins our own, or branches off one that came before it. */
  async #namedBy(
    { firstSeq, previous }: SalvagedCommit,
    before: readonly SalvagedLog[],
    own: LogOrigin | undefined
  ): Promise<LogOrigin | undefined> {
    if (own !== undefined && equalBytes(previous, own.hash)) return own
    for (const { number, origin } of before) {
      if (equalBytes(previous, origin.hash)) return origin
      const range = { gte: commitRecordKey(number, 0), lt: commitRecordKey(number, firstSeq) }
      const [entry] = await this.#init.db.iterator({ ...range, reverse: true, limit: 1 }).all()
      const left = entry === undefined ? undefined : readCommit(...entry)
      if (left !== undefined && equalBytes(left.hash, previous)) return origin
    }
    return undefined
  }

  /** The log that the damaged store itself wrote. */
  async #ownOrigin(): Promise<LogOrigin | undefined> {
    const { db, owner, hasher } = this.#init
    const record = await db.get(IDENTITY_KEY)
    if (record === undefined) return undefined
    try {
      return logOrigin({ ...owner, nonce: decodeIdentity(record).nonce }, hasher)
    } catch {
      // It cannot be read, and then it names nothing.
      return undefined
    }
  }

  async #readCeiling(): Promise<Stamp> {
    const record = await this.#init.db.get(COUNTERS_KEY)
    const bytes = record === undefined ? undefined : unsealed(COUNTERS_KEY, record)
    return bytes === undefined ? 0n : decodeCounters(bytes).clockCeiling
  }
}

function readCommit(key: Buffer, record: Buffer): StoredCommit | undefined {
  if (key.length !== 11) return undefined
  const bytes = unsealed(key, record)
  return bytes === undefined ? undefined : decodeCommitRecord(key, bytes)
}

/** Whatever its header says: the commit's hash tells whether it is the right one. */
function eventOf(key: EventKey, record: Buffer, hasher: Hasher): CommitEvent {
  const value = valueOfRecord(record)
  return { key, value, hash: hasher.sha256(value) }
}

/** Lists of events that a commit may have held: one, but for keys whose contents no record tells. */
function* candidates(contents: readonly CommitEvent[][]): Generator<readonly CommitEvent[]> {
  let combinations = 1
  for (const each of contents) combinations *= each.length
  for (let number = 0; number < Math.min(combinations, SALVAGE_COMBINATIONS_MAX); number += 1) {
    let rest = number
    yield contents.map((each) => {
      const event = present(each[rest % each.length], 'one of them')
      rest = Math.floor(rest / each.length)
      return event
    })
  }
}
