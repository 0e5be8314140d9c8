/** The gossip message that says what a new commit holds: a hint, never proof. See spec.md. */

import { HASH_BYTES, LOG_ID_BYTES } from '../commit/codec.ts'
import { KEY_BYTES } from '../event/codec.ts'
import { ANNOUNCED_KEYS_MAX, COMMIT_EVENTS_MAX } from '../limits.ts'
import type { Rejected } from '../rejected.ts'
import { Writer, decode, refuse } from '../wire.ts'

export const ANNOUNCE_FORMAT = 1

export interface Announcement {
  readonly log: Uint8Array
  readonly firstSeq: number
  readonly count: number
  readonly hash: Uint8Array
  /** The keys of the commit's events, the first ANNOUNCED_KEYS_MAX of them, in commit order. */
  readonly keys: readonly Uint8Array[]
}

export function encodeAnnouncement(announcement: Announcement): Uint8Array {
  return new Writer(64 + KEY_BYTES * announcement.keys.length)
    .byte(ANNOUNCE_FORMAT)
    .fixed(announcement.log)
    .varint(announcement.firstSeq)
    .varint(announcement.count)
    .fixed(announcement.hash)
    .list(announcement.keys, (writer, key) => writer.fixed(key))
    .finish()
}

export function decodeAnnouncement(bytes: Uint8Array): Announcement | Rejected {
  return decode(bytes, (reader) => {
    const format = reader.byte()
    if (format !== ANNOUNCE_FORMAT) refuse('unknown-value', `announcement format ${format}`)
    const log = reader.fixed(LOG_ID_BYTES)
    const firstSeq = reader.varint()
    const count = reader.varint(COMMIT_EVENTS_MAX)
    if (firstSeq === 0 || count === 0) refuse('not-allowed', 'an empty commit')
    const hash = reader.fixed(HASH_BYTES)
    const keys = reader.list(ANNOUNCED_KEYS_MAX, (inner) => inner.fixed(KEY_BYTES))
    if (keys.length !== Math.min(count, ANNOUNCED_KEYS_MAX)) {
      refuse('not-allowed', `${keys.length} keys for ${count} events`)
    }
    return { log, firstSeq, count, hash, keys }
  })
}
