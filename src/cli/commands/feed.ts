/** `laterbase feed`: the changes feed of a database, one row of JSON a line, as the node wrote it. */

import { Option, type Command } from 'commander'

import type { Log } from '../../node/options.ts'
import { addUrlOption, createCommand, type OpenSession } from '../command.ts'
import { CommandFailure } from '../failure.ts'
import { Backoff, isPassing, lineGroups } from '../live-answer.ts'
import { databasePath, NodeClient, problemFailure, type Problem } from '../node-client.ts'
import { writeOut } from '../terminal.ts'

export function feedCommand(openSession: OpenSession): Command {
  const command = createCommand({
    name: 'feed',
    summary: 'print the changes feed of a database: everything, or from a cursor on, or for ever',
    example:
      'echo \'{"type":"pallet.received","data":{"sku":"4711"}}\' | laterbase append depot\n' +
      'laterbase feed depot --type pallet.received'
  })
  return addUrlOption(command)
    .argument('<db>', 'database')
    .addOption(
      new Option(
        '--lc <cursor>',
        '0, now, a time, or the lc of a row: print what is after'
      ).default('0')
    )
    .addOption(new Option('--live', 'go on with what comes; reconnects by itself').default(false))
    .addOption(new Option('--type <type>', 'only events of this type'))
    .action(async (db: string) => {
      const { log } = openSession(command)
      const options = command.opts<FeedOptions & { url: string }>()
      const node = new NodeClient(options.url, log)
      await follow({ db, node, log }, options)
    })
}

interface FeedOptions {
  readonly lc: string
  readonly live: boolean
  readonly type?: string
}

interface Feed {
  readonly db: string
  readonly node: NodeClient
  readonly log: Log
}

/** @throws CommandFailure when the node refuses, or does not answer the first time */
async function follow(feed: Feed, options: FeedOptions): Promise<void> {
  let lc = options.lc
  const backoff = new Backoff()
  let isFirst = true
  for (;;) {
    try {
      const part = await printPart(feed, { ...options, lc }, (at) => {
        lc = at
        isFirst = false
        backoff.reset()
      })
      if (part === 'whole' && !options.live) return
      if (!options.live) {
        throw new CommandFailure('feed-cut', `the feed was cut: go on with --lc ${lc}`)
      }
      isFirst = false
    } catch (error) {
      if (isFirst || !options.live || !isPassing(error)) throw error
      feed.log('warn', 'the feed was cut; trying again', { lc, wait_ms: backoff.ms })
    }
    await backoff.wait()
  }
}

/**
 * Prints what one connection brings.
 *
 * @param moved told where the reader is
 */
async function printPart(
  { db, node }: Feed,
  { lc, live, type }: FeedOptions,
  moved: (lc: string) => void
): Promise<'whole' | 'cut'> {
  const query = new URLSearchParams({ feed: 'continuous', lc })
  if (type !== undefined) query.set('type', type)
  // Ends as soon as there is nothing more.
  if (!live) query.set('timeout', '0')
  const response = await node.open(databasePath(db, `/e?${query.toString()}`))
  moved(response.headers.get('laterbase-lc') ?? lc)
  let isWhole = false
  for await (const lines of lineGroups(response)) {
    let rows = ''
    let last: string | undefined
    let problem: Problem | undefined
    for (const line of lines) {
      const isRow = line.startsWith('{"lc":')
      if (isRow) rows += `${line}\n`
      if (isRow || line.startsWith('{"last_lc":')) {
        last = line
        isWhole = !isRow
      }
      if (line.startsWith('{"error":')) problem = (JSON.parse(line) as { error: Problem }).error
    }
    if (rows !== '') await writeOut(rows)
    const cursor = last === undefined ? undefined : cursorOf(last)
    if (cursor !== undefined) moved(cursor)
    if (problem !== undefined) throw problemFailure(problem)
  }
  return isWhole ? 'whole' : 'cut'
}

/** The cursor of a row or of a mark, without a parse of the event. */
function cursorOf(line: string): string | undefined {
  const text = /^\{"(?:last_)?lc":("(?:[^"\\]|\\.)*")/.exec(line)?.[1]
  return text === undefined ? undefined : (JSON.parse(text) as string)
}
