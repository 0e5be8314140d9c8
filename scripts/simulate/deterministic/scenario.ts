/**
 * One seeded run: boxes that write, crash, are wiped, held, lose their links and their clocks, beside
 * a member that lies; then the faults stop, and all that `INVARIANTS` lists must hold.
 */

import { Box } from './box.ts'
import { cause, crash, loseTime, makeRoom } from './faults.ts'
import { checkAgreement, checkRest, checkStep, checkWanderer } from './invariants.ts'
import { Coverage } from './coverage.ts'
import { Ledger } from './ledger.ts'
import { SimNetwork } from './network.ts'
import type { NetworkFaults } from './network.ts'
import { WanderingReader } from './reader.ts'
import { Rogue } from './rogue.ts'
import { DATABASES, note } from './run.ts'
import type { SimRun, TraceLine } from './run.ts'
import { FAULT_KINDS } from './settings.ts'
import type { Settings } from './settings.ts'
import { askEverywhere, askWhileWriting, checkViews, chooseViews, useViews } from './viewers.ts'
import type { Waiting } from './viewers.ts'
import { World } from './world.ts'
import { NOW_MS, write, writeOne } from './writes.ts'

const NO_FAULTS: NetworkFaults = {
  loss: 0,
  duplication: 0,
  gossipLoss: 0,
  delayMsMax: 20,
  slow: 0
}
/** Simulated time after which whatever was under way to a disk has ended, ms. */
const LATE_MS = 20
/** Simulated time in which boxes must be up, ms. */
const UP_MS_MAX = 30_000
/** Simulated time in which boxes must be equal once the faults have stopped, ms. */
const HEAL_MS_MAX = 180_000
/** After equality, how long nobody fetches, and how long that may take once all is written, ms. */
const QUIET_MS = 6_000
const QUIET_WITHIN_MS = 120_000
/** Comparisons of one box with another until all are equal: several times what was ever seen. */
const COMPARISONS_MAX = 24
/** Simulated time in which all views answer that are asked at one time, ms: disks may take long over each read. */
const ANSWER_MS_MAX = 120_000
/** Simulated time in which a box that is well answers a write, and all have it, ms. */
const WRITE_MS_MAX = 5_000
const SPREAD_MS_MAX = 60_000
/** Fetches of one box from another and database; each may be as many pages as there are commits. */
const FETCHES_MAX = 24

export function newRun(
  seed: number,
  settings: Settings,
  tell: (line: TraceLine) => void = () => undefined
): SimRun {
  const world = new World(seed)
  const ledger = new Ledger()
  const network = new SimNetwork(world, ledger, NO_FAULTS)
  network.pageBytes = settings.pageBytes === 0 ? undefined : settings.pageBytes
  const { antiEntropyMs } = settings
  const boxes = Array.from({ length: settings.boxes }, (_, index) => {
    const name = `box-${index}`
    const box = new Box(network, { name, identity: name, wallMs: NOW_MS, antiEntropyMs })
    box.disk.readMsMax = settings.readMsMax
    return box
  })
  const databases = DATABASES.slice(0, settings.databases)
  const wanderers = new Map(databases.map((name) => [name, new WanderingReader(ledger)]))
  const rest = {
    exchanges: [],
    trace: [],
    progress: { offers: 0, told: new Set<string>(), isHealing: false },
    tell
  }
  const viewers = { known: new Map(), coverage: new Coverage(ledger), waiting: new Set<Waiting>() }
  const things = { world, ledger, network, boxes, databases, wanderers }
  return { seed, settings, ...things, ...viewers, ...rest }
}

/** Runs until the end or until something is broken; what is broken is in the ledger. */
export async function play(run: SimRun): Promise<void> {
  const { settings, world, ledger, network } = run
  await startAll(run)
  const { loss, duplication, gossipLoss, delayMsMax, slow } = settings
  network.faults = { loss, duplication, gossipLoss, delayMsMax, slow }
  for (let step = 0; step < settings.steps && !ledger.isBroken; step += 1) {
    takeStep(run)
    await advance(run, 2 * settings.stepMs * world.prng.fraction())
    followAll(run)
    checkStep(run)
  }
  if (!ledger.isBroken) await heal(run)
  if (!ledger.isBroken) await rest(run)
  if (!ledger.isBroken) await answerAll(run)
  if (!ledger.isBroken) await writeOnce(run)
  for (const name of run.databases) {
    if (!ledger.isBroken) await checkAgreement(run, name)
    if (!ledger.isBroken) await checkWanderer(run, name)
  }
}

/** Lets time pass; true when `done`, false when the time is over, true when something broke. */
function advance(run: SimRun, forMs: number, done = (): boolean => false): Promise<boolean> {
  const { world, ledger } = run
  return world.run(world.nowMs + forMs, () => ledger.isBroken || done())
}

async function startAll(run: SimRun): Promise<void> {
  const { settings, network, databases, world } = run
  if (settings.lies.length > 0) {
    note(run, 'rogue', 'joins', settings.lies.join(' '))
    new Rogue(network, { address: 'rogue', lies: settings.lies, databases }).start()
  }
  for (const box of run.boxes) {
    chooseViews(run, box)
    askWhileWriting(run, box)
    if (world.chance(settings.timeless)) loseTime(run, box)
    void box.start()
  }
  await advance(run, 1_000)
  create(run, run.boxes[0], databases[0])
  await advance(run, 1_000)
}

function takeStep(run: SimRun): void {
  const { world, settings } = run
  const box = world.prng.pick(run.boxes)
  if (box === undefined) return
  for (const kind of FAULT_KINDS) {
    if (!world.chance(settings.shares[kind])) continue
    cause(run, kind, box)
    return
  }
  const name = world.prng.pick(run.databases)
  const database = name === undefined ? undefined : box.database(name)
  if (name === undefined || !box.isAnswering) return
  const what = world.prng.fraction()
  if (database === undefined) {
    if (what < 0.5) create(run, box, name)
  } else if (settings.views > 0 && world.chance(settings.views)) {
    useViews(run, { box, database })
  } else if (what < 0.15) {
    void run.wanderers.get(name)?.read(database, world.prng.integer(1, 30))
  } else if (what < 0.3) {
    void box.readers(name).paged.read(database, world.prng.integer(1, 30))
  } else {
    writeMany(run, box, name)
  }
}

/** One client or several at once, and perhaps a crash in the middle of it. */
function writeMany(run: SimRun, box: Box, name: string): void {
  const { world, settings } = run
  const clients = world.chance(0.3) ? world.prng.integer(2, 5) : 1
  for (let client = 1; client <= clients; client += 1) {
    world.after(world.prng.fraction() * 4, () => {
      if (box.isAnswering) void write(run, box, name)
    })
  }
  if (!world.chance(settings.crashOnWrite)) return
  world.after(world.prng.fraction() * 12, () => {
    if (!run.progress.isHealing) void crash(run, box)
  })
}

function create(run: SimRun, box: Box | undefined, name: string | undefined): void {
  if (box?.node === undefined || name === undefined) return
  note(run, box.name, 'creates', name)
  const isEager = run.world.chance(0.5)
  box.node.createDatabase(name).then(
    () => {
      if (isEager && box.isAnswering) writeMany(run, box, name)
    },
    (error: unknown) => {
      // The list of databases cannot be written to a full disk.
      if (box.disk.isFull) return
      run.ledger.violate('unexpected-failure', `${box.name} creates ${name}: ${String(error)}`)
    }
  )
}

/** A live feed on every box that is up. */
function followAll(run: SimRun): void {
  for (const box of run.boxes) {
    if (!box.isAnswering) continue
    for (const name of run.databases) {
      const database = box.database(name)
      if (database !== undefined) box.readers(name).live.follow(database)
    }
  }
}

/** Faults stop; every box comes up; all become equal, in bounded time and exchanges. */
async function heal(run: SimRun): Promise<void> {
  const { world, network, boxes, ledger } = run
  note(run, 'all', 'faults stop')
  run.progress.isHealing = true
  network.faults = NO_FAULTS
  network.healAll()
  for (const box of boxes) {
    box.disk.isFull = false
    box.life?.resume()
  }
  // What was held, or on its way to a full disk, ends before it is decided who has to be restarted.
  await advance(run, LATE_MS)
  for (const box of boxes) {
    makeRoom(run, box)
    void box.node?.goOnline()
  }
  const areUp = (): boolean => boxes.every((box) => box.node !== undefined && !box.disk.hasFailed)
  if (!(await advance(run, UP_MS_MAX, areUp))) ledger.violate('convergence', 'a box stays down')
  const startedMs = world.nowMs
  const before = { ...network.requests }
  if (!(await advance(run, HEAL_MS_MAX, () => isEqual(run)))) {
    ledger.violate('convergence', `not equal ${HEAL_MS_MAX} ms after the faults stopped`)
  }
  if (ledger.isBroken) return
  const took = `${Math.round(world.nowMs - startedMs)} ms`
  const compares = network.requests.compare - before.compare
  const pages = network.requests.page - before.page
  note(run, 'all', 'equal', `after ${took}, ${compares} comparisons and ${pages} pages`)
  run.exchanges.push(compares, pages)
  const pairs = boxes.length * (boxes.length - 1)
  const pagesMax = pairs * FETCHES_MAX * run.databases.length + boxes.length * ledger.commitCount
  if (compares > pairs * COMPARISONS_MAX || pages > pagesMax) {
    ledger.violate('exchanges', `${compares} comparisons and ${pages} pages until all were equal`)
  }
  followAll(run)
}

function isEqual({ boxes, databases }: SimRun): boolean {
  return databases.every((name) => {
    // Undefined on all: the only box that knew of the database was wiped.
    const [first, ...rest] = boxes.map((box) => box.database(name)?.digest())
    return rest.every((digest) => digest === first)
  })
}

/**
 * With nothing written, nothing is fetched, and what was held on to is let go. A member that lies may
 * write a log of its own, so that boxes that were equal are so again only a moment later. It writes a
 * little whenever it is asked for more, so the time counts from its last commit: those are few.
 */
async function rest(run: SimRun): Promise<void> {
  const { network, world, ledger } = run
  let untilMs = world.nowMs + QUIET_WITHIN_MS
  for (;;) {
    const { page } = network.requests
    const { strangerCommits } = ledger
    await advance(run, QUIET_MS)
    const isQuiet = network.requests.page === page
    if (ledger.strangerCommits > strangerCommits) untilMs = world.nowMs + QUIET_WITHIN_MS
    followAll(run)
    if ((isQuiet && isEqual(run)) || ledger.isBroken) break
    if (world.nowMs < untilMs) continue
    if (isQuiet) ledger.violate('convergence', 'boxes that were equal are so no more')
    else ledger.violate('quiet', `pages are fetched ${QUIET_WITHIN_MS} ms after the last write`)
    return
  }
  checkStep(run)
  for (const box of run.boxes) box.checkAcknowledged()
  await checkRest(run)
}

/** Whatever they have been through, all views answer, with all there is, and nobody waits any longer. */
async function answerAll(run: SimRun): Promise<void> {
  if (run.settings.views === 0) return
  const { ledger } = run
  const unanswered = new Set(askEverywhere(run))
  for (const asked of unanswered) {
    void asked.answer.then((isAnswered) => isAnswered && unanswered.delete(asked))
  }
  const isOver = (): boolean => unanswered.size === 0 && !isAnybodyWaiting(run)
  if (!(await advance(run, ANSWER_MS_MAX, isOver))) {
    const waiting = [...run.waiting].filter(({ box, life }) => box.life === life)
    const names = [...unanswered, ...waiting].map(({ box, what }) => `${box.name} ${what}`)
    ledger.violate('view-current', `no answer after ${ANSWER_MS_MAX} ms: ${names.join()}`)
  }
  if (ledger.isBroken) return
  let isChecked = false
  void checkViews(run).then(() => (isChecked = true))
  if (await advance(run, ANSWER_MS_MAX, () => isChecked)) return
  ledger.violate('view-current', 'a box does not say which views it has')
}

function isAnybodyWaiting({ waiting }: SimRun): boolean {
  return [...waiting].some(({ box, life }) => box.life === life)
}

/** Whatever they have been through, all boxes take a write, and pass it on. */
async function writeOnce(run: SimRun): Promise<void> {
  const [name] = run.databases.filter((each) => run.boxes[0]?.database(each) !== undefined)
  if (name === undefined) return
  const silent = new Set(run.boxes)
  for (const box of run.boxes) {
    void writeOne(run, box, name).then((isWritten) => isWritten && silent.delete(box))
  }
  if (!(await advance(run, WRITE_MS_MAX, () => silent.size === 0))) {
    const names = [...silent].map((box) => box.name)
    run.ledger.violate('availability', `${names.join()} acknowledges nothing any more`)
    return
  }
  // What is left is to look at what they hold, for which no time may pass: reads under way end now.
  for (const { disk } of run.boxes) disk.readMsMax = 0
  const lateMs = run.world.nowMs + run.settings.readMsMax + LATE_MS
  const isOver = (): boolean => run.world.nowMs > lateMs && isEqual(run)
  if (await advance(run, SPREAD_MS_MAX, isOver)) return
  run.ledger.violate('convergence', `not equal ${SPREAD_MS_MAX} ms after the last writes`)
}
