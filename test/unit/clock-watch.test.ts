/** Whose clock is said to be wrong. */

import { expect, test } from 'vitest'

import { clockStatus, clockWarnings } from '../../src/node/clock-watch.ts'

const NOW = Date.UTC(2027, 5, 1)
const YEAR_MS = 365 * 86_400_000

function look(
  recorded: readonly (readonly [string, number])[],
  nowMs = NOW
): { readonly own: string; readonly named: readonly string[]; readonly warnings: string[] } {
  const status = clockStatus({ nowMs, self: 'self', recorded, readMs: nowMs })
  const named = status.ahead.map(({ peer }) => peer)
  return { own: status.own, named, warnings: clockWarnings(status) }
}

test('boxes that recorded in the past, or hardly ahead, are not named', () => {
  const recorded = [
    ['self', NOW],
    ['a', NOW - YEAR_MS],
    ['b', NOW + 200_000]
  ] as const
  expect(look(recorded)).toEqual({ own: 'right', named: [], warnings: [] })
})

test('one box among several that recorded years ahead is named, by its last commit', () => {
  const { own, named, warnings } = look([
    ['a', NOW - 1],
    ['b', NOW - 1],
    ['poisoner', NOW - YEAR_MS],
    ['poisoner', NOW + 70 * YEAR_MS]
  ])
  expect([own, named]).toEqual(['right', ['poisoner']])
  expect(warnings).toEqual([expect.stringContaining('the clock of poisoner runs ahead')])
})

test('where most others are ahead, it is this box whose clock is behind', () => {
  const { own, warnings } = look([
    ['a', NOW + YEAR_MS],
    ['b', NOW + YEAR_MS + 1],
    ['c', NOW]
  ])
  expect(own).toBe('behind')
  expect(warnings).toEqual([expect.stringContaining('the clock of this box is probably behind')])
})

test('a clock that shows 1970 was never set, whatever the others say', () => {
  const { own, warnings } = look([['a', NOW]], 5_000)
  expect(own).toBe('unset')
  expect(warnings).toEqual([
    'the clock of this box was never set: it shows 1970-01-01T00:00:05.000Z; set it right'
  ])
})

test('a clock that shows a time before what this box recorded was set back', () => {
  expect(look([['self', NOW + YEAR_MS]]).own).toBe('set-back')
  expect(look([['self', NOW + 200_000]]).own).toBe('right')
})

test('of two boxes that differ nobody can say which is wrong, and both are named', () => {
  const { own, warnings } = look([['a', NOW + YEAR_MS]])
  expect(own).toBe('unsure')
  expect(warnings).toEqual([expect.stringContaining('the clocks of this box and of a differ')])
})

test('however many boxes claim to be ahead, only so many are named', () => {
  const crowd = Array.from({ length: 1_000 }, (_, index) => [`a${index}`, NOW - 1] as const)
  const ahead = Array.from({ length: 900 }, (_, index) => [`b${index}`, NOW + YEAR_MS] as const)
  const { named, warnings } = look([...crowd, ...ahead])
  expect([named.length, warnings.length]).toEqual([64, 64])
})
