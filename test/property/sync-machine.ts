/**
 * The sync state machine with a clock that the test moves. It keeps the numbers of fetches to itself:
 * a result is of the last fetch that was begun, unless the test names another.
 */

import { present } from '../../src/core/assert.ts'
import type { FetchName, SyncInput, SyncOutput } from '../../src/core/sync/session.ts'
import { newSyncState, nextDueMs, stepSync } from '../../src/core/sync/session.ts'
import { seededRng } from './arbitraries.ts'

export const ANTI_ENTROPY_MS = 10_000

type Unnumbered<T> = T extends FetchName ? Omit<T, 'fetch'> : T
/** An input in which the number of a fetch may be left out. */
export type MachineInput = SyncInput | Unnumbered<SyncInput>
export type MachineOutput = Unnumbered<SyncOutput>

export interface Machine {
  take(input: MachineInput): MachineOutput[]
  advance(byMs: number): void
  /** Runs the clock to the next timer and takes it. */
  wait(): MachineOutput[]
  dueInMs(): number | undefined
  /** The number of the last fetch. */
  lastFetch(peer: string, database: string): number
}

export function createMachine(seed: number): Machine {
  const state = newSyncState()
  const rng = seededRng(seed)
  const begun = new Map<string, number>()
  let nowMs = 1_000
  const lastFetch = (peer: string, database: string): number =>
    begun.get(`${peer} ${database}`) ?? 0
  const numbered = (input: MachineInput): SyncInput => {
    if (input.type !== 'fetched' && input.type !== 'fetch-failed') return input
    return 'fetch' in input ? input : { ...input, fetch: lastFetch(input.peer, input.database) }
  }
  const take = (input: MachineInput): MachineOutput[] =>
    stepSync(state, numbered(input), { nowMs, rng, antiEntropyMs: ANTI_ENTROPY_MS }).map(
      (output) => {
        if (output.type !== 'fetch') return output
        const { fetch, ...unnumbered } = output
        begun.set(`${output.peer} ${output.database}`, fetch)
        return unnumbered
      }
    )
  return {
    take,
    advance: (byMs) => (nowMs += byMs),
    wait: () => {
      nowMs = Math.max(nowMs, present(nextDueMs(state), 'a timer is wanted'))
      return take({ type: 'timer' })
    },
    dueInMs: () => {
      const due = nextDueMs(state)
      return due === undefined ? undefined : due - nowMs
    },
    lastFetch
  }
}
