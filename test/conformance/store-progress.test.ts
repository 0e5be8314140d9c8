/** `NAME.progress`: how far a store is known to have been. */

import type { FileHandle } from 'node:fs/promises'
import { join } from 'node:path'

import { onTestFinished, test } from 'vitest'

import { logId } from '../../src/core/commit.ts'
import { PROGRESS_MS } from '../../src/store/limits.ts'
import { ProgressFile, readProgress } from '../../src/store/store-progress.ts'
import { fileHandlePrototype } from '../fixtures/file-handles.ts'
import { ManualClock } from '../fixtures/manual-clock.ts'
import { temporaryDirectory, until } from '../fixtures/nodes.ts'

const EXTENT = {
  incarnation: '0011223344556677',
  ownLog: logId(new Uint8Array(16).fill(1)),
  events: 0,
  ownSeq: 0
}

test('what is noted while it is being written is written, and so is all that comes later', async () => {
  const path = join(await temporaryDirectory(), 'depot.progress')
  const clock = new ManualClock()
  const first = { ...EXTENT, arrival: 0, checked: 0, clean: false }
  const file = await ProgressFile.open(path, first, clock)
  onTestFinished(() => file.close())
  const writes = await watchWrites()
  onTestFinished(writes.stop)

  file.note({ ...EXTENT, arrival: 1 })
  writes.onNext(() => file.note({ ...EXTENT, arrival: 2 }))
  await clock.pass(PROGRESS_MS)
  await until(async () => (await readProgress(path))?.arrival === 2)
  await clock.pass(PROGRESS_MS)
  for (const arrival of [3, 4]) {
    file.note({ ...EXTENT, arrival })
    await clock.pass(PROGRESS_MS)
    await until(async () => (await readProgress(path))?.arrival === arrival)
  }
})

/** Lets a test do something in the middle of the next write of any file. */
async function watchWrites(): Promise<{
  readonly onNext: (act: () => void) => void
  readonly stop: () => void
}> {
  const prototype = await fileHandlePrototype()
  const original = prototype.write
  let next: (() => void) | undefined
  prototype.write = function (this: FileHandle, ...args: Parameters<typeof original>) {
    const act = next
    next = undefined
    act?.()
    return original.apply(this, args)
  } as typeof original
  return {
    onNext: (act) => {
      next = act
    },
    stop: () => {
      prototype.write = original
    }
  }
}
