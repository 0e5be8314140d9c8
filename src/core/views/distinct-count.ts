/**
 * How many distinct keys there are, about: HyperLogLog with 2,048 registers (Flajolet et al., 2007), as
 * CouchDB's; standard error 2.3 %. Up to 255 keys are counted exactly, from a list of their hashes.
 *
 * The estimator is Ertl's improved raw one ("New cardinality estimation algorithms for HyperLogLog
 * sketches", 2017, algorithm 6), which needs no tables of bias. Left out: taking a key away.
 */

import { murmur3 } from './murmur3.ts'

/**
 * A set of keys as text: a function of the set, whatever the order and grouping it was made in. Each
 * character has 6 bits, in the order of ASCII. Below 2,048 characters: the keys' hashes, 48 bits in 8
 * characters each, sorted. Exactly 2,048: the registers.
 */
export type DistinctSet = string

/** A set that is being made. */
export interface DistinctTotal {
  addKey(key: Uint8Array): void
  addSet(set: DistinctSet): void
  set(): DistinctSet
}

export function createDistinctTotal(): DistinctTotal {
  const hashes = new Set<string>()
  let registers: Uint8Array | undefined
  const addHash = (hash: string): void => {
    hashes.add(hash)
    if (hashes.size <= HASHES_MAX) return
    registers = registersOf(hashes)
    hashes.clear()
  }
  return {
    addKey: (key) => {
      const [first, second] = murmur3(key, 0)
      const [high, low] = [first >>> 8, ((first & 0xff) << 16) | (second >>> 16)]
      if (registers === undefined) addHash(digits(high) + digits(low))
      else observe(registers, high, low)
    },
    addSet: (set) => {
      if (set.length === REGISTERS) {
        registers ??= registersOf(hashes)
        raiseAll(registers, set)
        return
      }
      for (let at = 0; at < set.length; at += HASH_LENGTH) {
        if (registers === undefined) addHash(set.slice(at, at + HASH_LENGTH))
        else observe(registers, digitsAt(set, at), digitsAt(set, at + 4))
      }
    },
    set: () => {
      if (registers === undefined) return [...hashes].sort().join('')
      let text = ''
      for (const rank of registers) text += DIGITS.charAt(rank)
      return text
    }
  }
}

/** How many keys the set has: exact in the list, an estimate from the registers. */
export function countDistinct(set: DistinctSet): number {
  return set.length < REGISTERS ? set.length / HASH_LENGTH : Math.round(estimate(set))
}

function registersOf(hashes: Iterable<string>): Uint8Array {
  const registers = new Uint8Array(REGISTERS)
  for (const hash of hashes) observe(registers, digitsAt(hash, 0), digitsAt(hash, 4))
  return registers
}

/** @param high the upper 24 bits of a hash: 11 name a register, the run of zeros after them is its rank */
function observe(registers: Uint8Array, high: number, low: number): void {
  const register = high >>> 13
  const rest = high & 0x1fff
  // Math.clz32 counts from bit 31: of the 13 bits of `rest` and the 24 of `low` the first are 19 and 8.
  const zeros = rest === 0 ? 13 + Math.clz32(low) - 8 : Math.clz32(rest) - 19
  if (zeros + 1 > (registers[register] ?? 0)) registers[register] = zeros + 1
}

function raiseAll(registers: Uint8Array, set: DistinctSet): void {
  for (let index = 0; index < REGISTERS; index += 1) {
    const rank = valueAt(set, index)
    if (rank > (registers[index] ?? 0)) registers[index] = rank
  }
}

/**
 * Ertl's algorithm 6. It uses only what IEEE 754 rounds correctly (no logarithm, no power), so every
 * machine comes to the same number.
 */
function estimate(set: DistinctSet): number {
  const counts = new Float64Array(RANK_MAX + 1)
  for (let index = 0; index < REGISTERS; index += 1) {
    const rank = valueAt(set, index)
    counts[rank] = (counts[rank] ?? 0) + 1
  }
  let z = REGISTERS * tau(1 - (counts[RANK_MAX] ?? 0) / REGISTERS)
  for (let rank = RANK_MAX - 1; rank >= 1; rank -= 1) z = 0.5 * (z + (counts[rank] ?? 0))
  z += REGISTERS * sigma((counts[0] ?? 0) / REGISTERS)
  // Registers that can all rise no more estimate to infinity, which JSON does not have.
  return Math.min((REGISTERS * REGISTERS) / (2 * Math.LN2 * z), 2 ** HASH_BITS)
}

/** Corrects for registers that no key has reached; a set with a list of its own has reached some. */
function sigma(emptyShare: number): number {
  let x = emptyShare
  let y = 1
  let z = x
  for (;;) {
    x *= x
    const last = z
    z += x * y
    y += y
    if (z === last) return z
  }
}

/** Corrects for registers that can rise no more. */
function tau(share: number): number {
  if (share === 0 || share === 1) return 0
  let x = share
  let y = 1
  let z = 1 - x
  for (;;) {
    x = Math.sqrt(x)
    const last = z
    y *= 0.5
    z -= (1 - x) * (1 - x) * y
    if (z === last) return z / 3
  }
}

/** 24 bits as four characters. */
function digits(bits: number): string {
  return (
    DIGITS.charAt(bits >>> 18) +
    DIGITS.charAt((bits >>> 12) & 63) +
    DIGITS.charAt((bits >>> 6) & 63) +
    DIGITS.charAt(bits & 63)
  )
}

function digitsAt(text: string, at: number): number {
  const high = (valueAt(text, at) << 18) | (valueAt(text, at + 1) << 12)
  return high | (valueAt(text, at + 2) << 6) | valueAt(text, at + 3)
}

function valueAt(text: string, at: number): number {
  return VALUES[text.charCodeAt(at)] ?? 0
}

const REGISTERS = 2_048
/** 37 bits follow those that name the register; one more when all of them are 0. */
const RANK_MAX = 38
const HASH_BITS = 48
const HASH_LENGTH = HASH_BITS / 6
/** One more, and the list were as long as the registers. */
const HASHES_MAX = REGISTERS / HASH_LENGTH - 1
const DIGITS = '-0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz'
const VALUES = new Uint8Array(128)
for (let value = 0; value < 64; value += 1) VALUES[DIGITS.charCodeAt(value)] = value
