/** What every command has: the common options, an example that works, a typed view of both. */

import { Command, InvalidArgumentError, Option } from 'commander'

import type { Log } from '../node/options.ts'
import { LOG_LEVELS, type LogLevel } from './log.ts'
import type { Terminal } from './terminal.ts'

/** What a command works with besides its own arguments. */
export interface Session {
  readonly terminal: Terminal
  readonly log: Log
}

/** Hands a command its session; made by `program.ts` once its options are known. */
export type OpenSession = (command: Command) => Session

export interface CommandDescription {
  readonly name: string
  readonly summary: string
  /** Lines that work when pasted; the last thing that `--help` prints. */
  readonly example: string
  readonly logLevel?: LogLevel
}

export function createCommand(description: CommandDescription): Command {
  const { name, summary, example, logLevel = 'warn' } = description
  return new Command(name)
    .description(summary)
    .helpOption('-h, --help', 'show this help')
    .addOption(new Option('--json', 'one JSON value a line on standard output').default(false))
    .addOption(
      new Option('--log-level <level>', 'log lines on standard error')
        .choices(LOG_LEVELS)
        .default(logLevel)
    )
    .addOption(new Option('--config <file>', 'configuration file, default ./laterbase.config.*'))
    .addHelpText('after', `\nExample:\n${indent(example)}`)
}

/** Client commands talk to a running node. */
export function addUrlOption(command: Command): Command {
  return command.addOption(
    new Option('--url <url>', 'the node to talk to').default('http://127.0.0.1:8080')
  )
}

export function addDirOption(command: Command): Command {
  return command.addOption(new Option('--dir <dir>', 'data directory').default('./laterbase-data'))
}

/** An argument parser for a number within bounds. */
export function numberWithin(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = Number(text)
    if (text.trim() !== '' && value >= min && value <= max) return value
    throw new InvalidArgumentError(`A number from ${min} to ${max} is expected.`)
  }
}

/** An argument parser for a whole number within bounds. */
export function integerWithin(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = /^\d{1,15}$/.test(text.trim()) ? Number(text) : Number.NaN
    if (value >= min && value <= max) return value
    throw new InvalidArgumentError(`A whole number from ${min} to ${max} is expected.`)
  }
}

function indent(text: string): string {
  return text
    .split('\n')
    .map((line) => `  ${line}`)
    .join('\n')
}
