/** NDJSON streams over HTTP: commits of bounded size, each acknowledged while the stream goes on. */

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type ClientRequest, type IncomingMessage, request as httpRequest } from 'node:http'

import { test } from 'vitest'

import {
  type Answer,
  ask,
  type Body,
  lineStream,
  post,
  serveNode,
  type ServedNode
} from '../fixtures/http-server.ts'

const NDJSON = { 'content-type': 'application/x-ndjson' }
const KEY = '01HZZZZZZZZZZZZZZZZZZZZZZZ'

async function serveYard(
  limits: NonNullable<Parameters<typeof serveNode>[0]>['limits'] = {}
): Promise<ServedNode & { readonly events: string }> {
  const served = await serveNode({ limits })
  await served.node.createDatabase('yard')
  return { ...served, events: `${served.url}/db/yard/e` }
}

function answerLines(answer: Answer): Body[] {
  return answer.text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line))
}

async function countEvents({ node }: ServedNode): Promise<number> {
  return (await node.database('yard').status()).events
}

/** A request whose body is still being sent. */
async function begin(url: string, first: string): Promise<[ClientRequest, IncomingMessage]> {
  const request = httpRequest(url, { method: 'POST', headers: NDJSON, agent: false })
  request.write(first)
  const [response] = (await once(request, 'response')) as [IncomingMessage]
  return [request, response]
}

test('5,000 lines are written in commits of at most a thousand, each with a cursor', async () => {
  await using served = await serveYard()
  const lines = Array.from({ length: 5_000 }, (_, n) => JSON.stringify({ data: { n } }))
  const answer = await post(served.events, `${lines.join('\n')}\n`, NDJSON)
  assert.equal(answer.status, 200)
  assert.equal(answer.headers['content-type'], 'application/x-ndjson')
  const rows = answerLines(answer)
  const last = rows.pop()
  assert.deepEqual(last, {
    done: true,
    lines_done: 5_000,
    created: 5_000,
    duplicates: 0,
    rejected: 0
  })
  let next = 1
  for (const {
    lc,
    lines: [from, to],
    results
  } of rows) {
    assert.equal(from, next)
    assert.equal(results.length, to - from + 1)
    assert.ok(results.length <= 1_000)
    assert.equal(typeof lc, 'string')
    next = to + 1
  }
  assert.equal(next, 5_001)
  const page = (await ask(`${served.events}?lc=0&limit=10000`)).json()
  const read = page.results.map((row: { event: { data: { n: number } } }) => row.event.data.n)
  assert.deepEqual(
    read,
    Array.from({ length: 5_000 }, (_, n) => n)
  )
  const beyond = (await ask(`${served.events}?lc=${rows.at(-1)?.lc}`)).json()
  assert.deepEqual(beyond.results, [])
})

test('a line is acknowledged while the next is still to be sent', async () => {
  await using served = await serveYard()
  const [request, response] = await begin(served.events, '{"data":1}\n')
  await using answer = lineStream(response)
  assert.deepEqual((await answer.row()).lines, [1, 1])
  assert.equal(await countEvents(served), 1)
  request.write('{"data":2}\n{"da')
  assert.deepEqual((await answer.row()).lines, [2, 2])
  request.end('ta":3}')
  assert.deepEqual((await answer.row()).lines, [3, 3])
  assert.equal((await answer.row()).done, true)
  assert.equal(await answer.row(), undefined)
})

test('a bad line is reported by its number, and undoes nothing before it', async () => {
  await using served = await serveYard()
  const good = '{"data":1}\n'.repeat(1_500)
  const rows = answerLines(await post(served.events, `${good}{"data":\n${good}`, NDJSON))
  const { error } = rows.at(-1)
  assert.equal(error.code, 'malformed-json')
  assert.equal(error.line, 1_501)
  assert.equal(error.lines_done, 1_500)
  assert.equal(error.created, 1_500)
  assert.equal(await countEvents(served), 1_500)
})

test('an event that the node refuses is reported by its line, with a pointer into it', async () => {
  await using served = await serveYard({ groupLinesMax: 2 })
  const body = '{"data":1}\n{"data":2}\n\n{"data":3}\n{"data":4,"time":"noon"}\n{"data":5}\n'
  const rows = answerLines(await post(served.events, body, NDJSON))
  assert.deepEqual(rows[0].lines, [1, 2])
  const { error } = rows[1]
  assert.equal(error.code, 'event-invalid')
  assert.equal(error.status, 422)
  assert.equal(error.line, 5)
  assert.equal(error.errors[0].pointer, '/time')
  assert.equal(error.lines_done, 2)
  assert.equal(rows.length, 2)
  assert.equal(await countEvents(served), 2)
})

test('a stream that is refused before anything is written has the status of the problem', async () => {
  await using served = await serveYard()
  const malformed = await post(served.events, '\n{"data":1\n', NDJSON)
  assert.equal(malformed.status, 400)
  assert.equal(malformed.json().line, 2)
  const invalid = await post(served.events, '{"data":1,"key":"short"}\n', NDJSON)
  assert.equal(invalid.status, 422)
  assert.equal(invalid.json().line, 1)
  const scalar = await post(served.events, '[{"data":1}]\n', NDJSON)
  assert.equal(scalar.status, 422)
  await post(served.events, { key: KEY, data: 1 })
  const conflict = await post(served.events, `{"data":0}\n{"key":"${KEY}","data":2}\n`, NDJSON)
  assert.equal(conflict.status, 409)
  assert.equal(conflict.json().line, 2)
  assert.equal(await countEvents(served), 1)
})

test('with on_error=proceed every bad line is reported and every good one written', async () => {
  await using served = await serveYard()
  await post(served.events, { key: KEY, data: 1 })
  const lines = [
    '{"data":1}',
    'nonsense',
    '{"data":2}',
    `{"key":"${KEY}","data":9}`,
    '7',
    '{"data":3}'
  ]
  const answer = await post(`${served.events}?on_error=proceed`, lines.join('\r\n'), NDJSON)
  assert.equal(answer.status, 200)
  const rows = answerLines(answer)
  const { created, rejected, lines_done: linesDone } = rows.pop()
  assert.deepEqual([created, rejected, linesDone], [3, 3, 6])
  const refusals = rows
    .flatMap((row) => row.results)
    .filter((result) => result.status === 'rejected')
    .map(({ problem }) => [problem.line, problem.code])
  assert.deepEqual(refusals, [
    [2, 'malformed-json'],
    [4, 'key-conflict'],
    [5, 'event-invalid']
  ])
  assert.equal(await countEvents(served), 4)
})

test('two lines that would join into an event that nobody sent are both refused', async () => {
  await using served = await serveYard()
  const halves = ['{"data":[1\n2]}\n', '{"data":1},{"data":2}\n', '{"data":"a\nb"}\n', ']\n[\n']
  for (const body of halves) {
    const refused = await post(served.events, body, NDJSON)
    assert.equal(refused.status, 400, body)
    assert.equal(refused.json().line, 1)
  }
  assert.equal(await countEvents(served), 0)
})

test('lines may be cut anywhere by the network, within a character too', async () => {
  await using served = await serveYard()
  const bytes = Buffer.from('\uFEFF{"data":"pält 🚚"}\r\n\n  {"data":2}  \n{"data":3}')
  const request = httpRequest(served.events, { method: 'POST', headers: NDJSON, agent: false })
  for (const byte of bytes) request.write(Buffer.of(byte))
  request.end()
  const [response] = (await once(request, 'response')) as [IncomingMessage]
  await using answer = lineStream(response)
  let row = await answer.row()
  while (row.done !== true) row = await answer.row()
  assert.equal(row.created, 3)
  assert.equal(row.lines_done, 4)
  const page = (await ask(`${served.events}?lc=0`)).json()
  assert.equal(page.results[0].event.data, 'pält 🚚')
})

test('a client that does not read meanwhile is told counts and refusals, not every key', async () => {
  await using served = await serveYard({ briefAnswerBytes: -1 })
  const body = '{"data":1}\n{"data":2}\n{"data":3,"time":"noon"}\n'
  const [row] = answerLines(await post(`${served.events}?on_error=proceed`, body, NDJSON))
  assert.deepEqual([row.created, row.duplicates, row.results.length], [2, 0, 1])
  assert.equal(row.results[0].problem.line, 3)
})

test('an empty stream writes nothing and says so', async () => {
  await using served = await serveYard()
  for (const body of ['', '\n\n', ' \r\n']) {
    const rows = answerLines(await post(served.events, body, NDJSON))
    assert.deepEqual(rows, [{ done: true, lines_done: 0, created: 0, duplicates: 0, rejected: 0 }])
  }
})

test('a line above the limit is refused by its number, however it is sent', async () => {
  await using served = await serveYard({ lineBytesMax: 1_000 })
  const long = `{"data":"${'x'.repeat(200_000)}"}`
  const rows = answerLines(await post(served.events, `{"data":1}\n${long}\n{"data":2}\n`, NDJSON))
  const { error } = rows.at(-1)
  assert.equal(error.code, 'too-large')
  assert.equal(error.line, 2)
  assert.equal(error.line_bytes_max, 1_000)
  assert.equal(await countEvents(served), 1)
})

test('a stream sent again writes nothing twice when its events name themselves', async () => {
  await using served = await serveYard()
  const line = (n: number): string =>
    JSON.stringify({ source: 'wms', id: String(n), time: '2026-03-01T06:10:00Z', data: n })
  const body = Array.from({ length: 1_200 }, (_, n) => line(n)).join('\n')
  assert.equal(answerLines(await post(served.events, body, NDJSON)).pop().created, 1_200)
  const again = answerLines(await post(served.events, body, NDJSON)).pop()
  assert.deepEqual([again.created, again.duplicates], [0, 1_200])
  assert.equal(await countEvents(served), 1_200)
})

test('a client that goes away in the middle leaves whole commits behind', async () => {
  await using served = await serveYard()
  const [request, response] = await begin(served.events, '{"data":1}\n')
  await using answer = lineStream(response)
  assert.deepEqual((await answer.row()).lines, [1, 1])
  request.write('{"data":2}\n{"data":3')
  assert.deepEqual((await answer.row()).lines, [2, 2])
  request.destroy()
  response.on('error', () => undefined)
  await new Promise((resolve) => response.on('close', resolve))
  assert.equal(await countEvents(served), 2)
})

test('a stream on which nothing comes is ended with a problem', async () => {
  await using served = await serveYard({ streamIdleMsMax: 50 })
  const [request, response] = await begin(served.events, '{"data":1}\n')
  await using answer = lineStream(response)
  assert.deepEqual((await answer.row()).lines, [1, 1])
  assert.equal((await answer.row()).error.code, 'body-timeout')
  request.destroy()
})

test('a closing server ends a stream with the place to go on from', async () => {
  await using served = await serveYard()
  const [request, response] = await begin(served.events, '{"data":1}\n')
  await using answer = lineStream(response)
  assert.deepEqual((await answer.row()).lines, [1, 1])
  request.on('error', () => undefined)
  const closed = served.server.close()
  const { error } = await answer.row()
  assert.equal(error.code, 'closing')
  assert.equal(error.lines_done, 1)
  await closed
})

test('beyond the number of streams a client is asked to come back', async () => {
  await using served = await serveYard({ streamsMax: 1 })
  const [request, response] = await begin(served.events, '{"data":1}\n')
  await using answer = lineStream(response)
  await answer.row()
  const refused = await post(served.events, '{"data":2}\n', NDJSON)
  assert.equal(refused.status, 503)
  assert.equal(refused.json().code, 'busy')
  request.end()
  assert.equal((await answer.row()).done, true)
})
