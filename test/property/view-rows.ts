/** Rows as reducers of views see them. */

import fc from 'fast-check'

import type { Json } from '../../src/core/json.ts'
import type { ReducedRow } from '../../src/core/views/reducers.ts'
import { bytes } from './arbitraries.ts'

/** Rows of different places; few keys, so that some are equal. */
export function rowsOf(values: fc.Arbitrary<Json>): fc.Arbitrary<ReducedRow[]> {
  const row = fc.tuple(fc.nat(300), bytes(17), values).map(([key, place, value]): ReducedRow => {
    return { key, keyBytes: Uint8Array.of(key >> 8, key & 255), value, place }
  })
  return fc.uniqueArray(row, {
    minLength: 1,
    maxLength: 20,
    selector: ({ place }) => place.join(' ')
  })
}

/** Rows in the order of the values, which is that of their places too. */
export function rowsFrom(values: readonly Json[]): ReducedRow[] {
  return values.map((value, index) => rowFrom(index, Uint8Array.of(index), value))
}

export function rowFrom(key: Json, keyBytes: Uint8Array, value: Json): ReducedRow {
  const place = new Uint8Array(17)
  place.set(keyBytes)
  return { key, keyBytes, value, place }
}
