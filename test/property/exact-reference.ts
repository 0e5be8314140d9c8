/**
 * Sums of doubles by whole numbers only: everything is a multiple of 2^-2148, the square of the finest double.
 * Slow, and made of other steps than what it judges.
 */

import fc from 'fast-check'

/** value × 2^2148. */
export function scaled(value: number): bigint {
  let [whole, halvings] = [value, 0]
  while (!Number.isInteger(whole)) {
    whole *= 2
    halvings += 1
  }
  return BigInt(whole) << BigInt(2_148 - halvings)
}

/** (value × 2^1074)², which is value² × 2^2148. */
export function scaledSquare(value: number): bigint {
  return (scaled(value) >> 1_074n) ** 2n
}

export function scaledSum(values: readonly number[]): bigint {
  return values.reduce((sum, value) => sum + scaled(value), 0n)
}

/** Whether no double is nearer to exact / 2^2148 than `value`, and none as near whose last bit is 0. */
export function isNearest(exact: bigint, value: number): boolean {
  // The double after the largest would be 2^1024: half-way to it rounding overflows.
  const overflow = scaled(Number.MAX_VALUE) + (1n << (970n + 2_148n))
  if (!Number.isFinite(value)) return value > 0 ? exact >= overflow : exact <= -overflow
  if (absolute(exact) >= overflow || Object.is(value, -0)) return false
  const distance = absolute(exact - scaled(value))
  return [1, -1].every((step) => {
    const neighbour = neighbourOf(value, step)
    if (!Number.isFinite(neighbour)) return true
    const other = absolute(exact - scaled(neighbour))
    return distance < other || (distance === other && isEven(value))
  })
}

/** Finite doubles of all sizes, and often whole, decimal, at the edges, or about as large as others. */
export function doubles(): fc.Arbitrary<number> {
  const edges = [
    1e308,
    -1e308,
    1e-308,
    5e-324,
    -5e-324,
    2 ** 53,
    -(2 ** 53),
    2 ** 53 - 1,
    2 ** 1000
  ]
  return fc.oneof(
    fc.integer(),
    fc.maxSafeInteger(),
    fc.integer({ min: -100_000, max: 100_000 }).map((cents) => cents / 100),
    fc.double({ noDefaultInfinity: true, noNaN: true }),
    fc.constantFrom(...edges, 0, -0, 0.1, Number.MAX_VALUE, -Number.MAX_VALUE, 2 ** -400, 2 ** 400),
    // Powers of two that lie far apart need many partials.
    fc.integer({ min: -1_074, max: 1_023 }).map((power) => 2 ** power)
  )
}

/** The same members in a random order, cut into runs that have members. */
export function splitOf<T>(members: readonly T[], isShuffled: boolean): fc.Arbitrary<T[][]> {
  const order = isShuffled
    ? fc.shuffledSubarray([...members], { minLength: members.length })
    : fc.constant([...members])
  const cuts = fc.array(fc.boolean(), { minLength: members.length, maxLength: members.length })
  return fc.tuple(order, cuts).map(([order, cuts]) => {
    const runs: T[][] = []
    for (const [index, member] of order.entries()) {
      const last = runs.at(-1)
      if (last === undefined || cuts[index] === true) runs.push([member])
      else last.push(member)
    }
    return runs
  })
}

function absolute(value: bigint): bigint {
  return value < 0n ? -value : value
}

function neighbourOf(value: number, step: number): number {
  const away = new DataView(new ArrayBuffer(8))
  if (value === 0) return step * Number.MIN_VALUE
  away.setFloat64(0, value)
  away.setBigInt64(0, away.getBigInt64(0) + BigInt(value > 0 ? step : -step))
  return away.getFloat64(0)
}

function isEven(value: number): boolean {
  const view = new DataView(new ArrayBuffer(8))
  view.setFloat64(0, value)
  return view.getUint8(7) % 2 === 0
}
