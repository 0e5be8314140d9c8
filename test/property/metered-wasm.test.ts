/** A metered module does what the module does, and takes as much for it each time. */

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'

import { METER_EXPORTS, METER_FULL, meteredWasm } from '../../src/views/metered-wasm.ts'
import { WasmReader, numberBytes, signedBytes } from '../../src/views/wasm-module.ts'
import { WebAssembly } from '../../src/views/web-assembly.ts'
import type { WasmFunction, WasmGlobal } from '../../src/views/web-assembly.ts'

const HEADER = [0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0]

/**
 * Put together by hand, with a memory, a stack pointer and functions of one number: `sum` of all up to it, in a loop
 * with a `return` in it; `nest`, which calls itself so often and adds one each time; `fill`, which fills as many
 * bytes; `twice`, which calls a function without calls.
 */
const MODULE = moduleOf([
  // local 1 the sum; loop: sum += n; n -= 1; if n == 0 return sum; br loop
  [
    1, 1, 0x7f, 0x03, 0x40, 0x20, 1, 0x20, 0, 0x6a, 0x21, 1, 0x20, 0, 0x41, 1, 0x6b, 0x22, 0, 0x45,
    0x04, 0x40, 0x20, 1, 0x0f, 0x0b, 0x0c, 0, 0x0b, 0x00, 0x0b
  ],
  // if n == 0 then 0 else nest(n - 1) + 1
  [
    0, 0x20, 0, 0x45, 0x04, 0x7f, 0x41, 0, 0x05, 0x20, 0, 0x41, 1, 0x6b, 0x10, 1, 0x41, 1, 0x6a,
    0x0b, 0x0b
  ],
  // memory.fill(0, 7, n); memory.copy(0, 0, n); n
  [
    0, 0x41, 0, 0x41, 7, 0x20, 0, 0xfc, 11, 0, 0x41, 0, 0x41, 0, 0x20, 0, 0xfc, 10, 0, 0, 0x20, 0,
    0x0b
  ],
  // half(n) + half(n)
  [0, 0x20, 0, 0x10, 4, 0x20, 0, 0x10, 4, 0x6a, 0x0b],
  // n
  [0, 0x20, 0, 0x0b]
])

function moduleOf(bodies: readonly (readonly number[])[]): Uint8Array {
  const section = (id: number, content: readonly number[]): number[] => {
    return [id, ...numberBytes(content.length), ...content]
  }
  const names = ['sum', 'nest', 'fill', 'twice', 'half']
  const exported = names.flatMap((name, index) => [name.length, ...Buffer.from(name), 0, index])
  return Uint8Array.from([
    ...HEADER,
    ...section(1, [1, 0x60, 1, 0x7f, 1, 0x7f]),
    ...section(2, [1, 1, 0x61, 1, 0x61, 2, 0, 1]),
    ...section(3, [bodies.length, ...bodies.map(() => 0)]),
    ...section(6, [1, 0x7f, 1, 0x41, 0, 0x0b]),
    ...section(7, [names.length, ...exported]),
    ...section(10, [bodies.length, ...bodies.flatMap((body) => [body.length, ...body])])
  ])
}

interface Metered {
  readonly call: (name: string, value: number) => number
  readonly fuel: WasmGlobal
  readonly depth: WasmGlobal
}

async function instantiate(bytes: Uint8Array): Promise<Metered> {
  const code = await WebAssembly.compile(Uint8Array.from(bytes))
  const memory = new WebAssembly.Memory({ initial: 1, maximum: 1 })
  const { exports } = new WebAssembly.Instance(code, { a: { a: memory } })
  return {
    call: (name, value) => (exports[name] as WasmFunction)(value),
    fuel: exports[METER_EXPORTS.fuel] as WasmGlobal,
    depth: exports[METER_EXPORTS.depth] as WasmGlobal
  }
}

const plain = await instantiate(MODULE)
const metered = await instantiate(meteredWasm(MODULE, 1))

function taken(name: string, value: number): { fuel: number; depth: number; result: number } {
  metered.fuel.value = METER_FULL
  metered.depth.value = METER_FULL
  const result = metered.call(name, value)
  return { fuel: METER_FULL - metered.fuel.value, depth: METER_FULL - metered.depth.value, result }
}

describe('a metered module', () => {
  test('answers as the module, and takes the same for the same again', () => {
    const names = fc.constantFrom('sum', 'nest', 'fill', 'twice')
    fc.assert(
      fc.property(names, fc.integer({ min: 1, max: 1_000 }), (name, value) => {
        const first = taken(name, value)
        expect(first.result).toBe(plain.call(name, value))
        expect(first.depth).toBe(0)
        expect(taken(name, value)).toEqual(first)
      })
    )
  })

  test('takes one for each turn of a loop, and one for 32 bytes that are filled or copied', () => {
    expect(taken('sum', 5).fuel).toBe(5)
    expect(taken('nest', 5).fuel).toBe(0)
    expect(taken('fill', 65_536).fuel).toBe(2 * 2_048)
    expect(taken('fill', 31).fuel).toBe(0)
  })

  test('traps where the fuel ends, at the same place each time', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 300 }),
        fc.integer({ min: 0, max: 300 }),
        (turns, fuel) => {
          metered.fuel.value = fuel
          const run = (): number => metered.call('sum', turns)
          if (turns <= fuel) expect(run()).toBe((turns * (turns + 1)) / 2)
          else expect(run).toThrow(WebAssembly.RuntimeError)
          expect(metered.fuel.value).toBe(Math.max(0, fuel - turns))
          metered.fuel.value = METER_FULL
        }
      )
    )
  })

  test('traps where calls nest deeper than the depth, and only there', () => {
    metered.fuel.value = METER_FULL
    const deepest = (depth: number): number => {
      let levels = 0
      for (;;) {
        metered.depth.value = depth
        try {
          metered.call('nest', levels)
        } catch (error) {
          expect(error).toBeInstanceOf(WebAssembly.RuntimeError)
          expect(metered.depth.value).toBeLessThan(0)
          return levels
        }
        levels += 1
      }
    }
    const once = deepest(20_000)
    expect(once).toBeGreaterThan(50)
    expect(deepest(20_000)).toBe(once)
    expect(Math.abs(deepest(40_000) - 2 * once)).toBeLessThanOrEqual(2)
  })

  test('takes no depth for functions that call none that could call them', () => {
    metered.depth.value = -1
    expect(metered.call('twice', 4)).toBe(8)
    expect(() => metered.call('nest', 1)).toThrow(WebAssembly.RuntimeError)
  })

  test('with an instruction that is not known is refused', () => {
    const bytes = MODULE.slice()
    // The last but one: of `half`, which gets its number.
    bytes[bytes.length - 3] = 0xfd
    expect(() => meteredWasm(bytes, 1)).toThrow('unknown instruction fd')
  })
})

test('numbers are read as they are written', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: 0xffff_ffff })), (numbers) => {
      const reader = new WasmReader(Uint8Array.from(numbers.flatMap(numberBytes)))
      for (const number of numbers) expect(reader.number()).toBe(number)
      expect(reader.atEnd).toBe(true)
    })
  )
  fc.assert(
    fc.property(fc.array(fc.integer()), (numbers) => {
      const reader = new WasmReader(Uint8Array.from(numbers.flatMap(signedBytes)))
      for (const _ of numbers) reader.skipNumber()
      expect(reader.atEnd).toBe(true)
    })
  )
  expect(signedBytes(-1)).toEqual([0x7f])
  expect(signedBytes(64)).toEqual([0xc0, 0x00])
  expect(signedBytes(-624)).toEqual([0x90, 0x7b])
})
