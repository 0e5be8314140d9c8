/** The program: all commands, their settings, and how a run ends. */

import { Command, CommanderError } from 'commander'

import { VERSION } from '../node/version.ts'
import type { OpenSession } from './command.ts'
import { appendCommand } from './commands/append.ts'
import { dbsCommand } from './commands/dbs.ts'
import { digestCommand } from './commands/digest.ts'
import { doctorCommand } from './commands/doctor.ts'
import { feedCommand } from './commands/feed.ts'
import { getCommand } from './commands/get.ts'
import { initCommand } from './commands/init.ts'
import { inviteCommand } from './commands/invite.ts'
import { joinCommand } from './commands/join.ts'
import { renewIdentityCommand } from './commands/renew-identity.ts'
import { simulateCommand } from './commands/simulate.ts'
import { startCommand } from './commands/start.ts'
import { statusCommand } from './commands/status.ts'
import { verifyCommand } from './commands/verify.ts'
import { viewDefineCommand } from './commands/view-define.ts'
import { viewRemoveCommand } from './commands/view-remove.ts'
import { viewCommand } from './commands/view.ts'
import { viewsCommand } from './commands/views.ts'
import { describeFailure, EXIT, type ExitCode } from './failure.ts'
import { createLog, type LogLevel } from './log.ts'
import { applySettings } from './settings.ts'
import { Terminal } from './terminal.ts'

/** Runs one command line; resolves to the exit code. */
export async function run(args: readonly string[]): Promise<ExitCode> {
  const running: { json: boolean; debug: boolean } = { json: args.includes('--json'), debug: false }
  const program = createProgram((command) => {
    const { json, logLevel } = command.opts<{ json: boolean; logLevel: LogLevel }>()
    running.json = json
    running.debug = logLevel === 'debug'
    return { terminal: new Terminal(json), log: createLog(logLevel) }
  })
  try {
    await program.parseAsync(args, { from: 'user' })
    return Number(process.exitCode ?? EXIT.done) as ExitCode
  } catch (error) {
    return report(error, running)
  }
}

function createProgram(openSession: OpenSession): Command {
  const commands = COMMANDS.map((create) => create(openSession))
  const known = new Set(
    commands.flatMap((each) => each.options.map((option) => option.attributeName()))
  )
  known.delete('config')
  const program = new Command('laterbase')
    .description(
      'A peer-to-peer event store: write anywhere, into the past too; nodes become equal.'
    )
    .version(VERSION, '-V, --version', 'show the version')
    .helpOption('-h, --help', 'show this help')
    .helpCommand(false)
    .addHelpText('after', EPILOGUE)
    .hook('preAction', (_program, command) => applySettings(command, known))
  for (const command of commands) program.addCommand(command)
  for (const command of [program, ...commands]) {
    command.exitOverride().configureOutput({ outputError: () => undefined })
  }
  return program
}

const COMMANDS = [
  startCommand,
  initCommand,
  inviteCommand,
  joinCommand,
  appendCommand,
  feedCommand,
  getCommand,
  viewCommand,
  viewsCommand,
  viewDefineCommand,
  viewRemoveCommand,
  dbsCommand,
  statusCommand,
  digestCommand,
  verifyCommand,
  doctorCommand,
  renewIdentityCommand,
  simulateCommand
]

const EPILOGUE = `
Every option can also be set in laterbase.config.{ts,js,json} ({ "http": ":8081" }) and in the
environment (LATERBASE_HTTP=:8081); the command line wins, then the environment, then the file.
Exit codes: 0 done, 1 failed, 2 wrong usage, 3 nodes not in agreement.

Example:
  laterbase start`

function report(
  error: unknown,
  running: { readonly json: boolean; readonly debug: boolean }
): ExitCode {
  // Without a command the help was shown, and nothing done.
  if (error instanceof CommanderError && error.code === 'commander.help') return EXIT.usage
  const { code, message, exitCode } = describeFailure(error)
  if (exitCode === EXIT.done) return exitCode
  const hint = code === 'usage' ? '; see laterbase --help' : ''
  process.stderr.write(
    running.json
      ? `${JSON.stringify({ event: 'error', code, message })}\n`
      : `laterbase: ${message}${hint} (${code})\n`
  )
  if (running.debug && error instanceof Error) process.stderr.write(`${error.stack ?? ''}\n`)
  return exitCode
}
