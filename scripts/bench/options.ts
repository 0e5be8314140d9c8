/** What the command line of the benchmark takes. */

import { tmpdir } from 'node:os'
import { parseArgs } from 'node:util'

const ROWS = ['P1', 'P2', 'P3', 'P5', 'P6', 'P7'] as const
/** Rows that are measured when they are asked for: some minutes each. */
const FURTHER_ROWS = ['R15', 'V'] as const
const ALL_ROWS = [...ROWS, ...FURTHER_ROWS]
export type RowId = (typeof ALL_ROWS)[number]

export interface BenchOptions {
  readonly rows: readonly RowId[]
  /** Pairs of ours and the raw limit. */
  readonly runs: number
  /** Times the sizes of the figures; below 1 the figures mean little. */
  readonly scale: number
  readonly json: string | undefined
  /** Where the stores are made; of memory-backed file systems a sync says nothing. */
  readonly dir: string
}

export const USAGE = `usage: npm run bench -- [options]

  --only P1,P5   these rows alone (${ROWS.join(' ')}, and ${FURTHER_ROWS.join(' ')})
  --runs N       pairs of ours and the raw limit, default 5
  --quick        a tenth of the events, 3 pairs
  --scale F      F times the events, default 1
  --dir DIR      make the stores there, default the system's folder for temporary files
  --json FILE    write all figures there
  --help
`

/** @throws Error, with a message for a person; undefined when the usage is asked for */
export function readOptions(args: readonly string[]): BenchOptions | undefined {
  const { values } = parseArgs({
    args: [...args],
    options: {
      only: { type: 'string' },
      runs: { type: 'string' },
      quick: { type: 'boolean' },
      scale: { type: 'string' },
      dir: { type: 'string' },
      json: { type: 'string' },
      help: { type: 'boolean' }
    }
  })
  if (values.help === true) return undefined
  const quick = values.quick === true
  const runs = Number(values.runs ?? (quick ? 3 : 5))
  if (!Number.isInteger(runs) || runs < 1) throw new Error('--runs: a whole number from 1')
  const scale = Number(values.scale ?? (quick ? 0.1 : 1))
  if (!(scale > 0 && scale <= 100)) throw new Error('--scale: a number above 0, at most 100')
  return {
    rows: values.only === undefined ? ROWS : readRows(values.only),
    runs,
    scale,
    json: values.json,
    dir: values.dir ?? tmpdir()
  }
}

function readRows(text: string): RowId[] {
  return text.split(',').map((name) => {
    const row = ALL_ROWS.find((candidate) => candidate === name.trim().toUpperCase())
    if (row === undefined) throw new Error(`--only: ${name} is none of ${ALL_ROWS.join(' ')}`)
    return row
  })
}
