/** How the command line is called: help, wrong usage, settings, what it says when it fails. */

import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'

import { assert, beforeAll, test } from 'vitest'

import { buildCli } from '../fixtures/build.ts'
import { jsonLines, runCli, scratch, startNode } from '../fixtures/cli.ts'

const COMMANDS = [
  'start',
  'init',
  'invite',
  'join',
  'append',
  'feed',
  'get',
  'view',
  'views',
  'view-define',
  'view-remove',
  'dbs',
  'status',
  'digest',
  'verify',
  'doctor',
  'renew-identity',
  'simulate'
]

/** Nothing listens on the port that is reserved for multiplexing TCP. */
const NOWHERE = 'http://127.0.0.1:1'

beforeAll(async () => {
  await buildCli()
}, 180_000)

test('the help lists every command, and that of each ends with an example', async () => {
  const { code, stdout } = await runCli(['--help'])
  assert.equal(code, 0)
  for (const command of COMMANDS) {
    assert.match(stdout, new RegExp(`^  ${command} `, 'm'))
    const help = await runCli([command, '--help'])
    assert.equal(help.code, 0)
    assert.match(help.stdout, new RegExp(`\nExample:\n(  .*\n)*  .*laterbase ${command}.*\n$`))
    assert.include(help.stdout, '--json')
  }
})

test('wrong usage exits 2 with one line that names the fault', async () => {
  const wrong: readonly (readonly [readonly string[], RegExp])[] = [
    [['dbx'], /unknown command 'dbx' \(Did you mean dbs\?\)/],
    [['dbs', '--foo'], /unknown option '--foo'/],
    [['feed'], /missing required argument 'db'/],
    [['start', '--http', 'x:y'], /is no address to listen on/],
    [['start', '--log-level', 'loud'], /Allowed choices are/],
    [['digest', 'depot', '--with', 'ftp://x'], /is no URL of a node/],
    [['simulate', '--nodes', '1'], /whole number from 2/],
    [['simulate', '--faults', 'flood'], /'flood' is no fault/],
    [['join', 'nonsense'], /not an invitation/]
  ]
  for (const [args, reason] of wrong) {
    const { code, stdout, stderr } = await runCli(args)
    assert.deepEqual([code, stdout], [2, ''], args.join(' '))
    assert.match(stderr, reason)
    assert.match(stderr, /^laterbase: [^\n]+ \(\w[\w-]*\)\n$/, 'one line, with a code')
  }
})

test('without a node to talk to, a client command says how to start one', async () => {
  for (const args of [['dbs'], ['status'], ['digest', 'depot'], ['feed', 'depot']]) {
    const { code, stderr } = await runCli([...args, '--url', NOWHERE])
    assert.equal(code, 1)
    assert.match(
      stderr,
      /^laterbase: no node answers at .*laterbase start.*\(node-unreachable\)\n$/
    )
  }
  const failed = await runCli(['dbs', '--json', '--url', NOWHERE])
  assert.equal(failed.stdout, '')
  const [error] = jsonLines<{ event: string; code: string }>({ ...failed, stdout: failed.stderr })
  assert.deepInclude(error, { event: 'error', code: 'node-unreachable' })
})

test('the command line wins over the environment, the environment over the file', async () => {
  await using folder = await scratch()
  const cwd = folder.path
  const where = async (args: readonly string[], env: Record<string, string>): Promise<string> => {
    const { stderr } = await runCli(['dbs', ...args], { cwd, env })
    return /no node answers at http:\/\/127\.0\.0\.1:(\d+)/.exec(stderr)?.[1] ?? stderr
  }
  const url = (port: number): string => `http://127.0.0.1:${port}`
  await writeFile(join(cwd, 'laterbase.config.json'), JSON.stringify({ url: url(2) }))
  assert.equal(await where([], {}), '2')
  assert.equal(await where([], { LATERBASE_URL: url(3) }), '3')
  assert.equal(await where(['--url', url(4)], { LATERBASE_URL: url(3) }), '4')

  const named = join(cwd, 'other.mjs')
  await writeFile(named, `export default { http: ':5' }`)
  assert.equal(await where(['--config', named], {}), '5', 'the facade is where the file says')
  assert.equal(await where([], { LATERBASE_CONFIG: named }), '5')
  assert.equal(await where([], { LATERBASE_CONFIG: named, LATERBASE_HTTP: ':6' }), '6')
})

test('a configuration file that is wrong is named with what is wrong', async () => {
  await using folder = await scratch()
  const cwd = folder.path
  const file = join(cwd, 'laterbase.config.json')
  const wrong: readonly (readonly [string, RegExp])[] = [
    ['{ "htpp": ":1" }', /there is no option 'htpp'/],
    ['{ "url": true }', /url: a value is expected/],
    ['{ "json": "yes" }', /json: true or false is expected/],
    ['{ "logLevel": "loud" }', /logLevel: Allowed choices/],
    ['[]', /must hold an object/],
    ['{', /cannot be read/]
  ]
  for (const [text, reason] of wrong) {
    await writeFile(file, text)
    const { code, stderr } = await runCli(['dbs'], { cwd })
    assert.equal(code, 2, text)
    assert.match(stderr, reason)
  }
  const missing = await runCli(['dbs', '--config', 'nowhere.json'], { cwd })
  assert.equal(missing.code, 2)
  assert.match(missing.stderr, /there is no configuration file/)
})

test('a switch of start can be set in the environment and in the file', async () => {
  await using folder = await scratch()
  const dir = join(folder.path, 'a')
  const config = { name: 'gate-3', mdns: false, listen: ['/ip4/127.0.0.1/tcp/0'] }
  await writeFile(join(folder.path, 'laterbase.config.json'), JSON.stringify(config))
  {
    await using node = await startNode(dir, [], { cwd: folder.path })
    const status = (await (await fetch(`${node.url}/_status`)).json()) as { name: string }
    assert.equal(status.name, 'gate-3')
  }
  const env = { LATERBASE_NAME: 'gate-4', LATERBASE_NO_MDNS: '1', LATERBASE_LISTEN: LOOPBACK }
  await using node = await startNode(dir, [], { cwd: folder.path, env })
  const status = (await (await fetch(`${node.url}/_status`)).json()) as { name: string }
  assert.equal(status.name, 'gate-4')
})

const LOOPBACK = '/ip4/127.0.0.1/tcp/0'
