/** Threads of scans where there can be none. */

import { EventEmitter } from 'node:events'

import { beforeEach, expect, test, vi } from 'vitest'

import type { ScanThreads } from '../../src/store/scan-thread.ts'

let started: EventEmitter[]
let refuses: boolean

/** A thread that does nothing by itself. */
class Still extends EventEmitter {
  constructor() {
    super()
    started.push(this)
    if (refuses) throw new Error('no threads here')
  }

  unref(): void {
    // It keeps nobody.
  }

  postMessage(): void {
    // Nobody listens.
  }
}

beforeEach(() => {
  started = []
  refuses = false
})

test('a process that cannot start one is not made to try again', async () => {
  const first = await threads()
  const thread = first.start()
  started[0]?.emit('error', new Error('Cannot find module'))
  started[0]?.emit('exit', 1)
  expect([thread?.isOpen, thread?.isGone]).toEqual([false, true])
  await thread?.gone
  expect(first.start()).toBeUndefined()
  expect(started.length).toBe(1)
})

test('a process that may not start one reads without', async () => {
  refuses = true
  const first = await threads()
  expect([first.start(), first.start()]).toEqual([undefined, undefined])
  expect(started.length).toBe(1)
  await first.close()
})

test('one that fails later may be followed by another', async () => {
  const first = await threads()
  const thread = first.start()
  started[0]?.emit('message', { type: 'open' })
  started[0]?.emit('error', new Error('out of memory'))
  started[0]?.emit('exit', 1)
  await thread?.gone
  expect(first.start()).toBeDefined()
})

test('a store that is closed starts none', async () => {
  const first = await threads()
  await first.close()
  expect(first.start()).toBeUndefined()
})

/** Of a process that has had none. */
async function threads(): Promise<ScanThreads> {
  vi.resetModules()
  vi.doMock('node:worker_threads', () => ({ Worker: Still }))
  vi.doMock('node:os', () => ({ availableParallelism: () => 2 }))
  const module = await import('../../src/store/scan-thread.ts')
  return new module.ScanThreads('somewhere')
}
