/** Runs one seed to a report or a violation, and makes a violation as small as it can. */

import { createHash } from 'node:crypto'

import type { Finding } from './ledger.ts'
import { formatLine } from './run.ts'
import type { SimRun, TraceLine } from './run.ts'
import { newRun, play } from './scenario.ts'
import { chooseSettings, presentFaults, without } from './settings.ts'
import type { Settings } from './settings.ts'

export { formatLine }

export interface SimReport {
  readonly seed: number
  readonly settings: Settings
  /** Events acknowledged that no wiped disk took with it. */
  readonly events: number
  readonly lines: number
  /** Comparisons and pages until all were equal. */
  readonly exchanges: readonly number[]
  /** Equal for two runs of one seed. */
  readonly traceHash: string
}

/** A run that broke an invariant; the message has all that is needed to see it again. */
export class Violation extends Error {
  readonly finding: Finding
  readonly #run: SimRun

  constructor(run: SimRun, finding: Finding) {
    super(`seed ${run.seed}: ${finding.invariant}: ${finding.detail}`)
    this.finding = finding
    this.#run = run
  }

  get settings(): Settings {
    return this.#run.settings
  }

  get trace(): readonly TraceLine[] {
    return this.#run.trace
  }
}

/** @throws Violation */
export async function simulateSeed(
  seed: number,
  options: {
    readonly settings?: Partial<Settings>
    readonly tell?: (line: TraceLine) => void
  } = {}
): Promise<SimReport> {
  const settings = { ...chooseSettings(seed), ...options.settings }
  const run = newRun(seed, settings, options.tell)
  const lost = (reason: unknown): void => {
    run.ledger.violate('unexpected-failure', `nobody waits for what fails: ${String(reason)}`)
  }
  process.on('unhandledRejection', lost)
  try {
    await play(run)
  } finally {
    process.off('unhandledRejection', lost)
  }
  const [finding] = run.ledger.findings
  if (finding !== undefined) throw new Violation(run, finding)
  const events = [...run.ledger.acknowledged.values()].reduce((sum, ids) => sum + ids.size, 0)
  const counts = { events, lines: run.trace.length, exchanges: run.exchanges }
  return { seed, settings, ...counts, traceHash: hashOf(run) }
}

/** What happened, when, in which order; all that was sent; what was drawn; and what came of it. */
function hashOf({ trace, world, network, boxes, databases }: SimRun): string {
  const hash = createHash('sha256')
  for (const line of trace) hash.update(`${line.atMs} ${formatLine(line)}\n`)
  hash.update(`${world.entries} ${world.print} ${world.nowMs} ${world.prng.fraction()}\n`)
  const { compare, page, views } = network.requests
  hash.update(`${compare} ${page} ${views}\n`)
  hash.update(network.sent.digest())
  for (const box of boxes) {
    for (const name of databases) {
      hash.update(
        `${box.name} ${name} ${box.database(name)?.digest()} ${box.disk.view(name)?.print()}\n`
      )
    }
  }
  return hash.digest('hex')
}

/**
 * A smaller run of the same seed that breaks the same invariant: fewer steps, then fewer boxes, then
 * one fault after the other switched off. Chances differ from run to run, so that it is a search.
 *
 * @param nowMs real time, for `withinMs`
 */
export async function shrink(
  seed: number,
  violation: Violation,
  budget: { readonly withinMs: number; readonly nowMs: () => number }
): Promise<Violation> {
  const deadlineMs = budget.nowMs() + budget.withinMs
  let smallest = violation
  for (let round = 1; round <= ROUNDS_MAX; round += 1) {
    const before = smallest
    for (const settings of smaller(smallest.settings)) {
      if (budget.nowMs() > deadlineMs) return smallest
      const found = await tryAgain(seed, settings)
      if (found?.finding.invariant !== violation.finding.invariant) continue
      smallest = found
      break
    }
    if (smallest === before) return smallest
  }
  return smallest
}

const ROUNDS_MAX = 60

function* smaller(settings: Settings): Generator<Settings> {
  const { steps, boxes, databases, lies } = settings
  for (const share of [0.25, 0.5, 0.8, 0.95]) {
    const fewer = Math.floor(steps * share)
    if (fewer < steps && fewer > 0) yield { ...settings, steps: fewer }
  }
  for (let fewer = 2; fewer < boxes; fewer += 1) yield { ...settings, boxes: fewer }
  for (let fewer = 1; fewer < databases; fewer += 1) yield { ...settings, databases: fewer }
  for (const name of presentFaults(settings)) yield without(settings, name)
  if (lies.length > 1) for (const lie of lies) yield { ...settings, lies: [lie] }
}

async function tryAgain(seed: number, settings: Settings): Promise<Violation | undefined> {
  try {
    await simulateSeed(seed, { settings })
    return undefined
  } catch (error) {
    if (error instanceof Violation) return error
    throw error
  }
}

/** In full: what broke, how to see it again, what the run was like, and what happened. */
export function describeViolation(
  violation: Violation,
  about: { readonly commit: string; readonly seed: number }
): string {
  const { finding, settings, trace } = violation
  const { seed, commit } = about
  const drawn = chooseSettings(seed)
  const changed = Object.entries(settings).filter(
    ([name, value]) => JSON.stringify(value) !== JSON.stringify(Reflect.get(drawn, name))
  )
  const shown = trace.slice(-TRACE_LINES_MAX)
  const left = trace.length - shown.length
  const smaller = `SETTINGS='${JSON.stringify(Object.fromEntries(changed))}' `
  return [
    violation.message,
    `invariant  ${finding.invariant}`,
    `commit     ${commit}`,
    `settings   ${JSON.stringify(settings)}`,
    `replay     SEED=${seed} npm run sim`,
    ...(changed.length > 0 ? [`smaller    SEED=${seed} ${smaller}npm run sim`] : []),
    '',
    ...(left > 0 ? [`… ${left} lines before`] : []),
    ...shown.map(formatLine)
  ].join('\n')
}

const TRACE_LINES_MAX = 80
