/** The built-in reducers: the same for any runs of the rows, and what a plain reference says. */

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'

import { present } from '../../src/core/assert.ts'
import { compareBytes } from '../../src/core/bytes.ts'
import { eventKey, formatEventKey } from '../../src/core/event-key.ts'
import type { Json } from '../../src/core/json.ts'
import { compareViewKeys } from '../../src/core/views/collation.ts'
import { builtInReducer, userReducer } from '../../src/core/views/reducers.ts'
import type { Aggregate, Reducer } from '../../src/core/views/reducers.ts'
import { doubles, isNearest, scaledSquare, scaledSum, splitOf } from './exact-reference.ts'
import { rowFrom, rowsFrom, rowsOf } from './view-rows.ts'

const numbers: fc.Arbitrary<Json> = doubles()
const names = fc.constantFrom('a', 'b', '10', '9', '__proto__', 'constructor')
/** Numbers, arrays of them, objects of all three, in each other's way. */
const { summable } = fc.letrec<{ summable: Json }>((tie) => ({
  summable: fc.oneof(
    { maxDepth: 3, withCrossShrink: true },
    numbers,
    fc.array(doubles(), { maxLength: 4 }),
    fc.array(fc.tuple(names, tie('summable')), { maxLength: 3 }).map(objectOf)
  )
}))
const objects = fc.array(fc.tuple(names, numbers), { maxLength: 3 }).map(objectOf)
const anything = fc
  .jsonValue({ maxDepth: 2 })
  .map((value) => JSON.parse(JSON.stringify(value)) as Json)

/** The reducers, each with values that it takes. */
const VALUES: Readonly<Record<string, fc.Arbitrary<Json>>> = {
  _sum: summable,
  _count: anything,
  _stats: numbers,
  _min: anything,
  _max: anything,
  _first: anything,
  _last: anything,
  _approx_count_distinct: anything
}

/** Where everything is an object nothing is mixed, which would hide the rest. */
const CASES = [
  ...Object.entries(VALUES).map(([name, values]) => [name, 'any values', values] as const),
  ['_sum', 'numbers', numbers] as const,
  ['_sum', 'objects', objects] as const
]

describe.each(CASES)('%s of %s', (name, _kind, values) => {
  const reducer = builtIn(name)

  test('comes to the same for any runs of the rows, in any order', () => {
    const splits = rowsOf(values)
      .chain((rows) => fc.tuple(fc.constant(rows), splitOf(rows, true)))
      .chain(([rows, runs]) => fc.tuple(fc.constant(rows), fc.constant(runs), splitOf(runs, true)))
    fc.assert(
      fc.property(splits, ([rows, runs, groups]) => {
        const whole = textOf(reducer.reduce(rows))
        const flat = reducer.combine(runs.map((run) => persisted(reducer.reduce(run))))
        expect(textOf(flat)).toBe(whole)
        const sums = groups.map((group) =>
          persisted(reducer.combine(group.map((run) => persisted(reducer.reduce(run)))))
        )
        expect(textOf(reducer.combine(sums))).toBe(whole)
      }),
      { numRuns: 300 }
    )
  })

  test('of one aggregate is that aggregate', () => {
    fc.assert(
      fc.property(rowsOf(values), (rows) => {
        const aggregate = reducer.reduce(rows)
        expect(textOf(reducer.combine([aggregate]))).toBe(textOf(aggregate))
      })
    )
  })

  test('takes the values, leaves them as they are, and answers JSON', () => {
    fc.assert(
      fc.property(rowsOf(values), (rows) => {
        for (const row of rows) expect(reducer.check(row.value)).toBeUndefined()
        const before = JSON.stringify(rows)
        const result = reducer.result(reducer.reduce(rows))
        expect(textOf(persisted(result))).toBe(textOf(result))
        expect(JSON.stringify(rows)).toBe(before)
      })
    )
  })
})

test.each(Object.keys(VALUES))('%s keeps no -0, which JSON text does not have', (name) => {
  const aggregate = builtIn(name).reduce(rowsFrom([-0]))
  expect(aggregate).toEqual(persisted(aggregate))
})

test.each(['_min', '_max'])('%s has one answer where values differ in little', (name) => {
  const pairs: Json[][] = [
    [
      { a: 1, b: 2 },
      { b: 2, a: 1 }
    ],
    ['\ud800', '\ud801'],
    [['\ufffd'], ['\udc00']]
  ]
  for (const pair of pairs) {
    expect(textOf(resultOf(name, pair))).toBe(textOf(resultOf(name, pair.toReversed())))
  }
})

test('there is no other built-in reducer', () => {
  for (const name of ['sum', '_SUM', '_avg', '', '__proto__', 'constructor']) {
    expect(builtInReducer(name)).toBeUndefined()
  }
  for (const name of Object.keys(VALUES)) expect(builtIn(name).name).toBe(name)
})

describe('_sum', () => {
  test('of numbers is the exact sum, rounded once; null beyond the largest double', () => {
    fc.assert(
      fc.property(fc.array(doubles(), { minLength: 1 }), (values) => {
        expect(isRounded(scaledSum(values), resultOf('_sum', values))).toBe(true)
      })
    )
  })

  test('of numbers and arrays is the sum of each place, a number standing in the first', () => {
    const lists = fc.array(fc.oneof(doubles(), fc.array(doubles(), { maxLength: 4 })), {
      minLength: 1
    })
    fc.assert(
      fc.property(lists, (values) => {
        const arrays = values.map((value) => (typeof value === 'number' ? [value] : value))
        const length = Math.max(...arrays.map((array) => array.length))
        const columns = Array.from({ length }, (_, index) =>
          arrays.map((array) => array[index] ?? 0)
        )
        const result = resultOf('_sum', values)
        const sums = Array.isArray(result) ? (result as Json[]) : [result]
        expect(Array.isArray(result)).toBe(values.some((value) => Array.isArray(value)))
        expect(sums).toHaveLength(length)
        for (const [index, column] of columns.entries()) {
          expect(isRounded(scaledSum(column), sums[index] ?? null)).toBe(true)
        }
      })
    )
  })

  test('of objects is the sum of each member', () => {
    const objects = fc.array(fc.array(fc.tuple(names, summable), { minLength: 1 }).map(objectOf), {
      minLength: 1
    })
    fc.assert(
      fc.property(objects, (values) => {
        const result = resultOf('_sum', values) as object
        const members = values.flatMap((value) => Object.entries(value as object)) as [
          string,
          Json
        ][]
        expect(new Set(Object.keys(result))).toEqual(new Set(members.map(([name]) => name)))
        for (const [name, sum] of Object.entries(result) as [string, Json][]) {
          const own = members.filter(([other]) => other === name).map(([, value]) => value)
          expect(textOf(sum)).toBe(textOf(resultOf('_sum', own)))
        }
      })
    )
  })

  test('does as CouchDB', () => {
    expect(resultOf('_sum', [1, [2, 3], [], [4]])).toEqual([7, 3])
    expect(resultOf('_sum', [[], []])).toEqual([])
    expect(
      resultOf('_sum', [
        { a: 1, b: [1, 2] },
        { a: 2, b: 3, c: { d: 4 } }
      ])
    ).toEqual({
      a: 3,
      b: [4, 2],
      c: { d: 4 }
    })
    expect(resultOf('_sum', [0.1, 0.2, 0.3])).toBe(0.6)
  })

  test('is null where objects meet something else, and only there', () => {
    expect(resultOf('_sum', [{ a: 1 }, 1])).toBeNull()
    expect(resultOf('_sum', [{}, 1, {}])).toBeNull()
    expect(resultOf('_sum', [[1], {}])).toBeNull()
    expect(
      resultOf('_sum', [
        { a: { b: 1 }, c: 1 },
        { a: 2, c: 2 }
      ])
    ).toEqual({ a: null, c: 3 })
  })

  test('is null beyond the largest double, and comes back from there', () => {
    const sum = builtIn('_sum')
    const beyond = persisted(sum.reduce(rowsFrom([1e308, 1e308])))
    expect(sum.result(beyond)).toBeNull()
    expect(sum.result(sum.combine([beyond, sum.reduce(rowsFrom([-1e308]))]))).toBe(1e308)
  })

  test('says what it cannot sum', () => {
    const { check } = builtIn('_sum')
    expect(check('5')).toMatch(/^the value is a string/)
    expect(check(null)).toMatch(/^the value is null/)
    expect(check(Number.NaN)).toBe('the value is NaN')
    expect(check([1, [2]])).toBe('the value[1] is an array, not a number')
    expect(check({ a: { b: [1, true] } })).toBe('the value.a.b[1] is a boolean, not a number')
    expect(check({ a: null })).toMatch(/^the value.a is null/)
  })
})

test('_count is the number of the rows', () => {
  fc.assert(
    fc.property(fc.array(anything, { minLength: 1 }), (values) => {
      expect(resultOf('_count', values)).toBe(values.length)
    })
  )
})

describe('_stats', () => {
  test('is the sum, count, extremes and sum of squares, the sums rounded once', () => {
    fc.assert(
      fc.property(fc.array(doubles(), { minLength: 1 }), (values) => {
        const result = resultOf('_stats', values) as Record<string, Json>
        expect(Object.keys(result)).toEqual(['sum', 'count', 'min', 'max', 'sumsqr'])
        expect(result['count']).toBe(values.length)
        expect(result['min']).toBe(Math.min(...values) + 0)
        expect(result['max']).toBe(Math.max(...values) + 0)
        const squares = values.reduce((sum, value) => sum + scaledSquare(value), 0n)
        expect(isRounded(scaledSum(values), result['sum'] ?? null)).toBe(true)
        expect(isRounded(squares, result['sumsqr'] ?? null)).toBe(true)
      })
    )
  })

  test('takes numbers only', () => {
    for (const value of ['1', null, [1], {}, true, Number.NaN]) {
      expect(builtIn('_stats').check(value)).toBe('the value is not a number')
    }
  })
})

describe.each([
  ['_min', -1],
  ['_max', 1]
])('%s', (name, sign) => {
  test('is one of the values, and none lies beyond it in the order of view keys', () => {
    fc.assert(
      fc.property(fc.array(anything, { minLength: 1 }), (values) => {
        const result = resultOf(name, values)
        expect(values.map((value) => textOf(value === 0 ? 0 : value))).toContain(textOf(result))
        for (const value of values) {
          expect(sign * compareViewKeys(value, result)).toBeLessThanOrEqual(0)
        }
      })
    )
  })
})

describe.each([
  ['_first', 0],
  ['_last', -1]
])('%s', (name, at) => {
  test('is the value of the row that is outermost in the order of events', () => {
    fc.assert(
      fc.property(rowsOf(anything), (rows) => {
        const reducer = builtIn(name)
        const row = rows.toSorted((a, b) => compareBytes(a.place, b.place)).at(at)
        const result = reducer.result(reducer.reduce(rows))
        expect(textOf(result)).toBe(textOf(present(row, 'a row').value))
      })
    )
  })
})

test('_approx_count_distinct counts keys, not rows and not values', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(20), { minLength: 1, maxLength: 100 }), (keys) => {
      const rows = keys.map((key, index) => rowFrom(key, Uint8Array.of(key), index))
      const reducer = builtIn('_approx_count_distinct')
      expect(reducer.result(reducer.reduce(rows))).toBe(new Set(keys).size)
    })
  )
})

describe("a reduce of the user's", () => {
  test('is called as in CouchDB: with keys and ids for rows, and without to combine', () => {
    fc.assert(
      fc.property(rowsOf(anything), rowsOf(anything), (some, others) => {
        const calls: unknown[] = []
        const reducer = userReducer((...call) => {
          calls.push(call)
          return call[1].length
        })
        const aggregate = reducer.combine([reducer.reduce(some), reducer.reduce(others)])
        expect(reducer.result(aggregate)).toBe(2)
        const expected = [some, others].map((rows) => [
          rows.map((row) => [row.key, formatEventKey(eventKey(row.place.subarray(0, 16)))]),
          rows.map((row) => row.value),
          false
        ])
        expect(calls).toEqual([...expected, [null, [some.length, others.length], true]])
      })
    )
  })

  test('cannot change what is kept', () => {
    const spoil = userReducer((keys, values) => {
      for (const value of [...(keys ?? []).map(([key]) => key), ...values]) {
        ;(value as number[]).push(7)
      }
      return values[0]
    })
    const rows = [rowFrom([1], Uint8Array.of(1), [2]), rowFrom([3], Uint8Array.of(3), [4])]
    const aggregates = [[5], [6]]
    expect(spoil.reduce(rows)).toEqual([2, 7])
    expect(spoil.combine(aggregates)).toEqual([5, 7])
    expect(rows.map((row) => [row.key, row.value])).toEqual([
      [[1], [2]],
      [[3], [4]]
    ])
    expect(aggregates).toEqual([[5], [6]])
  })

  test('returns what JSON makes of it', () => {
    const returning = (value: unknown): Aggregate => userReducer(() => value).reduce(rowsFrom([1]))
    expect(returning(undefined)).toBeNull()
    expect(returning(() => 1)).toBeNull()
    expect(returning(Number.NaN)).toBeNull()
    expect(Object.is(returning(-0), 0)).toBe(true)
    expect(returning({ a: undefined, b: [undefined, 1] })).toEqual({ b: [null, 1] })
    expect(() => returning(1n)).toThrow(TypeError)
  })

  test('throws what it throws', () => {
    const error = new Error('no')
    const reducer = userReducer(() => {
      throw error
    })
    expect(() => reducer.reduce(rowsFrom([1]))).toThrow(error)
    expect(() => reducer.combine([1, 2])).toThrow(error)
  })
})

function builtIn(name: string): Reducer {
  return present(builtInReducer(name), 'a built-in reducer')
}

/** The answer over all the values, from runs of three rows. */
function resultOf(name: string, values: readonly Json[]): Json {
  const reducer = builtIn(name)
  const rows = rowsFrom(values)
  const runs: Aggregate[] = []
  for (let at = 0; at < rows.length; at += 3) runs.push(reducer.reduce(rows.slice(at, at + 3)))
  return reducer.result(reducer.combine(runs.map(persisted)))
}

function isRounded(exact: bigint, result: Json): boolean {
  if (result === null) return isNearest(exact, exact > 0n ? Infinity : -Infinity)
  return typeof result === 'number' && isNearest(exact, result)
}

/** What comes back from disk. */
function persisted(aggregate: Aggregate): Aggregate {
  return JSON.parse(textOf(aggregate)) as Aggregate
}

/** JSON text, in which equal members in another order are something else. */
function textOf(value: Json): string {
  return JSON.stringify(value)
}

function objectOf(members: readonly (readonly [string, Json])[]): Json {
  return Object.fromEntries(members)
}
