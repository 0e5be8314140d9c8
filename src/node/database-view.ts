/** One view of a database as clients see it: asks its build, and puts events and places to the rows. */

import { present } from '../core/assert.ts'
import { LaterbaseError } from '../errors.ts'
import type { DerivedChange } from '../store/derived-store.ts'
import type { EventStore } from '../store/event-store.ts'
import { createMemoryDerivedStore } from '../store/memory-derived-store.ts'
import { AnswerSize } from '../views/answer-size.ts'
import { OverworkedError, answered, pacedChunks, reduceEffort } from '../views/effort.ts'
import { EventsThatCount } from '../views/effective-events.ts'
import { readUnlessAborted, unlessAborted } from '../views/unless-aborted.ts'
import { indexOf } from '../views/view-build.ts'
import type { BuildReading, ViewBuild } from '../views/view-build.ts'
import type { IndexAnswer, IndexRow, IndexState } from '../views/view-index.ts'
import type { ViewSlot } from '../views/view-slot.ts'
import { EXPLAINED_EVENTS_MAX, EXPLAIN_EVENTS_MAX, VIEW_SCRATCH_EVENTS_MAX } from './limits.ts'
import { recordedFirst } from './recorded-place.ts'
import { causeAt, keyTextOf } from './view-causes.ts'
import { viewChanges } from './view-changes.ts'
import { planQuery } from './view-query.ts'
import type { PlannedQuery } from './view-query.ts'
import type { DatabaseViewSource } from './view-source.ts'
import type { RecordedEvent } from './laterbase.ts'
import type {
  View,
  ViewAnswer,
  ViewCause,
  ViewChange,
  ViewChangesOptions,
  ViewInfo,
  ViewQuery,
  ViewQueryOptions,
  ViewRow
} from './views.ts'

export interface DatabaseViewInit {
  readonly slot: ViewSlot
  readonly source: DatabaseViewSource
  readonly store: EventStore
  /** Resolves when what a cursor covers is held. */
  readonly reached: (cursor: string, signal: AbortSignal | undefined) => Promise<void>
  readonly info: (slot: ViewSlot) => Promise<ViewInfo>
  /** Peers whose view of this name has other rows of the same events. */
  readonly differs: (view: string) => readonly string[]
}

/** One state of a build, and who may give the question up. */
interface Reading {
  readonly reading: BuildReading
  readonly signal: AbortSignal | undefined
}

export class DatabaseView implements View {
  readonly name: string
  readonly #init: DatabaseViewInit

  constructor(init: DatabaseViewInit) {
    this.name = init.slot.name
    this.#init = init
  }

  info(): Promise<ViewInfo> {
    return this.#init.info(this.#init.slot)
  }

  async query(query: ViewQuery = {}, { signal }: ViewQueryOptions = {}): Promise<ViewAnswer> {
    const { slot } = this.#init
    // What is wrong with the question does not wait for a build.
    const asked = slot.current?.program ?? slot.program
    const planned = planQuery(query, asked)
    if (query.min_lc !== undefined) await this.#init.reached(query.min_lc, signal)
    for (;;) {
      const build = await this.#build(query, signal)
      const { program } = build
      const own = program === asked ? planned : planQuery(query, program)
      const plan = { ...own, care: () => signal?.throwIfAborted() }
      const reading = await build.read()
      // Else it was replaced meanwhile: the one that came in its place answers.
      if (reading !== undefined) return this.#answered({ query, plan }, build, { reading, signal })
    }
  }

  async #answered(
    { query, plan }: { readonly query: ViewQuery; readonly plan: PlannedQuery },
    build: ViewBuild,
    { reading, signal }: Reading
  ): Promise<ViewAnswer> {
    try {
      const answer = await this.#answer(build, plan, { reading, signal })
      if (query.explain === true) refuseToExplainMore(answer.rows)
      const rows: ViewRow[] = []
      const size = new AnswerSize()
      for (const row of answer.rows) {
        signal?.throwIfAborted()
        const event = query.include_events === true ? await this.#event(row, size) : undefined
        const events = query.explain === true ? await this.#explained(row.causes) : undefined
        const fault = row.fault === undefined ? undefined : { fault: row.fault }
        rows.push({ ...viewRow(row, plan), ...(event && { event }), ...events, ...fault })
      }
      const { totalRows, offset } = answer
      const differs = this.#init.differs(this.name)
      return {
        ...(totalRows !== undefined && { total_rows: totalRows }),
        ...(offset !== undefined && { offset }),
        rows,
        lc: reading.cursor,
        digest: digestOf(build, reading),
        faults: reading.state.faults + answer.faults,
        ...(differs.length > 0 && { differs })
      }
    } finally {
      await reading.release()
    }
  }

  changes({ signal, since }: ViewChangesOptions = {}): AsyncIterable<ViewChange> {
    const { slot, source } = this.#init
    const digest = (build: ViewBuild): string => digestOf(build, build)
    return viewChanges({ slot, source, since, digest, signal })
  }

  async refresh({ signal }: ViewQueryOptions = {}): Promise<void> {
    await this.#init.slot.made(signal)
    await this.#refreshed(signal)
  }

  async #build(query: ViewQuery, signal: AbortSignal | undefined): Promise<ViewBuild> {
    const { slot } = this.#init
    const { update = true, min_lc: minLc } = query
    if (update === true || minLc !== undefined) return this.#refreshed(signal)
    await slot.looked(signal)
    const { current } = slot
    if (current === undefined && slot.failure === undefined) throw notBuilt(slot, this.#init.source)
    const build = current ?? (await slot.ready(signal))
    // Whoever asks next is told what went wrong.
    if (update === 'lazy') void slot.refresh(build).catch(() => undefined)
    return build
  }

  async #refreshed(signal: AbortSignal | undefined): Promise<ViewBuild> {
    const { slot } = this.#init
    const build = await slot.ready(signal)
    const refreshed = slot.refresh(build)
    await (signal === undefined ? refreshed : unlessAborted(refreshed, signal))
    return build
  }

  async #answer(
    build: ViewBuild,
    plan: PlannedQuery,
    { reading, signal }: Reading
  ): Promise<IndexAnswer> {
    const isPast = plan.before !== undefined || plan.recordedBy !== undefined
    // Which events were corrected by then, and what one cursor covered, only the events can tell.
    const isTold = plan.heldBy === undefined && !(isPast && reading.corrections > 0)
    if (!isTold) return this.#fromScratch(build, plan, { reading, signal })
    return build.index.query(readUnlessAborted(reading.reader, signal), reading.state, plan)
  }

  async #fromScratch(
    build: ViewBuild,
    plan: PlannedQuery,
    { reading, signal }: Reading
  ): Promise<IndexAnswer> {
    const { source } = this.#init
    if (source.eventCount() > VIEW_SCRATCH_EVENTS_MAX) {
      const message =
        `known_at as a cursor, and a past of effective events, are computed anew: of at most ` +
        `${VIEW_SCRATCH_EVENTS_MAX} events. Give known_at as a time, or ask a view of recorded events`
      throw new LaterbaseError('LATERBASE_TOO_LARGE', message)
    }
    const { before, care, heldBy, recordedBy } = plan
    const counting = new EventsThatCount(build.program, source)
    const upTo = reading.cursor
    const counted = await counting.all(signal, { before, upTo, heldBy, recordedBy })
    const memory = createMemoryDerivedStore()
    const index = indexOf(build.program)
    const write = async (changes: readonly DerivedChange[]): Promise<void> => {
      signal?.throwIfAborted()
      await memory.write(changes)
    }
    const events = pacedChunks(build.program, counted.events(), care)
    const make = (): Promise<IndexState> => index.build(events, write, memory, care)
    // With care functions are called for every event, but a reduce for all runs at one time.
    const isReduced = build.program.type === 'map' && reduceEffort(build.program) !== undefined
    const state = await (isReduced ? answered(build.program, make).catch(told) : make())
    return index.query(readUnlessAborted(memory, signal), state, {
      ...plan,
      before: undefined,
      recordedBy: undefined
    })
  }

  async #event({ place }: IndexRow, size: AnswerSize): Promise<RecordedEvent | undefined> {
    if (place === undefined) return undefined
    const { source, store } = this.#init
    const event = present(await source.event(place), 'the event of a row')
    size.addRow(event.value.length)
    return recordedFirst(store, event)
  }

  async #explained(
    places: readonly Uint8Array[]
  ): Promise<Pick<ViewRow, 'events' | 'more_events'>> {
    const events: ViewCause[] = []
    for (const place of places.slice(0, EXPLAIN_EVENTS_MAX)) {
      const cause = await causeAt(this.#init.source, place)
      if (cause !== undefined) events.push(cause)
    }
    return { events, ...(places.length > EXPLAIN_EVENTS_MAX && { more_events: true }) }
  }
}

/** Nothing is answered of what functions were not called for. */
function told(error: unknown): never {
  if (!(error instanceof OverworkedError)) throw error
  throw new LaterbaseError('LATERBASE_VIEW_FAILED', `${error.message}: ask again in a while`)
}

function viewRow({ key, value, place }: IndexRow, plan: PlannedQuery): ViewRow {
  const isOfOne = place !== undefined && plan.rowsAre === 'events'
  return { ...(isOfOne && { id: keyTextOf(place) }), key, value }
}

/** @throws LATERBASE_TOO_LARGE: each is looked up in its log */
function refuseToExplainMore(rows: readonly IndexRow[]): void {
  const count = rows.reduce((sum, { causes }) => sum + causes.length, 0)
  if (count <= EXPLAINED_EVENTS_MAX) return
  const message =
    `an answer explains ${EXPLAINED_EVENTS_MAX} events at most, and this one has ${count}: ` +
    'ask for fewer rows with limit'
  throw new LaterbaseError('LATERBASE_TOO_LARGE', message, {
    facts: { explained_events_max: EXPLAINED_EVENTS_MAX }
  })
}

/** Of contents and definition: equal on two nodes that hold the same set. */
export function digestOf(build: ViewBuild, { state }: Pick<BuildReading, 'state'>): string {
  return `${build.program.hash.slice(0, DEFINITION_DIGITS)}-${state.digest}`
}

const DEFINITION_DIGITS = 12

export function notBuilt(slot: ViewSlot, source: DatabaseViewSource): LaterbaseError {
  const [done, total] = [slot.done ?? 0, source.eventCount()]
  const message = `view ${slot.name} is being built: ${done} of ${total} events`
  return new LaterbaseError('LATERBASE_VIEW_BUILDING', message, { facts: { done, total } })
}
