/**
 * The child process of the raw limits: the same bytes through ClassicLevel and TCP and nothing
 * else. Same tuning of LevelDB as the product has; no envelope, no log, no chain, no signature.
 */

import { once } from 'node:events'
import { connect, createServer } from 'node:net'
import type { AddressInfo, Server, Socket } from 'node:net'

import { openLevel } from '../../src/store/open-level.ts'
import type { Level } from '../../src/store/open-level.ts'
import { SCAN_BYTES, SCAN_CHUNK } from '../../src/store/limits.ts'
import { RECORD_KEY_BYTES, RECORD_KIND, historyEvents, liveEvents, rawEvents } from './events.ts'
import type { RawEvents } from './events.ts'
import type { AppendArgument } from './node-process.ts'
import { emitQuantity } from './view-functions.ts'
import type { Handled } from './view-functions.ts'
import { costSince, serve } from './serve.ts'
import type { Cost } from './serve.ts'

let level: Level | undefined
let server: Server | undefined
/** Chained batches are the fastest way to write; arrays cost the main thread ten times as much. */
let batchKind: 'chained' | 'array' = 'chained'

const api = {
  open: async ({ dir, arrays }: { dir: string; arrays?: boolean }): Promise<void> => {
    level = await openLevel(dir, true)
    batchKind = arrays === true ? 'array' : 'chained'
  },

  /** As `append` of the node: synced puts, a group commit, or synced batches; events a second. */
  append: async (argument: AppendArgument): Promise<number> => {
    const { seed, warmUp, count, writers, batch } = argument
    const write = batch > 1 ? writeBatches : writers > 1 ? writeGrouped : writeSingly
    await write(rawEvents(liveEvents(seed + 1, warmUp), warmUp), argument)
    const events = rawEvents(liveEvents(seed, count), count)
    const cost = costSince()
    await write(events, argument)
    return (count / cost().ms) * 1_000
  },

  fill: async ({ seed, count }: { seed: number; count: number }): Promise<void> => {
    const argument = { seed, count, warmUp: 0, writers: 1, batch: 1_000 }
    await writeBatches(rawEvents(historyEvents(seed, count), count), argument)
  },

  /** Scans the whole store, parses each event and calls a view's function; events a second. */
  mapAll: async (): Promise<number> => {
    const cost = costSince()
    let [events, rows] = [0, 0]
    const iterator = db().iterator({ valueEncoding: 'utf8', highWaterMarkBytes: SCAN_BYTES })
    for (;;) {
      const entries = await iterator.nextv(SCAN_CHUNK)
      if (entries.length === 0) break
      for (const [, value] of entries as unknown as [Buffer, string][]) {
        events += 1
        emitQuantity(JSON.parse(value) as { data: Handled }, () => {
          rows += 1
        })
      }
    }
    await iterator.close()
    if (rows !== events) throw new Error('each event makes a row')
    return (events / cost().ms) * 1_000
  },

  /** Sends the whole store to whoever connects; the port. */
  listen: async (): Promise<number> => {
    server = createServer({ noDelay: true }, (socket) => {
      socket.on('error', (error) => console.error(`raw sender: ${error.message}`))
      void sendAll(socket)
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    return (server.address() as AddressInfo).port
  },

  /** Takes everything from there, and writes it. */
  replicate: async (argument: { port: number; count: number }): Promise<Cost> => {
    const cost = costSince()
    const taken = await takeAll(argument.port)
    if (taken !== argument.count) throw new Error(`${taken} of ${argument.count} events came`)
    return cost()
  }
}

export type RawApi = typeof api

function db(): Level {
  if (level === undefined) throw new Error('the store is not open')
  return level
}

async function writeSingly(events: RawEvents): Promise<void> {
  for (let index = 0; index < events.count; index += 1) {
    await db().put(events.key(index), events.value(index), { sync: true })
  }
}

async function writeBatches(events: RawEvents, { batch }: AppendArgument): Promise<void> {
  for (let at = 0; at < events.count; at += batch) {
    const end = Math.min(at + batch, events.count)
    const synced = newBatch()
    for (let index = at; index < end; index += 1) synced.put(events.key(index), events.value(index))
    await synced.write()
  }
}

interface SyncedBatch {
  put(key: Buffer, value: Buffer): void
  size(): number
  write(): Promise<void>
}

function newBatch(): SyncedBatch {
  if (batchKind === 'array') {
    const puts: { type: 'put'; key: Buffer; value: Buffer }[] = []
    return {
      put: (key, value) => puts.push({ type: 'put', key, value }),
      size: () => puts.length,
      write: () => db().batch(puts, { sync: true })
    }
  }
  const chained = db().batch()
  return {
    put: (key, value) => chained.put(key, value),
    size: () => chained.length,
    write: () => chained.write({ sync: true })
  }
}

/** Writers that each await their event, and one synced batch in flight with all that wait. */
async function writeGrouped(events: RawEvents, { writers }: AppendArgument): Promise<void> {
  let waiting: { readonly index: number; readonly done: () => void }[] = []
  let running: Promise<void> | undefined
  const run = async (): Promise<void> => {
    await Promise.resolve()
    while (waiting.length > 0) {
      const group = waiting
      waiting = []
      const synced = newBatch()
      for (const { index } of group) synced.put(events.key(index), events.value(index))
      await synced.write()
      for (const { done } of group) done()
    }
    running = undefined
  }
  let next = 0
  const write = async (): Promise<void> => {
    while (next < events.count) {
      const index = next
      next += 1
      await new Promise<void>((done) => {
        waiting.push({ index, done })
        running ??= run()
      })
    }
  }
  await Promise.all(Array.from({ length: writers }, write))
}

/** key (16 bytes), length of the value (2 bytes), value; one write a chunk of the scan. */
async function sendAll(socket: Socket): Promise<void> {
  const iterator = db().iterator({ highWaterMarkBytes: SCAN_BYTES })
  try {
    for (;;) {
      const entries = await iterator.nextv(SCAN_CHUNK)
      if (entries.length === 0) break
      let length = 0
      for (const [, value] of entries) length += FRAME_HEADER_BYTES + value.length
      const chunk = Buffer.allocUnsafe(length)
      let at = 0
      for (const [key, value] of entries) {
        chunk.set(key.subarray(1), at)
        chunk.writeUInt16BE(value.length, at + 16)
        chunk.set(value, at + FRAME_HEADER_BYTES)
        at += FRAME_HEADER_BYTES + value.length
      }
      if (!socket.write(chunk)) await once(socket, 'drain')
    }
    socket.end()
  } finally {
    await iterator.close()
  }
}

/** Writes what has come while the next comes, in batches of about a page, one in flight. */
async function takeAll(port: number): Promise<number> {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true })
  let [rest, taken]: [Buffer, number] = [Buffer.alloc(0), 0]
  let writing = Promise.resolve()
  let batch = newBatch()
  let bytes = 0
  for await (const chunk of socket as AsyncIterable<Buffer>) {
    rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk])
    let at = 0
    while (rest.length - at >= FRAME_HEADER_BYTES) {
      const end = at + FRAME_HEADER_BYTES + rest.readUInt16BE(at + 16)
      if (end > rest.length) break
      batch.put(recordKey(rest.subarray(at, at + 16)), rest.subarray(at + FRAME_HEADER_BYTES, end))
      at = end
    }
    bytes += at
    rest = rest.subarray(at)
    if (bytes < SCAN_BYTES) continue
    taken += batch.size()
    await writing
    writing = batch.write()
    batch = newBatch()
    bytes = 0
  }
  await writing
  taken += batch.size()
  await batch.write()
  return taken
}

const FRAME_HEADER_BYTES = 18
function recordKey(key: Uint8Array): Buffer {
  const bytes = Buffer.allocUnsafe(RECORD_KEY_BYTES)
  bytes[0] = RECORD_KIND
  bytes.set(key, 1)
  return bytes
}

serve(api, async () => {
  server?.close()
  await level?.close()
})
