/** A peer that claims to have news, and has none, is not asked as often as it claims. */

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'

import { FRUITLESS_MAX, FRUITLESS_MS_MAX, RETRY_MS } from '../../src/core/limits.ts'
import { createMachine } from './sync-machine.ts'
import type { Machine, MachineInput } from './sync-machine.ts'

const ANN = { peer: 'ann', database: 'yard' } as const
const NEWS: MachineInput = { type: 'announced', ...ANN }
const UNEQUAL: MachineInput = { type: 'compared', peer: 'ann', unequal: ['yard'], answer: false }
const NOTHING: MachineInput = { type: 'fetched', ...ANN, stored: 0, equal: false }
const FAILED: MachineInput = { type: 'fetch-failed', ...ANN }

function fetches(machine: Machine, input: MachineInput): boolean {
  return machine.take(input).some(({ type }) => type === 'fetch')
}

function afterFruitless(results: readonly MachineInput[]): Machine {
  const machine = createMachine(1)
  machine.take({ type: 'peer-connected', peer: 'ann' })
  for (const result of results) {
    expect(fetches(machine, NEWS)).toBe(true)
    machine.take(result)
  }
  return machine
}

const fruitless = (length: number): fc.Arbitrary<MachineInput[]> =>
  fc.array(fc.constantFrom(NOTHING, FAILED), { minLength: length, maxLength: length })

describe('fetches in a row that bring nothing', () => {
  test('are as many as there are claims at first, and then one a wait that grows', () => {
    fc.assert(
      fc.property(
        fruitless(FRUITLESS_MAX),
        fc.constantFrom(NOTHING, FAILED),
        fc.array(fc.tuple(fc.constantFrom(NEWS, UNEQUAL), fc.nat(20)), { minLength: 1_500 }),
        (first, result, claims) => {
          const machine = afterFruitless(first)
          let [elapsedMs, asked] = [0, 0]
          for (const [claim, afterMs] of claims) {
            machine.advance(afterMs)
            elapsedMs += afterMs
            for (const input of [claim, { type: 'timer' } as const]) {
              if (!fetches(machine, input)) continue
              asked += 1
              // A claim during the fetch, too.
              machine.take(claim)
              if (fetches(machine, result)) throw new Error('asked again at once')
            }
          }
          expect(asked).toBeLessThan(8 + elapsedMs / (0.5 * FRUITLESS_MS_MAX))
        }
      ),
      { numRuns: 30 }
    )
  })

  test('are forgiven with the first that brings something, or ends equal', () => {
    for (const good of [
      { type: 'fetched', ...ANN, stored: 1, equal: false },
      { type: 'fetched', ...ANN, stored: 0, equal: true }
    ] as const) {
      const machine = afterFruitless(Array.from({ length: FRUITLESS_MAX }, () => NOTHING))
      expect(fetches(machine, NEWS)).toBe(true)
      machine.take(good)
      expect(fetches(machine, NEWS)).toBe(true)
    }
  })

  test('do not make a claim forgotten: it is looked into when the wait is over', () => {
    const machine = afterFruitless(Array.from({ length: FRUITLESS_MAX }, () => NOTHING))
    expect(fetches(machine, NEWS)).toBe(true)
    machine.take(NOTHING)
    expect(fetches(machine, NEWS)).toBe(false)
    machine.advance(1.5 * RETRY_MS)
    expect(fetches(machine, { type: 'timer' })).toBe(true)
  })
})
