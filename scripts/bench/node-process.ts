/**
 * The child process with one Laterbase node in it, through the public library: appends, a cold
 * replica, a difference, live latency. It decides nothing; the rows (`appends.ts` and so on) do.
 */

import { createLaterbase } from '../../src/index.ts'
import type { Database, EventInput, Laterbase } from '../../src/index.ts'
import { createPrng } from '../simulate/prng.ts'
import { historyEvents, liveEvents, scatteredEvents } from './events.ts'
import { countRequests } from './request-counter.ts'
import type { RequestCounts } from './request-counter.ts'
import { costSince, serve } from './serve.ts'
import type { Cost } from './serve.ts'

const DATABASE = 'stock'
/** How often it is looked whether a replica is whole, ms: small beside what is measured. */
const LOOK_MS = 2

let node: Laterbase | undefined
let stock: Database | undefined
/** When each event could be read here, by key: monotonic time of the system, ms. */
const arrivals = new Map<string, number>()
/** The last event of each log that could be read here. */
const read = new Map<string, number>()
const watching = new AbortController()

const api = {
  /** Starts the node; with an invitation it joins that network, without a database of its own. */
  open: async ({ dir, invitation }: OpenArgument): Promise<OpenResult> => {
    node = await createLaterbase({
      dir,
      name: 'bench',
      mdns: false,
      listen: ['/ip4/127.0.0.1/tcp/0'],
      log: (level, message, fields) => {
        if (level === 'warn' || level === 'error') console.error(message, fields)
      },
      ...(invitation === undefined ? {} : { invitation })
    })
    if (invitation === undefined) stock = (await node.createDatabase(DATABASE)).database
    else if (node.databases().includes(DATABASE)) stock = node.database(DATABASE)
    return { address: node.addresses()[0] ?? '', invitation: node.invitation() }
  },

  /** Appends from `writers` at once, each awaiting its append of `batch` events; events a second. */
  append: async (argument: AppendArgument): Promise<number> => {
    const { seed, warmUp, count, writers, batch } = argument
    await appendAll(liveEvents(seed + 1, warmUp), { writers, batch, count: warmUp })
    const events = liveEvents(seed, count)
    const cost = costSince()
    await appendAll(events, { writers, batch, count })
    return (count / cost().ms) * 1_000
  },

  /** Writes a month of history, in commits of 100 to 1,000. */
  fill: async ({ seed, count }: { seed: number; count: number }): Promise<string> => {
    const prng = createPrng(seed)
    const events = historyEvents(seed, count)
    for (let at = 0; at < count;) {
      const size = prng.integer(100, 1_000)
      await database().append(events.slice(at, at + size))
      at += size
    }
    return database().digest()
  },

  /** Writes events dated all over that month, in commits of 100. */
  scatter: async ({ seed, count }: { seed: number; count: number }): Promise<void> => {
    const events = scatteredEvents(seed, count)
    for (let at = 0; at < count; at += 100) await database().append(events.slice(at, at + 100))
  },

  /** Connects, and takes what the other has until the digests are equal. */
  replicate: async ({ address, digest }: ReplicateArgument): Promise<Cost> => {
    const here = laterbase()
    const cost = costSince()
    await here.connect(address)
    await until(
      () => here.databases().includes(DATABASE) && here.database(DATABASE).digest() === digest
    )
    stock = here.database(DATABASE)
    return cost()
  },

  connect: async ({ address }: { address: string }): Promise<void> => {
    await laterbase().connect(address)
  },
  digest: (): string => database().digest(),

  /** Counts the requests that this process sends from now on. */
  countRequests: (): void => countRequests.start(),
  requestCounts: (): RequestCounts => countRequests.counts(),

  /** Begins to count what this process costs; `cost` tells it. */
  startCost: (): void => {
    sinceStart = costSince()
  },
  cost: (): Cost => sinceStart(),

  /** The end of the log that this node writes. */
  ownHead: async (): Promise<LogHead> => {
    const { logs } = await database().status()
    const own = logs.find(({ own }) => own)
    return { log: own?.log ?? '', seq: own?.held ?? 0 }
  },
  /** Resolves once a log has come through the feed as far as that. Only after `watch`. */
  untilRead: async ({ log, seq }: LogHead): Promise<void> => {
    await until(() => (read.get(log) ?? 0) >= seq)
  },

  /** Notes when each event can be read here. */
  watch: (): void => {
    void (async () => {
      for await (const { event } of database().changes({ since: 'now', signal: watching.signal })) {
        arrivals.set(event.key, systemMs())
        read.set(event.log, event.seq)
      }
    })()
  },
  /** When they could be read here, once there are as many. */
  arrivals: async ({ count }: { count: number }): Promise<Record<string, number>> => {
    await until(() => arrivals.size >= count)
    return Object.fromEntries(arrivals)
  },

  /** Appends one event after another, `pauseMs` apart; when each was acknowledged, by key. */
  trickle: async ({ seed, count, pauseMs }: TrickleArgument): Promise<Record<string, number>> => {
    const acknowledged: Record<string, number> = {}
    for (const event of liveEvents(seed, count)) {
      const { results } = await database().append(event)
      const nowMs = systemMs()
      const [first] = results
      if (first !== undefined && first.status !== 'rejected') acknowledged[first.key] = nowMs
      await pause(pauseMs)
    }
    return acknowledged
  }
}

export type NodeApi = typeof api

interface OpenArgument {
  readonly dir: string
  readonly invitation?: string | undefined
}

interface OpenResult {
  readonly address: string
  readonly invitation: string
}

export interface AppendArgument {
  readonly seed: number
  readonly warmUp: number
  readonly count: number
  readonly writers: number
  readonly batch: number
}

interface ReplicateArgument {
  readonly address: string
  readonly digest: string
}

interface LogHead {
  readonly log: string
  readonly seq: number
}

interface TrickleArgument {
  readonly seed: number
  readonly count: number
  readonly pauseMs: number
}

let sinceStart = costSince()

/** Begins again after the last event, so a batch must divide their number. */
async function appendAll(
  events: readonly EventInput[],
  { writers, batch, count }: Pick<AppendArgument, 'writers' | 'batch' | 'count'>
): Promise<void> {
  let next = 0
  const write = async (): Promise<void> => {
    while (next < count) {
      const from = next % events.length
      next += batch
      const one = events[from]
      if (batch > 1) await database().append(events.slice(from, from + batch))
      else if (one !== undefined) await database().append(one)
    }
  }
  await Promise.all(Array.from({ length: writers }, write))
}

function laterbase(): Laterbase {
  if (node === undefined) throw new Error('the node is not open')
  return node
}

function database(): Database {
  if (stock === undefined) throw new Error('the database is not open')
  return stock
}

/** One clock for all processes of a machine, ms. */
function systemMs(): number {
  return Number(process.hrtime.bigint()) / 1e6
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}

async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await pause(LOOK_MS)
}

serve(api, async () => {
  watching.abort()
  await node?.close()
})
