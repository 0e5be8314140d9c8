/**
 * V1 to V7: views over a million events, all in one process a run. Building is measured beside a scan of
 * ClassicLevel that calls the same function; the rest is milliseconds, beside 1 ms.
 */

import { withChild } from './child.ts'
import type { Child } from './child.ts'
import type { RawApi } from './raw-process.ts'
import type { SandboxApi } from './sandbox-process.ts'
import { rounded, runPairs, scaled, withFolder } from './row.ts'
import type { Bar, Bench, Row } from './row.ts'
import { median, quantile } from './statistics.ts'
import type { ViewApi, ViewName } from './view-process.ts'

const EVENTS = 1_000_000
const SANDBOXED_EVENTS = 100_000
const QUESTIONS = 300
const CHANGES = 200
/** Of a fold of one key: each costs what lies behind it. */
const DEEP_CHANGES = 9

interface Run {
  readonly figures: Map<string, number>
  readonly notes: Map<string, string>
}

export async function measureViews(bench: Bench): Promise<readonly Row[]> {
  const runs: Run[] = []
  for (let run = 1; run <= bench.runs; run += 1) {
    runs.push(await measureRun(bench, run))
    const figures = [...(runs.at(-1)?.figures ?? [])]
    const told = figures.map(([name, value]) => `${name} ${rounded(value)}`).join(', ')
    bench.progress(`views ${run}/${bench.runs}: ${told}`)
  }
  return [...ROWS.map((row) => rowOf(row, runs)), await measureSandbox(bench)]
}

/** V7: the same map as text in the sandbox, beside the functions. */
async function measureSandbox(bench: Bench): Promise<Row> {
  const count = scaled(bench, SANDBOXED_EVENTS, 2_000)
  const events = (seed: number, isScript: boolean): Promise<number> =>
    withChild<SandboxApi, number>('sandbox-process', (child) =>
      child.call('map', { seed, count, isScript })
    )
  const pairs = await runPairs(bench, 'V7', {
    ours: (seed) => events(seed, true),
    raw: (seed) => events(seed, false)
  })
  const bar: Bar = { better: 'higher', floor: 1 / 20, aim: 1 / 8 }
  const what = 'map as text in the sandbox / the same function'
  return { id: 'V7', what, unit: 'events/s', bar, notes: [], ...pairs }
}

interface ViewRow {
  readonly id: string
  readonly what: string
  readonly unit: string
  readonly bar: Bar
  /** Names of figures: ours and what it stands beside; none is 1 ms. */
  readonly ours: string
  readonly raw?: string
}

const ROWS: readonly ViewRow[] = [
  {
    id: 'V1',
    what: 'build of a map with a reduce / bare scan with the same function',
    unit: 'events/s',
    bar: { better: 'higher', floor: 0.4, aim: 0.6 },
    ours: 'build map',
    raw: 'bare scan'
  },
  {
    id: 'V1',
    what: 'build of a fold of 500 keys / bare scan with the same function',
    unit: 'events/s',
    bar: { better: 'higher', floor: 0.4, aim: 0.6 },
    ours: 'build fold',
    raw: 'bare scan'
  },
  {
    id: 'V2',
    what: 'query of a current view by key, p50 / 1 ms',
    unit: 'ms',
    bar: { better: 'lower', floor: 1, aim: 0.3 },
    ours: 'query'
  },
  {
    id: 'V3',
    what: 'event in order → view current, p50 / 1 ms',
    unit: 'ms',
    bar: { better: 'lower', floor: 3, aim: 1 },
    ours: 'in order'
  },
  {
    id: 'V4',
    what: 'event anywhere in the past → reduce current, p50 / V3',
    unit: 'ms',
    bar: { better: 'lower', floor: 3, aim: 1.5 },
    ours: 'late',
    raw: 'in order'
  },
  {
    id: 'V5',
    what: 'the same, fold of 500 keys, p50 / 1 ms',
    unit: 'ms',
    bar: { better: 'lower', floor: 10, aim: 3 },
    ours: 'late fold'
  },
  {
    id: 'V5',
    what: 'the same, fold of one key, p50 / a rebuild',
    unit: 'ms',
    bar: { better: 'lower', floor: 0.05, aim: 0.01 },
    ours: 'late one key',
    raw: 'rebuild one key'
  },
  {
    id: 'V5',
    what: 'the same, fold of one key that selects, p50 / a rebuild',
    unit: 'ms',
    bar: { better: 'lower', floor: 0.05, aim: 0.01 },
    ours: 'late one selected',
    raw: 'rebuild one selected'
  },
  {
    id: 'V5',
    what: 'the same, fold of one key that forgets, p50 / a rebuild',
    unit: 'ms',
    bar: { better: 'lower', floor: 0.05, aim: 0.01 },
    ours: 'late one place',
    raw: 'rebuild one place'
  },
  {
    id: 'V6',
    what: 'reduce as of any time, p50 / 1 ms',
    unit: 'ms',
    bar: { better: 'lower', floor: 5, aim: 1 },
    ours: 'as of'
  },
  {
    id: 'V6',
    what: 'fold as of any time, p50 / 1 ms',
    unit: 'ms',
    bar: { better: 'lower', floor: 20, aim: 5 },
    ours: 'as of fold'
  }
]

function rowOf({ id, what, unit, bar, ours, raw }: ViewRow, runs: readonly Run[]): Row {
  const figure = ({ figures }: Run, name: string | undefined): number =>
    name === undefined ? 1 : (figures.get(name) ?? Number.NaN)
  const here = runs.map((run) => figure(run, ours))
  const there = runs.map((run) => figure(run, raw))
  const notes = runs.slice(-1).flatMap((run) => run.notes.get(ours) ?? [])
  const ratios = here.map((value, index) => value / (there[index] ?? Number.NaN))
  return { id, what, unit, bar, ours: here, raw: there, ratios, notes }
}

async function measureRun(bench: Bench, seed: number): Promise<Run> {
  const count = scaled(bench, EVENTS, 2_000)
  const run: Run = { figures: new Map(), notes: new Map() }
  await withFolder(bench, (dir) =>
    withChild<ViewApi, void>('view-process', async (child) => {
      await child.call('open', { dir })
      await child.call('fill', { seed, count })
      await measureMap(child, run, { seed, count })
      await measureFolds(child, run, { seed, count })
    })
  )
  run.figures.set('bare scan', await bareScan(bench, { seed, count }))
  return run
}

interface Sizes {
  readonly seed: number
  readonly count: number
}

async function measureMap(child: Child<ViewApi>, run: Run, { seed, count }: Sizes): Promise<void> {
  run.figures.set('build map', await child.call('build', { view: 'quantities', count }))
  await note(child, run, { view: 'quantities', figure: 'build map' })
  const asked = { view: 'quantities', count: QUESTIONS, seed } as const
  setTimes(run, 'query', await child.call('ask', { ...asked, asOf: false }))
  setTimes(run, 'as of', await child.call('ask', { ...asked, asOf: true }))
  const changed = { view: 'quantities', count: CHANGES, seed } as const
  setTimes(run, 'in order', await child.call('catchUp', { ...changed, late: false }))
  setTimes(run, 'late', await child.call('catchUp', { ...changed, late: true }))
}

async function measureFolds(
  child: Child<ViewApi>,
  run: Run,
  { seed, count }: Sizes
): Promise<void> {
  run.figures.set('build fold', await child.call('build', { view: 'handlings', count }))
  await note(child, run, { view: 'handlings', figure: 'build fold' })
  const fold = { view: 'handlings', seed } as const
  setTimes(run, 'as of fold', await child.call('ask', { ...fold, count: QUESTIONS, asOf: true }))
  setTimes(run, 'late fold', await child.call('catchUp', { ...fold, count: CHANGES, late: true }))
  for (const [view, name] of [
    ['one', 'one key'],
    ['one-selected', 'one selected'],
    ['one-place', 'one place']
  ] as const) {
    const perSecond = await child.call('build', { view, count })
    run.figures.set(`rebuild ${name}`, (count / perSecond) * 1_000)
    const late = { view, count: DEEP_CHANGES, late: true, seed }
    setTimes(run, `late ${name}`, await child.call('catchUp', late))
  }
}

function setTimes({ figures, notes }: Run, name: string, times: readonly number[]): void {
  figures.set(name, median(times))
  notes.set(name, `p99 ${rounded(quantile(times, 0.99))} ms`)
}

async function note(
  child: Child<ViewApi>,
  run: Run,
  { view, figure }: { readonly view: ViewName; readonly figure: string }
): Promise<void> {
  const { diskBytes, rows, rssBytes } = await child.call('sizes', { view })
  const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(0)} MB`
  run.notes.set(
    figure,
    `${rows.toLocaleString('en')} rows or states, ${megabytes(diskBytes)} on disk; process ${megabytes(rssBytes)}`
  )
}

function bareScan(bench: Bench, { seed, count }: Sizes): Promise<number> {
  return withFolder(bench, (dir) =>
    withChild<RawApi, number>('raw-process', async (child) => {
      await child.call('open', { dir })
      await child.call('fill', { seed, count })
      return child.call('mapAll')
    })
  )
}
