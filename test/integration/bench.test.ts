/**
 * The benchmark runs, end to end, at a thousandth of its size: that it says something, not what. Two
 * rows with every run of the tests, which stay quick; `BENCH=all` is all of them.
 */

import { execFile } from 'node:child_process'
import { mkdtemp, readFile, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'

import { buildScript } from '../../scripts/lan/build.ts'

const run = promisify(execFile)
const VIEWS = ['V1', 'V1', 'V2', 'V3', 'V4', 'V5', 'V5', 'V5', 'V5', 'V6', 'V6', 'V7']
const ALL = ['P1', 'P2', 'P3', 'P5', 'P6', 'P6', 'P7', 'V']
const ROWS = process.env['BENCH'] === 'all' ? ALL : ['P2', 'P7']
let main = ''
let dir = ''

beforeAll(async () => {
  main = await buildScript('scripts/bench/main.ts')
  dir = await mkdtemp(path.join(tmpdir(), 'laterbase-bench-test-'))
}, 120_000)

afterAll(() => rm(dir, { recursive: true, force: true }))

test(`each benchmark of ${[...new Set(ROWS)].join(' ')} runs, is reported beside its raw limit, and leaves nothing behind`, async () => {
  const json = path.join(dir, 'report.json')
  const size = ['--only', [...new Set(ROWS)].join(), '--scale', '0.001', '--runs', '1']
  const { stdout, stderr } = await run(process.execPath, [
    main,
    ...size,
    '--dir',
    dir,
    '--json',
    json
  ])
  const report = JSON.parse(await readFile(json, 'utf8')) as Report
  expect(report.rows.map(({ id }) => id)).toEqual(ROWS.flatMap((id) => (id === 'V' ? VIEWS : id)))
  for (const row of report.rows) {
    expect(stdout).toContain(row.what)
    expect(['below floor', 'floor met', 'aim met']).toContain(row.verdict)
    for (const figure of [...row.ours, ...row.raw, ...row.ratios]) expect(figure).toBeGreaterThan(0)
  }
  expect(stdout).toContain(process.version)
  expect(stderr).toContain('P2 1/1')
  expect(await readdir(dir)).toEqual(['report.json'])
}, 240_000)

test('an option that makes no sense is refused with the usage', async () => {
  const refused = run(process.execPath, [main, '--only', 'P99'])
  await expect(refused).rejects.toMatchObject({
    code: 2,
    stderr: expect.stringContaining('usage: npm run bench')
  })
})

interface Report {
  readonly rows: readonly {
    readonly id: string
    readonly what: string
    readonly verdict: string
    readonly ours: readonly number[]
    readonly raw: readonly number[]
    readonly ratios: readonly number[]
  }[]
}
