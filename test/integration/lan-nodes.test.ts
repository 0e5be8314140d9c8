/**
 * Two boxes on a LAN, as a user has them: the built `laterbase` in network namespaces that only
 * multicast connects, with nothing configured but the network key.
 *
 * Needs Linux, root and iproute2. Without them it is skipped aloud, but never in CI.
 */

import { execFile } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { spawn } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { promisify } from 'node:util'
import { beforeAll, expect, onTestFinished, test } from 'vitest'

import { buildScript } from '../../scripts/lan/build.ts'
import { createLan, lanUnavailable } from '../../scripts/lan/lan.ts'
import type { LanHost } from '../../scripts/lan/lan.ts'
import { temporaryDirectory, until } from '../fixtures/nodes.ts'

const unavailable = lanUnavailable()
const skipLan = unavailable !== undefined && process.env['CI'] === undefined
if (skipLan) console.warn(`lan-nodes: tests on a LAN of namespaces are SKIPPED: ${unavailable}`)

let main = ''

beforeAll(async () => {
  main = await buildScript('src/cli/main.ts')
}, 120_000)

/** Runs a command on a host; its standard output. */
async function laterbase(host: LanHost, ...args: readonly string[]): Promise<string> {
  const command = ['netns', 'exec', host.namespace, process.execPath, main, ...args]
  return (await promisify(execFile)('ip', command)).stdout
}

/** A started node; resolves when it answers requests. */
async function start(host: LanHost, dir: string): Promise<ChildProcess> {
  const args = [main, 'start', '--json', '--dir', dir, '--log-level', 'error']
  const child = spawn('ip', ['netns', 'exec', host.namespace, process.execPath, ...args], {
    stdio: ['ignore', 'pipe', 'inherit']
  })
  onTestFinished(() => {
    child.kill('SIGKILL')
  })
  for await (const line of createInterface({ input: child.stdout })) {
    if (JSON.parse(line).event === 'ready') return child
  }
  throw new Error('the node ended before it was ready')
}

async function kill(child: ChildProcess): Promise<void> {
  const ended = once(child, 'exit')
  child.kill('SIGKILL')
  await ended
}

/** Events in the shape of EPCIS 2.0: nested, with lists, names with colons, and times of their own. */
function epcisDocuments(count: number): { time: string; data: unknown }[] {
  return Array.from({ length: count }, (_, index) => {
    const time = new Date(Date.UTC(2026, 2, 1 + (index % 20), 6, index, 0)).toISOString()
    return {
      time,
      data: {
        '@context': ['https://ref.gs1.org/standards/epcis/2.0.0/epcis-context.jsonld'],
        type: 'ObjectEvent',
        eventTime: time,
        eventTimeZoneOffset: '+02:00',
        epcList: [`urn:epc:id:sscc:4012345.${String(index).padStart(10, '0')}`],
        'example:measurement': [{ value: index / 8, uom: 'CEL' }, null, false],
        readPoint: { id: 'urn:epc:id:sgln:4012345.00001.é' }
      }
    }
  })
}

test.skipIf(skipLan)(
  'two boxes find each other, become equal, and are equal again after both were killed',
  async () => {
    expect(unavailable).toBeUndefined()
    await using lan = await createLan(2)
    const [first, second] = lan.hosts
    if (first === undefined || second === undefined) throw new Error('two hosts were made')
    const dirs = [await temporaryDirectory(), await temporaryDirectory()] as const
    await laterbase(first, 'init', '--dir', dirs[0])
    const invitation = (await laterbase(first, 'invite', '--dir', dirs[0])).match(/laterbase1_\S+/)
    await laterbase(second, 'join', invitation?.[0] ?? '', '--dir', dirs[1])
    let nodes = [await start(first, dirs[0]), await start(second, dirs[1])]

    const documents = epcisDocuments(60)
    const file = join(dirs[0], 'documents.ndjson')
    await writeFile(file, documents.map((document) => JSON.stringify(document)).join('\n'))
    await laterbase(first, 'append', 'epcis', file)
    const digests = async (): Promise<string[]> =>
      Promise.all(
        [first, second].map((host) =>
          laterbase(host, 'digest', 'epcis', '--json').catch(() => 'not yet')
        )
      )
    await until(async () => {
      const [here, there] = await digests()
      return here === there && here !== 'not yet'
    })
    const rows = (await laterbase(second, 'feed', 'epcis', '--lc', '0')).trim().split('\n')
    const received = rows.map((row) => JSON.parse(row).event)
    expect(received.map(({ time, data }) => ({ time, data }))).toEqual(documents)

    const before = await digests()
    for (const node of nodes) await kill(node)
    nodes = [await start(first, dirs[0]), await start(second, dirs[1])]
    expect(await digests()).toEqual(before)
    const status = await laterbase(second, 'status', '--json')
    expect(status).toContain(before[0] === undefined ? '' : JSON.parse(before[0]).digest)
    for (const node of nodes) await kill(node)
  },
  180_000
)
