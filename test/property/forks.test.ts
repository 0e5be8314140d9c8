/** Forked logs: every branch is kept, and nodes with different branches become equal. */

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'

import {
  decodeDeltaAnswer,
  encodeDeltaAnswer,
  encodeDeltaRequest
} from '../../protocols/delta/codec.ts'
import type { DeltaAnswer } from '../../protocols/delta/codec.ts'
import { isRejected } from '../../protocols/rejected.ts'
import type { Commit } from '../../src/core/commit.ts'
import { toWireHeads } from '../../src/core/version.ts'
import type { NodeDatabase } from '../../src/node/database.ts'
import { DATABASE } from './arbitraries.ts'
import {
  answersOf,
  branchedLogs,
  databaseOf,
  fedSince,
  fetchBy,
  fetchInto,
  forests,
  headsOf,
  leavesOf,
  withAncestors
} from './forest.ts'

/** One commit a page, a few, or all in one. */
const pageSizes = fc.constantFrom(1, 100, 400, undefined)

/** A forest, and parts of it that some nodes hold. */
const spread = (nodes: number): fc.Arbitrary<{ all: Commit[]; parts: Commit[][] }> =>
  fc
    .tuple(
      forests(),
      fc.array(fc.infiniteStream(fc.boolean()), { minLength: nodes, maxLength: nodes })
    )
    .map(([all, choices]) => ({
      all,
      parts: choices.map((choice) =>
        withAncestors(
          all,
          all.filter(() => choice.next().value === true)
        )
      )
    }))

function union(all: readonly Commit[], parts: readonly Commit[][]): Commit[] {
  const held = new Set(parts.flat())
  return all.filter((commit) => held.has(commit))
}

type DeltaPage = Extract<DeltaAnswer, { type: 'page' }>

/** One commit of it, the first one. */
async function firstPageOf(database: NodeDatabase): Promise<DeltaPage> {
  const request = { type: 'page', database: DATABASE, bytesMax: 1, heads: [], places: [] } as const
  const answer = decodeDeltaAnswer(await answersOf(database)(encodeDeltaRequest(request)))
  if (isRejected(answer) || answer.type !== 'page') throw new Error('no page')
  return answer
}

describe('a forked log', () => {
  test('is kept whole, and has a head for each branch whatever the order of arrival', async () => {
    await fc.assert(
      fc.asyncProperty(spread(2), async ({ all, parts }) => {
        const [one, other] = [await databaseOf([]), await databaseOf([], { seed: 2 })]
        const [first = [], second = []] = parts
        await one.merge(first)
        await one.merge(second)
        await other.merge(second)
        await other.merge(first)
        expect(headsOf(one)).toEqual(leavesOf(union(all, parts)))
        expect(one.digest()).toBe(other.digest())
      }),
      { numRuns: 150 }
    )
  })

  test('comes whole with one fetch, whatever part of it is held and however large pages are', async () => {
    await fc.assert(
      fc.asyncProperty(spread(2), pageSizes, async ({ all, parts }, pageBytes) => {
        const [mine = [], theirs = []] = parts
        const [to, from] = [await databaseOf(mine), await databaseOf(theirs, { seed: 2 })]
        const { stored } = await fetchInto(to, from, { pageBytes })
        expect(headsOf(to)).toEqual(leavesOf(union(all, parts)))
        expect(stored).toBe(union(all, parts).length - mine.length)
        const again = await fetchInto(to, from)
        expect(again).toEqual({ stored: 0, requests: 1 })
      }),
      { numRuns: 200 }
    )
  })

  test('comes whole however far back its branches part, and what is held is passed over', async () => {
    await fc.assert(
      fc.asyncProperty(branchedLogs(), pageSizes, async ({ shared, mine, theirs }, pageBytes) => {
        const to = await databaseOf([...shared, ...mine])
        const from = await databaseOf([...shared, ...theirs], { seed: 2 })
        const { stored } = await fetchInto(to, from, { pageBytes })
        expect(stored).toBe(theirs.length)
        expect(headsOf(to)).toEqual(leavesOf([...shared, ...mine, ...theirs]))
      }),
      { numRuns: 100 }
    )
  })

  test('is not asked for without end of a peer that sends what is held, and gets no further', async () => {
    await fc.assert(
      fc.asyncProperty(branchedLogs(12), async ({ shared, mine, theirs }) => {
        const to = await databaseOf([...shared, ...mine])
        const from = await databaseOf([...shared, ...theirs], { seed: 2 })
        const heads = toWireHeads(from.version())
        const first = await firstPageOf(to)
        const nothing: DeltaPage = { ...first, complete: true, logs: [], commits: [], heads }
        const answers = [nothing]
        const cost = await fetchBy(to, async () => {
          return encodeDeltaAnswer(answers.pop() ?? { ...first, complete: false, heads })
        })
        expect(cost).toEqual({ stored: 0, requests: 3 })
      }),
      { numRuns: 30 }
    )
  })

  test('makes nodes equal that fetch from one another in any order', async () => {
    await fc.assert(
      fc.asyncProperty(
        spread(3),
        fc.shuffledSubarray([0, 1, 2], { minLength: 3 }),
        async ({ all, parts }, order) => {
          const nodes = await Promise.all(
            parts.map((part, index) => databaseOf(part, { seed: index + 1 }))
          )
          const pairs = order.flatMap((a) => order.filter((b) => b !== a).map((b) => [a, b]))
          for (const [a = 0, b = 0] of [...pairs, ...pairs]) {
            const [to, from] = [nodes[a], nodes[b]]
            if (to !== undefined && from !== undefined) await fetchInto(to, from)
          }
          for (const node of nodes) expect(headsOf(node)).toEqual(leavesOf(union(all, parts)))
          expect(new Set(nodes.map((node) => node.digest())).size).toBe(1)
        }
      ),
      { numRuns: 60 }
    )
  })
})

describe('the feed of a forked log', () => {
  test('gives each event once, on one node, however it is cut and whenever branches come', async () => {
    await fc.assert(
      fc.asyncProperty(
        spread(2),
        fc.integer({ min: 1, max: 5 }),
        fc.boolean(),
        async ({ parts }, limit, portable) => {
          const [first = [], second = []] = parts
          const database = await databaseOf(first)
          const seen: string[] = []
          let since = '0'
          const readAll = async (): Promise<void> => {
            for (;;) {
              const { events, cursor, lc, pending } = await fedSince(database, since, limit)
              seen.push(...events)
              since = portable ? cursor : lc
              if (pending === 0) return
            }
          }
          await readAll()
          await database.merge(second)
          await readAll()
          const { events } = await fedSince(database, '0')
          expect(seen.toSorted()).toEqual([...events].sort())
          expect(new Set(seen).size).toBe(seen.length)
          expect(events.length).toBe((await database.status()).events)
        }
      ),
      { numRuns: 150 }
    )
  })

  test('loses nothing for a reader who goes from node to node', async () => {
    await fc.assert(
      fc.asyncProperty(
        spread(2),
        fc.array(fc.tuple(fc.integer({ min: 0, max: 1 }), fc.integer({ min: 1, max: 4 })), {
          maxLength: 6
        }),
        async ({ parts }, visits) => {
          const nodes = await Promise.all(
            parts.map((part, index) => databaseOf(part, { seed: index + 1 }))
          )
          const [a, b] = nodes
          if (a === undefined || b === undefined) return
          const seen = new Set<string>()
          let since = '0'
          for (const [at, limit] of visits) {
            const { events, cursor } = await fedSince(at === 0 ? a : b, since, limit)
            for (const event of events) seen.add(event)
            since = cursor
          }
          await fetchInto(a, b)
          await fetchInto(b, a)
          const rest = await fedSince(a, since)
          for (const event of rest.events) seen.add(event)
          const { events } = await fedSince(a, '0')
          expect([...seen].sort()).toEqual([...events].sort())
        }
      ),
      { numRuns: 200 }
    )
  })
})
