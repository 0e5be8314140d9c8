/** Files that decide what becomes of a store are on disk, name and all, before anybody relies on them. */

import { existsSync, readlinkSync } from 'node:fs'
import { readdir, stat, writeFile } from 'node:fs/promises'
import type { FileHandle } from 'node:fs/promises'
import { join } from 'node:path'

import { expect, onTestFinished, test } from 'vitest'

import { writeNote } from '../../src/node/recovery-note.ts'
import { writeMarker } from '../../src/store/marker.ts'
import { isThere, writeWhole } from '../../src/store/whole-file.ts'
import { fileHandlePrototype } from '../fixtures/file-handles.ts'
import { temporaryDirectory } from '../fixtures/nodes.ts'

const NOTE = { reason: 'rot', at: '2026-01-01T00:00:00.000Z', kept: 'depot.damaged', back: 0 }

test.skipIf(process.platform !== 'linux').each([
  ['what is written down of a recovery', note],
  ['a marker', (file: string) => writeMarker(file, { before: 'a', epoch: 'b' })],
  ['an identity', (file: string) => writeWhole(file, '{}')]
] as const)('the name of %s is synced after the file has it', async (_what, write) => {
  const folder = await temporaryDirectory()
  const file = join(folder, 'file')
  const synced = await watchSyncs(() => existsSync(file))
  await write(file)
  expect(synced).toEqual([
    { path: `${file}.new`, isNamed: false },
    { path: folder, isNamed: true }
  ])
})

test('a file of which the disk does not say whether it is there is not taken for gone', async () => {
  const file = join(await temporaryDirectory(), 'file')
  expect(await isThere(file)).toBe(false)
  await writeFile(file, '')
  expect(await isThere(file)).toBe(true)
  await expect(isThere(join(file, 'beneath'))).rejects.toMatchObject({ code: 'ENOTDIR' })
})

test('what is left of a file that was being written is for the owner only to read', async () => {
  const folder = await temporaryDirectory()
  const file = join(folder, 'secret')
  await writeFile(`${file}.new`, 'half', { mode: 0o644 })
  await writeWhole(file, 'whole')
  expect([await readdir(folder), (await stat(file)).mode & 0o777]).toEqual([['secret'], 0o600])
})

function note(file: string): Promise<void> {
  return writeNote(file, { ...NOTE, state: 'read', before: undefined, expected: [] })
}

interface Synced {
  readonly path: string
  readonly isNamed: boolean
}

/** What is synced from now on, and whether the file had its name by then. */
async function watchSyncs(isNamed: () => boolean): Promise<readonly Synced[]> {
  const prototype = await fileHandlePrototype()
  const original = prototype.sync
  onTestFinished(() => {
    prototype.sync = original
  })
  const synced: Synced[] = []
  prototype.sync = function (this: FileHandle) {
    synced.push({ path: readlinkSync(`/proc/self/fd/${this.fd}`), isNamed: isNamed() })
    return original.apply(this)
  }
  return synced
}
