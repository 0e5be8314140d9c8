/** `laterbase view-remove`: takes the definition of a view away, on every node. */

import type { Command } from 'commander'

import { addUrlOption, createCommand, type OpenSession } from '../command.ts'
import { NodeClient, viewPath } from '../node-client.ts'

export function viewRemoveCommand(openSession: OpenSession): Command {
  const command = createCommand({
    name: 'view-remove',
    summary: 'remove a view, here and on every node; the events stay',
    example: 'laterbase view-remove depot stock'
  })
  return addUrlOption(command)
    .argument('<db>', 'database')
    .argument('<view>', 'name of the view')
    .action(async (db: string, view: string) => {
      const { terminal, log } = openSession(command)
      const node = new NodeClient(command.opts<{ url: string }>().url, log)
      await node.open(viewPath(db, view, '/_def'), { method: 'DELETE' })
      terminal.result({ db, view, removed: true }, `${view} of ${db} is removed`)
    })
}
