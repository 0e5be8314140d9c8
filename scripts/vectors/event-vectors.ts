/** The vectors of `protocols/event`: events regions, key texts, natural keys, canonical values. */

import {
  BAD_VARINTS,
  T0,
  bytesOf,
  counting,
  hex,
  keyAt,
  regionParts,
  replaced,
  sha256,
  text,
  truncations,
  varint
} from './material.ts'
import type { VectorEvent } from './material.ts'

export function validEvents(): object {
  return {
    regions: VALID_REGIONS.map(({ name, description, events }) => ({
      name,
      description,
      count: events.length,
      hex: hex(bytesOf(regionParts(events))),
      events: events.map(({ key, value }) => ({
        key: hex(key),
        value: hex(value),
        value_sha256: hex(sha256(value))
      }))
    })),
    keys: VALID_KEYS,
    natural_keys: NATURAL_FACTS.map(naturalKey),
    canonical_values: CANONICAL.map(({ name, input, canonical }) => ({
      name,
      input,
      canonical,
      utf8: hex(text(canonical)),
      sha256: hex(sha256(text(canonical)))
    }))
  }
}

export function invalidEvents(): object {
  const parts = regionParts(TWO)
  const whole = bytesOf(parts)
  const region = (name: string, bytes: Uint8Array, code: string, count = 2): object => ({
    name,
    count,
    hex: hex(bytes),
    code
  })
  return {
    regions: [
      ...truncations(parts).map(({ name, bytes }) => region(`cut ${name}`, bytes, 'truncated')),
      region('fewer events than the count says', whole, 'truncated', 3),
      region('more events than the count says', whole, 'trailing-bytes', 1),
      region('a byte behind the last event', Buffer.concat([whole, varint(0)]), 'trailing-bytes'),
      region('bytes behind no events', whole, 'trailing-bytes', 0),
      region(
        'an empty value',
        Buffer.concat([replaced(parts.slice(0, 3), 'value length 0', varint(0)), whole]),
        'not-allowed'
      ),
      region(
        'a value one byte above the limit, and no bytes behind the length',
        Buffer.concat([keyAt(T0, 1), varint(262_145)]),
        'over-limit',
        1
      ),
      region(
        'a value of 2^53 - 1 bytes, and no bytes behind the length',
        Buffer.concat([keyAt(T0, 1), varint(2n ** 53n - 1n)]),
        'over-limit',
        1
      ),
      region(
        'a value at the limit, and no bytes behind the length',
        Buffer.concat([keyAt(T0, 1), varint(262_144)]),
        'truncated',
        1
      ),
      region('a count above the limit, and no bytes', new Uint8Array(), 'over-limit', 10_001),
      region('a count at the limit, and no bytes', new Uint8Array(), 'truncated', 10_000),
      ...BAD_VARINTS.map(({ name, bytes }) =>
        region(`value length: ${name}`, replaced(parts, 'value length 0', bytes), 'bad-varint')
      )
    ],
    keys: INVALID_KEYS,
    values: NOT_JSON_VALUES
  }
}

const TWO: readonly VectorEvent[] = [
  { key: keyAt(T0, 0x01), value: text('{"data":1}') },
  { key: keyAt(T0 + 1, 0x0b), value: text('{"data":2}') }
]

const VALID_REGIONS: readonly {
  readonly name: string
  readonly description: string
  readonly events: readonly VectorEvent[]
}[] = [
  { name: 'two events', description: 'The usual case.', events: TWO },
  {
    name: 'keys that fall',
    description: 'Events keep the order of the writer; backdated keys are normal.',
    events: TWO.toReversed()
  },
  {
    name: 'lowest and highest key',
    description: 'Every 16 bytes are a key.',
    events: [
      { key: new Uint8Array(16), value: text('{"data":null}') },
      { key: new Uint8Array(16).fill(0xff), value: text('{"data":null}') }
    ]
  },
  {
    name: 'the same event twice',
    description: 'No writer makes this; every receiver takes it, and stores the event once.',
    events: [TWO[0], TWO[0]].flatMap((event) => event ?? [])
  },
  {
    name: 'one key with two contents',
    description: 'Both are stored: the identity of an event is key and content hash.',
    events: [
      { key: keyAt(T0, 0x01), value: text('{"data":1}') },
      { key: keyAt(T0, 0x01), value: text('{"data":2}') }
    ]
  },
  {
    name: 'a value that is not JSON',
    description: 'The value is opaque on the wire.',
    events: [{ key: keyAt(T0, 0x01), value: Buffer.from([0xff, 0x00, 0xc0]) }]
  },
  {
    name: 'a length of two bytes',
    description: 'A value of 128 bytes, the first that takes a varint of two.',
    events: [{ key: keyAt(T0, 0x01), value: counting(0, 128) }]
  },
  { name: 'no events', description: 'An empty region for a count of zero.', events: [] }
]

/** The ULID specification's edges, and forms of one key. `canonical` is the form to be shown. */
const VALID_KEYS = [
  {
    name: 'lowest',
    text: '00000000000000000000000000',
    hex: '0'.repeat(32),
    canonical: '00000000000000000000000000',
    time_ms: 0
  },
  {
    name: 'highest',
    text: '7ZZZZZZZZZZZZZZZZZZZZZZZZZ',
    hex: 'f'.repeat(32),
    canonical: '7ZZZZZZZZZZZZZZZZZZZZZZZZZ',
    time_ms: 281_474_976_710_655
  },
  {
    name: 'the example of the ULID specification',
    text: '01ARZ3NDEKTSV4RRFFQ69G5FAV',
    hex: '01563e3ab5d3d6764c61efb99302bd5b',
    canonical: '01ARZ3NDEKTSV4RRFFQ69G5FAV',
    time_ms: 1_469_922_850_259
  },
  {
    name: 'lower case',
    text: '01arz3ndektsv4rrffq69g5fav',
    hex: '01563e3ab5d3d6764c61efb99302bd5b',
    canonical: '01ARZ3NDEKTSV4RRFFQ69G5FAV',
    time_ms: 1_469_922_850_259
  },
  {
    name: 'UUIDv7, the example of RFC 9562 A.6',
    text: '017F22E2-79B0-7CC3-98C4-DC0C0C07398F',
    hex: '017f22e279b07cc398c4dc0c0c07398f',
    canonical: '01FWHE4YDGFK1SHH6W1G60EECF',
    time_ms: 1_645_557_742_000
  },
  {
    name: 'UUIDv7 in lower case',
    text: '017f22e2-79b0-7cc3-98c4-dc0c0c07398f',
    hex: '017f22e279b07cc398c4dc0c0c07398f',
    canonical: '01FWHE4YDGFK1SHH6W1G60EECF',
    time_ms: 1_645_557_742_000
  }
]

const INVALID_KEYS = [
  { name: 'above 128 bits', text: '80000000000000000000000000' },
  { name: 'far above 128 bits', text: '8ZZZZZZZZZZZZZZZZZZZZZZZZZ' },
  { name: 'a letter that the alphabet leaves out: I', text: '01ARZ3NDEKTSV4RRFFQ69G5FAI' },
  { name: 'a letter that the alphabet leaves out: L', text: '01ARZ3NDEKTSV4RRFFQ69G5FAL' },
  { name: 'a letter that the alphabet leaves out: O', text: '01ARZ3NDEKTSV4RRFFQ69G5FAO' },
  { name: 'a letter that the alphabet leaves out: U', text: '01ARZ3NDEKTSV4RRFFQ69G5FAU' },
  { name: '25 characters', text: '01ARZ3NDEKTSV4RRFFQ69G5FA' },
  { name: '27 characters', text: '01ARZ3NDEKTSV4RRFFQ69G5FAV0' },
  { name: 'nothing', text: '' },
  { name: 'a space', text: '01ARZ3NDEKTSV4RRFFQ69G5FA ' },
  { name: 'a full-width digit', text: '01ARZ3NDEKTSV4RRFFQ69G5FA\uff10' },
  { name: 'UUIDv4', text: '919108f7-52d1-4320-9bac-f847db4148a8' },
  { name: 'UUIDv7 without hyphens', text: '017f22e279b07cc398c4dc0c0c07398f' },
  { name: 'UUID of version 7 and another variant', text: '017f22e2-79b0-7cc3-18c4-dc0c0c07398f' }
]

const NATURAL_FACTS = [
  { database: 'yard', source: 'scanner-7', id: 'S-000123', time_ms: T0 },
  { database: 'yard', source: 'scanner-7', id: 'S-000123', time_ms: 0 },
  { database: 'depot', source: 'scanner-7', id: 'S-000123', time_ms: T0 },
  { database: 'yard', source: 'Tor "Süd"\n', id: '\u{1F69A}/\u20AC', time_ms: T0 },
  { database: 'yard', source: 'a\u0000b\u001f\u007f', id: 'lone \ud800 surrogate', time_ms: T0 }
]

/** Written out in JSON text by hand, so that the escapes of every fact can be read here. */
const NATURAL_TEXTS = [
  '["yard","scanner-7","S-000123"]',
  '["yard","scanner-7","S-000123"]',
  '["depot","scanner-7","S-000123"]',
  '["yard","Tor \\"S\u00fcd\\"\\n","\u{1F69A}/\u20AC"]',
  '["yard","a\\u0000b\\u001f\u007f","lone \\ud800 surrogate"]'
]

function naturalKey(fact: (typeof NATURAL_FACTS)[number], index: number): object {
  const preimage = text(NATURAL_TEXTS[index] ?? '')
  const time = Buffer.alloc(6)
  time.writeUIntBE(fact.time_ms, 0, 6)
  const key = Buffer.concat([time, sha256(preimage).subarray(0, 10)])
  return { ...fact, preimage: hex(preimage), key: hex(key) }
}

/** `input` is JSON text; `canonical` what it becomes. Numbers: RFC 8785, appendix B. */
const CANONICAL = [
  { name: 'members by UTF-16 code unit', input: '{"b":1,"a":2}', canonical: '{"a":2,"b":1}' },
  {
    name: 'order of RFC 8785 §3.2.3',
    input: '{"\\u20ac":1,"\\r":2,"\\ufb33":3,"1":4,"\\ud83d\\ude00":5,"\\u0080":6,"\\u00f6":7}',
    canonical: '{"\\r":2,"1":4,"\u0080":6,"\u00f6":7,"\u20ac":1,"\u{1F600}":5,"\ufb33":3}'
  },
  { name: 'digits are names too', input: '{"9":1,"10":2}', canonical: '{"10":2,"9":1}' },
  {
    name: 'white space goes, order of arrays stays',
    input: ' [ 3 ,\n1 , 2 ] ',
    canonical: '[3,1,2]'
  },
  {
    name: 'escapes of RFC 8785 §3.2.2.2',
    input: '"\\u20ac$\\u000F\\u000aA\'\\u0042\\u0022\\u005c\\\\\\"\\/"',
    canonical: '"\u20ac$\\u000f\\nA\'B\\"\\\\\\\\\\"/"'
  },
  {
    name: 'control characters',
    input: '"\\u0000\\b\\t\\n\\u000b\\f\\r\\u001f\\u007f"',
    canonical: '"\\u0000\\b\\t\\n\\u000b\\f\\r\\u001f\u007f"'
  },
  {
    name: 'lone surrogates stay escaped, in lower case: ours, not RFC 8785',
    input: '{"\\uD800":"\\uDEAD","pair":"\\uD83D\\uDE00"}',
    canonical: '{"pair":"\u{1F600}","\\ud800":"\\udead"}'
  },
  {
    name: 'no normalization of Unicode',
    input: '["\\u00e9","e\\u0301"]',
    canonical: '["\u00e9","e\u0301"]'
  },
  {
    name: 'names that a language may treat as its own',
    input: '{"then":1,"__proto__":{"a":1},"constructor":2,"toJSON":3}',
    canonical: '{"__proto__":{"a":1},"constructor":2,"then":1,"toJSON":3}'
  },
  {
    name: 'literals',
    input: '[null,true,false,{},[],""]',
    canonical: '[null,true,false,{},[],""]'
  },
  {
    name: 'numbers: zero and minus zero',
    input: '[0,-0,0.0,0e5]',
    canonical: '[0,0,0,0]'
  },
  {
    name: 'numbers: one value, one text',
    input: '[1.0,1e2,1E-2,0.10,100e-2]',
    canonical: '[1,100,0.01,0.1,1]'
  },
  {
    name: 'numbers: RFC 8785 appendix B',
    input:
      '[5e-324,-5e-324,1.7976931348623157e308,-1.7976931348623157e308,9007199254740992,-9007199254740992,295147905179352830000,9.999999999999997e22,1e23,1.0000000000000001e23,999999999999999700000,999999999999999900000,1e21,9.999999999999997e-7,0.000001,333333333.3333332,333333333.33333325,333333333.3333333,333333333.3333334,333333333.33333343,-0.0000033333333333333333,1424953923781206.2]',
    canonical:
      '[5e-324,-5e-324,1.7976931348623157e+308,-1.7976931348623157e+308,9007199254740992,-9007199254740992,295147905179352830000,9.999999999999997e+22,1e+23,1.0000000000000001e+23,999999999999999700000,999999999999999900000,1e+21,9.999999999999997e-7,0.000001,333333333.3333332,333333333.33333325,333333333.3333333,333333333.3333334,333333333.33333343,-0.0000033333333333333333,1424953923781206.2]'
  }
]

/** JSON that is no value of an event: numbers that a double does not hold exactly. */
const NOT_JSON_VALUES = [
  { name: 'an SSCC as a number', input: '{"sscc":106141412345678908}', pointer: '/sscc' },
  { name: '2^53 + 1', input: '[9007199254740993]', pointer: '/0' },
  { name: 'eighteen digits behind the point', input: '[0.123456789012345678]', pointer: '/0' },
  { name: 'above the range', input: '{"a/b":{"~":[1,1e400]}}', pointer: '/a~1b/~0/1' },
  { name: 'below the range', input: '1e-400', pointer: '' },
  { name: 'between the smallest and its double', input: '[4e-324]', pointer: '/0' }
]
