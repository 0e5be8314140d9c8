/** A damaged store of the node itself is made anew without losing what it knew, whenever that is cut off. */

import type * as FileSystem from 'node:fs/promises'
import { cp, mkdir, open, readdir, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, expect, test, vi } from 'vitest'

import { ClassicLevel } from 'classic-level'

import { openKeptNodeStore } from '../../src/node/node-store-keeper.ts'
import { systemClock } from '../../src/node/system.ts'
import { openNodeStore } from '../../src/store/node-store.ts'
import type { NodeStore } from '../../src/store/node-store.ts'
import { temporaryDirectory } from '../fixtures/nodes.ts'

vi.mock('node:fs/promises', async (importOriginal) => {
  const original = await importOriginal<typeof FileSystem>()
  return { ...original, rename: vi.fn(original.rename) }
})

const LIST = { yard: 'open', gone: 'forgotten' }
const ADDRESSES = ['/ip4/10.0.0.1/tcp/1/p2p/12D3KooW']

afterEach(() => {
  vi.restoreAllMocks()
})

test('whatever step a crash cuts it off at, the next start has the list and the addresses', async () => {
  const template = await damagedDirectory()
  let steps = 0
  for (let isCut = true; isCut; steps += isCut ? 1 : 0) {
    const dir = await temporaryDirectory()
    await cp(template, dir, { recursive: true })
    isCut = await cutOffAfter(steps, () => keep(dir))
    const store = await keep(dir)
    expect([steps, await store.get('databases')]).toEqual([steps, LIST])
    expect(await store.get('addresses')).toEqual(ADDRESSES)
    await store.close()
    expect((await readdir(dir)).filter((name) => name.startsWith('node.ma'))).toEqual([])
  }
  // Two values that are written, and three folders that are moved.
  expect(steps).toBeGreaterThanOrEqual(5)
})

test('a store that a crash left beside a whole one is not taken for it later', async () => {
  const dir = await temporaryDirectory()
  await fill(join(dir, 'node'), LIST)
  await fill(join(dir, 'node.made'), { old: 'open' })
  await mkdir(join(dir, 'databases'))
  await (await keep(dir)).close()
  await rm(join(dir, 'node'), { recursive: true })
  const store = await keep(dir)
  expect(await store.get('databases')).toBeUndefined()
  await store.close()
})

function keep(dir: string): Promise<NodeStore> {
  return openKeptNodeStore({ dir, create: false, clock: systemClock, log: () => undefined })
}

/** Whether it came to the step: from there on nothing gets to the disk any more. */
async function cutOffAfter(steps: number, run: () => Promise<NodeStore>): Promise<boolean> {
  const { put } = ClassicLevel.prototype
  const move = vi.mocked(rename).getMockImplementation()
  let done = 0
  const step = (): void => {
    done += 1
    if (done > steps) throw new Error('the power is off')
  }
  vi.spyOn(ClassicLevel.prototype, 'put').mockImplementation(async function (
    this: ClassicLevel,
    ...args: Parameters<typeof put>
  ) {
    step()
    await put.apply(this, args)
  })
  vi.mocked(rename).mockImplementation(async (from, to) => {
    step()
    await move?.(from, to)
  })
  try {
    await (await run()).close()
  } catch (error) {
    if (done <= steps) throw error
  } finally {
    vi.restoreAllMocks()
    if (move !== undefined) vi.mocked(rename).mockImplementation(move)
  }
  return done > steps
}

async function damagedDirectory(): Promise<string> {
  const dir = await temporaryDirectory()
  const folder = join(dir, 'node')
  await mkdir(join(dir, 'databases'))
  await fill(folder, LIST)
  // All is in the log; without a MANIFEST that can be read nothing opens.
  for (const name of await readdir(folder)) {
    if (!name.startsWith('MANIFEST')) continue
    const file = await open(join(folder, name), 'w')
    await file.close()
  }
  return dir
}

async function fill(folder: string, list: Readonly<Record<string, string>>): Promise<void> {
  const store = await openNodeStore(folder, true, { clock: systemClock })
  await store.put('databases', list)
  await store.put('addresses', ADDRESSES)
  await store.close()
}
