/**
 * A declarative definition makes of events what a plain reading of `view-definition.ts` says, word by word, which
 * is written here a second time, without any preparation.
 */

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'

import { assert } from '../../src/core/assert.ts'
import type { Json } from '../../src/core/json.ts'
import { compareViewKeys } from '../../src/core/views/collation.ts'
import { systemHasher } from '../../src/node/system.ts'
import { compileDefinition } from '../../src/views/compile-definition.ts'
import type { MapProgram, ViewEvent } from '../../src/views/program.ts'
import { readViewDefinition } from '../../src/views/read-definition.ts'
import type {
  Condition,
  DateUnit,
  DeclarativeDefinition,
  Expression
} from '../../src/views/view-definition.ts'
import { viewEventOf } from '../fixtures/scripts.ts'

function programOf(definition: unknown): MapProgram {
  const read = readViewDefinition(definition)
  if ('problems' in read) throw new Error(JSON.stringify(read.problems))
  const program = compileDefinition(read, { hasher: systemHasher, sandbox: undefined })
  assert('type' in program && program.type === 'map', 'a map')
  return program
}

function keysAndValues(definition: unknown, event: ViewEvent): unknown {
  const [outcome] = programOf(definition).map([event])
  assert(outcome !== undefined, 'an outcome')
  if ('fault' in outcome) return outcome.fault
  return outcome.rows.map(({ key, value }) => [key, value])
}

/** Names of few letters, so that paths meet what is there. */
const NAMES = ['a', 'b', '0', '1', 'a.b', 'a/b', '', '__proto__', 'length', 'each', 'data']

function json(): fc.Arbitrary<Json> {
  const { tree } = fc.letrec<{ tree: Json }>((tie) => ({
    tree: fc.oneof(
      { depthSize: 'small', withCrossShrink: true },
      fc.constantFrom<Json>(
        null,
        true,
        false,
        0,
        1,
        -1,
        0.5,
        'a',
        'ab',
        'b',
        '',
        '2026-11-02T06:10:00.123Z'
      ),
      fc.array(tie('tree'), { maxLength: 3 }),
      fc
        .array(fc.tuple(fc.constantFrom(...NAMES), tie('tree')), { maxLength: 3 })
        .map((members) => JSON.parse(objectText(members)) as Json)
    )
  }))
  return tree
}

function objectText(members: readonly (readonly [string, Json])[]): string {
  return `{${members.map(([name, value]) => `${JSON.stringify(name)}:${JSON.stringify(value)}`).join()}}`
}

function paths(hasEach: boolean): fc.Arbitrary<string> {
  const steps = fc.array(fc.constantFrom(...NAMES), { maxLength: 3 })
  const begin = hasEach ? fc.constantFrom('data', 'each') : fc.constant('data')
  const inData = fc.tuple(begin, steps, fc.boolean()).map(([first, names, isPointer]) => {
    const isPlain = names.every((name) => name !== '' && !name.includes('.'))
    if (!isPointer && isPlain && names[0] !== '/') return [first, ...names].join('.')
    const escaped = names.map((name) => name.replaceAll('~', '~0').replaceAll('/', '~1'))
    return `/${[first, ...escaped].join('/')}`
  })
  return fc.oneof(
    { weight: 4, arbitrary: inData },
    fc.constantFrom('time', 'type', 'subject', 'key')
  )
}

function conditions(): fc.Arbitrary<Condition> {
  const operators = fc.record(
    {
      eq: json(),
      ne: json(),
      gt: json(),
      gte: json(),
      lt: json(),
      lte: json(),
      in: fc.array(json(), { maxLength: 4 }),
      exists: fc.boolean(),
      prefix: fc.constantFrom('', 'a', 'ab', '2026')
    },
    { requiredKeys: [] }
  )
  const isGiven = (given: object): boolean => Object.keys(given).length > 0
  const plain = json().filter(
    (value) => typeof value !== 'object' || value === null || Array.isArray(value)
  )
  return fc.oneof(operators.filter(isGiven), plain) as fc.Arbitrary<Condition>
}

function expressions(hasEach: boolean): fc.Arbitrary<Expression> {
  const { tree } = fc.letrec<{ tree: Expression }>((tie) => ({
    tree: fc.oneof(
      { depthSize: 'small' },
      paths(hasEach),
      json().map((constant) => ({ const: constant })),
      fc.record(
        {
          date: paths(hasEach),
          unit: fc.constantFrom<DateUnit>('year', 'month', 'day', 'hour', 'minute'),
          parts: fc.boolean(),
          offset: fc.constantFrom('+00:00', '+05:30', '-11:00')
        },
        { requiredKeys: ['date', 'unit'] }
      ),
      fc.array(tie('tree'), { maxLength: 3 }),
      fc.dictionary(fc.constantFrom('a', 'b', 'then'), tie('tree')).map((object) => ({ object }))
    )
  }))
  return tree
}

function definitions(): fc.Arbitrary<DeclarativeDefinition> {
  return fc.boolean().chain((hasEach): fc.Arbitrary<DeclarativeDefinition> => {
    const members = {
      where: fc.dictionary(paths(hasEach), conditions(), { maxKeys: 2 }),
      key: expressions(hasEach),
      value: expressions(hasEach)
    }
    return hasEach
      ? fc.record({ ...members, each: paths(false) }, { requiredKeys: ['each'] })
      : fc.record(members, { requiredKeys: ['key'] })
  })
}

function events(): fc.Arbitrary<ViewEvent> {
  const time = fc
    .date({ min: new Date(0), max: new Date('2100-01-01'), noInvalidDate: true })
    .map((date) => date.toISOString())
  const members = fc.record(
    { type: fc.constantFrom('a', 'ab'), subject: fc.constantFrom('b'), time },
    { requiredKeys: ['time'] }
  )
  return fc.tuple(json(), members).map(([data, rest]) => viewEventOf(data, rest))
}

/** The words of a definition once more. */
function interpreted(definition: DeclarativeDefinition, event: ViewEvent): [Json, Json][] {
  const { where = {}, each, key, value } = definition
  const elements = each === undefined ? [undefined] : at(each, event, undefined)
  if (!Array.isArray(elements)) return []
  const counted = (elements as (Json | undefined)[]).filter((element) =>
    Object.entries(where).every(([path, condition]) => holds(condition, at(path, event, element)))
  )
  return counted.map((element) => [of(key, event, element), of(value, event, element)])
}

function at(path: string, event: ViewEvent, element: Json | undefined): Json | undefined {
  const names = path.startsWith('/')
    ? path
        .slice(1)
        .split('/')
        .map((name) => name.replaceAll('~1', '/').replaceAll('~0', '~'))
    : path.split('.')
  let met: unknown = { ...event, each: element }
  for (const name of names) {
    if (typeof met !== 'object' || met === null) return undefined
    if (Array.isArray(met) && !/^\d+$/.test(name)) return undefined
    met = Object.getOwnPropertyDescriptor(met, name)?.value
  }
  return met as Json | undefined
}

function holds(condition: Condition, value: Json | undefined): boolean {
  if (typeof condition !== 'object' || condition === null || Array.isArray(condition)) {
    return same(condition as Json, value)
  }
  const typeOf = (json: Json | undefined): string =>
    json === null ? 'null' : Array.isArray(json) ? 'array' : typeof json
  return Object.entries(condition).every(([operator, operand]: [string, Json]) => {
    const comparable = value !== undefined && typeOf(value) === typeOf(operand)
    const order = comparable ? compareViewKeys(value, operand) : Number.NaN
    switch (operator) {
      case 'eq':
        return same(operand, value)
      case 'ne':
        return !same(operand, value)
      case 'gt':
        return order > 0
      case 'gte':
        return order >= 0
      case 'lt':
        return order < 0
      case 'lte':
        return order <= 0
      case 'in':
        return (operand as Json[]).some((one) => same(one, value))
      case 'exists':
        return (value !== undefined) === operand
      case 'prefix':
        return typeof value === 'string' && value.startsWith(operand as string)
      default:
        throw new Error(operator)
    }
  })
}

/** Members may stand in any order. */
function same(a: Json, b: Json | undefined): boolean {
  if (typeof a !== 'object' || a === null || typeof b !== 'object' || b === null) return a === b
  if (Array.isArray(a) !== Array.isArray(b)) return false
  const [names, others] = [Object.keys(a).sort(), Object.keys(b).sort()]
  if (names.join('\n') !== others.join('\n')) return false
  const member = (of: Json, name: string): Json =>
    Object.getOwnPropertyDescriptor(of, name)?.value as Json
  return names.every((name) => same(member(a, name), member(b, name)))
}

function of(expression: Expression | undefined, event: ViewEvent, element: Json | undefined): Json {
  if (expression === undefined) return null
  if (typeof expression === 'string') return at(expression, event, element) ?? null
  if (Array.isArray(expression)) {
    return (expression as Expression[]).map((part) => of(part, event, element))
  }
  if ('const' in expression) return expression.const
  if ('object' in expression) {
    const members = Object.entries(expression.object)
    return Object.fromEntries(members.map(([name, part]) => [name, of(part, event, element)]))
  }
  if (!('date' in expression)) throw new Error('no expression')
  const { date, unit, parts, offset = '+00:00' } = expression
  const text = at(date, event, element)
  if (typeof text !== 'string' || !/^\d{4}-\d\d-\d\dT/.test(text)) return null
  const [hours = 0, minutes = 0] = offset.split(':').map(Number)
  const shifted = new Date(
    Date.parse(text) + (hours * 60 + Math.sign(hours || 1) * minutes) * 60_000
  )
  const numbers = [
    shifted.getUTCFullYear(),
    shifted.getUTCMonth() + 1,
    shifted.getUTCDate(),
    shifted.getUTCHours(),
    shifted.getUTCMinutes()
  ].slice(0, ['year', 'month', 'day', 'hour', 'minute'].indexOf(unit) + 1)
  if (parts === true) return numbers
  const iso = shifted.toISOString()
  return iso.slice(0, { year: 4, month: 7, day: 10, hour: 13, minute: 16 }[unit])
}

test('a definition makes the rows that its words say', () => {
  let [rows, none] = [0, 0]
  fc.assert(
    fc.property(definitions(), fc.array(events(), { maxLength: 8 }), (definition, given) => {
      const outcomes = programOf(definition).map(given)
      for (const [index, event] of given.entries()) {
        const expected = interpreted(definition, event).map(([key, value]) => ({ key, value }))
        expect(outcomes[index]).toEqual({ rows: expected })
        if (expected.length > 0) rows += 1
        else none += 1
      }
    }),
    { numRuns: 3_000 }
  )
  expect(rows).toBeGreaterThan(500)
  expect(none).toBeGreaterThan(500)
})

describe('a definition', () => {
  const note = viewEventOf(
    {
      dock: 4,
      lines: [
        { sku: 'nut', qty: 3 },
        { sku: 'bolt', qty: 0 },
        { sku: 'nut', qty: 5 }
      ],
      'net.weight': 12,
      at: '2026-11-02T23:30:00-05:00'
    },
    { type: 'delivery.received' }
  )

  test('makes a row for each line of a delivery note that counts', () => {
    const definition = {
      where: { type: 'delivery.received', 'each.qty': { gt: 0 } },
      each: 'data.lines',
      key: ['each.sku', { date: 'time', unit: 'day' }],
      value: 'each.qty',
      reduce: '_sum'
    }
    expect(keysAndValues(definition, note)).toEqual([
      [['nut', '2026-11-02'], 3],
      [['nut', '2026-11-02'], 5]
    ])
    expect(programOf(definition).reducer?.name).toBe('_sum')
  })

  test('finds names with dots by a pointer, and elements by their number', () => {
    const definition = { key: '/data/net.weight', value: 'data.lines.2.qty' }
    expect(keysAndValues(definition, note)).toEqual([[12, 5]])
    expect(keysAndValues({ key: 'data.lines.length', value: 'data.lines.02' }, note)).toEqual([
      [null, null]
    ])
    expect(keysAndValues({ key: 'data.toString', value: 'data.__proto__' }, note)).toEqual([
      [null, null]
    ])
  })

  test('tells a time in any zone by the unit and the offset', () => {
    const date = { date: 'data.at', unit: 'hour' }
    expect(keysAndValues({ key: date, value: { ...date, parts: true } }, note)).toEqual([
      ['2026-11-03T04', [2026, 11, 3, 4]]
    ])
    const there = { key: { ...date, offset: '-05:00' }, value: { ...date, date: 'data.dock' } }
    expect(keysAndValues(there, note)).toEqual([['2026-11-02T23', null]])
  })

  test('does not compare what is of different types', () => {
    for (const operator of ['gt', 'gte', 'lt', 'lte']) {
      for (const operand of ['4', null, [4], { a: 4 }, true]) {
        expect(
          keysAndValues({ key: 'type', where: { 'data.dock': { [operator]: operand } } }, note)
        ).toEqual([])
      }
    }
  })

  test('takes what is absent for nothing but unequal', () => {
    const holding = [{ ne: 1 }, { ne: null }, { exists: false }]
    const others = [null, { eq: null }, { exists: true }, { in: [null] }, { lt: 1 }, { prefix: '' }]
    for (const condition of holding) {
      expect(keysAndValues({ key: 'type', where: { 'data.none': condition } }, note)).toHaveLength(
        1
      )
    }
    for (const condition of others) {
      expect(keysAndValues({ key: 'type', where: { 'data.none': condition } }, note)).toEqual([])
    }
  })

  test('is equal to what is written in another order, and to nothing else', () => {
    const hashOf = (definition: unknown): string => programOf(definition).hash
    const hash = hashOf({ key: 'type', where: { type: 'a', subject: 'b' } })
    expect(hash).toMatch(/^[0-9a-f]{64}$/)
    expect(hashOf({ where: { subject: 'b', type: 'a' }, key: 'type' })).toBe(hash)
    expect(hashOf({ key: 'type', where: { type: 'a', subject: 'c' } })).not.toBe(hash)
    expect(
      hashOf({ key: 'type', where: { type: 'a', subject: 'b' }, events: 'effective' })
    ).not.toBe(hash)
    expect(programOf({ key: 'type', events: 'effective' }).events).toBe('effective')
  })

  test('that would make more rows, or more bytes of them, than it may is a fault of the event', () => {
    const many = viewEventOf({ lines: Array.from({ length: 10_001 }, () => 0) })
    expect(keysAndValues({ each: 'data.lines' }, many)).toBe('makes more than 10000 rows')
    const large = viewEventOf({
      lines: Array.from({ length: 9_000 }, () => 0),
      text: 'x'.repeat(4_000)
    })
    expect(keysAndValues({ each: 'data.lines', value: 'data' }, large)).toMatch(
      /^makes more than \d+ bytes/
    )
    expect(keysAndValues({ each: 'data.lines', value: 'each' }, large)).toHaveLength(9_000)
  })

  test('stands data that is nested deeper than an event may be', () => {
    let deep: Json = 1
    for (let level = 0; level < 5_000; level += 1) deep = [deep]
    const event = viewEventOf(deep)
    const where = { data: { ne: [1], gte: [0], exists: true } }
    expect(keysAndValues({ key: 'type', where }, event)).toHaveLength(1)
    expect(keysAndValues({ key: 'type', where: { data: [[[1]]] } }, event)).toEqual([])
  })
})
