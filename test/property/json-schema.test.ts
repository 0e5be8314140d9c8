/** JSON Schemas against a plain reading of the specification; and what hostile ones cost. */

import fc from 'fast-check'
import { describe, expect, test, vi } from 'vitest'

import type { Json } from '../../src/core/json.ts'
import type { Problem } from '../../src/errors.ts'
import { loadJsonSchema } from '../../src/schema/json-schema.ts'
import { SCHEMA_DEPTH_MAX, TAME_SCHEMA_CHARACTERS_MAX } from '../../src/schema/limits.ts'
import { SchemaInUse, checkEach } from '../../src/schema/schema-in-use.ts'
import { TimeBoxOverrun, runWithin } from '../../src/schema/time-box.ts'
import type { Validator } from '../../src/schema/validator.ts'
import { makeSmall } from '../fixtures/small-limits.ts'

vi.mock('../../src/schema/limits.ts', async (original) => {
  const { smallable } = await import('../fixtures/small-limits.ts')
  return smallable(await original())
})

const compiler = await loadJsonSchema()

function compiled(schema: Json): Validator {
  const made = compiler.compile(schema)
  if ('problems' in made) throw new Error(JSON.stringify(made.problems))
  return made
}

function faultsOf(schema: Json): readonly Problem[] {
  const made = compiler.compile(schema)
  return 'problems' in made ? made.problems : []
}

/** Small schemas of which the oracle knows every word. */
interface Small {
  readonly type?: string
  readonly enum?: readonly Json[]
  readonly minimum?: number
  readonly maxLength?: number
  readonly required?: readonly string[]
  readonly properties?: Readonly<Record<string, Small>>
  readonly additionalProperties?: false
  readonly items?: Small
  readonly note?: string
}

const NAMES = ['a', 'b', 'a/b', 'm~n', 'constructor', '']
const names = fc.constantFrom(...NAMES)
const scalars: fc.Arbitrary<Json> = fc.constantFrom(null, true, 0, 1, 7.5, '', 'a', 'abcd')

const small = fc.memo((depth): fc.Arbitrary<Small> => {
  const words = {
    type: fc.constantFrom('object', 'array', 'number', 'string', 'null', 'integer'),
    enum: fc.uniqueArray(scalars, { minLength: 1, maxLength: 3 }),
    minimum: fc.integer({ min: 0, max: 8 }),
    maxLength: fc.integer({ min: 0, max: 4 }),
    // Ajv does not miss a property whose name is empty.
    required: fc.uniqueArray(fc.constantFrom(...NAMES.slice(0, -1)), { maxLength: 2 }),
    additionalProperties: fc.constant(false as const),
    note: fc.constant('no word of the specification')
  }
  if (depth <= 1) return fc.record(words, { requiredKeys: [], noNullPrototype: true })
  const inner = {
    properties: fc.dictionary(names, small(depth - 1), { maxKeys: 3, noNullPrototype: true }),
    items: small(depth - 1)
  }
  return fc.record({ ...words, ...inner }, { requiredKeys: [], noNullPrototype: true })
})

const { data } = fc.letrec<{ data: Json }>((tie) => ({
  data: fc.oneof(
    { maxDepth: 3 },
    scalars,
    fc.dictionary(names, tie('data'), { maxKeys: 3, noNullPrototype: true }),
    fc.array(tie('data'), { maxLength: 3 })
  )
}))

/** Every place at which the data does not follow, as the specification says it. */
function placesOf(schema: Small, value: Json, pointer: string): string[] {
  const places: string[] = []
  const isObject = typeof value === 'object' && value !== null && !Array.isArray(value)
  if (schema.type !== undefined && !isOfType(value, schema.type)) places.push(pointer)
  if (schema.enum?.every((each) => JSON.stringify(each) !== JSON.stringify(value)) === true) {
    places.push(pointer)
  }
  if (typeof value === 'number' && value < (schema.minimum ?? value)) places.push(pointer)
  if (typeof value === 'string' && value.length > (schema.maxLength ?? Infinity)) {
    places.push(pointer)
  }
  if (Array.isArray(value)) {
    const { items } = schema
    if (items !== undefined) {
      places.push(...value.flatMap((each: Json, at) => placesOf(items, each, `${pointer}/${at}`)))
    }
  }
  if (!isObject) return places
  const properties = schema.properties ?? {}
  for (const name of schema.required ?? []) {
    if (!Object.hasOwn(value, name)) places.push(`${pointer}/${escaped(name)}`)
  }
  for (const [name, member] of Object.entries(value)) {
    const at = `${pointer}/${escaped(name)}`
    const known = Object.hasOwn(properties, name) ? properties[name] : undefined
    if (known !== undefined) places.push(...placesOf(known, member, at))
    else if (schema.additionalProperties === false) places.push(at)
  }
  return places
}

function escaped(name: string): string {
  return name.replaceAll('~', '~0').replaceAll('/', '~1')
}

function isOfType(value: Json, type: string): boolean {
  if (type === 'null') return value === null
  if (type === 'array') return Array.isArray(value)
  if (type === 'integer') return Number.isInteger(value)
  return !Array.isArray(value) && value !== null && typeof value === type
}

describe('data follows a JSON Schema', () => {
  test('exactly where the specification says so, and a fault has its place', () => {
    fc.assert(
      fc.property(small(3), data, fc.constantFrom('7', '2020'), (schema, value, draft) => {
        const document: Json = {
          ...(schema as unknown as { [name: string]: Json }),
          $schema: DRAFTS[draft] ?? ''
        }
        const problems = compiled(document).check(value)
        const places = placesOf(schema, value, '')
        expect(problems.length > 0).toBe(places.length > 0)
        for (const { pointer } of problems) expect(places).toContain(pointer)
      }),
      { numRuns: 300 }
    )
  })

  test('and is told what is wrong in words', () => {
    const schema = {
      properties: { qty: { type: 'integer' }, zone: { enum: ['A1', 'B4'] }, unit: { const: 'kg' } },
      additionalProperties: false
    }
    const detail = (value: Json): string => compiled(schema).check(value)[0]?.detail ?? ''
    expect(detail({ qty: 'x' })).toBe('must be integer')
    expect(detail({ zone: 'C' })).toBe('must be one of ["A1","B4"]')
    expect(detail({ unit: 'lb' })).toBe('must be "kg"')
    expect(detail({ more: 1 })).toBe('is not a property that may be there')
    expect(compiled({ required: ['qty'] }).check({})).toEqual([
      { pointer: '/qty', detail: 'is required' }
    ])
  })

  test('is not changed, whatever defaults a schema has', () => {
    const value = {}
    expect(compiled({ properties: { a: { default: 1 } } }).check(value)).toEqual([])
    expect(value).toEqual({})
  })

  test('of whichever draft it says it is, of the newer one if it says nothing', () => {
    const tuple = { prefixItems: [{ type: 'number' }] }
    expect(compiled(tuple).check(['x'])).toHaveLength(1)
    expect(compiled({ ...tuple, $schema: DRAFTS['7'] ?? '' }).check(['x'])).toEqual([])
    const old = { $schema: 'http://json-schema.org/draft-07/schema', items: [{ type: 'number' }] }
    expect(compiled(old).check(['x'])).toHaveLength(1)
    expect(compiled(true).check(1)).toEqual([])
    expect(compiled(false).check(1)).toHaveLength(1)
  })

  test('and what is named like something of the language is a name', () => {
    const schema = JSON.parse('{"required":["constructor","__proto__","toString"]}') as Json
    expect(compiled(schema).check({})).toHaveLength(1)
    const value: unknown = JSON.parse('{"constructor":1,"__proto__":2,"toString":3}')
    expect(compiled(schema).check(value)).toEqual([])
  })

  test('but formats are notes', () => {
    expect(compiled({ format: 'date-time' }).check('yesterday')).toEqual([])
  })
})

const DRAFTS: Readonly<Record<string, string>> = {
  '7': 'http://json-schema.org/draft-07/schema#',
  '2020': 'https://json-schema.org/draft/2020-12/schema'
}

describe('what is no schema', () => {
  test('is refused with its place, never with an exception', () => {
    const faults: [Json, string][] = [
      [1, ''],
      [[], ''],
      [null, ''],
      [{ $schema: 'http://json-schema.org/draft-04/schema#' }, '/$schema'],
      [{ $schema: 7 }, '/$schema'],
      [{ type: 'nothing' }, '/type'],
      [{ properties: { 'a/b': { minimum: 'x' } } }, '/properties/a~1b/minimum'],
      [{ properties: { a: { pattern: '(' } } }, '/properties/a/pattern'],
      [{ patternProperties: { '[': true } }, '/patternProperties/['],
      [{ $ref: 'https://example.com/other.json' }, ''],
      [{ $ref: '#/definitions/nothing' }, ''],
      [{ $ref: '#' }, ''],
      [{ allOf: [{ $ref: '#' }] }, ''],
      [{ $async: true }, '/$async'],
      [{ properties: { a: { $async: true } } }, '/properties/a/$async']
    ]
    for (const [schema, pointer] of faults) {
      expect(faultsOf(schema)[0]?.pointer, JSON.stringify(schema)).toBe(pointer)
    }
  })

  test('may be anything', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (schema) => {
        compiler.compile(schema as Json)
      })
    )
  })

  test('is what is nested deeper than a schema may be', () => {
    const nested = (depth: number): Json => {
      let schema: Json = {}
      for (let level = 0; level < depth; level += 1) schema = { not: schema }
      return schema
    }
    expect(faultsOf(nested(SCHEMA_DEPTH_MAX))).toEqual([])
    expect(faultsOf(nested(SCHEMA_DEPTH_MAX + 1))).toMatchObject([
      { detail: `nested more than ${SCHEMA_DEPTH_MAX} deep` }
    ])
  })

  test('is what takes too long to make a checker of', () => {
    makeSmall({ COMPILE_MS_MAX: 1 })
    const properties = Object.fromEntries(
      Array.from({ length: 2_000 }, (_, index) => [`p${index}`, { type: 'string', minLength: 1 }])
    )
    expect(faultsOf({ properties })).toEqual([{ pointer: '', detail: 'took longer than 1 ms' }])
  })
})

/** Each takes for ever, or half a minute at the least, on data of some hundred bytes. */
const HOSTILE: readonly [string, Json, Json][] = [
  ['a pattern that backtracks', { pattern: '^(a+)+$' }, `${'a'.repeat(60)}!`],
  [
    'a property name that backtracks',
    { patternProperties: { '^(a|a)*$': true } },
    { [`${'a'.repeat(60)}!`]: 1 }
  ],
  [
    'references that double at each step',
    {
      $ref: '#/$defs/d0',
      $defs: Object.fromEntries(
        Array.from({ length: 41 }, (_, at) => {
          const next = { $ref: `#/$defs/d${at + 1}` }
          return [`d${at}`, at === 40 ? { type: 'number' } : { allOf: [next, next] }]
        })
      )
    },
    1
  ],
  [
    'data that doubles at each level',
    {
      $ref: '#/$defs/d',
      $defs: {
        d: {
          anyOf: [0, 1].map(() => ({ properties: { a: { $ref: '#/$defs/d' } } })),
          not: { required: ['z'] }
        }
      }
    },
    nestedData(60)
  ]
]

function nestedData(depth: number): Json {
  let value: Json = { z: 1 }
  for (let level = 0; level < depth; level += 1) value = { a: value }
  return value
}

describe('a hostile schema is ended, and set aside', () => {
  test.each(HOSTILE)('%s: when it is so again', (_what, schema, value) => {
    makeSmall({ CHECK_MS_MAX: 100, CHECK_OVERRUNS_MAX: 2, COMPILE_MS_MAX: 2_000 })
    const made = compiler.compile(schema)
    // The one that takes for ever on anything is found out at once.
    if ('problems' in made) {
      expect(made.problems).toEqual([{ pointer: '', detail: 'took longer than 2000 ms' }])
      return
    }
    expect(made.isTame).toBe(false)
    const used = new SchemaInUse(made)
    for (const isSetAside of [false, true]) {
      expect(used.problemsOf(value)).toEqual([
        { pointer: '', detail: 'its schema took longer than 100 ms' }
      ])
      expect(used.isSetAside).toBe(isSetAside)
    }
    expect(used.problemsOf(value)).toEqual([])
  })

  test('costs the others of a request nothing but its time', async () => {
    makeSmall({ CHECK_MS_MAX: 100, CHECK_SLICE_MS: 1 })
    const bad = new SchemaInUse(compiled({ pattern: '^(a+)+$' }))
    const good = new SchemaInUse(compiled({ type: 'string' }))
    const text = `${'a'.repeat(60)}!`
    let pauses = 0
    const found = await checkEach(
      [good, bad, good, bad].map((schema, at) => ({ schema, data: at === 2 ? 1 : text })),
      {
        monotonicMs: () => performance.now(),
        pause: async () => {
          pauses += 1
        }
      }
    )
    expect(found.map((problems) => problems[0]?.detail)).toEqual([
      undefined,
      'its schema took longer than 100 ms',
      'must be string',
      'its schema took longer than 100 ms'
    ])
    expect(pauses).toBeGreaterThan(0)
  })

  test('of small words is not watched, and one that is large or can take long is', () => {
    expect(compiled({ type: 'object', required: ['a'] }).isTame).toBe(true)
    expect(compiled({ items: { pattern: 'a' } }).isTame).toBe(false)
    expect(compiled({ uniqueItems: true }).isTame).toBe(false)
    expect(compiled({ title: 'x'.repeat(TAME_SCHEMA_CHARACTERS_MAX) }).isTame).toBe(false)
  })

  test('tells no more of what is wrong than has room', () => {
    const anyOf = Array.from({ length: 50 }, (_, at) => ({ const: at }))
    const problems = compiled({ anyOf }).check('x')
    expect(problems.length).toBe(8)
  })
})

describe('a time box', () => {
  test('gives what is made in it, and throws what is thrown', () => {
    expect(runWithin(1_000, () => 7)).toBe(7)
    expect(() => runWithin(1_000, () => JSON.parse('{') as Json)).toThrow(SyntaxError)
  })

  test('ends what would not end, and works again', () => {
    expect(() =>
      runWithin(5, () => {
        for (;;);
      })
    ).toThrow(TimeBoxOverrun)
    expect(runWithin(1_000, () => 7)).toBe(7)
  })
})
