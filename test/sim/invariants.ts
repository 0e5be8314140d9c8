/** What must hold once the faults have stopped and all boxes are equal. */

import type { Database, RecordedEvent } from '../../src/node/laterbase.ts'
import { DATABASE } from './run.ts'
import type { SimRun } from './run.ts'

export async function checkAgreement(run: SimRun): Promise<void> {
  must(run.network.violations.length === 0, run.network.violations.join('; '))
  if (run.boxes.every((box) => box.node?.databases().length === 0)) {
    must(run.acknowledged.size === 0, 'what was acknowledged is in some database')
    return
  }
  const databases = run.boxes.map((box) => {
    if (box.node === undefined) throw new Error(`${box.name} is down`)
    return box.node.database(DATABASE)
  })
  const [first] = databases
  if (first === undefined) throw new Error('a run has boxes')
  const reference = await readAll(first)
  for (const database of databases) {
    const events = await readAll(database)
    must(sameTexts(events, reference), 'every box holds the same events in the same order')
    await checkCounts(database)
  }
  checkAcknowledged(run, reference)
  checkOffered(run, reference)
  await checkReaders(run, first)
}

async function readAll(database: Database): Promise<RecordedEvent[]> {
  const events: RecordedEvent[] = []
  for await (const event of database.range()) events.push(event)
  return events
}

function sameTexts(a: readonly RecordedEvent[], b: readonly RecordedEvent[]): boolean {
  return a.length === b.length && a.every((event, index) => event.json === b[index]?.json)
}

/** An event is counted once and fed once, a key with several contents once for each. */
async function checkCounts(database: Database): Promise<void> {
  const { events } = await database.status()
  const fed = (await database.changesPage({ limit: 1_000_000 })).changes.map(
    ({ event }) => `${event.key} ${event.hash}`
  )
  must(new Set(fed).size === fed.length, 'the feed gives no event twice')
  must(fed.length === events, `the feed gives all ${events} events, not ${fed.length}`)
}

function checkAcknowledged(run: SimRun, events: readonly RecordedEvent[]): void {
  const keys = new Set(events.map(({ key }) => key))
  for (const key of run.acknowledged) must(keys.has(key), `${key} was acknowledged and is gone`)
}

/** Nothing is stored that no client offered. */
function checkOffered(run: SimRun, events: readonly RecordedEvent[]): void {
  for (const event of events) {
    must(run.offered.has(JSON.stringify(event.data)), `${event.json} was never offered`)
  }
}

/** Whoever follows the feed across boxes ends with everything, and has met nothing twice. */
async function checkReaders(run: SimRun, database: Database): Promise<void> {
  const fed = await database.changesPage({ limit: 1_000_000 })
  for (const reader of run.readers) {
    while ((await reader.read(database, 100)) > 0);
    must(reader.faults.length === 0, `a reader: ${reader.faults.join(', ')}`)
    for (const { event } of fed.changes) {
      must(reader.seen.has(`${event.key} ${event.hash}`), `a reader missed ${event.key}`)
    }
  }
}

function must(holds: boolean, what: string): void {
  if (!holds) throw new Error(what)
}
