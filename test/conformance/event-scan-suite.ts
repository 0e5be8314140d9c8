/** What scans of every EventStore guarantee. */

import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'

import { present } from '../../src/core/assert.ts'
import type { EventStore } from '../../src/store/event-store.ts'
import { commitPlans, makeCommits } from '../property/arbitraries.ts'
import { OWNER, fact, key, plan, write } from './event-store-suite.ts'
import type { StoreFactory } from './event-store-suite.ts'
import { collect, scanAll, shownEvent } from './store-dump.ts'

export function eventScanSuite(factory: StoreFactory): void {
  describe(`${factory.name}: scans`, () => {
    let store: EventStore
    beforeEach(async () => {
      store = await factory.open(OWNER)
    })
    afterEach(() => factory.dispose())

    test('a scan backwards is exactly the reverse, for any range and chunk', async () => {
      await fc.assert(
        fc.asyncProperty(
          commitPlans(),
          fc.option(fc.nat(60), { nil: undefined }),
          fc.option(fc.nat(60), { nil: undefined }),
          fc.integer({ min: 1, max: 5 }),
          async (plans, low, high, chunk) => {
            const each = await factory.open(OWNER)
            await write(each, plans)
            const range = { from: low === undefined ? undefined : key(low), chunk }
            const bounds = { ...range, to: high === undefined ? undefined : key(high) }
            const forward = await scanAll(each, bounds)
            const backward = await scanAll(each, { ...bounds, reverse: true })
            expect(backward.map(shownEvent)).toEqual(forward.map(shownEvent).toReversed())
            for (const some of await collect(each.scan(bounds))) {
              expect(some.length).toBeLessThanOrEqual(chunk)
            }
          }
        ),
        { numRuns: 15 }
      )
    })

    test.each([false, true])(
      'a scan shows one state, reverse %s: half a commit is not in it',
      async (reverse) => {
        const spaced = Array.from({ length: 40 }, (_, at) => fact(10 * (at + 1)))
        // On both sides of where the scan is, and a second content of what is on its way.
        const further = Array.from({ length: 14 }, (_, at) => [
          fact(at),
          fact(399 - at),
          fact(200, at)
        ])
        const [first, ...more] = makeCommits([spaced, ...further].map((facts) => plan(0, facts)))
        await store.write({ commits: [present(first, 'a commit')], clockCeiling: 0n })
        const before = (await scanAll(store, { reverse })).map(shownEvent)
        const seen: unknown[] = []
        for await (const some of store.scan({ chunk: 3, reverse })) {
          seen.push(...some.map(shownEvent))
          await store.write({ commits: more.splice(0, 1), clockCeiling: 0n })
        }
        expect(seen).toEqual(before)
        expect(more.length).toBe(0)
      }
    )

    test('an iteration that stops early leaves the store usable', async () => {
      await write(store, [
        plan(
          0,
          [1, 2, 3].map((value) => fact(value))
        )
      ])
      for await (const some of store.scan({ chunk: 1 })) {
        expect(some.length).toBe(1)
        break
      }
      await write(store, [plan(1, [fact(4)])])
      expect(store.eventCount()).toBe(4)
    })
  })
}
