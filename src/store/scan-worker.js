/**
 * The thread that reads a long scan ahead, see `scan-thread.ts`: it packs records side by side, each behind its key,
 * into one piece of memory a message. Who reads LevelDB is kept busy by the two Buffers that are made of each record,
 * not by the reading.
 *
 * In JavaScript: Node.js 20 runs no TypeScript in a thread, and tests run the sources.
 */
// @ts-check

import { parentPort, workerData } from 'node:worker_threads'

import { ClassicLevel } from 'classic-level'

/** @type {import('./scan-thread.ts').ScanOrder} */
const { location, records, bytes } = workerData
/** @type {import('./scan-thread.ts').ScanCall[]} */
const calls = []
let wake = () => {}

if (parentPort === null) throw new Error('this is the file of a thread')
const port = parentPort
port.on('message', (/** @type {import('./scan-thread.ts').ScanCall} */ call) => {
  calls.push(call)
  wake()
})

/** @type {ClassicLevel<Buffer, Buffer>} */
const db = new ClassicLevel(location, {
  keyEncoding: 'buffer',
  valueEncoding: 'buffer',
  createIfMissing: false,
  multithreading: true
})
try {
  await db.open()
  say({ type: 'open' })
  const begun = await nextCall()
  if (begun.type === 'begin') await scan(begun)
} finally {
  await db.close()
  port.close()
}

/**
 * As many messages as are asked for, until there are no more records, or none is wanted.
 *
 * @param {import('./scan-thread.ts').ScanRange} range
 */
async function scan(range) {
  const [lt, end] = [Buffer.from(range.lt), Buffer.from(range.end)]
  let gte = Buffer.from(range.gte)
  while ((await nextCall()).type === 'more') {
    const entries = await read({ gte, lt, end })
    const last = entries.at(-1)
    if (last === undefined) {
      say({ type: 'end' })
      return
    }
    gte = Buffer.concat([last[0], Buffer.alloc(1)])
    const packed = pack(entries)
    say({ type: 'records', packed }, [packed.bytes.buffer, packed.ends.buffer])
  }
}

/**
 * Taken to its end as in `read-chunk.ts`: only there an iterator says what it has passed over.
 *
 * @param {{ gte: Buffer, lt: Buffer, end: Buffer }} range
 */
async function read({ gte, lt, end }) {
  const iterator = db.iterator({ gte, lt, highWaterMarkBytes: bytes })
  try {
    const entries = await iterator.nextv(records)
    if (entries.length > 0) {
      iterator.seek(end)
      while ((await iterator.nextv(records)).length > 0);
    }
    return entries
  } finally {
    await iterator.close()
  }
}

/**
 * @param {readonly (readonly [Buffer, Buffer])[]} entries
 * @returns {import('./event-record.ts').PackedRecords}
 */
function pack(entries) {
  let length = 0
  for (const [key, record] of entries) length += key.length + record.length
  const packed = new Uint8Array(length)
  const ends = new Uint32Array(2 * entries.length)
  let at = 0
  for (const [index, [key, record]] of entries.entries()) {
    packed.set(key, at)
    at += key.length
    ends[2 * index] = at
    packed.set(record, at)
    at += record.length
    ends[2 * index + 1] = at
  }
  return { bytes: packed, ends }
}

/** @returns {Promise<import('./scan-thread.ts').ScanCall>} */
async function nextCall() {
  for (;;) {
    const call = calls.shift()
    if (call !== undefined) return call
    await new Promise((/** @type {(value: void) => void} */ resolve) => {
      wake = resolve
    })
  }
}

/**
 * @param {import('./scan-thread.ts').ScanNews} news
 * @param {readonly ArrayBuffer[]} [given]
 */
function say(news, given = []) {
  port.postMessage(news, given)
}
