/**
 * R15: what hostile members cost honest nodes. Two nodes write and become equal, alone and beside a
 * member of each kind, all in processes of their own: how much longer that takes, how long the honest
 * event loops are held up, and what they keep in memory.
 */

import { join } from 'node:path'

import { withChild } from './child.ts'
import type { Child } from './child.ts'
import type { NodeApi } from './node-process.ts'
import type { RogueApi } from './rogue-process.ts'
import { mebibytes, runPairs, scaled, withFolder } from './row.ts'
import type { Bench, Row } from './row.ts'
import { median } from './statistics.ts'

const EVENTS = 4_000
const WRITERS = 8
const BATCH = 4
/** Events before those that count. */
const WARM_UP = 400
const LOOP_P99_MS_MAX = 250
const KEPT_BYTES_MAX = 64 * 1_048_576

interface Figures {
  readonly ms: number
  /** The worse of the two nodes. */
  readonly loopP99Ms: number
  readonly rssBytesMax: number
}

/** One row a kind. */
export async function measureHostile(bench: Bench): Promise<readonly Row[]> {
  const rows: Row[] = []
  const kinds = await withChild<RogueApi, string[]>('rogue-process', (rogue) => rogue.call('kinds'))
  for (const kind of kinds) rows.push(await measureKind(bench, kind))
  return rows
}

async function measureKind(bench: Bench, kind: string): Promise<Row> {
  const count = scaled(bench, EVENTS, 40)
  const beside: Figures[] = []
  const alone: Figures[] = []
  const run = async (of: Figures[], rogue: string | undefined): Promise<number> => {
    const figures = await writeAndBecomeEqual(bench, count, rogue)
    of.push(figures)
    return figures.ms
  }
  const pairs = await runPairs(bench, `R15 ${kind}`, {
    ours: () => run(beside, kind),
    raw: () => run(alone, undefined)
  })
  const [loop, loopAlone] = [beside, alone].map((of) => median(of.map((each) => each.loopP99Ms)))
  const [rss, rssAlone] = [beside, alone].map((of) => median(of.map((each) => each.rssBytesMax)))
  const kept = (rss ?? 0) - (rssAlone ?? 0)
  return {
    id: 'R15',
    what: `two nodes beside a member that ${kind} / alone`,
    unit: 'ms',
    bar: { better: 'lower', floor: 2, aim: 1.25 },
    notes: [
      `event loop held up, p99: ${(loop ?? 0).toFixed(0)} ms, alone ${(loopAlone ?? 0).toFixed(0)} ms, ` +
        `to be at most ${LOOP_P99_MS_MAX}`,
      `peak RSS: ${mebibytes(kept)} more than alone, to be at most ${mebibytes(KEPT_BYTES_MAX)}`
    ],
    ...pairs
  }
}

function writeAndBecomeEqual(
  bench: Bench,
  count: number,
  kind: string | undefined
): Promise<Figures> {
  return withFolder(bench, (folder) =>
    withChild<NodeApi, Figures>('node-process', async (a) => {
      const first = await a.call('open', { dir: join(folder, 'a') })
      const digest = await a.call('fill', { seed: 15, count: WARM_UP })
      return withChild<NodeApi, Figures>('node-process', async (b) => {
        const { invitation } = first
        const second = await b.call('open', { dir: join(folder, 'b'), invitation })
        await b.call('replicate', { address: first.address, digest })
        if (kind === undefined) return measurePair([a, b], count)
        return withChild<RogueApi, Figures>('rogue-process', async (rogue) => {
          const addresses = [first.address, second.address]
          await rogue.call('begin', { kind, invitation, addresses, database: 'stock' })
          return measurePair([a, b], count)
        })
      })
    })
  )
}

async function measurePair(
  pair: readonly [Child<NodeApi>, Child<NodeApi>],
  count: number
): Promise<Figures> {
  const [a, b] = pair
  for (const node of pair) {
    await node.call('watch')
    await node.call('startCost')
  }
  const work = { seed: 150, warmUp: 0, count, writers: WRITERS, batch: BATCH }
  const startMs = performance.now()
  await Promise.all(pair.map((node, index) => node.call('append', { ...work, seed: index })))
  const heads = await Promise.all(pair.map((node) => node.call('ownHead')))
  const [ofA, ofB] = heads
  if (ofA === undefined || ofB === undefined) throw new Error('a head of each')
  await Promise.all([a.call('untilRead', ofB), b.call('untilRead', ofA)])
  const ms = performance.now() - startMs
  const costs = await Promise.all(pair.map((node) => node.call('cost')))
  return {
    ms,
    loopP99Ms: Math.max(...costs.map(({ loopP99Ms }) => loopP99Ms)),
    rssBytesMax: Math.max(...costs.map(({ rssBytesMax }) => rssBytesMax))
  }
}
