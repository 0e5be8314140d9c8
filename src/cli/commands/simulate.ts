/**
 * `laterbase simulate`: several real nodes, cut and healed, watched; or, with `--deterministic`, whole
 * nodes on simulated disks, links and clocks, from a seed. The programs are in `scripts`.
 */

import { randomInt } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { extname } from 'node:path'

import { InvalidArgumentError, Option, type Command } from 'commander'

import { createCommand, integerWithin, numberWithin, type OpenSession } from '../command.ts'
import { CommandFailure } from '../failure.ts'
import { hasColours, type Terminal } from '../terminal.ts'

export function simulateCommand(openSession: OpenSession): Command {
  const command = createCommand({
    name: 'simulate',
    summary:
      'run several real nodes on this machine, cut one off, go on writing, heal, and see them ' +
      'become equal; exit 0 only when they are and nothing is missing',
    example: 'laterbase simulate --nodes 4 --seconds 20 --faults partition,kill'
  })
  return command
    .addOption(new Option('--nodes <n>', 'nodes').default(4).argParser(integerWithin(2, 32)))
    .addOption(
      new Option('--seconds <n>', 'seconds of writing')
        .default(15)
        .argParser(numberWithin(1, 86_400))
    )
    .addOption(
      new Option('--minutes <n>', 'minutes of writing, in place of --seconds').argParser(
        numberWithin(0.01, 1_440)
      )
    )
    .addOption(
      new Option('--rate <n>', 'events a second, all nodes together')
        .default(100)
        .argParser(numberWithin(1, 20_000))
    )
    .addOption(
      new Option('--seed <n>', 'the same seed writes the same events').argParser(
        integerWithin(0, SEED_MAX)
      )
    )
    .addOption(
      new Option('--faults <list>', 'partition, kill, both with a comma, or none')
        .default('partition')
        .argParser(checkedFaults)
    )
    .addOption(new Option('--no-mdns', 'introduce the nodes to each other by address'))
    .addOption(new Option('--keep', "keep the nodes' data directories").default(false))
    .addOption(new Option('--report <file>', 'write the report to a .md or .json file'))
    .addOption(
      new Option(
        '--deterministic',
        'in place of real processes: one process, simulated disks, links and clocks, and every fault ' +
          'that --seed draws; of the options only --seed counts'
      ).default(false)
    )
    .action(async () => {
      const { terminal } = openSession(command)
      const options = command.opts<SimulateOptions>()
      if (options.deterministic)
        await simulateFromSeed(options.seed ?? randomInt(SEED_MAX), terminal)
      else await simulate(options, terminal)
    })
}

interface SimulateOptions {
  readonly nodes: number
  readonly seconds: number
  readonly minutes?: number
  readonly rate: number
  readonly seed?: number
  readonly faults: string
  readonly mdns: boolean
  readonly keep: boolean
  readonly report?: string
  readonly deterministic: boolean
}

async function simulate(options: SimulateOptions, terminal: Terminal): Promise<void> {
  const { nodes, minutes, rate, mdns, keep, report: file } = options
  const [{ runSimulation }, { createShow }, { reportMarkdown }] = await Promise.all([
    import('../../../scripts/simulate/simulation.ts'),
    import('../../../scripts/simulate/show.ts'),
    import('../../../scripts/simulate/report.ts')
  ])
  const interrupt = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.once(signal, () => {
      interrupt.abort(
        new CommandFailure('interrupted', 'interrupted; nodes and directories are gone')
      )
    })
  }
  const show = createShow({
    form: terminal.json ? 'json' : process.stdout.isTTY ? 'picture' : 'lines',
    colours: hasColours(process.stdout),
    write: (text) => process.stdout.write(text),
    columns: () => process.stdout.columns || 100
  })
  const report = await runSimulation(
    {
      nodes,
      seconds: minutes === undefined ? options.seconds : minutes * 60,
      rate,
      seed: options.seed ?? randomInt(SEED_MAX),
      faults: faultsOf(options.faults),
      mdns,
      keep
    },
    show,
    interrupt.signal
  )
  if (file !== undefined) {
    const json = extname(file) === '.json'
    await writeFile(
      file,
      json ? `${JSON.stringify(report, undefined, 2)}\n` : reportMarkdown(report)
    )
  }
  if (report.passed) return
  throw new CommandFailure('simulation-failed', report.failures.join('; '))
}

/** The same seed is the same run, on any machine. */
async function simulateFromSeed(seed: number, terminal: Terminal): Promise<void> {
  const { formatLine, simulateSeed, Violation } =
    await import('../../../scripts/simulate/deterministic/simulate.ts')
  const say = (text: string, value: object): void => {
    process.stdout.write(`${terminal.json ? JSON.stringify(value) : text}\n`)
  }
  try {
    const report = await simulateSeed(seed, {
      tell: (line) => {
        const { atMs, who, what, detail } = line
        say(formatLine(line), { event: 'moment', at_ms: Math.round(atMs), who, what, detail })
      }
    })
    const { events, traceHash } = report
    say(
      `\nseed ${seed}: ${events} acknowledged events are on all boxes; trace ${traceHash.slice(0, 16)}`,
      { event: 'report', passed: true, ...report }
    )
  } catch (error) {
    if (!(error instanceof Violation)) throw error
    throw new CommandFailure('simulation-failed', error.message)
  }
}

const SEED_MAX = 2 ** 32 - 1
const FAULTS = ['partition', 'kill'] as const

function faultsOf(text: string): readonly (typeof FAULTS)[number][] {
  const names = text.split(',').map((name) => name.trim())
  return FAULTS.filter((fault) => names.includes(fault))
}

function checkedFaults(text: string): string {
  const known: readonly string[] = [...FAULTS, 'none', '']
  const unknown = text.split(',').find((name) => !known.includes(name.trim()))
  if (unknown === undefined) return text
  throw new InvalidArgumentError(`'${unknown}' is no fault; there are partition, kill, none.`)
}
