/** `laterbase view`: the rows of a view, or with `--follow` as they change. */

import { Option, type Command } from 'commander'

import type { Log } from '../../node/options.ts'
import { addUrlOption, createCommand, integerWithin, type OpenSession } from '../command.ts'
import { VIEW_POLL_MS } from '../limits.ts'
import { Backoff, isPassing, lineGroups } from '../live-answer.ts'
import { NodeClient, type Problem, problemFailure, viewPath } from '../node-client.ts'
import { counted, type Terminal } from '../terminal.ts'
import { type Change, changeLines, type Row, rowLines } from '../view-rows.ts'

export function viewCommand(openSession: OpenSession): Command {
  const command = createCommand({
    name: 'view',
    summary: 'ask a view: all of its rows, one key, a range; also as of a time',
    example:
      'laterbase view depot stock --group\n' +
      'laterbase view depot stock --key A1 --as-of 2026-11-02T08:00:00Z --explain'
  })
  return addUrlOption(addQueryOptions(command))
    .addOption(new Option('--follow', 'go on with rows as they change').default(false))
    .argument('<db>', 'database')
    .argument('<view>', 'view')
    .action(async (db: string, view: string) => {
      const { terminal, log } = openSession(command)
      const options = command.opts<QueryOptions & { url: string; follow: boolean }>()
      const asked = { db, view, node: new NodeClient(options.url, log), terminal, log }
      await (options.follow ? follow(asked) : show(asked, parametersOf(options)))
    })
}

const KEY = 'JSON, or a text that is none'

function addQueryOptions(command: Command): Command {
  return command
    .addOption(new Option('--key <key>', `rows of this key: ${KEY}`))
    .addOption(new Option('--startkey <key>', `rows from this key on: ${KEY}`))
    .addOption(new Option('--endkey <key>', `rows up to this key: ${KEY}`))
    .addOption(new Option('--group', 'a row for each key').default(false))
    .addOption(
      new Option('--group-level <n>', 'a row for each beginning of n elements').argParser(
        integerWithin(0, Number.MAX_SAFE_INTEGER)
      )
    )
    .addOption(new Option('--no-reduce', 'the rows that a reduce is made of'))
    .addOption(new Option('--descending', 'from the last key to the first').default(false))
    .addOption(
      new Option('--limit <n>', 'so many rows at the most').argParser(
        integerWithin(0, Number.MAX_SAFE_INTEGER)
      )
    )
    .addOption(new Option('--as-of <time>', 'only what had happened by then'))
    .addOption(new Option('--known-at <time>', 'only what had been recorded by then'))
    .addOption(new Option('--explain', 'each row with the events that made it').default(false))
}

interface QueryOptions {
  readonly key?: string
  readonly startkey?: string
  readonly endkey?: string
  readonly group: boolean
  readonly groupLevel?: number
  readonly reduce: boolean
  readonly descending: boolean
  readonly limit?: number
  readonly asOf?: string
  readonly knownAt?: string
  readonly explain: boolean
}

function parametersOf(options: QueryOptions): string {
  const { key, startkey, endkey, group, groupLevel, reduce, descending, limit } = options
  const parameters = new URLSearchParams()
  const set = (name: string, value: string | number | undefined): void => {
    if (value !== undefined) parameters.set(name, String(value))
  }
  set('key', asJson(key))
  set('startkey', asJson(startkey))
  set('endkey', asJson(endkey))
  if (group) set('group', 'true')
  set('group_level', groupLevel)
  if (!reduce) set('reduce', 'false')
  if (descending) set('descending', 'true')
  set('limit', limit)
  set('as_of', options.asOf)
  set('known_at', options.knownAt)
  if (options.explain) set('explain', 'true')
  return parameters.size === 0 ? '' : `?${parameters.toString()}`
}

/** Quotes within quotes are too much to ask of a shell's user. */
function asJson(text: string | undefined): string | undefined {
  if (text === undefined) return undefined
  try {
    JSON.parse(text)
    return text
  } catch {
    return JSON.stringify(text)
  }
}

interface Asked {
  readonly db: string
  readonly view: string
  readonly node: NodeClient
  readonly terminal: Terminal
  readonly log: Log
}

interface Answer {
  readonly rows: readonly Row[]
  readonly lc: string
  /** Of events, and of rows, which say why. */
  readonly faults?: number
  readonly differs?: readonly string[]
}

async function show(asked: Asked, parameters: string): Promise<void> {
  const { db, terminal } = asked
  const { rows, faults = 0, differs = [] } = await answerOf(asked, parameters)
  for (const row of rows) terminal.value(row)
  if (rows.length === 0) terminal.note('No rows.')
  else for (const line of rowLines(rows, terminal)) terminal.line(line)
  if (differs.length > 0) {
    terminal.note(
      `It differs from that of ${differs.join(', ')}, for the same events: one of the two is wrong. See laterbase status`
    )
  }
  const missing = faults - rows.filter(({ fault }) => fault !== undefined).length
  if (missing === 0) return
  const events = counted(missing, 'event')
  terminal.note(
    `Its functions failed for ${events}, which ${missing === 1 ? 'is' : 'are'} not in it: see laterbase views ${db}`
  )
}

/** Waits for a view that is being built. @throws CommandFailure */
async function answerOf({ db, view, node, terminal }: Asked, parameters: string): Promise<Answer> {
  for (;;) {
    const response = await node.send(viewPath(db, view, parameters))
    if (response.ok) {
      terminal.clearProgress()
      return (await response.json()) as Answer
    }
    const problem: BuildingProblem = await node.problemOf(response)
    if (problem.code !== 'view-building') throw problemFailure(problem)
    const { done = 0, total = 0 } = problem.progress ?? {}
    const part = total === 0 ? '' : `, ${Math.floor((100 * done) / total)} %`
    terminal.progress(`${view} of ${db} is being built${part}`)
    await new Promise((resolve) => {
      setTimeout(resolve, VIEW_POLL_MS)
    })
  }
}

interface BuildingProblem extends Problem {
  readonly progress?: { readonly done: number; readonly total: number }
}

/** @throws CommandFailure when the node refuses, or does not answer the first time */
async function follow(asked: Asked): Promise<void> {
  const backoff = new Backoff()
  let isFirst = true
  for (;;) {
    try {
      await printChanges(asked, () => {
        if (!isFirst) asked.terminal.note(GAP)
        isFirst = false
        backoff.reset()
      })
    } catch (error) {
      if (isFirst || !isPassing(error)) throw error
      asked.log('warn', 'the feed was cut; trying again', { wait_ms: backoff.ms })
    }
    await backoff.wait()
  }
}

const GAP =
  'The feed was cut and goes on: what changed meanwhile is in the view, and not shown here.'

/** @param started told when changes from then on are shown */
async function printChanges(
  { db, view, node, terminal }: Asked,
  started: () => void
): Promise<void> {
  const response = await node.open(viewPath(db, view, '?feed=eventsource'))
  let event = ''
  for await (const lines of lineGroups(response)) {
    for (const line of lines) {
      if (line.startsWith('event: ')) event = line.slice('event: '.length)
      if (!line.startsWith('data: ')) continue
      const json = line.slice('data: '.length)
      if (event === 'problem') throw problemFailure(JSON.parse(json) as Problem)
      if (event === 'start') started()
      else printChange(JSON.parse(json) as Change, terminal)
    }
  }
}

function printChange(change: Change, terminal: Terminal): void {
  terminal.value(change)
  for (const line of changeLines(change, terminal)) terminal.line(line)
}
