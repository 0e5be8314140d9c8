/** RFC 3339 times: what clients send and what they get back. */

import { KEY_TIME_MS_MAX } from '../core/event-key.ts'

const RFC_3339 =
  /^(\d{4})-(\d{2})-(\d{2})[Tt ](\d{2}):(\d{2}):(\d{2})(\.\d+)?([Zz]|[+-]\d{2}:\d{2})$/

/** Milliseconds since 1970, finer digits cut off; undefined for anything else, 30 February included. */
export function parseTime(text: string): number | undefined {
  const match = RFC_3339.exec(text)
  if (match === null) return undefined
  const [, year, month, day, hour, minute, second, fraction = '.', zone = 'Z'] = match
  const date = `${year}-${month}-${day}`
  const millis = fraction.slice(1, 4).padEnd(3, '0')
  const local = Date.parse(`${date}T${hour}:${minute}:${second}.${millis}Z`)
  // Date.parse rolls 30 February over into March.
  if (Number.isNaN(local) || new Date(local).toISOString().slice(0, 10) !== date) return undefined
  const offsetMs = parseOffset(zone)
  return offsetMs === undefined ? undefined : local - offsetMs
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

function parseOffset(zone: string): number | undefined {
  if (zone === 'Z' || zone === 'z') return 0
  const [hours, minutes] = [Number(zone.slice(1, 3)), Number(zone.slice(4, 6))]
  if (hours > 23 || minutes > 59) return undefined
  return (zone.startsWith('-') ? -1 : 1) * (hours * 60 + minutes) * 60_000
}

/** 9999-12-31T23:59:59.999Z. */
const RFC_3339_MS_MAX = 253_402_300_799_999
