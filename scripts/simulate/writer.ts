/**
 * Those who work in the warehouse: posts the workload on all nodes, each event on one of them, some
 * scans on two, and remembers every key that a node acknowledged.
 */

import { setTimeout as delay } from 'node:timers/promises'

import type { EventInput } from '../../src/node/laterbase.ts'
import type { Fleet } from './fleet.ts'
import { NodeGone } from './node-process.ts'
import { createPrng, type Prng } from './prng.ts'
import type { EventCounts } from './report.ts'
import { warehouseWorkload } from './workload.ts'

/** How often those who write take up their scanners, ms. */
const TICK_MS = 50
/** Events of one commit at most: a node that was slow catches up in larger ones. */
const BATCH_EVENTS_MAX = 500
/** Events waiting for one node at most; beyond it the wanted rate is out of reach, and is not kept. */
const QUEUE_EVENTS_MAX = 20_000
/** Share of the scans with a natural key that a second box posts too. */
const POSTED_TWICE_SHARE = 0.5
/** An event that happened so long before it is posted counts as backdated, ms. */
const BACKDATED_MS = 1_800_000

export class Writer {
  /** Keys of acknowledged events. */
  readonly acknowledged = new Set<string>()
  readonly #fleet: Fleet
  readonly #rate: number
  readonly #workload: Generator<EventInput, never>
  readonly #prng: Prng
  readonly #queues: readonly EventInput[][]
  readonly #sending: (Promise<void> | undefined)[] = []
  readonly #counts = { backdated: 0, postedTwice: 0, duplicates: 0, unanswered: 0 }
  #failure: unknown

  constructor(fleet: Fleet, options: { readonly rate: number; readonly seed: number }) {
    const { rate, seed } = options
    this.#fleet = fleet
    this.#rate = rate
    this.#workload = warehouseWorkload(seed, { startMs: Date.now(), stepMs: 1000 / rate })
    this.#prng = createPrng(seed ^ 0x5eed)
    this.#queues = Array.from({ length: fleet.size }, () => [])
  }

  counts(): EventCounts {
    return { acknowledged: this.acknowledged.size, ...this.#counts }
  }

  /** Writes at the wanted rate for `ms`. @throws `signal.reason`, and what a node refused */
  async writeFor(ms: number, signal: AbortSignal): Promise<void> {
    const startMs = performance.now()
    let posted = 0
    for (;;) {
      const elapsedMs = Math.min(performance.now() - startMs, ms)
      for (const due = Math.floor((elapsedMs * this.#rate) / 1000); posted < due; posted++) {
        this.#post(this.#workload.next().value)
      }
      this.#flush()
      if (elapsedMs >= ms) return
      await delay(Math.min(TICK_MS, ms - elapsedMs), undefined, { signal })
      if (this.#failure !== undefined) throw this.#failure
    }
  }

  /** Resolves when everything that was posted is answered. */
  async drain(): Promise<void> {
    for (;;) {
      this.#flush()
      const sending = this.#sending.filter((each) => each !== undefined)
      if (sending.length === 0) break
      await Promise.all(sending)
    }
    if (this.#failure !== undefined) throw this.#failure
  }

  #post(event: EventInput): void {
    const first = this.#prng.integer(0, this.#fleet.size - 1)
    const isTwice = event.source !== undefined && this.#prng.fraction() < POSTED_TWICE_SHARE
    const second = first + this.#prng.integer(1, this.#fleet.size - 1)
    if (Date.now() - Date.parse(event.time ?? '') > BACKDATED_MS) this.#counts.backdated++
    this.#enqueue(first, event)
    if (!isTwice) return
    this.#counts.postedTwice++
    this.#enqueue(second, event)
  }

  /** On this node, or on the next one that runs. */
  #enqueue(wanted: number, event: EventInput): void {
    for (let step = 0; step < this.#fleet.size; step++) {
      const at = (wanted + step) % this.#fleet.size
      if (!this.#fleet.isRunning(at)) continue
      const queue = this.#queues[at]
      if (queue !== undefined && queue.length < QUEUE_EVENTS_MAX) queue.push(event)
      return
    }
  }

  #flush(): void {
    for (const [at, queue] of this.#queues.entries()) {
      if (queue.length === 0 || this.#sending[at] !== undefined) continue
      if (!this.#fleet.isRunning(at)) {
        // Its queue is posted elsewhere: whoever stands before a dead box walks to the next.
        for (const event of queue.splice(0)) this.#enqueue(at, event)
        continue
      }
      this.#sending[at] = this.#send(at, queue.splice(0, BATCH_EVENTS_MAX)).finally(() => {
        this.#sending[at] = undefined
      })
    }
  }

  async #send(at: number, events: readonly EventInput[]): Promise<void> {
    try {
      const answers = await this.#fleet.process(at).order({ type: 'append', events })
      for (const { key, isDuplicate } of answers) {
        this.acknowledged.add(key)
        if (isDuplicate) this.#counts.duplicates++
      }
    } catch (error) {
      if (error instanceof NodeGone) this.#counts.unanswered += events.length
      else this.#failure ??= error
    }
  }
}
