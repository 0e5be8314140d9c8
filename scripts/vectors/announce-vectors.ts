/** The vectors of `protocols/announce`. */

import {
  BAD_VARINTS,
  STORY,
  byte,
  bytesOf,
  counting,
  hex,
  part,
  replaced,
  truncations,
  varint
} from './material.ts'
import type { Part, VectorCommit } from './material.ts'

export function validAnnouncements(): object {
  return {
    announcements: [STORY.gate1, STORY.gate2, STORY.gate3, STORY.dock1].map((commit) => ({
      name: commit.name,
      topic: `/laterbase/announce/1.0.0/${commit.log.database}`,
      hex: hex(bytesOf(announcementParts(commit))),
      log: hex(commit.log.id),
      first_seq: commit.firstSeq,
      count: commit.events.length,
      hash: hex(commit.hash),
      keys: commit.events.map(({ key }) => hex(key))
    }))
  }
}

export function invalidAnnouncements(): object {
  const parts = announcementParts(STORY.gate1)
  const message = (name: string, bytes: Uint8Array, code: string): object => ({
    name,
    hex: hex(bytes),
    code
  })
  const field = (name: string, bytes: Uint8Array): Uint8Array => replaced(parts, name, bytes)
  const head = parts.slice(0, 5)
  return {
    announcements: [
      ...truncations(parts).map(({ name, bytes }) => message(`cut ${name}`, bytes, 'truncated')),
      message('a byte too many', Buffer.concat([bytesOf(parts), byte(0)]), 'trailing-bytes'),
      message('format 0', field('format', byte(0)), 'unknown-value'),
      message('format 2', field('format', byte(2)), 'unknown-value'),
      message('sequence number 0', field('first_seq', varint(0)), 'not-allowed'),
      message('no events', field('count', varint(0)), 'not-allowed'),
      message('10,001 events', field('count', varint(10_001)), 'over-limit'),
      message('fewer keys than events', field('count', varint(3)), 'not-allowed'),
      message('more keys than events', field('count', varint(1)), 'not-allowed'),
      message('no keys', bytesOf([...head, part('key count', varint(0))]), 'not-allowed'),
      message(
        '2,049 keys, and no bytes behind the count',
        bytesOf([...head, part('key count', varint(2_049))]),
        'over-limit'
      ),
      message(
        '2^53 - 1 keys, and no bytes behind the count',
        bytesOf([...head, part('key count', varint(2n ** 53n - 1n))]),
        'over-limit'
      ),
      message(
        '2,048 keys, and the bytes of one',
        bytesOf([...head, part('key count', varint(2_048)), part('key', counting(0, 16))]),
        'truncated'
      ),
      ...BAD_VARINTS.flatMap(({ name, bytes }) => [
        message(`first_seq: ${name}`, field('first_seq', bytes), 'bad-varint'),
        message(`count: ${name}`, field('count', bytes), 'bad-varint'),
        message(`key count: ${name}`, field('key count', bytes), 'bad-varint')
      ])
    ]
  }
}

function announcementParts(commit: VectorCommit): Part[] {
  return [
    part('format', byte(1)),
    part('log', commit.log.id),
    part('first_seq', varint(commit.firstSeq)),
    part('count', varint(commit.events.length)),
    part('hash', commit.hash),
    part('key count', varint(commit.events.length)),
    ...commit.events.map(({ key }, index) => part(`key ${index}`, key))
  ]
}
