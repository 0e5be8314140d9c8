/** Upcasters: view functions see one shape, whatever was written; and what upcasters are is part of the view. */

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'

import type { Json } from '../../src/core/json.ts'
import { systemHasher as hasher } from '../../src/node/system.ts'
import { Upcasters } from '../../src/schema/upcast.ts'
import type { Upcaster } from '../../src/schema/upcast.ts'
import type { FoldProgram, MapProgram, ViewEvent } from '../../src/views/program.ts'
import { nativeProgram } from '../../src/views/native-program.ts'
import { Selection, listOf } from '../../src/views/selection.ts'
import { upcastProgram } from '../../src/views/upcast-program.ts'

const RECEIVED = 'pallet.received'

const STEPS: readonly Upcaster[] = [
  { type: RECEIVED, to: 'v1', data: (qty) => ({ qty }) },
  {
    type: RECEIVED,
    from: 'v1',
    to: 'v2',
    data: (old) => {
      const { qty } = old as { readonly qty: number }
      if (qty === 13) throw new Error('not that one')
      return { pieces: qty }
    }
  }
]

const upcasters = new Upcasters(STEPS, hasher)

const events: fc.Arbitrary<ViewEvent[]> = fc.array(
  fc
    .record({
      type: fc.constantFrom(RECEIVED, 'other', undefined),
      schema: fc.constantFrom(undefined, 'v1', 'v2', 'v3'),
      qty: fc.constantFrom(1, 2, 13),
      corrects: fc.constantFrom(undefined, '01HZZZZZZZZZZZZZZZZZZZZZZZ')
    })
    .map(({ type, schema, qty, corrects }) => ({
      key: 'key',
      time: '2026-01-01T00:00:00.000Z',
      subject: undefined,
      source: undefined,
      id: undefined,
      type,
      schema,
      corrects,
      data: { undefined: qty, v1: { qty }, v2: { pieces: qty }, v3: { pieces: qty } }[
        String(schema)
      ],
      data_base64: undefined,
      datacontenttype: undefined
    })),
  { maxLength: 6 }
)

/** What a function is to see, by the upcasters alone. */
function expectedOf(event: ViewEvent): Json {
  const { type, schema, data } = event
  if (type !== RECEIVED || schema === 'v2' || schema === 'v3') return [schema ?? null, data ?? null]
  const qty = schema === 'v1' ? (data as { qty: number }).qty : (data as number)
  return qty === 13 ? 'fault' : ['v2', { pieces: qty }]
}

function seen({ schema, data }: ViewEvent): Json {
  return [schema ?? null, data ?? null]
}

const base = { hash: 'h', events: 'recorded' } as const
const mapProgram: MapProgram = {
  ...base,
  type: 'map',
  reducer: undefined,
  map: (each) => each.map((event) => ({ rows: [{ key: seen(event), value: null }] }))
}
/** Its state is all that it has seen; of a key it has none for events of other types. */
const foldProgram: FoldProgram = {
  ...base,
  type: 'fold',
  isFinalCalled: false,
  initial: '[]',
  keysOf: (each) =>
    each.map((event) => (event.type === 'other' ? undefined : { value: seen(event) })),
  apply: (state, inputs) => {
    const each = listOf(inputs) as readonly ViewEvent[]
    return {
      state: JSON.stringify([...(JSON.parse(state) as Json[]), ...each.map(seen)]),
      faults: each.flatMap(({ schema }, index) => {
        return schema === 'v3' ? [{ index, fault: 'own' }] : []
      })
    }
  },
  result: (state) => ({ value: state })
}

describe('functions of a view', () => {
  test('see each event in its newest shape, and one that has none is a fault of that event', () => {
    const upcast = upcastProgram(mapProgram, upcasters, hasher) as MapProgram
    fc.assert(
      fc.property(events, (all) => {
        const outcomes = upcast.map(all)
        expect(outcomes).toHaveLength(all.length)
        for (const [index, event] of all.entries()) {
          const expected = expectedOf(event)
          expect(outcomes[index]).toEqual(
            expected === 'fault'
              ? { fault: 'upcaster: not that one' }
              : { rows: [{ key: expected, value: null }] }
          )
        }
      })
    )
  })

  test('of a fold do so too, and a fault keeps its place', () => {
    const upcast = upcastProgram(foldProgram, upcasters, hasher) as FoldProgram
    fc.assert(
      fc.property(events, (all) => {
        const good = all.filter((event) => expectedOf(event) !== 'fault')
        const { state, faults } = upcast.apply('[]', all)
        expect(JSON.parse(state)).toEqual(good.map(expectedOf))
        const expected = all.flatMap((event, index) => {
          if (expectedOf(event) === 'fault') return [{ index, fault: 'upcaster: not that one' }]
          return event.schema === 'v3' ? [{ index, fault: 'own' }] : []
        })
        expect(faults).toEqual(expected)
        const keys = upcast.keysOf(all)
        for (const [index, event] of all.entries()) {
          if (event.type === 'other') expect(keys[index]).toBeUndefined()
          else if (expectedOf(event) !== 'fault')
            expect(keys[index]).toEqual({ value: expectedOf(event) })
        }
      })
    )
  })

  test('of a fold select of the newest shape, and apply gets what was selected', () => {
    const view = {
      name: 'selecting',
      key: () => 'all',
      select: (event: ViewEvent) => (event.type === 'other' ? undefined : seen(event)),
      initial: () => [],
      apply: (state: Json[], given: Json) => [...state, given]
    }
    const upcast = upcastProgram(nativeProgram(view, hasher), upcasters, hasher) as FoldProgram
    fc.assert(
      fc.property(events, (all) => {
        const selected = upcast.select?.(all) ?? []
        expect(selected).toHaveLength(all.length)
        const inputs: Selection[] = []
        for (const [index, event] of all.entries()) {
          const [expected, found] = [expectedOf(event), selected[index]]
          if (expected === 'fault') expect(found).toEqual({ fault: 'upcaster: not that one' })
          else expect(found).toEqual(event.type === 'other' ? undefined : { value: expected })
          if (found !== undefined && 'value' in found) {
            inputs.push(new Selection(JSON.stringify(found.value)))
          }
        }
        const { state } = upcast.apply('[]', inputs)
        expect(JSON.parse(state)).toEqual(inputs.map((each) => JSON.parse(each.text()) as Json))
      })
    )
  })

  test('get what was made once, also where an upcaster changes what it was given', () => {
    const data = (old: Json): Json => {
      const list = old as Json[]
      list.push('more')
      return list
    }
    const changing = new Upcasters([{ type: 'list', to: 'v1', data }], hasher)
    const upcast = upcastProgram(foldProgram, changing, hasher) as FoldProgram
    const event = { ...STATIC, type: 'list', data: ['first'] }
    upcast.keysOf([event])
    expect(JSON.parse(upcast.apply('[]', [event]).state)).toEqual([['v1', ['first', 'more']]])
  })

  test('that change what they were given, and fail, come to what they come to in order', () => {
    const listed = new Upcasters(
      [{ type: 'list', to: 'v1', data: (first) => ({ lines: [first, first] }) }],
      hasher
    )
    interface Lines {
      readonly lines?: Json[]
    }
    const view = {
      name: 'lines',
      key: () => 'all',
      initial: () => ({}),
      apply: (state: Lines, { data }: ViewEvent) => {
        const lines = state.lines ?? (data as { lines: Json[] }).lines
        lines.push(lines.length)
        if (lines.length % 5 === 0) throw new Error(`not ${lines.length}`)
        return lines.length > 8 ? {} : { lines }
      }
    }
    const upcast = upcastProgram(nativeProgram(view, hasher), listed, hasher) as FoldProgram
    fc.assert(
      fc.property(fc.array(fc.nat(9)), fc.nat(9), (numbers, cut) => {
        const all = (): ViewEvent[] => {
          return numbers.map((data) => ({ ...STATIC, type: 'list', data }))
        }
        const whole = upcast.apply(upcast.initial, all())
        const first = upcast.apply(upcast.initial, all().slice(0, cut))
        expect(upcast.apply(first.state, all().slice(cut)).state).toBe(whole.state)
        const session = upcast.begin?.(upcast.initial)
        const isWell = all().every((event) => session?.add(event) === true)
        if (isWell) expect(session?.text()).toBe(whole.state)
        expect(isWell).toBe(whole.faults.length === 0)
      })
    )
  })

  test('see a correction that takes back as it is', () => {
    const throwing = new Upcasters(
      [
        {
          type: 'x',
          to: 'v1',
          data: () => {
            throw new Error('never asked')
          }
        }
      ],
      hasher
    )
    const upcast = upcastProgram(mapProgram, throwing, hasher) as MapProgram
    const event = { ...STATIC, type: 'x', data: null, corrects: '01HZZZZZZZZZZZZZZZZZZZZZZZ' }
    expect(upcast.map([event])).toEqual([{ rows: [{ key: [null, null], value: null }] }])
    expect(upcast.map([{ ...event, corrects: undefined }])).toEqual([
      { fault: 'upcaster: never asked' }
    ])
  })
})

const STATIC = {
  key: 'key',
  time: '2026-01-01T00:00:00.000Z',
  subject: undefined,
  source: undefined,
  id: undefined,
  schema: undefined,
  corrects: undefined,
  data_base64: undefined,
  datacontenttype: undefined
}

describe('a program', () => {
  test('is another one with other upcasters, and itself with none', () => {
    const hashOf = (list: readonly Upcaster[]): string =>
      upcastProgram(mapProgram, new Upcasters(list, hasher), hasher).hash
    expect(upcastProgram(mapProgram, new Upcasters([], hasher), hasher)).toBe(mapProgram)
    expect(hashOf(STEPS)).toBe(hashOf(STEPS.toReversed()))
    const hashes = [[], STEPS, STEPS.slice(1), [{ ...STEPS[1], to: 'v9' } as Upcaster]].map(hashOf)
    expect(new Set(hashes).size).toBe(4)
  })
})

describe('upcasters', () => {
  const step = (from: string | undefined, to: string): Upcaster => {
    return { type: 'x', to, data: (data) => data, ...(from !== undefined && { from }) }
  }

  test('that go in a circle, are two for one shape, or are none, are refused', () => {
    const wrong: readonly (readonly Upcaster[])[] = [
      [step('a', 'a')],
      [step(undefined, 'a'), step('a', 'b'), step('b', 'a')],
      [step('a', 'b'), step('a', 'c')],
      [{ ...step('a', 'b'), to: '' }],
      [{ ...step('a', 'b'), data: 'text' as unknown as Upcaster['data'] }]
    ]
    for (const list of wrong) {
      expect(() => new Upcasters(list, hasher)).toThrow(
        expect.objectContaining({ code: 'LATERBASE_OPTION_INVALID' })
      )
    }
    void new Upcasters([step(undefined, 'b'), step('a', 'b'), step('b', 'c')], hasher)
  })

  test('answer something', () => {
    const nothing = { ...step('a', 'b'), data: (() => undefined) as unknown as Upcaster['data'] }
    const none = new Upcasters([nothing], hasher)
    expect(() => none.upcast({ type: 'x', schema: 'a', data: 1 })).toThrow('answers nothing')
  })
})
