/** The vectors of `protocols/announce` against the codec. */

import { describe, expect, test } from 'vitest'

import { decodeAnnouncement, encodeAnnouncement } from '../../protocols/announce/codec.ts'
import { isRejected } from '../../protocols/rejected.ts'
import { hex, plain, readVectors, unhex } from './vector-files.ts'
import type { HexVector, InvalidVector } from './vector-files.ts'

const valid = readVectors('announce', 'valid') as {
  readonly announcements: readonly (HexVector & { topic: string })[]
}
const invalid = readVectors('announce', 'invalid') as {
  readonly announcements: readonly InvalidVector[]
}

describe('announcements', () => {
  for (const vector of valid.announcements) {
    test(`${vector.name}: decodes to its fields and encodes back`, () => {
      const decoded = decodeAnnouncement(unhex(vector.hex))
      if (isRejected(decoded)) throw new Error(decoded.detail)
      const { name, topic, hex: message } = vector
      expect({ name, topic, hex: message, ...(plain(decoded) as object) }).toEqual(vector)
      expect(hex(encodeAnnouncement(decoded))).toBe(message)
    })
  }
  for (const vector of invalid.announcements) {
    test(`${vector.name}: ${vector.code}`, () => {
      const decoded = decodeAnnouncement(unhex(vector.hex))
      expect(decoded).toMatchObject({ type: 'rejected', code: vector.code })
    })
  }
})
