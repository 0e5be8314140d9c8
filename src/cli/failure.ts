/**
 * How a command ends: the exit codes, and every failure as one line that names the fault, the way
 * out and a code. Stacks are for `--log-level debug`.
 */

import { CommanderError } from 'commander'

import { isLaterbaseError } from '../errors.ts'

export const EXIT = {
  done: 0,
  failed: 1,
  usage: 2,
  /** Two nodes do not hold the same. */
  unequal: 3
} as const

export type ExitCode = (typeof EXIT)[keyof typeof EXIT]

/** A command cannot do what was asked. `message` is one line for a person. */
export class CommandFailure extends Error {
  /** Stable: of the node (LATERBASE_…), of the HTTP facade, or one of the command line's own. */
  readonly code: string
  readonly exitCode: ExitCode

  constructor(
    code: string,
    message: string,
    options: { readonly exitCode?: ExitCode; readonly cause?: unknown } = {}
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.name = 'CommandFailure'
    this.code = code
    this.exitCode = options.exitCode ?? EXIT.failed
  }
}

/** The command was called wrongly: exit 2. */
export function usageFailure(message: string, cause?: unknown): CommandFailure {
  return new CommandFailure('usage', message, { exitCode: EXIT.usage, cause })
}

/** The events that a command was given cannot be read. */
export function inputFailure(message: string): CommandFailure {
  return new CommandFailure('input-invalid', message)
}

export interface Failure {
  readonly code: string
  readonly message: string
  readonly exitCode: ExitCode
}

/** What to say of anything that a command threw. */
export function describeFailure(error: unknown): Failure {
  if (error instanceof CommandFailure) {
    const { code, message, exitCode } = error
    return { code, message: oneLine(message), exitCode }
  }
  if (error instanceof CommanderError) return describeParseError(error)
  if (isLaterbaseError(error)) {
    const exitCode = USAGE_CODES.has(error.code) ? EXIT.usage : EXIT.failed
    return { code: error.code, message: oneLine(error.message), exitCode }
  }
  const message = error instanceof Error ? error.message : String(error)
  const code = error instanceof Error && 'code' in error ? String(error.code) : 'unexpected'
  return { code, message: oneLine(message), exitCode: EXIT.failed }
}

const USAGE_CODES: ReadonlySet<string> = new Set([
  'LATERBASE_OPTION_INVALID',
  'LATERBASE_INVITATION_INVALID',
  'LATERBASE_NAME_INVALID',
  'LATERBASE_ARGUMENT_INVALID'
])

function describeParseError(error: CommanderError): Failure {
  if (error.exitCode === 0) return { code: error.code, message: '', exitCode: EXIT.done }
  // Commander puts its guess at what was meant on a line of its own.
  const message = oneLine(error.message.replace(/^error: /, ''))
  return { code: 'usage', message, exitCode: EXIT.usage }
}

function oneLine(text: string): string {
  return text.replaceAll(/\s*[\r\n]+\s*/g, ' ')
}
