/** Definitions of views that are not valid are refused, with a pointer to each fault. */

import { expect, test } from 'vitest'

import { readViewDefinition } from '../../src/views/read-definition.ts'

function pointers(value: unknown): string[] {
  const read = readViewDefinition(value)
  return 'problems' in read ? read.problems.map(({ pointer }) => pointer) : []
}

function details(value: unknown): string {
  const read = readViewDefinition(value)
  return 'problems' in read ? read.problems.map(({ detail }) => detail).join('; ') : ''
}

const script = { language: 'javascript', map: '() => 1' }

test.each([
  [{ key: 'type' }],
  [{ each: 'data.lines' }],
  [{ value: { const: null } }],
  [{ key: [], value: { object: {} }, reduce: '_count', events: 'effective' }],
  [{ key: { date: 'time', unit: 'day', parts: false, offset: '-11:59' } }],
  [{ key: { const: { const: 1, other: 2 } }, where: { '/data/a~1b': { in: [] } } }],
  [script],
  [{ ...script, reduce: '_sum' }],
  [{ ...script, reduce: '_ => 1' }],
  [{ language: 'javascript', fold: { initial: null, apply: '(state) => state' } }],
  [{ language: 'javascript', fold: { initialState: null, evolve: '(state) => state' } }],
  [{ ...script, reduce: undefined }]
])('%j is valid', (definition) => {
  expect(readViewDefinition(definition)).toEqual(JSON.parse(JSON.stringify(definition)))
})

test.each([
  [undefined, ['']],
  [null, ['']],
  [[], ['']],
  ['type', ['']],
  [{}, ['']],
  [{ where: { type: 'a' } }, ['']],
  [{ key: 'type', name: 'a' }, ['/name']],
  [{ key: 'type', map: '() => 1' }, ['/map']],
  [{ key: 'type', events: 'all' }, ['/events']],
  [{ key: 'type', reduce: '_median' }, ['/reduce']],
  [{ key: 'type', reduce: '() => 1' }, ['/reduce']],
  [{ key: 'kind' }, ['/key']],
  [{ key: 'type.length' }, ['/key']],
  [{ key: 'data..a' }, ['/key']],
  [{ key: '' }, ['/key']],
  [{ key: '/data/~2' }, ['/key']],
  [{ key: 'each.a' }, ['/key']],
  [{ key: 1, value: null }, ['/key', '/value']],
  [{ key: ['type', { object: { a: ['b'] } }] }, ['/key/1/object/a/0']],
  [{ key: { object: [] } }, ['/key/object']],
  [{ key: { const: 1, unit: 'day' } }, ['/key/unit']],
  [{ key: { each: 'data' } }, ['/key']],
  [{ key: { date: 'time' } }, ['/key/unit']],
  [{ key: { date: 'time', unit: 'week' } }, ['/key/unit']],
  [{ key: { date: 'time', unit: 'toString' } }, ['/key/unit']],
  [
    { key: { date: 1, unit: 'day', parts: 1, offset: 'CET' } },
    ['/key/date', '/key/parts', '/key/offset']
  ],
  [{ key: { date: 'time', unit: 'day', offset: '+24:00' } }, ['/key/offset']],
  [{ key: 'type', where: [] }, ['/where']],
  [{ key: 'type', where: { 'a/b': 1 } }, ['/where/a~1b']],
  [{ key: 'type', where: { type: {} } }, ['/where/type']],
  [{ key: 'type', where: { type: { like: 'a' } } }, ['/where/type/like']],
  [
    { key: 'type', where: { type: { in: 1, exists: 1, prefix: 1 } } },
    ['/where/type/in', '/where/type/exists', '/where/type/prefix']
  ],
  [{ each: 1 }, ['/each']],
  [{ each: 'each' }, ['/each']],
  [{ each: 'lines' }, ['/each']],
  [{ language: 'python', map: '' }, ['/language']],
  [{ language: 'javascript' }, ['']],
  [{ ...script, key: 'type' }, ['/key']],
  [{ ...script, map: 1 }, ['/map']],
  [{ ...script, reduce: 1 }, ['/reduce']],
  [{ ...script, reduce: '_median' }, ['/reduce']],
  [{ ...script, fold: { initial: 0, apply: '' } }, ['']],
  [{ map: '() => 1' }, ['/language']],
  [{ fold: { initial: 0, apply: '' } }, ['/language']],
  [{ language: 'javascript', fold: { initialState: 0, apply: '', evolve: '' } }, ['/fold/evolve']],
  [{ language: 'javascript', fold: { initialState: 0, evolve: 1 } }, ['/fold/evolve']],
  [{ language: 'javascript', fold: 1 }, ['/fold']],
  [{ language: 'javascript', fold: {} }, ['/fold/initial', '/fold/apply']],
  [{ language: 'javascript', fold: { initial: 0, apply: '', more: '' } }, ['/fold/more']],
  [
    { language: 'javascript', fold: { initial: 0, apply: '', key: 1, select: {}, final: 2 } },
    ['/fold/key', '/fold/select', '/fold/final']
  ],
  [{ language: 'javascript', reduce: '_sum', fold: { initial: 0, apply: '' } }, ['/reduce']],
  [{ key: 'type', where: { type: { eq: Number.NaN } } }, ['/where/type/eq']],
  [{ ...script, map: () => 1 }, ['/map']],
  [JSON.parse('{"key":"type","__proto__":1}'), ['/__proto__']]
])('%j is refused at %j', (definition, expected) => {
  expect(pointers(definition)).toEqual(expected)
})

test('a definition is bounded in bytes, names, conditions, parts and depth', () => {
  const text = (length: number): unknown => ({ ...script, map: 'x'.repeat(length) })
  expect(pointers(text(65_536 - 40))).toEqual([])
  expect(details(text(65_536))).toContain('at most 65536 bytes')

  const path = (names: number): unknown => ({
    key: ['data', ...Array(names - 1).fill('a')].join('.')
  })
  expect(pointers(path(32))).toEqual([])
  expect(details(path(33))).toContain('more than 32 names')

  const where = (members: number): unknown => {
    const paths = Array.from({ length: members }, (_, number) => [`data.a${number}`, 1])
    return { key: 'type', where: Object.fromEntries(paths) as unknown }
  }
  expect(pointers(where(64))).toEqual([])
  expect(details(where(65))).toContain('more than 64 members')

  const parts = (count: number): unknown => ({ key: Array(count - 1).fill('type') })
  expect(pointers(parts(256))).toEqual([])
  expect(details(parts(1_000))).toBe('key and value have more than 256 parts')

  const nested = (depth: number): unknown => {
    let key: unknown = 'type'
    for (let level = 0; level < depth; level += 1)
      key = level % 2 === 0 ? [key] : { object: { key } }
    return { key }
  }
  expect(pointers(nested(16))).toEqual([])
  expect(details(nested(17))).toContain('nested more than 16 deep')
})

test('what was read is a copy that its giver cannot change', () => {
  const given = { key: ['type'] }
  const read = readViewDefinition(given)
  given.key[0] = 'no path'
  expect(read).toEqual({ key: ['type'] })
})
