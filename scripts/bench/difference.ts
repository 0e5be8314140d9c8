/**
 * P6: two nodes share 100,000 events, then each has `d` others, dated all over, in commits of 100.
 * They connect: bytes of the exchange, both ways, against the bytes of the events that were
 * missing.
 *
 * All bytes of the TCP connection are counted, by a proxy, for a fixed time that reaches past the
 * moment of equality. The same is done with two nodes that are equal from the beginning; what that
 * costs (handshake, identify, gossip's heartbeat, one comparison) is told apart and taken off.
 */

import { cp } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'

import { withChild } from './child.ts'
import type { Child } from './child.ts'
import { fillSource, portOf, withPort } from './cold-replica.ts'
import { startCountingProxy } from './counting-proxy.ts'
import { bytesOf, scatteredEvents } from './events.ts'
import type { NodeApi } from './node-process.ts'
import type { RequestCounts } from './request-counter.ts'
import { rounded, scaled, withFolder } from './row.ts'
import type { Bench, Row } from './row.ts'
import { median } from './statistics.ts'

const SHARED = 100_000
const OTHERS = [100, 10_000] as const
/** How long all bytes are counted after the call to connect, ms; shorter where nobody looks. */
const WINDOW_MS = 4_000
const WINDOW_SMALL_MS = 1_000
/** The scale below which a run is a trial of the benchmark itself. */
const TRIAL_SCALE = 0.05
/** How long equality may take, ms. */
const EQUAL_MS_MAX = 300_000
const LOOK_MS = 10
const PAIRS_MAX = 3

interface Exchange {
  /** From the call to connect. */
  readonly equalMs: number
  readonly bytes: number
  readonly a: RequestCounts
  readonly b: RequestCounts
}

export async function measureDifference(bench: Bench): Promise<Row[]> {
  const shared = scaled(bench, SHARED, 1_000)
  return withFolder(bench, async (folder) => {
    const template = join(folder, 'template')
    await makeTemplate(bench, template, shared)
    const rows: Row[] = []
    for (const others of OTHERS) {
      const count = others === OTHERS[0] ? others : scaled(bench, others, 200)
      rows.push(await measureOthers({ bench, template, shared, count }))
    }
    return rows
  })
}

interface Difference {
  readonly bench: Bench
  readonly template: string
  readonly shared: number
  readonly count: number
}

async function measureOthers(difference: Difference): Promise<Row> {
  const { bench, shared, count } = difference
  const raw = bytesOf(scatteredEvents(SEED_A, count)) + bytesOf(scatteredEvents(SEED_B, count))
  const ours: number[] = []
  const exchanges: Exchange[] = []
  const idles: number[] = []
  const runs = Math.min(PAIRS_MAX, bench.runs)
  for (let run = 1; run <= runs; run += 1) {
    const exchange = await exchangeOf(difference, count)
    const idle = await exchangeOf(difference, 0)
    exchanges.push(exchange)
    idles.push(idle.bytes)
    ours.push(exchange.bytes - idle.bytes)
    bench.progress(
      `P6 d = ${rounded(count)} ${run}/${runs}: ${rounded(exchange.bytes)} bytes, ` +
        `idle ${rounded(idle.bytes)}, missing ${rounded(raw)}`
    )
  }
  const of = (figure: (exchange: Exchange) => number): string =>
    rounded(median(exchanges.map(figure)))
  return {
    id: 'P6',
    what: `difference: ${rounded(shared)} shared, ${rounded(count)} others each / their bytes`,
    unit: 'bytes',
    bar: { better: 'lower', floor: 1.25, aim: 1.05, slack: 1_000 },
    notes: [
      `page requests: ${of(({ a }) => a.pages)} of one side, ${of(({ b }) => b.pages)} of the ` +
        `other; comparisons ${of(({ a }) => a.compares)} and ${of(({ b }) => b.compares)}`,
      `equal ${of(({ equalMs }) => equalMs)} ms after the call to connect; requests and answers ` +
        `${of(({ a, b }) => a.requestBytes + a.answerBytes + b.requestBytes + b.answerBytes)} bytes`,
      `an idle connection of equal nodes, taken off: ${rounded(median(idles))} bytes in ` +
        `${windowMs(bench) / 1_000} s`
    ],
    ours,
    raw: ours.map(() => raw),
    ratios: ours.map((bytes) => bytes / raw)
  }
}

const SEED_A = 61
const SEED_B = 62

/** Two equal nodes, closed. */
async function makeTemplate(bench: Bench, dir: string, shared: number): Promise<void> {
  const source = await fillSource(bench, join(dir, 'a'), shared)
  await withChild<NodeApi, void>('node-process', async (a) => {
    const { address, invitation } = await a.call('open', { dir: source.dir })
    await withChild<NodeApi, void>('node-process', async (b) => {
      await b.call('open', { dir: join(dir, 'b'), invitation })
      await b.call('replicate', { address, digest: source.digest })
    })
  })
}

/** One exchange of copies of the template, each with `count` others. */
function exchangeOf({ bench, template }: Difference, count: number): Promise<Exchange> {
  return withFolder(bench, async (folder) => {
    await cp(template, folder, { recursive: true })
    return withChild<NodeApi, Exchange>('node-process', async (a) => {
      const { address, invitation } = await a.call('open', { dir: join(folder, 'a') })
      return withChild<NodeApi, Exchange>('node-process', async (b) => {
        await b.call('open', { dir: join(folder, 'b'), invitation })
        await a.call('scatter', { seed: SEED_A, count })
        await b.call('scatter', { seed: SEED_B, count })
        return countExchange(a, b, { address, forMs: windowMs(bench) })
      })
    })
  })
}

async function countExchange(
  a: Child<NodeApi>,
  b: Child<NodeApi>,
  { address, forMs }: { readonly address: string; readonly forMs: number }
): Promise<Exchange> {
  const proxy = await startCountingProxy(portOf(address))
  try {
    for (const node of [a, b]) await node.call('countRequests')
    const startMs = performance.now()
    await b.call('connect', { address: withPort(address, proxy.port) })
    while ((await a.call('digest')) !== (await b.call('digest'))) {
      if (performance.now() - startMs > EQUAL_MS_MAX) throw new Error('the nodes stay unequal')
      await pause(LOOK_MS)
    }
    const equalMs = performance.now() - startMs
    await pause(Math.max(0, forMs - equalMs))
    const { upBytes, downBytes, connections } = proxy.counts()
    if (connections !== 1) throw new Error(`${connections} connections through the proxy`)
    return {
      equalMs,
      bytes: upBytes + downBytes,
      a: await a.call('requestCounts'),
      b: await b.call('requestCounts')
    }
  } finally {
    await proxy.close()
  }
}

function windowMs(bench: Bench): number {
  return bench.scale < TRIAL_SCALE ? WINDOW_SMALL_MS : WINDOW_MS
}
