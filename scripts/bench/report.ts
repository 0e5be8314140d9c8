/** The report: a table for people, JSON for programs. */

import { cpus, totalmem } from 'node:os'

import { mebibytes, rounded, verdict } from './row.ts'
import type { Row } from './row.ts'
import { median } from './statistics.ts'

export interface Machine {
  readonly cores: number
  readonly model: string
  readonly memory: string
  readonly node: string
  readonly platform: string
}

export function machine(): Machine {
  return {
    cores: cpus().length,
    model: cpus()[0]?.model ?? 'unknown',
    memory: mebibytes(totalmem()),
    node: process.version,
    platform: `${process.platform}-${process.arch}`
  }
}

const HEADINGS = ['row', 'what', 'ours', 'raw limit', 'ratio', 'floor', 'aim', 'verdict'] as const
const COLUMN_GAP = '  '

export function formatReport(rows: readonly Row[]): string {
  const lines = [HEADINGS as readonly string[], ...rows.map(cells)]
  const widths = HEADINGS.map((_, column) =>
    Math.max(...lines.map((line) => (line[column] ?? '').length))
  )
  const table = lines.map((line, index) => {
    const padded = line.map((cell, column) => cell.padEnd(widths[column] ?? 0))
    const notes = index === 0 ? [] : (rows[index - 1]?.notes ?? [])
    return [padded.join(COLUMN_GAP).trimEnd(), ...notes.map((note) => `    ${note}`)].join('\n')
  })
  const { cores, model, memory, node, platform } = machine()
  return [
    ...table,
    '',
    `${cores} cores (${model}), ${memory}, Node.js ${node}, ${platform}; medians of pairs`
  ].join('\n')
}

function cells(row: Row): string[] {
  const { better, floor, aim, slack } = row.bar
  const sign = better === 'higher' ? '≥' : '≤'
  const extra = slack === undefined ? '' : ` + ${rounded(slack)}`
  return [
    row.id,
    row.what,
    `${rounded(median(row.ours))} ${row.unit} (${rounded(Math.min(...row.ours))}–${rounded(Math.max(...row.ours))})`,
    rounded(median(row.raw)),
    median(row.ratios).toFixed(3),
    `${sign} ${floor}${extra}`,
    `${sign} ${aim}`,
    verdict(row)
  ]
}

export function jsonReport(rows: readonly Row[], options: object): string {
  const judged = rows.map((row) => ({
    ...row,
    median: { ours: median(row.ours), raw: median(row.raw), ratio: median(row.ratios) },
    verdict: verdict(row)
  }))
  return `${JSON.stringify({ machine: machine(), options, rows: judged }, undefined, 2)}\n`
}
