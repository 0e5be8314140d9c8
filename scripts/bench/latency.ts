/**
 * P7: how long after an event was acknowledged at one node it can be read at another, in the steady
 * state, beside a ping-pong on an open libp2p stream between two processes.
 */

import { join } from 'node:path'
import { randomBytes } from 'node:crypto'

import { withChild } from './child.ts'
import type { EchoApi } from './echo-process.ts'
import type { NodeApi } from './node-process.ts'
import { runPairs, scaled, withFolder } from './row.ts'
import type { Bench, Row } from './row.ts'
import { median, quantile } from './statistics.ts'

const EVENTS = 400
const PAUSE_MS = 10
/** Events before those that count: code is compiled, gossip's mesh is made. */
const WARM_UP = 100
const P99_MS_MAX = 50

export async function measureLatency(bench: Bench): Promise<Row> {
  const count = scaled(bench, EVENTS, 20)
  const p99s: number[] = []
  const pairs = await runPairs(bench, 'P7', {
    ours: async () => {
      const latencies = await liveLatencies(bench, count)
      p99s.push(quantile(latencies, 0.99))
      return median(latencies)
    },
    raw: () => pingPong(count)
  })
  return {
    id: 'P7',
    what: 'live latency, p50 / ping-pong on a stream',
    unit: 'ms',
    bar: { better: 'lower', floor: 10, aim: 5 },
    notes: [`p99 ${median(p99s).toFixed(1)} ms, to be at most ${P99_MS_MAX}`],
    ...pairs
  }
}

function liveLatencies(bench: Bench, count: number): Promise<number[]> {
  return withFolder(bench, (folder) =>
    withChild<NodeApi, number[]>('node-process', async (a) => {
      const { address, invitation } = await a.call('open', { dir: join(folder, 'a') })
      await a.call('fill', { seed: 7, count: WARM_UP })
      const digest = await a.call('digest')
      return withChild<NodeApi, number[]>('node-process', async (b) => {
        await b.call('open', { dir: join(folder, 'b'), invitation })
        await b.call('replicate', { address, digest })
        await b.call('watch')
        await a.call('trickle', { seed: 70, count: WARM_UP, pauseMs: PAUSE_MS })
        const acknowledged = await a.call('trickle', { seed: 71, count, pauseMs: PAUSE_MS })
        const arrivals = await b.call('arrivals', { count: WARM_UP + count })
        return Object.entries(acknowledged).map(([key, atMs]) => {
          const arrivedMs = arrivals[key]
          if (arrivedMs === undefined) throw new Error(`${key} did not come through the feed`)
          return arrivedMs - atMs
        })
      })
    })
  )
}

function pingPong(count: number): Promise<number> {
  const networkKey = randomBytes(32).toString('hex')
  return withChild<EchoApi, number>('echo-process', async (a) => {
    const address = await a.call('open', { networkKey })
    return withChild<EchoApi, number>('echo-process', async (b) => {
      await b.call('open', { networkKey })
      const roundTrips = await b.call('pingPong', { address, warmUp: WARM_UP, count })
      return median(roundTrips)
    })
  })
}
