/** Records of events: what is written is read, and any change of it is seen, by the read or by the hash. */

import fc from 'fast-check'
import { expect, test } from 'vitest'

import type { Hasher } from '../../src/core/clock.ts'
import { eventKey } from '../../src/core/event-key.ts'
import { systemHasher } from '../../src/node/system.ts'
import {
  EventSlab,
  eventPut,
  eventRecordBytes,
  intactEvent,
  isContested,
  packedCount,
  packedKey,
  readEventRecord,
  readEventRecords,
  readPackedRecords
} from '../../src/store/event-record.ts'
import type {
  EventHeader,
  PackedRecords,
  ReadRecord,
  RecordPut
} from '../../src/store/event-record.ts'
import type { StoredEvent } from '../../src/store/event-store.ts'
import { alternateRecordKey, eventRecordKey } from '../../src/store/key-layout.ts'
import { READ_PIECE_BYTES } from '../../src/store/limits.ts'
import { xxh32 } from '../../src/store/xxh32.ts'

/** Fails a read that hashes. */
const noHasher: Hasher = {
  sha256: () => {
    throw new Error('a hash that nobody asked for')
  }
}

/** Also of such sizes that the copy of a record, of which its check is made, needs room of its own. */
const values = fc.oneof(
  { weight: 9, arbitrary: fc.uint8Array({ minLength: 1, maxLength: 300 }) },
  fc
    .tuple(fc.constantFrom(16_000, 16_384, 262_144), fc.nat(500))
    .map(([most, less]) => Buffer.alloc(most - less, less))
)

const events = fc
  .record({
    key: fc.uint8Array({ minLength: 16, maxLength: 16 }).map(eventKey),
    log: fc.nat(2 ** 31 - 1),
    seq: fc.nat(2 ** 48 - 1),
    recorded: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
    conflict: fc.boolean(),
    repeated: fc.boolean(),
    alternate: fc.boolean(),
    value: values
  })
  .map(({ value, ...rest }) => ({ value, header: { ...rest, hash: systemHasher.sha256(value) } }))

test('records of any events, one behind the other, are read as they were written', () => {
  fc.assert(
    fc.property(fc.array(events, { maxLength: 8 }), (written) => {
      const lengths = written.map(({ value, header }) => eventRecordBytes(value, header.alternate))
      const slab = new EventSlab(lengths.reduce((sum, length) => sum + length, 0))
      const puts: RecordPut[] = []
      for (const { header, value } of written) {
        const put = slab.add(header, value)
        const { key, hash, alternate } = header
        const alone = eventPut(header, value)
        expect([put.key.equals(alone.key), put.value.equals(alone.value)]).toEqual([true, true])
        expect(put.key).toEqual(alternate ? alternateRecordKey(key, hash) : eventRecordKey(key))
        expect(put.value.subarray(27, -4).equals(value)).toBe(true)
        expect(isContested(put.value)).toBe(header.conflict)
        puts.push(put)
      }
      const records = puts.map(({ key, value }): ReadRecord => [key, value])
      const made = written.map(({ header, value }) => {
        const place = Buffer.concat([header.key, header.hash.subarray(0, 8)])
        return { ...header, value, place, text: () => Buffer.from(value).toString() }
      })
      for (const read of [readEventRecords, readPacked]) {
        expect(read(records, systemHasher).map(shown)).toEqual(made.map(shown))
      }
    })
  )
})

test('of packed records any part is read', () => {
  const parts = fc.record({
    written: fc.array(events, { maxLength: 8 }),
    from: fc.nat(8),
    to: fc.nat(8)
  })
  fc.assert(
    fc.property(parts, ({ written, ...ends }) => {
      const records = written.map(({ header, value }): ReadRecord => {
        const put = eventPut(header, value)
        return [put.key, put.value]
      })
      const packed = packedOf(records)
      const [from, to] = [Math.min(ends.from, records.length), Math.min(ends.to, records.length)]
      const read = readPackedRecords(packed, { from, to, hasher: systemHasher })
      const meant = readEventRecords(records.slice(from, to), systemHasher)
      expect(read.map(shown)).toEqual(meant.map(shown))
      expect(packedCount(packed)).toBe(records.length)
      for (const [index, [key]] of records.entries()) {
        expect(packedKey(packed, index).equals(key)).toBe(true)
      }
    })
  )
})

test('what keeps an event keeps a small piece of what was read with it', () => {
  const value = Buffer.alloc(300, 'x')
  const flags = { conflict: false, repeated: false, alternate: false }
  const records = Array.from({ length: 200 }, (_, seq): ReadRecord => {
    const large = seq % 50 === 0 ? Buffer.alloc(READ_PIECE_BYTES, 'y') : value
    const hash = systemHasher.sha256(large)
    const key = eventKey(new Uint8Array(16).fill(seq))
    const put = eventPut({ key, log: 0, seq, recorded: 1n, hash, ...flags }, large)
    return [Buffer.from(put.key), Buffer.from(put.value)]
  })
  for (const read of [readEventRecords, readPacked]) {
    const events = read(records, systemHasher)
    const shared = new Set(events.map((event) => event?.value.buffer))
    expect(events.map((event) => event?.seq)).toEqual([...records.keys()])
    expect(shared.size).toBeLessThan(20)
    for (const event of events.filter((each) => each?.value.length === value.length)) {
      expect(event?.value.buffer.byteLength).toBeLessThanOrEqual(READ_PIECE_BYTES)
    }
  }
})

test('one byte changed of a record’s key, header, value or check is seen by a read, which hashes nothing', () => {
  fc.assert(
    fc.property(events, fc.nat(), fc.integer({ min: 1, max: 255 }), ({ header, value }, at, by) => {
      const { whole, read } = writtenWhole(header, value)
      expect(read(whole)).toBeDefined()
      const place = at % whole.length
      const bad = Buffer.from(whole)
      bad[place] = (whole[place] ?? 0) ^ by
      expect(read(bad)).toBeUndefined()
    }),
    { numRuns: 1_000 }
  )
})

test('so is a word of it that is another', () => {
  const word = fc.integer({ min: 1, max: 2 ** 32 - 1 })
  fc.assert(
    fc.property(events, fc.nat(), word, ({ header, value }, at, by) => {
      const { whole, read } = writtenWhole(header, value)
      const place = (at % ((whole.length - 4) >> 2)) * 4
      const bad = Buffer.from(whole)
      bad.writeUInt32LE((whole.readUInt32LE(place) ^ by) >>> 0, place)
      expect(read(bad)).toBeUndefined()
    }),
    { numRuns: 1_000 }
  )
})

test('a record cut short or made longer is not read', () => {
  fc.assert(
    fc.property(events, fc.nat(), ({ header, value }, at) => {
      const { whole, read } = writtenWhole(header, value)
      const keyBytes = header.alternate ? 49 : 17
      expect(read(whole.subarray(0, keyBytes + (at % (whole.length - keyBytes))))).toBeUndefined()
      expect(read(Buffer.concat([whole, Buffer.alloc(1)]))).toBeUndefined()
    })
  )
})

test('a value that is not that of its stored hash, under a check that fits, is told by its hash', () => {
  fc.assert(
    fc.property(events, values, ({ header, value }, other) => {
      fc.pre(Buffer.compare(value, other) !== 0)
      const { key, value: record } = eventPut(header, other)
      const read = readEventRecord(key, record, systemHasher)
      expect(read?.place.subarray(16)).toEqual(Uint8Array.from(header.hash.subarray(0, 8)))
      expect(() => read?.hash).toThrow(expect.objectContaining({ code: 'LATERBASE_STORE_CORRUPT' }))
      expect(intactEvent(key, record, systemHasher)).toBeUndefined()
      const right = eventPut(header, value)
      expect(intactEvent(right.key, right.value, systemHasher)?.hash).toEqual(header.hash)
    })
  )
})

test('a hash is made once, when it is asked for', () => {
  const hashed: Uint8Array[] = []
  const hasher: Hasher = {
    sha256: (bytes) => {
      hashed.push(bytes)
      return systemHasher.sha256(bytes)
    }
  }
  const value = Buffer.from('{"data":1}')
  const hash = systemHasher.sha256(value)
  const flags = { conflict: false, repeated: false, alternate: false }
  const key = eventKey(new Uint8Array(16))
  const put = eventPut({ key, log: 0, seq: 1, recorded: 1n, hash, ...flags }, value)
  const event = readEventRecord(put.key, put.value, hasher)
  expect(hashed).toEqual([])
  expect([event?.hash, event?.hash]).toEqual([hash, hash])
  expect(hashed.length).toBe(1)
})

test('the check is XXH32', () => {
  const known: readonly (readonly [string, number])[] = [
    ['', 0x02cc5d05],
    ['a', 0x550d7456],
    ['abc', 0x32d153ff],
    ['Nobody inspects the spammish repetition', 0xe2293b2f]
  ]
  for (const [text, hash] of known) {
    const bytes = Uint8Array.from(Buffer.from(`..${text}.`))
    expect(xxh32(new DataView(bytes.buffer), 2, bytes.length - 1), text).toBe(hash)
  }
})

/** Key and record as one, and how such bytes are read. */
function writtenWhole(
  header: EventHeader,
  value: Uint8Array
): { readonly whole: Buffer; readonly read: (whole: Buffer) => unknown } {
  const put = eventPut(header, value)
  const at = put.key.length
  const read = (whole: Buffer): unknown => {
    const record: ReadRecord = [whole.subarray(0, at), whole.subarray(at)]
    const [event] = readPacked([record], noHasher)
    const alone = readEventRecord(...record, noHasher)
    expect(event === undefined).toBe(alone === undefined)
    return alone
  }
  return { whole: Buffer.concat([put.key, put.value]), read }
}

function readPacked(records: readonly ReadRecord[], hasher: Hasher): (StoredEvent | undefined)[] {
  return readPackedRecords(packedOf(records), { from: 0, to: records.length, hasher })
}

/** As the thread of a long scan packs them. */
function packedOf(records: readonly ReadRecord[]): PackedRecords {
  let end = 0
  const ends = records.flatMap(([key, record]) => {
    end += key.length + record.length
    return [end - record.length, end]
  })
  return { bytes: Uint8Array.from(Buffer.concat(records.flat())), ends: Uint32Array.from(ends) }
}

function shown(event: StoredEvent | undefined): unknown {
  if (event === undefined) return undefined
  const { key, value, hash, place, log, seq, recorded, conflict, repeated, alternate } = event
  const bytes = [key, value, hash, place].map((each) => Buffer.from(each).toString('hex'))
  return [bytes, event.text(), log, seq, recorded, conflict, repeated, alternate]
}
