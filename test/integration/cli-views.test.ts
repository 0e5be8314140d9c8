/** Views through the command line: asked, followed, listed; and of a configuration file. */

import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'

import { afterAll, assert, beforeAll, test } from 'vitest'

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
import { until } from '../fixtures/nodes.ts'

const CONFIG = `
export default {
  views: {
    depot: {
      stock: { map: (event, emit) => emit(event.data.zone, event.data.qty), reduce: '_sum' },
      pallets: { map: (event, emit) => emit([event.data.zone, event.data.qty], event.subject) }
    }
  }
}`

let folder: Awaited<ReturnType<typeof scratch>>
let node: RunningNode

beforeAll(async () => {
  await buildCli()
  folder = await scratch()
  await writeFile(join(folder.path, 'laterbase.config.mjs'), CONFIG)
  node = await startNode(join(folder.path, 'node'), [], { cwd: folder.path })
  // The database comes to be after its views were configured.
  await cli(['append', 'depot'], { input: PALLETS.map((each) => JSON.stringify(each)).join('\n') })
}, 180_000)

afterAll(async () => {
  await node[Symbol.asyncDispose]()
  await folder[Symbol.asyncDispose]()
})

const PALLETS = [
  { time: '2026-11-02T06:00:00Z', subject: 'p1', data: { zone: 'A1', qty: 1_200 } },
  { time: '2026-11-02T07:00:00Z', subject: 'p2', data: { zone: 'B1', qty: 5 } },
  { time: '2026-11-02T08:00:00Z', subject: 'p3', data: { zone: 'A1', qty: 34 } }
]

function cli(args: readonly string[], options: CliOptions = {}): Promise<CliResult> {
  return runCli([...args, '--url', node.url], options)
}

interface Row {
  readonly id?: string
  readonly key: unknown
  readonly value: unknown
  readonly events?: readonly { readonly key: string; readonly late_ms: number }[]
}

test('view shows the rows of a view as a table, or as one JSON value a line', async () => {
  const shown = await cli(['view', 'depot', 'stock', '--group'])
  assert.equal(shown.code, 0, shown.stderr)
  assert.deepEqual(shown.stdout.split('\n'), ['key  value', 'A1   1,234', 'B1       5', ''])
  const rows = jsonLines<Row>(await cli(['view', 'depot', 'stock', '--group', '--json']))
  assert.deepEqual(rows, [
    { key: 'A1', value: 1_234 },
    { key: 'B1', value: 5 }
  ])
  const pallets = await cli(['view', 'depot', 'pallets', '--limit', '1'])
  assert.match(pallets.stdout, /^key +value +event\n\["A1",34\] +p3 +[0-9A-Z]{26}\n$/)
  const none = await cli(['view', 'depot', 'stock', '--key', 'Z9'])
  assert.deepEqual([none.code, none.stdout, none.stderr], [0, '', 'No rows.\n'])
})

test('its options are the parameters of a view, and a text needs no quotes', async () => {
  const cases: readonly (readonly [args: readonly string[], rows: unknown])[] = [
    [['stock'], [[null, 1_239]]],
    [['stock', '--key', 'A1'], [[null, 1_234]]],
    [['stock', '--key', '"A1"', '--group'], [['A1', 1_234]]],
    [['stock', '--group', '--descending', '--limit', '1'], [['B1', 5]]],
    [['stock', '--startkey', 'B'], [[null, 5]]],
    [['stock', '--endkey', 'B'], [[null, 1_234]]],
    [['stock', '--group-level', '1', '--startkey', 'B'], [['B1', 5]]],
    [['stock', '--as-of', '2026-11-02T07:59:59Z'], [[null, 1_205]]],
    [['stock', '--known-at', '2026-11-02T09:00:00Z'], []],
    [['pallets', '--key', '["B1",5]'], [[['B1', 5], 'p2']]],
    [
      ['stock', '--no-reduce', '--key', 'A1'],
      [
        ['A1', 1_200],
        ['A1', 34]
      ]
    ]
  ]
  for (const [args, rows] of cases) {
    const answer = await cli(['view', 'depot', ...args, '--json'])
    assert.equal(answer.code, 0, answer.stderr)
    const brief = jsonLines<Row>(answer).map(({ key, value }) => [key, value])
    assert.deepEqual(brief, rows, args.join(' '))
  }
})

test('view --explain names the events of each row, and how late they were recorded', async () => {
  const args = ['view', 'depot', 'stock', '--key', 'B1', '--explain']
  const shown = await cli(args)
  assert.match(shown.stdout, /\n {4}\w{26} {2}2026-11-02T07:00.* recorded .* d.* late, by 12D3/)
  const [row] = jsonLines<Row>(await cli([...args, '--json']))
  assert.lengthOf(row?.events ?? [], 1)
})

test('what is wrong with a question is wrong usage, or what the node says of it', async () => {
  const wrong: readonly (readonly [args: readonly string[], code: number, reason: RegExp])[] = [
    [['depot', 'stock', '--limit', 'x'], 2, /whole number/],
    [['depot', 'stock', '--group-level', '-1'], 2, /whole number/],
    [['depot', 'stock', '--as-of', 'noon'], 2, /as_of.*\(argument-invalid\)/],
    [['depot', 'pallets', '--group'], 2, /group.*\(argument-invalid\)/],
    [['depot', 'stock', '--key', '1', '--startkey', '2'], 2, /\(ambiguous-query\)/],
    [['depot', 'none'], 1, /there are .*\(view-unknown\)/],
    [['none', 'stock'], 1, /\(database-unknown\)/]
  ]
  for (const [args, code, reason] of wrong) {
    const refused = await cli(['view', ...args])
    assert.deepEqual([refused.code, refused.stdout], [code, ''], args.join(' '))
    assert.match(refused.stderr, reason)
  }
})

test('view --follow prints rows as they change, and what restated them', async () => {
  const json = await spawnCli(['view', 'depot', 'stock', '--follow', '--json', '--url', node.url])
  const text = await spawnCli(['view', 'depot', 'stock', '--follow', '--url', node.url])
  try {
    let seen = ''
    text.stdout.on('data', (chunk) => (seen += String(chunk)))
    const changes: { key: string; restated: boolean; old: number; new: number }[] = []
    createInterface({ input: json.stdout }).on('line', (line) => {
      changes.push(JSON.parse(line) as (typeof changes)[number])
    })
    let written = 0
    const write = (time: string): Promise<CliResult> => {
      written += 1
      const event = { time, data: { zone: 'C1', qty: 1 } }
      return cli(['append', 'depot'], { input: JSON.stringify(event) })
    }
    // Each is told from its start on.
    await until(async () => {
      await write('2026-11-02T10:00:00Z')
      return changes.length > 0 && seen !== ''
    })
    await write('2026-11-02T06:10:00Z')
    await until(() => changes.at(-1)?.new === written && seen.includes('restated  C1'))
    const { key, restated, old } = changes.at(-1) ?? assert.fail('a change')
    assert.deepEqual([key, restated, old], ['C1', true, written - 1])
    assert.match(seen, new RegExp(`restated {2}C1 {2}${written - 1} → ${written}\\n {4}\\w{26} `))
  } finally {
    json.kill('SIGKILL')
    text.kill('SIGKILL')
  }
})

test('views lists the views of a database with what is known of them', async () => {
  await cli(['view', 'depot', 'stock'])
  const shown = await cli(['views', 'depot'])
  assert.match(shown.stdout, /^view +type +state +rows +behind +faults\n/)
  assert.match(shown.stdout, /\nstock +map, _sum +ready +\d+ +0 +0\n/)
  const views = jsonLines<{ name: string; origin: string }>(await cli(['views', 'depot', '--json']))
  assert.deepEqual(
    views.map(({ name, origin }) => [name, origin]),
    [
      ['pallets', 'library'],
      ['stock', 'library']
    ]
  )
  const other = await cli(['append', 'yard'], { input: '{"data":1}' })
  assert.equal(other.code, 0)
  const none = await cli(['views', 'yard'])
  assert.deepEqual([none.code, none.stdout], [0, ''])
  assert.match(none.stderr, /^No view yet: see laterbase view-define --help/)
})

const BY_TYPE = { key: 'type', reduce: '_count' }

test('view-define takes a definition from a file or standard input, and view-remove takes it away', async () => {
  const input = ['a', 'b', 'a'].map((type) => JSON.stringify({ type, data: 1 })).join('\n')
  await cli(['append', 'types'], { input })
  const file = join(folder.path, 'by-type.json')
  await writeFile(file, JSON.stringify(BY_TYPE))
  const defined = await cli(['view-define', 'types', 'by-type', file])
  assert.deepEqual([defined.code, defined.stdout], [0, 'by-type of types is defined\n'])
  const rows = async (): Promise<unknown> => {
    const answer = await cli(['view', 'types', 'by-type', '--group', '--json'])
    return jsonLines<Row>(answer).map(({ key, value }) => [key, value])
  }
  assert.deepEqual(await rows(), [
    ['a', 2],
    ['b', 1]
  ])
  const other = JSON.stringify({ ...BY_TYPE, where: { type: 'a' } })
  const replaced = await cli(['view-define', 'types', 'by-type', '--json'], { input: other })
  const [result] = jsonLines<{ created: boolean; hash: string }>(replaced)
  assert.equal(result?.created, false)
  await until(async () => JSON.stringify(await rows()) === '[["a",2]]')
  const removed = await cli(['view-remove', 'types', 'by-type'])
  assert.deepEqual([removed.code, removed.stdout], [0, 'by-type of types is removed\n'])
  assert.match((await cli(['view', 'types', 'by-type'])).stderr, /\(view-unknown\)/)
  assert.match((await cli(['view-remove', 'types', 'by-type'])).stderr, /\(view-unknown\)/)
})

test('view-define says what is wrong with a definition', async () => {
  await cli(['append', 'types'], { input: '{"data":1}' })
  const define = (input: string): Promise<CliResult> =>
    cli(['view-define', 'types', 'wrong'], { input })
  const wrong = await define('{"key":"data.x","reduce":"_avg","limit":1}')
  assert.equal(wrong.code, 1)
  assert.match(wrong.stderr, /\/\w+:? .*\(and 1 more\) \(view-invalid\)\n$/)
  assert.match((await define('{')).stderr, /\(malformed-json\)/)
  const missing = await cli(['view-define', 'types', 'wrong', join(folder.path, 'none.json')])
  assert.match(missing.stderr, /\(file-unreadable\)/)
})

test('a node runs text of functions when it is started with --view-scripts, and not without', async () => {
  const input = JSON.stringify({ language: 'javascript', map: '(event, emit) => emit(event.data)' })
  const define = (url: string): Promise<CliResult> =>
    runCli(['view-define', 'numbers', 'all', '--url', url], { input })
  await cli(['append', 'numbers'], { input: '{"data":7}' })
  assert.match((await define(node.url)).stderr, /\(scripts-disabled\)\n$/)
  await using own = await scratch()
  await using open = await startNode(join(own.path, 'a'), ['--view-scripts'])
  await runCli(['append', 'numbers', '--url', open.url], { input: '{"data":7}' })
  assert.equal((await define(open.url)).code, 0)
  const rows = await runCli(['view', 'numbers', 'all', '--json', '--url', open.url])
  assert.deepEqual(
    jsonLines<Row>(rows).map(({ key }) => key),
    [7]
  )
  const fold = {
    key: '(event) => event.data % 2',
    select: '({ data }) => { if (data === 9) throw new Error("no nine"); return data }',
    initialState: 0,
    evolve: '(sum, data) => sum + data',
    final: '(sum) => { if (sum === 7) throw new Error("not seven"); return sum }'
  }
  await runCli(['append', 'numbers', '--url', open.url], { input: '{"data":8}\n{"data":9}' })
  const folded = JSON.stringify({ language: 'javascript', fold })
  const defined = await runCli(['view-define', 'numbers', 'sums', '--url', open.url], {
    input: folded
  })
  assert.equal(defined.code, 0, defined.stderr)
  const shown = await runCli(['view', 'numbers', 'sums', '--url', open.url])
  assert.match(shown.stdout, /^0 +8$/m)
  assert.match(shown.stdout, /^1 +\(Error: not seven\)$/m)
  assert.match(shown.stderr, /failed for 1 event, which is not in it/)
})

test('definitions of a configuration file are put when their database comes to be, where others are held', async () => {
  await using own = await scratch()
  const dir = join(own.path, 'a')
  const configure = (definition: object): Promise<void> =>
    writeFile(
      join(own.path, 'laterbase.config.json'),
      JSON.stringify({ views: { types: { 'by-type': definition } } })
    )
  const keys = async (url: string): Promise<unknown> => {
    const answer = await runCli(['view', 'types', 'by-type', '--group', '--json', '--url', url])
    return jsonLines<Row>(answer).map(({ key }) => key)
  }
  await configure(BY_TYPE)
  {
    await using first = await startNode(dir, [], { cwd: own.path })
    const input = ['a', 'b'].map((type) => JSON.stringify({ type, data: 1 })).join('\n')
    await runCli(['append', 'types', '--url', first.url], { input })
    await until(async () => JSON.stringify(await keys(first.url)) === '["a","b"]')
  }
  await configure({ ...BY_TYPE, where: { type: 'b' } })
  await using second = await startNode(dir, [], { cwd: own.path })
  await until(async () => JSON.stringify(await keys(second.url)) === '["b"]')
})

test('views of a configuration file that are wrong are named with what is wrong', async () => {
  await using own = await scratch()
  const file = join(own.path, 'laterbase.config.json')
  const wrong: readonly (readonly [text: string, reason: RegExp])[] = [
    ['{ "views": [] }', /laterbase\.config\.json: views: an object is expected/],
    ['{ "views": { "depot": 1 } }', /: views\.depot: an object is expected/],
    ['{ "views": { "depot": { "stock": [] } } }', /: views\.depot\.stock: an object is expected/],
    ['{ "views": { "Depot": {} } }', /: views: 'Depot' is no name/],
    ['{ "views": { "depot": { "Stock": {} } } }', /: views\.depot: 'Stock' is no name/],
    ['{ "view": {} }', /there is no option 'view'; there are: .*views/]
  ]
  for (const [text, reason] of wrong) {
    await writeFile(file, text)
    const refused = await runCli(['start', '--dir', join(own.path, 'a')], { cwd: own.path })
    assert.equal(refused.code, 2, text)
    assert.match(refused.stderr, reason)
  }
  const module = join(own.path, 'other.mjs')
  await writeFile(module, 'export default { views: { depot: { stock: { mapp: () => 1 } } } }')
  const start = ['start', '--dir', join(own.path, 'a'), '--config', module]
  const refused = await runCli(start, { cwd: own.path })
  assert.equal(refused.code, 2)
  assert.match(refused.stderr, /other\.mjs: views\.depot\.stock: a view of functions has map, or/)
  await writeFile(file, '{ "views": {} }')
  const other = await runCli(['init', '--dir', join(own.path, 'b')], { cwd: own.path })
  assert.equal(other.code, 0, 'other commands take no notice of them')
})
