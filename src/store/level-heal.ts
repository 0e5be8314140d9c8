/**
 * Puts together the records of commits that are held, as they would be had nothing become of them.
 *
 * An event's record also tells of other commits that hold its key: those are found by a walk over
 * all commit records, which takes some 5 µs a commit, while writes wait. So there is one walk for as
 * many commits as are healed together.
 */

import { assert, present } from '../core/assert.ts'
import { compareBytes, equalBytes } from '../core/bytes.ts'
import { lastSeq } from '../core/commit.ts'
import type { Commit, CommitEvent } from '../core/commit.ts'
import type { EventKey } from '../core/event-key.ts'
import type { Stamp } from '../core/hybrid-logical-clock.ts'
import { regionBytes } from '../../protocols/event/codec.ts'
import { LaterbaseError } from '../errors.ts'
import { seal, unsealed } from './checksum.ts'
import { eventPut } from './event-record.ts'
import type { RecordPut } from './event-record.ts'
import type { Occurrence, StoredLog } from './event-store.ts'
import {
  arrivalRecordKey,
  commitRecordKey,
  conflictRecordKey,
  contentRecordKey,
  decodeCommitRecord,
  NO_VALUE,
  decodePlace,
  encodeCommitRecord,
  encodePlace,
  hashText,
  keyText,
  occurrenceRecordKey
} from './key-layout.ts'
import type { Level } from './open-level.ts'
import { KIND } from './record-name.ts'
import { walkLog } from './stretches.ts'

export interface HealInit {
  readonly db: Level
  readonly logs: readonly StoredLog[]
  /** The log of the commits. */
  readonly log: StoredLog
  /** In the order of the log. */
  readonly commits: readonly Commit[]
}

interface Put extends RecordPut {
  readonly type: 'put'
}

/** A place of a key, with when it came here and was recorded. */
interface KeyPlace extends Occurrence {
  readonly arrival: number
  readonly recorded: Stamp
}

/** @throws LATERBASE_STORE_CORRUPT where other damage has to be healed before */
export async function healingPuts(init: HealInit): Promise<Put[]> {
  const { db, log, commits } = init
  for (const commit of commits) {
    assert(commit.firstSeq > (log.fork?.seq ?? 0), 'a commit of the own part of its stored log')
    assert(lastSeq(commit) <= log.tip.seq, 'a commit that is held')
  }
  const arrivals = await findArrivals(init)
  const keys = await findKeys(init, arrivals)
  const puts: Put[] = []
  for (const [index, commit] of commits.entries()) {
    const { firstSeq, previous, recorded, hash, signature, events } = commit
    const arrival = present(arrivals[index], 'an arrival each')
    const head = { log: log.number, firstSeq, arrival, recorded }
    const bytes = regionBytes(events)
    const held = { ...head, previous, hash, signature, bytes, keys: events.map(({ key }) => key) }
    const recordKey = commitRecordKey(log.number, firstSeq)
    puts.push(sealedPut(recordKey, encodeCommitRecord(held)))
    const place = encodePlace({ log: log.number, seq: firstSeq })
    puts.push(sealedPut(arrivalRecordKey(arrival), place))
  }
  for (const heal of keys) puts.push(...(await keyPuts(db, heal)))
  return puts
}

/** Each key of the commits once, with all its places: in the commits, and in others that hold it. */
async function findKeys(init: HealInit, arrivals: readonly number[]): Promise<KeyHeal[]> {
  const { db, logs, log, commits } = init
  const found = new Map<string, KeyHeal>()
  for (const [index, { firstSeq, recorded, events }] of commits.entries()) {
    const arrival = present(arrivals[index], 'an arrival each')
    for (const [at, event] of events.entries()) {
      const place = { log: log.number, seq: firstSeq + at, arrival, recorded }
      const { key } = event
      const heal: KeyHeal = found.get(keyText(key)) ?? { key, places: [], healed: new Map() }
      found.set(keyText(key), heal)
      heal.places.push(place)
      heal.healed.set(place, event)
    }
  }
  const firstSeqs = new Set(commits.map(({ firstSeq }) => firstSeq))
  for (const each of logs) {
    for await (const step of walkLog(db, each)) {
      if (step.type === 'stretch') continue
      const { firstSeq, keys, arrival, recorded } = step.commit
      if (each.number === log.number && firstSeqs.has(firstSeq)) continue
      for (const [at, key] of keys.entries()) {
        found
          .get(keyText(key))
          ?.places.push({ log: each.number, seq: firstSeq + at, arrival, recorded })
      }
    }
  }
  for (const { places } of found.values()) {
    places.sort((a, b) => (a.arrival === b.arrival ? a.seq - b.seq : a.arrival - b.arrival))
  }
  return [...found.values()]
}

/** The numbers under which the commits arrived: of their records, else of the records that name them. */
async function findArrivals({ db, log, commits }: HealInit): Promise<number[]> {
  const arrivals = new Map<number, number>()
  const recordKeys = commits.map(({ firstSeq }) => commitRecordKey(log.number, firstSeq))
  const records = await db.getMany(recordKeys)
  for (const [index, { firstSeq }] of commits.entries()) {
    const [recordKey, record] = [recordKeys[index], records[index]]
    if (recordKey === undefined || record === undefined) continue
    const bytes = unsealed(recordKey, record)
    if (bytes !== undefined) arrivals.set(firstSeq, decodeCommitRecord(recordKey, bytes).arrival)
  }
  if (arrivals.size < commits.length) await findNamedArrivals(db, { log, commits, arrivals })
  return commits.map(({ firstSeq }) => present(arrivals.get(firstSeq), 'an arrival each'))
}

/** Adds what the records of arrivals tell. */
async function findNamedArrivals(
  db: Level,
  {
    log,
    commits,
    arrivals
  }: Pick<HealInit, 'log' | 'commits'> & { readonly arrivals: Map<number, number> }
): Promise<void> {
  const wanted = new Set(commits.map(({ firstSeq }) => firstSeq))
  for (const firstSeq of arrivals.keys()) wanted.delete(firstSeq)
  const range = { gte: Buffer.from([KIND.arrival]), lt: Buffer.from([KIND.arrival + 1]) }
  const taken = new Set(arrivals.values())
  const holes: number[] = []
  let next = 1
  for await (const [key, sealed] of db.iterator(range)) {
    const arrival = key.readUIntBE(1, 6)
    for (; next < arrival; next += 1) holes.push(next)
    next = arrival + 1
    const place = unsealed(key, sealed)
    const at = place === undefined ? undefined : decodePlace(place)
    if (at === undefined) holes.push(arrival)
    else if (at.log === log.number && wanted.delete(at.seq)) arrivals.set(at.seq, arrival)
  }
  // Those that nothing names: a stored log arrived in its order, so that as many holes are theirs.
  const left = holes.filter((arrival) => !taken.has(arrival))
  const unnamed = commits.filter(({ firstSeq }) => wanted.has(firstSeq))
  for (const [index, { firstSeq, origin }] of unnamed.entries()) {
    const arrival = left[index]
    if (arrival === undefined || left.length !== unnamed.length) {
      const message = `when commit ${firstSeq} of log ${origin.id} came is not known any more`
      throw new LaterbaseError('LATERBASE_STORE_CORRUPT', message)
    }
    arrivals.set(firstSeq, arrival)
  }
}

interface KeyHeal {
  readonly key: EventKey
  /** All of them, in order of arrival. */
  readonly places: KeyPlace[]
  /** Those in the commits, with what stands there. */
  readonly healed: Map<KeyPlace, CommitEvent>
}

async function keyPuts(db: Level, heal: KeyHeal): Promise<Put[]> {
  const { key, places, healed } = heal
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
    const event = [...healed.values()].find(({ hash }) => equalBytes(hash, content.hash))
    if (event === undefined) continue
    const [first, ...rest] = content.places
    const { seq, recorded, log: firstLog } = present(first, 'a content stands somewhere')
    const { hash } = content
    const flags = { conflict, repeated: rest.length > 0, alternate: content !== lowest }
    const header = { key, log: firstLog, seq, recorded, hash, ...flags }
    puts.push({ type: 'put', ...eventPut(header, event.value) })
    for (const further of rest) {
      puts.push(sealedPut(occurrenceRecordKey({ key, hash }, further), NO_VALUE))
    }
  }
  if (!conflict) return puts
  puts.push(sealedPut(conflictRecordKey(key), present(hashes[0], 'a first content')))
  for (const [index, place] of places.entries()) {
    if (!healed.has(place)) continue
    puts.push(sealedPut(contentRecordKey(place), present(hashes[index], 'a hash each')))
  }
  return puts
}

/** What stands at each place of a key: by the commits, by the place's record, or the first content. */
async function placeHashes(db: Level, heal: KeyHeal): Promise<Uint8Array[]> {
  const { key, places, healed } = heal
  const conflictKey = conflictRecordKey(key)
  const told = await db.get(conflictKey)
  const records = await db.getMany(places.map(contentRecordKey))
  const own = (place: KeyPlace): Uint8Array | undefined => healed.get(place)?.hash
  // A place of which nothing is told has the content that came first: where the record that says so
  // is damaged, the commit knows, if one of its own places is such a one.
  const untold = places.find((place, index) => records[index] === undefined && own(place))
  const first =
    (told === undefined ? undefined : unsealed(conflictKey, told)) ??
    (untold === undefined ? undefined : own(untold))
  // Without several contents, every place has the one that the commits have.
  const [mine, ...others] = healed.values()
  const isContested =
    told !== undefined ||
    records.some((record) => record !== undefined) ||
    others.some(({ hash }) => mine !== undefined && !equalBytes(hash, mine.hash))
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
