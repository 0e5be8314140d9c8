/** `laterbase digest`: the code that two people compare; with `--with`, the comparison itself. */

import { Option, type Command } from 'commander'

import { addUrlOption, createCommand, type OpenSession } from '../command.ts'
import { CommandFailure, EXIT } from '../failure.ts'
import { databasePath, NodeClient } from '../node-client.ts'
import { counted, type Terminal } from '../terminal.ts'

interface Digest {
  readonly digest: string
  readonly events: number
}

export function digestCommand(openSession: OpenSession): Command {
  const command = createCommand({
    name: 'digest',
    summary: 'show the short code that is equal on two nodes that hold the same events',
    example:
      'laterbase digest depot\n' +
      'laterbase digest depot --with http://127.0.0.1:8081   # exit 3 when they differ'
  })
  return addUrlOption(command)
    .argument('<db>', 'database')
    .addOption(new Option('--with <peer>', 'compare with the node at this URL'))
    .action(async (db: string) => {
      const { terminal, log } = openSession(command)
      const { url, with: peer } = command.opts<{ url: string; with?: string }>()
      const node = new NodeClient(url, log)
      const other = peer === undefined ? undefined : new NodeClient(peer, log)
      const here = await node.json<Digest>(databasePath(db, '/_digest'))
      if (other === undefined) {
        const { digest, events } = here
        terminal.result({ db, digest, events }, `${digest}  ${dim(terminal, events)}`)
        return
      }
      const there = await digestOrNothing(other, db)
      compare({ db, node, other, terminal }, here, there)
    })
}

interface Comparison {
  readonly db: string
  readonly node: NodeClient
  readonly other: NodeClient
  readonly terminal: Terminal
}

/** @throws CommandFailure with exit code 3 when they differ */
function compare(comparison: Comparison, here: Digest, there: Digest | undefined): void {
  const { db, node, other, terminal } = comparison
  const equal = here.digest === there?.digest
  terminal.value({
    db,
    equal,
    digest: here.digest,
    events: here.events,
    with: { url: other.url, digest: there?.digest, events: there?.events }
  })
  const colour = equal ? 'green' : 'yellow'
  const rows = [
    [here, node.url],
    [there, other.url]
  ] as const
  for (const [side, url] of rows) {
    const code = side?.digest ?? '(no such database)'
    terminal.line(`${terminal.style(colour, code)}  ${url}  ${dim(terminal, side?.events ?? 0)}`)
  }
  if (equal) {
    terminal.line(`equal: both hold the same ${counted(here.events, 'event')}`)
    return
  }
  const message = `${db} is not equal: the nodes hold different sets now`
  throw new CommandFailure('digest-unequal', message, { exitCode: EXIT.unequal })
}

/** A node that does not have the database is not in agreement, which is no failure to compare. */
async function digestOrNothing(node: NodeClient, db: string): Promise<Digest | undefined> {
  try {
    return await node.json<Digest>(databasePath(db, '/_digest'))
  } catch (error) {
    if (error instanceof CommandFailure && error.code === 'database-unknown') return undefined
    throw error
  }
}

function dim(terminal: Terminal, events: number): string {
  return terminal.style('dim', counted(events, 'event'))
}
