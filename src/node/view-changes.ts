/**
 * What changes in a view, as a stream: of each row the old and the new, and the events that did it. Whoever
 * does not keep up is told so, and asks the view anew: changes that wait are bounded.
 */

import { LaterbaseError } from '../errors.ts'
import { afterPrefix, compareBytes } from '../core/bytes.ts'
import type { Json } from '../core/json.ts'
import type { BuildReading, BuildStep, ViewBuild } from '../views/view-build.ts'
import type { IndexQuery, TouchedKey } from '../views/view-index.ts'
import type { ViewSlot } from '../views/view-slot.ts'
import { CHANGE_CAUSES_MAX, VIEW_CHANGES_MAX } from './limits.ts'
import { createSignal } from './signal.ts'
import { causeAt } from './view-causes.ts'
import type { DatabaseViewSource } from './view-source.ts'
import type { ViewCause, ViewChange } from './views.ts'

export interface ViewChangesInit {
  readonly slot: ViewSlot
  readonly source: DatabaseViewSource
  readonly signal: AbortSignal | undefined
}

export async function* viewChanges(init: ViewChangesInit): AsyncGenerator<ViewChange> {
  const { slot, source, signal } = init
  const build = await slot.ready(signal)
  await slot.refresh(build)
  const waiting: ViewChange[] = []
  const told = createSignal()
  const end = new AbortController()
  let failure: unknown
  const unwatch = slot.watch(async (step) => {
    if (failure !== undefined) return
    try {
      waiting.push(...(await changesOf(step, source)))
      if (waiting.length > VIEW_CHANGES_MAX) failure = tooSlow(slot.name)
    } catch (error) {
      // It is the reader's: the view goes on.
      failure = error
    }
    told.tell()
  })
  const following = follow(init, end.signal).catch((error: unknown) => {
    failure ??= error
    told.tell()
  })
  try {
    while (!isAborted(signal)) {
      const seen = told.count()
      for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
        yield next
        if (isAborted(signal)) return
      }
      if (failure !== undefined) throw failure
      await told.after(seen, signal)
    }
  } finally {
    unwatch()
    end.abort()
    await following
  }
}

/** Brings the view up to date with each commit, for as long as somebody watches. */
async function follow({ slot, source, signal }: ViewChangesInit, end: AbortSignal): Promise<void> {
  const scope = signal === undefined ? end : AbortSignal.any([end, signal])
  while (!scope.aborted) {
    const build = await slot.ready(scope)
    await slot.refresh(build)
    await source.changed(build.cursor, scope)
  }
}

function isAborted(signal: AbortSignal | undefined): boolean {
  return signal?.aborted === true
}

async function changesOf(step: BuildStep, source: DatabaseViewSource): Promise<ViewChange[]> {
  const { build } = step
  const changes: ViewChange[] = []
  for (const touched of step.touched) {
    const places = touched.causes.slice(-CHANGE_CAUSES_MAX).map(({ place }) => place)
    const causes: ViewCause[] = []
    for (const place of places) {
      const cause = await causeAt(source, place)
      if (cause !== undefined) causes.push(cause)
    }
    const common = { lc: step.cursor, key: touched.key, restated: touched.late, causes }
    const isReduced = build.program.type === 'fold' || build.program.reducer !== undefined
    const pairs = isReduced ? [await resultOf(step, touched)] : await rowsOf(step, touched)
    for (const { before, after } of pairs) {
      if (JSON.stringify(before) === JSON.stringify(after)) continue
      changes.push({ ...common, old: before, new: after })
    }
  }
  return changes
}

interface Pair {
  readonly before: Json | undefined
  readonly after: Json | undefined
}

async function resultOf(step: BuildStep, touched: TouchedKey): Promise<Pair> {
  const value = async (reading: BuildReading): Promise<Json | undefined> => {
    const { rows } = await ask(step.build, reading, touched, 'keys')
    return rows[0]?.value
  }
  return { before: await value(step.before), after: await value(step.after) }
}

/** Rows that a map has for itself: those that came, and those that went. */
async function rowsOf(step: BuildStep, touched: TouchedKey): Promise<readonly Pair[]> {
  const values = async (reading: BuildReading): Promise<readonly Json[]> => {
    const { rows } = await ask(step.build, reading, touched, 'rows')
    const isCause = (place: Uint8Array): boolean =>
      touched.causes.some((cause) => compareBytes(cause.place, place) === 0)
    return rows.flatMap(({ place, value }) => (place && isCause(place) ? [value] : []))
  }
  const [before, after] = [await values(step.before), await values(step.after)]
  const length = Math.max(before.length, after.length)
  return Array.from({ length }, (_, index) => ({ before: before[index], after: after[index] }))
}

function ask(
  build: ViewBuild,
  reading: BuildReading,
  { key, keyBytes }: TouchedKey,
  reduce: IndexQuery['reduce']
): ReturnType<ViewBuild['index']['query']> {
  return build.index.query(reading.reader, reading.state, {
    ranges: [{ from: keyBytes, to: afterPrefix(keyBytes), key }],
    descending: false,
    skip: 0,
    limit: Number.MAX_SAFE_INTEGER,
    reduce,
    before: undefined,
    recordedBy: undefined,
    causes: 0
  })
}

function tooSlow(view: string): LaterbaseError {
  const message =
    `more than ${VIEW_CHANGES_MAX} changes of view ${view} wait for this reader: ` +
    'ask the view, and follow it from there'
  return new LaterbaseError('LATERBASE_TOO_LARGE', message)
}
