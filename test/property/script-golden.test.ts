/**
 * What engines of different makers and machines of different kinds say differently (the last digit of a sine, the
 * cases of letters, orders, zones of time) is the same for a text of a view everywhere, for ever: this.
 */

import { createHash } from 'node:crypto'
import { expect, test } from 'vitest'

import { onlyOutcome, scriptMap, viewEventOf } from '../fixtures/scripts.ts'

const TEXT = `function (event, emit) {
  const functions = ['sin', 'cos', 'tan', 'asin', 'acos', 'atan', 'sinh', 'cosh', 'tanh', 'asinh', 'acosh', 'atanh',
    'exp', 'expm1', 'log', 'log10', 'log1p', 'log2', 'cbrt', 'sqrt', 'fround']
  for (const name of functions) {
    const values = []
    for (let step = 1; step <= 200; step += 1) {
      const value = Math[name](step % 2 === 0 ? step / 201 : step * 1.37)
      values.push(Number.isFinite(value) ? value : String(value))
    }
    emit(name, values)
  }
  const pairs = []
  for (let step = 1; step <= 200; step += 1) {
    pairs.push(Math.pow(step, 1 / step), step ** -3.3, Math.atan2(step, 7), Math.hypot(step, 3, 1 / 3), step % 0.7)
  }
  emit('pairs', pairs)
  const letters = '\\u00df\\u0130\\u0131\\ufb03\\u03a3\\u10d0\\u1e9e\\u{10428}\\u01c5\\u00e5A\\u030a'
  emit('letters', [letters.toUpperCase(), letters.toLowerCase(), letters.normalize('NFD'), letters.normalize('NFKC')])
  emit('orders', [['b', 'a', 'B', '\\u00e4', 'z', '\\u{1f600}', '\\uffff'].sort(), 'a'.localeCompare('B'), 'a' < 'B'])
  emit('locales', [(1234567.891).toLocaleString(), new Date(0).toLocaleString(), [1.5, 'x'].toLocaleString()])
  const date = new Date('2026-07-01T12:00:00')
  emit('zones', [date.toISOString(), date.getTimezoneOffset(), date.getHours(), String(new Date(2026, 0, 1)), Date.parse('1 Jul 2026')])
  emit('numbers', [1e21, 1e-7, 123456789012345680000, 5e-324, 0.1 + 0.2, (25).toString(36), (0.1).toString(3), (1.005).toFixed(2)].map(String))
  emit('patterns', ['\\u212a\\u017fk'.match(/[a-z]+/giu), 'x'.match(/\\p{Lu}/u), '\\u{1f600}'.match(/^.$/u) !== null])
}`

test('a text of a view computes the same on every machine', async () => {
  const outcome = onlyOutcome(await scriptMap(TEXT), viewEventOf(null))
  expect(outcome).toHaveProperty('rows')
  const rows = new Map('rows' in outcome ? outcome.rows.map(({ key, value }) => [key, value]) : [])
  // Of these a person can say that they are right.
  expect(rows.get('zones')).toEqual([
    '2026-07-01T12:00:00.000Z',
    0,
    12,
    'Thu Jan 01 2026 00:00:00 GMT+0000',
    1_782_864_000_000
  ])
  expect(rows.get('locales')).toEqual(['1234567.891', '01/01/1970, 12:00:00 AM', '1.5,x'])
  expect(rows.get('orders')).toEqual([['B', 'a', 'b', 'z', 'ä', '😀', '\uffff'], 31, false])
  const digest = createHash('sha256').update(JSON.stringify(outcome)).digest('hex')
  expect(digest).toBe('ce62063d42b892d213ab8ec22b59183839d0323c9778628f9755a4420dd87d2f')
})
