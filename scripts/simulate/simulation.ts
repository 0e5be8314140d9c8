/**
 * The simulation: real nodes meet, write together, one is cut off (and one killed, if wanted) while
 * all go on writing, it heals, and they become equal. Then every acknowledged event is looked for
 * on every node. Says what happens to a `Show`, and cleans up whatever happens.
 */

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'

import { Fleet, type NodeView } from './fleet.ts'
import type {
  Moment,
  NodeReport,
  RoundReport,
  SimulationOptions,
  SimulationReport
} from './report.ts'
import { secondsText, whole } from './report.ts'
import type { Show } from './show.ts'
import { Writer } from './writer.ts'

/**
 * @param signal ends it; processes and directories are gone when this rejects
 * @throws `signal.reason`, or why the nodes could not be started
 */
export async function runSimulation(
  options: SimulationOptions,
  show: Show,
  signal: AbortSignal
): Promise<SimulationReport> {
  const folder = await mkdtemp(join(tmpdir(), 'laterbase-simulate-'))
  const fleet = new Fleet(folder, options)
  const simulation = new Simulation(options, { fleet, show, signal, folder })
  let isWhole = false
  // Whatever is waited for ends with the processes.
  const onAbort = (): void => void fleet.close({ inGoodOrder: false })
  signal.addEventListener('abort', onAbort, { once: true })
  try {
    signal.throwIfAborted()
    const report = await simulation.run()
    isWhole = true
    show.report(report)
    return report
  } catch (error) {
    signal.throwIfAborted()
    throw error
  } finally {
    signal.removeEventListener('abort', onAbort)
    await fleet.close({ inGoodOrder: isWhole })
    if (!options.keep) await rm(folder, { recursive: true, force: true })
  }
}

/** For nodes to find each other by mDNS before they are introduced, ms; it takes some hundred. */
const MEET_MS_MAX = 15_000
/** For a new database to appear everywhere, ms. */
const SPREAD_MS_MAX = 30_000
/** For all digests to be equal after the last write, ms; it takes a second or two. */
const EQUAL_MS_MAX = 120_000
/** Between two looks at all nodes, ms. */
const LOOK_MS = 200
/** The same while the moment of equality is awaited. */
const CLOSE_LOOK_MS = 25
/** A long simulation is cut and healed about so often, s. */
const ROUND_SECONDS = 45
/** Keys of one question to a node. */
const KEYS_A_QUESTION = 2_000

interface Scene {
  readonly fleet: Fleet
  readonly show: Show
  readonly signal: AbortSignal
  readonly folder: string
}

class Simulation {
  readonly #options: SimulationOptions
  readonly #fleet: Fleet
  readonly #show: Show
  readonly #signal: AbortSignal
  readonly #folder: string
  readonly #startMs = performance.now()
  readonly #timeline: Moment[] = []
  readonly #rounds: RoundReport[] = []
  #met: SimulationReport['met'] = 'mdns'

  constructor(options: SimulationOptions, { fleet, show, signal, folder }: Scene) {
    this.#options = options
    this.#fleet = fleet
    this.#show = show
    this.#signal = signal
    this.#folder = folder
  }

  async run(): Promise<SimulationReport> {
    const { nodes, seconds, rate, seed } = this.#options
    this.#say(`seed ${seed}: starting ${nodes} nodes`)
    await Promise.all(Array.from({ length: nodes }, (_each, at) => this.#fleet.start(at)))
    this.#signal.throwIfAborted()
    await this.#meet()
    const writer = new Writer(this.#fleet, { rate, seed })
    const watch = new AbortController()
    const watching = this.#watch(watch.signal)
    try {
      const rounds = Math.max(1, Math.round(seconds / ROUND_SECONDS))
      for (let round = 0; round < rounds; round++) {
        await this.#round(round, (seconds * 1000) / rounds, writer)
      }
    } finally {
      watch.abort()
      await watching
    }
    return this.#check(writer)
  }

  async #meet(): Promise<void> {
    const areMet = (views: readonly NodeView[]): boolean =>
      views.every(({ peers }) => peers >= views.length - 1)
    const isFound =
      this.#options.mdns && (await this.#lookUntil(areMet, MEET_MS_MAX, LOOK_MS)) !== undefined
    if (!isFound) {
      if (this.#options.mdns)
        this.#say('mDNS found nobody here; the nodes are introduced by address')
      this.#met = 'address'
      await this.#fleet.introduceAll()
      if ((await this.#lookUntil(areMet, MEET_MS_MAX, LOOK_MS)) === undefined) {
        throw new Error('the nodes did not connect to each other')
      }
    }
    this.#say(`all have met, ${isFound ? 'by mDNS' : 'by address'}; node-1 makes the database`)
    await this.#fleet.process(0).order({ type: 'create-database' })
    const isEverywhere = await this.#lookUntil(
      (views) => views.every(({ digest }) => digest !== undefined),
      SPREAD_MS_MAX,
      LOOK_MS
    )
    if (isEverywhere === undefined) throw new Error('the database did not appear on every node')
  }

  /** Together, then apart, then healed, then equal. */
  async #round(round: number, ms: number, writer: Writer): Promise<void> {
    const { faults, nodes } = this.#options
    const cut = faults.includes('partition') ? nodes - 1 - (round % nodes) : undefined
    const victim = faults.includes('kill')
      ? (round + (cut === round % nodes ? 1 : 0)) % nodes
      : undefined
    this.#say('all nodes write')
    await writer.writeFor(ms * 0.4, this.#signal)
    if (cut !== undefined) {
      await this.#fleet.cutOff(cut)
      this.#say(`${this.#fleet.name(cut)} is cut off; both sides go on writing`)
    }
    await writer.writeFor(ms * 0.2, this.#signal)
    if (victim !== undefined) {
      await this.#fleet.kill(victim)
      this.#say(`${this.#fleet.name(victim)} is killed (kill -9); the others go on`)
    }
    await writer.writeFor(ms * 0.2, this.#signal)
    await Promise.all([this.#restart(victim), writer.writeFor(ms * 0.2, this.#signal)])
    await writer.drain()
    const healedMs = performance.now()
    if (cut !== undefined) {
      this.#say(`${this.#fleet.name(cut)} is healed; nobody writes`)
      await this.#fleet.heal(cut)
    } else this.#say('nobody writes any more')
    const equalMs = await this.#awaitEqual(
      healedMs,
      cut === undefined ? 'the last write' : 'healing'
    )
    const nameOf = (at: number | undefined): string | undefined =>
      at === undefined ? undefined : this.#fleet.name(at)
    this.#rounds.push({ cutOff: nameOf(cut), killed: nameOf(victim), equalMs })
  }

  async #restart(victim: number | undefined): Promise<void> {
    if (victim === undefined) return
    await this.#fleet.start(victim)
    this.#say(`${this.#fleet.name(victim)} is back`)
  }

  async #awaitEqual(sinceMs: number, since: string): Promise<number | undefined> {
    const atMs = await this.#lookUntil(areEqual, EQUAL_MS_MAX, CLOSE_LOOK_MS)
    if (atMs === undefined) {
      this.#say(`not equal within ${secondsText(EQUAL_MS_MAX)}`)
      return undefined
    }
    const afterMs = Math.round(atMs - sinceMs)
    const text = `all digests are equal, ${secondsText(afterMs)} after ${since}`
    this.#show.equal(this.#elapsedMs(), afterMs, text)
    this.#timeline.push({ atMs: this.#elapsedMs(), text })
    return afterMs
  }

  /** When `isDone` was first seen to hold; undefined after `msMax`. */
  async #lookUntil(
    isDone: (views: readonly NodeView[]) => boolean,
    msMax: number,
    intervalMs: number
  ): Promise<number | undefined> {
    const untilMs = performance.now() + msMax
    for (;;) {
      const views = await this.#fleet.views()
      this.#show.look(this.#elapsedMs(), views)
      if (isDone(views)) return performance.now()
      if (performance.now() > untilMs) return undefined
      await delay(intervalMs, undefined, { signal: this.#signal })
    }
  }

  /** Shows how far the nodes are until `signal`, while something else decides what happens. */
  async #watch(signal: AbortSignal): Promise<void> {
    while (!signal.aborted && !this.#signal.aborted) {
      const views = await this.#fleet.views().catch(() => undefined)
      if (views !== undefined && !signal.aborted) this.#show.look(this.#elapsedMs(), views)
      await delay(LOOK_MS, undefined, { signal }).catch(() => undefined)
    }
  }

  async #check(writer: Writer): Promise<SimulationReport> {
    this.#signal.throwIfAborted()
    const keys = [...writer.acknowledged]
    const events = writer.counts()
    this.#say(`looking for ${whole(keys.length)} acknowledged events on every node`)
    const views = await this.#fleet.views()
    const nodes: NodeReport[] = []
    const failures = this.#rounds.some(({ equalMs }) => equalMs === undefined)
      ? ['the nodes did not become equal']
      : []
    for (const [at, { name, events: held, own, digest }] of views.entries()) {
      const missing = await this.#missing(at, keys)
      nodes.push({ name, events: held, own, digest, missing: missing.length })
      if (missing.length > 0) {
        failures.push(
          `${name} misses ${whole(missing.length)} acknowledged events, ${missing[0]} first`
        )
      }
      // What a killed process was asked last may be there without an acknowledgement, nothing else.
      const surplus = held - keys.length
      if (surplus < 0 || surplus > events.unanswered) {
        failures.push(`${name} holds ${whole(held)} events for ${whole(keys.length)} acknowledged`)
      }
    }
    if (!areEqual(views)) failures.push('digests differ')
    return {
      passed: failures.length === 0,
      failures,
      options: this.#options,
      met: this.#met,
      nodes,
      rounds: this.#rounds,
      events,
      timeline: this.#timeline,
      totalMs: this.#elapsedMs(),
      ...(this.#options.keep && { folder: this.#folder })
    }
  }

  async #missing(at: number, keys: readonly string[]): Promise<readonly string[]> {
    const missing: string[] = []
    for (let start = 0; start < keys.length; start += KEYS_A_QUESTION) {
      this.#signal.throwIfAborted()
      const asked = keys.slice(start, start + KEYS_A_QUESTION)
      missing.push(...(await this.#fleet.process(at).order({ type: 'missing', keys: asked })))
    }
    return missing
  }

  #say(text: string): void {
    this.#timeline.push({ atMs: this.#elapsedMs(), text })
    this.#show.moment(this.#elapsedMs(), text)
  }

  #elapsedMs(): number {
    return Math.round(performance.now() - this.#startMs)
  }
}

function areEqual(views: readonly NodeView[]): boolean {
  const [first] = views
  return views.every(
    ({ digest, events, state }) =>
      state === 'up' && digest !== undefined && digest === first?.digest && events === first.events
  )
}
