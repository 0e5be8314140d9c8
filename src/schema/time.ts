/** RFC 3339 times: what clients send and what they get back. */

import { KEY_TIME_MS_MAX } from '../core/event-key.ts'

/** Milliseconds since 1970, finer digits cut off; undefined for anything else, 30 February included. */
export function parseTime(text: string): number | undefined {
  // Offsets from the digits, because every event that enters has a time and a pattern with groups
  // costs as much as the rest of the envelope.
  if (!RFC_3339.test(text)) return undefined
  const [year, month, day] = [digits(text, 0, 4), digits(text, 5, 7), digits(text, 8, 10)]
  const [hour, minute, second] = [digits(text, 11, 13), digits(text, 14, 16), digits(text, 17, 19)]
  if (month < 1 || month > 12 || day < 1 || day > daysInMonth(year, month)) return undefined
  if (hour > 23 || minute > 59 || second > 59) return undefined
  const local = dayMs(year, month, day) + ((hour * 60 + minute) * 60 + second) * 1_000
  const offsetMs = zoneOffsetMs(text)
  return offsetMs === undefined ? undefined : local + fractionMs(text) - offsetMs
}

const RFC_3339 = /^\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(?:\.\d+)?(?:[Zz]|[+-]\d\d:\d\d)$/

function digits(text: string, from: number, to: number): number {
  let value = 0
  for (let at = from; at < to; at += 1) value = value * 10 + text.charCodeAt(at) - ZERO
  return value
}

const ZERO = 48

function daysInMonth(year: number, month: number): number {
  if (month !== 2) return month === 4 || month === 6 || month === 9 || month === 11 ? 30 : 31
  return year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0) ? 29 : 28
}

function dayMs(year: number, month: number, day: number): number {
  // Date.UTC takes years below 100 for those of the twentieth century.
  return year < 100
    ? new Date(0).setUTCFullYear(year, month - 1, day)
    : Date.UTC(year, month - 1, day)
}

/** Milliseconds of the fraction, which begins at character 19 where there is one. */
function fractionMs(text: string): number {
  if (text.charCodeAt(FRACTION_AT) !== DOT) return 0
  let [value, scale] = [0, 100]
  for (let at = FRACTION_AT + 1; scale >= 1; at += 1, scale /= 10) {
    const digit = text.charCodeAt(at) - ZERO
    if (!(digit >= 0 && digit <= 9)) break
    value += digit * scale
  }
  return value
}

const FRACTION_AT = 19
const DOT = 46

function zoneOffsetMs(text: string): number | undefined {
  const last = text.charAt(text.length - 1)
  if (last === 'Z' || last === 'z') return 0
  const end = text.length
  const [hours, minutes] = [digits(text, end - 5, end - 3), digits(text, end - 2, end)]
  if (hours > 23 || minutes > 59) return undefined
  return (text.charAt(end - 6) === '-' ? -1 : 1) * (hours * 60 + minutes) * MINUTE_MS
}

/** Whether a time can be the time of a key. */
export function isKeyTime(timeMs: number): boolean {
  return timeMs >= 0 && timeMs <= KEY_TIME_MS_MAX
}

/** RFC 3339 in UTC with milliseconds. */
export function formatTime(timeMs: number): string {
  // Beyond the years that RFC 3339 can write, the last one that it can: such keys come from peers.
  const shownMs = Math.min(timeMs, RFC_3339_MS_MAX)
  const minute = Math.floor(shownMs / MINUTE_MS)
  // Neighbouring events mostly share a minute, and a Date costs ten times what the rest does.
  if (minute !== lastMinute) {
    lastMinute = minute
    lastMinuteText = new Date(minute * MINUTE_MS).toISOString().slice(0, 17)
  }
  const restMs = shownMs - minute * MINUTE_MS
  const second = Math.floor(restMs / 1_000)
  const millis = Math.floor(restMs - second * 1_000)
  return `${lastMinuteText}${DIGITS_2[second]}.${DIGITS_3[millis]}Z`
}

const MINUTE_MS = 60_000
let lastMinute = Number.NaN
let lastMinuteText = ''
const DIGITS_2 = Array.from({ length: 60 }, (_, value) => String(value).padStart(2, '0'))
const DIGITS_3 = Array.from({ length: 1_000 }, (_, value) => String(value).padStart(3, '0'))

/** 9999-12-31T23:59:59.999Z. */
const RFC_3339_MS_MAX = 253_402_300_799_999
