/** The README's own lines, pasted into a shell beside a node that was just started. */

import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'

import { assert, beforeAll, test, vi } from 'vitest'

import { buildCli } from '../fixtures/build.ts'
import { runCli, scratch, startNode } from '../fixtures/cli.ts'
import { post } from '../fixtures/http-server.ts'

beforeAll(async () => {
  await buildCli()
}, 180_000)

test('every curl line of the README works against a node that was just started', async () => {
  await using folder = await scratch()
  await using node = await startNode(join(folder.path, 'a'))
  const curls = (await commandsOf('## Twenty lines')).filter((line) => line.startsWith('curl '))
  assert.lengthOf(curls, 7)
  const paste = async (line: string): Promise<string> => {
    const here = line.replaceAll('http://127.0.0.1:8080', node.url)
    const { stdout } = await promisify(execFile)('sh', ['-c', `${here} -w '\n%{http_code}'`])
    assert.match(stdout, /\n20\d$/, line)
    return stdout
  }
  const [create = '', write = '', scan = '', range = '', since = '', follow = '', digest = ''] =
    curls
  await paste(create)
  assert.match(await paste(write), /"status":"created"/)
  assert.match(await paste(scan), /"status":"created"/)
  assert.match(await paste(scan), /"status":"duplicate"/, 'sent twice it is one event')
  for (const read of [range, since]) {
    assert.match(await paste(read), /340123450000000017[^]*scanner-7/, 'in their order')
  }
  assert.match(await paste(digest), /"digest":"/)
  assert.match(await firstOf(follow.replaceAll('http://127.0.0.1:8080', node.url), node.url), /B9/)
})

test('a pallet keyed in eight hours late corrects the past on two nodes, as the README says', async () => {
  await using folder = await scratch()
  await using here = await startNode(join(folder.path, 'a'))
  const second = join(folder.path, 'b')
  const { stdout: invitation } = await runCli(['invite', '--dir', join(folder.path, 'a')])
  await runCli(['join', invitation.trim(), '--dir', second])
  const [address = ''] = here.ready.addresses
  await using there = await startNode(second, ['--peer', address])
  await fetch(`${here.url}/db/depot`, { method: 'PUT' })
  await vi.waitFor(
    async () => assert.equal((await fetch(`${there.url}/db/depot`)).status, 200),
    WAIT
  )

  const commands = await commandsOf('## A pallet keyed in eight hours late')
  const places = `here=${here.url} there=${there.url}`
  // The feed goes on for ever, and is of another test.
  const script = [places, ...commands.slice(1, -1)].join(`\necho '${NEXT}'\n`)
  const { stdout } = await promisify(execFile)('sh', ['-ec', script], { env: { PATH } })
  const answers = stdout.split(NEXT).filter((text) => text.trim() !== '')
  const rows = answers.map((text) => (JSON.parse(text) as { rows?: unknown }).rows)
  const asked = rows.filter((each): each is Row[] => Array.isArray(each))
  const values = asked.map((each) => each.map(({ key, value }) => `${key} ${value}`).join())
  assert.lengthOf(answers, 9, 'three writes and six questions')
  assert.deepEqual(values, ['A1 48', '', 'A1 72', 'A1 24', 'A1 48', 'A1 72'])
  const causes = asked.at(-1)?.[0]?.events ?? []
  assert.deepEqual(
    causes.map(({ late_ms, peer }) => [Math.floor(late_ms / 3_600_000), peer]),
    [
      [8, there.ready.peerId],
      [0, here.ready.peerId]
    ]
  )
})

interface Row {
  readonly key: string
  readonly value: number
  readonly events?: readonly { readonly late_ms: number; readonly peer: string }[]
}

const NEXT = '-- next --'
const WAIT = { timeout: 40_000, interval: 50 }
const PATH = process.env['PATH'] ?? ''

test('the README names every command and every option of start', async () => {
  const readme = await readFile(README, 'utf8')
  const section = sectionOf(readme, '## The command line')
  const commands = (await runCli(['--help'])).stdout.matchAll(/^ {2}([a-z-]+) .*\[options\]/gm)
  const names = [...commands].map(([, name = '']) => name)
  assert.include(names, 'renew-identity')
  for (const name of names) assert.include(section, `\`${name}\``)
  const help = (await runCli(['start', '--help'])).stdout
  const options = [...help.matchAll(/^ +(?:-h, )?(--[a-z-]+)/gm)].map(([, name = '']) => name)
  assert.include(options, '--network-key-file')
  for (const option of options) assert.include(section, option)
})

/** What a live feed gives of events that are written while it is read. */
async function firstOf(line: string, url: string): Promise<string> {
  const child = spawn('sh', ['-c', `exec ${line}`], { stdio: ['ignore', 'pipe', 'inherit'] })
  const ended = once(child, 'close')
  try {
    let seen = ''
    child.stdout.on('data', (chunk) => (seen += String(chunk)))
    return await vi.waitFor(
      async () => {
        await post(`${url}/db/depot/e`, { data: { zone: 'B9' } })
        const [event] = /^data: .*$/m.exec(seen) ?? []
        if (event === undefined) throw new Error(`no event in ${seen}`)
        return event
      },
      { timeout: 40_000, interval: 50 }
    )
  } finally {
    child.kill()
    await ended
  }
}

/** Commands of the first shell block of a section; one goes on while a quote is open. */
async function commandsOf(heading: string): Promise<string[]> {
  const section = sectionOf(await readFile(README, 'utf8'), heading)
  const [, block = ''] = /```sh\n([^]*?)```/.exec(section) ?? []
  const commands: string[] = []
  let open = ''
  for (const line of block.split('\n')) {
    if (open === '' && (line === '' || line.startsWith('#'))) continue
    open += open === '' ? line : `\n${line}`
    if (open.split("'").length % 2 === 0) continue
    commands.push(open)
    open = ''
  }
  return commands
}

function sectionOf(readme: string, heading: string): string {
  const [, section = ''] = readme.split(`${heading}\n`)
  return section.split('\n## ')[0] ?? ''
}

const README = new URL('../../README.md', import.meta.url)
