/** `laterbase init`: a data directory with an identity and a network key. */

import { resolve } from 'node:path'

import type { Command } from 'commander'

import { makeDirectory } from '../../node/make-directory.ts'
import { addDirOption, createCommand, type OpenSession } from '../command.ts'
import { commandName } from '../invocation.ts'

export function initCommand(openSession: OpenSession): Command {
  const command = createCommand({
    name: 'init',
    summary: 'make a data directory with an identity and a new network key',
    example: 'laterbase init --dir ./laterbase-data'
  })
  return addDirOption(command).action(async () => {
    const { terminal } = openSession(command)
    const dir = resolve(command.opts<{ dir: string }>().dir)
    const { path, created } = await makeDirectory(dir, undefined)
    const said = created
      ? `Made ${path}: the identity of a node, and the key of a new network.`
      : `There is a node in ${path} already; nothing was changed.`
    terminal.result({ dir: path, created }, said)
    terminal.line()
    terminal.line(`Start it:          ${commandName()} start --dir ${path}`)
    terminal.line(`Add a second box:  ${commandName()} invite --dir ${path}`)
  })
}
