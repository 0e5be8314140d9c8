/** What every store of derived records promises, on disk and in memory. */

import fc from 'fast-check'
import { afterAll, describe, expect, test } from 'vitest'

import type { DerivedChange, DerivedReader, DerivedStore } from '../../src/store/derived-store.ts'
import { openDerivedStore } from '../../src/store/level-derived-store.ts'
import { createMemoryDerivedStore } from '../../src/store/memory-derived-store.ts'
import { createFolder } from './stores.ts'

const folder = createFolder()
afterAll(() => folder.remove())

const key = fc.uint8Array({ minLength: 1, maxLength: 3 }).map((bytes) => Uint8Array.of(1, ...bytes))
const value = fc.option(fc.uint8Array({ maxLength: 8 }), { nil: undefined })
const batch = fc.array(fc.record({ key, value }), { minLength: 1, maxLength: 20 })
const range = fc.record({
  from: key,
  to: key,
  reverse: fc.boolean(),
  limit: fc.integer({ min: 1, max: 10 })
})
const ALL = { from: Uint8Array.of(0), to: Uint8Array.of(255) }

const STORES: Readonly<Record<string, () => Promise<DerivedStore>>> = {
  'on disk': async () => openDerivedStore(await folder.next()),
  'in memory': async () => createMemoryDerivedStore()
}

describe.each(Object.entries(STORES))('a store of derived records %s', (_name, open) => {
  test('reads in any range what was written last, in order', async () => {
    const store = await open()
    const model = new Map<string, Uint8Array>()
    await fc.assert(
      fc.asyncProperty(batch, range, async (changes, { from, to, ...how }) => {
        await store.write(changes)
        apply(model, changes)
        expect(await shown(store)).toEqual(contents(model))
        const held = (await store.scan({ from, to, ...how })).map((each) => hex(each.key))
        const keys = [...model.keys()].filter((each) => each >= hex(from) && each < hex(to)).sort()
        if (how.reverse) keys.reverse()
        expect(held).toEqual(keys.slice(0, how.limit))
        expect(bytes(await store.get(from))).toEqual(bytes(model.get(hex(from))))
      })
    )
    await store.close()
  })

  test('shows in a snapshot what there was when it was taken', async () => {
    const store = await open()
    const one = { key: Uint8Array.of(1, 1), value: Uint8Array.of(1) }
    await store.write([one])
    const before = store.snapshot()
    await store.write([
      { key: one.key, value: undefined },
      { ...one, key: Uint8Array.of(1, 2) }
    ])
    expect(await shown(before)).toEqual(['0101=01'])
    expect(bytes(await before.get(one.key))).toEqual(bytes(one.value))
    expect(await shown(store)).toEqual(['0102=01'])
    await before.release()
    await store.close()
  })

  test('clears what begins with some bytes, and nothing else', async () => {
    const store = await open()
    const keys = [[1], [1, 255], [1, 255, 0], [1, 255, 255, 9], [2], [2, 0]]
    await store.write(keys.map((each) => ({ key: Uint8Array.from(each), value: Uint8Array.of(7) })))
    await store.clear(Uint8Array.of(1, 255))
    expect(await shown(store)).toEqual(['01=07', '02=07', '0200=07'])
    await store.close()
  })

  test('says of everything that it is asked when it is closed that it is', async () => {
    const store = await open()
    await store.write([{ key: Uint8Array.of(1), value: Uint8Array.of(7) }])
    const snapshot = store.snapshot()
    await store.close()
    await store.close()
    await snapshot.release()
    const asked = [
      () => store.write([]),
      () => store.get(Uint8Array.of(1)),
      () => snapshot.get(Uint8Array.of(1)),
      () => store.scan(ALL),
      () => store.chunks(ALL)[Symbol.asyncIterator]().next(),
      () => store.clear(Uint8Array.of(1)),
      () => store.diskBytes(Uint8Array.of(1)),
      async () => store.snapshot().release()
    ]
    for (const ask of asked) await expect(ask()).rejects.toMatchObject({ code: 'LATERBASE_CLOSED' })
  })
})

async function shown(reader: DerivedReader): Promise<string[]> {
  const records: string[] = []
  for await (const chunk of reader.chunks(ALL)) {
    for (const each of chunk) records.push(`${hex(each.key)}=${hex(each.value)}`)
  }
  expect((await reader.scan(ALL)).map((each) => `${hex(each.key)}=${hex(each.value)}`)).toEqual(
    records
  )
  return records
}

function apply(model: Map<string, Uint8Array>, changes: readonly DerivedChange[]): void {
  for (const each of changes) {
    if (each.value === undefined) model.delete(hex(each.key))
    else model.set(hex(each.key), each.value)
  }
}

function contents(model: ReadonlyMap<string, Uint8Array>): string[] {
  const names = [...model.keys()].sort()
  return names.map((name) => `${name}=${hex(model.get(name) ?? new Uint8Array())}`)
}

function hex(part: Uint8Array): string {
  return Buffer.from(part).toString('hex')
}

function bytes(part: Uint8Array | undefined): Buffer | undefined {
  return part && Buffer.from(part)
}
