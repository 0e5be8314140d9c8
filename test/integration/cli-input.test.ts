/** How `laterbase append` reads its input: NDJSON and JSON, cut into events without parsing them. */

import * as fc from 'fast-check'
import { assert, test } from 'vitest'

import { CommandFailure } from '../../src/cli/failure.ts'
import { type EventDefaults, readEvents, withDefaults } from '../../src/cli/event-input.ts'
import { EVENT_TEXT_BYTES_MAX } from '../../src/cli/limits.ts'

const SSCC = '{"data":340123450000000017}'

test('an event, an array, NDJSON and events over several lines are the same events', async () => {
  const texts = ['{"data":{"a":"}]\\"[{"}}', SSCC, '{"data":[1,[2,{}]]}']
  const inputs = [
    texts.join('\n'),
    `${texts.join('\r\n')}\r\n`,
    `[${texts.join(',')}]`,
    `\uFEFF [\n${texts.join(',\n')}\n]\n`,
    texts.join('\n\n'),
    texts.map((text) => text.replace('{', '{\n')).join('\n')
  ]
  for (const input of inputs) {
    const events = (await read(input)).map((event) => event.text.replaceAll(/\s/g, ''))
    assert.deepEqual(events, texts, JSON.stringify(input))
  }
})

test('numbers reach the node as they were written', async () => {
  const events = await read(`[{"data": 1.0e0}, ${SSCC}]`, { type: 'x', subject: 's' })
  assert.deepEqual(
    events.map(({ text }) => text),
    ['{"type":"x","subject":"s","data": 1.0e0}', `{"type":"x","subject":"s",${SSCC.slice(1)}`]
  )
})

test('defaults go only to events that have none of their own', async () => {
  const time = '2026-01-05T06:10:00Z'
  const own = ['{"time":"2026-01-01T00:00:00Z","data":1}', '{"key":"01K9G0CS000000000000000000"}']
  const events = await read([...own, '{"type":"y","data":1}', '{}'].join('\n'), { time, type: 'x' })
  assert.deepEqual(
    events.map(({ text }) => text),
    [
      ...own.map((text) => text.replace('{', '{"type":"x",')),
      `{"time":"${time}","type":"y","data":1}`,
      `{"time":"${time}","type":"x"}`
    ]
  )
})

test('an event knows the line that it begins in', async () => {
  const lines = async (input: string): Promise<readonly number[]> =>
    (await read(input)).map(({ line }) => line)
  assert.deepEqual(await lines('{"data":1}\n\n{"data":2}'), [1, 3])
  assert.deepEqual(await lines('[\n{"data":\n1},\n{"data":2}]'), [2, 4])
})

test('a line that is no JSON is left to the node, which says what is wrong with it', async () => {
  const events = await read('{"data":1}\n{"data":}\nnonsense')
  assert.deepEqual(
    events.map(({ text }) => text),
    ['{"data":1}', '{"data":}', 'nonsense']
  )
})

test('an input that ends too early, or holds other things than events, is refused', async () => {
  const faults: readonly (readonly [string, RegExp])[] = [
    ['[{"data":1}', /before its array/],
    ['[{"data":1', /inside the event that begins in line 1/],
    ['[1]', /not '1'/],
    ['nonsense', /not 'n'/],
    ['[{"data":1}] x', /not 'x'/],
    ['[{"data":1}]\n{"data":2}', /line 2/]
  ]
  for (const [input, reason] of faults) {
    const failure = await read(input).catch((error: unknown) => error)
    assert.instanceOf(failure, CommandFailure, input)
    assert.match(failure.message, reason, input)
  }
})

test('an event without end is refused by its line before it is gathered, in either form', async () => {
  const long = `{"data":"${'x'.repeat(EVENT_TEXT_BYTES_MAX)}`
  for (const [input, line] of [
    [long, 1],
    [`{"data":1}\n${long}`, 2],
    [`[{"data":1},\n${long}`, 2],
    [`{\n${long.slice(1)}`, 1]
  ] as const) {
    const failure = await read(input).catch((error: unknown) => error)
    assert.instanceOf(failure, CommandFailure)
    assert.match(failure.message, new RegExp(`line ${line}: .*more than`))
  }
})

test('a first line without end is not gathered either', async () => {
  let taken = 0
  async function* endless(): AsyncGenerator<Buffer> {
    for (let text = '{"data":"'; taken < 4 * EVENT_TEXT_BYTES_MAX; text = 'x'.repeat(65_536)) {
      taken += text.length
      yield Buffer.from(text)
    }
  }
  const failure = await readEvents(endless())
    .next()
    .catch((error: unknown) => error)
  assert.instanceOf(failure, CommandFailure)
  assert.isBelow(taken, EVENT_TEXT_BYTES_MAX + 2 * 65_536)
})

test('how the input is cut into chunks makes no difference', async () => {
  const documents = fc.array(fc.record({ data: fc.jsonValue() }), { minLength: 1, maxLength: 5 })
  const space = fc.constantFrom(undefined, 2)
  const cuts = fc.array(fc.nat(200), { maxLength: 6 })
  await fc.assert(
    fc.asyncProperty(documents, space, cuts, fc.boolean(), async (events, indent, at, isArray) => {
      const texts = events.map((event) => JSON.stringify(event, undefined, indent))
      const input = isArray ? `[${texts.join(',')}]` : texts.join('\n')
      const read = await collect(chunked(Buffer.from(input), at))
      assert.deepEqual(
        read.map(({ text }) => JSON.parse(text) as unknown),
        texts.map((text) => JSON.parse(text) as unknown)
      )
    })
  )
})

interface ReadEvent {
  readonly text: string
  readonly line: number
}

function read(input: string, defaults: EventDefaults = {}): Promise<readonly ReadEvent[]> {
  return collect(chunked(Buffer.from(input), []), defaults)
}

async function collect(
  chunks: AsyncIterable<Buffer>,
  defaults: EventDefaults = {}
): Promise<readonly ReadEvent[]> {
  const events: ReadEvent[] = []
  for await (const group of readEvents(chunks)) {
    for (const { bytes, line } of group) {
      events.push({ text: withDefaults(bytes, defaults).toString('utf8').trim(), line })
    }
  }
  return events
}

async function* chunked(bytes: Buffer, cuts: readonly number[]): AsyncGenerator<Buffer> {
  let start = 0
  for (const length of cuts) {
    yield bytes.subarray(start, start + length)
    start += length
  }
  yield bytes.subarray(start)
}
