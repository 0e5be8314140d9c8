/**
 * `npm run bench`: the project's figures, each beside its raw limit in the same run. README.md
 * beside this file says what each row measures and what it leaves out.
 */

import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { rmSync } from 'node:fs'
import { join } from 'node:path'

import { measureAppends } from './appends.ts'
import { killChildren } from './child.ts'
import { measureColdReplica } from './cold-replica.ts'
import { measureDifference } from './difference.ts'
import { measureHostile } from './hostile.ts'
import { measureLatency } from './latency.ts'
import { USAGE, readOptions } from './options.ts'
import type { BenchOptions, RowId } from './options.ts'
import { formatReport, jsonReport } from './report.ts'
import type { Bench, Row } from './row.ts'
import { measureViews } from './views.ts'

/** Tries to remove a folder in which a dying process made one more file. */
const RETRIES_MAX = 5

const startMs = performance.now()

async function main(options: BenchOptions): Promise<void> {
  const dir = await mkdtemp(join(options.dir, 'laterbase-bench-'))
  const stop = (): void => {
    // Children end by themselves when this process is gone, but would still write until then.
    killChildren()
    rmSync(dir, { recursive: true, force: true, maxRetries: RETRIES_MAX })
    process.exit(130)
  }
  process.once('SIGINT', stop)
  process.once('SIGTERM', stop)
  try {
    const bench = { runs: options.runs, scale: options.scale, dir, progress }
    const rows: Row[] = []
    for (const id of options.rows) rows.push(...(await measure(bench, id)))
    console.log(formatReport(rows))
    if (options.scale < 1) console.log(`at ${options.scale} of full size: for orientation only`)
    if (options.json !== undefined) {
      await writeFile(options.json, jsonReport(rows, { runs: options.runs, scale: options.scale }))
    }
  } finally {
    await rm(dir, { recursive: true, force: true })
  }
}

async function measure(bench: Bench, id: RowId): Promise<readonly Row[]> {
  switch (id) {
    case 'P1':
    case 'P2':
    case 'P3':
      return [await measureAppends(bench, id)]
    case 'P5':
      return [await measureColdReplica(bench)]
    case 'P6':
      return measureDifference(bench)
    case 'P7':
      return [await measureLatency(bench)]
    case 'R15':
      return measureHostile(bench)
    case 'V':
      return measureViews(bench)
  }
}

/** On stderr, so that the table alone can be kept. */
function progress(line: string): void {
  const seconds = ((performance.now() - startMs) / 1_000).toFixed(0).padStart(4)
  process.stderr.write(`${seconds} s  ${line}\n`)
}

let options: BenchOptions | undefined
try {
  options = readOptions(process.argv.slice(2))
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n\n${USAGE}`)
  process.exit(2)
}
if (options === undefined) process.stdout.write(USAGE)
else await main(options)
