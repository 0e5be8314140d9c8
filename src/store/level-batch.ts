/** Puts the LevelDB batch of one write together: events, commits, arrivals, tips, counters. */

import { present } from '../core/assert.ts'
import { compareBytes } from '../core/bytes.ts'
import type { Commit, CommitEvent } from '../core/commit.ts'
import type { EventKey } from '../core/event-key.ts'
import type { Stamp } from '../core/hybrid-logical-clock.ts'
import { regionBytes } from '../../protocols/event/codec.ts'
import { LaterbaseError } from '../errors.ts'
import { seal } from './checksum.ts'
import { EventSlab, eventPut, eventRecordBytes } from './event-record.ts'
import type { RecordPut } from './event-record.ts'
import type { ForkPoint, Occurrence } from './event-store.ts'
import {
  COUNTERS_KEY,
  NO_VALUE,
  IDENTITY_KEY,
  arrivalRecordKey,
  commitRecordKey,
  conflictRecordKey,
  contentRecordKey,
  encodeCommitRecord,
  encodeCounters,
  encodeIdentity,
  encodeLogRecord,
  encodePlace,
  hashText,
  keyText,
  logRecordKey,
  occurrenceRecordKey
} from './key-layout.ts'
import type { StoreCounters, StoreIdentity } from './key-layout.ts'
import { CHAINED_BATCH_BYTES_MAX } from './limits.ts'
import type { HeldKey } from './held-keys.ts'
import { addContent } from './merge-batch.ts'
import type { Content, LogDraft } from './merge-batch.ts'
import type { Level } from './open-level.ts'

export interface BatchStart {
  /** Changed by the batch. */
  readonly logs: LogDraft
  readonly counters: StoreCounters
  /** By `keyText`, what is stored of keys that cannot be written blindly; changed by the batch. */
  readonly held: ReadonlyMap<string, HeldKey>
}

export class LevelBatch {
  readonly logs: LogDraft
  readonly #held: ReadonlyMap<string, HeldKey>
  readonly #puts: RecordPut[] = []
  /** What the batch changed of the keys held. */
  readonly #touched = new Map<HeldKey, Set<Content>>()
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

  /** @param fork where the commit leaves its log, if it begins a branch */
  add(commit: Commit, fork?: ForkPoint): void {
    const log = this.logs.extend(commit, fork)
    this.#arrival += 1
    this.#addEvents(commit, log.number)
    const { firstSeq, previous, recorded, hash, signature } = commit
    const keys = commit.events.map((event) => event.key)
    const bytes = regionBytes(commit.events)
    const head = { log: log.number, firstSeq, arrival: this.#arrival, recorded }
    this.#seal(
      commitRecordKey(log.number, firstSeq),
      encodeCommitRecord({ ...head, previous, hash, signature, bytes, keys })
    )
    const place = encodePlace({ log: log.number, seq: firstSeq })
    this.#seal(arrivalRecordKey(this.#arrival), place)
  }

  /** Adds the keys that were held already, the logs' new tips, and the counters, which it returns. */
  finish(clockCeiling: Stamp): StoreCounters {
    for (const [held, changed] of this.#touched) this.#putHeld(held, changed)
    for (const log of this.logs.changed()) {
      this.#seal(logRecordKey(log.number), encodeLogRecord(log))
    }
    const counters = {
      eventCount: this.#eventCount,
      arrival: this.#arrival,
      highestKey: this.#highestKey,
      clockCeiling
    }
    this.#seal(COUNTERS_KEY, encodeCounters(counters))
    return counters
  }

  /** Has the store say who it is from now on. */
  identify(identity: StoreIdentity): void {
    this.#put({ key: IDENTITY_KEY, value: encodeIdentity(identity) })
  }

  async write(db: Level): Promise<void> {
    try {
      if (this.#bytes > CHAINED_BATCH_BYTES_MAX) {
        const puts = this.#puts.map(({ key, value }) => ({ type: 'put' as const, key, value }))
        await db.batch(puts, { sync: true })
        return
      }
      const batch = db.batch()
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
    for (const event of commit.events) length += eventRecordBytes(event.value)
    const slab = new EventSlab(length)
    let seq = commit.firstSeq
    const { recorded } = commit
    for (const event of commit.events) {
      const held = this.#held.size === 0 ? undefined : this.#held.get(keyText(event.key))
      if (held === undefined) {
        const { key, hash, value } = event
        this.#put(slab.add({ key, log, seq, recorded, hash, ...FIRST }, value))
        this.#count(key)
      } else {
        this.#addHeld(held, event, { recorded, place: { log, seq } })
      }
      seq += 1
    }
  }

  #count(key: EventKey): void {
    this.#eventCount += 1
    const highest = this.#highestKey
    if (highest === undefined || compareBytes(key, highest) > 0) this.#highestKey = key
  }

  #addHeld(
    held: HeldKey,
    event: CommitEvent,
    at: { readonly recorded: Stamp; readonly place: Occurrence }
  ): void {
    const { content, isNew } = addContent(held, event, at)
    if (isNew) this.#count(event.key)
    const changed = this.#touched.get(held) ?? new Set()
    this.#touched.set(held, changed.add(content))
    // Which of several contents came first is on disk, and not known here: then each place is told.
    const isFirst = held.before?.conflict !== true && content === firstContent(held)
    if (!isFirst) this.#seal(contentRecordKey(at.place), content.hash)
  }

  /** Only what changed: a key with very many contents costs no more than its new ones. */
  #putHeld(held: HeldKey, changed: ReadonlySet<Content>): void {
    const { key, before, contents, lowest } = held
    for (const content of changed) {
      const further = content.places.slice(1)
      // Its record says no more than that there are others.
      if (content.stored !== 'repeated') this.#putContent(held, content, further.length > 0)
      for (const place of further) {
        this.#seal(occurrenceRecordKey({ key, hash: content.hash }, place), NO_VALUE)
      }
    }
    const becomesConflict = before?.conflict !== true && contents.size > 1
    if (becomesConflict) this.#seal(conflictRecordKey(key), firstContent(held).hash)
    if (before === undefined) return
    const answered = present(contents.get(hashText(before.hash)), 'what answered is loaded')
    // It is told of the conflict, or makes room for a lower one.
    const isPut = changed.has(answered) && answered.stored !== 'repeated'
    if (!isPut && (becomesConflict || lowest !== answered)) {
      this.#putContent(held, answered, before.repeated)
    }
  }

  #putContent(held: HeldKey, content: Content, repeated: boolean): void {
    const { recorded, hash, value, places } = content
    const { log, seq } = present(places[0], 'a content stands somewhere')
    const conflict = held.before?.conflict === true || held.contents.size > 1
    const flags = { conflict, repeated, alternate: content !== held.lowest }
    this.#put(eventPut({ key: held.key, log, seq, recorded, hash, ...flags }, value))
  }

  #seal(key: Buffer, value: Uint8Array): void {
    this.#put({ key, value: seal(key, value) })
  }

  #put(put: RecordPut): void {
    this.#puts.push(put)
    this.#bytes += put.key.length + put.value.length
  }
}

/** Of an event whose key nothing is known of. */
const FIRST = { conflict: false, repeated: false, alternate: false }

/** What came first of a key that had one content at the most. */
function firstContent(held: HeldKey): Content {
  const [first] = held.contents.values()
  return present(first, 'a key that is touched has a content')
}
