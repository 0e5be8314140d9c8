/**
 * A binary heap: whichever of many sources comes next, at a cost that grows with the logarithm of their
 * number. Left out: removing any but the first, which nobody needs.
 */

import { present } from './assert.ts'

export interface Heap<T> {
  push(entry: T): void
  /** The first of all by `isBefore`; undefined when there is none. */
  peek(): T | undefined
  /** Takes the first one out. */
  pop(): T | undefined
  /** Puts the first one where it belongs now: what it is ordered by has changed. */
  sink(): void
}

/** @param isBefore a strict order; it may change for the first entry only, before `sink` */
export function createHeap<T>(isBefore: (a: T, b: T) => boolean): Heap<T> {
  const entries: T[] = []
  const at = (index: number): T => present(entries[index], 'an index of the heap')
  const swap = (a: number, b: number): void => {
    const held = at(a)
    entries[a] = at(b)
    entries[b] = held
  }
  const sinkFrom = (start: number): void => {
    let index = start
    for (;;) {
      let first = index
      for (const child of [2 * index + 1, 2 * index + 2]) {
        if (child < entries.length && isBefore(at(child), at(first))) first = child
      }
      if (first === index) return
      swap(index, first)
      index = first
    }
  }
  const rise = (start: number): void => {
    let index = start
    while (index > 0) {
      const parent = (index - 1) >> 1
      if (!isBefore(at(index), at(parent))) return
      swap(index, parent)
      index = parent
    }
  }
  return {
    push: (entry) => {
      entries.push(entry)
      rise(entries.length - 1)
    },
    peek: () => entries[0],
    pop: () => {
      const first = entries[0]
      const last = entries.pop()
      if (last !== undefined && entries.length > 0) {
        entries[0] = last
        sinkFrom(0)
      }
      return first
    },
    sink: () => sinkFrom(0)
  }
}
