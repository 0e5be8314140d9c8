/**
 * Several nodes in one process, on a host of the test LAN that they share: all behind one address,
 * found by mDNS. Reports over IPC how far they are, one `CrowdReport` each time.
 *
 * Arguments: the folder for their data, the invitation, the number of the first node and how many.
 */

import { join } from 'node:path'

import { createLaterbase } from '../../src/index.ts'
import type { Laterbase } from '../../src/index.ts'

export interface CrowdReport {
  /** Nodes that were started, and those that still start. */
  readonly started: number
  /** Peers that each node is connected to. */
  readonly peers: readonly number[]
  readonly digests: readonly (string | undefined)[]
  readonly warnings: readonly string[]
  /** Processor time of the process so far, ms. */
  readonly cpuMs: number
}

const DATABASE = 'stock'
/** The nodes of all processes are started within this, ms, spread evenly. */
const START_WITHIN_MS = 1_000
const REPORT_MS = 100
/** A status costs more than what else is reported. */
const WARNINGS_MS = 2_000

const [dir = '', invitation = '', first = '0', count = '1'] = process.argv.slice(2)
const nodes: Laterbase[] = []
let warnings: readonly string[] = []

async function start(index: number): Promise<void> {
  const name = `crowd-${Number(first) + index}`
  const node = await createLaterbase({ dir: join(dir, name), name, invitation })
  nodes.push(node)
  const { database } = await node.createDatabase(DATABASE)
  for (let n = 0; n < 5; n += 1) await database.append({ data: { from: name, n } })
}

function report(): void {
  const what: CrowdReport = {
    started: nodes.length,
    peers: nodes.map((node) => new Set(node.peers().map(({ peer }) => peer)).size),
    digests: nodes.map((node) =>
      node.databases().includes(DATABASE) ? node.database(DATABASE).digest() : undefined
    ),
    warnings,
    cpuMs: (process.cpuUsage().user + process.cpuUsage().system) / 1_000
  }
  if (process.connected) process.send?.(what)
}

const starting = Array.from({ length: Number(count) }, async (_, index) => {
  await new Promise((resolve) => setTimeout(resolve, (index * START_WITHIN_MS) / Number(count)))
  await start(index)
})
setInterval(report, REPORT_MS)
setInterval(() => {
  void Promise.all(nodes.map((node) => node.status())).then((statuses) => {
    warnings = statuses.flatMap((status) => status.warnings)
  })
}, WARNINGS_MS)
process.once('SIGTERM', () => process.exit(0))
await Promise.all(starting)
