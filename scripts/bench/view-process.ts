/** The child process with one node and its views in it: builds, questions, late events. */

import { createLaterbase } from '../../src/index.ts'
import type { Database, Laterbase, View, ViewQuery } from '../../src/index.ts'
import { createPrng } from '../simulate/prng.ts'
import type { Prng } from '../simulate/prng.ts'
import { HISTORY_END_MS, HISTORY_MS, historyEvents } from './events.ts'
import { costSince, serve } from './serve.ts'
import { VIEW_KEYS, handlings, places, quantities, selectedHandlings } from './view-functions.ts'

const DATABASE = 'stock'
/** Events written at a time: prepared ones are not what the collector should be busy with. */
const PIECE = 20_000

let node: Laterbase | undefined
let stock: Database | undefined
const views = new Map<string, View<unknown>>()

const api = {
  open: async ({ dir }: { readonly dir: string }): Promise<void> => {
    const options = { dir, name: 'bench', mdns: false, verifyMs: 0, listen: LISTEN }
    node = await createLaterbase(options)
    stock = (await node.createDatabase(DATABASE)).database
  },

  fill: async ({
    seed,
    count
  }: {
    readonly seed: number
    readonly count: number
  }): Promise<void> => {
    for (let done = 0; done < count; done += PIECE) {
      const events = historyEvents(seed + done, Math.min(PIECE, count - done), {
        fromShare: done / count,
        toShare: Math.min(1, (done + PIECE) / count)
      })
      for (let at = 0; at < events.length; at += 1_000) {
        await database().append(events.slice(at, at + 1_000))
      }
    }
  },

  /** Builds a view; events a second. */
  build: async ({
    view,
    count
  }: {
    readonly view: ViewName
    readonly count: number
  }): Promise<number> => {
    const cost = costSince()
    const made = await database().views.defineAny(VIEWS[view])
    await made.refresh()
    views.set(view, made)
    return (count / cost().ms) * 1_000
  },

  /** How long each of so many questions takes, ms. */
  ask: async ({ view, count, asOf, seed }: AskArgument): Promise<readonly number[]> => {
    const prng = createPrng(seed)
    return times(count, async () => {
      const key = prng.integer(0, VIEW_KEYS - 1)
      const query: ViewQuery = { key, group: true, ...(asOf && { as_of: somewhere(prng) }) }
      const began = performance.now()
      await viewOf(view).query(query)
      return performance.now() - began
    })
  },

  /** From the acknowledgement of an event until the view has it, ms. */
  catchUp: async ({ view, count, late, seed }: CatchUpArgument): Promise<readonly number[]> => {
    const prng = createPrng(seed)
    return times(count, async () => {
      const data = { sku: `SKU-${prng.integer(1, 4_999)}`, qty: prng.integer(1, 99), zone: 'A-01' }
      const time = late ? somewhere(prng) : new Date().toISOString()
      await database().append({ time, type: 'pallet.counted', data })
      const began = performance.now()
      await viewOf(view).refresh()
      return performance.now() - began
    })
  },

  /** Bytes on disk of a view, and of the process in memory. */
  sizes: async ({ view }: { readonly view: ViewName }): Promise<Sizes> => {
    const { diskBytes, rows } = await viewOf(view).info()
    return { diskBytes, rows, rssBytes: process.memoryUsage().rss }
  }
}

export type ViewApi = typeof api

export interface Sizes {
  readonly diskBytes: number
  readonly rows: number
  readonly rssBytes: number
}

const VIEWS = {
  quantities,
  handlings: handlings('handlings', VIEW_KEYS),
  one: handlings('one', 1),
  'one-selected': selectedHandlings('one-selected', 1),
  'one-place': places('one-place', 1)
} as const
export type ViewName = keyof typeof VIEWS

interface AskArgument {
  readonly view: ViewName
  readonly count: number
  readonly asOf: boolean
  readonly seed: number
}

interface CatchUpArgument {
  readonly view: ViewName
  readonly count: number
  /** Anywhere in the history; else now. */
  readonly late: boolean
  readonly seed: number
}

const LISTEN = ['/ip4/127.0.0.1/tcp/0']

function somewhere(prng: Prng): string {
  return new Date(HISTORY_END_MS - prng.integer(1, HISTORY_MS)).toISOString()
}

async function times(count: number, once: () => Promise<number>): Promise<readonly number[]> {
  const all: number[] = []
  for (let index = 0; index < count; index += 1) all.push(await once())
  return all
}

function database(): Database {
  if (stock === undefined) throw new Error('the database is not open')
  return stock
}

function viewOf(name: ViewName): View<unknown> {
  const view = views.get(name)
  if (view === undefined) throw new Error(`view ${name} is not built`)
  return view
}

serve(api, async () => {
  await node?.close()
})
