/**
 * The trial of a view when it is defined: over a sample of events, from scratch twice, and with the events coming in
 * other orders. A function that draws random numbers, reads a clock or counts its calls comes to other rows.
 *
 * It can show that a view is not deterministic, never that it is: digests are compared for as long as it lives.
 */

import { compareBytes } from '../core/bytes.ts'
import { passed } from '../core/clock.ts'
import type { Clock, Rng } from '../core/clock.ts'
import { createMemoryDerivedStore } from '../store/memory-derived-store.ts'
import { OverworkedError, answered } from './effort.ts'
import { eventOf } from './fold-run.ts'
import {
  TRIAL_BATCH_EVENTS,
  TRIAL_EVENTS_FEW,
  TRIAL_EVENTS_MAX,
  TRIAL_ORDERS,
  TRIAL_ROW_CHARS_MAX
} from './limits.ts'
import type { ViewProgram } from './program.ts'
import { EMPTY_INDEX } from './view-digest.ts'
import { indexOf } from './view-build.ts'
import type { IndexQuery, IndexedEvent } from './view-index.ts'

export interface TrialInit {
  readonly program: ViewProgram
  /** The same, made once more; undefined for one that has its states from a text. */
  readonly again?: (() => ViewProgram) | undefined
  /** In event order; of more than TRIAL_EVENTS_MAX the last ones are taken. */
  readonly events: readonly IndexedEvent[]
  readonly rng: Pick<Rng, 'fraction'>
  readonly clock: Pick<Clock, 'setTimer'>
}

/** Two rows that came of the same events, as text; undefined where all were the same, or it took too long to see. */
export async function findDifference(
  init: TrialInit
): Promise<readonly [string, string] | undefined> {
  const { effort } = init.program
  try {
    return await answered(init.program, () => differenceOver(init, TRIAL_EVENTS_MAX))
  } catch (error) {
    if (!(error instanceof OverworkedError)) throw error
  }
  await effort?.rest()
  try {
    return await answered(init.program, () => differenceOver(init, TRIAL_EVENTS_FEW))
  } catch (error) {
    if (!(error instanceof OverworkedError)) throw error
    // What takes that much has no clock and no chance: only texts have an effort.
    return undefined
  }
}

async function differenceOver(
  init: TrialInit,
  count: number
): Promise<readonly [string, string] | undefined> {
  const events = init.events.slice(-count)
  const first = await rowsOf(init, [events])
  // So that one that reads a clock of milliseconds reads another time.
  await passed(init.clock, CLOCK_STEP_MS)
  const states = [init.program, init.again?.()].flatMap(initialOf)
  const [state = '', other = state] = states
  if (other !== state) return [shown(state), shown(other)]
  const arrivals = [[events]]
  for (let count = 0; count < TRIAL_ORDERS; count += 1) arrivals.push(arrivalOf(events, init.rng))
  for (const arrival of arrivals) {
    await init.program.effort?.rest()
    const difference = firstDifference(first, await rowsOf(init, arrival))
    if (difference !== undefined) return difference
  }
  return undefined
}

function initialOf(program: ViewProgram | undefined): string[] {
  return program?.type === 'fold' ? [`{"initial":${program.initial}}`] : []
}

/** The events in another order, a few at a time; each few in event order. */
function arrivalOf(events: readonly IndexedEvent[], rng: TrialInit['rng']): IndexedEvent[][] {
  const left = [...events]
  const arrival: IndexedEvent[][] = []
  while (left.length > 0) {
    const few: IndexedEvent[] = []
    for (let count = 1 + below(TRIAL_BATCH_EVENTS, rng); count > 0 && left.length > 0; count -= 1) {
      few.push(...left.splice(below(left.length, rng), 1))
    }
    arrival.push(few.sort((a, b) => compareBytes(a.place, b.place)))
  }
  return arrival
}

function below(end: number, rng: TrialInit['rng']): number {
  return Math.floor(rng.fraction() * end)
}

/** What the view is when events arrive so, as lines; made from nothing where they arrive all at one time. */
async function rowsOf(
  { program }: TrialInit,
  arrival: readonly (readonly IndexedEvent[])[]
): Promise<string[]> {
  const index = indexOf(program)
  const store = createMemoryDerivedStore()
  let state = EMPTY_INDEX
  if (arrival.length === 1) {
    const unread = arrival.map((events) => events.map(unreadOf))
    state = await index.build(each(unread), (changes) => store.write(changes), store)
  } else {
    for (const events of arrival) {
      const update = await index.update(store, state, { put: events.map(unreadOf), drop: [] })
      await store.write(update.changes)
      state = update.state
    }
  }
  const lines: string[] = []
  const isReduced = program.type === 'map' && program.reducer !== undefined
  for (const reduce of isReduced ? (['rows', 'keys', 'all'] as const) : (['rows'] as const)) {
    const { rows } = await index.query(store, state, { ...EVERYTHING, reduce })
    lines.push(...rows.map(({ key, value }) => JSON.stringify({ key, value })))
  }
  const faults = await index.faults(store, TRIAL_EVENTS_MAX)
  await store.close()
  lines.push(...faults.map(({ fault }) => JSON.stringify({ fault })))
  return [...lines, JSON.stringify({ digest: state.digest })]
}

/** Functions may have changed what they were given. */
function unreadOf(event: IndexedEvent): IndexedEvent {
  const { place, recorded, bytes } = event
  return { place, recorded, bytes, event: eventOf(event) }
}

async function* each<T>(values: readonly T[]): AsyncGenerator<T> {
  yield* values
}

function firstDifference(
  rows: readonly string[],
  others: readonly string[]
): readonly [string, string] | undefined {
  const length = Math.max(rows.length, others.length)
  for (let index = 0; index < length; index += 1) {
    const [row, other] = [rows[index] ?? NO_ROW, others[index] ?? NO_ROW]
    if (row !== other) return [shown(row), shown(other)]
  }
  return undefined
}

function shown(row: string): string {
  return row.length <= TRIAL_ROW_CHARS_MAX ? row : `${row.slice(0, TRIAL_ROW_CHARS_MAX)}…`
}

const NO_ROW = 'no row'
const CLOCK_STEP_MS = 2

const EVERYTHING: IndexQuery = {
  ranges: [{ from: undefined, to: undefined }],
  descending: false,
  skip: 0,
  limit: Number.MAX_SAFE_INTEGER,
  reduce: 'rows',
  before: undefined,
  recordedBy: undefined,
  causes: 0
}
