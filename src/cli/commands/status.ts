/** `laterbase status`: what a node is, whom it sees, how far each database is. */

import { Option, type Command } from 'commander'

import type { DatabaseStatus, NodeStatus, PeerStatus } from '../../node/laterbase.ts'
import { addUrlOption, createCommand, type OpenSession } from '../command.ts'
import { STATUS_WATCH_MS } from '../limits.ts'
import { NodeClient } from '../node-client.ts'
import { counted, table, type Terminal } from '../terminal.ts'

export function statusCommand(openSession: OpenSession): Command {
  const command = createCommand({
    name: 'status',
    summary: 'show a node, its peers, and how far each database is',
    example: 'laterbase status\nlaterbase status --watch'
  })
  return addUrlOption(command)
    .addOption(new Option('--watch', 'show it again every second').default(false))
    .action(async () => {
      const { terminal, log } = openSession(command)
      const { url, watch } = command.opts<{ url: string; watch: boolean }>()
      const node = new NodeClient(url, log)
      for (;;) {
        const status = await node.json<NodeStatus>('/_status')
        if (watch && process.stdout.isTTY && !terminal.json) process.stdout.write(CLEAR)
        terminal.value(status)
        for (const line of describe(status, terminal)) terminal.line(line)
        if (!watch) return
        await new Promise((resolve) => {
          setTimeout(resolve, STATUS_WATCH_MS)
        })
      }
    })
}

const CLEAR = '\u001B[H\u001B[2J'

function describe(status: NodeStatus, terminal: Terminal): readonly string[] {
  const { name, peerId, version, dir, addresses, startedAt, offline, warnings } = status
  return [
    `${terminal.style('bold', name)}  ${offline ? terminal.style('yellow', 'offline') : 'online'}`,
    `  peer id   ${peerId}`,
    `  version   ${version}, started ${startedAt}`,
    `  data      ${dir}`,
    ...addresses.map((address) => `  address   ${address}`),
    '',
    ...section('Peers', describePeers(status.peers), terminal, 'none connected'),
    '',
    ...section('Databases', describeDatabases(status.databases), terminal, 'none'),
    ...warnings.flatMap((warning) => ['', terminal.style('yellow', `Warning: ${warning}`)])
  ]
}

function section(
  title: string,
  lines: readonly string[],
  terminal: Terminal,
  none: string
): readonly string[] {
  if (lines.length <= 1) return [`${terminal.style('bold', title)}: ${none}`]
  const [head = '', ...rest] = lines
  return [
    terminal.style('bold', title),
    terminal.style('dim', `  ${head}`),
    ...rest.map((line) => `  ${line}`)
  ]
}

function describePeers(peers: readonly PeerStatus[]): readonly string[] {
  const rows = peers.map(({ peer, address, direction, roundTripMs, equal, unequal }) => [
    peer,
    address,
    direction,
    roundTripMs === undefined ? '-' : `${roundTripMs.toFixed(1)} ms`,
    unequal.length === 0 ? counted(equal.length, 'database') : `not yet: ${unequal.join(', ')}`
  ])
  return table([['peer', 'address', 'direction', 'round trip', 'equal'], ...rows])
}

function describeDatabases(databases: readonly DatabaseStatus[]): readonly string[] {
  const rows = databases.map(({ name, events, digest, logs }) => {
    const missing = logs.reduce((sum, { known, held }) => sum + Math.max(0, known - held), 0)
    const forks = new Set(logs.filter((log) => log.forked).map((log) => log.log)).size
    const toCome = missing > 0 ? [`${counted(missing, 'event')} still to come`] : []
    const forked = forks > 0 ? [counted(forks, 'forked log')] : []
    return [name, events, logs.length, digest, [...toCome, ...forked].join(', ')]
  })
  return table([['name', 'events', 'logs', 'digest', ''], ...rows])
}
