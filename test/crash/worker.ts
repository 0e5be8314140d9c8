/**
 * A node in a process that is going to be killed. It does what its plan (an argument, JSON) says and
 * tells its parent each acknowledgement as soon as it has it: with a synchronous write, so that
 * whatever was acknowledged before the end was heard.
 */

import { randomBytes } from 'node:crypto'
import { writeSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'

import { ClassicLevel } from 'classic-level'

import { createLaterbase } from '../../src/index.ts'
import type { Database, Laterbase } from '../../src/index.ts'
import { WRITE_BUFFER_BYTES } from '../../src/store/limits.ts'
import { openLevel } from '../../src/store/open-level.ts'
import { lookAtViews, storedViews, useViews } from './view-load.ts'
import { DATABASE, eventsOf } from './workload.ts'
import type { Offer, Plan, Word } from './workload.ts'

// Above what awaits: a module's constants are made in the order in which they stand.
/** Beside the one that writes big batches. */
const WRITERS = 12
/** Of about 1 MB each: the 16 MiB write buffer fills, and with tables of lives before, tables merge. */
const BIG_BATCHES = 28
/** Of a thousand events each: so many that a thread reads what is left of them. */
const MANY_BATCHES = 40
/** Between two offers while writes are refused, ms. */
const RETRY_MS = 50

const plan = JSON.parse(String(process.argv[2])) as Plan
let nextNumber = 0
let acknowledged = 0

// The parent has enough of it, or is gone.
process.stdin.once('data', () => say({ type: 'done' }))
process.stdin.once('end', () => process.exit(1))

if (plan.withoutSync) takeSyncAway()
try {
  await live()
} catch (error) {
  say({ type: 'refused', reason: reasonOf(error) })
}
say({ type: 'done' })

async function live(): Promise<void> {
  if (plan.load === 'rotation') return rotate()
  if (plan.load === 'viewed') return lookTwice()
  const node = await openNode()
  say({ type: 'ready' })
  const { database } = await node.createDatabase(DATABASE)
  say({ type: 'created' })
  for (const offer of plan.retries) await append(database, offer)
  if (plan.load === 'busy') await beBusy(database)
  if (plan.load === 'short') await beShort(node, database)
  if (plan.load === 'stubborn') await beStubborn(database)
  if (plan.load === 'stubborn-viewed') await beStubbornBesideViews(database)
  if (plan.load === 'stock') await append(database, offerOf(2_100, 50))
  if (plan.load === 'views') {
    await useViews(database, (count) => append(database, offerOf(count, 50)))
  }
  if (plan.load === 'views' || plan.load === 'stock') await node.close()
}

function openNode(): Promise<Laterbase> {
  const listen = ['/ip4/127.0.0.1/tcp/0']
  return createLaterbase({ dir: plan.dir, name: 'crashing', mdns: false, listen })
}

async function lookTwice(): Promise<void> {
  const tell = async (): Promise<void> => {
    say({ type: 'stored', ...(await storedViews(plan.dir)) })
  }
  await tell()
  for (let life = 0; life < 2; life += 1) {
    const node = await openNode()
    const { database } = await node.createDatabase(DATABASE)
    await lookAtViews(database, say)
    await node.close()
    await tell()
  }
}

async function beBusy(database: Database): Promise<void> {
  const stop = new AbortController()
  const reading = read(database, stop.signal)
  const writers = Array.from({ length: WRITERS }, (_each, at) => write(database, at, stop.signal))
  for (let batch = 0; batch < BIG_BATCHES; batch += 1) {
    await append(database, offerOf(100, 10_000))
  }
  stop.abort()
  await Promise.all([...writers, reading])
}

async function write(database: Database, writer: number, stop: AbortSignal): Promise<void> {
  for (let turn = writer; !stop.aborted; turn += 1) {
    await append(database, offerOf(turn % 16 === 0 ? 20 : 1, 150))
  }
}

/** Follows the changes feed, and hands on its cursor after each page. */
async function read(database: Database, stop: AbortSignal): Promise<void> {
  let since = plan.since
  while (!stop.aborted) {
    since = await readPage(database, since)
    await database.changed(since, { signal: stop }).catch(() => undefined)
  }
}

async function readPage(database: Database, since: string): Promise<string> {
  const { changes, lastLc } = await database.changesPage({ since, limit: 500 })
  const ids = changes.map(({ event }) => String(event.subject))
  say({ type: 'read', cursor: lastLc, ids })
  return lastLc
}

/** Goes on after what is refused, as clients do. */
async function beShort(node: Laterbase, database: Database): Promise<void> {
  const refused = (error: unknown): void => say({ type: 'refused', reason: reasonOf(error) })
  for (const count of [1, 1, 5, 1, 1, 1]) {
    await append(database, offerOf(count, 100)).catch(refused)
  }
  await readPage(database, plan.since).catch(refused)
  await node.close()
}

async function beStubborn(database: Database): Promise<void> {
  for (;;) {
    await append(database, offerOf(10, 10_000)).catch(async (error: unknown) => {
      say({ type: 'refused', reason: reasonOf(error) })
      await delay(RETRY_MS)
    })
  }
}

async function beStubbornBesideViews(database: Database): Promise<void> {
  let threads = 0
  process.on('worker', () => (threads += 1))
  for (let batch = 0; batch < MANY_BATCHES; batch += 1) await append(database, offerOf(1_000, 20))
  const build = async (name: string): Promise<void> => {
    const atLeast = acknowledged
    const before = threads
    const view = await database.views.define({ name, map: (_event, emit) => emit(null) })
    await view.refresh()
    const { rows } = await view.info()
    say({ type: 'built', rows, atLeast, threads: threads - before })
  }
  const buildAll = async (): Promise<void> => {
    for (let view = 1; ;) {
      const isBuilt = await build(`v${view}`).then(
        () => true,
        () => false
      )
      // The disk is full for views too, and they are opened anew after some seconds.
      if (isBuilt) view += 1
      else await delay(RETRY_MS)
    }
  }
  await build('v0')
  await Promise.all([buildAll(), beStubborn(database)])
}

async function append(database: Database, offer: Offer): Promise<void> {
  say({ type: 'offered', offer })
  await database.append(eventsOf(offer))
  acknowledged += offer.count
  say({ type: 'acknowledged', offer })
}

/** The keys say which write a record is of. */
async function rotate(): Promise<void> {
  const db = await openLevel(plan.dir, true)
  await db.put(Buffer.from('unsynced'), randomBytes(WRITE_BUFFER_BYTES), { sync: false })
  // The memory table is full now: LevelDB goes on in a new log file, and syncs only that one.
  await db.put(Buffer.from('synced'), Buffer.from('1'), { sync: true })
  say({ type: 'acknowledged', offer: offerOf(1, 0) })
}

function offerOf(count: number, chars: number): Offer {
  const first = nextNumber
  nextNumber += count
  return { cycle: plan.cycle, first, count, chars }
}

/** Every batch of every LevelDB of this process is written as if nobody had asked for a sync. */
function takeSyncAway(): void {
  const level = ClassicLevel.prototype as unknown as {
    batch(operations?: unknown[], options?: object): { write(options?: object): Promise<void> }
  }
  const { batch } = level
  level.batch = function batchWithoutSync(operations, options) {
    if (operations !== undefined) return batch.call(this, operations, { ...options, sync: false })
    const chained = batch.call(this)
    const written = chained.write
    chained.write = (given) => written.call(chained, { ...given, sync: false })
    return chained
  }
}

function say(word: Word): void {
  writeSync(1, `${JSON.stringify(word)}\n`)
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? `${error.message} (${String(error.cause)})` : String(error)
}
