/** The heap gives what sorting gives. */

import fc from 'fast-check'
import { expect, test } from 'vitest'

import { createHeap } from '../../src/core/heap.ts'

test('taking everything out of a heap sorts it', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: 50 })), (numbers) => {
      const heap = createHeap<number>((a, b) => a < b)
      for (const number of numbers) heap.push(number)
      const taken = numbers.map(() => heap.pop())
      expect(taken).toEqual(numbers.toSorted((a, b) => a - b))
      expect([heap.pop(), heap.peek()]).toEqual([undefined, undefined])
    })
  )
})

test('a heap of sorted sources, of which the first is moved on and sunk, merges them', () => {
  fc.assert(
    fc.property(fc.array(fc.array(fc.integer({ min: 0, max: 50 }), { minLength: 1 })), (lists) => {
      const sources = lists.map((list) => list.toSorted((a, b) => a - b))
      const heap = createHeap<number[]>((a, b) => (a[0] ?? 0) < (b[0] ?? 0))
      for (const source of sources) heap.push(source)
      const merged: (number | undefined)[] = []
      for (let first = heap.peek(); first !== undefined; first = heap.peek()) {
        merged.push(first.shift())
        if (first.length === 0) heap.pop()
        else heap.sink()
      }
      expect(merged).toEqual(lists.flat().toSorted((a, b) => a - b))
    })
  )
})
