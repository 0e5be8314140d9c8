/** What clients write: late, early, all at one instant, twice, and against each other. */

import { isLaterbaseError } from '../../../src/errors.ts'
import type { AppendedEvent, EventInput, Json } from '../../../src/node/laterbase.ts'
import type { Box } from './box.ts'
import { note } from './run.ts'
import type { SimRun } from './run.ts'

export const NOW_MS = Date.UTC(2026, 5, 1)
const DAY_MS = 86_400_000
/** Keys of the last events that clients know of. */
const KEYS_KNOWN = 30
/** Different facts that several boxes record. */
const SHARED_FACTS = 12
/** Clients that wait for a box that is down, and the time in which they are all back, ms. */
const RUSH_MAX = 60
const RUSH_MS = 600

interface Offer {
  readonly input: EventInput
  readonly data: Json
  /** No other offer has this content. */
  readonly isUnlike: boolean
  /** The node mints its key. */
  readonly isMinted: boolean
}

/** Writes one batch through a client of this box. */
export async function write(run: SimRun, box: Box, name: string): Promise<void> {
  const offers = Array.from({ length: run.world.prng.integer(1, 4) }, () => inventEvent(run, name))
  await offerAll(run, { box, name, offers })
}

/** Clients that have waited for a box write as soon as it is up, and others elsewhere. */
export function rush(run: SimRun, box: Box): void {
  const { world } = run
  for (let left = world.prng.integer(1, RUSH_MAX); left > 0; left -= 1) {
    world.after(world.prng.fraction() * RUSH_MS, () => {
      const name = world.prng.pick(run.databases)
      const at = world.chance(0.5) ? box : (world.prng.pick(run.boxes) ?? box)
      const isIn = name !== undefined && at.isAnswering && at.database(name) !== undefined
      if (isIn && !run.progress.isHealing) void write(run, at, name)
    })
  }
}

/** Writes one event that nothing contradicts; whether it was acknowledged. */
export function writeOne(run: SimRun, box: Box, name: string): Promise<boolean> {
  return offerAll(run, { box, name, offers: [newFact(run)] })
}

async function offerAll(
  run: SimRun,
  request: { readonly box: Box; readonly name: string; readonly offers: readonly Offer[] }
): Promise<boolean> {
  const { world, ledger } = run
  const { box, name, offers } = request
  const database = box.database(name)
  if (database === undefined) return false
  const partial = world.chance(0.5)
  ledger.offer(
    name,
    offers.filter(({ isUnlike }) => !isUnlike).map(({ data }) => data),
    offers.filter(({ isUnlike }) => isUnlike).map(({ data }) => data)
  )
  const inputs = offers.map(({ input }) => input)
  const options = { clock: 'trust' as const, ...(partial ? { onError: 'proceed' as const } : {}) }
  try {
    const { results } = await database.append(inputs, options)
    const { all, created } = ledger.acknowledge(name, results)
    remember(run, name, results)
    box.acknowledge(name, all)
    for (const [index, result] of results.entries()) {
      if (offers[index]?.isMinted === true && result.status === 'created') ledger.minted(result.key)
    }
    const refused = results.length - all.length
    const counts = `${created.length} new, ${all.length - created.length} known, ${refused} refused`
    note(run, box.name, 'acknowledges', `${name}: ${counts}`)
    return true
  } catch (error) {
    note(run, box.name, 'refuses', `${name}: ${error instanceof Error ? error.message : ''}`)
    const isExpected =
      isLaterbaseError(error, 'LATERBASE_KEY_CONFLICT') ||
      isLaterbaseError(error, 'LATERBASE_DISK_FULL') ||
      (isLaterbaseError(error, 'LATERBASE_STORE_FAILED') && box.disk.hasEverFailed)
    if (!isExpected) ledger.violate('unexpected-failure', `${box.name} refuses: ${String(error)}`)
    return false
  }
}

/** Keys that as_of and corrections may name. */
function remember(run: SimRun, name: string, results: readonly AppendedEvent[]): void {
  const keys = results.flatMap((result) => (result.status === 'rejected' ? [] : [result.key]))
  const known = [...(run.known.get(name) ?? []), ...keys]
  run.known.set(name, known.slice(-KEYS_KNOWN))
}

function inventEvent(run: SimRun, name: string): Offer {
  const { world, known } = run
  if (world.chance(0.4)) return sharedFact(run)
  const fact = newFact(run)
  const corrected = run.settings.views > 0 ? world.prng.pick(known.get(name) ?? []) : undefined
  if (corrected === undefined || !world.chance(0.3)) return fact
  const correction = { ...fact, input: { ...fact.input, corrects: corrected } }
  // To take it back, and put nothing in its place.
  const data = null
  return world.chance(0.7)
    ? correction
    : { ...correction, data, isUnlike: false, input: { ...correction.input, data } }
}

function newFact(run: SimRun): Offer {
  const { world } = run
  run.progress.offers += 1
  const data: Json = { n: run.progress.offers }
  const isLike = { data, isUnlike: true, isMinted: true }
  // When it happened: now by the box's clock, at one of a few instants, or on other days.
  if (world.chance(0.2)) return { ...isLike, input: { data } }
  const days = world.chance(0.3) ? DAY_MS : 1
  const timeMs = NOW_MS + world.prng.integer(-5, 20) * days
  return { ...isLike, input: { data, time: new Date(timeMs).toISOString() } }
}

/**
 * One of a few facts with natural keys: mostly the same content, sometimes a contradiction. Members
 * are in the order of canonical JSON, for it is looked up as text.
 */
function sharedFact({ world }: SimRun): Offer {
  const id = String(world.prng.integer(1, SHARED_FACTS))
  const data: Json = world.chance(0.85)
    ? { scan: id }
    : { says: world.prng.integer(0, 2), scan: id }
  const time = new Date(NOW_MS + Number(id) * 1_000).toISOString()
  return { input: { time, source: 's', id, data }, data, isUnlike: false, isMinted: false }
}
