/** `laterbase join`: a data directory in the network of an invitation. */

import { resolve } from 'node:path'
import { text } from 'node:stream/consumers'

import type { Command } from 'commander'

import { makeDirectory } from '../../node/make-directory.ts'
import { addDirOption, createCommand, type OpenSession } from '../command.ts'
import { commandName } from '../invocation.ts'

export function joinCommand(openSession: OpenSession): Command {
  const command = createCommand({
    name: 'join',
    summary: 'make a data directory that belongs to the network of an invitation',
    example:
      'laterbase init --dir ./box-1\n' +
      'laterbase invite --dir ./box-1 | laterbase join - --dir ./box-2'
  })
  return addDirOption(command)
    .argument('<invitation>', 'what `laterbase invite` printed; - reads standard input')
    .action(async (argument: string) => {
      const { terminal } = openSession(command)
      const invitation = argument === '-' ? await text(process.stdin) : argument
      const dir = resolve(command.opts<{ dir: string }>().dir)
      const { path, created } = await makeDirectory(dir, invitation.trim())
      const said = created
        ? `Made ${path}: the identity of a node, in the network of the invitation.`
        : `The node in ${path} belongs to that network already; nothing was changed.`
      terminal.result({ dir: path, created }, said)
      terminal.line()
      terminal.line(`Start it:  ${commandName()} start --dir ${path}`)
    })
}
