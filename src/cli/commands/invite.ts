/** `laterbase invite`: the network key as one string; works beside a running node. */

import { resolve } from 'node:path'

import type { Command } from 'commander'

import { hasIdentity, openDataDirectory } from '../../node/data-directory.ts'
import { createInvitation } from '../../node/invitation.ts'
import { addDirOption, createCommand, type OpenSession } from '../command.ts'
import { CommandFailure } from '../failure.ts'

export function inviteCommand(openSession: OpenSession): Command {
  const command = createCommand({
    name: 'invite',
    summary: 'print the invitation to the network of a data directory; it is a secret',
    example: 'laterbase init --dir ./laterbase-data\nlaterbase invite --dir ./laterbase-data'
  })
  return addDirOption(command).action(async () => {
    const { terminal } = openSession(command)
    const dir = resolve(command.opts<{ dir: string }>().dir)
    if (!(await hasIdentity(dir))) {
      const message = `there is no node in ${dir}: make one with \`laterbase init\`, or name its --dir`
      throw new CommandFailure('no-node', message)
    }
    const { networkKey, path } = await openDataDirectory(dir, undefined)
    const invitation = createInvitation(networkKey)
    terminal.result({ dir: path, invitation }, invitation)
    if (process.stdout.isTTY) {
      terminal.note('Whoever has this string is in the network. On the other box:')
      terminal.note(`  laterbase join ${invitation}\n  laterbase start`)
    }
  })
}
