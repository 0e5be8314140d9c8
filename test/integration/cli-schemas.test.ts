/** Schemas and upcasters of a configuration file, through the command line. */

import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'

import { assert, beforeAll, test } from 'vitest'

import { buildCli } from '../fixtures/build.ts'
import { runCli, scratch, startNode } from '../fixtures/cli.ts'
import { ask } from '../fixtures/http-server.ts'

beforeAll(async () => {
  await buildCli()
}, 180_000)

const CONFIG = `
export default {
  schemas: { depot: { received: { type: 'object', required: ['qty'] } } },
  upcasters: {
    depot: [{ type: 'counted', to: 'v2', data: (old) => ({ qty: old.n }) }]
  },
  views: {
    depot: { stock: { map: (event, emit) => emit(event.type, event.data.qty), reduce: '_sum' } }
  }
}`

test('a configuration says what enters and what views see', async () => {
  await using folder = await scratch()
  await writeFile(join(folder.path, 'laterbase.config.mjs'), CONFIG)
  await using node = await startNode(join(folder.path, 'node'), [], { cwd: folder.path })
  const append = ['append', 'depot', '--proceed', '--url', node.url]
  const events = [
    { type: 'received', data: { qty: 3 } },
    { type: 'received', data: {} },
    { type: 'counted', data: { n: 4 } }
  ]
  const input = events.map((each) => JSON.stringify(each)).join('\n')
  const { code, stderr } = await runCli(append, { input })
  assert.equal(code, 1)
  assert.match(stderr, /line 2: \/data\/qty is required/)
  const { rows } = (await ask(`${node.url}/db/depot/v/stock?group=true`)).json()
  assert.deepEqual(rows, [
    { key: 'counted', value: 4 },
    { key: 'received', value: 3 }
  ])
})

test('a configuration that makes no sense is a usage error, or names the entry that is wrong', async () => {
  await using folder = await scratch()
  const start = async (config: unknown): Promise<{ code: number | null; stderr: string }> => {
    await writeFile(join(folder.path, 'laterbase.config.json'), JSON.stringify(config))
    return runCli(['start', '--dir', join(folder.path, 'node')], { cwd: folder.path })
  }
  for (const [config, message] of [
    [{ schemas: [] }, /schemas: an object is expected/],
    [{ schemas: { depot: 1 } }, /schemas\.depot: an object is expected/],
    [{ upcasters: { depot: {} } }, /upcasters\.depot: a list is expected/]
  ] as const) {
    const { code, stderr } = await start(config)
    assert.equal(code, 2)
    assert.match(stderr, message)
  }
  const wrong = await start({ schemas: { depot: { received: { type: 'figure' } } } })
  assert.equal(wrong.code, 2)
  assert.match(wrong.stderr, /schemas\.depot\.received: \/type: .*LATERBASE_OPTION_INVALID/)
})
