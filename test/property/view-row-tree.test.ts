/** The tree over a view's rows: one shape for one set of rows, and sums of any range of them. */

import fc from 'fast-check'
import { expect, test } from 'vitest'

import { compareBytes, toHex } from '../../src/core/bytes.ts'
import { TreeBuilder, changedRuns, levelOf, summariesIn } from '../../src/core/views/row-tree.ts'
import type {
  EntriesQuery,
  Share,
  Summaries,
  TreeChange,
  TreeEntry,
  TreeReader
} from '../../src/core/views/row-tree.ts'

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
      rows: rows.map(({ key, value }) => `${toHex(key)}=${toHex(value)}`),
      min: Math.min(...values),
      max: Math.max(...values)
    }
  },
  combine: (parts) => ({
    rows: parts.flatMap((part) => part.rows),
    min: Math.min(...parts.map(({ min }) => min)),
    max: Math.max(...parts.map(({ max }) => max))
  }),
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

  async change(rows: readonly TreeChange[]): Promise<void> {
    const { changes, height } = await changedRuns(this, SUMS, rows)
    this.apply(rows)
    this.apply(changes)
    this.height = height
  }

  /** Entries of levels that say more than one run over everything. */
  shape(): string[] {
    return [...this.levels].flatMap(([level, entries]) =>
      level > 1 + highestLevel(this.sorted(0))
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
    tree.apply([{ level: 0, ...row }])
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
const put = fc.record({ key: someKey, value: fc.integer({ min: 0, max: 9 }) })
const step = fc.array(fc.oneof({ weight: 3, arbitrary: put }, fc.record({ key: someKey })), {
  minLength: 1,
  maxLength: 12
})

function changesOf(
  ops: readonly { key: Uint8Array; value?: number }[],
  tree: MemoryTree
): TreeChange[] {
  const byKey = new Map(ops.map((op) => [toHex(op.key), op]))
  const changes: TreeChange[] = []
  for (const { key, value } of byKey.values()) {
    const isHeld = tree.levels.get(0)?.has(toHex(key)) === true
    if (value !== undefined) changes.push({ level: 0, key, value: Uint8Array.of(value) })
    else if (isHeld) changes.push({ level: 0, key, value: undefined })
  }
  return changes.sort((a, b) => compareBytes(a.key, b.key))
}

test('the keys of these tests begin runs of three levels', () => {
  expect([...KEYS_BY_LEVEL.keys()].sort((a, b) => a - b)).toEqual([0, 1, 2, 3])
})

test('a tree that was changed row by row is the one that is built from its rows', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 25 }), async (steps) => {
      const tree = new MemoryTree()
      for (const ops of steps) {
        await tree.change(changesOf(ops, tree))
        expect(tree.shape().sort()).toEqual(built(tree.sorted(0)).shape().sort())
      }
    })
  )
})

test('what covers a range is of each of its rows once, in their order, whatever is wanted of them', async () => {
  const bound = fc.option(someKey, { nil: undefined })
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
        const wanted = (await tree.entries(0, { from, to })).filter(isWanted)
        expect(parts.flatMap(({ rows }) => rows)).toEqual(
          wanted.map(({ key, value }) => `${toHex(key)}=${toHex(value)}`)
        )
      }
    )
  )
})

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
  await tree.change(late.map((row) => ({ level: 0, ...row })))
  expect(tree.reads).toBeLessThan(2_000)
  tree.reads = 0
  const [whole] = await summariesIn(tree, SUMS, {})
  expect([whole?.rows.length, tree.reads]).toEqual([20_000, 1])
})
