/** Questions that simulated clients ask of views, each also in the terms of who answers it from scratch. */

import { parseEventKey } from '../../../src/core/event-key.ts'
import type { Json } from '../../../src/node/laterbase.ts'
import type { ViewQuery } from '../../../src/node/views.ts'
import type { Box } from './box.ts'
import { compareKeys } from './plain-views.ts'
import type { PlainQuery } from './plain-views.ts'
import type { SimRun } from './run.ts'
import type { SimView } from './sim-views.ts'
import { NOW_MS } from './writes.ts'

export interface Question {
  readonly view: SimView
  readonly query: ViewQuery
  readonly plain: PlainQuery
  /** Identities of events that the answer has to cover. */
  readonly least?: ReadonlySet<string> | undefined
  /** The client gives up after so long, ms. */
  readonly withinMs?: number | undefined
}

interface AskedView {
  readonly box: Box
  readonly database: string
  readonly view: SimView
}

/** A part of a question, and the same for whoever answers from scratch. */
interface Part {
  readonly query: ViewQuery
  readonly plain: PlainQuery
}

const DAY_MS = 86_400_000
const PATIENCE_MS_MAX = 2_000

/** Keys of all views, and others. */
const KEYS = JSON.parse(
  `[null, 0, 1, 2, 3, "a", [0, 1], [1], [2, 0], ["2026-06-01"], ["2026-06-01", 30], ["fact", 1],
    ["fact", 2], ["scan"], ["scan", 1], ["scan", "7"], ["scan", "7", 0]]`
) as readonly Json[]

export function inventQuestion(run: SimRun, asked: AskedView): Question {
  const { world } = run
  const { view, box, database } = asked
  const shape = { ...inventReduce(run, view), ...inventRange(run) }
  const asOf = world.chance(0.25) ? inventAsOf(run, database) : NOTHING
  const knownAt = world.chance(0.25) ? inventKnownAt(run, asked) : NOTHING
  const least = world.chance(0.1) ? box.lastAnswer(database) : undefined
  const update = world.chance(0.8) ? {} : { update: world.chance(0.5) ? ('lazy' as const) : false }
  const minLc = least === undefined ? {} : { min_lc: least.lc }
  return {
    view,
    query: { ...shape, ...asOf.query, ...knownAt.query, ...update, ...minLc },
    plain: { ...shape, ...asOf.plain, ...knownAt.plain },
    least: least?.covered.ids,
    withinMs: world.chance(0.1) ? world.prng.fraction() * PATIENCE_MS_MAX : undefined
  }
}

const NOTHING: Part = { query: {}, plain: {} }

function inventReduce({ world }: SimRun, view: SimView): ViewQuery {
  if (!('map' in view) || view.reduce === undefined) return {}
  const ways: readonly ViewQuery[] = [
    {},
    { group: true },
    { group: true },
    { group_level: 1 },
    { reduce: false }
  ]
  return world.prng.pick(ways) ?? {}
}

function inventRange({ world }: SimRun): ViewQuery {
  const { prng } = world
  const descending = world.chance(0.3) ? { descending: true } : {}
  const limit = world.chance(0.3) ? { limit: prng.integer(0, 6) } : {}
  const skip = world.chance(0.2) ? { skip: prng.integer(0, 4) } : {}
  const cut = { ...descending, ...limit, ...skip }
  const what = prng.fraction()
  if (what < 0.5) return cut
  const [one, other] = [prng.pick(KEYS) ?? null, prng.pick(KEYS) ?? null]
  if (what < 0.7) return { ...cut, key: one }
  const [low, high] = compareKeys(one, other) <= 0 ? [one, other] : [other, one]
  const isDown = cut.descending === true
  return { ...cut, startkey: isDown ? high : low, endkey: isDown ? low : high }
}

function inventAsOf({ world, known }: SimRun, database: string): Part {
  const { prng } = world
  const text = prng.pick(known.get(database) ?? [])
  const key = text === undefined ? undefined : parseEventKey(text)
  if (text !== undefined && key !== undefined && world.chance(0.5)) {
    return { query: { as_of: text }, plain: { lastKey: key } }
  }
  const lastMs = NOW_MS + prng.integer(-5, 20) * (prng.pick([1, 1_000, DAY_MS]) ?? 1)
  return { query: { as_of: new Date(lastMs).toISOString() }, plain: { lastMs } }
}

function inventKnownAt({ world }: SimRun, { box, database }: AskedView): Part {
  const last = box.lastAnswer(database)
  if (last !== undefined && world.chance(0.5)) {
    return { query: { known_at: last.lc }, plain: { held: last.covered.ids } }
  }
  const recordedMs = Math.floor(NOW_MS + world.prng.fraction() * world.nowMs)
  return { query: { known_at: new Date(recordedMs).toISOString() }, plain: { recordedMs } }
}
