/** Stored events as texts of views see them, whatever bytes a member may have signed. */

import fc from 'fast-check'
import { expect, test } from 'vitest'

import { eventKey } from '../../src/core/event-key.ts'
import type { Json } from '../../src/core/json.ts'
import type { ViewEvent } from '../../src/views/program.ts'
import { viewEvent } from '../../src/views/view-event.ts'
import { scriptMap } from '../fixtures/scripts.ts'

function storedEvent(text: string): ViewEvent {
  return viewEvent(eventKey(new Uint8Array(16)), Buffer.from(text))
}

test('an event that cannot be read is a fault, and those in its batch are not', async () => {
  const program = await scriptMap('(event, emit) => emit(event.data.n)')
  const deep = `${'['.repeat(20_000)}1${']'.repeat(20_000)}`
  const events = Array.from({ length: 2_000 }, (_, n) => {
    return storedEvent(`{"data":${n % 50 === 7 ? deep : `{"n":${n}}`}}`)
  })
  const outcomes = program.map(events)
  for (const [n, outcome] of outcomes.entries()) {
    expect(outcome).toEqual(
      n % 50 === 7 ? { fault: 'calls are nested too deep' } : { rows: [{ key: n, value: null }] }
    )
  }
  expect(program.effort?.skipped).toBe(0)
})

test('JSON of any form comes to the same in the sandbox as here', async () => {
  const program = await scriptMap('(event, emit) => emit(event, [event.data, Object.keys(event)])')
  const number = fc.constantFrom(
    '0',
    '-0',
    '1E5',
    '1e-7',
    '0.1e1',
    '123456789012345678901',
    '5e-324',
    '1.7976931348623157e308',
    '2.5e-310'
  )
  const text = fc.constantFrom(
    '"\\u0000"',
    '"\\ud800"',
    '"\\ud83d\\ude00"',
    '"\\/\\b"',
    '"é\u2028"',
    '"\u007f"'
  )
  const { value } = fc.letrec<{ value: string }>((tie) => ({
    value: fc.oneof(
      { depthSize: 'small' },
      number,
      text,
      fc.constantFrom('null', 'true', ' false ', '[\n]', '{\t}'),
      fc.array(tie('value'), { maxLength: 3 }).map((values) => `[ ${values.join(' , ')} ]`),
      fc
        .array(
          fc.tuple(fc.oneof(text, fc.constantFrom('"a"', '"1"', '"__proto__"')), tie('value')),
          { maxLength: 4 }
        )
        .map((members) => `{${members.map(([name, member]) => `${name} : ${member}`).join(' ,')}}`)
    )
  }))
  fc.assert(
    fc.property(fc.array(value, { minLength: 1, maxLength: 6 }), (values) => {
      const events = values.map((data) => {
        return storedEvent(`{"data":${data},"type":"\\u0061","type":"b"}`)
      })
      const expected = events.map((event) => {
        const seen = JSON.parse(JSON.stringify(event)) as Record<string, Json>
        return { rows: [{ key: seen, value: [seen['data'], Object.keys(seen)] }] }
      })
      expect(program.map(events)).toEqual(expected)
    }),
    { numRuns: 300 }
  )
})

test('bytes that no honest node stores are given as bytes', async () => {
  const program = await scriptMap('(event, emit) => emit(event.data ?? event.data_base64)')
  const texts = [
    '',
    '1',
    '{"data":1}]',
    '{"data":1},{"data":2}',
    '{"data":1,"key":"a"}',
    ' {"data":1}',
    '[{"data":1}]'
  ]
  const events = texts.map(storedEvent)
  const keys = texts.map((text) =>
    text === ' {"data":1}' ? 1 : Buffer.from(text).toString('base64')
  )
  expect(program.map(events)).toEqual(keys.map((key) => ({ rows: [{ key, value: null }] })))
})
