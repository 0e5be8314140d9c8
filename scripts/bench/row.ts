/** What a row of the report is, how its pairs are run, and how it is judged. */

import { mkdtemp, rm } from 'node:fs/promises'
import { join } from 'node:path'

import { median } from './statistics.ts'

export interface Bench {
  readonly runs: number
  readonly scale: number
  /** A folder of its own; removed at the end, and by `withFolder` before. */
  readonly dir: string
  /** One line for whoever watches. */
  readonly progress: (line: string) => void
}

export interface Row {
  /** As in the project's bars. */
  readonly id: string
  readonly what: string
  readonly unit: string
  readonly ours: readonly number[]
  readonly raw: readonly number[]
  /** Pair by pair: ours over the raw limit. */
  readonly ratios: readonly number[]
  readonly bar: Bar
  /** Further figures, in words. */
  readonly notes: readonly string[]
}

/** The ratio to reach. */
export interface Bar {
  readonly better: 'higher' | 'lower'
  readonly floor: number
  readonly aim: number
  /** Added to the raw limit times the ratio, in the unit of the row. */
  readonly slack?: number
}

export type Verdict = 'below floor' | 'floor met' | 'aim met'

export function verdict(row: Row): Verdict {
  const { better, floor, aim, slack } = row.bar
  const ratio = median(row.ratios)
  if (better === 'higher') {
    if (ratio >= aim) return 'aim met'
    return ratio >= floor ? 'floor met' : 'below floor'
  }
  if (ratio <= aim) return 'aim met'
  const withSlack = ratio - (slack ?? 0) / median(row.raw)
  return withSlack <= floor ? 'floor met' : 'below floor'
}

export interface Pairs {
  readonly ours: readonly number[]
  readonly raw: readonly number[]
  readonly ratios: readonly number[]
}

/** Ours, raw, ours, raw …: what the machine does meanwhile falls on both. */
export async function runPairs(
  bench: Bench,
  name: string,
  measure: {
    readonly ours: (run: number) => Promise<number>
    readonly raw: (run: number) => Promise<number>
  }
): Promise<Pairs> {
  const ours: number[] = []
  const raw: number[] = []
  for (let run = 1; run <= bench.runs; run += 1) {
    const [here, limit] = [await measure.ours(run), await measure.raw(run)]
    ours.push(here)
    raw.push(limit)
    bench.progress(
      `${name} ${run}/${bench.runs}: ours ${rounded(here)}, raw ${rounded(limit)}, ` +
        `ratio ${(here / limit).toFixed(3)}`
    )
  }
  return { ours, raw, ratios: ours.map((here, index) => here / (raw[index] ?? Number.NaN)) }
}

/** An empty folder for one measurement, removed after it. */
export async function withFolder<T>(bench: Bench, use: (dir: string) => Promise<T>): Promise<T> {
  const dir = await mkdtemp(join(bench.dir, 'run-'))
  try {
    return await use(dir)
  } finally {
    await rm(dir, { recursive: true, force: true })
  }
}

/** A count of events at this scale. */
export function scaled(bench: Bench, count: number, least: number): number {
  return Math.max(least, Math.round(count * bench.scale))
}

export function rounded(value: number): string {
  const digits = Math.abs(value) >= 100 ? 0 : 2
  return value.toLocaleString('en', { maximumFractionDigits: digits })
}

export function mebibytes(bytes: number): string {
  return `${(bytes / 1_048_576).toFixed(0)} MiB`
}
