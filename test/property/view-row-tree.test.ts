/** The tree over a view's rows: one shape for one set of rows, and sums of any range of them. */

import fc from 'fast-check'
import { beforeEach, describe, expect, test, vi } from 'vitest'

import { compareBytes, toHex } from '../../src/core/bytes.ts'
import { leavesOf, rowsIn, rowsOfLeaf } from '../../src/core/views/leaves.ts'
import { changedRuns, levelOf, summariesIn } from '../../src/core/views/row-tree.ts'
import type {
  EntriesQuery,
  KeyBounds,
  RowChange,
  Share,
  Summaries,
  TreeChange,
  TreeEntry,
  TreeReader
} from '../../src/core/views/row-tree.ts'
import { TreeBuilder } from '../../src/core/views/tree-builder.ts'
import { makeSmall } from '../fixtures/small-limits.ts'

vi.mock(import('../../src/core/limits.ts'), async (load) => {
  const { smallable } = await import('../fixtures/small-limits.ts')
  return smallable(await load())
})

/** A sum, and the rows of which it is, so that any that is left out or counted twice shows. */
interface Sum {
  readonly rows: readonly string[]
  readonly min: number
  readonly max: number
}

const SUMS: Summaries<Sum> = {
  ofRows: (rows) => {
    const values = rows.map(({ value }) => value[0] ?? 0)
    return {
      rows: rows.map(shown),
      min: Math.min(...values),
      max: Math.max(...values)
    }
  },
  combine: (parts) => ({
    rows: parts.flatMap((part) => part.rows),
    min: Math.min(...parts.map(({ min }) => min)),
    max: Math.max(...parts.map(({ max }) => max))
  }),
  countOf: ({ rows }) => rows.length,
  encode: (sum) => Buffer.from(JSON.stringify(sum)),
  decode: (bytes) => JSON.parse(Buffer.from(bytes).toString()) as Sum
}

class MemoryTree implements TreeReader {
  height = 0
  reads = 0
  readonly levels = new Map<number, Map<string, TreeEntry>>()

  async entries(level: number, { from, to, reverse, limit }: EntriesQuery): Promise<TreeEntry[]> {
    const within = this.sorted(level).filter(
      ({ key }) =>
        (from === undefined || compareBytes(key, from) >= 0) &&
        (to === undefined || compareBytes(key, to) < 0)
    )
    if (reverse === true) within.reverse()
    const found = within.slice(0, limit)
    this.reads += found.length
    return found
  }

  async leaf(key: Uint8Array): Promise<TreeEntry | undefined> {
    this.reads += 1
    return this.levels.get(0)?.get(toHex(key))
  }

  sorted(level: number): TreeEntry[] {
    const entries = [...(this.levels.get(level)?.values() ?? [])]
    return entries.sort((a, b) => compareBytes(a.key, b.key))
  }

  apply(changes: readonly TreeChange[]): void {
    for (const { level, key, value } of changes) {
      const entries = this.levels.get(level) ?? new Map<string, TreeEntry>()
      this.levels.set(level, entries)
      if (value === undefined) entries.delete(toHex(key))
      else entries.set(toHex(key), { key, value })
    }
  }

  rows(): TreeEntry[] {
    return this.sorted(0).flatMap(rowsOfLeaf)
  }

  async change(rows: readonly RowChange[]): Promise<void> {
    const { changes, height } = await changedRuns(this, SUMS, rows)
    this.apply(changes)
    this.height = height
  }

  /** Entries of levels that say more than one run over everything. */
  shape(): string[] {
    return [...this.levels].flatMap(([level, entries]) =>
      level > 1 + highestLevel(this.rows())
        ? []
        : [...entries.values()].map(({ key, value }) => `${level} ${toHex(key)} ${toHex(value)}`)
    )
  }
}

function highestLevel(rows: readonly TreeEntry[]): number {
  return Math.max(-1, ...rows.map(({ key }) => levelOf(key)))
}

function built(rows: readonly TreeEntry[]): MemoryTree {
  const tree = new MemoryTree()
  const builder = new TreeBuilder(SUMS)
  for (const row of rows) {
    tree.apply(builder.add(row))
  }
  const { changes, height } = builder.finish()
  tree.apply(changes)
  tree.height = height
  return tree
}

/** Keys of which some begin runs of every level: one in 64 by chance would need thousands of rows. */
const KEYS_BY_LEVEL = new Map<number, Uint8Array[]>()
for (let number = 0; number < 300_000; number += 1) {
  const key = Buffer.alloc(4)
  key.writeUInt32BE(Math.imul(number, 0x9e3779b1) >>> 0)
  const keys = KEYS_BY_LEVEL.get(levelOf(key)) ?? []
  if (keys.length < 40) KEYS_BY_LEVEL.set(levelOf(key), [...keys, key])
}
const POOL = [...KEYS_BY_LEVEL.values()].flat()
const someKey = fc.constantFrom(...POOL)
const bound = fc.option(someKey, { nil: undefined })
const put = fc.record({ key: someKey, value: fc.integer({ min: 0, max: 9 }) })
const step = fc.array(fc.oneof({ weight: 3, arbitrary: put }, fc.record({ key: someKey })), {
  minLength: 1,
  maxLength: 12
})

function changesOf(
  ops: readonly { key: Uint8Array; value?: number }[],
  tree: MemoryTree
): RowChange[] {
  const byKey = new Map(ops.map((op) => [toHex(op.key), op]))
  const held = new Set(tree.rows().map(({ key }) => toHex(key)))
  const changes: RowChange[] = []
  for (const { key, value } of byKey.values()) {
    if (value !== undefined) changes.push({ key, value: Uint8Array.of(value) })
    else if (held.has(toHex(key))) changes.push({ key, value: undefined })
  }
  return changes.sort((a, b) => compareBytes(a.key, b.key))
}

test('the keys of these tests begin runs of three levels', () => {
  expect([...KEYS_BY_LEVEL.keys()].sort((a, b) => a - b)).toEqual([0, 1, 2, 3])
})

/** Leaves of as many rows as a run has, and of three. */
describe.each([undefined, 40])('with leaves of %s bytes', (leafBytes) => {
  beforeEach(() => {
    if (leafBytes !== undefined) makeSmall({ LEAF_BYTES: leafBytes })
  })

  test('a tree that was changed row by row is the one that is built from its rows', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 25 }), async (steps) => {
        const tree = new MemoryTree()
        const held = new Map<string, TreeEntry>()
        for (const ops of steps) {
          const changes = changesOf(ops, tree)
          for (const { key, value } of changes) {
            if (value === undefined) held.delete(toHex(key))
            else held.set(toHex(key), { key, value })
          }
          await tree.change(changes)
          const rows = [...held.values()].sort((a, b) => compareBytes(a.key, b.key))
          expect(tree.rows().map(shown)).toEqual(rows.map(shown))
          expect(tree.shape().sort()).toEqual(built(rows).shape().sort())
        }
      })
    )
  })

  test('what covers a range is of each of its rows once, in their order, whatever is wanted of them', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(put, { maxLength: 120 }),
        fc.tuple(bound, bound),
        fc.integer({ min: 0, max: 10 }),
        async (puts, [from, to], below) => {
          const tree = new MemoryTree()
          await tree.change(changesOf(puts, tree))
          const isWanted = ({ value }: TreeEntry): boolean => (value[0] ?? 0) < below
          const share = ({ min, max }: Sum): Share =>
            max < below ? 'all' : min >= below ? 'none' : 'some'
          const parts = await summariesIn(tree, SUMS, { from, to, share, isWanted })
          const wanted = tree.rows().filter((row) => isWithin(row, { from, to }) && isWanted(row))
          expect(parts.flatMap(({ rows }) => rows)).toEqual(wanted.map(shown))
        }
      )
    )
  })

  test('nothing covers a range that ends where it begins, or before', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(put, { minLength: 2, maxLength: 8 }), async (puts) => {
        const tree = new MemoryTree()
        await tree.change(changesOf(puts, tree))
        const keys = tree.rows().map(({ key }) => key)
        for (const [index, from] of keys.entries()) {
          for (const to of keys.slice(0, index + 1)) {
            expect(await summariesIn(tree, SUMS, { from, to })).toEqual([])
          }
        }
      })
    )
  })

  test('rows between bounds are those between them, from either end, so many as are asked for', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(put, { maxLength: 120 }),
        fc.tuple(bound, bound),
        fc.boolean(),
        fc.option(fc.integer({ min: 1, max: 60 }), { nil: undefined }),
        async (puts, [from, to], reverse, limit) => {
          const tree = new MemoryTree()
          await tree.change(changesOf(puts, tree))
          const most = limit === undefined ? {} : { limit }
          const found = await rowsIn(tree, { from, to, reverse, ...most })
          const rows = tree.rows().filter((row) => isWithin(row, { from, to }))
          if (reverse) rows.reverse()
          expect(found.map(shown)).toEqual(rows.slice(0, limit).map(shown))
        }
      )
    )
  })
})

test('leaves have the rows of their run, of at most so many bytes where they are several', () => {
  makeSmall({ LEAF_BYTES: 60 })
  const bytes = fc.uint8Array({ maxLength: 80 })
  fc.assert(
    fc.property(fc.array(fc.record({ key: bytes, value: bytes })), bytes, (rows, begin) => {
      const leaves = leavesOf({ begin, rows })
      expect(leaves.flatMap(rowsOfLeaf).map(shown)).toEqual(rows.map(shown))
      for (const [index, leaf] of leaves.entries()) {
        const inside = rowsOfLeaf(leaf)
        expect(toHex(leaf.key)).toBe(toHex(index === 0 ? begin : (inside[0]?.key ?? begin)))
        expect(inside.length === 1 || leaf.value.length <= 60).toBe(true)
      }
    })
  )
})

function shown({ key, value }: TreeEntry): string {
  return `${toHex(key)}=${toHex(value)}`
}

function isWithin({ key }: TreeEntry, { from, to }: KeyBounds): boolean {
  if (from !== undefined && compareBytes(key, from) < 0) return false
  return to === undefined || compareBytes(key, to) < 0
}

test('a row that comes late has some runs read again, and a sum over everything reads one entry', async () => {
  const rows: TreeEntry[] = []
  for (let number = 0; number < 20_000; number += 1) {
    const key = Buffer.alloc(4)
    key.writeUInt32BE(number)
    rows.push({ key, value: Uint8Array.of(number % 10) })
  }
  const late = rows.splice(7_777, 1)
  const tree = built(rows)
  tree.reads = 0
  await tree.change(late)
  expect(tree.reads).toBeLessThan(2_000)
  tree.reads = 0
  const [whole] = await summariesIn(tree, SUMS, {})
  expect([whole?.rows.length, tree.reads]).toEqual([20_000, 1])
})
