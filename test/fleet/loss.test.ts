/**
 * Boxes that lose their disk, get an older copy of it back, or have a twin with a copy of it, under
 * load: everything that any other box knew is back, no place in a log has two contents without that
 * being said, and feeds are complete or say that they begin anew. Real processes.
 */

import { join } from 'node:path'
import { beforeAll, expect, test } from 'vitest'

import { LinkRouter } from '../../scripts/fleet/link-router.ts'
import { createPrng } from '../../scripts/simulate/prng.ts'
import type { Prng } from '../../scripts/simulate/prng.ts'
import { buildCli } from '../fixtures/build.ts'
import { scratch } from '../fixtures/cli.ts'
import { until } from '../fixtures/nodes.ts'
import { Box, joinBoxes } from './box.ts'
import { FeedReader, Load } from './load.ts'
import { report, seeds, SIZES } from './sizes.ts'

type Loss = 'wiped' | 'restored' | 'cloned'

const LOSSES: readonly Loss[] = ['wiped', 'restored', 'cloned']

const DATABASE = 'stock'
/** Events between two steps. */
const STEP = 60
/** Of two boxes with one identity gossip hears one: what the other writes comes by the next comparison. */
const EQUAL_MS_MAX = 100_000

interface Run {
  readonly seed: number
  readonly prng: Prng
  readonly boxes: Box[]
  readonly victim: Box
  readonly router: LinkRouter
  readonly invitation: string
  readonly load: Load
  readonly loss: Loss
  readonly readers: readonly FeedReader[]
  /** By place, `log seq`, the contents seen there at any time, and the boxes that showed each. */
  readonly places: Map<string, Map<string, Set<string>>>
}

beforeAll(async () => {
  await buildCli()
}, 180_000)

async function follow(run: Run): Promise<void> {
  for (const reader of run.readers) await reader.read()
  for (const box of run.boxes.filter(({ isUp }) => isUp)) await notePlaces(run, box)
}

/** Everything that a box holds, as `key text`. */
async function notePlaces(run: Run, box: Box): Promise<Set<string>> {
  const fed = await box.feed(DATABASE)
  for (const { log, seq, key, text } of fed) {
    const [place, content] = [`${log} ${seq}`, `${key} ${text}`]
    const contents = run.places.get(place) ?? new Map<string, Set<string>>()
    run.places.set(place, contents.set(content, contents.get(content) ?? new Set()))
    contents.get(content)?.add(box.init.name)
  }
  return new Set(fed.map(({ key, text }) => `${key} ${text}`))
}

async function loseDisk(run: Run, loss: Loss, dir: string): Promise<Set<string>> {
  const { victim, boxes, router, load, prng } = run
  const copy = join(dir, 'copy')
  if (loss !== 'wiped') {
    await victim.end('SIGTERM')
    await victim.copyTo(copy)
    await victim.start()
    await load.more(STEP)
  }
  const others = boxes.filter((box) => box !== victim)
  // What it writes while nobody sees it is lost with its disk, and may be.
  if (prng.fraction() < 0.5) {
    for (const box of others) router.cut(victim.init.name, box.init.name)
    await load.more(STEP / 2)
  }
  await follow(run)
  if (loss === 'cloned') {
    const twin = new Box({ ...victim.init, name: `${victim.init.name}-twin`, dir: copy })
    boxes.push(twin)
    await twin.start()
    load.add(twin)
  } else {
    await victim.end('SIGKILL')
  }
  const known = new Set<string>()
  for (const box of others) {
    for (const event of await notePlaces(run, box)) known.add(event)
  }
  if (loss === 'wiped') await victim.wipe(run.invitation)
  if (loss === 'restored') await victim.restore(copy)
  if (loss !== 'cloned') await victim.start()
  return known
}

async function untilAllEqual(boxes: readonly Box[]): Promise<void> {
  await until(async () => {
    const digests = await Promise.all(boxes.map((box) => box.digest(DATABASE)))
    return digests[0] !== undefined && digests.every((digest) => digest === digests[0])
  }, EQUAL_MS_MAX)
}

async function check(run: Run, known: ReadonlySet<string>): Promise<void> {
  const { boxes, readers, places, victim, loss } = run
  for (const box of boxes) {
    const held = await notePlaces(run, box)
    const missing = [...known].filter((event) => !held.has(event))
    expect(missing, `${box.init.name} lacks what others knew`).toEqual([])
  }
  const [first] = boxes
  const all = await (first as Box).feed(DATABASE)
  for (const [index, reader] of readers.entries()) {
    await reader.read()
    const missed = all.filter(({ key, text }) => !reader.seen.has(`${key} ${text}`))
    expect(missed, `reader ${index} was not told of all`).toEqual([])
  }
  const reused = [...places].filter(([, contents]) => contents.size > 1)
  for (const [place, contents] of reused) {
    // What only the lost disk had no box can know; whoever read it there is told.
    const isKnown = ([, shownBy]: [string, Set<string>]): boolean =>
      [...shownBy].some((name) => name !== victim.init.name)
    if (loss === 'restored' && [...contents].filter(isKnown).length < 2) {
      expect(readers[boxes.indexOf(victim)]?.resets, `the reader of ${place}`).toBeGreaterThan(0)
      continue
    }
    const [log = ''] = place.split(' ')
    const statuses = await Promise.all(boxes.map((box) => box.status()))
    const isSaid = statuses.some(
      ({ warnings, databases }) =>
        warnings.some((warning) => warning.includes(log)) ||
        databases.some(({ logs }) => logs.some((each) => each.log === log && each.forked))
    )
    expect(isSaid, `place ${place} has two contents, and nobody says so`).toBe(true)
  }
}

async function runSeed(seed: number): Promise<void> {
  const prng = createPrng(Math.imul(seed, 0x9e3779b1))
  await using dir = await scratch()
  await using router = await LinkRouter.start(seed)
  router.faults = {
    delayMsMax: prng.integer(0, 8),
    stallShare: 0.01,
    stallMsMax: 300,
    breakShare: 0
  }
  const boxes: Box[] = []
  for (const name of ['a', 'b', 'c'].slice(0, prng.integer(2, 3))) {
    boxes.push(new Box({ name, dir: join(dir.path, name), router, peers: () => boxes }))
  }
  const victim = prng.pick(boxes) as Box
  const load = new Load(DATABASE, prng)
  const readers = boxes.map((box) => new FeedReader(box, DATABASE))
  const loss = prng.pick(LOSSES) ?? 'wiped'
  try {
    const invitation = await joinBoxes(boxes)
    for (const box of boxes) await box.start()
    await (boxes[0] as Box).createDatabase(DATABASE)
    await untilAllEqual(boxes)
    for (const box of boxes) load.add(box)
    const run = {
      seed,
      prng,
      loss,
      boxes,
      victim,
      router,
      invitation,
      load,
      readers,
      places: new Map()
    }
    await load.more(STEP)
    await follow(run)
    await load.more(STEP)
    const known = await loseDisk(run, loss, dir.path)
    router.healAll()
    await load.more(STEP)
    await load.stop()
    const stoppedMs = performance.now()
    await untilAllEqual(boxes)
    const equalMs = Math.round(performance.now() - stoppedMs)
    await check(run, known)
    const resets = readers.reduce((sum, reader) => sum + reader.resets, 0)
    const acknowledged = load.acknowledged.size
    report('R8', {
      seed,
      loss,
      boxes: boxes.length,
      acknowledged,
      known: known.size,
      equalMs,
      resets
    })
  } finally {
    await load.stop()
    for (const box of boxes) await box[Symbol.asyncDispose]()
  }
}

test.skipIf(SIZES.lossSeeds === 0)(
  'what others knew comes back to a box that lost its disk, and readers miss nothing',
  async () => {
    for (const seed of seeds(SIZES.lossSeeds)) {
      try {
        await runSeed(seed)
      } catch (error) {
        throw new Error(`seed ${seed}`, { cause: error })
      }
    }
  },
  SIZES.lossSeeds * 240_000
)
