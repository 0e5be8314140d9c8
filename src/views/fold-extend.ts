/**
 * Events that come behind all others of an aggregate: its newest state goes on from where it is, and
 * nothing is read but, when a run ends, the rows of that run.
 */

import { present } from '../core/assert.ts'
import type { DerivedReader } from '../store/derived-store.ts'
import { applyPaced } from './effort.ts'
import type { Care } from './effort.ts'
import type { FoldChanges } from './fold-changes.ts'
import { NO_SPAN, checkpointKey, encodeCheckpoint, recordsOf, rowsKey } from './fold-records.ts'
import type { FoldHead } from './fold-records.ts'
import { decodeRows, encodeRows } from './fold-rows.ts'
import type { FoldRow } from './fold-rows.ts'
import { endsRun, inputsOf, isKept, spanOf } from './fold-run.ts'
import type { FoldProgram, FoldStep } from './program.ts'
import { TAG } from './records.ts'

export interface FoldAggregate {
  readonly program: FoldProgram
  readonly reader: DerivedReader
  readonly changes: FoldChanges
  readonly care: Care | undefined
  /** Its key, encoded. */
  readonly aggregate: Uint8Array
  /** Undefined for one that has no rows. */
  readonly head: FoldHead | undefined
}

/** The head behind these rows, which come in order, and are at least one. */
export async function extend(
  init: FoldAggregate,
  rows: readonly FoldRow[]
): Promise<FoldHead | undefined> {
  const { program } = init
  let { head } = init
  for (const run of runsOf(rows)) {
    const text = head?.text ?? program.initial
    const step = await applyPaced(program, init.care, text, inputsOf(program, run.rows))
    head = await addPart(init, head, { ...run, step })
  }
  return head
}

/** Rows up to the end of a run, or of all. */
interface Part {
  readonly rows: readonly FoldRow[]
  readonly step: FoldStep
  readonly endsRun: boolean
}

function* runsOf(rows: readonly FoldRow[]): Generator<Pick<Part, 'rows' | 'endsRun'>> {
  let run: FoldRow[] = []
  for (const row of rows) {
    run.push(row)
    if (!endsRun(row.place, row.bytes.length)) continue
    yield { rows: run, endsRun: true }
    run = []
  }
  if (run.length > 0) yield { rows: run, endsRun: false }
}

async function addPart(
  init: FoldAggregate,
  head: FoldHead | undefined,
  { rows, step, endsRun }: Part
): Promise<FoldHead> {
  const { aggregate, changes } = init
  for (const { index, fault } of step.faults) {
    const row = rows[index]
    if (row !== undefined) changes.noteFault(row.place, fault, true)
  }
  const failed = new Set(step.faults.map(({ index }) => index))
  const added = rows.map((row, index) => ({ ...row, hasFailed: failed.has(index) }))
  const { place } = present(added.at(-1), 'a part has rows')
  const openRows = head?.openRows ?? 0
  const recorded = spanOf(added, head?.recorded)
  if (!endsRun) {
    for (const row of added) changes.put(rowsKey(aggregate, row.place), encodeRows([row]))
    return { place, openRows: openRows + added.length, recorded, text: step.state }
  }
  const open = await openRowsOf(init, openRows)
  for (const row of open) changes.remove(rowsKey(aggregate, row.place))
  changes.put(rowsKey(aggregate, place), encodeRows([...open, ...added]))
  return closedHead(init, { place, recorded, text: step.state })
}

/** The rows that have records of their own: the last ones, in their order. */
async function openRowsOf({ reader, aggregate }: FoldAggregate, limit: number): Promise<FoldRow[]> {
  if (limit === 0) return []
  const range = recordsOf(TAG.foldRow, aggregate)
  const records = await reader.scan({ ...range, reverse: true, limit })
  return records.flatMap(({ value }) => decodeRows(value).all()).reverse()
}

function closedHead(
  { aggregate, changes }: FoldAggregate,
  { place, recorded, text }: Pick<FoldHead, 'place' | 'recorded' | 'text'>
): FoldHead {
  const isCheckpoint = isKept(place, Buffer.byteLength(text))
  if (isCheckpoint) {
    const key = checkpointKey(aggregate, place)
    changes.put(key, encodeCheckpoint({ recorded, text }))
  }
  return { place, openRows: 0, recorded: isCheckpoint ? NO_SPAN : recorded, text }
}
