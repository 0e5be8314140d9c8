/**
 * Seeded chance for simulations and benchmarks; never for keys. mulberry32, of Tommy Ettinger:
 * 32 bits of state, good enough to shuffle pallets.
 */

export interface Prng {
  /** Uniform in [0, 1). */
  fraction(): number
  /** Uniform, both ends included. */
  integer(min: number, max: number): number
  /** Undefined for an empty list. */
  pick<Choice>(choices: readonly Choice[]): Choice | undefined
}

/** @param seed a whole number; its low 32 bits count */
export function createPrng(seed: number): Prng {
  let state = seed >>> 0
  const fraction = (): number => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
  const integer = (min: number, max: number): number =>
    min + Math.floor(fraction() * (max - min + 1))
  return { fraction, integer, pick: (choices) => choices[Math.floor(fraction() * choices.length)] }
}
