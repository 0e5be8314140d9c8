/** What a store of views says of the builds in it, and which of them are used. */

import { expect, test } from 'vitest'

import { createMemoryDerivedStore } from '../../src/store/memory-derived-store.ts'
import { Catalog, LAYOUT } from '../../src/views/catalog.ts'
import { prefixOf } from '../../src/views/view-build.ts'

test('a build that is laid out otherwise than builds are now is gone, with all that is of it', async () => {
  const store = createMemoryDerivedStore()
  const catalog = await Catalog.open(store)
  const builds = [1, 2, 3].map(() => catalog.next())
  for (const build of builds) {
    await store.write([
      { key: Buffer.concat([prefixOf(build), Buffer.of(1)]), value: Buffer.of(1) }
    ])
    await catalog.set(`view-${build}`, { build, hash: 'h', origin: 'definition' })
  }
  const everything = { from: Uint8Array.of(0), to: Uint8Array.of(0xff) }
  const [, second] = await store.scan(everything)
  const entry = JSON.parse(Buffer.from(second?.value ?? []).toString()) as object
  expect(entry).toEqual({ build: 2, hash: 'h', origin: 'definition', layout: LAYOUT })
  const older = Buffer.from(JSON.stringify({ ...entry, layout: LAYOUT - 1 }))
  await store.write([{ key: second?.key ?? Buffer.of(0), value: older }])
  const opened = await Catalog.open(store)
  expect(opened.views('definition')).toEqual(['view-1', 'view-3'])
  expect(opened.get('view-2')).toBeUndefined()
  expect(opened.get('view-3')?.build).toBe(3)
  expect(opened.next()).toBeGreaterThan(3)
  expect(await store.scan(everything)).toHaveLength(4)
})
