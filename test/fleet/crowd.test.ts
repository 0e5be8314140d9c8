/**
 * A site that powers up: many nodes start within one second behind one address, and find each other
 * by mDNS. Two processes on one host of a LAN of namespaces: one for each core of a small box.
 */

import { randomBytes } from 'node:crypto'
import { beforeAll, expect, test } from 'vitest'

import type { CrowdReport } from '../../scripts/fleet/crowd.ts'
import { buildScript } from '../../scripts/lan/build.ts'
import { createLan, lanUnavailable } from '../../scripts/lan/lan.ts'
import { createInvitation } from '../../src/node/invitation.ts'
import { scratch } from '../fixtures/cli.ts'
import { report, SIZES } from './sizes.ts'

const PROCESSES = 2
const DEADLINE_MS = 240_000

const unavailable = lanUnavailable()
const skip = SIZES.crowd === 0 || (unavailable !== undefined && process.env['CI'] === undefined)
if (SIZES.crowd > 0 && skip) console.warn(`crowd: SKIPPED: ${unavailable}`)

let script = ''

beforeAll(async () => {
  if (!skip) script = await buildScript('scripts/fleet/crowd.ts')
}, 180_000)

test.skipIf(skip)(
  'nodes that start in one second behind one address are all connected, and equal',
  async () => {
    expect(unavailable).toBeUndefined()
    await using dir = await scratch()
    await using lan = await createLan(1)
    const invitation = createInvitation(randomBytes(32))
    const each = SIZES.crowd / PROCESSES
    const latest: (CrowdReport | undefined)[] = []
    const startMs = performance.now()
    const times = { startedMs: 0, connectedMs: 0, equalMs: 0, connectedCpuMs: 0, equalCpuMs: 0 }
    const done = new Promise<void>((resolve, reject) => {
      const look = (): void => {
        const nowMs = Math.round(performance.now() - startMs)
        const reports = latest.flatMap((one) => one ?? [])
        const cpuMs = Math.round(reports.reduce((sum, one) => sum + one.cpuMs, 0))
        const started = reports.reduce((sum, one) => sum + one.started, 0)
        if (started === SIZES.crowd) times.startedMs ||= nowMs
        const peers = reports.flatMap((one) => one.peers)
        const all = peers.length === SIZES.crowd
        if (all && times.connectedMs === 0 && peers.every((count) => count === SIZES.crowd - 1)) {
          Object.assign(times, { connectedMs: nowMs, connectedCpuMs: cpuMs })
        }
        const digests = new Set(reports.flatMap((one) => one.digests))
        const isEqual = all && digests.size === 1 && !digests.has(undefined)
        if (!isEqual) Object.assign(times, { equalMs: 0, equalCpuMs: 0 })
        else if (times.equalMs === 0) Object.assign(times, { equalMs: nowMs, equalCpuMs: cpuMs })
        if (times.connectedMs > 0 && times.equalMs > 0) resolve()
        if (nowMs > DEADLINE_MS) {
          const far = `peers ${peers.join(' ')} ${digests.size} sets`
          reject(new Error(`${JSON.stringify({ ...times, cpuMs })} ${far}`))
        }
      }
      for (let index = 0; index < PROCESSES; index += 1) {
        const args = [dir.path, invitation, String(index * each), String(each)]
        const child = lan.hosts[0]?.fork(script, args)
        child?.on('message', (message) => {
          latest[index] = message as CrowdReport
          look()
        })
        child?.once('exit', (code) => reject(new Error(`a process ended with ${code}`)))
      }
    })
    await done
    report('R10', { nodes: SIZES.crowd, ...times })
    expect(latest.flatMap((one) => one?.warnings ?? [])).toEqual([])
  },
  DEADLINE_MS + 60_000
)
