/** P1, P2, P3: durable appends, each beside ClassicLevel writing the same bytes as durably. */

import { withChild } from './child.ts'
import type { AppendArgument, NodeApi } from './node-process.ts'
import type { RowId } from './options.ts'
import type { RawApi } from './raw-process.ts'
import { rounded, runPairs, scaled, withFolder } from './row.ts'
import type { Bar, Bench, Row } from './row.ts'

interface AppendRow {
  readonly id: RowId
  readonly what: string
  readonly writers: number
  readonly batch: number
  readonly count: number
  readonly bar: Bar
}

/** The figures of the project's bars; counts that take one to three seconds each. */
const APPENDS = {
  P1: {
    id: 'P1',
    what: 'append, one writer awaiting each / synced put',
    writers: 1,
    batch: 1,
    count: 4_000,
    bar: { better: 'higher', floor: 0.6, aim: 0.8 }
  },
  P2: {
    id: 'P2',
    what: 'append, 64 writers / bare group commit',
    writers: 64,
    batch: 1,
    count: 64_000,
    bar: { better: 'higher', floor: 0.4, aim: 0.6 }
  },
  P3: {
    id: 'P3',
    what: 'append, commits of 1,000 / synced batches',
    writers: 1,
    batch: 1_000,
    count: 200_000,
    bar: { better: 'higher', floor: 0.35, aim: 0.5 }
  }
} as const satisfies Record<string, AppendRow>

export async function measureAppends(bench: Bench, id: keyof typeof APPENDS): Promise<Row> {
  const { what, writers, batch, count, bar } = APPENDS[id]
  const least = Math.max(writers, batch) * 2
  const argument = (run: number): AppendArgument => ({
    seed: run,
    warmUp: scaled(bench, count / 5, least),
    count: scaled(bench, count, least),
    writers,
    batch
  })
  const pairs = await runPairs(bench, id, {
    ours: (run) =>
      withFolder(bench, (dir) =>
        withChild<NodeApi, number>('node-process', async (child) => {
          await child.call('open', { dir })
          return child.call('append', argument(run))
        })
      ),
    raw: (run) => appendRaw(bench, argument(run), false)
  })
  const notes: string[] = []
  if (batch > 1) {
    const arrays = await appendRaw(bench, argument(1), true)
    notes.push(`raw limit with arrays in place of chained batches: ${rounded(arrays)} events/s`)
  }
  return { id, what, unit: 'events/s', bar, notes, ...pairs }
}

function appendRaw(bench: Bench, argument: AppendArgument, arrays: boolean): Promise<number> {
  return withFolder(bench, (dir) =>
    withChild<RawApi, number>('raw-process', async (child) => {
      await child.call('open', { dir, arrays })
      return child.call('append', argument)
    })
  )
}
