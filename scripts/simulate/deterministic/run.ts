/** What one simulated run consists of, and its trace: who did what, and when. */

import type { Box } from './box.ts'
import type { Ledger } from './ledger.ts'
import type { SimNetwork } from './network.ts'
import type { WanderingReader } from './reader.ts'
import type { Coverage } from './coverage.ts'
import type { Settings } from './settings.ts'
import type { Waiting } from './viewers.ts'
import type { World } from './world.ts'

export const DATABASES = ['stock', 'scans', 'weights'] as const

export interface SimRun {
  readonly seed: number
  readonly settings: Settings
  readonly world: World
  readonly ledger: Ledger
  readonly network: SimNetwork
  /** Grows when one is cloned. */
  readonly boxes: Box[]
  readonly databases: readonly string[]
  /** One for each database. */
  readonly wanderers: ReadonlyMap<string, WanderingReader>
  /** By database, keys of some events that it has. */
  readonly known: Map<string, string[]>
  readonly coverage: Coverage
  /** What clients of views wait for. */
  readonly waiting: Set<Waiting>
  /** Comparisons and pages after healing, for measurement. */
  readonly exchanges: number[]
  readonly trace: TraceLine[]
  readonly progress: {
    /** How many events were made up: each has its number in it. */
    offers: number
    /** Databases in which somebody has defined a view for all. */
    readonly told: Set<string>
    /** No fault begins any more. */
    isHealing: boolean
  }
  /** Told of each line as it is written. */
  readonly tell: (line: TraceLine) => void
}

export interface TraceLine {
  readonly atMs: number
  readonly who: string
  readonly what: string
  readonly detail: string
}

export function note(run: SimRun, who: string, what: string, detail = ''): void {
  const line = { atMs: run.world.nowMs, who, what, detail }
  run.trace.push(line)
  run.tell(line)
}

export function formatLine({ atMs, who, what, detail }: TraceLine): string {
  const at = `${(atMs / 1_000).toFixed(3).padStart(9)} s`
  return `${at}  ${who.padEnd(8)}  ${what.padEnd(14)}  ${detail}`.trimEnd()
}
