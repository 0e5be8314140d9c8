/**
 * Where the text of views runs: an engine of its own for each view, with the same beginning.
 *
 * What a text does with an event depends on the text and the event alone, on every node. So its functions find
 * nothing that another call left (`sandbox-prelude.ts`), and what they may take is counted in work and bytes.
 * Batches are for speed: one that stays far below what a single event may take says the same of its events as
 * each of them alone. Otherwise the one where it stopped is called alone, from memory that is set back byte
 * for byte; that answer counts.
 *
 * Left out: what an event and a row are (`script-program.ts`).
 */

import { toHex } from '../core/bytes.ts'
import { passed } from '../core/clock.ts'
import type { Clock, Hasher } from '../core/clock.ts'
import type { Problem } from '../errors.ts'
import type { EngineImage, Stop } from './engine-instance.ts'
import {
  BATCH_CHARS,
  BATCH_EVENTS,
  BATCH_FUEL,
  CALL_DEPTH_BYTES_MAX,
  CALL_FUEL,
  CALL_FUEL_MAX,
  CALL_FUEL_PER_CHAR,
  ENGINE_STACK_BYTES,
  FUEL_DEBT_MAX,
  FUEL_DEBT_RESTED,
  FUEL_REPAID_PER_MS,
  MEAN_FUEL,
  MEAN_FUEL_PER_CHAR,
  SANDBOX_BYTES,
  SANDBOX_BYTES_MAX
} from './limits.ts'
import type { Effort } from './effort.ts'
import { METER_VERSION } from './metered-wasm.ts'
import { ENGINE_SHA256, Engine, EngineError, loadEngineCode } from './quickjs-engine.ts'
import type { CallLimits, EngineValue } from './quickjs-engine.ts'
import { ALL_EVENTS, PRELUDE, PRELUDE_CALLS, SLOTS } from './sandbox-prelude.ts'
import type { WasmCode } from './web-assembly.ts'

/** The texts of functions, by what they are for. */
export type ScriptTexts = Readonly<Partial<Record<keyof typeof SLOTS, string>>>
export type ScriptCall = Exclude<keyof typeof PRELUDE_CALLS, 'adopt'>

/** The engine and how it begins. To be made when the first text is to be run: it takes a tenth of a second. */
export async function loadSandbox(hasher: Hasher, clock: EffortClock): Promise<Sandbox> {
  return new Sandbox(await loadEngineCode(hasher), hasher, clock)
}

/** For rests; it has no part in what functions answer. */
export type EffortClock = Pick<Clock, 'monotonicMs' | 'setTimer'>

export class Sandbox {
  /** Of all that what a text answers depends on, besides the text. */
  readonly version: string
  readonly #code: WasmCode
  readonly #clock: EffortClock
  readonly #engine: Engine
  readonly #calls: EngineValue
  /** Of the place of the event that is being looked at. */
  readonly #placeAt: number
  readonly #image: EngineImage

  constructor(code: WasmCode, hasher: Hasher, clock: EffortClock) {
    const parts = JSON.stringify([ENGINE_SHA256, METER_VERSION, PRELUDE, LIMITS])
    this.version = toHex(hasher.sha256(Buffer.from(parts)))
    this.#code = code
    this.#clock = clock
    this.#engine = new Engine(code)
    this.#placeAt = this.#engine.reserve(PLACE_BYTES)
    const prelude = this.#engine.evaluate(PRELUDE, 'prelude')
    const buffer = this.#engine.bufferOf(this.#placeAt, PLACE_BYTES)
    this.#calls = this.#engine.call(prelude, [buffer])
    this.#image = this.#engine.takeImage()
  }

  /** The functions of a view, or what is wrong with which. */
  compile(texts: ScriptTexts): Script | { readonly problems: readonly Problem[] } {
    const engine = new Engine(this.#code, this.#engine)
    engine.restore(this.#image)
    const problems: Problem[] = []
    for (const [slot, text] of Object.entries(texts)) {
      const detail = this.#adopt(engine, slot as keyof typeof SLOTS, text)
      if (detail !== undefined) problems.push({ pointer: slot, detail })
      if (detail !== undefined) engine.restore(this.#image)
    }
    if (problems.length > 0) return { problems }
    return new Script(engine, { calls: this.#calls, placeAt: this.#placeAt, clock: this.#clock })
  }

  #adopt(engine: Engine, slot: keyof typeof SLOTS, given: string): string | undefined {
    const text = given.trim()
    try {
      const attempt = engine.attempt(alone(text.length), () => {
        const made = engine.evaluate(`(${text}\n)`, 'view')
        const adopt = engine.elementOf(this.#calls, PRELUDE_CALLS.adopt)
        return engine.takeText(
          engine.call(adopt, [engine.number(SLOTS[slot]), made, engine.text(text)])
        )
      })
      if (attempt.type === 'stopped') return STOPPED[attempt.stop]
      return attempt.result === '' ? undefined : attempt.result
    } catch (error) {
      if (!(error instanceof EngineError)) throw error
      return error.line === undefined ? error.message : `line ${error.line}: ${error.message}`
    }
  }
}

/** What is done with events, some at a time. */
export interface EventJob {
  readonly call: ScriptCall
  /** What is given for these events. */
  text(events: readonly string[]): string
  /** What came back for the next so many. */
  take(answer: string, events: number): void
  /** Nothing came back for the next one. */
  fail(fault: string): void
}

export interface ScriptInit {
  readonly calls: EngineValue
  /** Where the engine says which event it is looking at. */
  readonly placeAt: number
  readonly clock: EffortClock
}

/** The functions of one view. */
export class Script {
  readonly effort: Effort
  readonly #engine: Engine
  readonly #calls: EngineValue
  readonly #placeAt: number
  readonly #image: EngineImage
  /** Nothing has run since it was set back. */
  #isFresh = true
  /** The last event that was called alone took more than a batch may. */
  #isWary = false
  /** Events of the next batch: fewer where so many took too much. */
  #batchEvents = BATCH_EVENTS
  readonly #debt: FuelDebt

  constructor(engine: Engine, { calls, placeAt, clock }: ScriptInit) {
    this.#engine = engine
    this.#calls = calls
    this.#placeAt = placeAt
    this.#image = engine.takeImage()
    this.#debt = new FuelDebt(clock)
    this.effort = this.#debt
  }

  /** @param events as JSON */
  run(events: readonly string[], job: EventJob): void {
    let [from, suspect] = [0, -1]
    while (from < events.length) {
      if (this.#debt.isTooMuch) {
        this.#debt.skipped += events.length - from
        for (; from < events.length; from += 1) job.fail(SKIPPED)
      } else if (from === suspect || this.#isWary || isLarge(events[from])) {
        this.#runAlone(events[from] ?? '', job)
        from += 1
      } else {
        const end = suspect > from ? suspect : events.length
        const batch = cut(events, from, Math.min(end, from + this.#batchEvents))
        const stoppedAt = this.#runTogether(batch, job)
        if (stoppedAt === undefined) from += batch.length
        else suspect = from + stoppedAt
      }
    }
  }

  /** For what is not of events. */
  runOnce(
    call: ScriptCall,
    text: string
  ): { readonly answer: string } | { readonly fault: string } {
    let outcome: { answer: string } | { fault: string } = { fault: '' }
    this.run([text], {
      call,
      text: ([given = '']) => given,
      take: (answer) => (outcome = { answer }),
      fail: (fault) => (outcome = { fault })
    })
    return outcome
  }

  /** Undefined, or which of them it was where it stopped. */
  #runTogether(events: readonly string[], job: EventJob): number | undefined {
    const attempt = this.#attempt(TOGETHER, job.call, job.text(events))
    this.#debt.add(attempt.fuel)
    if (attempt.type === 'done') {
      this.#settle(events)
      // Half of what is allowed is enough: the next ones may take more.
      if (attempt.fuel < BATCH_FUEL / 4) {
        this.#batchEvents = Math.min(BATCH_EVENTS, this.#batchEvents * 2)
      }
      job.take(attempt.result, events.length)
      return undefined
    }
    // Where it was all together that took too much, half of them may not.
    const { stoppedAt } = attempt
    const suspect = stoppedAt === ALL_EVENTS ? events.length >> 1 : stoppedAt
    this.#batchEvents = Math.max(1, suspect >> 1)
    return suspect
  }

  #runAlone(event: string, job: EventJob): void {
    if (!this.#isFresh) this.#restore()
    const text = job.text([event])
    const attempt = this.#attempt(alone(text.length), job.call, text)
    this.#debt.add(attempt.fuel)
    this.#settle([event])
    this.#isWary = attempt.type === 'stopped' || attempt.fuel > BATCH_FUEL
    if (attempt.type === 'done') job.take(attempt.result, 1)
    else job.fail(STOPPED[attempt.stop])
  }

  #attempt(limits: CallLimits, call: ScriptCall, text: string): ScriptAttempt {
    const engine = this.#engine
    this.#isFresh = false
    let isSound = false
    try {
      const attempt = engine.attempt(limits, () => {
        const callee = engine.elementOf(this.#calls, PRELUDE_CALLS[call])
        const given = engine.text(text)
        const answer = engine.takeText(engine.call(callee, [given]))
        engine.free(given)
        engine.free(callee)
        return answer
      })
      isSound = attempt.type === 'done'
      if (attempt.type === 'done') return attempt
      return { ...attempt, stoppedAt: engine.wordAt(this.#placeAt) }
    } catch (error) {
      if (!(error instanceof EngineError)) throw error
      return { type: 'stopped', stop: 'text', fuel: 0, stoppedAt: ALL_EVENTS }
    } finally {
      if (!isSound) this.#restore()
    }
  }

  #restore(): void {
    this.#engine.restore(this.#image)
    this.#isFresh = true
  }

  #settle(events: readonly string[]): void {
    const chars = events.reduce((sum, event) => sum + event.length, 0)
    this.#debt.payBack(MEAN_FUEL * events.length + MEAN_FUEL_PER_CHAR * chars)
  }
}

/** What events took beyond what they may on average; paid back by those that take less, and by time. */
class FuelDebt implements Effort {
  skipped = 0
  readonly #clock: EffortClock
  #fuel = 0
  #atMs: number
  /** For one call: nobody else is called meanwhile. */
  #isPatient = false

  constructor(clock: EffortClock) {
    this.#clock = clock
    this.#atMs = clock.monotonicMs()
  }

  get isTooMuch(): boolean {
    return !this.#isPatient && this.#owed() > FUEL_DEBT_MAX
  }

  patiently<T>(call: () => T): T {
    const before = this.#isPatient
    this.#isPatient = true
    try {
      return call()
    } finally {
      this.#isPatient = before
    }
  }

  /** The time in which it was taken pays nothing back. */
  add(fuel: number): void {
    this.#fuel += fuel
    this.#atMs = this.#clock.monotonicMs()
  }

  payBack(fuel: number): void {
    this.#fuel = Math.max(0, this.#fuel - fuel)
  }

  async rest(): Promise<void> {
    for (;;) {
      const beyond = this.#owed() - FUEL_DEBT_RESTED
      if (beyond <= 0) return
      await passed(this.#clock, Math.ceil(beyond / FUEL_REPAID_PER_MS))
    }
  }

  #owed(): number {
    const nowMs = this.#clock.monotonicMs()
    this.payBack((nowMs - this.#atMs) * FUEL_REPAID_PER_MS)
    this.#atMs = nowMs
    return this.#fuel
  }
}

/** Is in no answer, but for one that was asked for while functions rest. */
const SKIPPED =
  'the functions of the view have taken too long for other events: ask again in a while'

type ScriptAttempt =
  | { readonly type: 'done'; readonly result: string; readonly fuel: number }
  | {
      readonly type: 'stopped'
      readonly stop: Stop | 'text'
      readonly fuel: number
      /** The place of an event, or ALL_EVENTS. */
      readonly stoppedAt: number
    }

const PLACE_BYTES = 8

/** All that a stop depends on. */
const LIMITS = [
  CALL_FUEL,
  CALL_FUEL_PER_CHAR,
  CALL_FUEL_MAX,
  CALL_DEPTH_BYTES_MAX,
  ENGINE_STACK_BYTES,
  SANDBOX_BYTES,
  SANDBOX_BYTES_MAX
]

const TOGETHER: CallLimits = {
  fuel: BATCH_FUEL,
  depthBytes: CALL_DEPTH_BYTES_MAX,
  memoryBytes: SANDBOX_BYTES
}

/** @param chars that are given */
function alone(chars: number): CallLimits {
  return {
    fuel: Math.min(CALL_FUEL + CALL_FUEL_PER_CHAR * chars, CALL_FUEL_MAX),
    depthBytes: CALL_DEPTH_BYTES_MAX,
    memoryBytes: SANDBOX_BYTES_MAX
  }
}

const STOPPED: Readonly<Record<Stop | 'text', string>> = {
  fuel: 'takes too long',
  depth: 'calls are nested too deep',
  memory: 'takes too much memory',
  // As JSON that this program reads and the engine does not.
  text: 'what is given cannot be read'
}

/** A batch would be of this event alone, and most often be stopped. */
function isLarge(event = ''): boolean {
  return event.length > BATCH_CHARS
}

function cut(events: readonly string[], from: number, end: number): readonly string[] {
  let to = from
  for (let chars = 0; to < end; to += 1) {
    chars += events[to]?.length ?? 0
    if (chars > BATCH_CHARS && to > from) break
  }
  return events.slice(from, to)
}
