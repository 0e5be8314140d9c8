/**
 * One build of a view: an index, how far it covers its database's commits, and the one writer of both. They go
 * to disk in one batch, so an index is never of another moment than its cursor says.
 *
 * Below the prefix of a build: the index's records, and one more that says how far it is.
 */

import type { DerivedReader, DerivedStore } from '../store/derived-store.ts'
import { EventsThatCount } from './effective-events.ts'
import { createFoldIndex } from './fold-index.ts'
import { OverworkedError, answered, answeredInTheEnd, pacedChunks } from './effort.ts'
import type { Care } from './effort.ts'
import { EVENTS_AT_ONCE } from './limits.ts'
import { createMapIndex } from './map-index.ts'
import type { ViewProgram } from './program.ts'
import { TAG, below, putBelow, tagged } from './records.ts'
import { EMPTY_INDEX } from './view-digest.ts'
import type { IndexState, IndexUpdate, TouchedKey, UpdateOptions, ViewIndex } from './view-index.ts'
import type { SourceBatch, ViewSource } from './view-source.ts'

export interface BuildInit {
  readonly store: DerivedStore
  readonly source: ViewSource
  readonly program: ViewProgram
  /** Which of the builds of the store. */
  readonly number: number
}

/** How far a build is; plain JSON. */
interface BuildRecord {
  readonly cursor: string
  readonly index: IndexState
  /** Corrections that it has met; 0 for a view of events as they were recorded. */
  readonly corrections: number
}

/** One state of a build. To be released. */
export interface BuildReading {
  readonly reader: DerivedReader
  readonly state: IndexState
  readonly cursor: string
  readonly corrections: number
  release(): Promise<void>
}

/** What one batch of events changed, for those who watch. */
export interface BuildStep {
  readonly build: ViewBuild
  readonly cursor: string
  readonly touched: readonly TouchedKey[]
  readonly before: BuildReading
  readonly after: BuildReading
}

export class ViewBuild {
  readonly program: ViewProgram
  readonly index: ViewIndex
  readonly prefix: Uint8Array
  readonly #init: BuildInit
  readonly #counting: EventsThatCount
  #record: BuildRecord
  /** A batch on its way to the disk: until it is there nobody reads. */
  #writing: Promise<unknown> = Promise.resolve()
  #running: Promise<void> = Promise.resolve()
  #next: Promise<void> | undefined
  #isDropped = false
  #taking: Promise<void> | undefined
  /** Called after each batch, while anybody watches. */
  watch: ((step: BuildStep) => Promise<void>) | undefined

  /** The build of that number as it was left; undefined where it was never completed. */
  static async open(init: BuildInit): Promise<ViewBuild | undefined> {
    const prefix = prefixOf(init.number)
    const bytes = await below(init.store, prefix).get(tagged(TAG.state))
    if (bytes === undefined) return undefined
    return new ViewBuild(init, JSON.parse(Buffer.from(bytes).toString()) as BuildRecord)
  }

  /**
   * From all events, then from the commits that came meanwhile.
   *
   * @param progress told how many events were looked at
   */
  static async make(
    init: BuildInit,
    signal: AbortSignal,
    progress: (done: number) => void
  ): Promise<ViewBuild> {
    const { source, store } = init
    const prefix = prefixOf(init.number)
    // What comes during the scan may be in it or not: commits from here on are gone through once more.
    const cursor = source.head()
    const build = new ViewBuild(init, { cursor, index: EMPTY_INDEX, corrections: 0 })
    const reader = below(store, prefix)
    const { program } = init
    build.#record = await answeredInTheEnd(
      program,
      () => signal.throwIfAborted(),
      async (care) => {
        if (care !== undefined) await store.clear(prefix)
        const counting = await build.#counting.all(signal)
        for (const changes of counting.records) await store.write(putBelow(prefix, changes))
        const index = await build.index.build(
          withProgress(pacedChunks(program, counting.events(), care), signal, progress),
          (changes) => store.write(putBelow(prefix, changes)),
          reader,
          care
        )
        return { cursor, index, corrections: counting.corrections }
      }
    )
    const { index } = build.#record
    signal.throwIfAborted()
    await build.#write({ state: index, changes: [], touched: [] }, build.#record)
    await build.refresh()
    return build
  }

  private constructor(init: BuildInit, record: BuildRecord) {
    this.#init = init
    this.#record = record
    this.program = init.program
    this.prefix = prefixOf(init.number)
    this.index = indexOf(init.program)
    this.#counting = new EventsThatCount(init.program, init.source)
  }

  get cursor(): string {
    return this.#record.cursor
  }

  get state(): IndexState {
    return this.#record.index
  }

  /** Which of the builds of the store. */
  get number(): number {
    return this.#init.number
  }

  /** Ends with the batch that is on its way, and shown to those who watched when it began. */
  get taking(): Promise<void> | undefined {
    return this.#taking
  }

  /** Nobody begins to read it any more; what runs ends at its next batch. */
  drop(): void {
    this.#isDropped = true
  }

  /** Of one that was dropped: nothing of it is written any more. */
  async settled(): Promise<void> {
    await Promise.allSettled([this.#next, this.#running, this.#writing])
  }

  /**
   * Resolves when all that was held when it was called is in, or it was dropped. Who comes meanwhile shares the
   * next run.
   */
  refresh(): Promise<void> {
    if (this.#next === undefined && this.cursor === this.#init.source.head()) return this.#running
    this.#next ??= this.#running
      .catch(() => undefined)
      .then(() => {
        this.#next = undefined
        this.#running = this.#advance()
        return this.#running
      })
    return this.#next
  }

  /** Undefined for one that was dropped: its records may be going. */
  async read(): Promise<BuildReading | undefined> {
    // A batch that has landed, and whose writer does not know it yet, would show records of another state.
    for (let seen: unknown; seen !== this.#writing;) {
      seen = this.#writing
      await this.#writing
    }
    return this.#isDropped ? undefined : this.#reading()
  }

  #reading(): BuildReading {
    const { cursor, index: state, corrections } = this.#record
    const snapshot = this.#init.store.snapshot()
    return {
      reader: below(snapshot, this.prefix),
      state,
      cursor,
      corrections,
      release: () => snapshot.release()
    }
  }

  async #advance(): Promise<void> {
    const care = (): void => {
      if (this.#isDropped) throw DROPPED
    }
    try {
      await answeredInTheEnd(this.program, care, (taking) => this.#takeAll(taking))
    } catch (error) {
      // Whoever waits is given what is there in its place.
      const isOver = error === DROPPED || (this.#isDropped && error instanceof OverworkedError)
      if (!isOver) throw error
    }
  }

  async #takeAll(care: Care | undefined): Promise<void> {
    for await (const batch of this.#init.source.changes(this.cursor, EVENTS_AT_ONCE)) {
      if (this.#isDropped) return
      const taken = this.#takeAndShow(batch, care)
      this.#taking = taken.catch(() => undefined)
      try {
        await taken
      } finally {
        this.#taking = undefined
      }
    }
  }

  async #takeAndShow(batch: SourceBatch, care: Care | undefined): Promise<void> {
    const { watch } = this
    if (watch === undefined) {
      await this.#take(batch, { touched: false, care })
      return
    }
    const before = this.#reading()
    try {
      await this.#show(watch, before, await this.#take(batch, { touched: true, care }))
    } finally {
      await before.release()
    }
  }

  /** Resolves with what was touched, where that is asked for. */
  async #take(batch: SourceBatch, options: UpdateOptions): Promise<readonly TouchedKey[]> {
    const reader = below(this.#init.store, this.prefix)
    const { change, records, more } = await this.#counting.among(batch.events, {
      reader,
      corrections: this.#record.corrections
    })
    const update = await answered(this.program, () => {
      return this.index.update(reader, this.state, change, options)
    })
    // Whoever dropped it may have begun another one over the same records.
    if (this.#isDropped) return []
    const corrections = this.#record.corrections + more
    await this.#write(
      { ...update, changes: [...update.changes, ...records] },
      { cursor: batch.cursor, index: update.state, corrections }
    )
    return update.touched
  }

  async #show(
    watch: NonNullable<ViewBuild['watch']>,
    before: BuildReading,
    touched: readonly TouchedKey[]
  ): Promise<void> {
    if (this.#isDropped) return
    const after = this.#reading()
    try {
      await watch({ build: this, cursor: after.cursor, touched, before, after })
    } finally {
      await after.release()
    }
  }

  /** The batch and the record that says what it covers: whole on the disk, and then known here. */
  async #write(update: IndexUpdate, record: BuildRecord): Promise<void> {
    const state = { key: tagged(TAG.state), value: Buffer.from(JSON.stringify(record)) }
    const written = this.#init.store
      .write(putBelow(this.prefix, [...update.changes, state]))
      .then(() => {
        this.#record = record
      })
    this.#writing = written.catch(() => undefined)
    await written
  }
}

/** Nobody hears of it. */
const DROPPED = new Error('the build was dropped')

/** Builds are numbered, so that the next one of a view grows beside the one that serves. */
export const BUILDS = 0x10

export function prefixOf(number: number): Uint8Array {
  const prefix = new Uint8Array(5)
  prefix[0] = BUILDS
  new DataView(prefix.buffer).setUint32(1, number)
  return prefix
}

export function indexOf(program: ViewProgram): ViewIndex {
  return program.type === 'map' ? createMapIndex(program) : createFoldIndex(program)
}

async function* withProgress<T>(
  events: AsyncIterable<readonly T[]>,
  signal: AbortSignal,
  progress: (done: number) => void
): AsyncGenerator<readonly T[]> {
  let done = 0
  for await (const chunk of events) {
    signal.throwIfAborted()
    yield chunk
    done += chunk.length
    progress(done)
  }
}
