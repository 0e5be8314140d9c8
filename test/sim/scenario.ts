/**
 * One seeded run: boxes that write, crash, are wiped, lose their links and their clocks; then the
 * faults stop and everything that DESIGN calls an invariant must hold. Settings differ from seed
 * to seed, from gentle to vicious (swarm testing, Groce et al. 2012).
 */

import { createHash } from 'node:crypto'

import type { EventInput, Json } from '../../src/node/laterbase.ts'
import { createPrng } from '../../scripts/simulate/prng.ts'
import { isLaterbaseError } from '../../src/errors.ts'
import { NodeDatabase } from '../../src/node/database.ts'
import type { LaterbaseNode } from '../../src/node/node.ts'
import { Box } from './box.ts'
import type { DiskFaults } from './disk.ts'
import { checkAgreement } from './invariants.ts'
import { SimNetwork } from './network.ts'
import type { NetworkFaults } from './network.ts'
import { Reader } from './reader.ts'
import { DATABASE } from './run.ts'
import type { SimRun } from './run.ts'
import { World } from './world.ts'

export interface SimReport {
  readonly seed: number
  readonly events: number
  readonly steps: number
  /** Equal for two runs of one seed. */
  readonly traceHash: string
}

/** A run that broke an invariant; the message has the seed and the end of the trace. */
export class Violation extends Error {}

interface Settings {
  readonly faults: NetworkFaults
  readonly steps: number
  readonly crashShare: number
  readonly wipeShare: number
  readonly cutShare: number
  readonly clockShare: number
  readonly disks: DiskFaults
}

const NO_FAULTS: NetworkFaults = { loss: 0, duplication: 0, gossipLoss: 0, delayMsMax: 20 }
const YEAR_MS = 365 * 86_400_000
const NOW_MS = Date.UTC(2026, 5, 1)
const DISK_SALT = 0xd15f
/** Simulated time in which boxes must be equal once the faults have stopped. */
const HEAL_MS_MAX = 180_000

export async function simulateSeed(seed: number): Promise<SimReport> {
  const run = newRun(seed)
  try {
    const settings = chooseSettings(run)
    await startAll(run)
    for (let step = 0; step < settings.steps; step += 1) {
      takeStep(run, settings)
      await run.world.run(run.world.nowMs + run.world.prng.fraction() * 1_500, () => false)
    }
    await heal(run)
    await checkAgreement(run)
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    const tail = run.trace.slice(-40).join('\n')
    throw new Violation(`seed ${seed}: ${reason}\n${tail}`, { cause: error })
  }
  const hash = createHash('sha256').update(run.trace.join('\n')).digest('hex')
  const report = { seed, events: run.acknowledged.size, steps: run.trace.length }
  return { ...report, traceHash: hash }
}

function newRun(seed: number): SimRun {
  const world = new World(seed)
  const network = new SimNetwork(world, NO_FAULTS)
  const count = world.prng.integer(2, 5)
  const names = Array.from({ length: count }, (_, index) => `box-${index}`)
  const boxes = names.map((name) => new Box(network, name, NOW_MS))
  const readers = [new Reader(), new Reader()]
  const sets = { offered: new Set<string>(), acknowledged: new Set<string>() }
  return { seed, world, network, boxes, readers, ...sets, trace: [] }
}

function chooseSettings({ seed, world, network }: SimRun): Settings {
  const some = (max: number): number => (world.chance(0.5) ? 0 : world.prng.fraction() * max)
  network.faults = {
    loss: some(0.3),
    duplication: some(0.5),
    gossipLoss: some(1),
    delayMsMax: 5 + some(800)
  }
  return {
    faults: network.faults,
    steps: world.prng.integer(10, 80),
    crashShare: some(0.15),
    wipeShare: some(0.05),
    cutShare: some(0.3),
    clockShare: some(0.1),
    disks: chooseDiskFaults(seed)
  }
}

/** Drawn apart, and salted so that those in seeds.json keep their histories. */
function chooseDiskFaults(seed: number): DiskFaults {
  const prng = createPrng(seed ^ DISK_SALT)
  return { prng, failing: prng.fraction() < 0.5 ? 0 : prng.fraction() * 0.5 }
}

async function startAll(run: SimRun): Promise<void> {
  const started = Promise.all(run.boxes.map((box) => box.start()))
  await run.world.run(run.world.nowMs + 1_000, () => false)
  await started
  const [first] = run.boxes
  const made = first?.node?.createDatabase(DATABASE)
  await run.world.run(run.world.nowMs + 1_000, () => false)
  await made
}

function takeStep(run: SimRun, settings: Settings): void {
  const { world } = run
  const box = run.world.prng.pick(run.boxes)
  if (box === undefined) return
  breakDisk(run, box, settings.disks)
  if (world.chance(settings.crashShare)) void crash(run, box, false)
  else if (world.chance(settings.wipeShare)) void crash(run, box, true)
  else if (world.chance(settings.cutShare)) cutOrHeal(run)
  else if (world.chance(settings.clockShare)) breakClock(run, box)
  else if (world.chance(0.2)) void read(run, box)
  else void write(run, box)
}

async function write(run: SimRun, box: Box): Promise<void> {
  const database = box.node?.databases().includes(DATABASE)
    ? box.node.database(DATABASE)
    : undefined
  if (database === undefined) return
  const count = run.world.prng.integer(1, 4)
  const events = Array.from({ length: count }, () => inventEvent(run))
  try {
    // Before the answer: a crash hides whether the write took place.
    for (const event of events) run.offered.add(JSON.stringify(event.data))
    const { results } = await database.append(events, { clock: 'trust', onError: 'proceed' })
    for (const [index, result] of results.entries()) {
      if (result.status === 'rejected') continue
      const text = JSON.stringify(events[index]?.data)
      run.acknowledged.add(result.key)
      note(run, `${box.name} ${result.status} ${result.key} ${text}`)
    }
  } catch (error) {
    note(run, `${box.name} refused: ${error instanceof Error ? error.message : ''}`)
  }
}

/** Late, early, in the same millisecond, with natural keys that other boxes post too. */
function inventEvent({ world }: SimRun): EventInput {
  const timeMs = NOW_MS + world.prng.integer(0, 20) * (world.chance(0.3) ? 86_400_000 : 1)
  const time = new Date(timeMs).toISOString()
  const data: Json = { n: world.prng.integer(0, 1_000_000) }
  if (world.chance(0.6)) return { time, data }
  const id = String(world.prng.integer(1, 12))
  // Mostly the same content for the same identity; sometimes two boxes contradict each other.
  const fact: Json = world.chance(0.9) ? { scan: id } : { n: world.prng.integer(0, 2), scan: id }
  return { time: new Date(NOW_MS + Number(id) * 1_000).toISOString(), source: 's', id, data: fact }
}

async function read(run: SimRun, box: Box): Promise<void> {
  const reader = run.world.prng.pick(run.readers)
  const database = box.node?.databases().includes(DATABASE)
    ? box.node.database(DATABASE)
    : undefined
  if (reader === undefined || database === undefined) return
  try {
    await reader.read(database, run.world.prng.integer(1, 30))
  } catch (error) {
    if (!isLaterbaseError(error, 'LATERBASE_STORE_FAILED')) throw error
    note(run, `${box.name} cannot be read`)
  }
}

async function crash(run: SimRun, box: Box, wiped: boolean): Promise<void> {
  if (box.node === undefined) return
  note(run, `${box.name} ${wiped ? 'wiped' : 'crashes'}`)
  if (wiped) await forgetWhatOnlyItKnew(run, box)
  await box.crash()
  for (const reader of run.readers) reader.leave()
  if (wiped) box.disk.wipe()
  await run.world.sleep(run.world.prng.fraction() * 5_000)
  await box.start()
  note(run, `${box.name} is back`)
}

/** What no other box has is lost with a wiped disk: the rest must come back. */
async function forgetWhatOnlyItKnew(run: SimRun, wiped: Box): Promise<void> {
  const others = run.boxes.filter((box) => box !== wiped)
  for (const key of run.acknowledged) {
    const held = await Promise.all(others.map((box) => box.disk.holds(DATABASE, key)))
    if (!held.includes(true)) run.acknowledged.delete(key)
  }
}

function cutOrHeal(run: SimRun): void {
  const [a, b] = [run.world.prng.pick(run.boxes), run.world.prng.pick(run.boxes)]
  if (a === undefined || b === undefined || a === b) return
  if (run.world.chance(0.5)) {
    note(run, `cut ${a.name} ${b.name}`)
    run.network.cut(a.peerId, b.peerId)
  } else {
    note(run, `heal ${a.name} ${b.name}`)
    run.network.heal(a.peerId, b.peerId)
  }
}

/** The disk fails at some writes for a while, or is full for a while, or is well again. */
function breakDisk(run: SimRun, box: Box, faults: DiskFaults): void {
  const { failing, prng } = faults
  if (failing === 0 || prng.fraction() > 0.2) return
  box.disk.isFull = prng.fraction() < 0.3
  box.disk.faults = prng.fraction() < 0.5 ? faults : undefined
  note(run, `${box.name} disk ${box.disk.isFull ? 'full' : ''} ${box.disk.faults ? 'fails' : ''}`)
}

function breakClock(run: SimRun, box: Box): void {
  const offsets = [0, NOW_MS, NOW_MS + YEAR_MS, NOW_MS - 3_600_000, NOW_MS + 240_000]
  const offsetMs = run.world.prng.pick(offsets) ?? NOW_MS
  note(run, `${box.name} clock ${offsetMs}`)
  box.setClock(offsetMs)
}

/** Faults stop; every box comes up; all become equal. */
async function heal(run: SimRun): Promise<void> {
  const { world, network, boxes } = run
  note(run, 'faults stop')
  network.faults = NO_FAULTS
  network.healAll()
  for (const { disk } of boxes) Object.assign(disk, { faults: undefined, isFull: false })
  const areUp = (): boolean => boxes.every((box) => box.node !== undefined)
  if (!(await world.run(world.nowMs + 30_000, areUp))) throw new Error('a box did not come up')
  const started = world.nowMs
  const equal = await world.run(world.nowMs + HEAL_MS_MAX, () => {
    const digests = boxes.map((box) =>
      box.node?.databases().includes(DATABASE) ? box.node.database(DATABASE).digest() : undefined
    )
    // A box whose last write failed does not know yet what of it is on its disk.
    const isSettled = boxes.every((box) => box.node === undefined || isWritable(box.node))
    // Undefined on all: the only box that knew of the database was wiped.
    return isSettled && digests.every((digest) => digest === digests[0])
  })
  if (!equal) throw new Error(`not equal ${HEAL_MS_MAX} ms after the faults stopped`)
  note(run, `equal after ${Math.round(world.nowMs - started)} ms`)
}

function isWritable(node: LaterbaseNode): boolean {
  if (!node.databases().includes(DATABASE)) return true
  const database = node.database(DATABASE)
  return database instanceof NodeDatabase && database.store.refusal() === undefined
}

function note(run: SimRun, text: string): void {
  run.trace.push(`${Math.round(run.world.nowMs)} ${text}`)
}
