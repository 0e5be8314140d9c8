/** `laterbase views`: the views of a database, and how far each is. */

import type { Command } from 'commander'

import { addUrlOption, createCommand, type OpenSession } from '../command.ts'
import { databasePath, NodeClient } from '../node-client.ts'
import { counted, table, type Terminal } from '../terminal.ts'

/** As the node answers it. */
interface Info {
  readonly name: string
  /** None of a definition that makes no view. */
  readonly type?: string
  readonly origin: string
  readonly reduce?: string
  readonly state: string
  readonly reason?: string
  readonly progress?: { readonly done: number; readonly total: number }
  readonly rows: number
  readonly behind: number
  readonly faults: number
  readonly last_faults: readonly { readonly key: string; readonly fault: string }[]
}

export function viewsCommand(openSession: OpenSession): Command {
  const command = createCommand({
    name: 'views',
    summary: 'list the views of a database, and how far each is',
    example: 'laterbase views depot'
  })
  return addUrlOption(command)
    .argument('<db>', 'database')
    .action(async (db: string) => {
      const { terminal, log } = openSession(command)
      const node = new NodeClient(command.opts<{ url: string }>().url, log)
      const { views } = await node.json<{ views: readonly Info[] }>(databasePath(db, '/v'))
      for (const view of views) terminal.value(view)
      if (views.length === 0) terminal.note(none(db))
      else show(views, terminal)
    })
}

function show(views: readonly Info[], terminal: Terminal): void {
  const rows = views.map((view) => [
    view.name,
    [view.type ?? '–', view.reduce].filter((word) => word !== undefined).join(', '),
    stateOf(view),
    view.rows,
    view.behind,
    view.faults
  ])
  const [head = '', ...lines] = table([
    ['view', 'type', 'state', 'rows', 'behind', 'faults'],
    ...rows
  ])
  terminal.line(terminal.style('dim', head))
  for (const line of lines) terminal.line(line)
  for (const { name, reason, faults, last_faults } of views) {
    if (reason !== undefined) terminal.note(`${name}: ${reason}`)
    const last = last_faults.at(-1)
    if (last === undefined) continue
    terminal.note(`${name} failed for ${counted(faults, 'event')}, at ${last.key}: ${last.fault}`)
  }
}

function stateOf({ state, progress }: Info): string {
  if (progress === undefined || progress.total === 0) return state
  return `${state}, ${Math.floor((100 * progress.done) / progress.total)} %`
}

function none(db: string): string {
  return `No view yet: see laterbase view-define --help, or ask the events: laterbase feed ${db}`
}
