/**
 * P5: an empty process takes all events of another over libp2p, verifies and stores everything,
 * beside LevelDB → TCP → LevelDB without a check. From the call to connect until the digests are
 * equal. Bytes on the wire come from a run of its own, through a counting proxy.
 */

import { join } from 'node:path'

import { withChild } from './child.ts'
import type { Child } from './child.ts'
import { startCountingProxy } from './counting-proxy.ts'
import { bytesOf, historyEvents } from './events.ts'
import type { NodeApi } from './node-process.ts'
import type { RawApi } from './raw-process.ts'
import { mebibytes, rounded, runPairs, scaled, withFolder } from './row.ts'
import type { Bench, Row } from './row.ts'
import type { Cost } from './serve.ts'
import { median } from './statistics.ts'

const EVENTS = 100_000
const SEED = 5
const FILL = 'the source is filled'

interface Source {
  readonly dir: string
  readonly digest: string
}

export async function measureColdReplica(bench: Bench): Promise<Row> {
  const count = scaled(bench, EVENTS, 1_000)
  return withFolder(bench, async (folder) => {
    const source = await fillSource(bench, join(folder, 'ours'), count)
    const rawDir = join(folder, 'raw')
    await withChild<RawApi, void>('raw-process', async (child) => {
      await child.call('open', { dir: rawDir })
      await child.call('fill', { seed: SEED, count })
    })
    const costs: { readonly giver: Cost; readonly taker: Cost }[] = []
    const pairs = await runPairs(bench, 'P5', {
      ours: async () => {
        const cost = await replicate(bench, source)
        costs.push(cost)
        return (count / cost.taker.ms) * 1_000
      },
      raw: () => replicateRaw(bench, { rawDir, count, arrays: false })
    })
    const arrays = await replicateRaw(bench, { rawDir, count, arrays: true })
    const wireBytes = await countWire(bench, source)
    const eventBytes = bytesOf(historyEvents(SEED, count))
    const of = (cost: (each: (typeof costs)[number]) => number): number => median(costs.map(cost))
    return {
      id: 'P5',
      what: `cold replica of ${rounded(count)} events / LevelDB → TCP → LevelDB`,
      unit: 'events/s',
      bar: { better: 'higher', floor: 0.35, aim: 0.6 },
      notes: [
        `on the wire ${(wireBytes / count).toFixed(1)} bytes an event, key and value alone ` +
          `${(eventBytes / count).toFixed(1)}: ${(wireBytes / eventBytes).toFixed(3)} ×`,
        `giver: CPU ${of(({ giver }) => giver.cpuSeconds).toFixed(2)} s, peak RSS ` +
          mebibytes(of(({ giver }) => giver.rssBytesMax)),
        `taker: CPU ${of(({ taker }) => taker.cpuSeconds).toFixed(2)} s, peak RSS ` +
          mebibytes(of(({ taker }) => taker.rssBytesMax)),
        `raw limit with arrays in place of chained batches: ${rounded(arrays)} events/s`
      ],
      ...pairs
    }
  })
}

export async function fillSource(bench: Bench, dir: string, count: number): Promise<Source> {
  return withChild<NodeApi, Source>('node-process', async (child) => {
    await child.call('open', { dir })
    const digest = await child.call('fill', { seed: SEED, count })
    bench.progress(`${FILL}: ${rounded(count)} events`)
    return { dir, digest }
  })
}

/** A process with the source, and an empty one of its network. */
async function withPair<T>(
  bench: Bench,
  source: Source,
  use: (giver: Child<NodeApi>, taker: Child<NodeApi>, address: string) => Promise<T>
): Promise<T> {
  return withFolder(bench, (dir) =>
    withChild<NodeApi, T>('node-process', async (giver) => {
      const { address, invitation } = await giver.call('open', { dir: source.dir })
      return withChild<NodeApi, T>('node-process', async (taker) => {
        await taker.call('open', { dir, invitation })
        return use(giver, taker, address)
      })
    })
  )
}

function replicate(bench: Bench, source: Source): Promise<{ giver: Cost; taker: Cost }> {
  return withPair(bench, source, async (giver, taker, address) => {
    await giver.call('startCost')
    const ended = await taker.call('replicate', { address, digest: source.digest })
    return { giver: await giver.call('cost'), taker: ended }
  })
}

function countWire(bench: Bench, source: Source): Promise<number> {
  return withPair(bench, source, async (_giver, taker, address) => {
    const proxy = await startCountingProxy(portOf(address))
    try {
      const throughProxy = withPort(address, proxy.port)
      await taker.call('replicate', { address: throughProxy, digest: source.digest })
      const { upBytes, downBytes } = proxy.counts()
      return upBytes + downBytes
    } finally {
      await proxy.close()
    }
  })
}

interface RawReplica {
  readonly rawDir: string
  readonly count: number
  readonly arrays: boolean
}

/** Events a second. */
async function replicateRaw(bench: Bench, { rawDir, count, arrays }: RawReplica): Promise<number> {
  return withFolder(bench, (dir) =>
    withChild<RawApi, number>('raw-process', async (giver) => {
      await giver.call('open', { dir: rawDir })
      const port = await giver.call('listen')
      return withChild<RawApi, number>('raw-process', async (taker) => {
        await taker.call('open', { dir, arrays })
        const { ms } = await taker.call('replicate', { port, count })
        return (count / ms) * 1_000
      })
    })
  )
}

export function portOf(address: string): number {
  return Number(/\/tcp\/(\d+)/.exec(address)?.[1])
}

export function withPort(address: string, port: number): string {
  return address.replace(/\/tcp\/\d+/, `/tcp/${port}`)
}
