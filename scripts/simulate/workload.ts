/**
 * A warehouse at work, as events: pallets received, moved, picked, loaded, counted. A pure function
 * of its seed and options; benchmarks use it too. Leaves out who posts what where.
 *
 * An event is some 200 bytes of JSON. About a fifth are backdated by hours or days, as when paper
 * is keyed in later; about an eighth are scans with a natural key, which two boxes may both post.
 */

import type { EventInput, Json } from '../../src/node/laterbase.ts'
import { createPrng, type Prng } from './prng.ts'

export interface WorkloadOptions {
  /** Wall time of the first event, ms since 1970; default 2026-01-05T05:00Z. */
  readonly startMs?: number
  /** Mean time from one event to the next, ms; default 250. */
  readonly stepMs?: number
  /** Share of events that happened hours or days before they are written. */
  readonly backdatedShare?: number
  /** Share of events with a `source` and an `id`. */
  readonly naturalShare?: number
}

/** Endless. The same seed and options give the same events. */
export function* warehouseWorkload(
  seed: number,
  options: WorkloadOptions = {}
): Generator<EventInput, never> {
  const { startMs = START_MS, stepMs = 250, backdatedShare = 0.2, naturalShare = 0.125 } = options
  const prng = createPrng(seed)
  const yard = new Yard(prng)
  let nowMs = startMs
  for (let number = 1; ; number++) {
    nowMs += stepMs * 2 * prng.fraction()
    const lateMs = prng.fraction() < backdatedShare ? delayMs(prng) : 0
    const { type, subject, data } = yard.work()
    const event = { time: new Date(nowMs - lateMs).toISOString(), type, subject, data }
    const isScan = prng.fraction() < naturalShare
    yield isScan ? { ...event, source: scanner(prng), id: `scan-${seed}-${number}` } : event
  }
}

/** The first `count` events of the workload. */
export function warehouseEvents(
  seed: number,
  count: number,
  options: WorkloadOptions = {}
): readonly EventInput[] {
  const workload = warehouseWorkload(seed, options)
  return Array.from({ length: count }, () => workload.next().value)
}

const START_MS = Date.UTC(2026, 0, 5, 5)
const HOUR_MS = 3_600_000
/** Pallets that the yard remembers; then they are loaded rather than received. */
const PALLETS_MAX = 2_000
const ZONES = ['A', 'B', 'C', 'D', 'COLD', 'DOCK']
const GS1_PREFIX = '4012345'

interface Pallet {
  readonly sscc: string
  readonly sku: string
  qty: number
  zone: string
}

interface Work {
  readonly type: string
  readonly subject: string
  readonly data: Json
}

/** What is in the warehouse now: no pallet moves before it was received. */
class Yard {
  readonly #prng: Prng
  readonly #pallets: Pallet[] = []
  #received: number

  constructor(prng: Prng) {
    this.#prng = prng
    this.#received = prng.integer(0, 999_999)
  }

  work(): Work {
    const chance = this.#prng.fraction()
    const pallet = this.#prng.pick(this.#pallets)
    if (pallet === undefined) return this.#receive()
    if (this.#pallets.length >= PALLETS_MAX) return this.#load(pallet)
    if (chance < 0.3) return this.#receive()
    if (chance < 0.6) return this.#move(pallet)
    if (chance < 0.8) return this.#pick(pallet)
    if (chance < 0.92) return this.#load(pallet)
    return this.#count(pallet)
  }

  #receive(): Work {
    const pallet = {
      sscc: sscc(this.#received++),
      sku: `SKU-${String(this.#prng.integer(1, 4_999)).padStart(5, '0')}`,
      qty: this.#prng.integer(8, 96),
      zone: zone(this.#prng)
    }
    this.#pallets.push(pallet)
    return record('received', pallet, {
      gate: this.#prng.integer(1, 12),
      operator: this.#operator()
    })
  }

  #move(pallet: Pallet): Work {
    const from = pallet.zone
    pallet.zone = zone(this.#prng)
    return record('moved', pallet, { from, operator: this.#operator() })
  }

  #pick(pallet: Pallet): Work {
    const picked = Math.min(pallet.qty, this.#prng.integer(1, 12))
    pallet.qty -= picked
    if (pallet.qty === 0) this.#forget(pallet)
    return record('picked', pallet, { picked, order: `SO-${this.#prng.integer(10_000, 99_999)}` })
  }

  #load(pallet: Pallet): Work {
    this.#forget(pallet)
    return record('loaded', pallet, { truck: `TRUCK-${this.#prng.integer(1, 40)}` })
  }

  #count(pallet: Pallet): Work {
    // Now and then a count finds what nobody wrote down.
    if (this.#prng.fraction() < 0.1) pallet.qty = Math.max(1, pallet.qty - 1)
    return record('counted', pallet, { operator: this.#operator() })
  }

  #forget(pallet: Pallet): void {
    const at = this.#pallets.indexOf(pallet)
    const last = this.#pallets.pop()
    if (last !== undefined && last !== pallet) this.#pallets[at] = last
  }

  #operator(): string {
    return `op-${this.#prng.integer(1, 30)}`
  }
}

function record(
  verb: string,
  { sscc, sku, qty, zone }: Pallet,
  more: Readonly<Record<string, string | number>>
): Work {
  return { type: `pallet.${verb}`, subject: sscc, data: { sscc, sku, qty, zone, ...more } }
}

/** Mostly hours, now and then days. */
function delayMs(prng: Prng): number {
  const hours = prng.fraction() < 0.7 ? 1 + 11 * prng.fraction() : 24 + 240 * prng.fraction()
  return Math.round(hours * HOUR_MS)
}

function zone(prng: Prng): string {
  return `${prng.pick(ZONES) ?? 'A'}-${prng.integer(1, 40)}-${prng.integer(1, 6)}`
}

function scanner(prng: Prng): string {
  return `urn:depot:scanner:${prng.integer(1, 9)}`
}

/** GS1 General Specifications §7.9: 17 digits, and a check digit with weights 3 and 1. */
function sscc(serial: number): string {
  const digits = `3${GS1_PREFIX}${String(serial).padStart(9, '0')}`
  let sum = 0
  for (let at = 0; at < digits.length; at++) sum += Number(digits[at]) * (at % 2 === 0 ? 3 : 1)
  return digits + String((10 - (sum % 10)) % 10)
}
