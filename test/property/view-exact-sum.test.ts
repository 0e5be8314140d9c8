/** Exact sums: against a reference of whole numbers, in any order and grouping, one form per value. */

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'

import {
  addExact,
  addNumber,
  addSquare,
  emptyTotal,
  exactSum,
  roundExact
} from '../../src/core/views/exact-sum.ts'
import type { ExactSum } from '../../src/core/views/exact-sum.ts'
import { doubles, isNearest, scaled, scaledSquare, scaledSum, splitOf } from './exact-reference.ts'

const MANY = { numRuns: 1_000 }
const lists = fc.array(doubles(), { maxLength: 40 })

describe('an exact sum', () => {
  test('is the sum of the values, nothing lost', () => {
    fc.assert(
      fc.property(lists, (values) => {
        expect(valueOf(sumOf(values))).toBe(scaledSum(values))
      }),
      MANY
    )
  })

  test('is rounded to the nearest double, ties to even', () => {
    fc.assert(
      fc.property(lists, (values) => {
        expect(isNearest(scaledSum(values), roundExact(sumOf(values)))).toBe(true)
      }),
      MANY
    )
  })

  test('is the same text in any order and grouping', () => {
    const splits = lists.chain((values) => fc.tuple(fc.constant(values), splitOf(values, true)))
    fc.assert(
      fc.property(splits, ([values, runs]) => {
        expect(combined(runs.map(sumOf))).toBe(sumOf(values))
      }),
      MANY
    )
  })

  test('is the same text in any grouping of groupings', () => {
    const splits = lists
      .chain((values) => splitOf(values, true))
      .chain((runs) => fc.tuple(fc.constant(runs), splitOf(runs, true)))
    fc.assert(
      fc.property(splits, ([runs, groups]) => {
        const sums = groups.map((group) => combined(group.map(sumOf)))
        expect(combined(sums)).toBe(sumOf(runs.flat()))
      }),
      MANY
    )
  })

  test('comes back from JSON as itself, and has one form', () => {
    fc.assert(
      fc.property(lists, (values) => {
        const sum = sumOf(values)
        expect(JSON.parse(JSON.stringify(sum))).toBe(sum)
        expect(sum).toBe(normalForm(scaledSum(values)))
      }),
      MANY
    )
  })

  test('of one number rounds to that number', () => {
    fc.assert(
      fc.property(doubles(), (value) => {
        expect(roundExact(sumOf([value]))).toBe(value + 0)
      }),
      MANY
    )
  })

  test('loses nothing to what cancels', () => {
    expect(roundExact(sumOf([1e308, -1e308, 1e-308]))).toBe(1e-308)
    expect(roundExact(sumOf([1e308, 1e308, 5e-324, -1e308, -1e308]))).toBe(5e-324)
    expect(sumOf([0.1, 0.2, -0.1, -0.2])).toBe(0)
  })

  test('is a number as long as it is a safe integer, and a text beyond', () => {
    expect(sumOf([1, 2, -0])).toBe(3)
    expect(sumOf([12.5, -0.5])).toBe(12)
    expect(sumOf([12.5])).toBe('25p-1')
    expect(sumOf([Number.MAX_SAFE_INTEGER, 1])).toBe('1p53')
    expect(sumOf([Number.MAX_SAFE_INTEGER, 1, -1])).toBe(Number.MAX_SAFE_INTEGER)
    expect(Object.is(sumOf([-0]), 0)).toBe(true)
  })

  test('rounds ties to even, and sums beyond the largest double to infinity', () => {
    expect(roundExact(sumOf([2 ** 53, 1]))).toBe(2 ** 53)
    expect(roundExact(sumOf([2 ** 53, 2, 1]))).toBe(2 ** 53 + 4)
    expect(roundExact(sumOf([2 ** 53, 1, 5e-324]))).toBe(2 ** 53 + 2)
    expect(roundExact(sumOf([Number.MAX_VALUE, 2 ** 970]))).toBe(Infinity)
    expect(roundExact(sumOf([Number.MAX_VALUE, 2 ** 970, -5e-324]))).toBe(Number.MAX_VALUE)
    expect(roundExact(sumOf([-Number.MAX_VALUE, -1e308]))).toBe(-Infinity)
  })

  test('of more partials than are kept apart is exact too', () => {
    const values = Array.from({ length: 38 }, (_, index) => 2 ** (990 - 54 * index))
    expect(valueOf(sumOf(values))).toBe(scaledSum(values))
    expect(valueOf(sumOf(values.toReversed()))).toBe(scaledSum(values))
  })
})

describe('an exact sum of squares', () => {
  test('is the sum of the squares, and rounded to the nearest', () => {
    fc.assert(
      fc.property(lists, (values) => {
        const reference = values.reduce((sum, value) => sum + scaledSquare(value), 0n)
        const sum = squaresOf(values)
        expect(valueOf(sum)).toBe(reference)
        expect(sum).toBe(normalForm(reference))
        expect(isNearest(reference, roundExact(sum))).toBe(true)
      }),
      MANY
    )
  })

  test('is the same text in any order and grouping', () => {
    const splits = lists.chain((values) => fc.tuple(fc.constant(values), splitOf(values, true)))
    fc.assert(
      fc.property(splits, ([values, runs]) => {
        expect(combined(runs.map(squaresOf))).toBe(squaresOf(values))
      }),
      MANY
    )
  })

  test('below the finest double rounds to it or to zero', () => {
    expect(roundExact(squaresOf([5e-324]))).toBe(0)
    expect(roundExact(squaresOf([2 ** -537]))).toBe(5e-324)
    // Half of the finest double is a tie, and zero is even.
    expect(roundExact(squaresOf([2 ** -538, 2 ** -538]))).toBe(0)
    expect(roundExact(squaresOf([2 ** -538, 2 ** -538, 5e-324]))).toBe(5e-324)
  })
})

function sumOf(values: readonly number[]): ExactSum {
  const total = emptyTotal()
  for (const value of values) addNumber(total, value)
  return exactSum(total)
}

function squaresOf(values: readonly number[]): ExactSum {
  const total = emptyTotal()
  for (const value of values) addSquare(total, value)
  return exactSum(total)
}

function combined(sums: readonly ExactSum[]): ExactSum {
  const total = emptyTotal()
  for (const sum of sums) addExact(total, sum)
  return exactSum(total)
}

/** What a sum stands for, × 2^2148. */
function valueOf(sum: ExactSum): bigint {
  if (typeof sum === 'number') return scaled(sum)
  const [mantissa = '', exponent = ''] = sum.split('p')
  return BigInt(mantissa) << (BigInt(exponent) + 2_148n)
}

/** The form that exact / 2^2148 has, by taking one factor of two after another. */
function normalForm(exact: bigint): ExactSum {
  if (exact % (1n << 2_148n) === 0n) {
    const whole = exact >> 2_148n
    if (whole >= -(2n ** 53n) + 1n && whole <= 2n ** 53n - 1n) return Number(whole)
  }
  let [odd, exponent] = [exact, -2_148]
  while (odd % 2n === 0n) {
    odd /= 2n
    exponent += 1
  }
  return `${odd}p${exponent}`
}
