/** `laterbase view-define`: a definition of a view, which replicates to every node. */

import { readFile } from 'node:fs/promises'
import { text } from 'node:stream/consumers'

import type { Command } from 'commander'

import { addUrlOption, createCommand, type OpenSession } from '../command.ts'
import { CommandFailure } from '../failure.ts'
import { NodeClient, viewPath } from '../node-client.ts'

interface Info {
  readonly name: string
  readonly type: string
  readonly hash: string
}

export function viewDefineCommand(openSession: OpenSession): Command {
  const command = createCommand({
    name: 'view-define',
    summary: 'define a view, or replace it; the one before answers until the new one is built',
    example:
      'echo \'{"where":{"type":"pallet.received"},"key":"data.zone","value":"data.qty",' +
      '"reduce":"_sum"}\' | laterbase view-define depot stock'
  })
  return addUrlOption(command)
    .argument('<db>', 'database')
    .argument('<view>', 'name of the view')
    .argument('[file]', 'JSON file with the definition; without one, or with -, standard input')
    .action(async (db: string, view: string, file: string | undefined) => {
      const { terminal, log } = openSession(command)
      const node = new NodeClient(command.opts<{ url: string }>().url, log)
      const response = await node.open(viewPath(db, view, '/_def'), {
        method: 'PUT',
        contentType: 'application/json',
        body: await readDefinition(file)
      })
      const { type, hash } = (await response.json()) as Info
      const isNew = response.status === 201
      const word = isNew ? 'defined' : 'replaced, where it is another'
      terminal.result({ db, view, created: isNew, type, hash }, `${view} of ${db} is ${word}`)
    })
}

async function readDefinition(file: string | undefined): Promise<string> {
  if (file === undefined || file === '-') return text(process.stdin)
  try {
    return await readFile(file, 'utf8')
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    throw new CommandFailure('file-unreadable', `cannot read ${file}: ${reason}`, { cause: error })
  }
}
