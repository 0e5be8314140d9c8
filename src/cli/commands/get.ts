/** `laterbase get`: events by their keys. */

import type { Command } from 'commander'

import { addUrlOption, createCommand, type OpenSession } from '../command.ts'
import { CommandFailure } from '../failure.ts'
import { GET_KEYS } from '../limits.ts'
import { databasePath, NodeClient } from '../node-client.ts'

interface Row {
  readonly key: string
  readonly missing?: true
  readonly conflict?: true
  readonly recorded?: string
  readonly event?: unknown
}

export function getCommand(openSession: OpenSession): Command {
  const command = createCommand({
    name: 'get',
    summary: 'read events by their keys',
    example:
      'echo \'{"key":"01K9G0CS000000000000000000","data":{"zone":"A1"}}\' | laterbase append depot\n' +
      'laterbase get depot 01K9G0CS000000000000000000'
  })
  return addUrlOption(command)
    .argument('<db>', 'database')
    .argument('<key...>', 'keys of events')
    .action(async (db: string, keys: readonly string[]) => {
      const { terminal, log } = openSession(command)
      const node = new NodeClient(command.opts<{ url: string }>().url, log)
      const missing: string[] = []
      for (let start = 0; start < keys.length; start += GET_KEYS) {
        const body = JSON.stringify({ keys: keys.slice(start, start + GET_KEYS) })
        const { results } = await node.json<{ results: readonly Row[] }>(
          databasePath(db, '/e/_get'),
          { method: 'POST', contentType: 'application/json', body }
        )
        for (const row of results) {
          if (row.missing === true) missing.push(row.key)
          terminal.value(row)
          if (row.event === undefined) continue
          terminal.line(terminal.style('dim', `recorded ${row.recorded ?? ''}`))
          terminal.line(JSON.stringify(row.event, undefined, 2))
        }
      }
      if (missing.length === 0) return
      const few = missing.slice(0, 3).join(', ') + (missing.length > 3 ? ', …' : '')
      throw new CommandFailure('event-unknown', `${db} has no event with the key ${few}`)
    })
}
