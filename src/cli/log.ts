/** Log lines on standard error, by pino: pretty for a person, JSON otherwise. */

import type { DestinationStream, pino as Pino } from 'pino'

import type { Log } from '../node/options.ts'

export const LOG_LEVELS = ['debug', 'info', 'warn', 'error', 'silent'] as const

export type LogLevel = (typeof LOG_LEVELS)[number]

/** pino is loaded by the first line that is to be written: most commands write none. */
export function createLog(level: LogLevel): Log {
  let opened: Promise<Log> | undefined
  return (lineLevel, message, fields) => {
    if (LOG_LEVELS.indexOf(lineLevel) < LOG_LEVELS.indexOf(level)) return
    opened ??= openLog(level)
    void opened.then((log) => {
      log(lineLevel, message, fields)
    })
  }
}

const STDERR = 2

async function openLog(level: LogLevel): Promise<Log> {
  const { pino } = await import('pino')
  const logger = pino({ level, base: null }, await openDestination(pino))
  return (lineLevel, message, fields) => {
    logger[lineLevel](fields ?? {}, message)
  }
}

/** Synchronous, so that the last line before an end is written too. */
async function openDestination(pino: typeof Pino): Promise<DestinationStream> {
  if (!process.stderr.isTTY) return pino.destination({ dest: STDERR, sync: true })
  const { PinoPretty } = await import('pino-pretty')
  return PinoPretty({ destination: STDERR, sync: true, translateTime: 'SYS:HH:MM:ss' })
}
