/** RFC 3339 times: what is one, what it means, and what it is shown as. */

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'

import { KEY_TIME_MS_MAX } from '../../src/core/event-key.ts'
import { formatTime, isKeyTime, parseTime } from '../../src/schema/time.ts'

const YEAR_1 = Date.parse('0001-01-01T00:00:00Z')
const YEAR_9999 = 253_402_300_799_999

const times = fc.integer({ min: YEAR_1, max: YEAR_9999 })
const keyTimes = fc.integer({ min: 0, max: YEAR_9999 })

describe('a time', () => {
  test('that we show is read back', () => {
    fc.assert(
      fc.property(keyTimes, (timeMs) => {
        expect(parseTime(formatTime(timeMs))).toBe(timeMs)
      })
    )
  })

  test('means the same in every zone', () => {
    const minutes = fc.integer({ min: -(24 * 60 - 1), max: 24 * 60 - 1 })
    fc.assert(
      fc.property(
        fc.integer({ min: 86_400_000, max: YEAR_9999 - 86_400_000 }),
        minutes,
        (timeMs, offset) => {
          const local = new Date(timeMs + offset * 60_000).toISOString().slice(0, -1)
          const [hours, rest] = [Math.floor(Math.abs(offset) / 60), Math.abs(offset) % 60]
          const zone = `${offset < 0 ? '-' : '+'}${two(hours)}:${two(rest)}`
          expect(parseTime(local + zone)).toBe(timeMs)
        }
      )
    )
  })

  test('is cut, not rounded, behind the millisecond', () => {
    fc.assert(
      fc.property(keyTimes, fc.stringMatching(/^[0-9]{0,12}$/), (timeMs, finer) => {
        const text = new Date(timeMs).toISOString().replace('Z', `${finer}Z`)
        expect(parseTime(text)).toBe(timeMs)
      })
    )
  })

  test('may have fewer digits behind the point, or none', () => {
    expect(parseTime('2026-11-02T06:10:00Z')).toBe(1_793_599_800_000)
    expect(parseTime('2026-11-02T06:10:00.5Z')).toBe(1_793_599_800_500)
    expect(parseTime('2026-11-02t06:10:00.05z')).toBe(1_793_599_800_050)
    expect(parseTime('2026-11-02 07:10:00+01:00')).toBe(1_793_599_800_000)
  })

  test('exists in the calendar', () => {
    fc.assert(
      fc.property(
        times,
        fc.integer({ min: 1, max: 12 }),
        fc.integer({ min: 1, max: 31 }),
        (timeMs, month, day) => {
          const year = new Date(timeMs).toISOString().slice(0, 4)
          const exists = day <= new Date(Date.UTC(Number(year) + 400, month, 0)).getUTCDate()
          const parsed = parseTime(`${year}-${two(month)}-${two(day)}T00:00:00Z`)
          expect(parsed !== undefined).toBe(exists)
        }
      )
    )
  })

  test('is not any other text', () => {
    const others = [
      '',
      'now',
      '0',
      '2026-11-02',
      '2026-11-02T06:10Z',
      '2026-11-02T06:10:00',
      '2026-11-02T06:10:00.Z',
      '2026-11-02T06:10:00,5Z',
      '2026-11-02T24:00:00Z',
      '2026-11-02T06:60:00Z',
      '2026-11-02T06:10:60Z',
      '2026-11-02T06:10:00+24:00',
      '2026-11-02T06:10:00+01:60',
      '2026-11-02T06:10:00+0100',
      '2026-02-29T00:00:00Z',
      '2026-13-01T00:00:00Z',
      '2026-00-01T00:00:00Z',
      '+02026-11-02T06:10:00Z',
      '-2026-11-02T06:10:00Z',
      ' 2026-11-02T06:10:00Z',
      '2026-11-02T06:10:00Z\n',
      '\u0662026-11-02T06:10:00Z'
    ]
    for (const text of others) expect(parseTime(text), text).toBeUndefined()
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        expect(parseTime(text)).toBeUndefined()
      })
    )
  })
})

test('the times of keys are those since 1970 that 48 bits hold', () => {
  expect([-1, 0, KEY_TIME_MS_MAX, KEY_TIME_MS_MAX + 1].map(isKeyTime)).toEqual([
    false,
    true,
    true,
    false
  ])
  expect(formatTime(KEY_TIME_MS_MAX)).toBe('9999-12-31T23:59:59.999Z')
})

function two(value: number): string {
  return String(value).padStart(2, '0')
}
