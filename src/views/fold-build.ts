/**
 * Makes the index of a fold from all events, in their order: rows wait in memory until their run ends, so that a
 * build writes few records and reads none. Where very many aggregates are under way at one time, those that have
 * had no event for the longest are written out; what comes to them later is folded in the end (`fold-deferred.ts`).
 */

import { assert, present } from '../core/assert.ts'
import type { Json } from '../core/json.ts'
import { encodeViewKey } from '../core/views/collation.ts'
import { murmur3 } from '../core/views/murmur3.ts'
import type { DerivedChange, DerivedReader } from '../store/derived-store.ts'
import { aggregateBytes } from './fold-aggregates.ts'
import { callPaced } from './effort.ts'
import type { Care } from './effort.ts'
import { FoldChanges } from './fold-changes.ts'
import { foldDeferred } from './fold-deferred.ts'
import { rowsKey } from './fold-records.ts'
import { encodeRows } from './fold-rows.ts'
import { routeEvents } from './fold-routing.ts'
import type { Routed, RoutedEvent } from './fold-routing.ts'
import { FoldUnderWay } from './fold-under-way.ts'
import { nameOfBytes, nameOfKey } from './key-names.ts'
import type { KeyName } from './key-names.ts'
import {
  AGGREGATE_BYTES,
  BUILD_BYTES_MAX,
  BUILD_COUNTED_BYTES,
  BUILD_EVENTS_BYTES,
  BUILD_WRITE_BYTES,
  WRITTEN_OUT_BYTES
} from './limits.ts'
import type { Fault, FoldProgram, Outcome } from './program.ts'
import { readAhead } from './read-ahead.ts'
import { RowBuffers } from './row-buffers.ts'
import { EMPTY_INDEX } from './view-digest.ts'
import type { IndexState, IndexedEvent } from './view-index.ts'

export interface FoldBuildInit {
  readonly program: FoldProgram
  readonly events: AsyncIterable<readonly IndexedEvent[]>
  readonly write: (changes: readonly DerivedChange[]) => Promise<void>
  readonly reader: DerivedReader
  readonly care: Care | undefined
}

export async function buildFold(init: FoldBuildInit): Promise<IndexState> {
  const build = new FoldBuild(init)
  try {
    for await (const events of readAhead(init.events)) await build.add(events)
    return await build.finish()
  } finally {
    await build.written()
  }
}

class FoldBuild {
  readonly #init: FoldBuildInit
  readonly #changes = new FoldChanges(EMPTY_INDEX)
  readonly #buffers = new RowBuffers()
  readonly #underWay = new Map<KeyName, FoldUnderWay>()
  readonly #writtenOut = new WrittenOut()
  #hasDeferred = false
  #writing: Promise<void> = Promise.resolve()
  #turn = 0
  /** Of rows and states, about; and of events since these were counted. */
  #heldBytes = 0
  #eventsBytes = 0

  constructor(init: FoldBuildInit) {
    this.#init = init
  }

  async add(events: readonly IndexedEvent[]): Promise<void> {
    this.#turn += 1
    const { program } = this.#init
    const given = events.map(({ event }) => event)
    const route = (): Routed => routeEvents(program, events, given)
    const { outcomes, events: routed } = callPaced(program, events.length, route)
    for (let index = 0; index < routed.length; index += 1) {
      const outcome = outcomes[index]
      if (outcome !== undefined) this.#addEvent(present(routed[index], 'an event'), outcome)
    }
    const hasSessions = program.begin !== undefined
    if (this.#eventsBytes > (hasSessions ? BUILD_COUNTED_BYTES : BUILD_EVENTS_BYTES)) this.#count()
    const held = this.#heldBytes + this.#underWay.size * AGGREGATE_BYTES
    if (held > BUILD_BYTES_MAX) await this.#writeOut()
    await this.#writeWhenMuch()
  }

  async finish(): Promise<IndexState> {
    for (const underWay of this.#underWay.values()) {
      underWay.writeOut()
      await this.#writeWhenMuch()
    }
    this.#underWay.clear()
    if (this.#hasDeferred) await this.#foldDeferred()
    await this.#write()
    await this.#writing
    return this.#changes.state
  }

  /** Nothing is being written any more. */
  async written(): Promise<void> {
    await this.#writing.catch(() => undefined)
  }

  #addEvent(event: RoutedEvent, outcome: Outcome): void {
    const name = 'value' in outcome ? nameOfKey(outcome.value) : undefined
    let underWay = name === undefined ? undefined : this.#underWay.get(name)
    if (underWay === undefined) {
      const key = keyOf(outcome)
      if ('fault' in key) {
        this.#changes.noteFault(event.place, key.fault, true)
        return
      }
      underWay = this.#underWay.get(key.name)
      if (underWay === undefined) {
        const aggregate = encodeViewKey(key.value)
        if (this.#writtenOut.mayHave(aggregate)) {
          this.#defer(event, aggregate)
          return
        }
        underWay = this.#begin(key.name, aggregate)
      }
    }
    underWay.add(event)
    underWay.turn = this.#turn
    // More than there is when a run has ended: it is counted anew from time to time.
    this.#heldBytes += event.bytes.length
    this.#eventsBytes += event.bytes.length * PARSED_FACTOR + EVENT_BYTES
  }

  #begin(name: KeyName, aggregate: Uint8Array): FoldUnderWay {
    const { program, care } = this.#init
    const [changes, buffers] = [this.#changes, this.#buffers]
    const begun = new FoldUnderWay({ program, changes, buffers, aggregate, care })
    this.#underWay.set(name, begun)
    this.#heldBytes += begun.bytes
    return begun
  }

  /** Lets go of events, and counts what is held. */
  #count(): void {
    this.#heldBytes = this.#eventsBytes = 0
    for (const underWay of this.#underWay.values()) {
      underWay.callWaiting()
      this.#heldBytes += underWay.bytes
    }
  }

  /** The half of all that is held, those that had no event for the longest. */
  async #writeOut(): Promise<void> {
    const oldest = [...this.#underWay].sort(([, a], [, b]) => a.turn - b.turn)
    for (const [name, underWay] of oldest) {
      const held = this.#heldBytes + this.#underWay.size * AGGREGATE_BYTES
      if (held <= BUILD_BYTES_MAX / 2) return
      this.#heldBytes -= underWay.bytes
      underWay.writeOut()
      this.#underWay.delete(name)
      this.#writtenOut.add(underWay.aggregate)
      await this.#writeWhenMuch()
    }
  }

  /** A row of an aggregate that was written out, or may have been: it gets its turn when all rows are there. */
  #defer({ place, recorded, bytes }: RoutedEvent, aggregate: Uint8Array): void {
    this.#hasDeferred = true
    const row = encodeRows([{ place, recorded, bytes, hasFailed: false }])
    this.#changes.put(rowsKey(aggregate, place), row)
  }

  async #foldDeferred(): Promise<void> {
    await this.#write()
    await this.#writing
    await foldDeferred({
      program: this.#init.program,
      care: this.#init.care,
      changes: this.#changes,
      buffers: this.#buffers,
      reader: this.#init.reader,
      writeWhenMuch: () => this.#writeWhenMuch()
    })
  }

  async #writeWhenMuch(): Promise<void> {
    if (this.#changes.bytes > BUILD_WRITE_BYTES) await this.#write()
  }

  /** One batch is written while the next is put together. */
  async #write(): Promise<void> {
    const records = this.#changes.take()
    await this.#writing
    if (records.length === 0) return
    this.#writing = this.#init.write(records)
    // It is awaited before the next one, and fails there.
    this.#writing.catch(() => undefined)
  }
}

interface AggregateKey {
  readonly name: KeyName
  readonly value: Json
}

function keyOf(outcome: Outcome): AggregateKey | Fault {
  const aggregate = aggregateBytes(outcome)
  if ('fault' in aggregate) return aggregate
  assert('value' in outcome, 'what has bytes has a value')
  const { value } = outcome
  return { name: nameOfKey(value) ?? nameOfBytes(aggregate), value }
}

/** Which aggregates were written out: all that were, and a few that were not. */
class WrittenOut {
  #bits = new Uint8Array(0)

  get isEmpty(): boolean {
    return this.#bits.length === 0
  }

  add(aggregate: Uint8Array): void {
    if (this.isEmpty) this.#bits = new Uint8Array(WRITTEN_OUT_BYTES)
    const [at, bit] = this.#bitOf(aggregate)
    this.#bits[at] = (this.#bits[at] ?? 0) | bit
  }

  mayHave(aggregate: Uint8Array): boolean {
    const [at, bit] = this.#bitOf(aggregate)
    return ((this.#bits[at] ?? 0) & bit) !== 0
  }

  #bitOf(aggregate: Uint8Array): [at: number, bit: number] {
    const [hash] = murmur3(aggregate, 0)
    return [(hash >>> 3) % WRITTEN_OUT_BYTES, 1 << (hash & 7)]
  }
}

/** What an event takes as objects: about three times its text, and what is around it. */
const PARSED_FACTOR = 3
const EVENT_BYTES = 500
