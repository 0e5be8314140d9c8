/**
 * What changes in a view, as a stream: of each row the old and the new, and the events that did it. Whoever
 * does not keep up is told so, and asks the view anew: changes that wait are bounded. So is whoever follows a
 * view that becomes another one: its rows are not to be compared with those before.
 */

import { LaterbaseError, isLaterbaseError } from '../errors.ts'
import { afterPrefix } from '../core/bytes.ts'
import type { Json } from '../core/json.ts'
import type { BuildReading, BuildStep, ViewBuild } from '../views/view-build.ts'
import type { IndexQuery, IndexedEvent, TouchedKey } from '../views/view-index.ts'
import type { ViewSlot } from '../views/view-slot.ts'
import { CHANGE_CAUSES_MAX, VIEW_CHANGES_BYTES_MAX, VIEW_CHANGES_MAX } from './limits.ts'
import { createSignal } from './signal.ts'
import { causeAt, keyTextOf } from './view-causes.ts'
import type { DatabaseViewSource } from './view-source.ts'
import type { ViewAnswer, ViewCause, ViewChange } from './views.ts'

export interface ViewChangesInit {
  readonly slot: ViewSlot
  readonly source: DatabaseViewSource
  /** An answer, and by whose digest it is known that it was one of this definition. */
  readonly since: Pick<ViewAnswer, 'lc' | 'digest'> | undefined
  readonly digest: (build: ViewBuild) => string
  readonly signal: AbortSignal | undefined
}

export async function* viewChanges(init: ViewChangesInit): AsyncGenerator<ViewChange> {
  const { signal } = init
  const reader = new ChangesReader(init)
  try {
    await reader.begin()
    while (!isAborted(signal)) {
      const seen = reader.told.count()
      for (let next = reader.take(); next !== undefined; next = reader.take()) {
        yield next
        if (isAborted(signal)) return
      }
      if (reader.failure !== undefined) throw reader.failure
      if (reader.isOver) return
      await reader.told.after(seen, signal)
    }
  } finally {
    await reader.end()
  }
}

/** What waits for one reader. */
class ChangesReader {
  readonly told = createSignal()
  failure: unknown
  /** The views were closed. */
  isOver = false
  readonly #init: ViewChangesInit
  readonly #waiting: { readonly change: ViewChange; readonly bytes: number }[] = []
  #bytes = 0
  readonly #end = new AbortController()
  #unwatch: () => void = () => undefined
  #following: Promise<void> = Promise.resolve()

  constructor(init: ViewChangesInit) {
    this.#init = init
  }

  /** @throws LATERBASE_CHANGES_LOST where the view is not at `since` */
  async begin(): Promise<void> {
    const { slot, since, digest, signal } = this.#init
    let build = await slot.ready(signal)
    if (since === undefined) await slot.refresh(build)
    for (;;) {
      build = await slot.ready(signal)
      // Another one may answer by now.
      if (build !== slot.current) continue
      // Of a batch that is half through nobody can be told what it changes.
      if (build.taking === undefined) break
      await build.taking
    }
    const isThere = since?.lc === build.cursor && since.digest === digest(build)
    if (since !== undefined && !isThere) {
      throw lost(`view ${slot.name} has gone on from there`)
    }
    this.#unwatch = slot.watch({
      step: (step) => this.#tell(step),
      end: (why) => this.#stop(why)
    })
    this.#following = this.#follow().catch((error: unknown) => this.#stop(error))
  }

  take(): ViewChange | undefined {
    const next = this.#waiting.shift()
    this.#bytes -= next?.bytes ?? 0
    return next?.change
  }

  async end(): Promise<void> {
    this.#unwatch()
    this.#end.abort()
    await this.#following
  }

  /** Brings the view up to date with each commit, for as long as somebody reads. */
  async #follow(): Promise<void> {
    const { slot, source, signal } = this.#init
    const { signal: end } = this.#end
    const scope = signal === undefined ? end : AbortSignal.any([end, signal])
    while (!scope.aborted) {
      const build = await slot.ready(scope)
      await slot.refresh(build)
      await source.changed(build.cursor, scope)
    }
  }

  async #tell(step: BuildStep): Promise<void> {
    if (this.failure !== undefined) return
    try {
      for await (const change of changesOf(step, this.#init.source)) this.#add(change)
    } catch (error) {
      // It is the reader's: the view goes on.
      this.#stop(error)
    }
    this.told.tell()
  }

  #add(change: ViewChange): void {
    const bytes = JSON.stringify(change).length
    this.#waiting.push({ change, bytes })
    this.#bytes += bytes
    const isMuch = this.#waiting.length > VIEW_CHANGES_MAX || this.#bytes > VIEW_CHANGES_BYTES_MAX
    if (isMuch) throw lost('more changes than may wait were not read')
  }

  #stop(why: unknown): void {
    if (this.#end.signal.aborted) return
    if (isLaterbaseError(why, 'LATERBASE_CLOSED')) this.isOver = true
    else this.failure = why
    this.#unwatch()
    this.#end.abort()
    this.told.tell()
  }
}

function isAborted(signal: AbortSignal | undefined): boolean {
  return signal?.aborted === true
}

async function* changesOf(step: BuildStep, source: DatabaseViewSource): AsyncGenerator<ViewChange> {
  const { program } = step.build
  const isReduced = program.type === 'fold' || program.reducer !== undefined
  for (const touched of step.touched) {
    if (isReduced) yield* resultChanges(step, touched, source)
    else yield* rowChanges(step, touched, source)
  }
}

/** Of what a fold or a reducer makes of all events of a key. */
async function* resultChanges(
  step: BuildStep,
  touched: TouchedKey,
  source: DatabaseViewSource
): AsyncGenerator<ViewChange> {
  const { key, keyBytes, late: restated } = touched
  const value = async (reading: BuildReading): Promise<Json | undefined> => {
    const range = { from: keyBytes, to: afterPrefix(keyBytes), key }
    const { rows } = await ask(step.build, reading, range, 'keys')
    return rows[0]?.value
  }
  const [old, now] = [await value(step.before), await value(step.after)]
  if (JSON.stringify(old) === JSON.stringify(now)) return
  const causes = await causesOf(touched.causes, source)
  yield { lc: step.cursor, key, old, new: now, restated, causes }
}

/** Rows that a map has for itself: those that came, and those that went, event by event. */
async function* rowChanges(
  step: BuildStep,
  { key, keyBytes, moved = [] }: TouchedKey,
  source: DatabaseViewSource
): AsyncGenerator<ViewChange> {
  for (const { place, cause, late: restated } of moved) {
    const from = Buffer.concat([keyBytes, place])
    const values = async (reading: BuildReading): Promise<readonly Json[]> => {
      const { rows } = await ask(step.build, reading, { from, to: afterPrefix(from) }, 'rows')
      return rows.map((row) => row.value)
    }
    const [before, after] = [await values(step.before), await values(step.after)]
    const causes = await causesOf([cause], source)
    const common = { lc: step.cursor, id: keyTextOf(place), key, restated, causes }
    for (const old of before) yield { ...common, old, new: undefined }
    for (const now of after) yield { ...common, old: undefined, new: now }
  }
}

async function causesOf(
  events: readonly IndexedEvent[],
  source: DatabaseViewSource
): Promise<readonly ViewCause[]> {
  const causes: ViewCause[] = []
  for (const { place } of events.slice(-CHANGE_CAUSES_MAX)) {
    const cause = await causeAt(source, place)
    if (cause !== undefined) causes.push(cause)
  }
  return causes
}

function ask(
  build: ViewBuild,
  reading: BuildReading,
  range: IndexQuery['ranges'][number],
  reduce: IndexQuery['reduce']
): ReturnType<ViewBuild['index']['query']> {
  return build.index.query(reading.reader, reading.state, {
    ranges: [range],
    descending: false,
    skip: 0,
    limit: Number.MAX_SAFE_INTEGER,
    reduce,
    before: undefined,
    recordedBy: undefined,
    causes: 0
  })
}

function lost(what: string): LaterbaseError {
  const message = `${what}: ask the view, and follow it from there`
  return new LaterbaseError('LATERBASE_CHANGES_LOST', message)
}
