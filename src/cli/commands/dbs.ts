/** `laterbase dbs`: the databases of a node. */

import type { Command } from 'commander'

import { addUrlOption, createCommand, type OpenSession } from '../command.ts'
import { databasePath, NodeClient } from '../node-client.ts'
import { table } from '../terminal.ts'

interface List {
  readonly databases: readonly string[]
  /** Those whose stores do not open; left out when there are none. */
  readonly unopened?: readonly { readonly name: string; readonly code: string }[]
}

interface Description {
  readonly name: string
  readonly events: number
  readonly digest: string
  readonly disk_bytes: number
}

export function dbsCommand(openSession: OpenSession): Command {
  const command = createCommand({
    name: 'dbs',
    summary: 'list the databases of a node',
    example: 'laterbase dbs'
  })
  return addUrlOption(command).action(async () => {
    const { terminal, log } = openSession(command)
    const node = new NodeClient(command.opts<{ url: string }>().url, log)
    const { databases, unopened = [] } = await node.json<List>('/db')
    const rows: (readonly (string | number)[])[] = []
    for (const name of databases) {
      const { events, digest, disk_bytes } = await node.json<Description>(databasePath(name))
      terminal.value({ name, events, digest, disk_bytes })
      rows.push([name, events, digest])
    }
    const [head = '', ...lines] = table([['database', 'events', 'digest'], ...rows])
    if (lines.length > 0) terminal.line(terminal.style('dim', head))
    for (const line of lines) terminal.line(line)
    for (const { name, code } of unopened) {
      terminal.value({ name, code })
      terminal.note(`${name} is not open (${code}): see laterbase status`)
    }
    if (lines.length === 0 && unopened.length === 0) terminal.note(NONE)
  })
}

const NONE =
  'No database yet. The first event makes one:\n' +
  '  echo \'{"data":{"pallets":1}}\' | laterbase append depot'
