/**
 * Sums of doubles that are exact: equal to the last digit in whatever order and grouping they are made, so
 * nodes that combined their partial sums differently agree. Rounded once, at the end.
 *
 * A running total is an expansion of a few doubles that do not overlap (Shewchuk, "Adaptive Precision
 * Floating-Point Arithmetic", 1997; Python's `fsum`), beside a whole number times a power of two for what is
 * too large for that. Left out: what is not a finite number, which JSON does not have.
 */

import { assert } from '../assert.ts'

/**
 * An exact sum as JSON; each value has one form. A whole number of up to 2^53 - 1 is itself; any other
 * is an odd mantissa and a power of two, both decimal: "25p-1" is 12.5.
 */
export type ExactSum = number | string

/** A sum that is being made. It is changed in place. */
export interface ExactTotal {
  /** Doubles that do not overlap, smallest first; the first `used` count. */
  readonly partials: Float64Array
  used: number
  /** What was too large or too fine for the partials: mantissa × 2^exponent, to be added to them. */
  mantissa: bigint
  exponent: number
}

export function emptyTotal(): ExactTotal {
  return { partials: new Float64Array(PARTIALS_MAX), used: 0, mantissa: 0n, exponent: 0 }
}

export function addNumber(total: ExactTotal, value: number): void {
  assert(Number.isFinite(value), 'a number of JSON is finite')
  if (Math.abs(value) < HUGE) addPartial(total, value)
  else addDouble(total, value)
}

export function addSquare(total: ExactTotal, value: number): void {
  assert(Number.isFinite(value), 'a number of JSON is finite')
  const size = Math.abs(value)
  if (size > SQUARE_MIN && size < SQUARE_MAX) {
    // Dekker's product: the rounded square, and what the rounding left out, which is a double too.
    const square = value * value
    const scaled = value * SPLITTER
    const high = scaled - (scaled - value)
    const low = value - high
    addPartial(total, square)
    addPartial(total, high * high - square + 2 * high * low + low * low)
    return
  }
  const { mantissa, exponent } = oddParts(value)
  addScaled(total, BigInt(mantissa) ** 2n, 2 * exponent)
}

export function addExact(total: ExactTotal, sum: ExactSum): void {
  if (typeof sum === 'number') {
    addNumber(total, sum)
    return
  }
  const double = smallDouble(sum)
  if (double !== undefined) addPartial(total, double)
  else addScaled(total, mantissaOf(sum), exponentOf(sum))
}

/** What was added so far. */
export function exactSum(total: ExactTotal): ExactSum {
  const { partials, used } = total
  if (total.mantissa === 0n && used <= 1) return used === 0 ? 0 : exactDouble(partials[0] ?? 0)
  const whole: ExactTotal = { ...total, used: 0 }
  for (let index = 0; index < used; index += 1) addDouble(whole, partials[index] ?? 0)
  return normalForm(whole.mantissa, whole.exponent)
}

/** The nearest double, ties to even; Infinity of either sign for what is beyond the largest. Never -0. */
export function roundExact(sum: ExactSum): number {
  if (typeof sum === 'number') return sum
  const double = smallDouble(sum)
  if (double !== undefined) return double
  const mantissa = mantissaOf(sum)
  const sign = mantissa < 0n ? -1 : 1
  const size = mantissa < 0n ? -mantissa : mantissa
  const exponent = exponentOf(sum)
  // The weight of a double's last bit: the mantissa has 53, unless that is finer than doubles go.
  const lastBit = Math.max(bitLength(size) + exponent - 53, EXPONENT_MIN)
  if (lastBit > LAST_BIT_MAX) return sign * Infinity
  const shift = lastBit - exponent
  const rounded = shift <= 0 ? size << BigInt(-shift) : shiftRounded(size, BigInt(shift))
  return sign * Number(rounded) * powerOfTwo(lastBit) + 0
}

/** Grows the expansion by `value`, below HUGE: each partial takes what it can, the rest stays below it. */
function addPartial(total: ExactTotal, value: number): void {
  const { partials } = total
  let rest = value
  let kept = 0
  for (let index = 0; index < total.used; index += 1) {
    const partial = partials[index] ?? 0
    const sum = rest + partial
    const error =
      Math.abs(rest) < Math.abs(partial) ? rest - (sum - partial) : partial - (sum - rest)
    if (error !== 0) {
      partials[kept] = error
      kept += 1
    }
    rest = sum
  }
  if (rest !== 0) {
    partials[kept] = rest
    kept += 1
  }
  total.used = kept
  // One more must have room, and must not overflow.
  if (kept === PARTIALS_MAX || Math.abs(rest) >= HUGE) flushPartials(total)
}

function flushPartials(total: ExactTotal): void {
  for (let index = 0; index < total.used; index += 1) addDouble(total, total.partials[index] ?? 0)
  total.used = 0
}

function addDouble(total: ExactTotal, value: number): void {
  const { mantissa, exponent } = oddParts(value)
  addScaled(total, BigInt(mantissa), exponent)
}

function addScaled(total: ExactTotal, mantissa: bigint, exponent: number): void {
  if (mantissa === 0n) return
  if (total.mantissa === 0n) {
    total.mantissa = mantissa
    total.exponent = exponent
  } else if (exponent < total.exponent) {
    total.mantissa = (total.mantissa << BigInt(total.exponent - exponent)) + mantissa
    total.exponent = exponent
  } else {
    total.mantissa += mantissa << BigInt(exponent - total.exponent)
  }
}

function exactDouble(value: number): ExactSum {
  // Adding 0 makes -0 the 0 that JSON has.
  if (Number.isSafeInteger(value)) return value + 0
  const { mantissa, exponent } = oddParts(value)
  return `${mantissa}p${exponent}`
}

function normalForm(mantissa: bigint, exponent: number): ExactSum {
  if (mantissa === 0n) return 0
  const zeros = trailingZeros(mantissa)
  const odd = mantissa >> BigInt(zeros)
  const weight = exponent + zeros
  if (weight >= 0 && weight <= 52) {
    const whole = Number(odd << BigInt(weight))
    // Rounding never makes a safe integer of one that is not: 2^53 is none.
    if (Number.isSafeInteger(whole)) return whole
  }
  return `${odd}p${weight}`
}

/** The double that a text stands for, if its mantissa is a safe integer and it is exact and not huge. */
function smallDouble(sum: string): number | undefined {
  const end = sum.indexOf('p')
  if (end > SAFE_TEXT_LENGTH_MAX) return undefined
  const mantissa = Number(sum.slice(0, end))
  const exponent = exponentOf(sum)
  if (!Number.isSafeInteger(mantissa)) return undefined
  if (exponent < EXPONENT_MIN || exponent > SMALL_EXPONENT_MAX) return undefined
  return mantissa * powerOfTwo(exponent)
}

function mantissaOf(sum: string): bigint {
  return BigInt(sum.slice(0, sum.indexOf('p')))
}

function exponentOf(sum: string): number {
  return Number(sum.slice(sum.indexOf('p') + 1))
}

/** A double as an odd whole number times a power of two; zero is zero. */
function oddParts(value: number): { readonly mantissa: number; readonly exponent: number } {
  if (value === 0) return { mantissa: 0, exponent: 0 }
  SCRATCH.setFloat64(0, value)
  const high = SCRATCH.getUint32(0)
  const low = SCRATCH.getUint32(4)
  const biased = (high >>> 20) & 0x7ff
  const top = (high & 0xf_ffff) | (biased === 0 ? 0 : 0x10_0000)
  const zeros = low === 0 ? 32 + trailingZeros32(top) : trailingZeros32(low)
  const mantissa = (top * 2 ** 32 + low) / powerOfTwo(zeros)
  const exponent = Math.max(biased, 1) - 1075 + zeros
  return { mantissa: value < 0 ? -mantissa : mantissa, exponent }
}

/** 2^exponent from its bits: an implementation's power function may be off by a last digit. */
function powerOfTwo(exponent: number): number {
  const bit = exponent - EXPONENT_MIN
  const isNormal = exponent >= -1022
  const high = isNormal ? (exponent + 1023) << 20 : bit >= 32 ? 1 << (bit - 32) : 0
  SCRATCH.setUint32(0, high)
  SCRATCH.setUint32(4, isNormal || bit >= 32 ? 0 : 1 << bit)
  return SCRATCH.getFloat64(0)
}

/** size / 2^shift to the nearest whole number, ties to even. */
function shiftRounded(size: bigint, shift: bigint): bigint {
  const floor = size >> shift
  const rest = BigInt.asUintN(Number(shift), size)
  const half = 1n << (shift - 1n)
  const isUp = rest > half || (rest === half && (floor & 1n) === 1n)
  return isUp ? floor + 1n : floor
}

function bitLength(size: bigint): number {
  const digits = size.toString(16)
  return digits.length * 4 - (Math.clz32(Number.parseInt(digits.charAt(0), 16)) - 28)
}

function trailingZeros(value: bigint): number {
  let zeros = 0
  let rest = value
  while (BigInt.asUintN(32, rest) === 0n) {
    rest >>= 32n
    zeros += 32
  }
  return zeros + trailingZeros32(Number(BigInt.asUintN(32, rest)))
}

function trailingZeros32(value: number): number {
  return 31 - Math.clz32(value & -value)
}

/** More are possible in theory only: values that are each 2^53 times the next. */
const PARTIALS_MAX = 8
/** From here on a value is added as whole numbers: a sum of doubles could overflow. */
const HUGE = 2 ** 1000
/** Between these a square neither overflows nor loses bits below the finest double. */
const SQUARE_MIN = 2 ** -400
const SQUARE_MAX = 2 ** 400
/** Veltkamp's: cuts a double in two halves of 26 bits. */
const SPLITTER = 2 ** 27 + 1
/** The exponent of the finest double, and of the last bit of the largest. */
const EXPONENT_MIN = -1074
const LAST_BIT_MAX = 971
/** A safe integer times 2^900 is below HUGE. */
const SMALL_EXPONENT_MAX = 900
/** Digits of 2^53 and a sign. */
const SAFE_TEXT_LENGTH_MAX = 17
const SCRATCH = new DataView(new ArrayBuffer(8))
