/**
 * The order of view keys: its bytes and its comparison of values, each against the other, against
 * CouchDB's order and against UTF-8.
 */

import { isDeepStrictEqual } from 'node:util'

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'

import { AssertionError } from '../../src/core/assert.ts'
import { afterPrefix, compareBytes } from '../../src/core/bytes.ts'
import type { Json } from '../../src/core/json.ts'
import { VIEW_KEY_BYTES_MAX, VIEW_KEY_DEPTH_MAX } from '../../src/core/limits.ts'
import { compareViewKeys, decodeViewKey } from '../../src/core/views/collation.ts'
import { encodeViewKey, groupOfLevel, groupRange } from '../../src/core/views/collation.ts'

/** Units at the edges of UTF-8's lengths, of the surrogates and of what is escaped; few, so that texts share beginnings. */
const EDGES = ['\0', '\u0001', '\u0002', 'A', 'a', '\u007f', '\u0080', '\u07ff', '\u0800', '\ud7ff']
const HIGH_EDGES = ['\ue000', '\ufffd', '\uffff', '\u{10000}', '\u{1f600}', '\u{10ffff}']
const SURROGATES = ['\ud800', '\udbff', '\udc00', '\udfff']

const wellFormedTexts = fc.oneof(
  fc.string({ unit: fc.constantFrom(...EDGES, ...HIGH_EDGES), maxLength: 5 }),
  fc.string({ unit: 'binary' })
)

const texts = fc.oneof(
  wellFormedTexts,
  fc.string({ unit: fc.constantFrom('a', '\0', ...HIGH_EDGES, ...SURROGATES), maxLength: 5 }),
  fc.string({ unit: fc.integer({ min: 0, max: 0xffff }).map((c) => String.fromCharCode(c)) }),
  fc.constantFrom('__proto__', 'constructor', 'toJSON', '', '0', '1', '10', 'truck-17 of the yard')
)

const numbers = fc.oneof(
  fc.double({ noDefaultInfinity: true, noNaN: true }),
  fc.integer({ min: -3, max: 3 }),
  fc.constantFrom(-0, 5e-324, -5e-324, Number.MAX_VALUE, -Number.MAX_VALUE, 2 ** 53, 255, 256)
)

/** Few of each, so that two keys are often equal up to somewhere in their middle. */
const fewTexts = fc.constantFrom('', 'a', 'a\0', 'a\u0001', 'aa', 'b', '__proto__')
const fewScalars = fc.oneof(fc.constantFrom(null, false, true, 0, -1, 1), fewTexts)

const few = jsonOf(fewScalars, fewTexts)
const keys: fc.Arbitrary<Json> = fc.oneof(
  few,
  jsonOf(fc.oneof(texts, numbers, fc.boolean(), fc.constant(null)), texts)
)
const rests = fc.uint8Array({ maxLength: 3 })

describe('the bytes of view keys', () => {
  test('sort as the keys are compared', () => {
    holds(fc.property(keys, keys, sortsAsCompared))
  })

  test('sort as the keys are compared where keys are alike', () => {
    holds(fc.property(few, few, sortsAsCompared))
  })

  test('are the same for equal keys only, and otherwise no beginning of one another', () => {
    holds(
      fc.property(few, few, (a, b) => {
        const [left, right] = [encodeViewKey(a), encodeViewKey(b)]
        const length = Math.min(left.length, right.length)
        const isBeginning = compareBytes(left.subarray(0, length), right.subarray(0, length)) === 0
        expect(isBeginning).toBe(text(a) === text(b))
      })
    )
  })

  test('are read back as the key, its members in their order, and tell where they end', () => {
    holds(
      fc.property(keys, rests, rests, (key, before, rest) => {
        const bytes = encodeViewKey(key)
        const all = Buffer.concat([before, bytes, rest])
        const { value, end } = decodeViewKey(all, before.length)
        // Not toStrictEqual, which asks a member named `constructor` for the class.
        expect(isDeepStrictEqual(value, JSON.parse(text(key)))).toBe(true)
        expect(text(value)).toBe(text(key))
        expect(end).toBe(before.length + bytes.length)
        expect(text(decodeViewKey(bytes).value)).toBe(text(key))
      })
    )
  })

  test('sort by the key first, then by what is appended to them', () => {
    holds(
      fc.property(few, few, rests, rests, (a, b, rest, other) => {
        const order = compareBytes(joined(encodeViewKey(a), rest), joined(encodeViewKey(b), other))
        const expected = compareViewKeys(a, b)
        expect(Math.sign(order)).toBe(
          Math.sign(expected === 0 ? compareBytes(rest, other) : expected)
        )
      })
    )
  })

  test('are not those of another key made meanwhile', () => {
    const first = encodeViewKey(['a', 1])
    encodeViewKey(['b', 2])
    expect(decodeViewKey(first).value).toEqual(['a', 1])
  })

  test('that are cut, or begin with no tag, are found to be so', () => {
    holds(
      fc.property(keys, fc.nat(), (key, at) => {
        const bytes = encodeViewKey(key)
        const cut = bytes.subarray(0, at % bytes.length)
        expect(() => decodeViewKey(cut)).toThrow(AssertionError)
      })
    )
    expect(() => decodeViewKey(Uint8Array.of(0xff))).toThrow('begins with a tag')
    expect(() => decodeViewKey(new Uint8Array(100).fill(0x50))).toThrow('no deeper than it may be')
  })
})

describe('the comparison of view keys', () => {
  test('is a total order', () => {
    holds(
      fc.property(few, few, few, (a, b, c) => {
        expect(compareViewKeys(a, a)).toBe(0)
        expect(compareViewKeys(a, b) === 0).toBe(text(a) === text(b))
        expect(Math.sign(compareViewKeys(a, b))).toBe(0 - Math.sign(compareViewKeys(b, a)))
        const [low, middle, high] = [a, b, c].toSorted(compareViewKeys)
        if (low === undefined || middle === undefined || high === undefined) return
        expect(compareViewKeys(low, middle)).toBeLessThanOrEqual(0)
        expect(compareViewKeys(middle, high)).toBeLessThanOrEqual(0)
        expect(compareViewKeys(low, high)).toBeLessThanOrEqual(0)
      })
    )
  })

  test('is that of the UTF-8 bytes for strings', () => {
    holds(
      fc.property(wellFormedTexts, wellFormedTexts, (a, b) => {
        const expected = Buffer.compare(Buffer.from(a), Buffer.from(b))
        expect(Math.sign(compareViewKeys(a, b))).toBe(expected)
        expect(Math.sign(compareBytes(encodeViewKey(a), encodeViewKey(b)))).toBe(expected)
      })
    )
  })

  test('has astral characters above U+FFFF, where UTF-16 has them below', () => {
    expectRising(['\ud7ff', '\ud800', '\udfff', '\ue000', '\ufffd', '\uffff', '\u{10000}'])
    expect(['\uffff', '\u{10000}'].toSorted()).toEqual(['\u{10000}', '\uffff'])
  })

  test('has numbers by their value', () => {
    holds(
      fc.property(numbers, numbers, (a, b) => {
        expect(Math.sign(compareBytes(encodeViewKey(a), encodeViewKey(b)))).toBe(
          a < b ? -1 : a > b ? 1 : 0
        )
      })
    )
  })

  test('is the order of CouchDB, but for the case of letters', () => {
    // Apache CouchDB, test/elixir/test/view_collation_test.exs; ICU has "a" < "A" < "aa" < "b" < "B".
    const scalars = [null, false, true, 1, 2, 3, 4, 'A', 'B', 'a', 'aa', 'b', 'ba', 'bb']
    const arrays = [['a'], ['b'], ['b', 'c'], ['b', 'c', 'a'], ['b', 'd'], ['b', 'd', 'e']]
    const objects = [{ a: 1 }, { a: 2 }, { b: 1 }, { b: 2 }, { b: 2, a: 1 }, { b: 2, c: 2 }]
    expectRising([...scalars, ...arrays, ...objects])
  })

  test('goes by members in the order in which they stand', () => {
    expectRising([{}, { a: 1, b: 2 }, { a: 2 }, { b: 2, a: 1 }])
  })
})

describe('groups', () => {
  test('of a level are the first elements of arrays, and any other key as it is', () => {
    expect([0, 1, 2, 3, 9].map((level) => groupOfLevel(['a', 1, {}], level))).toEqual([
      [],
      ['a'],
      ['a', 1],
      ['a', 1, {}],
      ['a', 1, {}]
    ])
    for (const key of [null, 'abc', { a: 1 }, 7]) expect(groupOfLevel(key, 1)).toBe(key)
    expect(() => groupOfLevel([], -1)).toThrow(AssertionError)
  })

  test('are ranges: of the arrays that begin with given elements, of all of them and of nothing else', () => {
    const elements = fc.array(few, { maxLength: 2 })
    const around = fc.tuple(elements, fc.array(few, { maxLength: 2 })).chain(([prefix, others]) => {
      const key = fc.oneof(few, fc.constant([...prefix, ...others]), fc.constant([prefix]))
      return fc.tuple(fc.constant(prefix), key)
    })
    holds(
      fc.property(around, rests, ([prefix, key], rest) => {
        const begins =
          Array.isArray(key) &&
          key.length >= prefix.length &&
          text(key.slice(0, prefix.length)) === text(prefix)
        expect(isWithin(joined(encodeViewKey(key), rest), groupRange(prefix))).toBe(begins)
      })
    )
  })

  test('are ranges also of a single key: up to what sorts right behind it', () => {
    holds(
      fc.property(keys, keys, rests, (key, other, rest) => {
        const from = encodeViewKey(key)
        const range = { from, to: afterPrefix(from) }
        const begun = from.slice()
        expect(isWithin(joined(from, rest), range)).toBe(true)
        expect(isWithin(joined(from, new Uint8Array(9).fill(255)), range)).toBe(true)
        expect(isWithin(joined(encodeViewKey(other), rest), range)).toBe(text(other) === text(key))
        expect(from).toEqual(begun)
      })
    )
  })

  test('behind bytes that end in 255 begin with the byte before these', () => {
    expect(afterPrefix(Uint8Array.of(0x30, 1, 255, 255))).toEqual(Uint8Array.of(0x30, 2))
    expect(() => afterPrefix(Uint8Array.of(255))).toThrow(AssertionError)
  })

  test('of a level are whole in one range, which no key of another group is in', () => {
    holds(
      fc.property(few, few, fc.integer({ min: 0, max: 2 }), (key, other, level) => {
        const group = groupOfLevel(key, level)
        const bytes = encodeViewKey(group)
        const isPrefix = Array.isArray(group) && group.length === level
        const range = isPrefix ? groupRange(group) : { from: bytes, to: afterPrefix(bytes) }
        expect(isWithin(encodeViewKey(other), range)).toBe(
          text(groupOfLevel(other, level)) === text(group)
        )
      })
    )
  })
})

describe('a value', () => {
  test('of more bytes than a key may have is refused by a RangeError', () => {
    const name = 'k'.repeat(VIEW_KEY_BYTES_MAX)
    const many = Array.from({ length: VIEW_KEY_BYTES_MAX }, () => 1)
    const longest = 'x'.repeat(VIEW_KEY_BYTES_MAX - 2)
    expect(encodeViewKey(longest)).toHaveLength(VIEW_KEY_BYTES_MAX)
    expect(decodeViewKey(encodeViewKey(longest)).value).toBe(longest)
    const wide = ['\0', '\u0800', '\u{1f600}'].map((unit) => unit.repeat(VIEW_KEY_BYTES_MAX / 2))
    const members = Object.fromEntries(many.map((one, index) => [`n${index}`, one]))
    const refused = [
      `${longest}x`,
      name,
      [longest],
      [longest.slice(1)],
      { [name]: 1 },
      many,
      ...wide,
      members
    ]
    for (const key of [...refused, [1, { a: wide[1] ?? '' }], [...many.slice(7_000), longest]]) {
      expect(() => encodeViewKey(key)).toThrow(RangeError)
      expect(() => encodeViewKey(key)).toThrow(`more than ${VIEW_KEY_BYTES_MAX} bytes`)
    }
    expect(() => groupRange(many)).toThrow(RangeError)
    expect(decodeViewKey(encodeViewKey(['a'])).value).toEqual(['a'])
  })

  test('deeper than a key may be nested is refused by a RangeError', () => {
    for (const wrap of [(inner: Json): Json => [inner], (inner: Json): Json => ({ a: inner })]) {
      let deep: Json = 1
      for (let depth = 0; depth < VIEW_KEY_DEPTH_MAX; depth += 1) deep = wrap(deep)
      expect(text(decodeViewKey(encodeViewKey(deep)).value)).toBe(text(deep))
      expect(() => encodeViewKey(wrap(deep))).toThrow(RangeError)
      expect(() => encodeViewKey(wrap(deep))).toThrow(`more than ${VIEW_KEY_DEPTH_MAX} deep`)
      expect(() => groupRange([deep])).toThrow(RangeError)
    }
    const endless: Json[] = []
    endless.push(endless, endless)
    expect(() => encodeViewKey(endless)).toThrow(RangeError)
  })

  test('that is not JSON is a bug of ours', () => {
    const wrong = [Number.NaN, Number.POSITIVE_INFINITY, undefined, 1n, Symbol('a'), [undefined]]
    for (const value of [...wrong, { a: undefined }]) {
      expect(() => encodeViewKey(value as Json)).toThrow(AssertionError)
    }
  })
})

/** Any JSON of these scalars and names, which often include one another. */
function jsonOf(scalars: fc.Arbitrary<Json>, names: fc.Arbitrary<string>): fc.Arbitrary<Json> {
  return fc.letrec<{ value: Json }>((tie) => ({
    value: fc.oneof(
      { depthSize: 'small', withCrossShrink: true },
      scalars,
      fc.array(tie('value'), { maxLength: 3 }),
      fc
        .array(fc.tuple(names, tie('value')), { maxLength: 3 })
        .map((all) => Object.fromEntries(all))
    )
  })).value
}

function holds<T>(property: fc.IProperty<T>): void {
  fc.assert(property, { numRuns: 1_000 })
}

function sortsAsCompared(a: Json, b: Json): void {
  const order = compareBytes(encodeViewKey(a), encodeViewKey(b))
  expect(Math.sign(order)).toBe(Math.sign(compareViewKeys(a, b)))
}

function expectRising(rising: readonly Json[]): void {
  for (const [index, key] of rising.entries()) {
    for (const [place, other] of rising.entries()) {
      expect(Math.sign(compareViewKeys(key, other))).toBe(Math.sign(index - place))
      sortsAsCompared(key, other)
    }
  }
}

function isWithin(bytes: Uint8Array, range: { from: Uint8Array; to: Uint8Array }): boolean {
  return compareBytes(range.from, bytes) <= 0 && compareBytes(bytes, range.to) < 0
}

function joined(bytes: Uint8Array, rest: Uint8Array): Uint8Array {
  return Buffer.concat([bytes, rest])
}

/** Says all that a key is: -0 is 0, and the order of members counts. */
function text(key: Json): string {
  return JSON.stringify(key)
}
