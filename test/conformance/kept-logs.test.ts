/** What is done with logs that an opening kept and did not release, because it was cut off. */

import { appendFile, mkdir, readdir, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { ClassicLevel } from 'classic-level'
import { assert, expect, onTestFinished, test, vi } from 'vitest'

import { OPEN_ATTEMPTS_MAX } from '../../src/store/limits.ts'
import { openLevel } from '../../src/store/open-level.ts'
import { temporaryDirectory } from '../fixtures/nodes.ts'

const LOG = '000003.log'

/** A store of one record, whose log was kept and then deleted, as LevelDB does when it opens. */
async function cutOff(): Promise<string> {
  const location = join(await temporaryDirectory(), 'store')
  const db = await openLevel(location, true)
  await db.put(Buffer.from('key'), Buffer.from('value'), { sync: true })
  await db.close()
  await rename(join(location, LOG), join(location, `${LOG}.kept`))
  return location
}

async function readKey(location: string): Promise<string | undefined> {
  const db = await openLevel(location, false)
  const value = await db.get(Buffer.from('key'))
  await db.close()
  return value?.toString()
}

test('a log that LevelDB deleted without a word is read at the next start', async () => {
  const location = await cutOff()
  assert.equal(await readKey(location), 'value')
  assert.notInclude((await readdir(location)).join(), 'kept')
  assert.equal(await readKey(location), 'value')
})

test('a log that LevelDB deleted because it could not read it is read at the next start', async () => {
  const location = await cutOff()
  const report = `Ignoring error IO error: ${location}/${LOG}: too many open files\nDelete type=0 #3\n`
  await appendFile(join(location, 'LOG'), report)
  assert.equal(await readKey(location), 'value')
})

test('a log that LevelDB deleted because it was in tables stays deleted', async () => {
  const location = await cutOff()
  await appendFile(join(location, 'LOG'), 'Delete type=0 #3\n')
  assert.isUndefined(await readKey(location))
})

test('a log that cannot be read is tried so many times, and kept for the next start', async () => {
  const location = await cutOff()
  // LevelDB cannot say that it has read the log: it neither writes its report nor puts this out of its way.
  for (const name of ['LOG', 'LOG.old']) {
    await rm(join(location, name), { force: true })
    await mkdir(join(location, name, 'in the way'), { recursive: true })
  }
  const opened = vi.spyOn(ClassicLevel.prototype, 'open')
  onTestFinished(() => opened.mockRestore())
  await expect(openLevel(location, false)).rejects.toMatchObject({ code: 'LATERBASE_STORE_FAILED' })
  expect(opened).toHaveBeenCalledTimes(OPEN_ATTEMPTS_MAX)
  for (const name of ['LOG', 'LOG.old']) await rm(join(location, name), { recursive: true })
  assert.equal(await readKey(location), 'value')
})
