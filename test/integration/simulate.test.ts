/** The simulation: its workload as a pure function, and a short run with real processes. */

import { mkdir, readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { once } from 'node:events'
import { createInterface } from 'node:readline'

import { assert, beforeAll, test } from 'vitest'

import { pictureLines } from '../../scripts/simulate/show.ts'
import type { SimulationReport } from '../../scripts/simulate/report.ts'
import { warehouseEvents, warehouseWorkload } from '../../scripts/simulate/workload.ts'
import { buildCli } from '../fixtures/build.ts'
import { jsonLines, runCli, scratch, spawnCli } from '../fixtures/cli.ts'

/** A run of seconds, on a machine that has other things to do, ms. */
const RUN_MS_MAX = 120_000

beforeAll(async () => {
  await buildCli()
}, 180_000)

test('the same seed writes the same events, another seed others', () => {
  const events = warehouseEvents(7, 500)
  assert.deepEqual(warehouseEvents(7, 500), events)
  assert.notDeepEqual(warehouseEvents(8, 500), events)
  assert.deepEqual(warehouseWorkload(7).next().value, events[0])
})

test('about a fifth of the workload is backdated by an hour or more', () => {
  const startMs = Date.UTC(2026, 5, 1)
  const events = warehouseEvents(1, 2_000, { startMs, stepMs: 1 })
  const late = events.filter(({ time }) => Date.parse(time ?? '') < startMs - 3_000_000)
  assert.closeTo(late.length / events.length, 0.2, 0.05)
})

test('an event of the workload has some 200 bytes and a valid SSCC', () => {
  const events = warehouseEvents(3, 1_000)
  const bytes = events.reduce((sum, event) => sum + JSON.stringify(event).length, 0)
  assert.closeTo(bytes / events.length, 210, 40)
  for (const { data } of events) {
    const { sscc } = data as unknown as { sscc: string }
    assert.match(sscc, /^\d{18}$/)
    const sum = Array.from(sscc, (digit, at) => Number(digit) * (at % 2 === 0 ? 3 : 1))
    assert.equal(sum.reduce((total, each) => total + each, 0) % 10, 0)
  }
})

test('a pallet is received before anything else happens to it, and loaded once', () => {
  const here = new Set<string>()
  for (const { type, subject = '' } of warehouseEvents(5, 3_000)) {
    if (type === 'pallet.received') here.add(subject)
    assert.isTrue(here.has(subject), `${type} ${subject}`)
    if (type === 'pallet.loaded') here.delete(subject)
  }
})

test('nodes that hold the same have the same number beside them in the picture', () => {
  const node = { events: 10, own: 5, peers: 1, state: 'up' } as const
  const views = [
    { ...node, name: 'node-1', digest: 'AAAA-AAAA-AA' },
    { ...node, name: 'node-2', digest: 'BBBB-BBBB-BB', state: 'cut off' as const, events: 5 },
    { ...node, name: 'node-3', digest: 'AAAA-AAAA-AA' }
  ]
  const lines = pictureLines(views, { columns: 90, colours: false })
  assert.match(lines[0] ?? '', /^node-1 █{20} .* 10 events .* 1 AAAA-AAAA-AA .* 1 peer$/)
  assert.match(lines[1] ?? '', /^node-2 █{10}░{10} .* 2 BBBB-BBBB-BB .* CUT OFF$/)
  assert.match(lines[2] ?? '', / 1 AAAA-AAAA-AA /)
})

test(
  'three nodes, one cut off and one killed, become equal and miss nothing',
  async () => {
    await using folder = await scratch()
    const temporary = join(folder.path, 'tmp')
    await mkdir(temporary)
    const file = join(folder.path, 'report.md')
    const args = ['--nodes', '3', '--seconds', '4', '--seed', '11', '--faults', 'partition,kill']
    const run = await runCli(['simulate', ...args, '--no-mdns', '--json', '--report', file], {
      env: { TMPDIR: temporary }
    })
    const lines = jsonLines<{ event: string }>(run)
    const report = lines.at(-1) as unknown as SimulationReport
    assert.deepEqual(report.failures, [])
    assert.equal(run.code, 0)
    assert.isTrue(report.passed)
    assert.lengthOf(new Set(report.nodes.map(({ digest }) => digest)), 1)
    assert.isTrue(report.nodes.every(({ missing }) => missing === 0))
    assert.isAbove(report.events.acknowledged, 100)
    assert.isAbove(report.events.backdated, 0)
    assert.deepEqual(
      report.rounds.map(({ cutOff, killed }) => [cutOff, killed]),
      [['node-3', 'node-1']]
    )
    assert.isTrue(lines.some(({ event }) => event === 'equal'))
    assert.include(await readFile(file, 'utf8'), 'equal, nothing missing')
    assert.deepEqual(await readdir(temporary), [], 'directories are removed')
  },
  RUN_MS_MAX
)

test(
  'a simulation that is interrupted leaves no process and no directory',
  async () => {
    await using folder = await scratch()
    const args = ['simulate', '--nodes', '2', '--seconds', '60', '--no-mdns', '--json']
    const child = await spawnCli(args, { env: { TMPDIR: folder.path } })
    const ended = once(child, 'close') as Promise<[number]>
    const lines = createInterface({ input: child.stdout })
    for await (const line of lines) {
      if (line.includes('all nodes write')) break
    }
    child.kill('SIGINT')
    assert.equal((await ended)[0], 1)
    assert.deepEqual(await readdir(folder.path), [])
  },
  RUN_MS_MAX
)

test('with --deterministic one seed is one run, on simulated disks and links, and takes no time', async () => {
  const args = ['simulate', '--deterministic', '--seed', '17']
  const [once, again] = [await runCli(args), await runCli(args)]
  assert.equal(once.code, 0, once.stderr)
  assert.equal(again.stdout, once.stdout)
  assert.match(once.stdout, /faults stop[^]*all +equal/)
  const other = await runCli(['simulate', '--deterministic', '--seed', '18', '--json'])
  assert.deepInclude(jsonLines<object>(other).at(-1), { event: 'report', passed: true, seed: 18 })
})
