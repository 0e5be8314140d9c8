/**
 * Puts together the records of a commit that is held, as they would be had nothing become of them.
 *
 * An event's record also tells of other commits that hold its key: those are found by a walk over
 * all commit records, which takes some 5 µs a commit. Healing is rare.
 */

import { assert, present } from '../core/assert.ts'
import { compareBytes, equalBytes } from '../core/bytes.ts'
import { lastSeq } from '../core/commit.ts'
import type { Commit } from '../core/commit.ts'
import type { EventKey } from '../core/event-key.ts'
import type { Stamp } from '../core/hybrid-logical-clock.ts'
import { regionBytes } from '../../protocols/event/codec.ts'
import { LaterbaseError } from '../errors.ts'
import { seal, unsealed } from './checksum.ts'
import type { Occurrence, StoredCommit, StoredLog } from './event-store.ts'
import {
  EVENT_HEADER_BYTES,
  alternateRecordKey,
  arrivalRecordKey,
  commitRecordKey,
  conflictRecordKey,
  contentRecordKey,
  decodeCommitRecord,
  NO_VALUE,
  decodePlace,
  encodeCommitRecord,
  encodePlace,
  eventRecordKey,
  hashText,
  keyText,
  occurrenceRecordKey,
  writeEventRecord
} from './key-layout.ts'
import type { Level } from './open-level.ts'
import { KIND } from './record-name.ts'
import { walkLog } from './stretches.ts'

export interface HealInit {
  readonly db: Level
  readonly logs: readonly StoredLog[]
  /** The log of the commit. */
  readonly log: StoredLog
  readonly commit: Commit
}

interface Put {
  readonly type: 'put'
  readonly key: Buffer
  readonly value: Buffer
}

/** A place of a key, with when it came here and was recorded. */
interface KeyPlace extends Occurrence {
  readonly arrival: number
  readonly recorded: Stamp
}

/** @throws LATERBASE_STORE_CORRUPT where other damage has to be healed before */
export async function healingPuts(init: HealInit): Promise<Put[]> {
  const { db, log, commit } = init
  assert(commit.firstSeq > (log.fork?.seq ?? 0), 'a commit of the own part of its stored log')
  assert(lastSeq(commit) <= log.tip.seq, 'a commit that is held')
  const others = await findOthers(init)
  const arrival = await findArrival(init)
  const { firstSeq, previous, recorded, hash, signature, events } = commit
  const keys = events.map((event) => event.key)
  const head = { log: log.number, firstSeq, arrival, recorded }
  const bytes = regionBytes(events)
  const recordKey = commitRecordKey(log.number, firstSeq)
  const record = encodeCommitRecord({ ...head, previous, hash, signature, bytes, keys })
  const place = encodePlace({ log: log.number, seq: firstSeq })
  const puts = [sealedPut(recordKey, record), sealedPut(arrivalRecordKey(arrival), place)]
  const healed = new Set<string>()
  for (const key of keys) {
    if (healed.has(keyText(key))) continue
    healed.add(keyText(key))
    const here = events.flatMap((event, index): KeyPlace[] => {
      const at = { log: log.number, seq: firstSeq + index, arrival, recorded }
      return equalBytes(event.key, key) ? [at] : []
    })
    const places = [...(others.get(keyText(key)) ?? []), ...here].toSorted((a, b) => {
      return a.arrival === b.arrival ? a.seq - b.seq : a.arrival - b.arrival
    })
    puts.push(...(await keyPuts(db, { key, places, commit, log: log.number })))
  }
  return puts
}

/** Where other commits hold the keys of this one. */
async function findOthers({ db, logs, log, commit }: HealInit): Promise<Map<string, KeyPlace[]>> {
  const wanted = new Set(commit.events.map((event) => keyText(event.key)))
  const others = new Map<string, KeyPlace[]>()
  const add = ({ arrival, recorded, ...held }: StoredCommit): void => {
    for (const [index, key] of held.keys.entries()) {
      const text = keyText(key)
      if (!wanted.has(text)) continue
      const place = { log: held.log, seq: held.firstSeq + index, arrival, recorded }
      others.set(text, [...(others.get(text) ?? []), place])
    }
  }
  for (const each of logs) {
    for await (const step of walkLog(db, each)) {
      if (step.type === 'stretch') continue
      const isThis = each.number === log.number && step.commit.firstSeq === commit.firstSeq
      if (!isThis) add(step.commit)
    }
  }
  return others
}

/** The number under which the commit arrived: of its record, else of the record that names it. */
async function findArrival({ db, log, commit }: HealInit): Promise<number> {
  const recordKey = commitRecordKey(log.number, commit.firstSeq)
  const record = await db.get(recordKey)
  const bytes = record === undefined ? undefined : unsealed(recordKey, record)
  if (bytes !== undefined) return decodeCommitRecord(recordKey, bytes).arrival
  const range = { gte: Buffer.from([KIND.arrival]), lt: Buffer.from([KIND.arrival + 1]) }
  const holes: number[] = []
  let next = 1
  for await (const [key, sealed] of db.iterator(range)) {
    const arrival = key.readUIntBE(1, 6)
    for (; next < arrival; next += 1) holes.push(next)
    next = arrival + 1
    const place = unsealed(key, sealed)
    const at = place === undefined ? undefined : decodePlace(place)
    if (at === undefined) holes.push(arrival)
    else if (at.log === log.number && at.seq === commit.firstSeq) return arrival
  }
  const [only, further] = holes
  if (only !== undefined && further === undefined) return only
  const message = `when commit ${commit.firstSeq} of log ${commit.origin.id} came is not known any more`
  throw new LaterbaseError('LATERBASE_STORE_CORRUPT', message)
}

interface KeyHeal {
  readonly key: EventKey
  /** All of them, in order of arrival. */
  readonly places: readonly KeyPlace[]
  readonly commit: Commit
  /** Number of the commit's log. */
  readonly log: number
}

async function keyPuts(db: Level, heal: KeyHeal): Promise<Put[]> {
  const { key, places, commit, log } = heal
  const hashes = await placeHashes(db, heal)
  const byHash = new Map<string, { readonly hash: Uint8Array; readonly places: KeyPlace[] }>()
  for (const [index, place] of places.entries()) {
    const hash = present(hashes[index], 'a hash each')
    const content = byHash.get(hashText(hash)) ?? { hash, places: [] }
    byHash.set(hashText(hash), content)
    content.places.push(place)
  }
  const contents = [...byHash.values()]
  const lowest = contents.toSorted((a, b) => compareBytes(a.hash, b.hash))[0]
  const conflict = contents.length > 1
  const puts: Put[] = []
  for (const content of contents) {
    const event = commit.events.find((each) => {
      return equalBytes(each.key, key) && equalBytes(each.hash, content.hash)
    })
    if (event === undefined) continue
    const [first, ...rest] = content.places
    const { seq, recorded, log: firstLog } = present(first, 'a content stands somewhere')
    const { hash } = content
    const recordKey = content === lowest ? eventRecordKey(key) : alternateRecordKey(key, hash)
    const value = Buffer.allocUnsafe(EVENT_HEADER_BYTES + event.value.length)
    const header = { recordKey, log: firstLog, seq, recorded, hash, conflict }
    writeEventRecord(value, 0, { ...header, repeated: rest.length > 0 }, event.value)
    puts.push({ type: 'put', key: recordKey, value })
    for (const further of rest) {
      puts.push(sealedPut(occurrenceRecordKey({ key, hash }, further), NO_VALUE))
    }
  }
  if (!conflict) return puts
  puts.push(sealedPut(conflictRecordKey(key), present(hashes[0], 'a first content')))
  for (const [index, place] of places.entries()) {
    if (place.log !== log) continue
    if (place.seq < commit.firstSeq || place.seq > lastSeq(commit)) continue
    puts.push(sealedPut(contentRecordKey(place), present(hashes[index], 'a hash each')))
  }
  return puts
}

/** What stands at each place of a key: by the commit, by the place's record, or the first content. */
async function placeHashes(db: Level, heal: KeyHeal): Promise<Uint8Array[]> {
  const { key, places, commit, log } = heal
  const conflictKey = conflictRecordKey(key)
  const told = await db.get(conflictKey)
  const records = await db.getMany(places.map(contentRecordKey))
  const own = (place: KeyPlace): Uint8Array | undefined =>
    place.log === log ? commit.events[place.seq - commit.firstSeq]?.hash : undefined
  // A place of which nothing is told has the content that came first: where the record that says so
  // is damaged, the commit knows, if one of its own places is such a one.
  const untold = places.find((place, index) => records[index] === undefined && own(place))
  const first =
    (told === undefined ? undefined : unsealed(conflictKey, told)) ??
    (untold === undefined ? undefined : own(untold))
  // Without several contents, every place has the one that the commit has.
  const mine = commit.events.find((event) => equalBytes(event.key, key))
  const isContested = told !== undefined || records.some((record) => record !== undefined)
  return places.map((place, index) => {
    const record = records[index]
    const content = record === undefined ? undefined : unsealed(contentRecordKey(place), record)
    const otherwise = isContested ? first : mine?.hash
    const hash = own(place) ?? content ?? (record === undefined ? otherwise : undefined)
    if (hash !== undefined) return hash
    const message = `what stands at ${place.seq} of log number ${place.log} is not known any more`
    const facts = { log: place.log, seq: place.seq }
    throw new LaterbaseError('LATERBASE_STORE_CORRUPT', message, { facts })
  })
}

function sealedPut(key: Buffer, bytes: Uint8Array): Put {
  return { type: 'put', key, value: seal(key, bytes) }
}
