/** What must hold after every step, and once the faults have stopped and all boxes are equal. */

import type { NodeDatabase } from '../../../src/node/database.ts'
import type { RecordedEvent } from '../../../src/node/laterbase.ts'
import type { StoredEvent } from '../../../src/store/event-store.ts'
import type { Box } from './box.ts'
import { identity } from './ledger.ts'
import type { SetView } from './ledger.ts'
import type { SimRun } from './run.ts'

/** Timers that a node at rest has: its own one, and the deadlines of what it has asked its peers. */
const TIMERS_MAX = 3
const TIMERS_A_PEER_MAX = 6
/** In words for a person: a list that nobody reads to the end is of no use. */
const WARNINGS_MAX = 200
/** More than a run writes into one log. */
const COMMITS_MAX = 10_000

/** Of every box that is up: cheap, for it is done after every step. */
export function checkStep({ boxes, databases, ledger }: SimRun): void {
  for (const box of boxes) {
    if (!box.isAnswering) continue
    for (const name of databases) {
      const database = box.database(name)
      const view = box.disk.mounted(name)?.view
      if (database === undefined || view === undefined) continue
      ledger.seeDigest(box.name, { database: name, digest: database.digest(), view })
      checkCount(box, database, view)
    }
  }
}

/** What it holds in memory beside the events does not grow with time. */
export async function checkRest(run: SimRun): Promise<void> {
  for (const box of run.boxes) {
    const { node, life } = box
    if (node === undefined || life === undefined) continue
    const peers = node.peers().length
    const timersMax = TIMERS_MAX + TIMERS_A_PEER_MAX * peers * run.databases.length
    if (life.timers > timersMax) {
      run.ledger.violate('bounded', `${box.name} at rest has ${life.timers} timers`)
    }
    const { warnings } = await node.status()
    if (warnings.length > WARNINGS_MAX) {
      run.ledger.violate('bounded', `${box.name} has ${warnings.length} warnings`)
    }
  }
}

/** All boxes give the same, and it is all that was acknowledged. */
export async function checkAgreement(run: SimRun, name: string): Promise<void> {
  const { boxes, ledger } = run
  const acknowledged = ledger.acknowledged.get(name) ?? new Set<string>()
  if (boxes.every((box) => box.database(name) === undefined)) {
    if (acknowledged.size > 0) ledger.violate('durability', `database ${name} is nowhere`)
    return
  }
  let reference: readonly RecordedEvent[] | undefined
  for (const box of boxes) {
    const database = box.database(name)
    const view = box.disk.view(name)
    if (database === undefined || view === undefined) {
      ledger.violate('agreement', `${box.name} has no database ${name}`)
      return
    }
    const events = await readAll(database)
    reference ??= events
    if (!sameTexts(events, reference)) ledger.violate('agreement', `${box.name} reads other events`)
    checkCount(box, database, view)
    await checkContents(run, { box, database, view })
    for (const id of acknowledged) {
      if (view.ids.has(id)) continue
      ledger.violate('durability', `${box.name} does not have ${id}, which was acknowledged`)
      return
    }
    await checkReaders(run, box, database)
  }
}

function checkCount(box: Box, database: NodeDatabase, view: SetView): void {
  const count = database.store.eventCount()
  if (count === view.ids.size) return
  const detail = `${box.name} says it has ${count} events of ${database.name}, not ${view.ids.size}`
  box.violate('count', detail)
}

/** Each content of each key is read back as it was stored: in key order, by key, from its commits. */
async function checkContents(
  { ledger }: SimRun,
  { box, database, view }: { box: Box; database: NodeDatabase; view: SetView }
): Promise<void> {
  const { store, name } = database
  const scanned: StoredEvent[] = []
  for await (const events of store.scan({})) scanned.push(...events)
  const keyed: StoredEvent[] = []
  for (const { key } of scanned) keyed.push(...(await store.getAll(key)))
  const committed: StoredEvent[] = []
  for (const log of store.logs()) {
    for (const commit of await store.commits(log, log.fork?.seq ?? 0, COMMITS_MAX)) {
      const [events = []] = await store.readEvents([{ commit, from: 0, to: commit.keys.length }])
      committed.push(...events)
    }
  }
  for (const [way, events] of Object.entries({ scanned, keyed, committed })) {
    const read = new Set<string>()
    for (const { key, hash, value } of events) {
      const id = identity(key, hash)
      if (ledger.isStored(id, value)) read.add(id)
    }
    if (read.size === view.ids.size && [...view.ids].every((id) => read.has(id))) continue
    const detail = `${box.name} reads ${read.size} events of ${name}, ${way}, not ${view.ids.size}`
    ledger.violate('immutability', detail)
  }
}

async function checkReaders(run: SimRun, box: Box, database: NodeDatabase): Promise<void> {
  const { paged, live } = box.readers(database.name)
  while ((await paged.read(database, 100)) > 0 && !run.ledger.isBroken);
  live.checkComplete(database)
}

/** Whoever follows the feed across boxes ends with everything. */
export async function checkWanderer(run: SimRun, name: string): Promise<void> {
  const database = run.boxes[0]?.database(name)
  const wanderer = run.wanderers.get(name)
  if (database === undefined || wanderer === undefined) return
  while ((await wanderer.read(database, 100)) > 0 && !run.ledger.isBroken);
  await wanderer.check(database)
}

async function readAll(database: NodeDatabase): Promise<RecordedEvent[]> {
  const events: RecordedEvent[] = []
  for await (const event of database.range()) events.push(event)
  return events
}

function sameTexts(a: readonly RecordedEvent[], b: readonly RecordedEvent[]): boolean {
  return a.length === b.length && a.every((event, index) => event.json === b[index]?.json)
}
