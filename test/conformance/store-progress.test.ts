/** The note beside a store of how far it is: it follows the store, however its writes fall. */

import { join } from 'node:path'

import { expect, test, vi } from 'vitest'

import { logId } from '../../src/core/commit.ts'
import { PROGRESS_MS } from '../../src/store/limits.ts'
import { ProgressFile, readProgress } from '../../src/store/store-progress.ts'
import { ManualClock } from '../fixtures/manual-clock.ts'
import { temporaryDirectory } from '../fixtures/nodes.ts'

const NOTHING = {
  incarnation: '0123456789abcdef',
  arrival: 0,
  events: 0,
  ownLog: logId(new Uint8Array(16)),
  ownSeq: 0
}

test('what is noted while a note is being written is there soon, and so is what is noted later', async () => {
  const path = join(await temporaryDirectory(), 'store.progress')
  const clock = new ManualClock()
  const file = await ProgressFile.open(path, { ...NOTHING, checked: 0, clean: false }, clock)
  const untilNoted = (arrival: number): Promise<void> =>
    vi.waitFor(async () => expect((await readProgress(path))?.arrival).toBe(arrival), {
      timeout: 5_000
    })
  file.note({ ...NOTHING, arrival: 1 })
  const passing = clock.pass(PROGRESS_MS)
  // Its write has begun, and has not ended.
  file.note({ ...NOTHING, arrival: 2 })
  await passing
  await untilNoted(2)
  await clock.pass(PROGRESS_MS)
  file.note({ ...NOTHING, arrival: 3 })
  await clock.pass(PROGRESS_MS)
  await untilNoted(3)
  await file.close()
  expect(await readProgress(path)).toMatchObject({ arrival: 3, clean: true })
})
