/** Numbers that a double holds exactly enough: compared with an oracle of whole numbers only. */

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'

import { findInexactNumber } from '../../src/schema/exact-numbers.ts'

const digits = (maxLength: number): fc.Arbitrary<string> =>
  fc.string({ unit: fc.constantFrom(...'0123456789'.split('')), minLength: 1, maxLength })

/** JSON number texts, short and long, with and without point and exponent. */
const numerals = fc
  .record({
    sign: fc.constantFrom('', '-'),
    whole: fc.oneof(
      fc.constant('0'),
      digits(22).map((text) => text.replace(/^0+(?=.)/, ''))
    ),
    fraction: fc.option(digits(22), { nil: undefined }),
    exponent: fc.option(
      fc.tuple(fc.constantFrom('e', 'E'), fc.constantFrom('', '+', '-'), fc.nat(340)),
      { nil: undefined }
    )
  })
  .map(({ sign, whole, fraction, exponent }) => {
    const power = exponent === undefined ? '' : exponent.join('')
    return `${sign}${whole}${fraction === undefined ? '' : `.${fraction}`}${power}`
  })

const doubles = fc
  .double({ noDefaultInfinity: true, noNaN: true })
  .map((value) => JSON.stringify(value))

describe('a number', () => {
  test('is refused exactly if the text that comes back has another value', () => {
    fc.assert(
      fc.property(fc.oneof(numerals, doubles), (numeral) => {
        expect(findInexactNumber(numeral) === undefined).toBe(comesBack(numeral))
      }),
      { numRuns: 2_000 }
    )
  })

  test('that JavaScript itself wrote is never refused', () => {
    fc.assert(
      fc.property(doubles, (numeral) => {
        expect(findInexactNumber(numeral)).toBeUndefined()
      })
    )
  })

  test('of up to fifteen significant digits is never refused', () => {
    fc.assert(
      fc.property(fc.integer({ min: -999_999_999_999_999, max: 999_999_999_999_999 }), (value) => {
        expect(findInexactNumber(`[${value}, ${value}e-20, ${value}e20]`)).toBeUndefined()
      })
    )
  })
})

describe('the place of a number', () => {
  const bad = '12345678901234567890'

  test('is found wherever in a value it stands', () => {
    const names = fc.string({ unit: 'binary', maxLength: 6 })
    const path = fc.array(fc.oneof(names, fc.nat(3)), { maxLength: 5 })
    fc.assert(
      fc.property(path, (steps) => {
        let text = bad
        for (const step of steps.toReversed()) {
          const decoy = '"1234567890123456789, \\" {[]}"'
          text =
            typeof step === 'number'
              ? `[${'[1.5, {}], '.repeat(step)}${text}, ${decoy}]`
              : `{ ${decoy}: ${decoy}, ${JSON.stringify(step)}: ${text}, "z": [] }`
        }
        JSON.parse(text)
        const pointer = steps
          .map((step) => `/${String(step).replaceAll('~', '~0').replaceAll('/', '~1')}`)
          .join('')
        expect(findInexactNumber(text)?.pointer).toBe(pointer)
      })
    )
  })

  test('is that of the first one', () => {
    expect(findInexactNumber(`{"a": [1, ${bad}], "b": ${bad}}`)?.pointer).toBe('/a/1')
  })

  test('is not inside a string', () => {
    expect(findInexactNumber(`{"${bad}": "${bad}", "q\\"${bad}": ["\\\\", "${bad}"]}`)).toBe(
      undefined
    )
  })

  test('is found in a text of a megabyte in one pass', () => {
    const text = `[${'{"a":[1,2,"12345678901234567890"]},'.repeat(30_000)}${bad}]`
    expect(findInexactNumber(text)?.pointer).toBe('/30000')
  })
})

/** Whether the shortest decimal of the double has the same value: a comparison of fractions. */
function comesBack(numeral: string): boolean {
  const double = Number(numeral)
  if (!Number.isFinite(double)) return false
  const [sent, kept] = [fractionOf(numeral), fractionOf(String(double))]
  return sent.top * kept.bottom === kept.top * sent.bottom
}

function fractionOf(numeral: string): { top: bigint; bottom: bigint } {
  const match = /^(-?)(\d+)(?:\.(\d+))?(?:[eE]([-+]?\d+))?$/.exec(numeral)
  if (match === null) throw new Error(`${numeral} is no number`)
  const [, sign = '', whole = '', fraction = '', power = '0'] = match
  const digitsOf = BigInt(whole + fraction)
  const exponent = Number(power) - fraction.length
  const top = sign === '-' ? -digitsOf : digitsOf
  return exponent >= 0
    ? { top: top * 10n ** BigInt(exponent), bottom: 1n }
    : { top, bottom: 10n ** BigInt(-exponent) }
}
