/**
 * One node of the simulation, in a process of its own: does what it is told over IPC. Ends with its
 * parent, however that one ends.
 */

import { setTimeout as pause } from 'node:timers/promises'

import { createLaterbase } from '../../src/index.ts'
import type { Database, Laterbase } from '../../src/index.ts'
import type { Acknowledged, Answers, FromWorker, NodeSight, Order, ToWorker } from './messages.ts'

/** How long an address is tried that was given, and the wait between two tries, ms. */
const CONNECT_MS_MAX = 10_000
const CONNECT_AGAIN_MS = 200

interface Worker {
  readonly node: Laterbase
  readonly databaseName: string
}

let worker: Worker | undefined

process.on('disconnect', () => {
  process.exit(1)
})
// Ctrl-C reaches the whole group; when a node stops is its parent's to say.
process.on('SIGINT', () => undefined)
process.on('message', (message: ToWorker) => {
  void obey(message)
})

async function obey(message: ToWorker): Promise<void> {
  const id = message.type === 'order' ? message.id : undefined
  try {
    if (message.type === 'setup') {
      await setUp(message)
      return
    }
    if (worker === undefined) throw new Error('an order came before the setup')
    const answer = await perform(worker, message.order)
    say({ type: 'answer', id: message.id, answer })
    if (message.order.type === 'close') process.disconnect()
  } catch (error) {
    say({ type: 'failed', id, reason: error instanceof Error ? error.message : String(error) })
  }
}

async function setUp({ setup }: Extract<ToWorker, { type: 'setup' }>): Promise<void> {
  const { dir, name, invitation, mdns, database } = setup
  const node = await createLaterbase({
    dir,
    name,
    invitation,
    mdns,
    listen: ['/ip4/127.0.0.1/tcp/0'],
    log: (level, text, fields) => {
      if (level !== 'debug') process.stderr.write(`${level} ${text} ${JSON.stringify(fields)}\n`)
    }
  })
  worker = { node, databaseName: database }
  say({ type: 'ready', addresses: node.addresses() })
}

async function perform({ node, databaseName }: Worker, order: Order): Promise<unknown> {
  switch (order.type) {
    case 'create-database':
      await node.createDatabase(databaseName)
      return undefined
    case 'append':
      return append(node.database(databaseName), order.events)
    case 'watch':
      return watch(node, databaseName)
    case 'missing':
      return missing(node.database(databaseName), order.keys)
    case 'connect':
      for (const address of order.addresses) await connect(node, address)
      return undefined
    case 'go-offline':
      await node.goOffline()
      return undefined
    case 'go-online':
      await node.goOnline()
      return undefined
    case 'close':
      await node.close()
      return undefined
    default:
      return order satisfies never
  }
}

/** Whoever has not noticed yet that this node was killed refuses it until then. */
async function connect(node: Laterbase, address: string): Promise<void> {
  const endMs = performance.now() + CONNECT_MS_MAX
  for (;;) {
    try {
      await node.connect(address)
      return
    } catch (error) {
      if (performance.now() > endMs) throw error
      await pause(CONNECT_AGAIN_MS)
    }
  }
}

async function append(
  database: Database,
  events: Extract<Order, { type: 'append' }>['events']
): Promise<Answers['append']> {
  const { results } = await database.append(events)
  return results.flatMap((result): Acknowledged[] =>
    result.status === 'rejected'
      ? []
      : [{ key: result.key, isDuplicate: result.status === 'duplicate' }]
  )
}

async function watch(node: Laterbase, databaseName: string): Promise<NodeSight> {
  const peers = node.peers().length
  if (!node.databases().includes(databaseName)) {
    return { digest: undefined, events: 0, own: 0, peers }
  }
  const { digest, events, logs } = await node.database(databaseName).status()
  const own = logs.reduce((sum, log) => (log.own ? sum + log.held : sum), 0)
  return { digest, events, own, peers }
}

async function missing(database: Database, keys: readonly string[]): Promise<readonly string[]> {
  const events = await database.getMany(keys)
  return keys.filter((_key, at) => events[at] === undefined)
}

function say(message: FromWorker): void {
  process.send?.(message)
}
