/** LevelDB's table files against their own checksums, and what is read of damaged ones. */

import { readFile, readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

import { ClassicLevel } from 'classic-level'
import { expect, onTestFinished, test } from 'vitest'

import { SNAPPY_TRIED_BYTES_MAX } from '../../src/store/limits.ts'
import { liveTables } from '../../src/store/manifest.ts'
import { intactBlocks, tableFault } from '../../src/store/table-check.ts'
import { present } from '../../src/core/assert.ts'
import { seededRng } from '../property/arbitraries.ts'
import { createFolder } from './stores.ts'

const RECORDS = 3_000

test('any byte changed in a table is found, and the blocks without it are still read', async () => {
  const { file, size } = await tableOf()
  expect(await tableFault(file, size)).toBeUndefined()
  const whole = await entriesOf(file)
  expect(whole.size).toBe(RECORDS)
  const bytes = await readFile(file)
  const rng = seededRng(7)
  for (let round = 0; round < 60; round += 1) {
    // What is between the handles and the magic number of the end is padding, which says nothing.
    const at = Math.floor(rng.fraction() * (bytes.length - 48))
    const bad = Buffer.from(bytes)
    bad[at] = (bad[at] ?? 0) ^ (1 << Math.floor(rng.fraction() * 8))
    await writeFile(file, bad)
    expect(await tableFault(file, size), `byte ${at}`).toBeDefined()
    const left = await entriesOf(file)
    expect(left.size, `byte ${at}`).toBeGreaterThan(RECORDS * 0.9)
    for (const [key, value] of left) expect(value).toBe(whole.get(key))
  }
})

test('a table that is cut short or gone is found', async () => {
  const { file, size } = await tableOf()
  await writeFile(file, (await readFile(file)).subarray(0, size - 100))
  expect(await tableFault(file, size)).toContain('bytes in place of')
  expect((await entriesOf(file)).size).toBeGreaterThan(RECORDS * 0.9)
  expect(await tableFault(`${file}.gone`, size)).toBe('it is gone')
})

test('without an index a block that says it becomes too large is not tried, and the others are', async () => {
  const [fits, tooLarge] = [SNAPPY_TRIED_BYTES_MAX - 100, SNAPPY_TRIED_BYTES_MAX + 1]
  for (const [large, found] of [
    [fits, true],
    [tooLarge, false]
  ] as const) {
    const { file, size } = await tableOf('x'.repeat(large))
    expect((await entriesOf(file)).get(FIRST_KEY)?.length).toBe(large)
    const bytes = await readFile(file)
    const inIndex = size - FOOTER_BYTES - 10
    bytes[inIndex] = (bytes[inIndex] ?? 0) ^ 1
    await writeFile(file, bytes)
    const left = await entriesOf(file)
    expect([left.size, left.has(FIRST_KEY)]).toEqual([found ? RECORDS + 1 : RECORDS, found])
  }
})

const FOOTER_BYTES = 48
/** Before all others, so that what is large stands in a block of its own. */
const FIRST_KEY = 'first'

/** A table of a store with many records, and the bytes that its MANIFEST says it has. */
async function tableOf(first?: string): Promise<{ readonly file: string; readonly size: number }> {
  const folder = createFolder()
  onTestFinished(() => folder.remove())
  const location = await folder.next()
  const db = new ClassicLevel(location)
  await db.open()
  const batch = db.batch()
  if (first !== undefined) batch.put(FIRST_KEY, first)
  for (let number = 0; number < RECORDS; number += 1) {
    batch.put(`key ${String(number).padStart(6, '0')}`, `${number} `.repeat(number % 40))
  }
  await batch.write()
  await db.compactRange('', '~')
  await db.close()
  const live = present(await liveTables(location), 'a MANIFEST that can be read')
  const names = (await readdir(location)).filter((name) => name.endsWith('.ldb'))
  const name = present(
    names.find((each) => live.has(Number.parseInt(each, 10))),
    'a live table'
  )
  const size = present(live.get(Number.parseInt(name, 10)), 'its size')
  return { file: join(location, name), size }
}

async function entriesOf(file: string): Promise<Map<string, string>> {
  const entries = new Map<string, string>()
  for await (const block of intactBlocks(file)) {
    for (const [key, value] of block) entries.set(key.toString(), value.toString())
  }
  return entries
}
