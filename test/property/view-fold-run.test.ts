/** Where runs of a fold's rows end, and which states are kept: by chance, and by rows alone. */

import { expect, test } from 'vitest'

import { systemHasher } from '../../src/node/system.ts'
import { endsRun, isKept } from '../../src/views/fold-run.ts'
import { CHECKPOINT_BYTES, RUN_BYTES, RUN_ROWS } from '../../src/views/limits.ts'
import { PLACE_BYTES } from '../../src/store/event-store.ts'

const PLACES = Array.from({ length: 20_000 }, (_, number) => {
  return systemHasher.sha256(Buffer.from(String(number))).subarray(0, PLACE_BYTES)
})

function share(isCounted: (place: Uint8Array) => boolean): number {
  return PLACES.filter(isCounted).length / PLACES.length
}

test('runs are of so many rows, of fewer where rows are large, and each ends with a very large one', () => {
  expect(share((place) => endsRun(place, 200))).toBeCloseTo(1 / RUN_ROWS, 2)
  expect(share((place) => endsRun(place, RUN_BYTES / 4))).toBeCloseTo(0.25, 1)
  expect(share((place) => endsRun(place, RUN_BYTES))).toBe(1)
})

test('a small state is always kept, one of four times the bytes one time in four', () => {
  expect(share((place) => isKept(place, CHECKPOINT_BYTES))).toBe(1)
  expect(share((place) => isKept(place, CHECKPOINT_BYTES * 4))).toBeCloseTo(0.25, 1)
  expect(share((place) => isKept(place, CHECKPOINT_BYTES * 64))).toBeCloseTo(1 / 64, 1)
  expect(share((place) => isKept(place, CHECKPOINT_BYTES * 64))).toBeGreaterThan(0)
})

test('whether a state is kept says nothing about whether its run ends', () => {
  const ends = PLACES.filter((place) => endsRun(place, 200))
  const kept = ends.filter((place) => isKept(place, CHECKPOINT_BYTES * 2)).length / ends.length
  expect(kept).toBeGreaterThan(0.4)
  expect(kept).toBeLessThan(0.6)
})
