/**
 * What a crashing node's clients know, and its comparison with what a restart finds: nothing
 * acknowledged is lost, nothing is there that nobody offered or twice, offers are all or nothing, and
 * a reader that goes on from its cursor ends with the whole set.
 */

import { createLaterbase, isLaterbaseError } from '../../src/index.ts'
import type { Database, Laterbase, RecordedEvent } from '../../src/index.ts'
import { DATABASE, eventOf, idsOf, isRepeatable } from './workload.ts'
import type { Offer, Word } from './workload.ts'

export interface Finding {
  /** From the call to an open node, ms; what is replayed is in it. */
  readonly readyMs: number
  readonly events: number
  /** In words; empty when all holds. */
  readonly faults: readonly string[]
}

export class History {
  readonly #acknowledged = new Set<string>()
  #unheard: Offer[] = []
  #hasDatabase = false
  #cursor = '0'
  /** Handed on by the reader, up to its cursor. */
  readonly #read = new Set<string>()
  acknowledgements = 0
  refusals: string[] = []

  copy(): History {
    const copy = new History()
    for (const id of this.#acknowledged) copy.#acknowledged.add(id)
    for (const id of this.#read) copy.#read.add(id)
    copy.#hasDatabase = this.#hasDatabase
    copy.#cursor = this.#cursor
    return copy
  }

  get cursor(): string {
    return this.#cursor
  }

  /** Offers that can be made again, as nobody heard what became of them; given once. */
  takeRetries(): Offer[] {
    const retries = this.#unheard.filter(isRepeatable)
    this.#unheard = []
    return retries
  }

  readonly hear = (word: Word): void => {
    if (word.type === 'created') this.#hasDatabase = true
    if (word.type === 'offered') this.#unheard.push(word.offer)
    if (word.type === 'refused') this.refusals.push(word.reason)
    if (word.type === 'acknowledged') {
      this.acknowledgements += 1
      for (const id of idsOf(word.offer)) this.#acknowledged.add(id)
      const { cycle, first } = word.offer
      this.#unheard = this.#unheard.filter((one) => one.cycle !== cycle || one.first !== first)
    }
    if (word.type === 'read') {
      this.#cursor = word.cursor
      for (const id of word.ids) {
        if (this.#read.has(id)) throw new Error(`the feed gave ${id} twice`)
        this.#read.add(id)
      }
    }
  }

  /** Opens the directory as a restarted node does, and looks at everything in it. */
  async compare(dir: string): Promise<Finding> {
    const startMs = performance.now()
    let node: Laterbase
    try {
      node = await createLaterbase({ dir, name: 'after', mdns: false, listen: [LISTEN] })
    } catch (error) {
      const faults = [`does not open: ${String(error)} (${causeOf(error)})`]
      return { readyMs: performance.now() - startMs, events: 0, faults }
    }
    const readyMs = performance.now() - startMs
    try {
      return { readyMs, ...(await this.#look(node)) }
    } catch (error) {
      return { readyMs, events: 0, faults: [`cannot be read: ${String(error)} ${causeOf(error)}`] }
    } finally {
      await node.close()
    }
  }

  async #look(node: Laterbase): Promise<{ events: number; faults: string[] }> {
    if (!node.databases().includes(DATABASE)) {
      const isLost = this.#hasDatabase || this.#acknowledged.size > 0
      return { events: 0, faults: isLost ? ['the database is gone'] : [] }
    }
    const database = node.database(DATABASE)
    const faults: string[] = []
    const found = await readSet(database, faults)
    for (const id of this.#acknowledged) {
      if (!found.has(id)) faults.push(`lost although acknowledged: ${id}`)
    }
    for (const id of this.#read) {
      if (!found.has(id)) faults.push(`lost although a reader had it: ${id}`)
    }
    await this.#followFeed(database, found, faults).catch((error: unknown) => {
      faults.push(`the feed cannot be read: ${String(error)} ${causeOf(error)}`)
    })
    // What a restarted node has shown stays, as what it had acknowledged does.
    this.#hasDatabase = true
    for (const id of found) this.#acknowledged.add(id)
    return { events: found.size, faults }
  }

  /** The reader goes on from its cursor, and another begins anew. */
  async #followFeed(database: Database, found: Set<string>, faults: string[]): Promise<void> {
    const whole = await readFeed(database, '0', faults)
    const rest = await readFeed(database, this.#cursor, faults)
    for (const id of found) {
      if (!whole.has(id)) faults.push(`missing in the feed: ${id}`)
      if (!rest.has(id) && !this.#read.has(id)) faults.push(`passed over by the cursor: ${id}`)
      if (rest.has(id) && this.#read.has(id)) faults.push(`twice by the cursor: ${id}`)
    }
    if (whole.size !== found.size) faults.push('the feed has what the set has not')
  }
}

/** Everything in key order; each event is compared with what was offered, byte for byte. */
async function readSet(database: Database, faults: string[]): Promise<Set<string>> {
  const found = new Set<string>()
  const batches = new Map<string, { count: number; found: number }>()
  for await (const event of database.range()) {
    const id = String(event.subject)
    const offer = offerOf(event)
    if (found.has(id)) faults.push(`twice: ${id}`)
    if (offer === undefined) {
      faults.push(`never offered: ${event.json.slice(0, 200)}`)
      continue
    }
    found.add(id)
    const batch = batches.get(`${offer.cycle}/${offer.first}`) ?? { count: offer.count, found: 0 }
    batches.set(`${offer.cycle}/${offer.first}`, batch)
    batch.found += 1
  }
  for (const [first, batch] of batches) {
    if (batch.found !== batch.count) {
      faults.push(`torn: ${batch.found} of ${batch.count} events of ${first}`)
    }
  }
  const { events } = await database.status()
  if (events !== found.size) faults.push(`says ${events} events, has ${found.size}`)
  return found
}

/** The offer that an event is of; undefined if it is not what was offered. */
function offerOf(event: RecordedEvent): Offer | undefined {
  const { number, cycle, first, count, chars } = event.data as unknown as Offer & { number: number }
  const offer = { cycle, first, count, chars }
  const expected = eventOf(offer, number)
  const isSame =
    JSON.stringify(event.data) === JSON.stringify(sorted(expected.data as object)) &&
    event.subject === expected.subject &&
    event.source === expected.source &&
    event.id === expected.id &&
    (expected.time === undefined || event.time === expected.time)
  return isSame ? offer : undefined
}

/** As canonical JSON has it. */
function sorted(data: object): object {
  return Object.fromEntries(Object.entries(data).sort(([a], [b]) => (a < b ? -1 : 1)))
}

async function readFeed(
  database: Database,
  since: string,
  faults: string[]
): Promise<ReadonlySet<string>> {
  const ids = new Set<string>()
  for (let cursor = since; ;) {
    const page = await database.changesPage({ since: cursor, limit: 1_000 })
    for (const { event } of page.changes) {
      if (ids.has(String(event.subject))) faults.push(`twice in the feed: ${event.subject}`)
      ids.add(String(event.subject))
    }
    cursor = page.lastLc
    if (page.pending === 0) return ids
  }
}

function causeOf(error: unknown): string {
  return isLaterbaseError(error) ? String(error.cause) : ''
}

const LISTEN = '/ip4/127.0.0.1/tcp/0'
