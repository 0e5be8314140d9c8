/** What is not JSON never becomes an event, and never becomes a fault of the server. */

import assert from 'node:assert/strict'

import { afterAll, beforeAll, test } from 'vitest'

import { MALFORMED_TEXTS } from '../fixtures/http-malformed-json.ts'
import { post, serveNode, type ServedNode } from '../fixtures/http-server.ts'

let served: ServedNode

beforeAll(async () => {
  served = await serveNode()
  await served.node.createDatabase('yard')
})

afterAll(async () => {
  await served[Symbol.asyncDispose]()
})

async function countEvents(): Promise<number> {
  return (await served.node.database('yard').status()).events
}

test.each(MALFORMED_TEXTS)(
  '$kind is refused in a body, and nothing is written',
  async ({ bytes }) => {
    const before = await countEvents()
    for (const type of ['application/json', 'application/cloudevents+json']) {
      const refused = await post(`${served.url}/db/yard/e`, bytes, { 'content-type': type })
      assert.equal(refused.status, 400)
      assert.equal(refused.json().code, 'malformed-json')
    }
    const keys = await post(`${served.url}/db/yard/e/_get`, bytes)
    assert.equal(keys.status, 400)
    assert.equal(await countEvents(), before)
  }
)

const LINES = MALFORMED_TEXTS.filter(({ bytes }) => {
  const text = bytes.toString('latin1')
  // Empty lines are no lines, and a text with a line break is two.
  return !/^(\s|\u00EF\u00BB\u00BF)*$/.test(text) && !text.includes('\n')
})

test.each(LINES)('$kind is refused as a line, with its number', async ({ bytes }) => {
  const before = await countEvents()
  const refused = await post(`${served.url}/db/yard/e`, Buffer.concat([Buffer.from('\n'), bytes]), {
    'content-type': 'application/x-ndjson'
  })
  assert.equal(refused.status, 400)
  assert.equal(refused.json().code, 'malformed-json')
  assert.equal(refused.json().line, 2)
  assert.equal(await countEvents(), before)
})

test('nesting that is too deep for any event is refused, not a fault of the server', async () => {
  for (const text of [
    '['.repeat(100_000),
    `{"data":${'['.repeat(100_000)}${']'.repeat(100_000)}}`
  ]) {
    const refused = await post(`${served.url}/db/yard/e`, text)
    assert.ok(refused.status >= 400 && refused.status < 500, String(refused.status))
  }
  assert.equal(await countEvents(), 0)
})
