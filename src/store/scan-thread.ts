/**
 * A thread that reads a long scan ahead, beside whoever looks at the events. It has a handle of its own of the same open
 * LevelDB, which ClassicLevel counts: the last one that is closed closes it. The one that opened it owns its cache, so
 * a store closes its threads before itself.
 *
 * Leaves out when a scan is long (`long-scan.ts`) and what the thread does (`scan-worker.js`).
 */

import { availableParallelism } from 'node:os'
import { Worker } from 'node:worker_threads'

import type { PackedRecords } from './event-record.ts'
import { SCAN_BYTES, SCAN_CHUNK, SCAN_MESSAGES_AHEAD, SCAN_THREAD_HEAP } from './limits.ts'

/** What a thread is started with. */
export interface ScanOrder {
  readonly location: string
  /** In a message, at the most. */
  readonly records: number
  /** In a message, about. */
  readonly bytes: number
}

export interface ScanRange {
  /** Inclusive. */
  readonly gte: Uint8Array
  /** Exclusive. */
  readonly lt: Uint8Array
  /** Where the iterator of a chunk is taken to, see `read-chunk.ts`. */
  readonly end: Uint8Array
}

export type ScanCall =
  | ({ readonly type: 'begin' } & ScanRange)
  /** One message more. */
  | { readonly type: 'more' }
  | { readonly type: 'end' }

export type ScanNews =
  | { readonly type: 'open' }
  | { readonly type: 'records'; readonly packed: PackedRecords }
  | { readonly type: 'end' }

/** The threads of a store: one at a time, and one in the whole process, as each keeps a core busy. */
export class ScanThreads {
  readonly #location: string
  #thread: ScanThread | undefined
  #isShut = false

  /** @param location of a LevelDB that is open for threads */
  constructor(location: string) {
    this.#location = location
  }

  /** Undefined where there is no core for one, or one is at work. */
  start(): ScanThread | undefined {
    if (this.#isShut || isTaken || isMissing || availableParallelism() < 2) return undefined
    const thread = startThread(this.#location)
    if (thread === undefined) return undefined
    isTaken = true
    this.#thread = thread
    void thread.gone.then(() => {
      isTaken = false
      this.#thread = undefined
    })
    return thread
  }

  /** Resolves when no thread has the LevelDB open; none is started from now. */
  async close(): Promise<void> {
    this.#isShut = true
    await this.#thread?.close()
  }
}

let isTaken = false
/** As where a program was packed into one file, without that of the thread; or where Node.js may start none. */
let isMissing = false

function startThread(location: string): ScanThread | undefined {
  try {
    return new ScanThread(location)
  } catch {
    isMissing = true
    return undefined
  }
}

export class ScanThread {
  /** Resolves when it has no handle any more, whatever it ended by. */
  readonly gone: Promise<void>
  readonly #worker: Worker
  readonly #packs: PackedRecords[] = []
  #state: 'starting' | 'open' | 'ended' | 'gone' = 'starting'
  #wake: () => void = () => undefined
  #isClosing = false

  constructor(location: string) {
    const order: ScanOrder = { location, records: SCAN_CHUNK, bytes: SCAN_BYTES }
    this.#worker = new Worker(new URL('./scan-worker.js', import.meta.url), {
      workerData: order,
      // What this process was started with may be for its main thread alone.
      execArgv: [],
      resourceLimits: SCAN_THREAD_HEAP
    })
    this.gone = new Promise((resolve) => {
      this.#worker.once('exit', () => {
        if (this.#state !== 'ended') this.#state = 'gone'
        this.#wake()
        resolve()
      })
    })
    this.#worker.on('message', (news: ScanNews) => {
      if (news.type === 'records') this.#packs.push(news.packed)
      else this.#state = news.type === 'open' ? 'open' : 'ended'
      this.#wake()
    })
    // What it could not read is read by whoever started it, who hears of it then.
    this.#worker.on('error', (error) => {
      if ('code' in error && error.code === 'ERR_MODULE_NOT_FOUND') isMissing = true
    })
    // A scan that nobody goes on with does not keep a process that has nothing else to do.
    this.#worker.unref()
  }

  get isOpen(): boolean {
    return this.#state === 'open'
  }

  get isGone(): boolean {
    return this.#state === 'gone'
  }

  /** Of one that is open, once. */
  begin(range: ScanRange): void {
    this.#call({ type: 'begin', ...range })
    for (let count = 0; count < SCAN_MESSAGES_AHEAD; count += 1) this.#call({ type: 'more' })
  }

  /** The next records; undefined when there are no more, or it is gone. */
  async next(): Promise<PackedRecords | undefined> {
    this.#worker.ref()
    while (this.#packs.length === 0 && this.#state === 'open') {
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
    if (!this.#isClosing) this.#worker.unref()
    const packed = this.#packs.shift()
    if (packed !== undefined) this.#call({ type: 'more' })
    return packed
  }

  /** Nothing more is wanted of it. */
  end(): void {
    this.#call({ type: 'end' })
  }

  /** Resolves when it has no handle any more. */
  close(): Promise<void> {
    this.#isClosing = true
    this.end()
    this.#worker.ref()
    return this.gone
  }

  #call(call: ScanCall): void {
    this.#worker.postMessage(call, [])
  }
}
