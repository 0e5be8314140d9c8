/** `laterbase renew-identity`: a new identity for a box whose disk is a copy of another's. */

import { resolve } from 'node:path'

import type { Command } from 'commander'

import { hasIdentity } from '../../node/data-directory.ts'
import { addDirOption, createCommand, type OpenSession } from '../command.ts'
import { CommandFailure } from '../failure.ts'
import { commandName } from '../invocation.ts'

export function renewIdentityCommand(openSession: OpenSession): Command {
  const command = createCommand({
    name: 'renew-identity',
    summary: 'give a stopped node a new identity, because its disk is a copy of another box’s',
    example:
      'laterbase init --dir ./laterbase-data\nlaterbase renew-identity --dir ./laterbase-data'
  })
  return addDirOption(command).action(async () => {
    const { terminal } = openSession(command)
    const dir = resolve(command.opts<{ dir: string }>().dir)
    if (!(await hasIdentity(dir))) {
      const message = `there is no node in ${dir}: name its --dir`
      throw new CommandFailure('no-node', message)
    }
    // It loads LevelDB and libp2p's keys, which no other command should wait for.
    const { renewIdentity } = await import('../../node/renew-identity.ts')
    const { path, before, after, kept } = await renewIdentity(dir)
    terminal.result(
      { dir: path, before, peerId: after, kept },
      `The node in ${path} was ${before} and is ${after} from now on.`
    )
    terminal.line(
      `Its events stay. The old identity is kept in ${kept}: delete it when all is well.`
    )
    terminal.line()
    terminal.line(`Start it:  ${commandName()} start --dir ${path}`)
  })
}
