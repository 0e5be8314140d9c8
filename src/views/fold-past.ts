/**
 * What an aggregate was: of the rows before a place, of those recorded by a stamp, or of both. From the last
 * checkpoint that is of nothing but such rows, and the rows behind it that are.
 *
 * Checkpoints say when the rows between them were recorded: where none of them is asked for, they are not read.
 */

import { compareBytes } from '../core/bytes.ts'
import type { DerivedReader } from '../store/derived-store.ts'
import { applyPaced } from './effort.ts'
import type { Care } from './effort.ts'
import { Checkpoints, checkpointBefore, rowsBehind } from './fold-read.ts'
import type { PlacedCheckpoint } from './fold-read.ts'
import type { FoldHead, RecordedSpan } from './fold-records.ts'
import type { FoldRow } from './fold-rows.ts'
import { endsRun, inputsOf } from './fold-run.ts'
import type { FoldProgram } from './program.ts'
import type { IndexQuery } from './view-index.ts'

export interface PastAggregate {
  readonly reader: DerivedReader
  readonly aggregate: Uint8Array
  readonly head: FoldHead
  readonly bounds: Pick<IndexQuery, 'before' | 'recordedBy'>
  readonly care: Care
}

/** Its text; undefined where there are no such rows. */
export async function pastState(
  past: PastAggregate,
  program: FoldProgram
): Promise<string | undefined> {
  const { base, stretches } = await stretchesOf(past)
  let text = base?.text
  for await (const run of runsIn(past, stretches)) {
    const step = await applyPaced(
      program,
      past.care,
      text ?? program.initial,
      inputsOf(program, run)
    )
    text = step.state
  }
  return text
}

/** Places of the first rows that made the state, so many at the most: none that functions failed for. */
export async function pastPlaces(
  past: PastAggregate,
  program: FoldProgram,
  limit: number
): Promise<Uint8Array[]> {
  const places: Uint8Array[] = []
  if (limit === 0) return places
  for await (const { place } of rowsThatCount(past, program)) {
    // A copy: a view would keep all the rows of its record in memory.
    places.push(Uint8Array.from(place))
    if (places.length >= limit) return places
  }
  return places
}

async function* rowsThatCount(past: PastAggregate, program: FoldProgram): AsyncGenerator<FoldRow> {
  const { before, recordedBy } = past.bounds
  if (before === undefined && recordedBy === undefined) {
    for await (const row of rowsIn(past, [EVERYTHING])) if (!row.hasFailed) yield row
    return
  }
  // Rows say what fails now; in a past that may be others.
  const stretches =
    recordedBy === undefined ? [EVERYTHING] : await wantedStretches(past, recordedBy)
  let text = program.initial
  for await (const run of runsIn(past, stretches)) {
    const step = await applyPaced(program, past.care, text, inputsOf(program, run))
    const failed = new Set(step.faults.map(({ index }) => index))
    yield* run.filter((_, index) => !failed.has(index))
    text = step.state
  }
}

/** The rows of stretches that are asked for, in runs; the last one as far as it goes. */
async function* runsIn(
  past: PastAggregate,
  stretches: readonly Stretch[]
): AsyncGenerator<FoldRow[]> {
  let run: FoldRow[] = []
  for await (const row of rowsIn(past, stretches)) {
    run.push(row)
    if (!endsRun(row.place, row.bytes.length)) continue
    yield run
    run = []
  }
  if (run.length > 0) yield run
}

/** Rows behind a place, up to another one, that one among them. */
interface Stretch {
  readonly behind: Uint8Array | undefined
  readonly upTo: Uint8Array | undefined
}

const EVERYTHING: Stretch = { behind: undefined, upTo: undefined }

interface FromBase {
  readonly base: PlacedCheckpoint | undefined
  readonly stretches: readonly Stretch[]
}

async function stretchesOf(past: PastAggregate): Promise<FromBase> {
  const { reader, aggregate, bounds } = past
  const { before, recordedBy } = bounds
  if (recordedBy === undefined) {
    const base = await checkpointBefore(reader, aggregate, before)
    return { base, stretches: [{ behind: base?.place, upTo: undefined }] }
  }
  let base: PlacedCheckpoint | undefined
  let isWhole = true
  const wanted: Stretch[] = []
  for await (const { stretch, span, checkpoint } of spansOf(past)) {
    isWhole &&= checkpoint !== undefined && span.last <= recordedBy
    isWhole &&= before === undefined || isBefore(stretch.upTo, before)
    if (isWhole) base = checkpoint
    else if (span.first <= recordedBy) addTo(wanted, stretch)
  }
  return { base, stretches: wanted }
}

async function wantedStretches(past: PastAggregate, recordedBy: bigint): Promise<Stretch[]> {
  const wanted: Stretch[] = []
  for await (const { stretch, span } of spansOf(past)) {
    if (span.first <= recordedBy) addTo(wanted, stretch)
  }
  return wanted
}

/** Those that are neighbours are read together. */
function addTo(stretches: Stretch[], stretch: Stretch): void {
  const last = stretches.at(-1)
  if (last?.upTo === undefined || last.upTo !== stretch.behind) stretches.push(stretch)
  else stretches[stretches.length - 1] = { behind: last.behind, upTo: stretch.upTo }
}

interface Spanned {
  readonly stretch: Stretch
  readonly span: RecordedSpan
  /** At its end. */
  readonly checkpoint: PlacedCheckpoint | undefined
}

/** The rows between checkpoints, in order, as far as some of them are before the bound. */
async function* spansOf({
  reader,
  aggregate,
  head,
  bounds
}: PastAggregate): AsyncGenerator<Spanned> {
  const checkpoints = new Checkpoints(reader, aggregate, undefined)
  let behind: Uint8Array | undefined
  try {
    while (bounds.before === undefined || behind === undefined || isBefore(behind, bounds.before)) {
      const checkpoint = await checkpoints.takeUpTo(undefined)
      const stretch = { behind, upTo: checkpoint?.place }
      yield { stretch, span: (checkpoint ?? head).recorded, checkpoint }
      if (checkpoint === undefined) return
      behind = checkpoint.place
    }
  } finally {
    await checkpoints.end()
  }
}

/** Those of stretches that are asked for. */
async function* rowsIn(
  { reader, aggregate, bounds }: PastAggregate,
  stretches: readonly Stretch[]
): AsyncGenerator<FoldRow> {
  const { before, recordedBy } = bounds
  for (const { behind, upTo } of stretches) {
    for await (const record of rowsBehind(reader, aggregate, { behind, upTo })) {
      for (const row of record.all()) {
        if (before !== undefined && !isBefore(row.place, before)) return
        if (recordedBy === undefined || row.recorded <= recordedBy) yield row
      }
    }
  }
}

function isBefore(place: Uint8Array | undefined, before: Uint8Array): boolean {
  return place !== undefined && compareBytes(place, before) < 0
}
