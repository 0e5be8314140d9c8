/** Puts the LevelDB batch of one write together: events, commits, arrivals, tips, counters. */

import { present } from '../core/assert.ts'
import { compareBytes } from '../core/bytes.ts'
import type { Commit } from '../core/commit.ts'
import type { EventKey } from '../core/event-key.ts'
import type { Stamp } from '../core/hybrid-logical-clock.ts'
import { regionBytes } from '../../protocols/event/codec.ts'
import { LaterbaseError } from '../errors.ts'
import {
  COUNTERS_KEY,
  EVENT_HEADER_BYTES,
  alternateRecordKey,
  arrivalRecordKey,
  commitRecordKey,
  conflictRecordKey,
  encodeCommitRecord,
  encodeCounters,
  encodeLogRecord,
  encodePlace,
  encodePlaces,
  eventRecordKey,
  keyText,
  logRecordKey,
  occurrenceRecordKey,
  writeEventRecord
} from './key-layout.ts'
import type { StoreCounters } from './key-layout.ts'
import { CHAINED_BATCH_BYTES_MAX } from './limits.ts'
import { addContent } from './merge-batch.ts'
import type { KeyState, LogTable } from './merge-batch.ts'
import type { Level } from './open-level.ts'

export interface BatchStart {
  /** Changed by the batch. */
  readonly logs: LogTable
  readonly counters: StoreCounters
  /** By `keyText`, what is stored of keys that cannot be written blindly; changed by the batch. */
  readonly held: ReadonlyMap<string, KeyState>
}

export class LevelBatch {
  readonly logs: LogTable
  readonly #held: ReadonlyMap<string, KeyState>
  readonly #puts: { key: Buffer; value: Buffer }[] = []
  readonly #deletes: Buffer[] = []
  readonly #touched = new Set<string>()
  readonly #grown = new Set<number>()
  #bytes = 0
  #eventCount: number
  #arrival: number
  #highestKey: EventKey | undefined

  constructor({ logs, counters, held }: BatchStart) {
    this.logs = logs
    this.#held = held
    this.#eventCount = counters.eventCount
    this.#arrival = counters.arrival
    this.#highestKey = counters.highestKey
  }

  add(commit: Commit): void {
    const log = this.logs.extend(commit)
    this.#grown.add(log.number)
    this.#arrival += 1
    this.#addEvents(commit, log.number)
    const { firstSeq, previous, recorded, hash, signature } = commit
    const keys = commit.events.map((event) => event.key)
    const bytes = regionBytes(commit.events)
    const head = { log: log.number, firstSeq, arrival: this.#arrival, recorded }
    this.#put(
      commitRecordKey(log.number, firstSeq),
      encodeCommitRecord({ ...head, previous, hash, signature, bytes, keys })
    )
    const place = encodePlace({ log: log.number, seq: firstSeq })
    this.#put(arrivalRecordKey(this.#arrival), place)
  }

  /** Adds the keys that were held already, the logs' new tips, and the counters, which it returns. */
  finish(clockCeiling: Stamp): StoreCounters {
    for (const text of this.#touched) this.#putState(present(this.#held.get(text), 'a held key'))
    for (const number of this.#grown) {
      const { tip } = present(this.logs.all()[number], 'a grown log is in the table')
      this.#put(logRecordKey(number), encodeLogRecord(tip))
    }
    const counters = {
      eventCount: this.#eventCount,
      arrival: this.#arrival,
      highestKey: this.#highestKey,
      clockCeiling
    }
    this.#put(COUNTERS_KEY, encodeCounters(counters))
    return counters
  }

  async write(db: Level): Promise<void> {
    try {
      if (this.#bytes > CHAINED_BATCH_BYTES_MAX) {
        const puts = this.#puts.map(({ key, value }) => ({ type: 'put' as const, key, value }))
        const deletes = this.#deletes.map((key) => ({ type: 'del' as const, key }))
        await db.batch([...deletes, ...puts], { sync: true })
        return
      }
      const batch = db.batch()
      for (const key of this.#deletes) batch.del(key)
      for (const { key, value } of this.#puts) batch.put(key, value)
      await batch.write({ sync: true })
    } catch (cause) {
      throw new LaterbaseError('LATERBASE_STORE_FAILED', 'the store did not take a write', {
        cause
      })
    }
  }

  #addEvents(commit: Commit, log: number): void {
    let length = 0
    for (const event of commit.events) length += EVENT_HEADER_BYTES + event.value.length
    const slab = Buffer.allocUnsafe(length)
    let at = 0
    let seq = commit.firstSeq
    const { recorded } = commit
    for (const event of commit.events) {
      const held = this.#held.size === 0 ? undefined : this.#held.get(keyText(event.key))
      if (held === undefined) {
        const end = at + EVENT_HEADER_BYTES + event.value.length
        const header = { log, seq, recorded, hash: event.hash, conflict: false, repeated: false }
        writeEventRecord(slab, at, header, event.value)
        this.#put(eventRecordKey(event.key), slab.subarray(at, end))
        at = end
        this.#count(event.key)
      } else {
        this.#touched.add(keyText(event.key))
        const content = { recorded, places: [{ log, seq }] }
        if (addContent(held, event, content)) this.#count(event.key)
      }
      seq += 1
    }
  }

  #count(key: EventKey): void {
    this.#eventCount += 1
    const highest = this.#highestKey
    if (highest === undefined || compareBytes(key, highest) > 0) this.#highestKey = key
  }

  #putState(state: KeyState): void {
    const conflict = state.contents.length > 1
    if (conflict) this.#put(conflictRecordKey(state.key), Buffer.alloc(0))
    for (const [index, content] of state.contents.entries()) {
      const [first, ...others] = content.places
      const { log, seq } = present(first, 'a content stands somewhere')
      const record = Buffer.allocUnsafe(EVENT_HEADER_BYTES + content.value.length)
      const { recorded, hash, value } = content
      const repeated = others.length > 0
      const header = { log, seq, recorded, hash, conflict, repeated }
      writeEventRecord(record, 0, header, value)
      const isLowest = index === 0
      this.#put(isLowest ? eventRecordKey(state.key) : alternateRecordKey(state.key, hash), record)
      if (isLowest && conflict) this.#deletes.push(alternateRecordKey(state.key, hash))
      if (repeated) this.#put(occurrenceRecordKey(state.key, hash), encodePlaces(others))
    }
  }

  #put(key: Buffer, value: Buffer): void {
    this.#puts.push({ key, value })
    this.#bytes += key.length + value.length
  }
}
