/** The queue behind the frame decoder: bytes come out as they went in, whatever the pieces were. */

import fc from 'fast-check'
import { expect, test } from 'vitest'

import { ByteQueue } from '../../src/p2p/byte-queue.ts'

test('bytes are taken off as they were appended, however they were cut', () => {
  const piece = fc.oneof(fc.nat(20), fc.constantFrom(0, 1, 4_095, 4_096, 4_097, 9_000))
  const operation = fc.oneof(
    fc.record({ append: piece }),
    fc.record({ take: fc.nat(10_000) }),
    fc.record({ all: fc.constant(true) })
  )
  fc.assert(
    fc.property(fc.array(operation, { maxLength: 40 }), (operations) => {
      const queue = new ByteQueue()
      let [model, next] = [Buffer.alloc(0), 0]
      for (const operation of operations) {
        if ('append' in operation) {
          const bytes = Uint8Array.from({ length: operation.append }, () => next++ & 0xff)
          queue.append(bytes)
          model = Buffer.concat([model, bytes])
        } else if ('take' in operation) {
          const length = Math.min(operation.take, model.length)
          expect(Buffer.compare(queue.take(length), model.subarray(0, length))).toBe(0)
          model = model.subarray(length)
        } else {
          expect(Buffer.compare(Buffer.concat(queue.takeAll()), model)).toBe(0)
          model = Buffer.alloc(0)
        }
        expect(queue.length).toBe(model.length)
        expect(queue.at(0)).toBe(model[0])
        expect(queue.at(5_000)).toBe(model[5_000])
      }
    })
  )
})

test('a million pieces of one byte are few blocks', () => {
  const queue = new ByteQueue()
  for (let count = 0; count < 1_000_000; count += 1) queue.append(Uint8Array.of(count & 0xff))
  const blocks = queue.takeAll()
  expect(blocks.length).toBeLessThan(250)
  expect(blocks.reduce((sum, { length }) => sum + length, 0)).toBe(1_000_000)
})
