/** Canonical JSON: one text for one value, and the value back out of the text. */

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'

import { canonicalJson } from '../../src/schema/canonical-json.ts'
import { JSON_DEPTH_MAX } from '../../src/schema/limits.ts'

/** Names and texts that trip implementations, lone surrogates included. */
const texts = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc.string({ unit: fc.integer({ min: 0, max: 0xffff }).map((c) => String.fromCharCode(c)) }),
  fc.constantFrom('__proto__', 'then', 'constructor', 'toJSON', '\ud800', '\udc00x', '\u0000', '')
)

const numbers = fc.oneof(
  fc.double({ noDefaultInfinity: true, noNaN: true }),
  fc.integer(),
  fc.constantFrom(-0, 5e-324, Number.MAX_VALUE, 1e21, 1e-7, 2 ** 53)
)

const { value: values } = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    texts,
    numbers,
    fc.boolean(),
    fc.constant(null),
    fc.array(tie('value'), { maxLength: 5 }),
    fc.array(fc.tuple(texts, tie('value')), { maxLength: 5 }).map(objectOf)
  )
}))

const TOO_DEEP = { detail: `nested more than ${JSON_DEPTH_MAX} deep` }

describe('canonical JSON', () => {
  test('is read back as the value', () => {
    fc.assert(
      fc.property(values, (value) => {
        expect(withoutMinusZero(JSON.parse(canonical(value)))).toEqual(withoutMinusZero(value))
      })
    )
  })

  test('is its own canonical form', () => {
    fc.assert(
      fc.property(values, (value) => {
        const text = canonical(value)
        expect(canonical(JSON.parse(text))).toBe(text)
      })
    )
  })

  test('is the same for any order of members', () => {
    fc.assert(
      fc.property(values, fc.integer(), (value, seed) => {
        expect(canonical(shuffled(value, seed))).toBe(canonical(value))
      })
    )
  })

  test('is the same for any JSON text of the value', () => {
    fc.assert(
      fc.property(values, fc.integer({ min: 0, max: 4 }), (value, space) => {
        expect(canonical(JSON.parse(JSON.stringify(value, undefined, space)))).toBe(
          canonical(value)
        )
      })
    )
  })

  test('has the members of every object in the order of UTF-16 code units', () => {
    fc.assert(
      fc.property(fc.uniqueArray(texts, { maxLength: 8 }), (names) => {
        const object = objectOf(names.map((name) => [name, 1]))
        const members = names.toSorted().map((name) => `${JSON.stringify(name)}:1`)
        expect(canonical(object)).toBe(`{${members.join(',')}}`)
      })
    )
  })

  test('is UTF-8 that a strict decoder takes', () => {
    const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
    fc.assert(
      fc.property(values, (value) => {
        const text = canonical(value)
        expect(decoder.decode(Buffer.from(text))).toBe(text)
      })
    )
  })

  test('leaves out members that are undefined, as JSON.stringify does', () => {
    expect(canonical({ b: undefined, a: 1 })).toBe('{"a":1}')
    expect(canonical({ b: 1, a: undefined, c: [{ x: undefined }] })).toBe('{"b":1,"c":[{}]}')
  })

  test('of what is not JSON is a problem with its place, never an exception', () => {
    const anything = fc.anything({
      withBigInt: true,
      withDate: true,
      withMap: true,
      withSet: true,
      withTypedArray: true,
      withNullPrototype: true,
      withSparseArray: true
    })
    fc.assert(
      fc.property(anything, (value) => {
        const result = canonicalJson(value, '/at')
        if (typeof result === 'string') JSON.parse(result)
        else expect(result.pointer.startsWith('/at')).toBe(true)
      })
    )
    expect(canonicalJson({ a: [1, { 'b/c~d': 1n }] })).toMatchObject({ pointer: '/a/1/b~1c~0d' })
    expect(canonicalJson([Number.NaN])).toMatchObject({ pointer: '/0' })
    expect(canonicalJson(new Date(0))).toMatchObject({ pointer: '' })
    expect(canonicalJson(Object.create(Object.create(null)))).toMatchObject({ pointer: '' })
  })

  test('of nesting up to the limit is a text, and beyond it a problem', () => {
    expect(canonicalJson(nested(JSON_DEPTH_MAX))).toBe(
      '['.repeat(JSON_DEPTH_MAX) + ']'.repeat(JSON_DEPTH_MAX)
    )
    expect(canonicalJson(nested(JSON_DEPTH_MAX + 1))).toMatchObject(TOO_DEEP)
  })

  test('of a value that holds itself twice is a problem, and soon', () => {
    const value: unknown[] = []
    value.push(value, value)
    expect(canonicalJson(value)).toMatchObject(TOO_DEEP)
  })
})

function canonical(value: unknown): string {
  const text = canonicalJson(value)
  if (typeof text !== 'string') throw new Error(`${text.pointer}: ${text.detail}`)
  return text
}

/** An object with these own members; `__proto__` is one like any other. */
function objectOf(members: readonly (readonly [string, unknown])[]): object {
  const object = {}
  for (const [name, value] of members) {
    Object.defineProperty(object, name, {
      value,
      enumerable: true,
      configurable: true,
      writable: true
    })
  }
  return object
}

function shuffled(value: unknown, seed: number): unknown {
  if (Array.isArray(value)) return value.map((each) => shuffled(each, seed))
  if (typeof value !== 'object' || value === null) return value
  const members = Object.entries(value).map(([name, member]) => ({
    order: Math.imul(seed + name.length * 31 + name.charCodeAt(0), 2_654_435_761) >>> 0,
    member: [name, shuffled(member, seed)] as const
  }))
  return objectOf(members.toSorted((a, b) => a.order - b.order).map(({ member }) => member))
}

function withoutMinusZero(value: unknown): unknown {
  if (Object.is(value, -0)) return 0
  if (Array.isArray(value)) return value.map(withoutMinusZero)
  if (typeof value !== 'object' || value === null) return value
  return objectOf(Object.entries(value).map(([name, each]) => [name, withoutMinusZero(each)]))
}

function nested(depth: number): unknown {
  let value: unknown[] = []
  for (let at = 1; at < depth; at += 1) value = [value]
  return value
}
