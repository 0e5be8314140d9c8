/** What a simulation found: the report as a value, as text for a terminal, as Markdown. */

export interface SimulationOptions {
  readonly nodes: number
  /** Of writing; meeting, becoming equal and checking come on top. */
  readonly seconds: number
  /** Events a second, all nodes together. */
  readonly rate: number
  readonly seed: number
  readonly faults: readonly Fault[]
  readonly mdns: boolean
  readonly keep: boolean
}

export type Fault = 'partition' | 'kill'

export interface SimulationReport {
  readonly passed: boolean
  /** In words; empty when passed. */
  readonly failures: readonly string[]
  readonly options: SimulationOptions
  /** How the nodes found each other. */
  readonly met: 'mdns' | 'address'
  readonly nodes: readonly NodeReport[]
  readonly rounds: readonly RoundReport[]
  readonly events: EventCounts
  readonly timeline: readonly Moment[]
  readonly totalMs: number
  /** The nodes' data directories, when they were kept. */
  readonly folder?: string
}

export interface NodeReport {
  readonly name: string
  readonly events: number
  readonly own: number
  readonly digest: string | undefined
  /** Acknowledged events that the node does not have. */
  readonly missing: number
}

export interface RoundReport {
  readonly cutOff: string | undefined
  readonly killed: string | undefined
  /** From healing, or from the last write, to equal digests; undefined when it did not come. */
  readonly equalMs: number | undefined
}

export interface EventCounts {
  /** Distinct events that were acknowledged. */
  readonly acknowledged: number
  readonly backdated: number
  /** Scans with a natural key that were posted on two nodes. */
  readonly postedTwice: number
  /** Answers that said: there already. */
  readonly duplicates: number
  /** Asked of a process that was killed before it answered: written or not. */
  readonly unanswered: number
}

export interface Moment {
  readonly atMs: number
  readonly text: string
}

export function reportLines(report: SimulationReport): readonly string[] {
  const { events, nodes, rounds, totalMs, folder, passed, failures, options } = report
  const width = Math.max(...nodes.map(({ name }) => name.length))
  return [
    ...nodes.map(({ name, events, own, digest = 'no database', missing }) => {
      const lacks = missing > 0 ? `, ${missing} acknowledged events missing` : ''
      return `  ${name.padEnd(width)}  ${digest}  ${whole(events)} events, ${whole(own)} of its own${lacks}`
    }),
    ...rounds.map((round, at) => {
      const number = rounds.length > 1 ? `round ${at + 1}: ` : ''
      return `  ${number}${roundText(round)}`
    }),
    `  ${eventsText(events)}`,
    `  ${(totalMs / 1000).toFixed(1)} s in all; seed ${options.seed} writes the same events again`,
    ...(folder === undefined ? [] : [`  kept: ${folder}`]),
    passed
      ? `All ${nodes.length} nodes are equal, and nothing that was acknowledged is missing.`
      : `FAILED: ${failures.join('; ')}`
  ]
}

export function reportMarkdown(report: SimulationReport): string {
  const { options, nodes, rounds, events, timeline, passed, failures, met } = report
  const faults = options.faults.join(', ') || 'none'
  const verdict = passed ? 'equal, nothing missing' : `failed: ${failures.join('; ')}`
  return [
    '# Laterbase simulation',
    '',
    `**${verdict}**`,
    '',
    `${options.nodes} nodes, met by ${met}; ${options.seconds} s of writing at ` +
      `${options.rate} events/s; faults: ${faults}; seed ${options.seed}.`,
    '',
    eventsText(events),
    '',
    '| node | events | own | digest | missing |',
    '| --- | ---: | ---: | --- | ---: |',
    ...nodes.map(
      ({ name, events, own, digest = '', missing }) =>
        `| ${name} | ${whole(events)} | ${whole(own)} | \`${digest}\` | ${missing} |`
    ),
    '',
    ...rounds.map((round, at) => `${at + 1}. ${roundText(round)}`),
    '',
    '| s | what |',
    '| ---: | --- |',
    ...timeline.map(({ atMs, text }) => `| ${(atMs / 1000).toFixed(1)} | ${text} |`),
    ''
  ].join('\n')
}

/** `1,234`. */
export function whole(value: number): string {
  return value.toLocaleString('en-US')
}

export function secondsText(ms: number): string {
  return ms < 10_000 ? `${(ms / 1000).toFixed(2)} s` : `${(ms / 1000).toFixed(1)} s`
}

function roundText({ cutOff, killed, equalMs }: RoundReport): string {
  const faults = [
    cutOff === undefined ? '' : `${cutOff} cut off and healed`,
    killed === undefined ? '' : `${killed} killed and restarted`
  ].filter(Boolean)
  const since = cutOff === undefined ? 'the last write' : 'healing'
  const outcome =
    equalMs === undefined ? 'never equal' : `equal ${secondsText(equalMs)} after ${since}`
  return [...faults, outcome].join(', ')
}

function eventsText(events: EventCounts): string {
  const { acknowledged, backdated, postedTwice, duplicates, unanswered } = events
  const parts = [
    `${whole(acknowledged)} events acknowledged`,
    `${whole(backdated)} of them backdated`,
    `${whole(postedTwice)} posted on two nodes (${whole(duplicates)} answered as duplicates)`,
    unanswered > 0 ? `${whole(unanswered)} unanswered by a killed process` : ''
  ]
  return parts.filter(Boolean).join(', ')
}
