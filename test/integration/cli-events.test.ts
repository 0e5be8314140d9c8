/** Writing and reading events through the command line, against a real node's process. */

import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface, type Interface } from 'node:readline'

import { afterAll, assert, beforeAll, test } from 'vitest'

import { REFUSALS_SHOWN_MAX } from '../../src/cli/limits.ts'
import { buildCli } from '../fixtures/build.ts'
import {
  type CliOptions,
  type CliResult,
  jsonLines,
  type RunningNode,
  runCli,
  scratch,
  spawnCli,
  startNode
} from '../fixtures/cli.ts'

let folder: Awaited<ReturnType<typeof scratch>>
let node: RunningNode
let databases = 0

beforeAll(async () => {
  await buildCli()
  folder = await scratch()
  node = await startNode(join(folder.path, 'node'))
}, 180_000)

afterAll(async () => {
  await node[Symbol.asyncDispose]()
  await folder[Symbol.asyncDispose]()
})

interface Row {
  readonly lc: string
  readonly key: string
  readonly event: Readonly<Record<string, unknown>>
}

/** One of its own for each test: they share a node, not its contents. */
function newDatabase(): string {
  databases++
  return `depot-${databases}`
}

function cli(args: readonly string[], options: CliOptions = {}): Promise<CliResult> {
  return runCli([...args, '--url', node.url], options)
}

test('append makes the database, writes a file, and feed gives the events back in order', async () => {
  const db = newDatabase()
  const file = join(folder.path, 'events.ndjson')
  const events = [1, 2, 3].map((qty) => ({ type: 'pallet.received', data: { qty } }))
  await writeFile(file, events.map((event) => JSON.stringify(event)).join('\n'))
  const written = await cli(['append', db, file])
  assert.equal(written.code, 0)
  assert.equal(written.stdout, `${db}: 3 events written\n`)
  assert.equal(written.stderr, `Made the database ${db}.\n`)

  const rows = jsonLines<Row>(await cli(['feed', db]))
  assert.deepEqual(
    rows.map(({ event }) => event['data']),
    events.map(({ data }) => data)
  )
})

test('append reads standard input and fills in time, type and subject', async () => {
  const db = newDatabase()
  const time = '2026-01-05T06:10:00.000Z'
  const args = ['append', db, '--time', time, '--type', 't', '--subject', 's', '--json']
  const written = await cli(args, { input: '[{"data":1},{"data":2,"type":"own"}]' })
  const [summary] = jsonLines<Record<string, unknown>>(written)
  assert.deepInclude(summary, { db, created: 2, duplicates: 0, rejected: 0 })
  const rows = jsonLines<Row>(await cli(['feed', db]))
  assert.deepEqual(
    rows.map(({ event }) => [event['time'], event['type'], event['subject']]),
    [
      [time, 't', 's'],
      [time, 'own', 's']
    ]
  )
})

test('an input that is appended again writes only what is missing', async () => {
  const db = newDatabase()
  const scan = (id: number): string =>
    JSON.stringify({ source: 'scanner/7', id: `${id}`, time: '2026-01-05T06:10:00Z', data: id })
  await cli(['append', db], { input: [scan(1), scan(2)].join('\n') })
  const again = await cli(['append', db], { input: [scan(1), scan(2), scan(3)].join('\n') })
  assert.equal(again.stdout, `${db}: 1 event written, 2 already there\n`)
})

test('a number that would be rounded is refused in its line, and what came before is written', async () => {
  const db = newDatabase()
  const group = Array.from({ length: 1_000 }, (_each, at) => `{"data":${at}}`)
  const input = [...group, '{"data":340123450000000017}'].join('\n')
  const refused = await cli(['append', db], { input })
  assert.equal(refused.code, 1)
  assert.match(refused.stderr, /line 1001: \/data 340123450000000017.*1,000 events before it/)
  assert.lengthOf(jsonLines(await cli(['feed', db])), 1_000)
})

test('append --proceed writes what is good and exits 1', async () => {
  const db = newDatabase()
  const input = '{"data":1}\n{"dat":2}\n{"data":3}\n'
  const written = await cli(['append', db, '--proceed', '--json'], { input })
  assert.equal(written.code, 1)
  const [summary] = jsonLines<{ created: number; refusals: { line: number }[] }>(written)
  assert.equal(summary?.created, 2)
  assert.deepEqual(
    summary?.refusals.map(({ line }) => line),
    [2]
  )
})

test('of very many refused events the first are described, and all are counted', async () => {
  const input = '{"dat":1}\n'.repeat(REFUSALS_SHOWN_MAX + 5)
  const written = await cli(['append', newDatabase(), '--proceed', '--json'], { input })
  const [summary] = jsonLines<{ rejected: number; refusals: { line: number }[] }>(written)
  assert.equal(summary?.rejected, REFUSALS_SHOWN_MAX + 5)
  assert.lengthOf(summary?.refusals ?? [], REFUSALS_SHOWN_MAX)
})

test('more events than one request takes are all written', async () => {
  const db = newDatabase()
  const input = Array.from({ length: 25_000 }, (_each, at) => `{"data":${at}}\n`).join('')
  const written = await cli(['append', db], { input })
  assert.equal(written.stdout, `${db}: 25,000 events written\n`)
  assert.lengthOf(jsonLines(await cli(['feed', db])), 25_000)
})

test('a slow input is written as it comes', async () => {
  const db = newDatabase()
  await cli(['append', db], { input: '' })
  const live = await spawnCli(['feed', db, '--live', '--lc', '0', '--url', node.url])
  const slow = await spawnCli(['append', db, '--url', node.url])
  try {
    const rows = createInterface({ input: live.stdout })
    for (const data of [1, 2]) {
      const next = nextData(rows)
      slow.stdin.write(`{"data":${data}}
`)
      assert.equal(await next, data)
    }
    const ended = once(slow, 'close') as Promise<[number]>
    slow.stdin.end()
    assert.equal((await ended)[0], 0)
  } finally {
    live.kill('SIGKILL')
    slow.kill('SIGKILL')
  }
})

test('feed goes on after a cursor, and gives only the wanted type', async () => {
  const db = newDatabase()
  const input = ['a', 'b', 'a'].map((type, at) => JSON.stringify({ type, data: at })).join('\n')
  await cli(['append', db], { input })
  const all = jsonLines<Row>(await cli(['feed', db]))
  const later = jsonLines<Row>(await cli(['feed', db, '--lc', all[0]?.lc ?? '']))
  assert.deepEqual(later, all.slice(1))
  const typed = jsonLines<Row>(await cli(['feed', db, '--type', 'a']))
  assert.deepEqual(
    typed.map(({ key }) => key),
    [all[0]?.key, all[2]?.key]
  )
  const none = await cli(['feed', db, '--lc', 'now'])
  assert.deepEqual([none.code, none.stdout], [0, ''])
})

test('a live feed of a database that is not there ends with that', async () => {
  const { code, stderr } = await cli(['feed', 'nowhere', '--live'])
  assert.equal(code, 1)
  assert.match(stderr, /\(database-unknown\)\n$/)
})

test('a live feed goes on, without a gap or a repeat, when its node is restarted', async () => {
  await using own = await scratch()
  const dir = join(own.path, 'a')
  const before = await startNode(dir)
  const write = (data: number, url: string): Promise<CliResult> =>
    runCli(['append', 'depot', '--url', url], { input: JSON.stringify({ data }) })
  await write(1, before.url)
  const follower = await spawnCli(['feed', 'depot', '--live', '--url', before.url])
  try {
    const rows = createInterface({ input: follower.stdout })
    assert.equal(await nextData(rows), 1)
    await before.end('SIGKILL')
    await using after = await startNode(dir, ['--http', new URL(before.url).host])
    const next = nextData(rows)
    await write(2, after.url)
    assert.equal(await next, 2)
  } finally {
    follower.kill('SIGKILL')
    await before[Symbol.asyncDispose]()
  }
})

async function nextData(rows: Interface): Promise<unknown> {
  const [line] = (await once(rows, 'line')) as [string]
  return (JSON.parse(line) as Row).event['data']
}

test('get reads events by key and exits 1 when one is not there', async () => {
  const db = newDatabase()
  const key = '01K9G0CS000000000000000000'
  await cli(['append', db], { input: JSON.stringify({ key, data: { zone: 'A1' } }) })
  const found = await cli(['get', db, key])
  assert.equal(found.code, 0)
  assert.include(found.stdout, '"zone": "A1"')
  const absent = await cli(['get', db, key, '01K9G0CS000000000000000001', '--json'])
  assert.equal(absent.code, 1)
  assert.deepEqual(
    jsonLines<{ key: string; missing?: boolean }>(absent).map(({ missing }) => missing),
    [undefined, true]
  )
})

test('dbs, status and digest show the database', async () => {
  const db = newDatabase()
  await cli(['append', db], { input: '{"data":1}' })
  const listed = jsonLines<{ name: string; events: number; digest: string }>(
    await cli(['dbs', '--json'])
  ).find(({ name }) => name === db)
  assert.equal(listed?.events, 1)
  const { stdout } = await cli(['digest', db])
  assert.equal(stdout, `${listed?.digest ?? ''}  1 event\n`)
  const [status] = jsonLines<{ peerId: string; databases: { name: string }[] }>(
    await cli(['status', '--json'])
  )
  assert.equal(status?.peerId, node.ready.peerId)
  assert.isTrue(status?.databases.some(({ name }) => name === db))
  assert.include((await cli(['status'])).stdout, db)
})
