/**
 * How much of the fleet runs: `quick` with every `npm test`, `ci` on every submission, `campaign`
 * before a release. `FLEET` chooses; `SEED` replays one seed.
 */

export interface Sizes {
  /** Runs of wiped, restored and cloned boxes. */
  readonly lossSeeds: number
  /** Nodes that start within one second. */
  readonly crowd: number
  /** Nodes and events of the partitions, and nodes of the same in memory. */
  readonly partitionNodes: number
  readonly partitionEvents: number
  readonly simulatedNodes: number
  readonly simulatedEvents: number
  readonly soakMinutes: number
  /** Rounds of clocks that jump. */
  readonly clockRounds: number
}

const ALL = {
  quick: {
    lossSeeds: 0,
    crowd: 0,
    partitionNodes: 0,
    partitionEvents: 0,
    simulatedNodes: 0,
    simulatedEvents: 0,
    soakMinutes: 0,
    clockRounds: 0
  },
  ci: {
    lossSeeds: 3,
    crowd: 16,
    partitionNodes: 12,
    partitionEvents: 1_200,
    simulatedNodes: 50,
    simulatedEvents: 600,
    soakMinutes: 5,
    clockRounds: 2
  },
  campaign: {
    lossSeeds: 50,
    crowd: 30,
    partitionNodes: 50,
    partitionEvents: 10_000,
    simulatedNodes: 50,
    simulatedEvents: 10_000,
    soakMinutes: 30,
    clockRounds: 20
  }
} as const satisfies Record<string, Sizes>

export const SIZES: Sizes = ALL[(process.env['FLEET'] ?? 'quick') as keyof typeof ALL] ?? ALL.quick

/** Seeds of a suite: the one that was asked for, or so many from `FIRST_SEED`. */
export function seeds(count: number): readonly number[] {
  const one = process.env['SEED']
  if (one !== undefined) return [Number(one)]
  const first = Number(process.env['FIRST_SEED'] ?? 1)
  return Array.from({ length: count }, (_, index) => first + index)
}

/** One line a row of the figures, for whoever reads the run. */
export function report(row: string, figures: Readonly<Record<string, string | number>>): void {
  const said = Object.entries(figures).map(([name, value]) => `${name} ${value}`)
  process.stdout.write(`fleet ${row}: ${said.join(', ')}\n`)
}
