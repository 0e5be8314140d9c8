/** Counting distinct keys: the hash is MurmurHash3, sets unite as sets do, and the count is near. */

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'

import { countDistinct, createDistinctTotal } from '../../src/core/views/distinct-count.ts'
import { murmur3 } from '../../src/core/views/murmur3.ts'
import { seededRng } from './arbitraries.ts'
import { splitOf } from './exact-reference.ts'

describe('the hash', () => {
  test('has the verification value of MurmurHash3_x86_128 in SMHasher', () => {
    // The hashes of 0, 0 1, 0 1 2 … under seeds that fall from 256, hashed once more.
    const hashes = Array.from({ length: 256 }, (_, length) =>
      littleEndian(
        murmur3(
          Uint8Array.from({ length }, (_, index) => index),
          256 - length
        )
      )
    )
    const [first] = murmur3(Buffer.concat(hashes), 0)
    expect(first.toString(16)).toBe('b3ece62a')
  })

  test('depends on each byte, and on how many there are', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1, maxLength: 40 }), fc.nat(), (bytes, at) => {
        const other = Uint8Array.from(bytes)
        const index = at % bytes.length
        other[index] = (bytes[index] ?? 0) ^ 1
        expect(murmur3(other, 0)).not.toEqual(murmur3(bytes, 0))
        expect(murmur3(Uint8Array.of(...bytes, 0), 0)).not.toEqual(murmur3(bytes, 0))
      })
    )
  })
})

describe('a set of keys', () => {
  test('is the same text in any order and grouping, however often a key comes', () => {
    // Sizes around the 255 keys that a list holds, so that runs are lists, registers, or both.
    const splits = fc
      .tuple(fc.constantFrom(1, 5, 128, 254, 255, 256, 257, 700), fc.nat(1_000_000))
      .map(([size, seed]) => keysFrom(seed, size))
      .chain((keys) => fc.tuple(fc.constant(keys), splitOf([...keys, ...keys.slice(0, 9)], true)))
      .chain(([keys, runs]) => fc.tuple(fc.constant(keys), fc.constant(runs), coarser(runs)))
    fc.assert(
      fc.property(splits, ([keys, runs, groups]) => {
        expect(united(runs.map(setOf))).toBe(setOf(keys))
        expect(united(groups.map((group) => united(group.map(setOf))))).toBe(setOf(keys))
        expect(united(groups.map((group) => setOf(group.flat())))).toBe(setOf(keys))
      }),
      { numRuns: 60 }
    )
  })

  test('united with itself, or with a part of itself, is itself', () => {
    for (const size of [3, 255, 256, 5_000]) {
      const keys = keysFrom(size, size)
      const set = setOf(keys)
      expect(united([set, set])).toBe(set)
      expect(united([set, setOf(keys.slice(0, 2))])).toBe(set)
      expect(united([setOf(keys.slice(0, 2)), set])).toBe(set)
    }
  })

  test('united with others is the set of all, a list with registers as well as two of a kind', () => {
    const keys = keysFrom(3, 1_000)
    for (const cut of [1, 100, 255, 256, 500, 744, 745, 900, 999]) {
      const [some, others] = [setOf(keys.slice(0, cut)), setOf(keys.slice(cut))]
      expect(united([some, others])).toBe(setOf(keys))
      expect(united([others, some])).toBe(setOf(keys))
    }
  })

  test('has in each register the longest run of zeros, and one, of the hashes that name it', () => {
    const keys = keysFrom(5, 60_000)
    const ranks = Array.from({ length: 2_048 }, () => 0)
    for (const key of keys) {
      const bits = murmur3(key, 0)
        .map((word) => word.toString(2).padStart(32, '0'))
        .join('')
        .slice(0, 48)
      const register = Number.parseInt(bits.slice(0, 11), 2)
      const rank = bits.slice(11).search('1') + 1
      ranks[register] = Math.max(ranks[register] ?? 0, rank)
    }
    const order = '-0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz'
    expect(Array.from(setOf(keys), (digit) => order.indexOf(digit))).toEqual(ranks)
    // More than the 13 bits that are looked at first.
    expect(Math.max(...ranks)).toBeGreaterThan(14)
  })

  test('is never longer than its 2,048 registers, and only they are as long', () => {
    expect(setOf(keysFrom(1, 255))).toHaveLength(2_040)
    expect(setOf(keysFrom(1, 256))).toHaveLength(2_048)
    expect(setOf(keysFrom(1, 20_000))).toHaveLength(2_048)
  })

  test('has the bytes it has always had', () => {
    expect(setOf([Uint8Array.of(1), Uint8Array.of(2), Uint8Array.of(3)])).toMatchInlineSnapshot(
      `"RC4OgbO2RzFF4NU8qYrIw7Il"`
    )
  })
})

describe('the count', () => {
  test('is exact for up to 255 keys', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 255 }), fc.nat(), (size, seed) => {
        expect(countDistinct(setOf(keysFrom(seed, size)))).toBe(size)
      }),
      { numRuns: 50 }
    )
  })

  test('is within 8 % beyond, and within 2 % on average', () => {
    // 8 % is 3.5 standard errors of 1.04 / √2048; the seeds are fixed, so this holds or does not.
    for (const size of [256, 400, 1_000, 3_000, 5_000, 8_000, 20_000, 60_000]) {
      const errors = Array.from({ length: 12 }, (_, seed) => {
        const keys = keysFrom(seed * 1_000 + 7, size)
        return countDistinct(setOf(keys)) / size - 1
      })
      for (const error of errors) expect(Math.abs(error)).toBeLessThan(0.08)
      const mean = errors.reduce((sum, error) => sum + error, 0) / errors.length
      expect(Math.abs(mean)).toBeLessThan(0.02)
    }
  })

  test('of keys that differ in a few bits only is as near', () => {
    const keys = Array.from({ length: 40_000 }, (_, index) =>
      Uint8Array.of(7, index >> 8, index & 255)
    )
    expect(Math.abs(countDistinct(setOf(keys)) / 40_000 - 1)).toBeLessThan(0.08)
  })

  test('is a whole number for any registers, from all empty to all full', () => {
    const ranks = fc.constantFrom('-', '0', '1', 'Z', '_', 'a')
    fc.assert(
      fc.property(ranks, ranks, fc.nat(2_048), (most, some, share) => {
        const count = countDistinct(most.repeat(2_048 - share) + some.repeat(share))
        expect(Number.isSafeInteger(count)).toBe(true)
        expect(count).toBeGreaterThanOrEqual(0)
      })
    )
    expect(countDistinct('-'.repeat(2_048))).toBe(0)
    expect(countDistinct('a'.repeat(2_048))).toBe(2 ** 48)
  })
})

function setOf(keys: readonly Uint8Array[]): string {
  const total = createDistinctTotal()
  for (const key of keys) total.addKey(key)
  return total.set()
}

function united(sets: readonly string[]): string {
  const total = createDistinctTotal()
  for (const set of sets) total.addSet(set)
  return total.set()
}

/** Distinct keys: their number is in them. */
function keysFrom(seed: number, size: number): Uint8Array[] {
  const rng = seededRng(seed)
  const random = rng.bytes(8)
  return Array.from({ length: size }, (_, index) => {
    const key = new Uint8Array(12)
    key.set(random)
    new DataView(key.buffer).setUint32(8, index)
    return key
  })
}

/** Few large groups of many small runs, and the other way about. */
function coarser<T>(runs: readonly T[]): fc.Arbitrary<T[][]> {
  return fc.integer({ min: 1, max: 8 }).map((count) => {
    const groups = Array.from({ length: Math.min(count, runs.length) }, (): T[] => [])
    for (const [index, run] of runs.entries()) groups[index % groups.length]?.push(run)
    return groups
  })
}

function littleEndian(words: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(words.length * 4)
  const view = new DataView(bytes.buffer)
  for (const [index, word] of words.entries()) view.setUint32(index * 4, word, true)
  return bytes
}
