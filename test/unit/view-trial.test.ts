/** The trial of views: what is not deterministic is found, with two rows that show it. */

import { expect, test, vi } from 'vitest'

import { systemClock, systemHasher } from '../../src/node/system.ts'
import type { AnyView } from '../../src/views/define-view.ts'
import { TRIAL_EVENTS_MAX } from '../../src/views/limits.ts'
import { nativeProgram } from '../../src/views/native-program.ts'
import type { ViewEvent, ViewProgram } from '../../src/views/program.ts'
import { findDifference } from '../../src/views/trial.ts'
import { createPrng } from '../../scripts/simulate/prng.ts'
import { foldEvent } from '../property/fold-model.ts'

const EVENTS = Array.from({ length: 150 }, (_, number) => {
  return foldEvent(number, 0, BigInt(number), { subject: 'abc'.charAt(number % 3), data: number })
})

async function difference(
  view: object,
  events = EVENTS
): Promise<readonly [string, string] | undefined> {
  const again = (): ViewProgram =>
    nativeProgram({ name: 'tried', ...view } as AnyView, systemHasher)
  const of = { program: again(), again, events }
  return findDifference({ ...of, rng: createPrng(7), clock: systemClock })
}

type Emit = (key: unknown, value?: unknown) => void
const numberOf = ({ data }: ViewEvent): number => Number(data)
let calls = 0
const met: number[] = []

const DETERMINISTIC: Readonly<Record<string, object>> = {
  'a sum': { initial: () => 0, apply: (sum: number, event: ViewEvent) => sum + numberOf(event) },
  'one that depends on the order of events': {
    initial: () => '',
    apply: (text: string, event: ViewEvent) => `${text.slice(-20)} ${numberOf(event)}`
  },
  'one that changes what it is given': {
    initial: () => ({ lines: [] }),
    apply: (state: { lines: number[] }, event: ViewEvent) => {
      state.lines.push(numberOf(event))
      if (state.lines.length > 5) throw new Error('full')
      return state
    }
  },
  'one that selects, and changes what it selected': {
    select: (event: ViewEvent) => (numberOf(event) % 3 === 0 ? undefined : [numberOf(event)]),
    initial: () => [],
    apply: (state: number[], given: number[]) => {
      given.push(...state.slice(-4))
      return given
    }
  },
  'a map': { map: (event: ViewEvent, emit: Emit) => emit(event.subject, event.data) },
  'a map with a reduce': {
    map: (event: ViewEvent, emit: Emit) => emit(event.subject, numberOf(event)),
    reduce: '_stats'
  }
}

test.each(Object.keys(DETERMINISTIC))('%s is found to be deterministic', async (name) => {
  expect(await difference(DETERMINISTIC[name] ?? {})).toBeUndefined()
  expect(await difference(DETERMINISTIC[name] ?? {}, [])).toBeUndefined()
})

const OTHERS: Readonly<Record<string, object>> = {
  'a fold that draws random numbers': { initial: () => 0, apply: () => Math.random() },
  'a fold that begins with a clock': { initial: () => Date.now(), apply: (at: number) => at },
  'a fold that begins with chance': {
    initialState: () => [Math.random()],
    evolve: (at: number[]) => at
  },
  'a fold that reads a clock': { initial: () => 0, apply: () => Date.now() },
  'a fold that counts its calls': { initial: () => 0, apply: () => (calls += 1) },
  'a fold that remembers the event before': {
    initial: () => 0,
    apply: (sum: number, event: ViewEvent) => {
      const before = met.pop() ?? 0
      met.push(numberOf(event))
      return numberOf(event) > before ? sum + 1 : sum
    }
  },
  'a key by chance': {
    key: () => Math.floor(Math.random() * 1_000),
    initial: () => 0,
    apply: (count: number) => count + 1
  },
  'a selection by chance': {
    select: () => (Math.random() < 0.5 ? undefined : 1),
    initial: () => 0,
    apply: (count: number) => count + 1
  },
  'a selection that counts its calls': {
    select: () => (calls += 1),
    initial: () => 0,
    apply: (_: number, count: number) => count
  },
  'a result by chance': {
    initial: () => 0,
    apply: (count: number) => count + 1,
    final: () => Math.random()
  },
  'a fold that fails by chance': {
    initial: () => 0,
    apply: () => {
      if (Math.random() < 0.5) throw new Error('not now')
      return 1
    }
  },
  'a map that draws random numbers': {
    map: (_: ViewEvent, emit: Emit) => emit('a', Math.random())
  },
  'a map that reads a clock': { map: (_: ViewEvent, emit: Emit) => emit(Date.now()) },
  'a reduce by chance': {
    map: (_: ViewEvent, emit: Emit) => emit('a', 1),
    reduce: () => Math.random()
  },
  'a map that counts its calls': { map: (_: ViewEvent, emit: Emit) => emit((calls += 1)) }
}

test.each(Object.keys(OTHERS))('%s is found not to be deterministic', async (name) => {
  const found = await difference(OTHERS[name] ?? {})
  expect(found?.[0]).not.toEqual(found?.[1])
  expect(found).toEqual([
    expect.stringMatching(/^\{|^no row/),
    expect.stringMatching(/^\{|^no row/)
  ])
})

test('of a large sample so many events are tried, and a long row is shown in part', async () => {
  const events = Array.from({ length: TRIAL_EVENTS_MAX + 50 }, (_, number) => {
    return foldEvent(number, 0, 1n, { subject: 'a', data: number })
  })
  const apply = vi.fn(
    (text: string, event: ViewEvent) => `${text}${Math.random()} ${numberOf(event)}`
  )
  const found = await difference({ initial: () => '', apply, version: 1 }, events)
  const numbers = apply.mock.calls.map(([, event]) => numberOf(event))
  expect(Math.min(...numbers)).toBe(50)
  expect(found?.[0]).toMatch(/…$/)
  expect(found?.[0].length).toBeLessThan(600)
})
